//! Shares by weight and by calls that are up.

use super::case::{Case, EMPTY};
use harness::packaged;

/// A proxy that tells the module of the ends of calls.
const COUNTED: &str = r#"
    request_route {
        if (!mf_process_maxfwd_header("10")) {
            sl_send_reply("483", "Too Many Hops");
            exit;
        }
        if (is_method("BYE|CANCEL")) ds_load_update();
        if (is_method("CANCEL")) {
            if (t_check_trans()) t_relay();
            exit;
        }
        if (has_totag()) {
            loose_route();
            t_relay();
            exit;
        }
        record_route();
        if (!ds_select_dst("1", "10")) {
            append_to_reply("X-Said: $rc\r\n");
            sl_send_reply("503", "Full");
            exit;
        }
        append_hf("X-Way: $xavp(_dsdst_=>dstid) of $xavp(_dsctx_=>cnt)\r\n");
        t_on_reply("ANSWERS");
        t_on_failure("FULL");
        t_relay();
    }
    onreply_route[ANSWERS] {
        if (is_method("INVITE")) {
            if (status =~ "2[0-9][0-9]") ds_load_update();
            else if (status =~ "[3-7][0-9][0-9]") xlog("note: refused $rs\n");
        }
    }
    failure_route[FULL] {
        if (t_is_canceled()) exit;
        if (t_check_status("50[03]") && ds_next_dst()) {
            append_hf("X-Way: $xavp(_dsdst_=>dstid)\r\n");
            t_on_failure("FULL");
            t_relay();
            exit;
        }
        ds_load_unset();
    }
"#;

pub const CASES: &[Case] = &[
    Case {
        name: "calls up",
        kind: "call centre by calls that are up",
        gates: "A B C",
        setup: "flags 2\nds_hash_size 9\nds_hash_expire 3600\nds_hash_initexpire 60\nds_hash_check_interval 30\n",
        routes: COUNTED,
        list: "1 sip:{{A}} 0 0 duid=a;maxload=2\n1 sip:{{B}} 0 0 duid=b;maxload=2\n1 sip:{{C}} 0 0 duid=c;maxload=1\n",
        play: "INVITE 100 x5 hold\nlist\nINVITE 100\nhangup\nlist\nINVITE 100 x2\ngates A=486 B=486 C=486\n\
               INVITE 100\nlist",
        ..EMPTY
    },
    Case {
        name: "no limit of calls",
        kind: "farm by calls that are up, without a limit",
        gates: "A=503 B C",
        setup: "flags 2\nds_hash_size 8\nxavp_dst \"_dsdst_\"\nxavp_ctx \"_dsctx_\"\n",
        routes: COUNTED,
        list: "1 sip:{{A}} 0 0 duid=abc;maxload=0\n1 sip:{{B}} 0 0 duid=def;maxload=0\n1 sip:{{C}} 0 0 duid=ghi\n",
        play: "INVITE 100 x3 hold\nlist\nhangup\nlist",
        ..EMPTY
    },
    Case {
        name: "rules with a limit",
        kind: "B2BUA cores and an overflow",
        gates: "A B C",
        setup: r#"
            flags 2
            ds_hash_size 10
            ds_ping_interval 15
        "#,
        routes: r#"
            request_route {
                if (has_totag()) {
                    if (is_method("BYE")) ds_load_update();
                    loose_route();
                    t_relay();
                    exit;
                }
                record_route();
                if (ds_select_routes("1=10;11=9", "d", "0")) {
                    if ($du == $null) {
                        send_reply("404", "No Destination Set");
                        exit;
                    }
                } else {
                    send_reply("404", "No Destination");
                    exit;
                }
                append_hf("X-Way: $xavp(_dsdst_=>uri) $xavp(_dsctx_=>cnt)\r\n");
                t_relay();
            }
        "#,
        list: "1 sip:{{A}} 0 0 weight=100;maxload=2;duid=cuore_1\n1 sip:{{B}} 0 0 weight=100;maxload=2;duid=cuore_2\n\
               11 sip:{{C}} 0 0 weight=100;maxload=2;duid=cuore_3\n",
        play: "INVITE 100 x2 hold\nINVITE 101 x2 hold\nlist\nINVITE 100\nhangup\nlist",
        ..EMPTY
    },
    Case {
        name: "halves",
        kind: "two media servers by weight",
        gates: "A B",
        setup: r#"
            flags 2
            ds_ping_interval 15
            ds_probing_threshold 1
            ds_ping_reply_codes "class=2;class=3;class=4"
            ds_probing_mode 1
        "#,
        routes: r#"
            request_route {
                if (!ds_select_dst("1", "9")) {
                    send_reply("404", "None");
                    exit;
                }
                append_to_reply("X-Said: $du\r\n");
                sl_send_reply("200", "OK");
            }
        "#,
        list: "# group  sip addresses of the units\n# 1 sip:127.0.0.1:5080 0 0 duid=abc;my=xyz\n\
               1 sip:{{A}} 0 0 weight=50\n1 sip:{{B}} 0 0 weight=50\n",
        play: "MESSAGE 100 x100 share\nrpc dispatcher.set_state i 1 sip:{{A}}\nMESSAGE 100 x10 share",
        ..EMPTY
    },
    Case {
        name: "ninety and ten",
        kind: "canary release of a media server",
        gates: "A B C",
        setup: "flags 2\nds_probing_mode 1\nds_ping_interval 30\n",
        routes: r#"
            request_route {
                ds_select_domain("$rU", "9", "1");
                append_to_reply("X-Said: $rd:$rp $xavp(_dsctx_=>cnt)\r\n");
                sl_send_reply("200", "OK");
            }
        "#,
        list: "1 sip:{{A}} 0 0 weight=90;duid=stable\n1 sip:{{B}} 0 0 weight=10;duid=canary\n\
               2 sip:{{A}} 0 0 weight=60\n2 sip:{{B}} 0 0 weight=30\n2 sip:{{C}} 0 0 weight=10\n",
        play: "MESSAGE 1 x100 share\nMESSAGE 2 x100 share",
        ..EMPTY
    },
    Case {
        name: "by latency",
        kind: "gateways by round-trip time",
        gates: "A B C",
        setup: "flags 2\nds_ping_latency_stats 1\nds_ping_interval 60\n",
        routes: r#"
            request_route {
                if (!ds_select_dst("1", "13")) {
                    send_reply("404", "None");
                    exit;
                }
                append_to_reply("X-Said: $du\r\n");
                sl_send_reply("200", "OK");
            }
        "#,
        list: "1 sip:{{A}} 0 30 latency=21\n1 sip:{{B}} 0 30 latency=91\n1 sip:{{C}} 0 30 latency=19\n",
        play: "MESSAGE 100 x6\nrpc dispatcher.set_state i 1 sip:{{A}}\nMESSAGE 100 x2",
        if_c: packaged::orders_by_latency,
        ..EMPTY
    },
    Case {
        name: "table in text files",
        kind: "list of a web panel in a table",
        gates: "A B C",
        setup: r#"
            load db_text.so
            db_url "text://{{DIR}}"
            table_name "dispatcher"
            setid_col "setid"
            destination_col "destination"
            flags_col "flags"
            priority_col "priority"
            flags 2
            ds_ping_interval 60
            ds_probing_mode 1
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "4")) {
                    send_reply("404", "None");
                    exit;
                }
                append_hf("X-Attrs: $xavp(_dsdst_=>attrs)\r\n");
                route(OUT);
            }
        "#,
        list: "none",
        files: &[
            (
                "version",
                "table_name(string) table_version(int)\ndispatcher:4\n",
            ),
            (
                "dispatcher",
                "id(int,auto) setid(int) destination(string) flags(int) priority(int) attrs(string,null) \
                 description(string)\n\
                 1:1:sip\\:{{A_IP}}\\:{{A_PORT}}:0:0:weight=50:FreeSWITCH-1\n\
                 2:1:sip\\:{{B_IP}}\\:{{B_PORT}}:0:5::FreeSWITCH-2\n\
                 3:2:sip\\:{{C_IP}}\\:{{C_PORT}}:8:0:duid=conf;weight=50:conference\n",
            ),
        ],
        play: "INVITE 100 x2\nrpc dispatcher.reload\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "table without a driver",
        kind: "guide that forgets the driver",
        gates: "A",
        setup: "db_url \"mysql://proxy:proxy@127.0.0.1/proxy\"\ntable_name \"dispatcher\"\nflags 2\n",
        routes: "request_route { ds_select_dst(\"1\", \"4\"); t_relay(); }",
        list: "none",
        ..EMPTY
    },
];

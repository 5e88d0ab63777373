//! Trunks to carriers, with failover.

use super::case::{Case, EMPTY};

pub const CASES: &[Case] = &[
    Case {
        name: "carrier with a second one",
        kind: "SIP trunk load balancer by Call-ID",
        gates: "A B",
        setup: r#"
            flags 2
            force_dst 1
            ds_hash_size 9
            ds_ping_interval 5
            xavp_dst "_dsdst_"
            xavp_ctx "_dsctx_"
            ds_probing_mode 0
        "#,
        routes: r#"
            #!define CHOICE "0"
            request_route {
                route(START);
                if (!ds_select_dst("1", CHOICE, "2")) {
                    sl_send_reply("500", "No Carrier");
                    exit;
                }
                if ($xavp(_dsctx_=>cnt) >= 2)
                    append_hf("X-Pair: $xavp(_dsdst_[0]=>uri) $xavp(_dsdst_[1]=>uri)\r\n");
                t_on_failure("SECOND");
                route(OUT);
            }
            failure_route[SECOND] {
                if (t_is_canceled()) exit;
                if (t_check_status("401|407")) exit;
                if (t_check_status("500") or (t_branch_timeout() and !t_branch_replied())) {
                    if (ds_next_dst()) route(OUT);
                }
            }
        "#,
        list: "# setid(int) destination(sip uri) flags(int,opt)\\n\n1 sip:{{A}} 0 5\n1 sip:{{B}} 0 5\n",
        play: "INVITE 100 x6\ngates A=500 B=407\nINVITE 100 x6\ngates B=-\nINVITE 100 x2",
        ..EMPTY
    },
    Case {
        name: "set and algorithm by lookup",
        kind: "multi-tenant router with a web interface",
        gates: "A B C=503",
        setup: r#"
            flags 2
            flags_col "flags"
            ds_probing_mode 3
            ds_ping_latency_stats 1
            ds_ping_method "OPTIONS"
            ds_ping_interval 60
            ds_probing_threshold 1
            ds_inactive_threshold 1
            xavp_dst "dispatcher_dst"
            xavp_dst_mode 0
            xavp_ctx "dispatcher_ctx"
            xavp_ctx_mode 0
            reload_delta 1
        "#,
        routes: r#"
            request_route {
                route(START);
                $avp(dispatcher_setid) = $(rU{s.substr,0,1});
                $avp(dispatcher_alg) = $(rU{s.substr,1,1});
                if (!ds_select_dst($avp(dispatcher_setid), $avp(dispatcher_alg))) {
                    append_to_reply("X-Said: $rc\r\n");
                    sl_send_reply("503", "No Gateway");
                    exit;
                }
                $var(way) = $xavp(dispatcher_dst=>uri);
                append_hf("X-Way: $var(way) $xavp(dispatcher_ctx=>setid) $xavp(dispatcher_ctx=>cnt)\r\n");
                t_on_failure("LEFT");
                route(OUT);
            }
            failure_route[LEFT] {
                if (t_is_canceled()) exit;
                if (t_check_status("[345][0-9][0-9]") && ds_next_dst()) {
                    t_on_failure("LEFT");
                    t_relay();
                }
            }
        "#,
        list: "1 sip:{{A}} 0 0 id=1;type=0\n1 sip:{{B}} 0 0 id=2;type=0\n2 sip:{{C}} 0 9 id=3\n2 sip:{{A}} 0 8 id=4\n",
        play: "INVITE 14 x3\nINVITE 10\nINVITE 28 x2\nINVITE 98\nINVITE x4",
        ..EMPTY
    },
    Case {
        name: "peers of a tenant",
        kind: "private routing in Kubernetes",
        gates: "A B",
        setup: "ds_ping_interval 30\nds_probing_threshold 3\nds_inactive_threshold 1\n",
        routes: r#"
            request_route {
                route(START);
                if (!ds_is_from_list("9", "1") && $fU == "peer") append_hf("X-Peer: new\r\n");
                $var(destination_set) = 0;
                if ($rU == "1001") $var(destination_set) = 11;
                if ($rU == "1002") $var(destination_set) = 12;
                if ($var(destination_set) == 0 || !ds_select_dst("$var(destination_set)", "0")) {
                    sl_send_reply("404", "Destination Unavailable");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "11 sip:{{A}} 0 0\n12 sip:{{B}} 1 0\n9 sip:{{B}} 0 0\n",
        play: "INVITE 1001 from=peer\nINVITE 1002\nINVITE 1003",
        ..EMPTY
    },
    Case {
        name: "two data centres",
        kind: "geographic failover by priority",
        gates: "A=503 B C",
        setup: r#"
            flags 2
            ds_ping_interval 5
            ds_probing_threshold 3
            ds_probing_mode 1
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "8")) {
                    sl_send_reply("503", "Down");
                    exit;
                }
                append_hf("X-Way: $xavp(_dsdst_=>dstid) $xavp(_dsctx_=>cnt)\r\n");
                t_on_failure("FAR");
                route(OUT);
            }
            failure_route[FAR] {
                if (t_check_status("408|503")) {
                    ds_mark_dst("ip");
                    if (ds_next_dst()) {
                        append_hf("X-Way: $xavp(_dsdst_=>dstid)\r\n");
                        t_on_failure("FAR");
                        t_relay();
                    } else if (ds_select_dst("2", "8")) {
                        append_hf("X-Way: egress $xavp(_dsdst_=>dstid)\r\n");
                        t_relay();
                    }
                }
            }
        "#,
        list: "# Group 1: local (primary)\n1 sip:{{B}} 0 0 weight=100;maxload=10000;duid=near\n\n\
               # Group 1: remote\n1 sip:{{A}} 0 10 weight=50;maxload=10000;duid=far\n\n\
               2 sip:{{C}} 0 0 weight=100;duid=egress\n",
        play: "INVITE 100\nlist\nINVITE 100\ngates B=503\nINVITE 100\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "last resort is an announcement",
        kind: "carrier access with an announcement server",
        gates: "A=503 B=503 C",
        setup: r#"
            flags 2
            use_default 1
            force_dst 1
            ds_ping_interval 30
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "4")) {
                    sl_send_reply("503", "All Busy");
                    exit;
                }
                append_hf("X-Count: $xavp(_dsctx_=>cnt)\r\n");
                t_on_failure("NEXT");
                route(OUT);
            }
            failure_route[NEXT] {
                if (ds_next_dst()) {
                    t_on_failure("NEXT");
                    t_relay();
                    exit;
                }
            }
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}}\n1 sip:{{C}}\n",
        play: "INVITE 100 x3\nrpc dispatcher.set_state i 1 sip:{{A}}\nrpc dispatcher.set_state i 1 sip:{{B}}\n\
               INVITE 100\ngates C=404\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "destination that is set already",
        kind: "proxy with a static route",
        gates: "A B",
        setup: "flags 2\nforce_dst 0\n",
        routes: r#"
            request_route {
                route(START);
                if ($rU == "static") $du = "sip:{{B}}";
                if (!ds_select_dst("1", "4")) append_hf("X-Kept: $rc $du\r\n");
                route(OUT);
            }
        "#,
        list: "1 sip:{{A}}\n",
        play: "INVITE 100\nINVITE static\nREGISTER static",
        ..EMPTY
    },
    Case {
        name: "code 4 and some of 5",
        kind: "multi-tenant PBX with probing of what is marked",
        gates: "A=200/503 B=200/404 C=200/500",
        setup: r#"
            flags 2
            ds_ping_from "sip:ping@edge.test"
            ds_ping_interval 1
            ds_probing_mode 0
            ds_ping_reply_codes "class=4;code=503;code=408"
            force_dst 1
            ds_probing_threshold 3
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "4")) {
                    sl_send_reply("404", "None");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "1 sip:{{A}} 8 0\n1 sip:{{B}} 9 0\n1 sip:{{C}} 0 0\n",
        play: "pinged AB\nuntil A=AX B=AX C=AX\nINVITE 100 x3",
        ..EMPTY
    },
    Case {
        name: "fork to all",
        kind: "call centre that rings several servers",
        gates: "A=404 B=480 C=486",
        setup: r#"
            ds_ping_interval 3
            ds_ping_reply_codes "class=2;code=403;code=404;code=484;code=488;code=481;class=3"
            flags 2
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list("1")) append_hf("X-From: farm\r\n");
                if (!ds_select_dst("1", "12")) {
                    sl_send_reply("404", "None");
                    exit;
                }
                t_relay();
            }
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}}\n1 sip:{{C}}\n",
        play: "INVITE 100\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "stateless",
        kind: "SER-like proxy without transactions",
        gates: "A B C",
        setup: "flags 3\n",
        routes: r#"
            request_route {
                if (!mf_process_maxfwd_header("10")) {
                    sl_send_reply("483", "Too Many Hops");
                    exit;
                }
                if (is_method("INVITE") || is_method("REGISTER")) {
                    ds_select_domain("1", "4");
                    sl_send_reply("100", "Trying");
                    forward();
                    exit;
                }
                ds_select_dst("1", "3");
                forward();
            }
        "#,
        list: "#Load Balance\n1 sip:{{A}} 2\n1 sip:{{B}} 2\n\n#Fail Over\n2 sip:{{C}} 2\n",
        play: "REGISTER bob x3\nMESSAGE 100 x2\nMESSAGE 101\nMESSAGE 100@other.test\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "algorithm by hash of a variable",
        kind: "campaign dialer with affinity",
        gates: "A B C",
        setup: "flags 2\nhash_pvar \"$avp(fs_affinity_uri)\"\n",
        routes: r#"
            request_route {
                route(START);
                if ($hdr(X-Key) != $null) $avp(fs_affinity_uri) = $hdr(X-Key);
                if (!ds_select_dst("20", "7")) {
                    append_to_reply("X-Said: $rc\r\n");
                    send_reply("503", "No Affinity");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "20 sip:{{A}} 0 0\n20 sip:{{B}} 0 0\n20 sip:{{C}} 0 0\n",
        play: "INVITE 100 key=one\nINVITE 100 key=two\nINVITE 101 key=one\nINVITE 100 key=three\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "algorithm by hash of caller and call",
        kind: "proxy with a pool per tenant",
        gates: "A B C",
        setup: r#"
            flags 2
            hash_pvar "$fU@$ci"
            setid_pvname "$var(setid)"
            attrs_pvname "$var(attrs)"
            ds_ping_method "OPTIONS"
            ds_ping_from "sip:dispatcher@proxy.test"
            ds_ping_interval 1
            ds_probing_threshold 1
            ds_ping_reply_codes "class=2"
            ds_probing_mode 1
            ds_hash_size 10
            ds_hash_expire 3600
            ds_hash_initexpire 60
            ds_hash_check_interval 30
        "#,
        routes: r#"
            request_route {
                route(START);
                $var(dispatcher_id) = 100;
                if ($rU == "rr") ds_select_dst("100", "4");
                else if (!ds_select_dst("$var(dispatcher_id)", "7")) {
                    send_reply("404", "None");
                    exit;
                }
                append_hf("X-Way: $avp(dsdstid) $xavp(_dsdst_=>attrs)\r\n");
                t_on_failure("NEXT");
                route(OUT);
            }
            failure_route[NEXT] {
                if (ds_next_dst()) t_relay();
            }
        "#,
        list: "# from a template\n100 sip:{{A}} 2 0 socket=udp:127.0.0.1:{{PORT}};node-1\n\
               100 sip:{{B}} 2 0 socket=udp:127.0.0.1:{{PORT}};node-2\n100 sip:{{C}} 0 0 node-3\n",
        play: "until A=AP B=AP C=AP\nINVITE 100 x4\nINVITE 100 from=ann x3\nINVITE rr x3",
        ..EMPTY
    },
    Case {
        name: "credentials",
        kind: "registrar farm by user",
        gates: "A B C",
        setup: "flags 2\n",
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "5")) {
                    send_reply("404", "None");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}}\n1 sip:{{C}}\n",
        play: "INVITE 100 auth=ann\nINVITE 100 auth=bob\nINVITE 101 auth=ann\nREGISTER bob auth=bob\n\
               REGISTER cid\nREGISTER cid",
        ..EMPTY
    },
    Case {
        name: "two hundred only",
        kind: "guide for health checks",
        gates: "A B=200/404",
        setup: r#"
            ds_ping_method "OPTIONS"
            ds_ping_interval 1
            ds_probing_threshold 2
            ds_inactive_threshold 2
            ds_ping_reply_codes "200"
            ds_probing_mode 1
        "#,
        routes: r#"
            request_route {
                route(START);
                $var(setid) = 10;
                if (!ds_select_dst($var(setid), "4")) {
                    sl_send_reply("503", "None Healthy");
                    exit;
                }
                route(OUT);
            }
            event_route[dispatcher:dst-up] {
                xlog("L_INFO", "note: up $du\n");
            }
            event_route[dispatcher:dst-down] {
                xlog("L_WARN", "note: down $du $rm $ru\n");
            }
        "#,
        list: "10 sip:{{A}}\n10 sip:{{B}}\n",
        play: "until A=AP B=IP\nINVITE 100 x2\nlogged 1 down\ngates B=200/200\nuntil A=AP B=AP\nlogged 1 up",
        ..EMPTY
    },
    Case {
        name: "five hundreds by letters",
        kind: "assistant-written guide for OpenSIPS",
        gates: "A B=200/503",
        setup: r#"
            ds_ping_method "OPTIONS"
            ds_ping_interval 1
            ds_probing_mode 1
            ds_probing_threshold 1
            ds_ping_reply_codes "5xx,timeout"
        "#,
        routes: "request_route { ds_select_dst(\"1\", \"4\"); t_relay(); }",
        list: "1 sip:{{A}}\n1 sip:{{B}}\n",
        play: "pinged AB\nuntil A=AP B=IP",
        ..EMPTY
    },
    Case {
        name: "codes of another product",
        kind: "guide for OpenSIPS",
        gates: "A=200/501 B=200/403 C=200/486",
        setup: "ds_ping_interval 1\nds_probing_mode 1\nds_probing_threshold 1\nds_ping_reply_codes \"501, 403\"\n",
        routes: "request_route { ds_select_dst(\"1\", \"4\"); t_relay(); }",
        list: "1 sip:{{A}}\n1 sip:{{B}}\n1 sip:{{C}}\n",
        play: "until A=IP B=IP C=IP\ngates A=200/200\nuntil A=AP B=IP C=IP",
        ..EMPTY
    },
];

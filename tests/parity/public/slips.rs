//! Configs that were published and do not start, or do not do what was meant.

use super::case::{Case, EMPTY};

pub const CASES: &[Case] = &[
    Case {
        name: "list for checks of another product",
        kind: "cluster with OpenSIPS",
        setup: "cluster_id 2\n",
        routes: "request_route { t_relay(); }",
        list: "1 sip:{{A}}\n",
        ..EMPTY
    },
    Case {
        name: "reply codes of another product",
        kind: "reference of OpenSIPS",
        setup: "options_reply_codes \"501, 403\"\nds_ping_interval 10\n",
        routes: "request_route { t_relay(); }",
        list: "1 sip:{{A}}\n",
        ..EMPTY
    },
    Case {
        name: "socket of pings of another product",
        kind: "reference of OpenSIPS",
        setup: "ds_probing_sock \"udp:127.0.0.1:5077\"\nds_ping_interval 10\n",
        routes: "request_route { t_relay(); }",
        list: "1 sip:{{A}}\n",
        ..EMPTY
    },
    Case {
        name: "parameter that nobody has",
        kind: "assistant-written guide",
        setup: "ds_probing_threshold 3\nds_blacklist_expire 60\n",
        routes: "request_route { t_relay(); }",
        list: "1 sip:{{A}}\n",
        ..EMPTY
    },
    Case {
        name: "list that is not there",
        kind: "image without its list",
        setup: "list_file \"{{DIR}}/nosuch/dispatcher.list\"\n",
        routes: "request_route { t_relay(); }",
        list: "none",
        ..EMPTY
    },
    Case {
        name: "address of a template",
        kind: "template that was never filled",
        gates: "A",
        setup: "xavp_dst \"_dsdst_\"\nxavp_ctx \"_dsctx_\"\n",
        routes: r#"
            request_route {
                route(START);
                $var(dsgid) = 1;
                if (!ds_select_dst("$var(dsgid)", "0")) {
                    send_reply("404", "None");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "1 sip:<external_ip_change_it>:5060 0 0\n1 sip:{{A}} 0 0\n",
        play: "INVITE 100",
        ..EMPTY
    },
    Case {
        name: "third argument of another product",
        kind: "guide for OpenSIPS 2.x",
        setup: "ds_ping_interval 10\n",
        routes: r#"request_route { if (!ds_select_dst("1", "4", "f")) sl_send_reply("500", "Full"); t_relay(); }"#,
        list: "1 sip:{{A}}\n",
        ..EMPTY
    },
    Case {
        name: "name of a set",
        kind: "architecture document",
        routes: r#"request_route { if (!ds_select_domain("asterisk", "4")) sl_send_reply("503", "None"); t_relay(); }"#,
        list: "1 sip:{{A}}\n",
        ..EMPTY
    },
    Case {
        name: "third argument as a number of another product",
        kind: "guide for OpenSIPS 3.x",
        setup: "ds_ping_interval 10\nds_probing_mode 1\nds_ping_reply_codes \"class=2;class=3;class=4\"\n",
        routes: r#"request_route { if (!ds_select_dst(1, 2, "f")) sl_send_reply("503", "None"); t_relay(); }"#,
        list: "1 sip:{{A}}\n",
        ..EMPTY
    },
    Case {
        name: "uri and mode changed over",
        kind: "documentation of 4.2",
        routes: r#"request_route { if (ds_is_from_list("10", "sip:127.0.0.1:5080", "3")) sl_send_reply("200", ""); }"#,
        list: "10 sip:{{A}}\n",
        ..EMPTY
    },
    Case {
        name: "variable where the name belongs",
        kind: "softswitch that was carried over from 4.x",
        gates: "A B",
        setup: "flags 2\nxavp_dst \"$avp(dsdst)\"\nxavp_ctx \"$avp(dscnt)\"\nsetid_pvname \"$avp(dsgrp)\"\n",
        routes: r#"
            request_route {
                route(START);
                ds_select_dst("2", "4");
                append_hf("X-Way: $avp(dscnt) $(avp(dsdst)[0]) $(avp(dsdst)[1])\r\n");
                t_on_failure("NEXT");
                route(OUT);
            }
            failure_route[NEXT] {
                if (ds_next_dst()) t_relay();
            }
        "#,
        list: "2 sip:{{A}}\n2 sip:{{B}}\n",
        play: "INVITE 100 x2\ngates A=503\nINVITE 100 x2",
        ..EMPTY
    },
];

//! Farms of PBXs and media servers behind one proxy.

use super::case::{Case, EMPTY};

pub const CASES: &[Case] = &[
    Case {
        name: "pair in turn",
        kind: "two Asterisk servers",
        gates: "A=500 B C=500",
        setup: r#"
            flags 2
            xavp_dst "_dsdst_"
            xavp_ctx "_dsctx_"
            ds_ping_from "sip:edge@pbx.test"
            ds_ping_interval 60
            ds_probing_mode 1
            ds_timer_mode 1
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "4")) {
                    send_reply("404", "No PBX");
                    exit;
                }
                append_hf("X-Way: $du with $xavp(_dsdst_=>attrs)\r\n");
                t_on_failure("NEXT");
                route(OUT);
            }
            failure_route[NEXT] {
                if (t_is_canceled()) exit;
                if (t_check_status("500") or (t_branch_timeout() and !t_branch_replied())) {
                    if (ds_next_dst()) {
                        append_hf("X-Again: $du with $xavp(_dsdst_=>attrs)\r\n");
                        t_on_failure("NEXT");
                        route(OUT);
                    }
                }
            }
        "#,
        list: "# set uri flags priority attributes\n\n1 sip:{{A}}\n1 sip:{{B}} 0 0\n#1 sip:127.0.0.99:5060\n\
               1 sip:{{C}} 0\n",
        play: "INVITE 100 x4\nMESSAGE 100\nREGISTER bob\ngates C=-\nINVITE 100\ngates B=500 C=500\nINVITE 100\n\
               rpc dispatcher.set_state d 1 all\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "routes of two groups",
        kind: "FreeSWITCH cluster with groups, primary and backup",
        gates: "A B=503 C D=x",
        setup: r#"
            flags 2
            use_default 0
            force_dst 1
            hash_pvar "$avp(ds_grp)"
            setid_pvname "$var(ds_setid)"
            attrs_pvname "$var(ds_attrs)"
            ds_ping_interval 10
            ds_probing_threshold 3
            ds_probing_mode 1
            xavp_dst "ds_dst"
            xavp_ctx "ds_ctx"
            xavp_dst_mode 2
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list("1", "2") || ds_is_from_list("2", "2")) {
                    append_to_reply("X-Said: set $var(ds_setid) attrs $var(ds_attrs)\r\n");
                    sl_send_reply("202", "From A Server");
                    exit;
                }
                if (!ds_is_from_list("-1", "6", "$hdr(X-Key)")) append_hf("X-Known: no\r\n");
                else append_hf("X-Known: $var(ds_setid) $var(ds_attrs)\r\n");
                ds_select_routes("1=4;2=8", "2");
                $var(i) = 0;
                while ($xavp(ds_dst[$var(i)]=>uri) != $null) {
                    $var(route) = $_s($xavp(ds_dst[$var(i)]=>grp) $xavp(ds_dst[$var(i)]=>uri));
                    append_hf("X-Route: $var(route) $xavp(ds_dst[$var(i)]=>attrs)\r\n");
                    $var(i) = $var(i) + 1;
                }
                ds_set_dst();
                t_on_failure("ZONE");
                route(OUT);
            }
            failure_route[ZONE] {
                if (t_is_canceled()) exit;
                while (ds_next_dst()) {
                    append_hf("X-Try: $xavp(ds_dst=>grp) $du\r\n");
                    t_on_failure("ZONE");
                    t_relay();
                    exit;
                }
            }
        "#,
        list: "1 sip:{{A}} 0 0 zone=local;profile=sip\n1 sip:{{B}} 0 0 zone=local\n2 sip:{{C}} 0 0 zone=far\n",
        play: "INVITE 100 x3 key=sip:{{A}}\nINVITE 100 key=sip:127.0.0.13:9\nINVITE 100 @B\nINVITE 100 @D\nlist",
        ..EMPTY
    },
    Case {
        name: "pool by Call-ID",
        kind: "Asterisk media nodes",
        gates: "A=503/405 B=486/400 C=200/200",
        setup: r#"
            force_dst 1
            flags 2
            ds_ping_interval 1
            ds_ping_method "OPTIONS"
            ds_probing_mode 1
            ds_ping_from "sip:proxy@pbx.local"
            ds_probing_threshold 2
            ds_inactive_threshold 2
            ds_timer_mode 1
            ds_ping_latency_stats 1
            ds_ping_reply_codes "class=2;code=400;code=401;code=403;code=404;code=405"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "0")) {
                    sl_send_reply("503", "No Node");
                    exit;
                }
                t_on_failure("NODE");
                route(OUT);
            }
            failure_route[NODE] {
                if (t_is_canceled()) exit;
                if (t_check_status("408|500|503")) {
                    if (ds_next_dst()) {
                        t_on_failure("NODE");
                        t_relay();
                        exit;
                    }
                    t_reply("503", "No Node Left");
                }
            }
        "#,
        list: "#\n# nodes\n#\n1 sip:{{A}} 0 0 node=ast1\n1 sip:{{B}} 0 0 node=ast2\n1 sip:{{C}} 0 0 node=ast3\n",
        play: "pinged ABC\nINVITE 100 x8\ngates A=503/481\nuntil A=IP B=AP C=AP\nINVITE 100 x4\n\
               gates A=200/405\nuntil A=AP B=AP C=AP",
        ..EMPTY
    },
    Case {
        name: "names of containers",
        kind: "docker-compose example",
        gates: "A B",
        setup: r#"
            flags 2
            global use_dns_cache=off
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "4")) {
                    sl_send_reply("404", "No Destination");
                    exit;
                }
                append_to_reply("X-Said: $du\r\n");
                sl_send_reply("200", "OK");
            }
        "#,
        list: "# by name, not by address\n1 sip:media-1.invalid:5080 0 0\n1 sip:{{A}} 0 0\n\
               1 sip:media-2.invalid:5081 16 0\n1 sip:localhost:5082 0 0\n",
        play: "INVITE 100 x5\nREGISTER bob",
        ..EMPTY
    },
    Case {
        name: "columns of blanks",
        kind: "edge in front of one PBX",
        gates: "A B",
        setup: "list_file \"{{DIR}}/dispatcher.list\"\n",
        routes: r#"
            request_route {
                route(START);
                ds_select_dst("1000", "4");
                append_hf("X-Rc: $rc\r\n");
                route(OUT);
            }
        "#,
        list: "1000    sip:{{A}}\n1000\tsip:{{B}}\t0\t0\tnode=b\t\n\n",
        play: "INVITE 100 x3\nINVITE 100 to=eve",
        ..EMPTY
    },
    Case {
        name: "three states of flags",
        kind: "docker-compose example with WebRTC",
        gates: "A B C D",
        setup: r#"
            ds_ping_interval 10
            ds_ping_from "sip:proxy@192.0.2.54"
            ds_probing_mode 1
            ds_probing_threshold 3
            flags 2
            ds_probing_mode 0
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "4")) {
                    send_reply("503", "Unavailable");
                    exit;
                }
                append_hf("X-Attrs: $xavp(_dsdst_=>attrs)\r\n");
                route(OUT);
            }
        "#,
        list: "1 sip:{{A}};transport=udp 0 0 asterisk1\n1 sip:{{B}} 1 0\n1 sip:{{C}} 2 0 asterisk3\n\
               1 sip:{{D}} 8 0 x=1 # spare\n",
        play: "INVITE 100 x4\nrpc dispatcher.set_state a 1 sip:{{B}}\nINVITE 100 x4\nlist",
        ..EMPTY
    },
    Case {
        name: "priority with a range",
        kind: "Asterisk test bed",
        gates: "A=200/404 B=200/488",
        setup: r#"
            flags 2
            ds_ping_interval 1
            ds_ping_method "OPTIONS"
            ds_ping_reply_codes "class=2;code=404;code=488"
            ds_probing_mode 1
            ds_ping_from "sip:checker@kamailio.local"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "0")) {
                    sl_send_reply("500", "No Host");
                    exit;
                }
                append_hf("X-Attrs: $xavp(_dsdst_=>attrs)\r\n");
                route(OUT);
            }
        "#,
        list: "# with a priority:\n1 sip:{{A}} 0 16-32 custom_header=Check\n1 sip:{{B}} 0 16-32 custom_header=Check\n",
        play: "pinged AB\nuntil A=AP B=AP\nINVITE 100 x6",
        ..EMPTY
    },
    Case {
        name: "two registrars over five pings",
        kind: "Asterisk farm from a guide",
        gates: "A=200/488 B=200/403 C=200/301",
        setup: r#"
            flags 2
            xavp_dst "_dsdst_"
            xavp_ctx "_dsctx_"
            ds_ping_from "sip:proxy@mykamailio"
            ds_ping_interval 1
            ds_probing_threshold 5
            ds_inactive_threshold 5
            ds_ping_reply_codes "class=2;code=403;code=488;class=3"
            ds_probing_mode 1
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list()) {
                    append_to_reply("X-Said: from the farm\r\n");
                    sl_send_reply("200", "OK");
                    exit;
                }
                if (!ds_select_dst("1", "4")) {
                    send_reply("404", "No Destination");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "1 sip:{{A}};transport=udp 0 0\n1 sip:{{B}};transport=udp 0 0\n1 sip:{{C}} 0 0\n",
        play: "pinged ABC\nuntil A=AP B=AP C=AP\nINVITE 100 x3\nREGISTER bob @A\nOPTIONS proxy @B",
        ..EMPTY
    },
    Case {
        name: "transactions of many seconds",
        kind: "FreeSWITCH farm with a short wait",
        gates: "A=- B=-/407 C",
        setup: r#"
            flags 2
            xavp_dst "_dsdst_"
            xavp_ctx "_dsctx_"
            ds_ping_interval 20
            ds_probing_threshold 3
            ds_probing_mode 2
            ds_ping_reply_codes "class=2;code=403;code=404;code=407;code=484;class=3"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("0", "4")) {
                    send_reply("404", "No Destination");
                    exit;
                }
                append_hf("X-Attrs: $xavp(_dsdst_=>attrs)\r\n");
                t_set_fr(0, 1200);
                t_on_failure("AGAIN");
                route(OUT);
            }
            failure_route[AGAIN] {
                if (t_is_canceled()) exit;
                if (t_check_status("500") or (t_branch_timeout() and !t_branch_replied())) {
                    ds_mark_dst("ip");
                    if (ds_next_dst()) {
                        t_set_fr(0, 1200);
                        t_on_failure("AGAIN");
                        route(OUT);
                    }
                }
            }
        "#,
        list: "0 sip:{{A}} 0 0 weight=50\n0 sip:{{B}} 0 0 weight=50\n0 sip:{{C}} 0 0\n",
        play: "INVITE 100\nlist\nINVITE 100 x2\ngates C=-\nINVITE 100 cancel",
        ..EMPTY
    },
    Case {
        name: "pings as a request for information",
        kind: "softswitch with FreeSWITCH and a billing database",
        gates: "A=200/404 B=200/480 C=200/403 P=x",
        setup: r#"
            flags 2
            xavp_dst "dsdst"
            xavp_ctx "dscnt"
            setid_pvname "$avp(dsgrp)"
            ds_ping_interval 1
            ds_ping_method "INFO"
            ds_probing_mode 1
            ds_ping_reply_codes "class=2;code=480;code=404"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list("5")) append_hf("X-From: carrier $avp(dsgrp)\r\n");
                if (ds_is_from_list("4")) {
                    append_to_reply("X-Said: group $avp(dsgrp)\r\n");
                    sl_send_reply("200", "From A Switch");
                    exit;
                }
                ds_select_dst("2", "4");
                route(OUT);
            }
        "#,
        list: "# switches\n2 sip:{{A}}\n2 sip:{{B}}\n# calls from them\n4 sip:{{A}}\n# carriers\n5 sip:{{P}}\n\
               2 sip:{{C}}\n",
        play: "pinged ABC\nuntil A=AP B=AP C=IP P=IP\nINVITE 100 x3\nINVITE 100 @P\nINVITE 100 @A",
        ..EMPTY
    },
    Case {
        name: "recorders over TCP",
        kind: "recording farm",
        gates: "A B",
        setup: r#"
            ds_ping_interval 10
            ds_ping_method "OPTIONS"
            ds_probing_threshold 10
            ds_inactive_threshold 10
            ds_ping_latency_stats 1
            ds_probing_mode 1
            tcp
        "#,
        routes: r#"
            request_route {
                if (is_method("INVITE")) {
                    ds_select_dst(1, 4);
                    append_to_reply("X-Said: $rc $du over $(du{uri.transport})\r\n");
                    sl_send_reply("200", "OK");
                    exit;
                }
                ds_select_domain(1, 4);
                append_to_reply("X-Said: $rc $ru\r\n");
                sl_send_reply("200", "OK");
            }
        "#,
        list: "1 sip:{{A}};transport=tcp 0 0\n1 sip:{{B}};transport=tcp 0 0\n",
        play: "INVITE 100 x3\nMESSAGE 100 x3",
        ..EMPTY
    },
    Case {
        name: "latency statistics by the minute",
        kind: "two Asterisk servers, inbound",
        gates: "A B",
        setup: r#"
            ds_ping_interval 60
            ds_ping_latency_stats 60
            ds_latency_estimator_alpha 900
            flags 2
        "#,
        routes: r#"
            request_route {
                route(START);
                if (method == "INVITE") {
                    ds_select_dst(1, 4);
                    route(OUT);
                }
                sl_send_reply("405", "Not Here");
            }
        "#,
        list: "1 sip:{{A}} 0 12 rweight=50;weight=50;cc=1;\n1 sip:{{B}} 0 12 rweight=50;weight=50;cc=1;\n",
        play: "INVITE 100 x3\nMESSAGE 100",
        ..EMPTY
    },
    Case {
        name: "relative weights with congestion control",
        kind: "load balancer by weight and latency",
        gates: "A B",
        setup: r#"
            flags 2
            ds_ping_interval 1
            ds_ping_latency_stats 1
            ds_latency_estimator_alpha 900
        "#,
        routes: r#"
            request_route {
                if (!ds_select_dst("1", "11")) {
                    sl_send_reply("404", "No Destination");
                    exit;
                }
                append_to_reply("X-Said: $du\r\n");
                sl_send_reply("200", "OK");
            }
        "#,
        list: "1 sip:{{A}} 0 12 rweight=50;weight=50;cc=1;\n1 sip:{{B}} 0 12 rweight=50;weight=50;cc=1;\n",
        play: "MESSAGE 100 x100 share\nMESSAGE 100 x100 share",
        ..EMPTY
    },
    Case {
        name: "farm with codes in commas",
        kind: "FreeSWITCH cluster with groups, primary and backup",
        gates: "A B=200/501 C=200/480 D",
        setup: r#"
            flags 2
            use_default 0
            force_dst 1
            hash_pvar "$avp(ds_grp)"
            setid_pvname "$var(ds_setid)"
            attrs_pvname "$var(ds_attrs)"
            ds_ping_method "OPTIONS"
            ds_ping_interval 1
            ds_probing_threshold 3
            ds_probing_mode 1
            ds_ping_reply_codes "501,403,404,400,200"
            ds_ping_from "sip:sipcheck@edge.test"
            xavp_dst "ds_dst"
            xavp_ctx "ds_ctx"
        "#,
        routes: r#"
            request_route {
                route(START);
                $var(rules) = "1=0";
                if (ds_list_exists("2")) $var(rules) = "1=0;2=0";
                ds_select_routes("$var(rules)", "2");
                if ($xavp(ds_ctx=>cnt) == 0) {
                    sl_send_reply("480", "No Server");
                    exit;
                }
                append_hf("X-Way: $xavp(ds_ctx=>cnt) of $xavp(ds_dst=>grp): $xavp(ds_dst=>uri)\r\n");
                ds_set_dst();
                route(OUT);
            }
        "#,
        list: "1 sip:{{A}} 0 0 zone=local\n1 sip:{{B}} 0 0 zone=local\n1 sip:{{C}} 0 0 zone=local\n\
               2 sip:{{D}} 0 0 zone=far\n",
        play: "until A=AP B=IP C=IP D=AP\nINVITE 100 x3\nINVITE 101 from=bob",
        ..EMPTY
    },
    Case {
        name: "shares with and without flags",
        kind: "media farm with relative weights",
        gates: "A B C",
        setup: r#"
            flags 2
            ds_ping_method "OPTIONS"
            ds_probing_threshold 3
            ds_inactive_threshold 10
            ds_probing_mode 3
            ds_ping_interval 1
            ds_ping_reply_codes "501,403,404,400,200"
            ds_ping_from "sip:edge@media.test"
        "#,
        routes: r#"
            request_route {
                if (!ds_select_dst("$rU", "11")) {
                    sl_send_reply("404", "No Destination");
                    exit;
                }
                append_to_reply("X-Said: $du\r\n");
                sl_send_reply("200", "OK");
            }
        "#,
        list: "100 sip:{{A}} 10 rweight=50\n100 sip:{{B}} 10 weight=50;rweight=50\n\
               101 sip:{{A}} 0 10 rweight=50,maxload=80\n101 sip:{{B}} 0 10 weight=50;rweight=50\n\
               101 sip:{{C}} 10 10 rweight=100\n",
        play: "until A=AP,AX B=AP,AX C=AP\nMESSAGE 100 x100 share\nMESSAGE 101 x100 share\nMESSAGE 102",
        ..EMPTY
    },
];

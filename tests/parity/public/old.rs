//! Configs of 3.x and 4.x, with names that later C modules refuse.

use super::case::{Case, EMPTY};

/// Marks what fails, and tries the next one soon.
const MARK_AND_GO_ON: &str = r#"
    request_route {
        route(START);
        if (!ds_select_dst("1", "9")) {
            send_reply("404", "No Unit");
            exit;
        }
        t_set_fr(0, 1200);
        t_on_failure("UNIT");
        route(OUT);
    }
    failure_route[UNIT] {
        if (t_is_canceled()) exit;
        if (t_check_status("500") || t_branch_timeout() || !t_branch_replied()) {
            ds_mark_dst("ip");
            if (ds_next_dst()) {
                t_set_fr(0, 1200);
                t_on_failure("UNIT");
                route(OUT);
            } else {
                send_reply("404", "No Unit Left");
                exit;
            }
        }
    }
"#;

pub const CASES: &[Case] = &[
    Case {
        name: "units of a cluster",
        kind: "Asterisk cluster in containers, 4.2",
        gates: "A=500 B=500/404 C",
        setup: r#"
            flags 2
            dst_avp "$avp(AVP_DST)"
            grp_avp "$avp(AVP_GRP)"
            cnt_avp "$avp(AVP_CNT)"
            ds_probing_mode 1
            ds_ping_interval 15
            ds_probing_threshhold 1
            ds_ping_reply_codes "class=2;class=3;class=4"
        "#,
        routes: MARK_AND_GO_ON,
        list: "# group  sip addresses of your units\n1 sip:{{C}} 0 0 weight=0\n1 sip:{{B}} 0 0 weight=0\n\
               1 sip:{{A}} 0 0 weight=100\n",
        play: "INVITE 100\nlist\nINVITE 100\nREGISTER bob",
        ..EMPTY
    },
    Case {
        name: "everything that there was",
        kind: "Asterisk cluster with all parameters, 4.2",
        gates: "A",
        setup: r#"
            flags 2
            use_default 1
            dst_avp "$avp(dsdst)"
            grp_avp "$avp(dsgrp)"
            cnt_avp "$avp(dscnt)"
            dstid_avp "$avp(dsdstid)"
            attrs_avp "$avp(dsattrs)"
            sock_avp "$avp(dssocket)"
            hash_pvar "$fU@$ci"
            setid_pvname "$var(setid)"
            attrs_pvname "$var(attrs)"
            ds_ping_method "OPTIONS"
            ds_ping_from "sip:dispatcher@kamailio"
            ds_ping_interval 1
            ds_probing_threshold 1
            ds_ping_reply_codes "class=2;code=403;code=404;code=484;code=488;class=3"
            ds_probing_mode 1
            ds_hash_size 10
            ds_hash_expire 3600
            ds_hash_initexpire 60
            ds_hash_check_interval 30
        "#,
        routes: MARK_AND_GO_ON,
        list: "1 sip:{{A}} 0 0 weight=50\n",
        play: "pinged A\nuntil A=AP\nINVITE 100 x2\ngates A=200/503\nuntil A=IP\nINVITE 100\ngates A=200/488\n\
               until A=AP",
        ..EMPTY
    },
    Case {
        name: "next one by Call-ID",
        kind: "small load balancer, 3.3",
        gates: "A=500 B",
        setup: r#"
            force_dst 1
            flags 2
            dst_avp "$avp(i:271)"
            grp_avp "$avp(i:272)"
            cnt_avp "$avp(i:273)"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "0")) {
                    send_reply("404", "No Destination");
                    exit;
                }
                t_on_failure("NEXT");
                route(OUT);
            }
            failure_route[NEXT] {
                if (t_is_canceled()) exit;
                if (t_check_status("500") or (t_branch_timeout() and !t_branch_replied())) {
                    if (ds_next_dst()) {
                        t_on_failure("NEXT");
                        route(OUT);
                    }
                }
            }
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}}\n",
        play: "INVITE 100 x6",
        ..EMPTY
    },
    Case {
        name: "macros for set and choice",
        kind: "class 4 switch, 4.x",
        gates: "A=503/404 B",
        setup: r#"
            flags 2
            dst_avp "$avp(dispatch_dst)"
            grp_avp "$avp(dispatch_grp)"
            cnt_avp "$avp(dispatch_cnt)"
            sock_avp "$avp(dispatch_sock)"
            ds_ping_method "OPTIONS"
            ds_ping_from "sip:ping@edge.test"
            ds_ping_interval 1
            ds_probing_mode 1
            ds_probing_threshold 2
            ds_ping_reply_codes "class=2;code=404"
            global #!substdef "!GRP_ID!1!g"
            global #!substdef "!BALANCE_ALG!4!g"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list("GRP_ID")) {
                    sl_send_reply("202", "From A Node");
                    exit;
                }
                if (ds_select_dst("GRP_ID", "BALANCE_ALG")) {
                    t_on_failure("NODE");
                    route(OUT);
                }
                sl_send_reply("503", "No Node");
            }
            failure_route[NODE] {
                if (t_check_status("408|503")) {
                    if (ds_next_dst()) {
                        t_on_failure("NODE");
                        t_relay();
                        exit;
                    }
                }
            }
        "#,
        list: "# $Id$\n# nodes\n1 sip:{{A}}\n1 sip:{{B}}\n",
        play: "pinged AB\nuntil A=AP B=AP\nINVITE 100 x3\nINVITE 100 @A",
        ..EMPTY
    },
    Case {
        name: "domain and next destination",
        kind: "voice provider, 4.x",
        gates: "A=503 B",
        setup: r#"
            flags 2
            dst_avp "$avp(AVP_DST)"
            grp_avp "$avp(AVP_GRP)"
            cnt_avp "$avp(AVP_CNT)"
            dstid_avp "$avp(dsdstid)"
            ds_hash_size 8
            ds_ping_method "INFO"
            ds_ping_from "sip:voice-proxy01@192.0.2.10"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_domain("1", "4")) {
                    send_reply("404", "No Destination");
                    exit;
                }
                t_on_failure("OTHER");
                route(OUT);
            }
            failure_route[OTHER] {
                if (t_is_canceled()) exit;
                if (!ds_next_dst()) {
                    t_reply("503", "None Left");
                    exit;
                }
                t_on_failure("OTHER");
                t_relay();
            }
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}}\n",
        play: "INVITE 100 x2\ngates B=500\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "sockets beside destinations",
        kind: "SBC with several listeners, 4.4",
        gates: "A B",
        setup: r#"
            flags 2
            dst_avp "$avp(ds_dst)"
            grp_avp "$avp(ds_grp)"
            cnt_avp "$avp(ds_cnt)"
            dstid_avp "$avp(ds_dstid)"
            sock_avp "$avp(ds_socket)"
            attrs_avp "$avp(ds_attrs_dst)"
            ds_hash_size 9
            setid_pvname "$var(ds_setid)"
            ds_default_socket "udp:127.0.0.1:{{PORT}}"
            ds_ping_method "OPTIONS"
            ds_ping_interval 1
            ds_probing_mode 3
            global listen=udp:127.0.0.2:{{PORT}}
        "#,
        routes: r#"
            request_route {
                route(START);
                ds_select_dst("3", "8");
                t_on_failure("NEXT");
                route(OUT);
            }
            failure_route[NEXT] {
                if (ds_next_dst()) t_relay();
            }
        "#,
        list: "3 sip:{{B}};transport=udp 8 0 duid=def\n\
               3 sip:{{A}};transport=udp 8 0 duid=abc;socket=udp:127.0.0.2:{{PORT}};my=xyz\n",
        play: "pinged AB\nuntil A=AP B=AP\nINVITE 100\ngates A=503\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "keepalives with codes",
        kind: "guide to load balancing with a media server, 3.x",
        gates: "A=500/480 B=200/404",
        setup: r#"
            flags 2
            dst_avp "$avp(AVP_DST)"
            grp_avp "$avp(AVP_GRP)"
            cnt_avp "$avp(AVP_CNT)"
            sock_avp "$avp(AVP_SOCK)"
            ds_ping_interval 20
            ds_ping_from "sip:keepalive@pbx.test"
            ds_ping_reply_codes "class=2;code=480;code=404"
            ds_probing_mode 1
            ds_probing_threshhold 1
        "#,
        routes: MARK_AND_GO_ON,
        list: "1 sip:{{B}} 0 0 weight=0\n1 sip:{{A}} 0 0 weight=100\n",
        play: "INVITE 100\nlist\nINVITE 100 x2\nrpc dispatcher.set_state ap 1 sip:{{A}}\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "mark before the choice",
        kind: "SBC before Asterisk, 3.1",
        gates: "A=200/404 B=200/484 C",
        setup: r#"
            setid_col "setid"
            destination_col "destination"
            force_dst 1
            flags 3
            dst_avp "$avp(i:271)"
            cnt_avp "$avp(i:273)"
            ds_ping_from "sip:proxy@192.0.2.1"
            ds_ping_interval 1
            ds_probing_mode 1
            ds_ping_reply_codes "class=2;code=403;code=404;code=484;class=3"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list("1")) {
                    sl_send_reply("202", "From A Box");
                    exit;
                }
                ds_mark_dst("P");
                if (!ds_select_dst("1", "4")) {
                    sl_send_reply("500", "Service Unavailable");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}}\n1 sip:{{C}}\n",
        play: "pinged ABC\nuntil A=AP B=AP C=AP\nINVITE 100 x3\nINVITE 100 @B",
        ..EMPTY
    },
    Case {
        name: "what is probing",
        kind: "gateways with the second flag, 3.2",
        gates: "A=200/503 B C",
        setup: r#"
            flags 2
            dst_avp "$avp(dsdst)"
            grp_avp "$avp(dsgrp)"
            cnt_avp "$avp(dscnt)"
            setid_pvar "$var(setid)"
            ds_ping_interval 1
            ds_probing_mode 1
            ds_probing_threshhold 2
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list()) {
                    append_to_reply("X-Said: $var(setid)\r\n");
                    sl_send_reply("202", "Known");
                    exit;
                }
                if (!ds_select_dst("1", "8")) {
                    send_reply("404", "None");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "1 sip:{{A}} 0 9\n1 sip:{{B}} 0 5\n2 sip:{{C}} 8 0\n",
        play: "pinged ABC\nuntil A=IP B=AP C=AP\nINVITE 100\ngates A=200\nuntil A=AP B=AP C=AP\nINVITE 100\n\
               MESSAGE 100 @C",
        ..EMPTY
    },
    Case {
        name: "second flag on every line",
        kind: "load balancer that redirects, 3.x",
        gates: "A B C",
        setup: r#"
            flags 3
            dst_avp "$avp(i:271)"
            grp_avp "$avp(i:272)"
            cnt_avp "$avp(i:273)"
            ds_ping_method "OPTIONS"
            ds_ping_interval 1
            ds_probing_mode 1
            ds_probing_threshhold 3
        "#,
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
                ds_select_domain("1", "3");
                append_to_reply("Contact: <$ru>\r\nX-Said: $ru\r\n");
                sl_send_reply("302", "Moved Temporarily");
            }
        "#,
        list: "#Load Balance\n1 sip:{{A}} 2\n1 sip:{{B}} 2\n\n#Fail Over\n2 sip:{{C}} 2\n",
        play: "until A=AP B=AP C=AP\nREGISTER bob x3\nMESSAGE 100 x2\nMESSAGE 101\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "failover, guided by pings",
        kind: "load balancer of two gateways, 4.x",
        gates: "A=200/503 B=200/404",
        setup: r#"
            flags 2
            dst_avp "$avp(AVP_DST)"
            grp_avp "$avp(AVP_GRP)"
            cnt_avp "$avp(AVP_CNT)"
            ds_ping_method "OPTIONS"
            ds_ping_interval 1
            ds_probing_mode 1
            ds_probing_threshold 3
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_select_dst("2", "0")) route(OUT);
                send_reply("404", "No Destination");
            }
        "#,
        list: "2 sip:{{A}}\n2 sip:{{B}}\n",
        play: "pinged AB\nINVITE 100 x2\nuntil A=IP B=IP\nINVITE 100\n\
               gates A=200/200 B=200/200\nuntil A=AP B=AP\nINVITE 100 x2\n\
               rpc dispatcher.set_state d 2 sip:{{A}}\nINVITE 100 x2\nrpc dispatcher.set_state ip 2 sip:{{B}}\n\
               until B=AP",
        ..EMPTY
    },
];

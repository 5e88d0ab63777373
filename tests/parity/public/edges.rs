//! Edges: border elements, registrars' proxies, WebRTC, IMS.

use super::case::{Case, EMPTY};
use harness::packaged;

pub const CASES: &[Case] = &[
    Case {
        name: "direct routing",
        kind: "SBC for a conference service over TLS",
        gates: "A",
        setup: r#"
            ds_probing_mode 1
            ds_ping_interval 300
            flags 2
        "#,
        routes: r#"
            request_route {
                if (ds_is_from_list("1", "1")) append_to_reply("X-Said: inbound\r\n");
                if (ds_select_dst("1", "8")) append_to_reply("X-Said: $du by $fs and $xavp(_dsdst_=>attrs)\r\n");
                else append_to_reply("X-Said: none\r\n");
                sl_send_reply("200", "OK");
            }
        "#,
        list: "1 sip:127.0.0.31;transport=tls 0 3 socket=tls:127.0.0.1:5061;ping_from=sip:sbc.pbx.test\n\
               1 sip:127.0.0.32;transport=tls 0 2 socket=tls:127.0.0.1:5061;ping_from=sip:sbc.pbx.test\n\
               1 sip:127.0.0.33;transport=tls 0 1 ping_from=sip:sbc.pbx.test\n",
        play: "rpc dispatcher.set_state a 1 sip:127.0.0.33;transport=tls\nINVITE 100\n\
               rpc dispatcher.set_state d 1 sip:127.0.0.33;transport=tls\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "access list with port and protocol",
        kind: "SBC with FreeSWITCH inside and a carrier outside",
        gates: "A B P=x",
        setup: r#"
            ds_ping_from "sip:proxy@edge.test"
            ds_ping_interval 30
            ds_probing_mode 1
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list("1", "3")) append_to_reply("X-Said: inside\r\n");
                else if (ds_is_from_list("2", "3")) append_to_reply("X-Said: carrier\r\n");
                else if (ds_is_from_list('2')) append_to_reply("X-Said: address of a carrier\r\n");
                else if (ds_is_from_list()) append_to_reply("X-Said: somebody of the list\r\n");
                else append_to_reply("X-Said: phone\r\n");
                sl_send_reply("200", "OK");
            }
        "#,
        list: "1 sip:{{A}}      # inside\n2 sip:{{P}}  # outside\n",
        play: "INVITE 100 @P!\nINVITE 100 @P\nINVITE 100 @A\nINVITE 100\nREGISTER bob @B",
        ..EMPTY
    },
    Case {
        name: "proxy of a core",
        kind: "IMS, P-CSCF with SBCs",
        gates: "A=503 B P=x",
        setup: r#"
            flags 2
            force_dst 1
            ds_ping_interval 15
            ds_probing_mode 1
        "#,
        routes: r#"
            #!define SBC_SET "2"
            request_route {
                route(START);
                if (is_method("REGISTER") && !ds_is_from_list()) {
                    sl_send_reply("401", "Who Are You");
                    exit;
                }
                if (!has_totag() && (src_ip != myself) && !ds_is_from_list(SBC_SET)) append_hf("X-Nat: yes\r\n");
                $du = "sip:127.0.0.9:9";
                if (!ds_select_dst(SBC_SET, "4")) {
                    send_reply("503", "No SBC");
                    exit;
                }
                t_on_failure("SBC");
                route(OUT);
            }
            failure_route[SBC] {
                if (t_check_status("408|5[0-9][0-9]") && ds_next_dst()) {
                    t_on_failure("SBC");
                    t_relay();
                    exit;
                }
            }
            onreply_route {
                if (is_reply() && !ds_is_from_list()) xlog("note: a stranger answers\n");
            }
        "#,
        list: "# interconnect\n2 sip:{{A}}\n2 sip:{{B}}\n3 sip:{{P}}\n",
        play: "INVITE 100 x3\nREGISTER bob\nREGISTER bob @P!\nSUBSCRIBE bob @A",
        ..EMPTY
    },
    Case {
        name: "domain of a gateway",
        kind: "IMS, S-CSCF with interconnection gateways",
        gates: "A=500 B C=404",
        setup: r#"
            flags 2
            ds_ping_interval 15
            ds_probing_mode 1
            ds_ping_reply_codes "class=2;code=404;code=480"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_domain("1", "4")) {
                    sl_send_reply("503", "No Gateway");
                    exit;
                }
                append_hf("X-Uri: $ru, $du\r\n");
                t_on_failure("PSTN");
                route(OUT);
            }
            failure_route[PSTN] {
                if (t_check_status("408|5[0-9][0-9]")) {
                    if (ds_next_domain()) {
                        append_hf("X-Uri: $ru, $du\r\n");
                        t_on_failure("PSTN");
                        t_relay();
                        exit;
                    }
                    t_reply("504", "Nobody");
                }
            }
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}}\n1 sip:{{C}}\n",
        play: "INVITE 100 x4\nINVITE +4930@pbx.test;user=phone\ngates B=500 C=503\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "nobody in the list",
        kind: "IMS, P-CSCF without SBCs",
        gates: "A",
        setup: "flags 2\nforce_dst 1\n",
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list()) append_to_reply("X-Said: from the list\r\n");
                if (!ds_select_dst("1", "4")) {
                    send_reply("480", "Empty");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "# interconnect\n#1 sip:sbc-1.core.test\n\n",
        play: "INVITE 100\nrpc dispatcher.add 1 sip:{{A}}\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "names of sockets",
        kind: "edge with two networks",
        gates: "A B C",
        setup: r#"
            flags 2
            ds_probing_mode 1
            ds_ping_method "OPTIONS"
            ds_ping_interval 1
            ds_probing_threshold 1
            ds_inactive_threshold 2
            ds_timer_mode 1
            global listen=udp:127.0.0.2:{{PORT}} name "leased"
            global listen=udp:127.0.0.3:{{PORT}} name "other"
        "#,
        routes: r#"
            request_route {
                route(START);
                ds_select_dst("1000", "8");
                append_hf("X-By: $xavp(_dsdst_=>sockname) $xavp(_dsdst_=>socket)\r\n");
                t_on_failure("NEXT");
                route(OUT);
            }
            failure_route[NEXT] {
                if (ds_next_dst()) {
                    t_on_failure("NEXT");
                    t_relay();
                }
            }
        "#,
        list: "1000 sip:{{A}} 0 3 weight=100;sockname=leased;\n1000 sip:{{B}} 0 2 sockname=nosuch\n\
               1000 sip:{{C}} 0 1 socket=udp:127.0.0.3:{{PORT}};sockname=leased\n",
        play: "pinged AC\nINVITE 100\ngates A=500\nINVITE 100",
        ..EMPTY
    },
    Case {
        name: "one gateway by two sockets",
        kind: "active and standby address",
        gates: "A B=x",
        setup: r#"
            flags 2
            ds_ping_interval 60
            global listen=udp:127.0.0.2:{{PORT}}
        "#,
        routes: r#"
            request_route {
                route(START);
                ds_select_dst("2", "4");
                append_hf("X-By: $xavp(_dsdst_=>attrs)\r\n");
                route(OUT);
            }
        "#,
        list: "2 sip:{{A}} 0 0 duid=MG03;socket=127.0.0.1:{{PORT}}\n\
               2 sip:{{A}} 0 0 duid=MG02;socket=udp:127.0.0.2:{{PORT}}\n",
        play: "INVITE 100 x4",
        ..EMPTY
    },
    Case {
        name: "sockets of the list and of the module",
        kind: "SBC with several listeners",
        gates: "A B C=x",
        setup: r#"
            flags 2
            ds_hash_size 9
            setid_pvname "$var(ds_setid)"
            attrs_pvname "$avp(ds_attrs_from)"
            ds_default_socket "udp:127.0.0.3:{{PORT}}"
            ds_ping_method "OPTIONS"
            ds_ping_interval 1
            ds_probing_mode 3
            global listen=udp:127.0.0.2:{{PORT}}
            global listen=udp:127.0.0.3:{{PORT}}
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list()) {
                    append_to_reply("X-Said: $var(ds_setid) $avp(ds_attrs_from)\r\n");
                    sl_send_reply("200", "OK");
                    exit;
                }
                if (!ds_select_dst("3", "4")) {
                    sl_send_reply("404", "None");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "3 sip:{{A}};transport=udp 8 0 duid=abc;socket=udp:127.0.0.2:{{PORT}};my=xyz\n\
               3 sip:{{B}};transport=udp 8 0 duid=def\n4 sip:{{C}} 0 0 duid=ghi;my=uvw\n",
        play: "pinged AB\nINVITE 100 x2\nMESSAGE 100 @C!\nMESSAGE 100 @A",
        ..EMPTY
    },
    Case {
        name: "a name for each ping",
        kind: "trunks that want their own From",
        gates: "A B C",
        setup: r#"
            flags 2
            ds_ping_interval 1
            ds_probing_mode 1
            ds_ping_from "sip:us@edge.test"
        "#,
        routes: "request_route { sl_send_reply(\"404\", \"Not Here\"); }",
        list: "1 sip:{{A}} 0 1 ping_from=sip.custom.test\n\
               1 sip:{{B}} 0 1 ping_from=sip:27@domain.test;socket=udp:127.0.0.1:{{PORT}}\n1 sip:{{C}} 0 1\n",
        play: "pinged ABC\nuntil A=AP B=AP C=AP",
        ..EMPTY
    },
    Case {
        name: "pings through a proxy",
        kind: "edge behind another proxy",
        gates: "A B P",
        setup: r#"
            ds_ping_interval 1
            ds_probing_mode 1
            outbound_proxy "sip:{{P}}"
        "#,
        routes: r#"
            request_route {
                route(START);
                ds_select_dst("1", "4");
                route(OUT);
            }
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}} 0 0 obproxy=sip:{{A}}\n",
        play: "pinged AP\nuntil A=AP B=AP\nINVITE 100 x2",
        ..EMPTY
    },
    Case {
        name: "both families",
        kind: "dual stack edge",
        gates: "A B6 C6",
        setup: "flags 2\nipv6\n",
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list("6", "1")) append_hf("X-From: six\r\n");
                $var(set) = 4;
                if ($rU == "six") $var(set) = 6;
                if (!ds_select_dst("$var(set)", "4")) {
                    sl_send_reply("404", "None");
                    exit;
                }
                append_hf("X-Way: $du\r\n");
                route(OUT);
            }
        "#,
        list: "4 sip:{{A}}\n6 sip:{{B}} 0 2\n6 sip:{{C}};transport=udp 0 1\n",
        play: "INVITE four\nINVITE six x3",
        ..EMPTY
    },
    Case {
        name: "strip and prefix",
        kind: "gateways with attributes for the script",
        gates: "A B C",
        setup: r#"
            flags 2
            ds_attrs_none 1
            xavp_dst_mode 0
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list('2')) append_hf("X-From: proxy\r\n");
                if (!ds_select_dst("2", "8")) {
                    if (!ds_select_dst("1", "4")) sl_send_reply("404", "None");
                }
                $var(strip) = $(xavp(_dsdst_=>attrs){param.value,strip}{s.int});
                $var(digits) = $(rU{s.substr,$var(strip),0});
                $rU = $(xavp(_dsdst_=>attrs){param.value,prefix}) + $var(digits);
                append_hf("X-Class: $(xavp(_dsdst_=>attrs){param.value,class}) of $xavp(_dsdst_=>attrs)\r\n");
                route(OUT);
            }
        "#,
        list: "# proxies\n2 sip:{{A}};transport=udp 0 10 class=4;prefix=448;strip=2\n\
               # 2 sip:127.0.0.1:5082;px=vx 0 5 duid=abc;socket=udp:x.x.x.x:5060;pipe=p10\n\n\
               # gateways\n1 sip:{{B}} 0 0 duid=xyz;maxload=20\n1 sip:{{C}} 0 5\n",
        play: "INVITE 00123\nrpc dispatcher.set_state i 2 sip:{{A}};transport=udp\nINVITE 00123 x2",
        ..EMPTY
    },
    Case {
        name: "redirects",
        kind: "redirect server",
        gates: "A=302 B P=x",
        setup: r#"
            flags 2
            ds_probing_mode 1
            ds_ping_interval 15
            ds_probing_threshold 1
            ds_ping_from "sip:redirect@192.0.2.7"
            attrs_pvname "$var(attrs)"
        "#,
        routes: r#"
            request_route {
                route(START);
                if (ds_is_from_list()) {
                    append_to_reply("X-Said: $var(attrs)\r\n");
                    if ($(var(attrs){param.value,forward}) == "1") sl_send_reply("202", "Forward");
                    else sl_send_reply("403", "No");
                    exit;
                }
                if (!ds_select_dst("1", "2")) {
                    send_reply("404", "No Destination");
                    exit;
                }
                t_on_failure("NEXT");
                route(OUT);
            }
            failure_route[NEXT] {
                if (t_check_status("3[0-9][0-9]|5[0-9][0-9]") && ds_next_dst()) {
                    t_on_failure("NEXT");
                    route(OUT);
                }
            }
        "#,
        list: "1 sip:{{P}} 1 2 delname=1;forward=1\n1 sip:{{A}} 0 2\n1 sip:{{B}} 0 2 forward=0\n",
        play: "INVITE 100 @P!\nINVITE 100 @P\nINVITE 100 to=ann\nINVITE 100 to=bob\nINVITE 100 to=cid\n\
               INVITE 100 to=dan",
        ..EMPTY
    },
    Case {
        name: "list from nowhere",
        kind: "edge whose destinations come by RPC",
        gates: "A=200/503",
        setup: "list_file \"/dev/null\"\nds_ping_interval 1\nds_probing_mode 1\nds_probing_threshold 1\n",
        routes: r#"
            request_route {
                route(START);
                if (!ds_select_dst("1", "4")) {
                    send_reply("480", "Empty");
                    exit;
                }
                route(OUT);
            }
        "#,
        list: "none",
        play: "INVITE 100\nrpc dispatcher.add 1 sip:{{A}} 8\nuntil A=IP\nINVITE 100\n\
               gates A=200\nuntil A=AP\nINVITE 100",
        // 5.4 does not survive dispatcher.list of no sets.
        if_c: packaged::lists_can_be_compared,
        ..EMPTY
    },
    Case {
        name: "From with an underscore",
        kind: "docker-compose example with names of services",
        gates: "A",
        setup: "ds_ping_interval 1\nds_probing_mode 1\nds_ping_from \"sip:ping@sip_proxy\"\n",
        routes: "request_route { sl_send_reply(\"404\", \"Not Here\"); }",
        list: "1 sip:{{A}}\n",
        play: "pinged A\nuntil A=AP",
        ..EMPTY
    },
    Case {
        name: "From in brackets",
        kind: "guide of a provider",
        gates: "A",
        setup: "ds_ping_interval 1\nds_probing_mode 1\nds_ping_from \"<sip:ping@192.0.2.1>\"\n",
        routes: "request_route { sl_send_reply(\"404\", \"Not Here\"); }",
        list: "1 sip:{{A}}\n",
        play: "pinged A\nuntil A=AP",
        ..EMPTY
    },
];

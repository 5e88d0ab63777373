//! Routes in Lua, Python and JavaScript.

use super::case::{Case, EMPTY};

pub const CASES: &[Case] = &[
    Case {
        name: "inbound and outbound in Lua",
        kind: "SBC with routes in Lua",
        gates: "A=503 B P=x",
        setup: "flags 2\nds_ping_interval 30\nds_probing_mode 1\n",
        routes: r#"
            loadmodule "app_lua.so"
            modparam("app_lua", "load", "{{DIR}}/routes.lua")
            cfgengine "lua"
        "#,
        list: "100 sip:{{P}}\n1 sip:{{A}}\n1 sip:{{B}}\n",
        files: &[(
            "routes.lua",
            r#"
function ksr_request_route()
    if KSR.siputils.has_totag() > 0 then
        KSR.rr.loose_route()
        KSR.tm.t_relay()
        return 1
    end
    if KSR.is_INVITE() then KSR.rr.record_route() end
    if KSR.dispatcher.ds_is_from_list("100") > 0 then
        KSR.sl.sl_send_reply(404, "Local")
        return 1
    end
    KSR.hdr.append("X-List: " .. KSR.dispatcher.ds_is_from_list_mode(-1, 3) .. "\r\n")
    if KSR.dispatcher.ds_select_dst(1, 4) < 0 then
        KSR.sl.send_reply(503, "None")
        return 1
    end
    KSR.tm.t_on_failure("ksr_next")
    KSR.tm.t_relay()
    return 1
end

function ksr_next()
    if KSR.tm.t_is_canceled() > 0 then return 1 end
    if KSR.tm.t_check_status("408|5[0-9][0-9]") > 0 then
        local marked = KSR.dispatcher.ds_mark_dst_state("ip")
        local rc = KSR.dispatcher.ds_next_dst()
        KSR.hdr.append("X-Rc: " .. marked .. " " .. rc .. "\r\n")
        if rc > 0 then
            KSR.tm.t_on_failure("ksr_next")
            KSR.tm.t_relay()
        end
    end
    return 1
end
"#,
        )],
        play: "INVITE 100 x2\nlist\nINVITE 100\nINVITE 100 @P\nREGISTER bob",
        ..EMPTY
    },
    Case {
        name: "everything is a string in Lua",
        kind: "proxy whose script passes strings",
        gates: "A B P=x",
        setup: "flags 2\n",
        routes: r#"
            loadmodule "app_lua.so"
            modparam("app_lua", "load", "{{DIR}}/routes.lua")
            cfgengine "lua"
        "#,
        list: "1 sip:{{A}}\n2 sip:{{B}}\n",
        files: &[(
            "routes.lua",
            r#"
function ksr_request_route()
    local from = KSR.dispatcher.ds_is_from_list("-1", "2")
    local one = KSR.dispatcher.ds_is_from_list("1", 3)
    local rc = KSR.dispatcher.ds_select_domain("1", "0")
    KSR.hdr.append_to_reply("X-Said: " .. tostring(from) .. " " .. tostring(one) .. " " .. tostring(rc) .. "\r\n")
    KSR.sl.sl_send_reply(200, "OK")
    return 1
end
"#,
        )],
        play: "INVITE 100\nINVITE 100 @A\nINVITE 100 @P",
        ..EMPTY
    },
    Case {
        name: "set zero in Python",
        kind: "WebRTC gateway with routes in Python",
        gates: "A B",
        setup: "flags 2\nds_ping_interval 30\n",
        routes: r#"
            loadmodule "app_python3.so"
            modparam("app_python3", "load", "{{DIR}}/routes.py")
            cfgengine "python"
        "#,
        list: "0 sip:{{A}}\n0 sip:{{B}}\n",
        files: &[(
            "routes.py",
            r#"
import KSR as KSR

def mod_init():
    return kamailio()

class kamailio:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        if KSR.siputils.has_totag() > 0:
            KSR.rr.loose_route()
            KSR.tm.t_relay()
            return 1
        KSR.rr.record_route()
        rc = KSR.dispatcher.ds_select_dst(0, 3)
        KSR.hdr.append("X-Rc: %d %s\r\n" % (rc, KSR.pv.gete("$du")))
        KSR.tm.t_relay()
        return 1
"#,
        )],
        play: "INVITE 100\nINVITE 101\nINVITE 102\nREGISTER bob",
        ..EMPTY
    },
    Case {
        name: "next destination in JavaScript",
        kind: "proxy with routes in JavaScript",
        gates: "A=500 B",
        setup: "flags 2\nxavp_dst \"_dsdst_\"\nxavp_ctx \"_dsctx_\"\n",
        routes: r#"
            loadmodule "app_jsdt.so"
            modparam("app_jsdt", "load", "{{DIR}}/routes.js")
            cfgengine "jsdt"
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}}\n",
        files: &[(
            "routes.js",
            r#"
function ksr_request_route() {
    if (KSR.siputils.has_totag() > 0) {
        KSR.rr.loose_route();
        KSR.tm.t_relay();
        return;
    }
    KSR.rr.record_route();
    if (KSR.dispatcher.ds_is_from_lists() > 0) {
        KSR.sl.sl_send_reply(202, "Known");
        return;
    }
    if (KSR.dispatcher.ds_select_dst(1, 4) < 0) {
        KSR.sl.sl_send_reply(404, "None");
        return;
    }
    KSR.tm.t_on_failure("next_one");
    KSR.tm.t_relay();
}

function next_one() {
    if (KSR.tm.t_check_status("500") > 0 && KSR.dispatcher.ds_next_dst() > 0) {
        KSR.tm.t_on_failure("next_one");
        KSR.tm.t_relay();
    }
}
"#,
        )],
        play: "INVITE 100 x3\nINVITE 100 @B",
        ..EMPTY
    },
    Case {
        name: "events in Lua",
        kind: "monitored farm with routes in Lua",
        gates: "A=200/503 B",
        setup: r#"
            flags 2
            ds_ping_interval 1
            ds_probing_threshold 2
            ds_probing_mode 1
            event_callback "ksr_dispatcher_event"
        "#,
        routes: r#"
            loadmodule "app_lua.so"
            modparam("app_lua", "load", "{{DIR}}/routes.lua")
            cfgengine "lua"
        "#,
        list: "1 sip:{{A}}\n1 sip:{{B}}\n",
        files: &[(
            "routes.lua",
            r#"
function ksr_request_route()
    KSR.sl.sl_send_reply(404, "Not Here")
    return 1
end

function ksr_dispatcher_event(event)
    KSR.notice("note: " .. event .. " " .. KSR.pv.gete("$ru") .. "\n")
    return 1
end
"#,
        )],
        play: "until A=IP B=AP\nlogged 1 dst-down\ngates A=200\nuntil A=AP B=AP\nlogged 1 dst-up",
        ..EMPTY
    },
];

//! The mode as scripts see it: one record, the count, AVPs, KEMI.

use super::{ON_DEMAND, on_demand, run, start};
use harness::{Config, Kamailio, Module, Probe, Request, Uac, this_server};

const LIST: &str = "\
1 sip:127.0.0.1:7001 0 9 duid=one
1 sip:127.0.0.1:7002 1 8
1 sip:127.0.0.1:7003 0 7 x=y
2 sip:127.0.0.1:7010
";

#[test]
fn there_is_one_record_and_the_count_is_the_most() {
    let routes = r#"ds_select_routes("1=8;2=8", "d");"#;
    let few = r#"ds_select_routes("1=8;2=8", "d", "2");"#;
    let server = on_demand(
        Probe::new()
            .op("r", routes)
            .op("few", few)
            .config()
            .list(LIST),
    );
    for (select, most) in [
        ("dst,1,8", 3),
        ("sel,1,8", 3),
        ("dst3,1,8,2", 2),
        ("dst3,1,8,1", 1),
        ("dst3,1,8,9", 3),
        ("dst,2,8", 1),
        ("r", 4),
        ("few", 3),
    ] {
        let said = run(&server, &format!("{select}|dump"));
        assert!(said[0].ends_with(&format!(" cnt={most}")), "{said:?}");
        assert_eq!(said.len(), 2, "{said:?}");
    }
    let said = run(&server, "dst,1,8|nextdst|dump|nextdst|dump");
    assert_eq!(
        said[2],
        "x sip:127.0.0.1:7003 1 a=x=y id=<null> s=<null> n=<null>"
    );
    assert!(said[3].contains(" rc=-1 "), "{said:?}");
    assert_eq!(said.len(), 4, "nothing is left behind: {said:?}");
}

#[test]
fn marks_concern_the_current_one() {
    let server = on_demand(Probe::new().config().list(LIST));
    let said = run(&server, "dst,1,8|nextdst|mark_ip|nextdst|mark_ip");
    assert!(said[2].contains(" rc=1 "), "{said:?}");
    assert!(said[4].contains(" rc=-1 "), "nothing is current: {said:?}");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7003"), "IP");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7001"), "AX");
    server.expect_log("nothing was selected that could be marked");
}

#[test]
fn without_failover_nothing_changes() {
    let config = Probe::new().config().list(LIST);
    let config = config.param("xavp_dst_mode", ON_DEMAND);
    let server = Kamailio::start(Module::Rust, config.allow_log("failover support disabled"));
    let said = run(&server, "dst,1,8|dump|nextdst");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].ends_with(" cnt=0") && said[1].contains(" rc=-1 "),
        "{said:?}"
    );
}

/// A record whose field a script has changed is the last one.
#[test]
fn a_trail_that_was_changed_leads_nowhere() {
    let probe = Probe::new()
        .op("spoil", r#"$xavp(_dsdst_[0]=>trail) = "!";"#)
        .op("cut", r#"$xavp(_dsdst_[0]=>trail) = "";"#)
        .op("other", r#"$xavp(_dsdst_[0]=>trail) = "ADB9999DB9999D";"#);
    let server = on_demand(probe.config().list(LIST));
    for op in ["spoil", "cut", "other"] {
        let said = run(&server, &format!("dst,1,8|{op}|nextdst|nextdst|dump"));
        assert!(said[3].contains(" rc=-1 "), "{said:?}");
        assert_eq!(said.len(), 4, "{said:?}");
    }
}

/// A config whose operation `avps` shows three values of each AVP.
fn avps(config: fn(Probe) -> Config) -> Config {
    let values = |name: &str| {
        let value = |n| format!("[$(avp({name})[{n}])]");
        [0, 1, 2].map(value).concat()
    };
    let names = ["dst", "grp", "cnt", "id", "attrs"];
    let shown: Vec<String> = names.iter().map(|name| values(name)).collect();
    let show = format!(
        "$var(out) = $var(out) + $_s(A {}) + \"\\n\";",
        shown.join(" ")
    );
    let params = ["dst_avp", "grp_avp", "cnt_avp", "dstid_avp", "attrs_avp"];
    let config = config(Probe::new().op("avps", &show)).param("compat", "5.6");
    let pairs = params.into_iter().zip(names);
    pairs.fold(config, |config, (param, name)| {
        config.param(param, format!("$avp({name})"))
    })
}

#[test]
fn avps_follow_the_current_one() {
    let server = on_demand(avps(|probe| probe.config().list(LIST)));
    let said = run(&server, "dst,1,8|avps|nextdst|avps|nextdst|avps");
    let shown: Vec<&String> = said.iter().filter(|line| line.starts_with("A ")).collect();
    let of = |dst: &str, id: &str, attrs: &str| {
        format!(
            "A {dst}[<null>][<null>] [1][<null>][<null>] [3][<null>][<null>] \
             {id}[<null>][<null>] {attrs}[<null>][<null>]"
        )
    };
    assert_eq!(*shown[0], of("[sip:127.0.0.1:7001]", "[one]", "[duid=one]"));
    assert_eq!(*shown[1], of("[sip:127.0.0.1:7003]", "[]", "[x=y]"));
    assert_eq!(*shown[2], of("[<null>]", "[<null>]", "[<null>]"));
}

/// KEMI scripts go on as native ones do.
#[test]
fn lua_scripts_go_on() {
    if this_server::lacks_c_module() {
        return;
    }
    let script = r#"
function ksr_request_route()
    local out = ""
    for call in string.gmatch(KSR.pv.gete("$rb"), "[^|]+") do
        local rc = loadstring("return KSR.dispatcher." .. call)()
        out = out .. rc .. " " .. string.sub(KSR.pv.gete("$du"), -4) .. "|"
    end
    KSR.hdr.append_to_reply("X-Out: " .. out .. KSR.pv.gete("$ru") .. "\r\n")
    KSR.sl.sl_send_reply(200, "OK")
end
"#;
    let config = || {
        Config::routes("cfgengine \"lua\"")
            .load("app_lua.so")
            .modparam("app_lua", "load", "{{DIR}}/script.lua")
            .file("script.lua", script)
            .list(LIST)
    };
    let ask = |server: &Kamailio, calls: &str| {
        let request = Request::new("OPTIONS", "sip:callee@service.test").body(calls);
        Uac::new().request(server.addr(), &request).text("X-Out")
    };
    let list = start(Module::C, config(), 0);
    let demand = on_demand(config());
    for calls in [
        "ds_select_dst(1, 8)|ds_next_dst()|ds_set_dst()|ds_next_dst()",
        "ds_select_domain_limit(1, 8, 2)|ds_next_domain()|ds_set_domain()|ds_next_domain()",
        "ds_select_routes('1=8;2=8', 'd')|ds_next_dst()|ds_next_dst()|ds_next_dst()",
        "ds_select_limit(1, 8, 1)|ds_set_dst()|ds_next_dst()",
    ] {
        assert_eq!(ask(&list, calls), ask(&demand, calls), "{calls}");
    }
    let said = ask(&demand, "ds_select_dst(1, 8)|ds_next_dst()|ds_next_dst()");
    assert_eq!(said, "1 7001|1 7003|-1 7003|sip:callee@service.test");
}

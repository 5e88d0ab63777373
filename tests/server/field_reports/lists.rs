//! Lists: what comes of their lines, and what changes of them leave alone.

use serde_json::json;

use harness::{Config, Kamailio, Module, Probe, Request, Uac, fails_to_start};

/// 2d7f748ef6: an IPv6 address while the server leaves IPv6 out is not dropped in silence.
#[test]
fn an_ipv6_address_that_is_left_out_is_named() {
    let list = "1 sip:127.0.0.1:7001\n1 sip:[::1]:7002\n";
    let config = Probe::new().config().list(list).global("dns_try_ipv6=no");
    let server = Kamailio::start(Module::Rust, config.clone().expect_log("[::1]"));
    assert_eq!(server.ports(1), ["7001"]);
    let said = server.jsonrpc("dispatcher.check", json!([])).unwrap();
    assert_eq!(said["REJECTED"], 1, "{said}");
    let log = fails_to_start(Module::Rust, config.param("ds_load_mode", 1));
    assert!(log.contains("line 2") && log.contains("[::1]"), "{log}");
}

/// 27fdee6b47: only the whole word `all` means all.
#[test]
fn what_begins_with_all_is_an_address() {
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n";
    let server = Kamailio::start(Module::Rust, Probe::new().config().list(list));
    for address in ["allx", "al", "all;", "sip:all"] {
        let set = server.kamcmd(&["dispatcher.set_state", "d", "1", address]);
        let fault = set.unwrap_err().text;
        let expected =
            format!("State Update Failed: set 1, {address}: no such destination in the set");
        assert_eq!(fault, expected);
    }
    let flags = |server: &Kamailio| server.dests(1).into_iter().map(|(_, flags)| flags);
    assert!(flags(&server).all(|flags| flags == "AX"));
    server
        .kamcmd(&["dispatcher.set_state", "d", "1", "all"])
        .unwrap();
    assert!(flags(&server).all(|flags| flags == "DX"));
}

/// fcabdc012d, 2945ba448c: the codes of `ds_list_exists` tell of the set alone, whatever the states
/// in it.
#[test]
fn a_set_exists_whatever_its_states() {
    let list = "1 sip:127.0.0.1:7001 4\n2 sip:127.0.0.1:7002 1\n";
    let probe = Probe::new().op("word", "ds_list_exists(\"$hdr(X-Nothing)\");");
    let server = Kamailio::start(Module::Rust, probe.config().list(list).allow_log("the set"));
    let code = |question: &str| {
        let lines = Probe::run(&Uac::new(), server.addr(), question);
        let code = lines
            .last()
            .unwrap()
            .split(" rc=")
            .nth(1)
            .unwrap()
            .to_owned();
        code.split(' ').next().unwrap().to_owned()
    };
    for name in ["exists", "exist"] {
        let codes = ["1", "2", "3"].map(|set| code(&format!("{name},{set}")));
        assert_eq!(codes, ["1", "1", "-1"], "{name}");
    }
    assert_eq!(code("word"), "-2", "a bad argument");
}

/// fc366962cf: list flag 8 is there at once when the server pings, in every version's way.
#[test]
fn flag_8_of_the_list_is_there_at_once() {
    for compat in ["5.6", "6.1"] {
        let config = Config::routes("request_route { exit; }")
            .list("1 sip:127.0.0.1:7001 8\n")
            .param("compat", compat)
            .param("ds_ping_interval", 3600);
        let server = Kamailio::start(Module::Rust, config);
        assert_eq!(server.flags(1, "sip:127.0.0.1:7001"), "AP", "{compat}");
        server
            .kamcmd(&["dispatcher.add", "1", "sip:127.0.0.1:7002", "8"])
            .unwrap();
        assert_eq!(server.flags(1, "sip:127.0.0.1:7002"), "AP", "{compat}");
    }
}

const OVERLOAD: &str = r#"
request_route {
    if (is_method("PUBLISH")) {
        ds_oc_set_attrs("1", "sip:127.0.0.1:7001", "40", "60000", "7");
    }
    send_reply("200", "OK");
}
"#;

/// 77eaba1791: what a destination reported of its load outlives changes of the list around it.
#[test]
fn a_report_of_load_survives_changes_of_the_list() {
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n";
    let server = Kamailio::start(Module::Rust, Config::routes(OVERLOAD).list(list));
    let publish = Request::new("PUBLISH", "sip:callee@service.test");
    assert_eq!(
        Uac::new().request(server.addr(), &publish).status(),
        Some(200)
    );
    let reported = || {
        let list = server.jsonrpc("dispatcher.oclist", json!([1])).unwrap();
        let dests = list.as_array().unwrap().clone();
        let found = dests
            .into_iter()
            .find(|dest| dest["uri"] == "sip:127.0.0.1:7001");
        let found = found.unwrap();
        (found["ocrate"].clone(), found["ocseq"].clone())
    };
    assert_eq!(reported(), (json!(40), json!(7)));
    let changes: [&[&str]; 4] = [
        &["dispatcher.add", "1", "sip:127.0.0.1:7003"],
        &["dispatcher.remove", "1", "sip:127.0.0.1:7002"],
        &[
            "dispatcher.modify",
            "1",
            "sip:127.0.0.1:7001",
            "priority",
            "3",
        ],
        &["dispatcher.reload"],
    ];
    for change in changes {
        server.kamcmd(change).unwrap();
        assert_eq!(reported(), (json!(40), json!(7)), "{change:?}");
    }
}

//! Probing: what pings find stays with whom it is of, and is not found where nobody pings.

use std::time::Duration;

use serde_json::json;

use harness::{Config, Crowd, Kamailio, Module, Step, patience, wait_for};

fn pinging() -> Config {
    let timeout = patience(6).as_millis() / 10;
    Config::routes("request_route { exit; }")
        .list("")
        .param("ds_ping_interval", 1)
        .modparam("tm", "fr_timer", i64::try_from(timeout).unwrap())
}

fn becomes(server: &Kamailio, uri: &str, flags: &str) {
    let lister = server.lister();
    wait_for(&format!("{uri} is {flags}"), patience(8), || {
        (lister.flags_of(uri) == flags).then_some(())
    });
}

/// 512c5f51bb, #4212: without pings nothing says that it is probed with 6.1, neither from the list nor
/// by `dispatcher.add`; with 5.6 the flag stays, and `PINGED` says why nothing comes of it.
#[test]
fn without_tm_an_added_destination_is_not_shown_as_probed() {
    let text = r#"
debug=2
log_stderror=yes
children=1
auto_aliases=no
{{LISTEN}}
mpath="{{MPATH}}"
loadmodule "sl.so"
loadmodule "ctl.so"
loadmodule "jsonrpcs.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{{DIR}}/rpc")
modparam("dispatcher", "list_file", "{{LIST}}")
modparam("dispatcher", "compat", "{{COMPAT}}")
request_route { exit; }
"#;
    for (compat, flags) in [("5.6", "AP"), ("6.1", "AX")] {
        let config = Config::raw(text)
            .define("COMPAT", compat)
            .list("1 sip:127.0.0.1:7001 8\n")
            .allow_log("disabling probing");
        let server = Kamailio::start(Module::Rust, config);
        server
            .kamcmd(&["dispatcher.add", "1", "sip:127.0.0.1:7002", "8"])
            .unwrap();
        for uri in ["sip:127.0.0.1:7001", "sip:127.0.0.1:7002"] {
            assert_eq!(server.flags(1, uri), flags, "{compat}: {uri}");
        }
    }
}

/// 2a1a65dba7: figures of pings outlive an add and a remove.
#[test]
fn latency_survives_an_add_and_a_remove() {
    let crowd = Crowd::start();
    crowd.script("slow", &[Step::Late(200, Duration::from_millis(80))]);
    let config = pinging()
        .param("ds_probing_mode", 1)
        .param("ds_ping_latency_stats", 1);
    let server = Kamailio::start(Module::Rust, config);
    crowd.load(
        &server,
        &format!("1 {}\n1 {}\n", crowd.uri("slow"), crowd.uri("other")),
    );
    crowd.wait_count("slow", 3, patience(10));
    // Pings go on meanwhile, so only a floor can be known; a lost history begins with none.
    let measured = || {
        let list = server.jsonrpc("dispatcher.list", json!(["full"])).unwrap();
        let targets = list["RECORDS"][0]["SET"]["TARGETS"].clone();
        let dests = targets.as_array().unwrap().clone().into_iter();
        let slow = dests.map(|target| target["DEST"].clone());
        let slow = slow
            .into_iter()
            .find(|dest| dest["URI"] == crowd.uri("slow"));
        slow.unwrap()["LATENCY"]["MAX"].as_i64().unwrap()
    };
    assert!(measured() >= 80);
    server
        .kamcmd(&["dispatcher.add", "1", "sip:127.0.0.1:7003"])
        .unwrap();
    assert!(measured() >= 80, "after an add");
    server
        .kamcmd(&["dispatcher.remove", "1", &crowd.uri("other")])
        .unwrap();
    assert!(measured() >= 80, "after a remove");
}

/// 429fea8069: in mode 3 a reply that comes after the list has taken the probing flag away does
/// not bring it back.
#[test]
fn a_late_reply_does_not_bring_probing_back() {
    let crowd = Crowd::start();
    crowd.script(
        "late",
        &[Step::Code(200), Step::Late(503, Duration::from_millis(500))],
    );
    let config = pinging().param("ds_probing_mode", 3);
    let server = Kamailio::start(Module::Rust, config);
    let uri = crowd.uri("late");
    crowd.load(&server, &format!("1 {uri} 8\n"));
    crowd.wait_count("late", 2, patience(8));
    server.write_list(format!("1 {uri} 0\n"));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(server.flags(1, &uri), "AX");
    // Another one that is still probed tells when that reply is long in.
    server
        .kamcmd(&["dispatcher.add", "1", &crowd.uri("clock"), "8"])
        .unwrap();
    crowd.wait_count("clock", 2, patience(8));
    assert_eq!(server.flags(1, &uri), "AX");
    assert_eq!(crowd.count("late"), 2, "it is not pinged any more");
}

/// A result is of whom was asked: where the list gives a duid another URI meanwhile, the reply of
/// the old one says nothing of the new one.
#[test]
fn a_late_reply_of_the_old_uri_is_not_of_the_new_one() {
    let crowd = Crowd::start();
    let late = Duration::from_millis(500).max(patience(1) / 6);
    crowd.script("old", &[Step::Late(503, late)]);
    let config = pinging()
        .param("ds_probing_mode", 1)
        .param("ds_ping_interval", 3);
    let server = Kamailio::start(Module::Rust, config);
    crowd.load(&server, &format!("1 {} 0 0 duid=one\n", crowd.uri("old")));
    crowd.wait_count("old", 1, patience(8));
    let new = crowd.uri("new");
    server.write_list(format!("1 {new} 0 0 duid=one\n"));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    // The first result that counts is that of its own ping.
    let lister = server.lister();
    let mut seen = Vec::new();
    wait_for("a ping of the new one", patience(10), || {
        let flags = lister.flags_of(&new);
        if seen.last() != Some(&flags) {
            seen.push(flags);
        }
        (crowd.count("new") > 0).then_some(())
    });
    assert!(seen.iter().all(|flags| flags.starts_with('A')), "{seen:?}");
    becomes(&server, &new, "AP");
}

//! The switch of the pings: how it begins, and that it survives a restart.

use std::fs;
use std::path::Path;

use harness::{Answer, Config, Kamailio, Module, TempDir, Uas, patience, refuses, wait_for};
use serde_json::{Value, json};

fn config() -> Config {
    Config::routes("request_route { exit; }")
        .list("1 sip:127.0.0.1:7001\n")
        .param("ds_ping_interval", 1)
        .param("ds_probing_mode", 1)
        .param("ds_ping_fr_timeout", 200)
}

fn kept(file: &Path) -> Config {
    config().param("state_file", file.to_str().unwrap())
}

fn ping_active(server: &Kamailio, params: Value) -> Value {
    server.jsonrpc("dispatcher.ping_active", params).unwrap()
}

fn is_on(server: &Kamailio) -> bool {
    ping_active(server, json!([])) == json!({"OldPingState": 1})
}

/// Waits until the file has this line about pings, or none.
fn wait_for_line(file: &Path, line: Option<&str>) {
    wait_for("the switch in the file", patience(5), || {
        let text = fs::read_to_string(file).ok()?;
        let found = text.lines().find(|line| line.starts_with("pings"));
        (found == line).then_some(())
    });
}

#[test]
fn a_server_begins_without_pings_where_the_config_says_so() {
    let gateway = Uas::start(Answer::Code(200));
    let list = format!("1 {}\n", gateway.uri());
    let server = Kamailio::start(
        Module::Rust,
        config().list(list).param("ds_ping_active_init", 0),
    );
    assert!(!is_on(&server));
    let status = server.kamcmd(&["dispatcher.ping_status"]).unwrap();
    assert!(
        status.contains("PINGS: off: dispatcher.ping_active 0"),
        "{status}"
    );
    assert_eq!(
        ping_active(&server, json!([1])),
        json!({"NewPingState": 1, "OldPingState": 0})
    );
    wait_for("a ping", patience(5), || {
        (gateway.count("OPTIONS") > 0).then_some(())
    });
    for value in [-1, 2] {
        let message = format!("parameter ds_ping_active_init: found \"{value}\", expected 0 or 1");
        refuses(config().param("ds_ping_active_init", value), &message);
    }
}

#[test]
fn the_switch_survives_a_restart() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    for init in [1, 0] {
        let config = || kept(&file).param("ds_ping_active_init", init);
        let server = Kamailio::start(Module::Rust, config());
        assert_eq!(is_on(&server), init == 1);
        ping_active(&server, json!([1 - init]));
        wait_for_line(&file, Some(&format!("pings {init} {}", 1 - init)));
        server.stop();
        let server = Kamailio::start(Module::Rust, config());
        assert_eq!(is_on(&server), init == 0);
        server.stop();
        // A config that asks for something else than then wins.
        let other = kept(&file).param("ds_ping_active_init", 1 - init);
        let server = Kamailio::start(Module::Rust, other);
        assert_eq!(is_on(&server), init == 0);
        wait_for_line(&file, None);
        server.stop();
    }
}

#[test]
fn a_switch_that_is_as_the_config_has_it_leaves_no_line() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    fs::write(&file, "1 0 4 sip:127.0.0.1:7001\n").unwrap();
    let server = Kamailio::start(Module::Rust, kept(&file));
    assert!(is_on(&server), "a file of before");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7001"), "DX");
    ping_active(&server, json!([0]));
    wait_for_line(&file, Some("pings 1 0"));
    ping_active(&server, json!([1]));
    wait_for_line(&file, None);
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .ends_with("\n1 0 4 sip:127.0.0.1:7001\n")
    );
}

#[test]
fn the_answer_says_when_the_switch_is_not_kept() {
    let dir = TempDir::new();
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let config = kept(&folder.join("states"))
        .expect_log("states of destinations are not kept, trying again:");
    let server = Kamailio::start(Module::Rust, config);
    fs::rename(&folder, dir.path().join("away")).unwrap();
    assert_eq!(
        ping_active(&server, json!([0])),
        json!({"NewPingState": 0, "OldPingState": 1})
    );
    server.wait_log("trying again");
    let remark = "It will not survive a restart: see the log.";
    let said = json!({"NewPingState": 0, "OldPingState": 0, "REMARK": remark});
    assert_eq!(ping_active(&server, json!([0])), said);
    assert_eq!(ping_active(&server, json!([])), json!({"OldPingState": 0}));
}

#[test]
fn switching_pings_on_where_none_are_sent_is_a_warning() {
    let config = config().param("ds_ping_interval", 0);
    let config = config.expect_log("dispatcher.ping_active 1 has no effect: ds_ping_interval is 0");
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(
        ping_active(&server, json!([0])),
        json!({"NewPingState": 0, "OldPingState": 1})
    );
    assert_eq!(
        ping_active(&server, json!([1])),
        json!({"NewPingState": 1, "OldPingState": 0})
    );
    server.stop();
}

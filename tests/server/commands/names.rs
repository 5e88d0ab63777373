//! `set_name`: what a set is called.

use harness::{Config, Kamailio, Module, fails_to_start};
use serde_json::json;

fn config() -> Config {
    Config::routes("request_route { sl_send_reply(\"200\", \"OK\"); }")
        .list("200 sip:127.0.0.1:7001\n300 sip:127.0.0.1:7002\n")
}

#[test]
fn a_name_is_shown_with_its_set_and_other_sets_show_none() {
    let named = config()
        .param("set_name", "200=Carrier \u{fc}1")
        .param("set_name", " 7 = not listed ");
    let server = Kamailio::start(Module::Rust, named);
    let list = server.jsonrpc("dispatcher.list", json!([])).unwrap();
    let sets = list["RECORDS"].as_array().unwrap();
    let names: Vec<_> = sets
        .iter()
        .map(|set| (set["SET"]["ID"].clone(), set["SET"].get("NAME")))
        .collect();
    let name = json!("Carrier \u{fc}1");
    assert_eq!(names, [(json!(300), None), (json!(200), Some(&name))]);
    let shown = server.kamcmd(&["dispatcher.list", "200"]).unwrap();
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    assert!(lines.contains(&"NAME: Carrier \u{fc}1"), "{shown}");
    let status = server.jsonrpc("dispatcher.ping_status", json!([])).unwrap();
    let dests = status["TARGETS"].as_array().unwrap();
    let names: Vec<_> = dests.iter().map(|dest| dest["DEST"].get("NAME")).collect();
    assert_eq!(names, [None, Some(&name)]);
    server.stop();
}

#[test]
fn a_name_that_cannot_be_used_stops_the_start() {
    let long = format!("1={}", "x".repeat(101));
    for values in [
        &["Carrier 1"][..],
        &["one=Carrier"],
        &["1="],
        &[&long],
        &["1=a", "2=b", "1=c"],
    ] {
        let config = values
            .iter()
            .fold(config(), |config, value| config.param("set_name", *value));
        let log = fails_to_start(Module::Rust, config);
        let errors: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(" ERROR: dispatcher "))
            .collect();
        let last = values.last().unwrap();
        let message = format!(
            "parameter set_name: found \"{last}\", expected SET=NAME, as 200=Carrier 1, and one name for a set"
        );
        assert_eq!(errors.len(), 1, "{log}");
        assert!(errors[0].ends_with(&message), "{errors:?}");
        assert!(!log.contains(" CRITICAL: "), "{log}");
    }
}

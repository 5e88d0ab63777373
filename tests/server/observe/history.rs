//! `dispatcher.history`: the last changes of states.

use harness::{Config, Crowd, Kamailio, Module, Step, this_server};
use serde_json::{Value, json};

use crate::probing::stage::{pinging, play, soon};

/// Returns the changes that the command shows.
pub fn history(server: &Kamailio, words: Value) -> Vec<Value> {
    let reply = server.jsonrpc("dispatcher.history", words);
    let reply = reply.unwrap_or_else(|fault| panic!("{fault}"));
    let changes = reply["CHANGES"].as_array().expect("an array");
    changes.iter().map(|one| one["CHANGE"].clone()).collect()
}

/// Returns what a change was: its set, its URI, the states, and who made it why.
fn told(change: &Value) -> String {
    let text = |key: &str| match &change[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let found = match &change["FOUND"] {
        null if *null == this_server::null() => String::new(),
        _ => format!(" ({})", text("FOUND")),
    };
    format!(
        "{} {} {}>{} {},{} {}{found}",
        text("SET"),
        text("URI"),
        text("OLD"),
        text("NEW"),
        text("CAUSE"),
        text("CODE"),
        text("WHO"),
    )
}

fn all(server: &Kamailio, words: Value) -> Vec<String> {
    history(server, words).iter().map(told).collect()
}

const A: &str = "sip:127.0.0.1:7001";
const B: &str = "sip:127.0.0.1:7002";

fn config() -> Config {
    Config::routes("request_route { exit; }").list(format!("1 {A}\n1 {B} 1\n2 {A}\n"))
}

fn set(server: &Kamailio, state: &str, set: i32, uri: &str) {
    server
        .jsonrpc("dispatcher.set_state", json!([state, set, uri]))
        .expect("it is set");
}

#[test]
fn the_newest_changes_come_first_by_set_by_uri_and_by_count() {
    let server = Kamailio::start(Module::Rust, config().param("set_name", "2=Carrier"));
    assert_eq!(all(&server, json!([])), Vec::<String>::new());
    set(&server, "ip", 1, A);
    set(&server, "ip", 1, A);
    set(&server, "drain", 2, A);
    server.write_list(format!("1 {A}\n1 {B} 4\n2 {A}\n"));
    server.jsonrpc("dispatcher.reload", json!([])).unwrap();
    set(&server, "a", 1, A);
    let expected = [
        format!("1 {A} IP>AX rpc,800 set_state"),
        format!("1 {B} IX>DX reload,800 reload"),
        format!("2 {A} AX>RX rpc,800 set_state"),
        format!("1 {A} AX>IP rpc,800 set_state"),
    ];
    assert_eq!(all(&server, json!([])), expected);
    assert_eq!(all(&server, json!(["all", 2])), expected[..2]);
    assert_eq!(all(&server, json!([2])), expected[2..3]);
    assert_eq!(all(&server, json!([1, 2])), expected[..2]);
    assert_eq!(all(&server, json!([3])), expected[..0]);
    let of_a = [0, 2, 3].map(|at: usize| expected[at].clone());
    assert_eq!(all(&server, json!([A])), of_a);
    assert_eq!(all(&server, json!(["127.0.0.1:7001", 1])), of_a[..1]);
    let newest = history(&server, json!([]));
    assert_eq!(newest[2]["NAME"], "Carrier");
    assert_eq!(newest[0].get("NAME"), None);
    let shown = server.kamcmd(&["dispatcher.history", "2"]).unwrap();
    assert!(shown.contains("NEW: RX\n"), "{shown}");
    for words in [json!([1, "x"]), json!([1, -1])] {
        let fault = server.jsonrpc("dispatcher.history", words).unwrap_err();
        assert_eq!(fault.text, "Invalid Parameters");
    }
    server.stop();
}

#[test]
fn only_the_last_changes_are_kept_and_none_with_history_size_0() {
    let server = Kamailio::start(Module::Rust, config().param("history_size", 3));
    for state in ["i", "d", "a", "i", "a"] {
        set(&server, state, 1, A);
    }
    let kept = all(&server, json!([]));
    let states: Vec<&str> = kept.iter().map(|one| &one[21..26]).collect();
    assert_eq!(states, ["IX>AX", "AX>IX", "DX>AX"], "{kept:?}");
    server.stop();
    let server = Kamailio::start(Module::Rust, config().param("history_size", 0));
    set(&server, "i", 1, A);
    let fault = server.jsonrpc("dispatcher.history", json!([])).unwrap_err();
    assert_eq!(fault.text, "No History (history_size is 0)");
    server.stop();
}

#[test]
fn pings_are_shown_with_what_they_found() {
    let crowd = Crowd::start();
    let config = pinging().param("ds_probing_threshold", 2);
    let server = play(config, &crowd, &[("gw", "")]);
    let uri = crowd.uri("gw");
    soon(&server, &uri, "AP");
    crowd.script("gw", &[Step::Silent]);
    soon(&server, &uri, "IP");
    crowd.script("gw", &[Step::Code(200)]);
    soon(&server, &uri, "AP");
    let expected = [
        format!("1 {uri} IP>AP ping,200 pings (200)"),
        format!("1 {uri} TP>IP ping,408 pings (no reply, 2 in a row)"),
        format!("1 {uri} AP>TP ping,408 pings (no reply)"),
        format!("1 {uri} AX>AP ping,200 pings (200)"),
    ];
    assert_eq!(all(&server, json!([uri])), expected);
    server.stop();
}

#[test]
fn what_a_file_restores_is_a_change_and_what_the_list_says_is_none() {
    let config = config().param("state_file", "{{DIR}}/states");
    let config = config.file("states", &format!("1 0 4 {A}\n"));
    let server = Kamailio::start(Module::Rust, config);
    let expected = [format!("1 {A} AX>DX start,800 state_file")];
    assert_eq!(all(&server, json!([])), expected);
    server.stop();
}

#[test]
fn a_hundred_changes_are_shown_unless_more_are_asked_for() {
    let server = Kamailio::start(Module::Rust, config());
    for _ in 0..150 {
        set(&server, "i", 1, A);
        set(&server, "a", 1, A);
    }
    assert_eq!(all(&server, json!(["all", 300])).len(), 300);
    assert_eq!(all(&server, json!([])).len(), 100);
    server.allow_log("ERROR: ctl ");
    match server.kamcmd(&["dispatcher.history", "all", "300"]) {
        Ok(shown) => assert_eq!(shown.matches("URI: ").count(), 300),
        Err(fault) => assert!(fault.text.contains("ask for fewer changes"), "{fault}"),
    }
    server.stop();
}

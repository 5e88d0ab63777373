//! Passive health: destinations that are ejected because of the requests that were sent to them.

mod branches;
mod ejection;
mod farm;
mod lifetime;
mod slow_start;

use std::time::Duration;

use harness::{Answer, Config, Kamailio, Message, Module, Request, Uac, Uas, patience, poll};
use serde_json::Value;

/// Calls go to set 1 by the algorithm in `X-Alg`, and on to the next destination after a failure.
const ROUTES: &str = r#"
request_route {
    if (is_method("CANCEL")) {
        if (t_check_trans()) t_relay();
        exit;
    }
    if (is_method("ACK")) {
        t_check_trans();
        exit;
    }
    t_check_trans();
    if (!ds_select_dst("1", "$(hdr(X-Alg){s.int})")) {
        sl_send_reply("404", "None Left");
        exit;
    }
    if ($hdr(X-Alone) == $null) t_on_failure("NEXT");
    if (!t_relay()) sl_reply_error();
}
failure_route[NEXT] {
    if (t_is_canceled()) exit;
    if (t_check_status("408|503") && ds_next_dst()) {
        t_on_failure("NEXT");
        t_relay();
    }
}
"#;

/// A config with passive health, and a time of half a second for a reply.
fn config() -> Config {
    Config::routes(ROUTES)
        .modparam("tm", "fr_timer", 500)
        .param("flags", 2)
        .param("ds_passive", 1)
}

fn start(config: Config) -> Kamailio {
    Kamailio::start(Module::Rust, config)
}

/// The list of set 1, in this order.
fn list(all: &[&Uas]) -> String {
    let line = |(place, uas): (usize, &&Uas)| format!("1 {} 0 {}\n", uas.uri(), 90 - place);
    all.iter().enumerate().map(line).collect()
}

fn invite(algorithm: u32) -> Request {
    Request::new("INVITE", "sip:bob@b.test").header("X-Alg", algorithm.to_string())
}

/// Makes a call to the first destination that is in; yields the final reply.
fn call(server: &Kamailio) -> Message {
    Uac::new().request(server.addr(), &invite(8))
}

/// The destination of set 1 with this URI, as `dispatcher.list full` shows it.
fn shown(server: &Kamailio, uas: &Uas) -> Value {
    let reply = server.jsonrpc("dispatcher.list", serde_json::json!(["full"]));
    let reply = reply.unwrap();
    find(&reply, &uas.uri()).unwrap_or_else(|| panic!("{} in {reply}", uas.uri()))
}

/// Finds a destination in a reply.
fn find(reply: &Value, uri: &str) -> Option<Value> {
    match reply {
        Value::Object(part) if part.get("URI") == Some(&uri.into()) => Some(reply.clone()),
        Value::Object(part) => part.values().find_map(|part| find(part, uri)),
        Value::Array(parts) => parts.iter().find_map(|part| find(part, uri)),
        _ => None,
    }
}

/// The counts of requests to a destination.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    good: u64,
    failed: u64,
    in_row: u64,
}

fn said(server: &Kamailio, uas: &Uas) -> Said {
    let dest = shown(server, uas);
    let number = |name: &str| dest["TRAFFIC"][name].as_u64().unwrap();
    Said {
        good: number("GOOD"),
        failed: number("FAILED"),
        in_row: number("FAILED_IN_ROW"),
    }
}

fn flags(server: &Kamailio, uas: &Uas) -> String {
    shown(server, uas)["FLAGS"].as_str().unwrap().to_owned()
}

/// Milliseconds for which a destination is still ejected.
fn ejected_ms(server: &Kamailio, uas: &Uas) -> Option<u64> {
    shown(server, uas)["TRAFFIC"]["EJECTED_MS"].as_u64()
}

/// Waits for these flags of a destination.
fn assert_flags(server: &Kamailio, uas: &Uas, expected: &str) {
    let step = Duration::from_millis(20);
    let seen = poll(
        step,
        patience(15),
        || flags(server, uas),
        |seen| seen == expected,
    );
    assert_eq!(seen, expected);
}

/// A farm of destinations, all with one answer.
fn farm(count: usize, answer: &Answer) -> Vec<Uas> {
    (0..count).map(|_| Uas::start(answer.clone())).collect()
}

//! `dispatcher.calls` and `dispatcher.release`.

use serde_json::{Value, json};

use super::desk::{Desk, dests, loads, start, up};
use harness::{Kamailio, Request};

/// Call-IDs that a command shows, sorted.
fn shown(server: &Kamailio, params: Value) -> Vec<String> {
    let reply = server.jsonrpc("dispatcher.calls", params).unwrap();
    let calls = reply["CALLS"].as_array().expect("CALLS is an array");
    let id = |call: &Value| call["CALL"]["CALLID"].as_str().map(str::to_owned);
    let mut ids: Vec<String> = calls.iter().filter_map(id).collect();
    ids.sort();
    ids
}

#[test]
fn calls_are_shown_by_set_duid_and_call_id() {
    let server = start(&(dests(&["a", "b"]) + "2 sip:127.0.0.1:7009 0 0 duid=z\n"));
    let desk = Desk::new(&server);
    assert_eq!(desk.picks(&["1", "2", "3"]), "a b a");
    let other = Request::new("INVITE", "sip:select@desk.test").call_id("9");
    desk.send(other.header("X-Set", "2"));
    assert_eq!(shown(&server, json!([])), ["1", "2", "3", "9"]);
    assert_eq!(shown(&server, json!(["all"])), ["1", "2", "3", "9"]);
    assert_eq!(shown(&server, json!(["set=1"])), ["1", "2", "3"]);
    assert_eq!(shown(&server, json!(["set=2"])), ["9"]);
    assert_eq!(shown(&server, json!(["set=7"])), Vec::<String>::new());
    assert_eq!(shown(&server, json!(["duid=a"])), ["1", "3"]);
    assert_eq!(shown(&server, json!(["duid=B"])), ["2"]);
    assert_eq!(shown(&server, json!(["callid=3"])), ["3"]);
    assert_eq!(shown(&server, json!(["callid=none"])), Vec::<String>::new());
    for wrong in ["set=x", "set=", "a", "call=1"] {
        let fault = server.jsonrpc("dispatcher.calls", json!([wrong]));
        let fault = fault.unwrap_err();
        assert!(fault.text.starts_with("Invalid Parameters"), "{fault}");
    }
}

#[test]
fn a_call_is_shown_with_its_set_destination_state_and_rest() {
    let server = start(&dests(&["a"]));
    let desk = Desk::new(&server);
    desk.pick("1");
    let reply = server.jsonrpc("dispatcher.calls", json!([])).unwrap();
    let call = &reply["CALLS"][0]["CALL"];
    assert_eq!((&reply["UP"], &reply["OFFSET"]), (&json!(1), &json!(0)));
    assert_eq!((&call["SET"], &call["DUID"]), (&json!(1), &json!("a")));
    assert_eq!(call["STATE"], "init");
    let left = call["EXPIRES"].as_i64().unwrap();
    assert!((7100..=7200).contains(&left), "{left}");
    desk.answer(200, "1");
    let reply = server.jsonrpc("dispatcher.calls", json!([])).unwrap();
    assert_eq!(reply["CALLS"][0]["CALL"]["STATE"], "confirmed");
}

#[test]
fn pages_show_every_call_once() {
    let server = start(&dests(&["a", "b", "c"]));
    let desk = Desk::new(&server);
    let mut calls: Vec<String> = (0..250).map(|n| format!("call{n}")).collect();
    desk.picks(&calls);
    assert_eq!(shown(&server, json!(["all"])).len(), 100);
    let pages = (0..3).flat_map(|page| shown(&server, json!(["all", page * 100, 100])));
    let mut seen: Vec<String> = pages.collect();
    seen.sort();
    calls.sort();
    assert_eq!(seen, calls);
    let last = shown(&server, json!(["duid=a", 80, 100]));
    assert_eq!(last.len(), 4);
    assert_eq!(shown(&server, json!(["all", 250, 9])), Vec::<String>::new());
}

#[test]
fn a_call_is_released_by_hand() {
    let server = start(&dests(&["a", "b"]));
    let desk = Desk::new(&server);
    desk.picks(&["1", "2"]);
    let done = server.kamcmd(&["dispatcher.release", "s:1"]).unwrap();
    assert_eq!(done, "Ok. Dispatcher call released.");
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=1", 1));
    let again = server.kamcmd(&["dispatcher.release", "s:1"]).unwrap_err();
    assert_eq!((again.code, again.text.as_str()), (500, "No Such Call"));
    let nothing = server.jsonrpc("dispatcher.release", json!([])).unwrap_err();
    assert_eq!(nothing.text, "Invalid Parameters");
    // Its BYE comes later, and ends nothing.
    assert_eq!(desk.bye("1").rc, 1);
    assert_eq!(loads(&server), "a=0 b=1");
}

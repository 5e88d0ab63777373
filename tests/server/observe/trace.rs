//! Traces of selections at the level DEBUG.

use harness::{Config, Kamailio, Module, Request, Uac, patience, wait_for};
use serde_json::json;

const A: &str = "sip:127.0.0.1:7001";
const B: &str = "sip:127.0.0.1:7002";

/// Selects by the algorithm in the user part of a request, and goes on once.
const ROUTES: &str = r#"
request_route {
    ds_select_dst("1", "$rU");
    ds_next_dst();
    sl_send_reply("200", "OK");
}
"#;

/// Returns the traces so far, from the text of the function on.
fn traces(server: &Kamailio) -> Vec<String> {
    let log = server.log();
    let lines = log.lines().filter_map(|line| {
        let (_, after) = line.split_once(" DEBUG: dispatcher [src/kamailio/select/")?;
        Some(after.split_once("(): ")?.1.to_owned())
    });
    lines.collect()
}

fn select(server: &Kamailio, algorithm: &str) {
    let uri = format!("sip:{algorithm}@b.test");
    let request = Request::new("OPTIONS", &uri).call_id("5");
    let reply = Uac::new().request(server.addr(), &request);
    assert_eq!(reply.status(), Some(200));
}

#[test]
fn a_selection_is_traced_while_the_level_is_debug() {
    traces_each_selection_once(0);
}

#[test]
fn a_selection_is_traced_where_destinations_have_limits() {
    traces_each_selection_once(1);
}

fn traces_each_selection_once(limits: i64) {
    let list = format!("1 {A} 0 10\n1 {B} 0 5\n");
    let config = Config::routes(ROUTES).list(list).param("flags", 2);
    let config = config.param("ds_cps", limits);
    let server = Kamailio::start(Module::Rust, config);
    select(&server, "4");
    assert_eq!(traces(&server), Vec::<String>::new());
    let level = |level: i32| {
        let set = json!(["core", "debug", level]);
        server.jsonrpc("cfg.set_now_int", set).expect("it is set");
    };
    level(3);
    // Within a second; the process of the request follows with its next request.
    wait_for("a trace", patience(5), || {
        select(&server, "4");
        let traced = traces(&server);
        (!traced.is_empty()).then_some(())
    });
    let seen = traces(&server).len();
    select(&server, "100");
    let by_key = traces(&server).split_off(seen);
    let lines: Vec<_> = by_key
        .iter()
        .filter(|line| line.contains("algorithm 100"))
        .collect();
    let key = server
        .jsonrpc("dispatcher.route", json!([1, 100, "5"]))
        .unwrap();
    let hash = format!("hash {}", key["KEY"].as_str().unwrap());
    assert!(
        lines.len() == 1 && lines[0].ends_with(&hash),
        "{by_key:?}, {hash}"
    );
    let seen = traces(&server).len();
    select(&server, "0");
    server
        .jsonrpc("dispatcher.set_state", json!(["d", 1, A]))
        .unwrap();
    select(&server, "0");
    server
        .jsonrpc("dispatcher.set_state", json!(["d", 1, B]))
        .unwrap();
    select(&server, "8");
    let traced = traces(&server).split_off(seen);
    let hash = server.jsonrpc("dispatcher.hash", json!([0, "5"])).unwrap();
    let hash = &hash["hashid"];
    assert_eq!(
        traced,
        [
            format!("set 1, algorithm 0: {B} at 1, 2 of 2 usable, hash {hash}"),
            format!("next: {A}"),
            format!("set 1, algorithm 0: {B} at 1, 1 of 2 usable, hash {hash}"),
            "no destination left".to_owned(),
            "no destination of set 1 is usable: 0 of 2 left".to_owned(),
            "no destination left".to_owned(),
        ],
    );
    server.stop();
}

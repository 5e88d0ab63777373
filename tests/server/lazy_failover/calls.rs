//! Call load: the count goes where the call goes.

use serde_json::json;

use super::{ON_DEMAND, ask, current, on_demand, start, steps};
use harness::{Config, Kamailio, Module, Probe, Request};

const LIST: &str = "\
1 sip:127.0.0.1:7101 0 9 duid=a
1 sip:127.0.0.1:7102 0 8 duid=b;maxload=1
1 sip:127.0.0.1:7103 0 7 duid=c
1 sip:127.0.0.1:7104 0 6 duid=d
2 sip:127.0.0.1:7201 0 0 duid=e
2 sip:127.0.0.1:7202 0 9
";

const ROUTES: &str = r#"ds_select_routes("1=10;2=10", "d", "3");"#;

fn config() -> Config {
    let config = Probe::new().op("routes", ROUTES).config().list(LIST);
    config.param("ds_hash_size", 8)
}

/// One call that runs operations.
fn call(server: &Kamailio, id: &str, operations: &str) -> Vec<String> {
    let invite = Request::new("INVITE", "sip:callee@service.test").call_id(id);
    ask(server, &invite.header("X-Do", format!("{operations}|.")))
}

/// Calls of the destinations of set 1.
fn loads(server: &Kamailio) -> Vec<i64> {
    let calls = server.jsonrpc("dispatcher.calls", json!([])).unwrap();
    let calls = calls.to_string();
    let of = |duid: &str| calls.matches(&format!("\"{duid}\"")).count();
    let counts = ["a", "b", "c", "d"].map(of);
    counts.iter().map(|&n| i64::try_from(n).unwrap()).collect()
}

#[test]
fn the_count_moves_with_the_call() {
    let server = on_demand(config());
    for (n, port) in [7101, 7102, 7103, 7104].into_iter().enumerate() {
        let said = call(&server, &format!("fill-{n}"), "dst,1,10|dump");
        assert_eq!(steps(&said), [format!("1 {port}")]);
        assert!(
            said[1].contains(&format!(" id={} ", ["a", "b", "c", "d"][n])),
            "{said:?}"
        );
    }
    assert_eq!(loads(&server), [1, 1, 1, 1]);
    // The second one is full.
    let said = call(&server, "one", "dst,1,10|nextdst");
    assert_eq!(steps(&said), ["1 7101", "1 7103"]);
    assert_eq!(loads(&server), [1, 1, 2, 1]);
    let said = call(&server, "two", "dst,1,10|nextdst|nextdst|nextdst|nextdst");
    assert_eq!(
        steps(&said),
        ["1 7101", "1 7103", "1 7104", "-1 7104", "-1 7104"]
    );
    assert_eq!(loads(&server), [1, 1, 2, 2], "it stays with the last one");
}

#[test]
fn calls_go_as_with_the_list() {
    let list = start(Module::Rust, config(), 0);
    let demand = start(Module::Rust, config(), ON_DEMAND);
    let questions = [
        "dst,1,10|dump|nextdst|dump|nextdst|dump|nextdst|dump|nextdst",
        "dst3,1,10,2|dump|nextdst|dump|nextdst",
        "routes|dump|nextdst|dump|nextdst|dump|nextdst|dump|nextdst|dump",
        "dom,1,10|nextdom|dump|setdst",
        "dst,2,10|dump|nextdst|dump",
    ];
    for (n, question) in (0..).zip(questions.iter().cycle().take(12)) {
        let [with_list, made] = [&list, &demand]
            .map(|server| current(server, &call(server, &format!("call-{n}"), question)));
        assert_eq!(with_list, made, "{question}");
        assert_eq!(loads(&list), loads(&demand), "{question}");
    }
}

#[test]
fn a_call_that_is_not_counted_is_not_moved() {
    let probe = Probe::new().op("unset", "ds_load_unset();");
    let config = probe.config().list(LIST).param("ds_hash_size", 8);
    let server = on_demand(config.expect_log("is not counted in set 1"));
    let said = call(&server, "x", "dst,1,10|unset|nextdst|dump");
    assert_eq!(steps(&said), ["1 7101", "1 7101", "-1 7101"]);
    assert!(said[3].starts_with("x sip:127.0.0.1:7101 1 "), "{said:?}");
}

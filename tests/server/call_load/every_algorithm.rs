//! Calls of every algorithm are counted (`ds_count_calls`), and `dispatcher.drain_status` says who still has some.

use harness::this_server::null;
use harness::{Config, Kamailio, Module, Probe, Request, Uac, patience, refuses, wait_for};
use serde_json::{Value, json};

use super::desk::{loads, up};

/// The algorithms that count no calls of their own, but for the one that forks.
const ALGORITHMS: [u32; 15] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 64];

const LIST: &str = "1 sip:127.0.0.1:7001 0 9 duid=a;weight=50;rweight=1;maxload=1\n\
    1 sip:127.0.0.1:7002 0 8 duid=b;weight=50;rweight=1\n\
    2 sip:127.0.0.1:7003 0 0 duid=c\n\
    3 sip:127.0.0.1:7004 0 9 duid=d\n\
    3 sip:127.0.0.1:7005 0 8\n\
    3 sip:127.0.0.1:7006 0 7 duid=e\n";

fn config() -> Config {
    let probe = Probe::new()
        .op("update", "ds_load_update();")
        .op("unset", "ds_load_unset();")
        .op("routes", "ds_select_routes(\"1=8;2=8\", \"0\", \"1\");");
    let config = probe.config().list(LIST).param("flags", 2);
    config.param("ds_hash_size", 8).param("ds_count_calls", 1)
}

fn start(config: Config) -> Kamailio {
    Kamailio::start(Module::Rust, config)
}

fn request(method: &str, call: &str) -> Request {
    let credentials = format!(
        "Digest username=\"{call}\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"0\""
    );
    Request::new(method, format!("sip:{call}@service.test"))
        .from(format!("sip:{call}@client.test"))
        .to(format!("sip:{call}@service.test"))
        .call_id(call)
        .from_tag("caller")
        .header("X-Key", call)
        .header("Proxy-Authorization", credentials)
}

/// Sends a request that runs operations; yields the return codes.
fn run(server: &Kamailio, request: Request, operations: &str) -> Vec<i64> {
    let request = request.header("X-Do", format!("{operations}|."));
    let lines = Probe::lines(&Uac::new().request(server.addr(), &request));
    let code = |line: &String| {
        let rc = line.split(' ').find_map(|part| part.strip_prefix("rc="));
        rc.unwrap_or_else(|| panic!("{lines:?}")).parse().unwrap()
    };
    lines.iter().map(code).collect()
}

fn invite(server: &Kamailio, call: &str, operations: &str) {
    let codes = run(server, request("INVITE", call), operations);
    assert!(
        codes.iter().all(|code| *code == 1),
        "{operations}: {codes:?}"
    );
}

fn bye(server: &Kamailio, call: &str) {
    run(server, request("BYE", call).tagged("callee"), "update");
}

#[test]
fn every_algorithm_counts() {
    let server = start(config());
    for algorithm in ALGORITHMS {
        let calls: Vec<String> = (0..4).map(|n| format!("{algorithm}-{n}")).collect();
        for call in &calls {
            invite(&server, call, &format!("dst,1,{algorithm}"));
            // The same call again moves at most.
            invite(&server, call, &format!("dst,1,{algorithm}"));
        }
        assert_eq!(up(&server), 4, "{algorithm}");
        let counted: u32 = loads(&server)
            .split(['=', ' '])
            .filter_map(|part| part.parse::<u32>().ok())
            .sum();
        assert_eq!(counted, 4, "{algorithm}: {}", loads(&server));
        calls.iter().for_each(|call| bye(&server, call));
        assert_eq!(up(&server), 0, "{algorithm}");
    }
    invite(&server, "forked", "dst,1,12");
    run(&server, request("OPTIONS", "no-call"), "dst,1,4");
    run(
        &server,
        request("INVITE", "in-a-dialog").tagged("callee"),
        "dst,1,4",
    );
    assert_eq!(
        up(&server),
        0,
        "these are no new calls that go to one destination"
    );
    // `maxload` is a limit for algorithm 10 alone.
    for call in ["1", "2", "3"] {
        invite(&server, call, "dst,1,8");
    }
    assert_eq!(loads(&server), "a=3 b=0");
    invite(&server, "4", "dst,1,10");
    invite(&server, "5", "dst,1,10");
    assert_eq!(loads(&server), "a=3 b=2");
}

#[test]
fn failover_takes_the_count_along() {
    for mode in [0, 65_536] {
        let server = start(config().param("xavp_dst_mode", mode));
        invite(&server, "1", "dst,1,8");
        assert_eq!(loads(&server), "a=1 b=0", "{mode}");
        invite(&server, "1", "dst,1,8|nextdst");
        assert_eq!(loads(&server), "a=0 b=1", "{mode}");
        // Behind one without a unique id the count ends, and begins again at the next one that has one.
        invite(&server, "2", "dst,3,8|nextdst");
        assert_eq!(up(&server), 1, "{mode}");
        invite(&server, "3", "dst,3,8|nextdst|nextdst");
        assert_eq!(up(&server), 2, "{mode}");
        // The next set takes over from the one before.
        invite(&server, "4", "routes|nextdst");
        assert_eq!(up(&server), 3, "{mode}");
        assert_eq!(loads(&server), "a=0 b=1", "{mode}");
        // A selection that leads nowhere leaves the count where it is.
        let codes = run(&server, request("INVITE", "4"), "dst,1,8|nextdst|nextdst");
        assert_eq!(codes, [1, 1, -1], "{mode}");
        let codes = run(&server, request("INVITE", "1"), "dst,1,8|unset");
        assert_eq!(codes, [1, 1], "{mode}");
    }
}

fn drain_status(server: &Kamailio, set: &str) -> Value {
    let reply = server.jsonrpc("dispatcher.drain_status", json!([set]));
    reply.expect("a reply")
}

#[test]
fn a_draining_destination_tells_when_it_is_empty() {
    let server = start(config().param("counters", 2));
    let nothing = drain_status(&server, "all");
    assert_eq!(nothing, json!({"DRAINING": 0, "TARGETS": []}));
    invite(&server, "1", "dst,1,8");
    invite(&server, "2", "dst,1,8");
    for (set, port) in [(1, 7001), (3, 7005)] {
        let uri = format!("sip:127.0.0.1:{port}");
        server
            .jsonrpc("dispatcher.set_state", json!(["drain", set, uri]))
            .unwrap();
    }
    let of = |set| {
        let status = drain_status(&server, set);
        status["TARGETS"][0]["DEST"].clone()
    };
    assert_eq!(drain_status(&server, "all")["DRAINING"], 2);
    let status = of("1");
    assert_eq!(status["URI"], "sip:127.0.0.1:7001");
    assert_eq!(status["CALLS"], 2, "{status}");
    assert!(
        status["OLDEST_S"].as_u64().expect("an age") < 60,
        "{status}"
    );
    assert_eq!(of("3")["CALLS"], null(), "without a unique id nobody knows");
    let last = wait_for("the last selection", patience(10), || {
        of("1")["LAST_SELECTION_AGO_S"].as_u64()
    });
    assert!(last < 60, "{last}");
    invite(&server, "3", "dst,1,8");
    bye(&server, "1");
    assert_eq!(of("1")["CALLS"], 1);
    bye(&server, "2");
    let status = of("1");
    assert_eq!(
        (&status["CALLS"], &status["OLDEST_S"]),
        (&json!(0), &null())
    );
    let fault = server.jsonrpc("dispatcher.drain_status", json!([9]));
    assert!(
        fault
            .unwrap_err()
            .to_string()
            .contains("No Such Destination Set")
    );
}

#[test]
fn calls_are_counted_only_with_a_table() {
    let config = Config::routes("request_route { exit; }").list(LIST);
    let expected = "parameter ds_count_calls: found \"1\", expected 0 without ds_hash_size";
    refuses(config.param("ds_count_calls", 1), expected);
    // By default the calls of algorithm 10 are counted and no others.
    let config = Probe::new().config().list(LIST).param("flags", 2);
    let server = start(config.param("ds_hash_size", 8));
    let drain = |set, port| {
        let uri = format!("sip:127.0.0.1:{port}");
        let drained = server.jsonrpc("dispatcher.set_state", json!(["drain", set, uri]));
        drained.unwrap();
    };
    let calls = |set| drain_status(&server, set)["TARGETS"][0]["DEST"]["CALLS"].clone();
    invite(&server, "1", "dst,1,8");
    assert_eq!(up(&server), 0);
    drain(1, 7001);
    drain(2, 7003);
    assert_eq!(
        calls("1"),
        null(),
        "it may have calls that nobody has counted"
    );
    invite(&server, "1", "dst,1,10");
    assert_eq!(up(&server), 1);
    assert_eq!((calls("1"), calls("2")), (json!(0), null()));
    server.jsonrpc("dispatcher.reload", json!([])).unwrap();
    assert_eq!((calls("1"), calls("2")), (json!(0), null()));
}

//! Shared memory: flat over thousands of changes, and a list that does not fit changes nothing.

use harness::lab::lab;
use harness::{
    Kamailio, Module, Request, Uac, patience, poll, sanitizer, under_valgrind, wait_for,
};
use serde_json::{Value, json};

/// Times that something is done.
fn times() -> usize {
    if under_valgrind() { 100 } else { 10_000 }
}

const LIST: &str = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002 0 5 duid=b;weight=3\n\
                    2 sip:127.0.0.1:7003 8\n3 sip:127.0.0.1:7004\n";

/// The amount by which the server's own pieces may differ. Unit: bytes; 10,000 changes that each lost one
/// byte would already show.
const SLACK: i64 = 8_192;

/// Bytes of shared memory in use.
fn used(server: &Kamailio) -> i64 {
    let stats = server.jsonrpc("core.shmmem", json!([])).unwrap();
    let used = &stats["used"];
    used.as_i64()
        .or_else(|| used.as_str().and_then(|text| text.parse().ok()))
        .unwrap_or_else(|| panic!("no used in {stats}"))
}

/// Waits until the memory in use is at most `limit`: what was replaced goes with the next tick.
fn falls_to(server: &Kamailio, limit: i64) {
    let limit = limit + sanitizer::kept();
    let step = std::time::Duration::from_millis(20);
    let last = poll(step, patience(10), || used(server), |used| *used <= limit);
    assert!(
        last <= limit,
        "shared memory at most {limit} bytes, but it is {last}"
    );
}

fn start() -> Kamailio {
    Kamailio::start(Module::Rust, lab().children(1).list(LIST))
}

fn rpc(server: &Kamailio, method: &str, params: Value) {
    server
        .jsonrpc(method, params.clone())
        .unwrap_or_else(|fault| panic!("{method} {params}: {fault}"));
}

/// 2bfef63949, fc53c424f4, 7fb8c88c1d: the C module lost memory with each reload more than once.
#[test]
fn shared_memory_is_flat_over_ten_thousand_reloads() {
    let server = start();
    (0..20).for_each(|_| rpc(&server, "dispatcher.reload", json!([])));
    let base = used(&server);
    (0..times()).for_each(|_| rpc(&server, "dispatcher.reload", json!([])));
    falls_to(&server, base + SLACK);
}

/// C5: the C module loses some 470 bytes with each remove.
#[test]
fn shared_memory_is_flat_over_ten_thousand_adds_and_removes() {
    let server = start();
    let pair = |n: usize| {
        // Into a set that is there, and one that comes and goes; by turns as the first and the last.
        let (set, uri) = ([1, 9][n % 2], format!("sip:127.0.0.1:{}", 8_000 + n % 7));
        let attrs = "duid=x;weight=5;note=some";
        rpc(
            &server,
            "dispatcher.add",
            json!([set, uri, 0, n % 3, attrs]),
        );
        rpc(&server, "dispatcher.remove", json!([set, uri]));
    };
    (0..20).for_each(pair);
    let base = used(&server);
    (0..times()).for_each(pair);
    falls_to(&server, base + SLACK);
}

/// C15: the C module loses memory with each reload and each add that is refused; and the same for
/// what else is refused, and for modify.
#[test]
fn shared_memory_is_flat_over_refused_changes_and_modifies() {
    let server = Kamailio::start(Module::Rust, lab().param("ds_load_mode", 1).list(LIST));
    server.allow_log("ERROR: dispatcher ");
    let refused = |method: &str, params: Value| {
        server.jsonrpc(method, params).unwrap_err();
    };
    let round = |n: usize| {
        refused("dispatcher.add", json!([1, "x"]));
        refused("dispatcher.add", json!([1, "sip:127.0.0.1:7001"]));
        refused("dispatcher.remove", json!([1, "sip:127.0.0.1:9"]));
        refused(
            "dispatcher.modify",
            json!([1, "duid=none", "priority", "1"]),
        );
        refused("dispatcher.reload", json!([]));
        let attrs = format!("duid=b;weight={}", 1 + n % 100);
        rpc(
            &server,
            "dispatcher.modify",
            json!([1, "duid=b", "priority", n % 10, "attrs", attrs]),
        );
        rpc(&server, "dispatcher.check", json!([]));
    };
    server.write_list("1 sip:127.0.0.1:7001\n1 x\n");
    (0..20).for_each(round);
    let base = used(&server);
    (0..times() / 10).for_each(round);
    falls_to(&server, base + SLACK);
}

/// C13: in the C module a list that does not fit ends the server, or makes every later reload fail.
#[test]
fn a_list_that_does_not_fit_leaves_the_old_one_and_a_later_one_works() {
    const MESSAGE: &str = "out of shared memory (see the server's -m option)";
    let server = Kamailio::start(Module::Rust, lab().shm_mb(6).list(LIST));
    server.allow_log(MESSAGE);
    // Of the server's own allocator.
    server.allow_log("ERROR: <core> ");
    server.allow_log("WARNING: <core> ");
    let uac = Uac::new();
    let works = || {
        let select = Request::new("OPTIONS", "sip:sel8@lab.test").header("X-Set", "1");
        assert_eq!(
            uac.request(server.addr(), &select).text("X-Du"),
            "sip:127.0.0.1:7002"
        );
    };
    works();
    let base = used(&server);
    for sets in [1, 5_000, 50_000] {
        let line = |n: usize| format!("{} sip:10.{}.{}.1:5060\n", n % sets + 1, n / 250, n % 250);
        server.write_list((0..50_000).map(line).collect::<String>());
        for _ in 0..3 {
            let log = server.log().matches(MESSAGE).count();
            let fault = server.kamcmd(&["dispatcher.reload"]).unwrap_err();
            assert_eq!(fault.text, format!("Reload Failed: {MESSAGE}"));
            assert_eq!(
                server.log().matches(MESSAGE).count() - log,
                1,
                "one clear message"
            );
            assert_eq!(server.dests(1).len(), 2);
            works();
        }
        falls_to(&server, base + SLACK);
        server.write_list(LIST.to_owned() + "4 sip:127.0.0.1:7005\n");
        server.kamcmd(&["dispatcher.reload"]).unwrap();
        assert_eq!(server.dests(4).len(), 1);
        server
            .kamcmd(&["dispatcher.remove", "4", "sip:127.0.0.1:7005"])
            .unwrap();
        works();
    }
    falls_to(&server, base + SLACK);
}

/// Adds end the memory, too: what is there stays, and the rest works on.
#[test]
fn adds_until_the_memory_ends_break_nothing() {
    let server = Kamailio::start(Module::Rust, lab().shm_mb(6).list(LIST));
    server.allow_log("ERROR: <core> ");
    server.allow_log("WARNING: <core> ");
    let base = used(&server);
    let attrs = format!("note={}", "x".repeat(20_000));
    let uri = |n: usize| format!("sip:127.0.1.{}:{}", n % 250, 7_000 + n / 250);
    let add = |n: usize| server.jsonrpc("dispatcher.add", json!([7, uri(n), 0, 0, attrs]));
    let full = (0..2_000).find_map(|n| add(n).err().map(|fault| (n, fault)));
    let (added, fault) = full.expect("the memory ends");
    assert_eq!(fault.code, 500);
    assert!(fault.text.contains("out of shared memory"), "{fault}");
    assert!(added > 20, "{added}");
    for n in 0..added {
        rpc(&server, "dispatcher.remove", json!([7, uri(n)]));
    }
    wait_for("room for one more", patience(10), || add(0).ok());
    rpc(&server, "dispatcher.remove", json!([7, uri(0)]));
    falls_to(&server, base + SLACK);
    assert_eq!(server.dests(1).len(), 2);
}

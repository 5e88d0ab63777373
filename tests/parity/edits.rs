//! RPC that changes the running list: `dispatcher.add` and `remove`, `set_duid_state`, `ping_active`.
//!
//! Each destination has a priority of its own, so that both modules have the same order after an edit.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::compare_lists;
use crate::pair::Pair;
use crate::report::Report;
use harness::{Config, Kamailio, Probe};

const LIST: &str = "\
    1 sip:127.0.0.1:7001 0 50 duid=one;maxload=3\n1 sip:127.0.0.1:7002 8 40 duid=two\n\
    1 sip:127.0.0.1:7003 1 30 duid=three;weight=5\n1 sip:bob@127.0.0.1:7004;transport=tcp 0 20\n\
    2 sip:127.0.0.1:7001 0 10 duid=ONE\n\
    5 sip:127.0.0.1:7001 0 2 duid=same\n5 sip:127.0.0.1:7002 0 1 duid=same\n";

#[test]
fn states_by_duid() {
    compare_lists(|report, _| states(report, &Pair::start(config())));
}

#[test]
fn arguments_of_add_and_remove() {
    compare_lists(|report, _| shapes(report, &Pair::start(config())));
}

#[test]
fn random_edits() {
    compare_lists(|report, rng| random(report, &Pair::start(config()), rng));
}

#[test]
fn ping_active() {
    compare_lists(|report, _| {
        for interval in [0, 60] {
            let pair = Pair::start(config().param("ds_ping_interval", interval));
            pings(report, &pair, &format!("ping interval {interval}"));
        }
    });
}

fn config() -> Config {
    Probe::new()
        .config()
        .list(LIST)
        .param("flags", 2)
        .param("reload_delta", 0)
}

/// Asks, and compares the list afterwards.
fn ask(report: &mut Report, pair: &Pair, what: &str, method: &str, params: &Value) {
    pair.json(report, what, method, params.clone());
    let after = format!("{what}: after {method} {params}");
    report.compare(&after, &sets(&pair.c), &sets(&pair.ours));
}

/// The sets by their ids: the C module changes their order at each edit.
fn sets(server: &Kamailio) -> String {
    let mut list = match server.jsonrpc("dispatcher.list", json!([])) {
        Ok(list) => list,
        Err(fault) => return fault.to_string(),
    };
    if let Some(sets) = list["RECORDS"].as_array_mut() {
        sets.sort_by_key(|set| set["SET"]["ID"].as_i64());
    }
    format!("{list:#}")
}

/// `dispatcher.set_duid_state`, as `set_state` for what has that `duid`.
fn states(report: &mut Report, pair: &Pair) {
    for params in [
        json!(["i", 1, "one"]),
        json!(["ap", 1, "two"]),
        json!(["tp", 1, "ONE"]),
        json!(["d", 2, "one"]),
        json!(["dp", 2, "ONE"]),
        json!(["a", 1, "all"]),
        json!(["i", 1, "ALL"]),
        json!(["i", 1, "alles"]),
        json!(["i", 2, "al"]),
        json!(["ip", 2, "all"]),
        json!(["i", 9, "one"]),
        json!(["i", 1, "nobody"]),
        json!(["x", 1, "one"]),
        json!(["", 1, "one"]),
        json!(["p", 1, "one"]),
        json!(["i", 1]),
        json!(["i"]),
        json!([]),
    ] {
        ask(report, pair, "duid", "dispatcher.set_duid_state", &params);
    }
    for args in [&["i", "1", "two"][..], &["i", "x", "two"], &["i", "1"]] {
        let args = [&["dispatcher.set_duid_state"], args].concat();
        pair.kamcmd(report, "duid", &args);
    }
    // Both answer otherwise, and have other states afterwards: undone in both.
    for (what, set, duid) in [
        ("duid that is empty", 1, ""),
        ("duid of several", 5, "same"),
    ] {
        let params = json!(["i", set, duid]);
        ask(report, pair, what, "dispatcher.set_duid_state", &params);
        pair.prepare("dispatcher.set_state", json!(["a", set, "all"]));
    }
}

/// Arguments of `add` and `remove` that are there, are not, or make no sense.
fn shapes(report: &mut Report, pair: &Pair) {
    for params in [
        json!([3, "sip:127.0.0.1:7101"]),
        json!([6, "sip:127.0.0.1:7102", 1]),
        json!([3, "sip:127.0.0.1:7103", 8, 7]),
        json!([
            3,
            "sip:127.0.0.1:7104",
            2,
            9,
            "duid=four;weight=7;rweight=3"
        ]),
        json!([3, "sip:127.0.0.1:7105", 2, 11, ""]),
        json!([3, "sip:127.0.0.1:7106", 0, 12, "duid=six;"]),
        json!([3, "127.0.0.1:7107", 0, 13]),
        json!([0, "sip:127.0.0.1:7108", 0, 14]),
        json!([1]),
        json!([]),
        json!(["x"]),
    ] {
        ask(report, pair, "shapes", "dispatcher.add", &params);
    }
    for params in [
        json!([3, "sip:127.0.0.1:7103"]),
        json!([3, "127.0.0.1:7107"]),
        json!([0, "sip:127.0.0.1:7108"]),
        json!([3]),
        json!([]),
    ] {
        ask(report, pair, "shapes", "dispatcher.remove", &params);
    }
    for args in [
        &["dispatcher.add", "4", "sip:127.0.0.1:7201"][..],
        &["dispatcher.add", "4", "sip:127.0.0.1:7202", "1", "3"],
        &[
            "dispatcher.add",
            "4",
            "sip:127.0.0.1:7203",
            "0",
            "5",
            "duid=n;x=y",
        ],
        &["dispatcher.add", "4"],
        &["dispatcher.add", "x", "sip:127.0.0.1:7204"],
        &["dispatcher.remove", "4", "sip:127.0.0.1:7202"],
        &["dispatcher.remove", "4"],
        &["dispatcher.remove"],
    ] {
        pair.kamcmd(report, "shapes", args);
    }
}

/// A set that grows and shrinks, with selections and marks between the edits.
fn random(report: &mut Report, pair: &Pair, rng: &mut StdRng) {
    let mut there: Vec<u32> = Vec::new();
    for round in 0..120 {
        let what = format!("random edits {round}");
        if there.is_empty() || (there.len() < 12 && rng.random_bool(0.6)) {
            let port = 7301 + round;
            let flags = [0, 0, 0, 1, 2, 4, 8][rng.random_range(0..7)];
            let uri = format!("sip:127.0.0.1:{port}");
            let attrs = format!("duid=d{port};weight={}", rng.random_range(1..50));
            let params = json!([7, uri, flags, 1_000 - round, attrs]);
            ask(report, pair, &what, "dispatcher.add", &params);
            there.push(port);
        } else {
            let port = there.swap_remove(rng.random_range(0..there.len()));
            let params = json!([7, format!("sip:127.0.0.1:{port}")]);
            ask(report, pair, &what, "dispatcher.remove", &params);
        }
        if let Some(port) = there.first().filter(|_| rng.random_bool(0.3)) {
            let state = ["i", "a", "ap", "tp", "d"][rng.random_range(0..5)];
            let params = json!([state, 7, format!("d{port}")]);
            ask(report, pair, &what, "dispatcher.set_duid_state", &params);
        }
        pair.run(
            report,
            &what,
            "dst,7,8|dump|clean|dst,7,0|dump|from,7|active,7",
        );
    }
}

/// `dispatcher.ping_active`.
fn pings(report: &mut Report, pair: &Pair, what: &str) {
    for params in [json!([]), json!([0]), json!([]), json!([1]), json!([1])] {
        pair.json(report, what, "dispatcher.ping_active", params);
    }
    for params in [json!([2]), json!([-1]), json!(["x"]), json!(["0"])] {
        let what = format!("{what}, wrong");
        pair.json(report, &what, "dispatcher.ping_active", params);
    }
    pair.prepare("dispatcher.ping_active", json!([1]));
    pair.json(report, what, "dispatcher.ping_active", json!([]));
    for args in [
        &["dispatcher.ping_active"][..],
        &["dispatcher.ping_active", "0"],
    ] {
        pair.kamcmd(report, what, args);
    }
}

//! `ds_mark_dst` with every letter from every state, and `dispatcher.list` after it.

use serde_json::json;

use crate::compare;
use crate::pair::Pair;
use crate::report::Report;
use harness::{MARKS, Probe};

const LIST: &str = "1 sip:127.0.0.1:7001 0 9\n1 sip:127.0.0.1:7002 0 5\n1 sip:127.0.0.1:7003 0 1\n";

#[test]
fn marks_with_failover() {
    compare(|report, _| marks(report, 2));
}

#[test]
fn marks_without_failover() {
    compare(|report, _| marks(report, 0));
}

/// Every letter from every state.
fn marks(report: &mut Report, flags: i64) {
    let pair = Pair::start(Probe::new().config().list(LIST).param("flags", flags));
    let marks: Vec<String> = MARKS.iter().map(|m| format!("mark_{m}")).collect();
    for before in ["a", "ap", "t", "tp", "i", "ip", "d"] {
        for mark in marks.iter().map(String::as_str).chain(["mark"]) {
            from_state(report, &pair, before, mark);
        }
    }
    for operations in [
        "dst,1,8|mark_ip|nextdst|mark_i|nextdst|mark_d|nextdst|mark|dump",
        "dst,1,8|clean|dst,1,8|dump",
        "mark_a|dst,1,8|mark_tp|mark_tp|mark_tp|dst,1,8|dump",
    ] {
        pair.prepare("dispatcher.set_state", json!(["a", 1, "all"]));
        pair.run(report, &format!("mark chain flags {flags}"), operations);
        pair.json(report, operations, "dispatcher.list", json!([]));
    }
}

/// Selects the first destination, changes its state underneath, marks it, and lists.
fn from_state(report: &mut Report, pair: &Pair, before: &str, mark: &str) {
    pair.prepare("dispatcher.set_state", json!(["a", 1, "all"]));
    if ["i", "ip", "d"].contains(&before) {
        // Marks need a record of the destination, and only a usable one is selected.
        let set = format!("dst,1,8|mark_{before}|{mark}|{mark}|nextdst|{mark}");
        pair.run(report, "mark", &set);
    } else {
        pair.prepare(
            "dispatcher.set_state",
            json!([before, 1, "sip:127.0.0.1:7001"]),
        );
        pair.run(
            report,
            "mark",
            &format!("dst,1,8|{mark}|{mark}|nextdst|{mark}"),
        );
    }
    pair.json(
        report,
        &format!("{before} then {mark}"),
        "dispatcher.list",
        json!([]),
    );
}

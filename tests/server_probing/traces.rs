//! Traces of states: every mode, threshold, start and kind of destination, against a table.
//!
//! `PROBING_C=1` runs the packaged C module instead of ours: the table holds what it does.

use crate::server::{Cast, Config, Module, STARTS};

/// Mode, start flags, kind of destination, and its `FLAGS` before each ping with both thresholds
/// 1, 2 and 3. A dot: no ping follows. `bad` is every kind whose pings all fail; the first row
/// that fits counts.
///
/// Source: features 3.11, and the packaged module 5.6.3.
const TABLE: &[(i64, u32, &str, [&str; 3])] = &[
    // Only what is in probing is pinged. One result ends it, but for good ones of an inactive
    // destination below the threshold.
    (0, 0, "any", ["AX.", "AX.", "AX."]),
    (0, 8, "ok", ["AP AX.", "AP AX.", "AP AX."]),
    (0, 8, "any", ["AP IX.", "AP TX.", "AP TX."]),
    (0, 1, "any", ["IX.", "IX.", "IX."]),
    (0, 9, "ok", ["IP AX.", "IP IP AX.", "IP IP IP AX."]),
    (0, 9, "any", ["IP IX.", "IP IX.", "IP IX."]),
    // All are pinged.
    (
        1,
        0,
        "ok",
        ["AX AP AP AP AP", "AX AP AP AP AP", "AX AP AP AP AP"],
    ),
    (
        1,
        0,
        "bad",
        ["AX IP IP IP IP", "AX TP IP IP IP", "AX TP TP IP IP"],
    ),
    (
        1,
        0,
        "changes",
        [
            "AX IP IP AP IP IP IP AP AP AP",
            "AX TP IP IP IP IP IP IP AP AP",
            "AX TP TP AP TP TP IP IP IP AP",
        ],
    ),
    (
        1,
        8,
        "ok",
        ["AP AP AP AP AP", "AP AP AP AP AP", "AP AP AP AP AP"],
    ),
    (
        1,
        8,
        "bad",
        ["AP IP IP IP IP", "AP TP IP IP IP", "AP TP TP IP IP"],
    ),
    (
        1,
        8,
        "changes",
        [
            "AP IP IP AP IP IP IP AP AP AP",
            "AP TP IP IP IP IP IP IP AP AP",
            "AP TP TP AP TP TP IP IP IP AP",
        ],
    ),
    (
        1,
        1,
        "ok",
        ["IX AP AP AP AP", "IX IP AP AP AP", "IX IP IP AP AP"],
    ),
    (
        1,
        1,
        "bad",
        ["IX IP IP IP IP", "IX IP IP IP IP", "IX IP IP IP IP"],
    ),
    (
        1,
        1,
        "changes",
        [
            "IX IP IP AP IP IP IP AP AP AP",
            "IX IP IP IP IP IP IP IP AP AP",
            "IX IP IP IP IP IP IP IP IP AP",
        ],
    ),
    (
        1,
        9,
        "ok",
        ["IP AP AP AP AP", "IP IP AP AP AP", "IP IP IP AP AP"],
    ),
    (
        1,
        9,
        "bad",
        ["IP IP IP IP IP", "IP IP IP IP IP", "IP IP IP IP IP"],
    ),
    (
        1,
        9,
        "changes",
        [
            "IP IP IP AP IP IP IP AP AP AP",
            "IP IP IP IP IP IP IP IP AP AP",
            "IP IP IP IP IP IP IP IP IP AP",
        ],
    ),
    // Only what is inactive and in probing is pinged, until it is active.
    (2, 0, "any", ["AX.", "AX.", "AX."]),
    (2, 8, "any", ["AP.", "AP.", "AP."]),
    (2, 1, "any", ["IX.", "IX.", "IX."]),
    (2, 9, "ok", ["IP AX.", "IP IP AX.", "IP IP IP AX."]),
    (
        2,
        9,
        "bad",
        ["IP IP IP IP IP", "IP IP IP IP IP", "IP IP IP IP IP"],
    ),
    (
        2,
        9,
        "changes",
        [
            "IP IP IP AX.",
            "IP IP IP IP IP IP IP IP AX.",
            "IP IP IP IP IP IP IP IP IP AX.",
        ],
    ),
    // Only what is in probing is pinged, and stays in probing.
    (3, 0, "any", ["AX.", "AX.", "AX."]),
    (
        3,
        8,
        "ok",
        ["AP AP AP AP AP", "AP AP AP AP AP", "AP AP AP AP AP"],
    ),
    (
        3,
        8,
        "bad",
        ["AP IP IP IP IP", "AP TP IP IP IP", "AP TP TP IP IP"],
    ),
    (
        3,
        8,
        "changes",
        [
            "AP IP IP AP IP IP IP AP AP AP",
            "AP TP IP IP IP IP IP IP AP AP",
            "AP TP TP AP TP TP IP IP IP AP",
        ],
    ),
    (3, 1, "any", ["IX.", "IX.", "IX."]),
    (
        3,
        9,
        "ok",
        ["IP AP AP AP AP", "IP IP AP AP AP", "IP IP IP AP AP"],
    ),
    (
        3,
        9,
        "bad",
        ["IP IP IP IP IP", "IP IP IP IP IP", "IP IP IP IP IP"],
    ),
    (
        3,
        9,
        "changes",
        [
            "IP IP IP AP IP IP IP AP AP AP",
            "IP IP IP IP IP IP IP IP AP AP",
            "IP IP IP IP IP IP IP IP IP AP",
        ],
    ),
];

fn module() -> Module {
    match std::env::var_os("PROBING_C") {
        Some(_) => Module::C,
        None => Module::Rust,
    }
}

/// The trace that the table promises for `kind-start`.
fn expected(mode: i64, threshold: i64, name: &str) -> String {
    let (kind, start) = name.split_once('-').expect("kind and start");
    let bad = !matches!(kind, "ok" | "changes");
    let row = TABLE.iter().find(|(m, s, k, _)| {
        *m == mode && s.to_string() == start && (*k == kind || *k == "any" || *k == "bad" && bad)
    });
    let column = usize::try_from(threshold - 1).expect("a column");
    let trace = row.expect("a row").3[column];
    if matches!(kind, "icmp" | "tcp") {
        distinct(trace)
    } else {
        trace.to_owned()
    }
}

/// What somebody sees who looks all the time: `AX TP TP IP` is `AX>TP>IP`.
fn distinct(trace: &str) -> String {
    let mut seen: Vec<&str> = trace.trim_end_matches('.').split(' ').collect();
    seen.dedup();
    seen.join(">")
}

/// Runs one server for each mode and threshold, all at once; yields what differs.
fn differences(
    thresholds: &[i64],
    starts: &'static [u32],
    config: fn(i64, i64) -> Config,
) -> Vec<String> {
    let run = |mode, threshold| {
        let cast = Cast::start(module(), config(mode, threshold), starts);
        let mut wrong = Vec::new();
        for line in cast.traces(starts) {
            let (name, trace) = line.split_once(": ").expect("name and trace");
            let expected = expected(mode, threshold, name);
            if trace != expected {
                let what = format!("mode {mode}, threshold {threshold}, {name}");
                wrong.push(format!("{what}: {trace}, expected {expected}"));
            }
        }
        wrong
    };
    std::thread::scope(|scope| {
        let run = &run;
        let cells = (0..4).flat_map(|mode| thresholds.iter().map(move |t| (mode, *t)));
        let runs: Vec<_> = cells.map(|(m, t)| scope.spawn(move || run(m, t))).collect();
        let ends = runs.into_iter().map(|r| r.join().expect("the server ran"));
        ends.flatten().collect()
    })
}

fn assert_none(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn traces_are_those_of_the_table_in_5_6() {
    let config = |mode, threshold| match module() {
        Module::C => Cast::config(mode, threshold),
        _ => Cast::config(mode, threshold).param("compat", "5.6"),
    };
    assert_none(&differences(&[1, 2, 3], &STARTS, config));
}

#[test]
fn traces_are_the_same_in_6_1() {
    let config = |mode, threshold| Cast::config(mode, threshold).param("compat", "6.1");
    assert_none(&differences(&[2], &STARTS, config));
}

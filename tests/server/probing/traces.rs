//! Traces of states: every mode, threshold, start and kind of destination, against tables.

use super::stage::module;
use super::table::{OLD_TIME, Row, TABLE, rows, trace};
use harness::{Cast, Config, Module, STARTS};

/// The trace that the table promises for `kind-start`.
fn expected(table: &[Row], mode: i64, threshold: i64, name: &str) -> String {
    let (kind, start) = name.split_once('-').expect("kind and start");
    let trace = trace(table, mode, threshold, start.parse().expect("flags"), kind);
    match kind {
        "icmp" | "tcp" => distinct(&trace),
        "changes" => trace,
        _ => trace.split(' ').take(5).collect::<Vec<_>>().join(" "),
    }
}

/// Returns the different states of a trace in turn: `AX TP TP IP` is `AX>TP>IP`.
fn distinct(trace: &str) -> String {
    let mut seen: Vec<&str> = trace.trim_end_matches('.').split(' ').collect();
    seen.dedup();
    seen.join(">")
}

/// Runs one server for each mode and threshold, all at once; yields what differs.
fn differences(
    tables: &[&'static str],
    thresholds: &[i64],
    starts: &'static [u32],
    config: fn(i64, i64) -> Config,
) -> Vec<String> {
    let table: &Vec<Row> = &tables.iter().flat_map(|table| rows(table)).collect();
    let cells = (0..4).flat_map(|mode| thresholds.iter().map(move |t| (mode, *t)));
    let cells: Vec<(i64, i64)> = cells.collect();
    let start = |(mode, threshold): &(i64, i64)| Cast::start(module(), config(*mode, *threshold));
    let casts: Vec<Cast> = cells.iter().map(start).collect();
    let run = |cast: &Cast, (mode, threshold): (i64, i64)| {
        cast.begin(starts);
        let mut wrong = Vec::new();
        for line in cast.traces(starts) {
            let (name, trace) = line.split_once(": ").expect("name and trace");
            let expected = expected(table, mode, threshold, name);
            if trace != expected {
                let what = format!("mode {mode}, threshold {threshold}, {name}");
                wrong.push(format!("{what}: {trace}, expected {expected}"));
            }
        }
        wrong
    };
    std::thread::scope(|scope| {
        let pairs = casts.iter().zip(cells);
        let runs: Vec<_> = pairs
            .map(|(c, cell)| scope.spawn(move || run(c, cell)))
            .collect();
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
    assert_none(&differences(&[TABLE], &[1, 2, 3], &STARTS, config));
}

#[test]
fn traces_are_the_same_in_6_1() {
    let config = |mode, threshold| Cast::config(mode, threshold).param("compat", "6.1");
    assert_none(&differences(&[TABLE], &[2], &STARTS, config));
}

#[test]
fn traces_in_3_2_differ_in_what_is_out_and_pinged() {
    let config = |mode, threshold| Cast::config(mode, threshold).param("compat", "3.2");
    assert_none(&differences(&[OLD_TIME, TABLE], &[1, 3], &STARTS, config));
}

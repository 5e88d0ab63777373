//! Parity with the packaged C module: the same config, lists and traffic under both, side by side.
//!
//! `PARITY_SEED` chooses the random cases; the seed is printed. Differences that are meant are in
//! `differences.rs` and `doc/differences.md`; any other one fails the run.
#![cfg(test)]

mod database;
mod differences;
mod edits;
mod failover;
mod files;
mod from_list;
mod groups;
mod keys;
mod mark;
mod overload;
mod pair;
mod params;
mod probing;
mod report;
mod routes;
mod rpc;
mod select;
mod sets;
mod worth;

use std::io::Write;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;

use harness::{packaged, this_server};
use report::Report;

/// A part of the run.
type Section = fn(&mut Report, &mut StdRng);

/// Sections that use the processor, one after the other.
const BUSY: [(&str, Section); 12] = [
    ("select", select::all),
    ("routes", routes::all),
    ("files", files::all),
    ("rpc", rpc::all),
    ("edits", edits::all),
    ("mark", mark::all),
    ("from_list", from_list::all),
    ("params", params::all),
    ("database", database::all),
    ("worth", worth::all),
    ("overload", overload::all),
    ("groups", groups::all),
];

/// A section that mostly waits for timers, and runs beside the others.
const WAITING: [(&str, Section); 1] = [("failover", failover::all)];

/// A section that must have the processor when its timers fire; it runs when the others are done.
const TIMED: [(&str, Section); 1] = [("probing", probing::all)];

/// Whether the C module of this server can answer a section's questions; if not, that is said.
fn can_be_compared(section: &str) -> bool {
    let about_lists = ["files", "rpc", "edits", "database"].contains(&section);
    if about_lists && !packaged::lists_can_be_compared() {
        this_server::skip_part(section, "this C module lists neither full nor short");
        return false;
    }
    if section == "overload" && !packaged::has("ds_oc_set_attrs") {
        this_server::skip_part(section, "this C module knows no overload control");
        return false;
    }
    if section == "groups" && !packaged::has("ds_dsg_fetch_uri") {
        this_server::skip_part(section, "this C module has no $dsg");
        return false;
    }
    let about_flag_16 = section == "from_list";
    if about_flag_16 && this_server::core() < (5, 5) {
        this_server::skip_part(section, "this C module knows no list flag 16");
        return false;
    }
    true
}

#[test]
fn parity_with_the_c_module() {
    if this_server::lacks_c_module() {
        return;
    }
    let seed = std::env::var("PARITY_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(2026);
    let only = std::env::var("PARITY_ONLY").unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "parity: seed {seed}");
    let run_all = |sections: &[(&'static str, Section)]| {
        let chosen = sections
            .iter()
            .filter(|(name, _)| name.contains(&only) && can_be_compared(name));
        chosen
            .map(|(name, section)| run(name, *section, seed))
            .collect::<Vec<Report>>()
    };
    let mut reports = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| run_all(&WAITING));
        let mut reports = run_all(&BUSY);
        reports.extend(waiting.join().expect("the waiting section ran to its end"));
        reports
    });
    reports.extend(run_all(&TIMED));
    Report::finish(reports);
}

/// Runs one section with a generator of its own, so that running it alone repeats its cases.
fn run(name: &str, section: Section, seed: u64) -> Report {
    let (mut report, start) = (Report::new(name), Instant::now());
    section(&mut report, &mut StdRng::seed_from_u64(seed));
    let (count, took) = (report.comparisons(), start.elapsed().as_secs_f32());
    let _ = writeln!(
        std::io::stderr(),
        "parity: {name}: {count} comparisons in {took:.1} s"
    );
    report
}

#[test]
fn a_difference_is_seen_and_counted() {
    let mut report = Report::new("self");
    report.compare("same", "= a rc=1\n= b rc=1", "= a rc=1\n= b rc=1");
    report.compare(
        "one line differs",
        "= a rc=1\n= b rc=1",
        "= a rc=1\n= b rc=-1",
    );
    report.compare("one line more", "= a rc=1", "= a rc=1\nx");
    report.check("a fact", false, "that does not hold");
    assert_eq!((report.comparisons(), report.unexplained()), (6, 3));
}

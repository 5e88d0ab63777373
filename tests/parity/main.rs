//! Parity with the packaged C module: the same config, lists and traffic under both, side by side.
//!
//! `PARITY_SEED` chooses the random cases of each test (2026), and `PARITY_TRACE` names a directory
//! for the questions and our answers. Differences that are meant are in `differences.rs` and
//! `doc/differences.md`; any other one fails its test.
#![cfg(test)]

mod calls;
mod database;
mod differences;
mod doors;
mod edits;
mod event_values;
mod failover;
mod files;
mod from_list;
mod groups;
mod hashed_texts;
mod keys;
mod mark;
mod mutated;
mod old_names;
mod overload;
mod pair;
mod params;
mod probing;
mod public;
mod refusals;
mod report;
mod resolving;
mod routes;
mod rpc;
mod select;
mod sets;

mod starts;
mod typed;
mod worth;

use std::sync::{PoisonError, RwLock};

use rand::SeedableRng;
use rand::rngs::StdRng;

use harness::{packaged, this_server};
use report::Report;

/// Written by a test that must have the processor for itself, read by every other one.
static PROCESSOR: RwLock<()> = RwLock::new(());

/// Makes the comparisons of a test with a random generator of its own, so that running the test
/// alone repeats its cases. Fails on a difference that nothing explains.
fn compare(comparisons: impl FnOnce(&mut Report, &mut StdRng)) {
    let _beside_others = PROCESSOR.read().unwrap_or_else(PoisonError::into_inner);
    book(comparisons);
}

/// Like [`compare`], while no other test runs.
fn compare_alone(comparisons: impl FnOnce(&mut Report, &mut StdRng)) {
    let _alone = PROCESSOR.write().unwrap_or_else(PoisonError::into_inner);
    book(comparisons);
}

/// Like [`compare`], if the C module has what the test is about.
fn compare_if(there: fn() -> bool, lack: &str, comparisons: impl FnOnce(&mut Report, &mut StdRng)) {
    if this_server::has_module("dispatcher.so") && !there() {
        this_server::skip(lack);
    } else {
        compare(comparisons);
    }
}

/// Like [`compare`], if the C module shows its lists so that they can be compared.
fn compare_lists(comparisons: impl FnOnce(&mut Report, &mut StdRng)) {
    let lack = "this C module lists neither full nor short";
    compare_if(packaged::lists_can_be_compared, lack, comparisons);
}

fn book(comparisons: impl FnOnce(&mut Report, &mut StdRng)) {
    if this_server::lacks_c_module() {
        return;
    }
    let seed = std::env::var("PARITY_SEED").map_or(2026, |seed| seed.parse().expect("a number"));
    let mut report = Report::new();
    comparisons(&mut report, &mut StdRng::seed_from_u64(seed));
    report.finish(seed);
}

#[test]
fn a_difference_is_seen_and_counted() {
    let mut report = Report::new();
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

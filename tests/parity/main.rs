//! Parity with the packaged C module: the same config, lists and traffic under both, side by side.
//!
//! `PARITY_SEED` chooses the random cases; the seed is printed. Differences that are meant are in
//! `differences.rs` and `doc/differences.md`; any other one fails the run.
#![cfg(feature = "server-tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failure here is a failed test"
)]

#[path = "../server/mod.rs"]
mod server;

mod differences;
mod failover;
mod files;
mod from_list;
mod keys;
mod mark;
mod pair;
mod params;
mod report;
mod rpc;
mod select;
mod sets;

use std::io::Write;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;

use report::Report;

/// A part of the run.
type Section = fn(&mut Report, &mut StdRng);

#[test]
fn parity_with_the_c_module() {
    let seed = std::env::var("PARITY_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(2026);
    let only = std::env::var("PARITY_ONLY").unwrap_or_default();
    let sections: [(&str, Section); 7] = [
        ("select", select::all),
        ("files", files::all),
        ("rpc", rpc::all),
        ("mark", mark::all),
        ("failover", failover::all),
        ("from_list", from_list::all),
        ("params", params::all),
    ];
    let mut report = Report::default();
    let _ = writeln!(std::io::stderr(), "parity: seed {seed}");
    for (name, section) in sections {
        if !name.contains(&only) {
            continue;
        }
        // Each section has its own generator, so that running one alone repeats its cases.
        let mut rng = StdRng::seed_from_u64(seed);
        let (start, before) = (Instant::now(), report.comparisons());
        section(&mut report, &mut rng);
        let (count, took) = (report.comparisons() - before, start.elapsed().as_secs_f32());
        let _ = writeln!(
            std::io::stderr(),
            "parity: {name}: {count} comparisons in {took:.1} s"
        );
    }
    report.finish();
}

//! Runs many seeds, and shows that wrong rules are found.

use std::io::Write;

use dispatcher::dispatch::cluster::state::rules::{Rules, Sound};
use dispatcher_simulator::faults::{LostTieBreak, OtherLife, OtherList, StaleNumber};
use dispatcher_simulator::many::{Failure, run_all};

/// Prints lines that the test runner does not capture.
fn say(lines: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{lines}");
}

#[test]
fn ten_thousand_seeds_end_well() {
    match run_all::<Sound>(0..10_000, None) {
        Ok(figures) => say(&format!("simulator: {figures}")),
        Err(Failure { seed, wrong }) => {
            panic!("seed {seed}: {wrong}\nagain: make simulate FROM={seed} SEEDS=1 TRACE=1")
        }
    }
}

#[test]
fn ten_seeds_with_a_hundred_nodes_end_well() {
    match run_all::<Sound>(0..10, Some(100)) {
        Ok(figures) => say(&format!("simulator, 100 nodes: {figures}")),
        Err(Failure { seed, wrong }) => {
            panic!(
                "seed {seed}: {wrong}\nagain: make simulate FROM={seed} SEEDS=1 TRACE=1 NODES=100"
            )
        }
    }
}

/// Returns what the simulator says of wrong rules.
fn found<R: Rules>() -> String {
    let failure = run_all::<R>(0..2_000, None).expect_err("a seed that finds it");
    say(&format!(
        "{} is found by seed {}",
        std::any::type_name::<R>(),
        failure.seed
    ));
    failure.wrong
}

#[test]
fn a_lost_tie_break_is_found() {
    let wrong = found::<LostTieBreak>();
    assert!(wrong.contains("registers differ"), "{wrong}");
}

#[test]
fn a_stale_number_that_is_taken_is_found() {
    let wrong = found::<StaleNumber>();
    assert!(wrong.contains("takes a message again"), "{wrong}");
}

#[test]
fn a_register_applied_to_another_list_is_found() {
    let wrong = found::<OtherList>();
    assert!(wrong.contains("has applied"), "{wrong}");
}

#[test]
fn registers_for_an_earlier_life_that_are_taken_are_found() {
    let wrong = found::<OtherLife>();
    assert!(wrong.contains("is ready with"), "{wrong}");
}

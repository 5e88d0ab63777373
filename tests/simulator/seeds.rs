//! Runs many seeds, and shows that wrong rules are found.

use std::io::Write;

use dispatcher::dispatch::cluster::state::rules::{Rules, Sound};
use dispatcher_simulator::calm::measure;
use dispatcher_simulator::faults::{
    EarlyOblivion, EternalCalls, EternalRow, LostTieBreak, OtherLife, OtherList, StaleNumber,
    StaleWord,
};
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

/// The bytes of a hello in a cluster of this many nodes, with short names.
fn hello_bytes(nodes: u64) -> u64 {
    120 + 40 * (nodes - 1)
}

#[test]
fn a_calm_cluster_sends_what_the_formulas_say() {
    for (nodes, destinations) in [(3, 1_000), (5, 1_000), (20, 1_000)] {
        let calm = measure(nodes, destinations).expect("a calm cluster");
        say(&format!("simulator: {calm}"));
        let nodes = nodes as u64;
        let is_near = |found: u64, said: u64| found.abs_diff(said) * 5 <= said;
        let hellos = nodes * (nodes - 1) * 10;
        assert!(is_near(calm.hellos.messages, hellos), "{calm}");
        assert!(
            is_near(calm.hellos.bytes, hellos * hello_bytes(nodes)),
            "{calm}"
        );
        // One message to each other node for each hundred acts, and to nobody again.
        assert_eq!(calm.act.messages, nodes - 1);
        assert_eq!(calm.acts.messages, (nodes - 1) * destinations.div_ceil(100));
        // At most all nodes send all to one that joins.
        assert!(
            calm.join.messages <= (nodes - 1) * (destinations.div_ceil(100) + 1),
            "{calm}"
        );
    }
}

#[test]
fn many_acts_are_sent_by_the_node_that_decided_them_and_by_no_other() {
    let (nodes, acts) = (12, 10_000);
    let calm = measure(nodes, acts).expect("a calm cluster");
    say(&format!("simulator: {calm}"));
    // While they are sent, any two nodes have different ones for seconds.
    let needed = (nodes as u64 - 1) * acts.div_ceil(100);
    assert!(calm.acts.messages <= needed * 11 / 10, "{calm}");
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
fn calls_that_count_for_ever_are_found() {
    let wrong = found::<EternalCalls>();
    assert!(wrong.contains("calls elsewhere and not"), "{wrong}");
}

#[test]
fn figures_that_are_taken_back_and_forgotten_too_early_are_found() {
    let wrong = found::<EarlyOblivion>();
    assert!(wrong.contains("calls elsewhere and not"), "{wrong}");
}

#[test]
fn registers_for_an_earlier_life_that_are_taken_are_found() {
    let wrong = found::<OtherLife>();
    assert!(wrong.contains("is ready with"), "{wrong}");
}

#[test]
fn the_word_of_a_member_that_no_longer_pings_is_found() {
    let wrong = found::<StaleWord>();
    assert!(wrong.contains("nobody has pinged"), "{wrong}");
}

#[test]
fn the_failures_of_a_watcher_that_count_for_ever_are_found() {
    let wrong = found::<EternalRow>();
    assert!(wrong.contains("down too soon"), "{wrong}");
}

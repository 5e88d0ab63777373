//! A little of each, with one seed, and the parts that garbage is made of.

use super::act;
use super::stage::{NAMED, Stage, VARIANTS};

/// The seed of all tests: what they do is the same in each run, but for the time that it takes.
const SEED: u64 = 16;

fn good(done: act::Done) {
    match done {
        Ok(counts) => println!("{counts:#?}"),
        Err(faults) => panic!("{}", faults.join("\n")),
    }
}

#[test]
fn calls_go_on_under_garbage() {
    if !Stage::is_impossible() {
        good(act::garbage(VARIANTS[1], SEED, |round| round < 40));
    }
}

#[test]
fn garbage_makes_no_long_lines() {
    if !Stage::is_impossible() {
        good(act::garbage(VARIANTS[0], SEED, |round| round < 4));
    }
}

#[test]
fn calls_go_on_while_names_are_lies() {
    if !Stage::is_impossible() {
        good(act::names(NAMED[2], SEED, |round| round < 8));
    }
}

#[test]
fn calls_go_on_while_the_database_is_in_trouble() {
    if !Stage::is_impossible() {
        good(act::rows(SEED, |round| round < 6));
    }
}

//! `make torture`: a real server under load, with every fault that a machine can have, beside a model of what must hold.
//!
//! | file | what it has |
//! | --- | --- |
//! | `actor` | what does something again and again: the trait, and who is on the stage |
//! | `scene` | what all actors share: the server, the model, the ledger, what is disturbed |
//! | `model` | what must hold: states, calls, lists, edits, events |
//! | `world` | the config, the lists, the destinations that answer |
//! | `life` | one server from start to end, in rounds |
//! | `ends` | its end: it is told to stop, or one of its processes is killed |
//! | `quiet` | the comparison of the server with the model, when nothing is under way |
//! | `memory` | the shared memory that the server has then |
//! | `callers` | actors that make calls and selections |
//! | `operators` | actors that set states, edit, reload and list |
//! | `overload` | an actor that reports destinations as overloaded |
//! | `processes` | faults: processes that are stopped, go on, or are killed |
//! | `machine` | faults: memory, heap, disk, clock |
//! | `ledger` | what was done, what went wrong |
//! | `excuses` | log lines that a fault explains |
//!
//! `TORTURE_SECONDS` (600) is how long it takes, `TORTURE_SEED` repeats the choices of a run.

mod actor;
mod callers;
mod ends;
mod excuses;
mod ledger;
mod life;
mod machine;
mod memory;
mod model;
mod operators;
mod overload;
mod processes;
mod quiet;
mod scene;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use harness::Trial;
use rand::SeedableRng;
use rand::rngs::StdRng;

use ledger::Ledger;
use life::{End, Run};
use world::{Scale, World};

fn main() -> ExitCode {
    let trial = Trial::begin("torture", 600);
    let begun = Instant::now();
    let ledger = Ledger::new(trial.seed);
    let mut run = Run::new(World::new(Scale::of(trial.seconds), &ledger), ledger);
    let mut random = StdRng::seed_from_u64(trial.seed);
    let end = begun + Duration::from_secs(trial.seconds);
    let mut lives = 0;
    while lives < 2 || (Instant::now() < end && !run.ledger.is_full()) {
        let how = End::choose(lives, &mut random);
        let (time, violations) = (begun.elapsed().as_secs(), run.ledger.violations());
        println!(
            "torture: {time} s, {violations} violations; server {} ends by {how:?}",
            lives + 1
        );
        run.live(how, &mut random, end);
        lives += 1;
    }
    println!(
        "torture: {} s, {lives} servers\n{}",
        begun.elapsed().as_secs(),
        run.ledger
    );
    let mut wrong = run.ledger.missed(trial.seconds);
    if run.ledger.is_full() {
        wrong.clear();
    }
    match run.ledger.violations() {
        0 => (),
        violations => wrong.push(format!("{violations} violations")),
    }
    trial.end(&wrong)
}

//! One server from start to end: who acts on it, and what must hold in the end.

use super::stage::{Counts, Stage, Variant};
use super::{database, dns, kemi, rpc, sip};

/// What was done, or what is wrong.
pub type Done = Result<Counts, Vec<String>>;

/// Rounds before the memory is measured: what a process takes once is no leak.
const WARM_UP: u64 = 10;

/// Adds what another server has seen. What is called slowest or longest is no sum.
pub fn add(counts: &mut Counts, done: Counts) {
    for (what, count) in done {
        let sum = counts.entry(what.clone()).or_default();
        *sum = match what.ends_with(", ms") {
            true => count.max(*sum),
            false => *sum + count,
        };
    }
}

/// SIP, commands and scripts at once.
pub fn garbage(variant: Variant, seed: u64, go_on: impl Fn(u64) -> bool + Copy + Send) -> Done {
    let mut stage = Stage::start(variant, seed);
    all_at_once(&stage, seed ^ 0xff, |round| round < WARM_UP).map_err(|why| stage.end_with(why))?;
    stage.measure();
    match all_at_once(&stage, seed, go_on) {
        Ok(counts) => stage.end(counts),
        Err(why) => Err(stage.end_with(why)),
    }
}

fn all_at_once(
    stage: &Stage,
    seed: u64,
    go_on: impl Fn(u64) -> bool + Copy + Send,
) -> Result<Counts, String> {
    std::thread::scope(|scope| {
        let actors = [
            scope.spawn(move || sip::run(stage, seed, go_on)),
            scope.spawn(move || rpc::run(stage, seed, go_on)),
            scope.spawn(move || kemi::run(stage, seed, go_on)),
        ];
        let mut counts = Counts::new();
        for actor in actors {
            let done = actor.join().map_err(|_| "an actor panicked")?;
            add(&mut counts, done?);
        }
        Ok(counts)
    })
}

/// A list of names, and a name server that lies.
pub fn names(variant: Variant, seed: u64, go_on: impl Fn(u64) -> bool) -> Done {
    let mut stage = Stage::start(variant, seed);
    dns::run(&stage, seed ^ 0xff, |round| round < WARM_UP / 3)
        .map_err(|why| stage.end_with(why))?;
    stage.measure();
    match dns::run(&stage, seed, go_on) {
        Ok(counts) => stage.end(counts),
        Err(why) => Err(stage.end_with(why)),
    }
}

/// A list from a database in trouble.
pub fn rows(seed: u64, go_on: impl Fn(u64) -> bool) -> Done {
    let (mut stage, mut base) = Stage::start_on_database(super::VARIANTS[1], seed);
    database::run(&stage, &mut base, seed ^ 0xff, |round| round < WARM_UP / 3)
        .map_err(|why| stage.end_with(why))?;
    stage.measure();
    match database::run(&stage, &mut base, seed, go_on) {
        Ok(counts) => stage.end(counts),
        Err(why) => Err(stage.end_with(why)),
    }
}

//! One server from start to end: the actors that send garbage to it, and the checks at its end.

use super::stage::{Counts, Stage, Variant};
use super::{database, dns, kemi, rpc, sip};

/// The counts of a server, or its faults.
pub type Done = Result<Counts, Vec<String>>;

/// Rounds before the memory is measured: what a process takes once is no leak.
const WARM_UP: u64 = 10;

/// Adds the counts of another server. Of times, it keeps the longest.
pub fn add(counts: &mut Counts, done: Counts) {
    for (what, count) in done {
        let sum = counts.entry(what.clone()).or_default();
        *sum = match what.ends_with(", ms") {
            true => count.max(*sum),
            false => *sum + count,
        };
    }
}

/// Sends garbage by SIP, commands and scripts at once.
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

/// Runs a list of names against a name server that lies.
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

/// Runs a list from a database that gets into trouble.
pub fn rows(seed: u64, go_on: impl Fn(u64) -> bool) -> Done {
    // Errors are in the log: a worker's `ds_reload()` gives no reason.
    let variant = Variant {
        debug: -1,
        ..super::VARIANTS[1]
    };
    let (mut stage, mut base) = Stage::start_on_database(variant, seed);
    database::run(&stage, &mut base, seed ^ 0xff, |round| round < WARM_UP / 3)
        .map_err(|why| stage.end_with(why))?;
    stage.measure();
    match database::run(&stage, &mut base, seed, go_on) {
        Ok(counts) => stage.end(counts),
        Err(why) => Err(stage.end_with(why)),
    }
}

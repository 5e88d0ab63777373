//! `make garbage`: garbage from everybody that the server talks to, and calls that must go on beside it.
//!
//! | file | contents |
//! | --- | --- |
//! | `act` | one server from start to end: the actors that send garbage to it, and the checks at its end |
//! | `canary` | requests and calls that must be answered correctly while garbage comes |
//! | `chance` | random choices from a seed |
//! | `database` | a database that hangs, breaks off, is killed, or has garbage in it |
//! | `dns` | a name server that lies |
//! | `forms` | SIP messages with the oddities of RFC 4475 |
//! | `frames` | packets of ctl's binary protocol |
//! | `kemi` | calls of KEMI functions with arguments of any number and type |
//! | `lies` | DNS answers that are wrong |
//! | `mutate` | changes to bytes that were correct |
//! | `pages` | garbage to the functions that answer over HTTP |
//! | `peers` | destinations that answer with garbage |
//! | `rpc` | garbage to every command through every transport |
//! | `sip` | SIP garbage into every function |
//! | `stage` | the server that receives the garbage |
//! | `words` | words for arguments |
//!
//! `GARBAGE_SECONDS` (300) is the time of a run, and `GARBAGE_SEED` repeats its choices. The tests do a little of each,
//! with one seed.

mod act;
mod canary;
mod chance;
mod database;
mod dns;
mod forms;
mod frames;
mod kemi;
mod lies;
mod mutate;
mod pages;
mod peers;
mod rpc;
mod sip;
mod stage;
#[cfg(test)]
mod tests;
mod words;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use harness::Trial;
use stage::{Counts, NAMED, Stage, VARIANTS};

fn main() -> ExitCode {
    let trial = Trial::begin("garbage", 300);
    if Stage::is_impossible() {
        return ExitCode::FAILURE;
    }
    let (begun, mut counts, mut wrong) = (Instant::now(), Counts::new(), Vec::new());
    let end = begun + Duration::from_secs(trial.seconds);
    let mut servers = 0;
    while servers == 0 || (Instant::now() < end && wrong.is_empty()) {
        let (seed, of) = (
            trial.seed.wrapping_add(servers),
            usize::try_from(servers).unwrap_or(0),
        );
        // A server that logs all garbage would fill the disk, so its life is short.
        let variant = VARIANTS[of / 3 % VARIANTS.len()];
        let life = Duration::from_secs(if variant.debug > -2 { 3 } else { 40 });
        let until = (Instant::now() + life).min(end);
        let go_on = move |_| Instant::now() < until;
        let acted = match of % 3 {
            0 => act::garbage(variant, seed, go_on),
            1 => act::names(NAMED[of / 3 % NAMED.len()], seed, go_on),
            _ => act::rows(seed, go_on),
        };
        match acted {
            Ok(done) => act::add(&mut counts, done),
            Err(faults) => wrong = faults,
        }
        servers += 1;
    }
    for (what, count) in &counts {
        println!("garbage: {count:>9} {what}");
    }
    println!(
        "garbage: {} s, {servers} servers",
        begun.elapsed().as_secs()
    );
    trial.end(&wrong)
}

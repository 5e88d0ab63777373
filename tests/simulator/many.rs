//! Many seeds, on all processors.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use dispatcher::dispatch::cluster::state::rules::Rules;

use crate::figures::Figures;
use crate::world::run;

/// A seed, and what does not hold in its run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    pub seed: u64,
    pub wrong: String,
}

/// Runs seeds, up to the first one in which something does not hold.
///
/// # Errors
/// That seed.
pub fn run_all<R: Rules>(seeds: Range<u64>, servers: Option<usize>) -> Result<Figures, Failure> {
    let (next, end) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let (figures, failure) = (Mutex::new(Figures::default()), Mutex::new(None::<Failure>));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return;
            }
            match run::<R>(seed, servers, false) {
                Ok(more) => *figures.lock().expect("figures") += more,
                Err(wrong) => {
                    // Seeds before it still run, so the first one is found, whatever the number of processors is.
                    end.fetch_min(seed, Ordering::Relaxed);
                    let mut first = failure.lock().expect("failure");
                    if first.as_ref().is_none_or(|first| seed < first.seed) {
                        *first = Some(Failure { seed, wrong });
                    }
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    match failure.into_inner().expect("failure") {
        Some(failure) => Err(failure),
        None => Ok(figures.into_inner().expect("figures")),
    }
}

//! Runs of a model, and what they report.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::memory::{self, Explorer};
use super::place::{self, Mutation, Place};

/// How a run of a model ended.
#[derive(Debug)]
pub struct Report {
    /// Executions that were explored, to the end or to the one that failed.
    pub executions: usize,
    /// How long it took.
    pub took: Duration,
    /// The places that it reached.
    pub places: BTreeSet<Place>,
    /// True if that of the mutation is one of them.
    pub mutated: bool,
    /// The message of the failure, if there was one.
    pub failure: Option<String>,
}

fn message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "panicked".to_owned())
}

thread_local! {
    static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Says nothing of the panics of this thread from now on: a run reports its failure itself.
fn be_quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
}

/// Runs a model in a thread of its own: what failed there is left behind with it.
fn alone(run: impl FnOnce() -> Report + Send) -> Report {
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// Explores a model with loom: all executions with at most so many preemptions, or all there are.
pub fn loom(
    preemptions: Option<usize>,
    mutation: Option<Mutation>,
    model: impl Fn() + Send + Sync + 'static,
) -> Report {
    let model = Arc::new(model);
    alone(move || {
        be_quiet();
        place::watch(mutation);
        let begun = Instant::now();
        loop {
            let executions = Arc::new(AtomicUsize::new(0));
            let (counted, model) = (executions.clone(), model.clone());
            let mut builder = loom::model::Builder::new();
            builder.preemption_bound = preemptions;
            builder.max_branches = 100_000;
            let run = panic::catch_unwind(AssertUnwindSafe(|| {
                builder.check(move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    memory::begin(Explorer::Loom);
                    model();
                    memory::end();
                    assert!(!memory::has_news(), "something was learned");
                });
            }));
            if run.is_err() {
                memory::abandon();
            }
            if memory::has_learned() {
                continue;
            }
            let (places, mutated) = place::unwatch();
            return Report {
                executions: executions.load(Ordering::Relaxed),
                took: begun.elapsed(),
                places,
                mutated,
                failure: run.err().map(message),
            };
        }
    })
}

/// Explores a model with shuttle, by the scheduler that it is given.
pub fn shuttle(
    scheduler: impl shuttle::scheduler::Scheduler + Send + 'static,
    mutation: Option<Mutation>,
    model: impl Fn() + Send + Sync + 'static,
) -> Report {
    alone(move || {
        be_quiet();
        place::watch(mutation);
        let begun = Instant::now();
        let executions = Arc::new(AtomicUsize::new(0));
        let counted = executions.clone();
        let mut config = shuttle::Config::new();
        config.silence_warnings = true;
        config.failure_persistence = shuttle::FailurePersistence::None;
        let run = panic::catch_unwind(AssertUnwindSafe(|| {
            shuttle::Runner::new(scheduler, config).run(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                memory::begin(Explorer::Shuttle);
                model();
                memory::end();
            });
        }));
        if run.is_err() {
            memory::abandon();
        }
        let (places, mutated) = place::unwatch();
        Report {
            executions: executions.load(Ordering::Relaxed),
            took: begun.elapsed(),
            places,
            mutated,
            failure: run.err().map(message),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::state::event::Cause;
    use crate::dispatch::state::transition::{Flip, State};
    use crate::shm::event_queue::{EventQueue, QueuedEvent};
    use crate::shm::tests::models::memory::Pieces;
    use crate::shm::tests::models::place::{Change, Kind};

    /// One event is posted while another thread takes what waits.
    fn post_and_take<T>(spawn: impl Fn(Box<dyn FnOnce() + Send>) -> T, join: impl Fn(T)) {
        let queue = Arc::new(EventQueue::create(Pieces).unwrap());
        let posting = queue.clone();
        let thread = spawn(Box::new(move || {
            let event = QueuedEvent {
                set: 1,
                uri: b"sip:a".to_vec(),
                old: State(8),
                new: State(1),
                flip: Flip::Down,
                cause: Cause::Rpc,
                node: Vec::new(),
            };
            posting.post(&event).unwrap();
        }));
        let mut taken = queue.take().len();
        join(thread);
        taken += queue.take().len();
        assert_eq!(taken, 1);
        // SAFETY: no thread is left.
        unsafe { queue.destroy() };
    }

    fn with_loom() {
        post_and_take(loom::thread::spawn, |thread| thread.join().unwrap());
    }

    fn with_shuttle() {
        post_and_take(shuttle::thread::spawn, |thread| thread.join().unwrap());
    }

    #[test]
    fn both_explorers_run_a_model_and_find_a_fault_in_it() {
        let scheduler = || shuttle::scheduler::RandomScheduler::new(200);
        let fault = |change| {
            Some(Mutation {
                file: "queue.rs",
                line: "let swap = |next| root.newest.compare_exchange(next, raw, Release, Relaxed);",
                kind: Kind::Exchange,
                change,
            })
        };
        let sound = [
            loom(None, None, with_loom),
            shuttle(scheduler(), None, with_shuttle),
        ];
        for report in sound {
            assert_eq!(report.failure, None);
            assert!(
                report.executions > 5 && report.places.len() > 5 && !report.mutated,
                "{report:?}"
            );
        }
        let unsound = [
            loom(None, fault(Change::To(Ordering::Relaxed)), with_loom),
            shuttle(scheduler(), fault(Change::LeftOut), with_shuttle),
        ];
        for report in unsound {
            assert!(report.mutated && report.failure.is_some(), "{report:?}");
        }
    }
}

//! How the schedules of a model are explored, and how a mutation of the product is found.

use core::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::Instant;

use shuttle::scheduler::{
    DfsScheduler, PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId,
};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use super::world;
use crate::shm::tests::models::memory::{self, Explorer};
use crate::shm::tests::models::place::{self, Kind, Place};

/// The way in which the schedules are chosen.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// All there are.
    All,
    /// All in which at most so many processes are stopped before they wait or end.
    Stops(usize),
    /// So many schedules in which each process runs until it waits, ends, or is stopped. Who goes first is drawn, as is
    /// each step at which one is stopped: one fewer than the first number says (PCT).
    Priorities(usize, usize),
    /// Any process at each step.
    Random(usize),
}

/// All schedules with at most so many preemptions, one after the other.
struct Stops {
    most: usize,
    /// The choices of the schedule that is run: those that there were, and which one is taken.
    path: Vec<(Vec<TaskId>, usize)>,
    step: usize,
    used: usize,
}

impl Scheduler for Stops {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.step > 0 {
            self.path.truncate(self.step);
            while self
                .path
                .pop_if(|(choices, taken)| *taken + 1 == choices.len())
                .is_some()
            {}
            self.path.last_mut()?.1 += 1;
        }
        (self.step, self.used) = (0, 0);
        Some(Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        yields: bool,
    ) -> Option<TaskId> {
        let goes_on = current.filter(|current| runnable.iter().any(|task| task.id() == *current));
        let stays = goes_on.filter(|_| !yields);
        if self.step == self.path.len() {
            let others = runnable
                .iter()
                .map(|task| task.id())
                .filter(|task| Some(*task) != goes_on);
            let choices: Vec<TaskId> = match stays {
                Some(current) if self.used == self.most => vec![current],
                Some(current) => [current].into_iter().chain(others).collect(),
                None => others.chain(goes_on).collect(),
            };
            self.path.push((choices, 0));
        }
        let (choices, taken) = &self.path[self.step];
        let chosen = choices[*taken];
        self.step += 1;
        self.used += usize::from(stays.is_some_and(|current| current != chosen));
        Some(chosen)
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}

/// A model: what its processes do in one execution, and how it is explored.
pub struct Model {
    pub name: &'static str,
    pub run: fn(),
    /// How it is explored in seconds with all others.
    pub quick: &'static [How],
    /// How else it is explored where time does not matter.
    pub full: &'static [How],
}

/// How large models are explored in seconds, and where time does not matter.
pub const QUICK: &[How] = &[
    How::Priorities(2, 30),
    How::Priorities(3, 30),
    How::Random(20),
];
pub const FULL: &[How] = &[
    How::Stops(1),
    How::Random(50_000),
    How::Priorities(4, 50_000),
];

/// Makes a model that is explored as `QUICK` and `FULL` of its file say.
macro_rules! model {
    ($name:literal, $run:expr) => {
        Model {
            name: $name,
            run: || $run,
            quick: QUICK,
            full: FULL,
        }
    };
}
pub(super) use model;

/// Runs a model in one way. Returns how many schedules there were.
fn explore(run: fn(), how: How, prints: bool) -> usize {
    const SEED: u64 = 16;
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::FailAfter(20_000);
    config.silence_warnings = true;
    config.failure_persistence = if prints {
        FailurePersistence::Print
    } else {
        FailurePersistence::None
    };
    let body = move || {
        memory::begin(Explorer::Shuttle);
        world::begin();
        run();
        memory::end();
    };
    match how {
        How::All => Runner::new(DfsScheduler::new(None, false), config).run(body),
        How::Stops(most) => {
            let stops = Stops {
                most,
                path: Vec::new(),
                step: 0,
                used: 0,
            };
            Runner::new(stops, config).run(body)
        }
        How::Priorities(depth, schedules) => {
            let pct = PctScheduler::new_from_seed(SEED, depth, schedules);
            Runner::new(pct, config).run(body)
        }
        How::Random(schedules) => {
            let random = RandomScheduler::new_from_seed(SEED, schedules);
            Runner::new(random, config).run(body)
        }
    }
}

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `act`, which is to fail: of its panic nothing is printed.
fn expect_failure<R>(act: impl FnOnce() -> R) -> bool {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                hook(info);
            }
        }));
    });
    EXPECTED.set(true);
    let ended = panic::catch_unwind(AssertUnwindSafe(act));
    EXPECTED.set(false);
    ended.is_err()
}

/// True if all is to be explored, however long it takes.
pub fn is_full() -> bool {
    std::env::var_os("MODELS").is_some_and(|models| models == "full")
}

impl Model {
    /// Returns how it is explored. It holds in these schedules as the product is, so a failure in one of them with a
    /// fault in it is that fault's.
    fn ways(&self) -> impl Iterator<Item = How> {
        let more = if is_full() { self.full } else { &[] };
        self.quick.iter().chain(more).copied()
    }

    /// Explores the product as it is. Returns the places that change something.
    pub fn holds(&self) -> BTreeSet<Place> {
        place::watch_place(None);
        for how in self.ways() {
            let begun = Instant::now();
            world::steps();
            let schedules = explore(self.run, how, true);
            let each = world::steps() / schedules.max(1) as u64;
            println!(
                "models: {}: {how:?}: {schedules} schedules of about {each} steps in {:.1} s",
                self.name,
                begun.elapsed().as_secs_f32()
            );
        }
        let (mut reached, _) = place::unwatch();
        reached.retain(|place| !matches!(place.kind, Kind::Load | Kind::Fence));
        reached
    }

    /// Returns true if the model fails without what is done at a place.
    pub fn finds(&self, place: Place) -> bool {
        place::watch_place(Some(place));
        let found = expect_failure(|| {
            for how in self.ways() {
                explore(self.run, how, false);
            }
        });
        if found {
            memory::abandon();
        }
        let (_, made) = place::unwatch();
        assert!(made || !found, "{} fails without a fault", self.name);
        found
    }
}

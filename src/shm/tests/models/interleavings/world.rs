//! What a model runs in: turns, moments at which nobody else has one, locks that wait for their turn, and questions
//! that are asked after each step.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::HashMap;

use lock_api::{GuardSend, RawMutex};
use shuttle::thread::Thread;

use crate::shm::memory::arena::ShmSafe;
use crate::shm::tests::models::place::{self, Kind};

/// A question that is asked at each moment, about the things with these numbers.
struct Oracle {
    number: usize,
    now: Box<dyn Fn() -> u128>,
    seen: Seen,
}

/// What was so from the beginning of a search to its end, one bit for each thing.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The things that it was true of at each moment.
    pub always: u128,
    /// The things that it was true of at any moment.
    pub ever: u128,
    /// True if at some moment it was true of none.
    pub none_once: bool,
}

impl Seen {
    fn look(&mut self, now: u128) {
        self.always &= now;
        self.ever |= now;
        self.none_once |= now == 0;
    }
}

/// What belongs to one OS thread, which runs all the processes of a model in turn.
#[derive(Default)]
struct World {
    /// More than 0 while nobody else gets a turn: before the processes begin, and after they have ended.
    quiet: Cell<u32>,
    waiting: RefCell<HashMap<usize, Vec<Thread>>>,
    oracles: RefCell<Vec<Oracle>>,
    oracle_count: Cell<usize>,
    steps: Cell<u64>,
    /// Operations of this execution that were no steps.
    quiet_steps: Cell<u64>,
}

thread_local! {
    static WORLD: &'static World = Box::leak(Box::default());
}

fn world() -> &'static World {
    WORLD.with(|world| *world)
}

/// Waits for the turn of a step, after a look at what the last one has changed.
pub fn wait_for_turn() {
    let world = world();
    if std::thread::panicking() {
        return;
    }
    if world.quiet.get() > 0 {
        world.quiet_steps.set(world.quiet_steps.get() + 1);
        assert!(world.quiet_steps.get() < 1_000_000, "it has no end");
        return;
    }
    world.look();
    world.steps.set(world.steps.get() + 1);
    // An atomic of shuttle's own, for its scheduling point.
    shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
}

/// Lets all other processes go on first, where the schedule has no other wish.
pub fn let_others_go() {
    wait_for_turn();
    shuttle::thread::yield_now();
}

impl World {
    fn look(&self) {
        if self.oracles.borrow().is_empty() {
            return;
        }
        quiet(|| {
            for oracle in self.oracles.borrow_mut().iter_mut() {
                oracle.seen.look((oracle.now)());
            }
        });
    }
}

/// Runs `act` while all others wait. Nothing of it counts as a step, and no fault is made in it.
pub fn quiet<R>(act: impl FnOnce() -> R) -> R {
    let quiet = &world().quiet;
    place::pause(true);
    quiet.set(quiet.get() + 1);
    let done = act();
    quiet.set(quiet.get() - 1);
    place::pause(quiet.get() > 0);
    done
}

/// Begins an execution.
pub fn begin() {
    let world = world();
    world.quiet.set(0);
    world.quiet_steps.set(0);
    place::pause(false);
    world.oracles.borrow_mut().clear();
    world.waiting.borrow_mut().clear();
}

/// Returns the number of steps since the last question.
pub fn steps() -> u64 {
    world().steps.take()
}

/// Looks on at each step for what `now` says of each thing, until [`Search::end`].
pub struct Search(usize);

impl Search {
    pub fn begin(now: impl Fn() -> u128 + 'static) -> Self {
        let world = world();
        let first = quiet(&now);
        let number = world.oracle_count.get();
        world.oracle_count.set(number + 1);
        world.oracles.borrow_mut().push(Oracle {
            number,
            now: Box::new(now),
            seen: Seen {
                always: first,
                ever: first,
                none_once: first == 0,
            },
        });
        Search(number)
    }

    pub fn end(self) -> Seen {
        world().look();
        let mut oracles = world().oracles.borrow_mut();
        let at = oracles
            .iter()
            .position(|oracle| oracle.number == self.0)
            .unwrap();
        oracles.swap_remove(at).seen
    }
}

/// A lock that waits in the model. Left out, it lets everybody in.
pub struct Gate(AtomicBool);

unsafe impl ShmSafe for Gate {}

unsafe impl RawMutex for Gate {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Gate(AtomicBool::new(false));
    type GuardMarker = GuardSend;

    #[track_caller]
    fn lock(&self) {
        wait_for_turn();
        if place::step(Kind::Exchange, [Ordering::SeqCst; 2]).is_none() {
            return;
        }
        let (world, address) = (world(), (&raw const self.0).addr());
        while self.0.swap(true, Ordering::SeqCst) {
            assert!(
                world.quiet.get() == 0 && !std::thread::panicking(),
                "nobody gives it back"
            );
            let mut waiting = world.waiting.borrow_mut();
            waiting
                .entry(address)
                .or_default()
                .push(shuttle::thread::current());
            drop(waiting);
            shuttle::thread::park();
        }
    }

    #[track_caller]
    fn try_lock(&self) -> bool {
        wait_for_turn();
        let taken = || !self.0.swap(true, Ordering::SeqCst);
        place::step(Kind::Exchange, [Ordering::SeqCst; 2]).is_none() || taken()
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::SeqCst);
        let woken = world()
            .waiting
            .borrow_mut()
            .remove(&(&raw const self.0).addr());
        if !std::thread::panicking() {
            woken
                .into_iter()
                .flatten()
                .for_each(|thread| thread.unpark());
        }
    }
}

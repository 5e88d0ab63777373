//! Shared memory under threads in the place of processes: what Miri and ThreadSanitizer check of the orders of memory
//! (`forked` is the real thing).
//!
//! | module | what meets |
//! | --- | --- |
//! | [`calls`] | Calls with each other, and with lists that change. |
//! | [`ejections`] | Failures, trials and the tick. |
//! | [`everything`] | All of it at once. |
//! | [`faults`] | Deliberate faults that both tools must find. |
//! | [`follow`] | What follows the records: bitmaps, trees, names, pings. |
//! | [`lists`] | Readers with edits and reloads. |
//! | [`queues`] | Posters and takers of events, and sticky calls. |

pub mod calls;
mod ejections;
mod everything;
mod faults;
mod follow;
mod lists;
mod queues;

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::{alloc, env, thread};

use lock_api::RawMutex;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::store::Spin;
use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::state::transition::{Outcome, State};
use crate::shm::memory::arena::{Arena, ShmSafe};
use crate::shm::set::view::{Rules, View};
use crate::shm::table::store::{ReloadState, Store};

/// An arena on the heap, for all threads, that counts what is taken. Each piece has its size in front.
#[derive(Clone, Default)]
struct Heap(Arc<AtomicUsize>);

impl Heap {
    /// Returns the number of pieces that are taken.
    fn taken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn around(size: usize) -> Layout {
    Layout::from_size_align(size + 8, 8).unwrap()
}

unsafe impl Arena for Heap {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let piece = NonNull::new(unsafe { alloc::alloc(around(layout.size())) })?;
        unsafe { piece.cast::<usize>().write(layout.size()) };
        Some(unsafe { piece.add(8) })
    }

    unsafe fn free(&self, ptr: NonNull<u8>) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        let piece = unsafe { ptr.sub(8) };
        let size = unsafe { piece.cast::<usize>().read() };
        unsafe { alloc::dealloc(piece.as_ptr(), around(size)) };
    }
}

/// A store for all threads, each of which has a number of its own, as processes have after a fork.
type Shared<L = Spin> = Store<Heap, L>;

/// Makes a store with these destinations and a number for each of `threads` threads.
fn shared(threads: usize, rules: Rules, list: &[DestSpec<'_>]) -> Shared {
    with_lock(threads, rules, list)
}

/// Does so with this kind of writer lock.
fn with_lock<L: RawMutex + ShmSafe>(
    threads: usize,
    rules: Rules,
    list: &[DestSpec<'_>],
) -> Shared<L> {
    let store = Store::create(Heap::default(), L::INIT, rules).unwrap();
    unsafe { store.make_slots(threads) }.unwrap();
    load(&store, list, ReloadState::Keep);
    store
}

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn load<L: RawMutex>(store: &Shared<L>, list: &[DestSpec<'_>], states: ReloadState) {
    let loaded = store.load(store.ticket(), list, states, &mut random());
    loaded.unwrap();
}

/// Gives everything back. Nothing may be left.
fn destroy<L: RawMutex>(store: &Shared<L>) {
    store.collect();
    assert_eq!(store.holdings(0).notes, 0, "all readers are gone");
    unsafe { store.destroy() };
    assert_eq!(store.arena().taken(), 0);
}

/// Returns how many rounds a test makes: few under Miri, and else as many times the usual number as the environment
/// variable `SHM_ROUNDS` says.
fn rounds(under_miri: usize, usual: usize) -> usize {
    if cfg!(miri) {
        return under_miri;
    }
    let times = env::var("SHM_ROUNDS").map_or(1, |times| times.parse().unwrap());
    usual * times
}

/// A value that threads share, as processes share what is in shared memory.
struct ForAll<T>(T);

unsafe impl<T> Sync for ForAll<T> {}

impl<T> ForAll<T> {
    fn get(&self) -> &T {
        &self.0
    }
}

/// Something that a thread does.
type Act<'a> = &'a (dyn Fn() + Sync);

/// One thread less is at work, be it by a panic.
struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does each of `work` once, in a thread of its own, and each of `beside` again and again until all work is done.
fn at_once(work: &[Act<'_>], beside: &[Act<'_>]) {
    let left = AtomicUsize::new(work.len());
    let left = &left;
    thread::scope(|scope| {
        for act in work {
            scope.spawn(|| {
                let _leave = Leave(left);
                act();
            });
        }
        for act in beside {
            scope.spawn(|| {
                while left.load(Ordering::Relaxed) > 0 {
                    act();
                    thread::yield_now();
                }
            });
        }
    });
}

/// A change that takes a destination in or out, whichever it is not.
fn toggle(state: State, failures: u32) -> Outcome {
    Outcome {
        state: State(state.0 ^ 1),
        failures,
        flip: None,
        in_row: 0,
    }
}

/// Checks that all that a view knows of its records agrees with them, when nobody changes them.
fn agrees(view: &View) {
    use crate::dispatch::select::turns::Weights;
    use crate::shm::set::ranks::rank;

    super::edit::check_view(view);
    assert!(view.is_quiet());
    let len = view.dest_count();
    assert_eq!(view.any_usable(), (0..len).any(|at| view.is_usable(at)));
    for by in [Weights::Relative, Weights::Service] {
        let sums = view.ranks.weights(by);
        for to in (0..=len).filter(|_| !sums.is_empty()) {
            let shares = (0..to).map(|at| view.ranks.share(view, by, at));
            assert_eq!(sums.below(to), shares.sum::<u32>(), "{by:?} {to}");
        }
    }
    let best = (0..len).map(|at| rank(view, at)).max();
    assert_eq!(Some(view.ranks.best().greatest()), best);
}

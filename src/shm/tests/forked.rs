//! The published table under several real processes: exact totals, publishing while others read.

#![cfg(not(miri))]

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use lock_api::RawMutex;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use super::store::{RULES, Spin};
use super::{LONG, spec};
use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::state::transition::{Outcome, State};
use crate::shm::memory::arena::Arena;
use crate::shm::set::view::Rules;
use crate::shm::table::store::{ReloadState, Store, Tried};

/// Bytes that all processes of a test share.
const SIZE: usize = 512 << 20;

/// An arena in a shared mapping. What is freed is overwritten and never handed out again, so that
/// whoever still reads it is found out.
#[derive(Clone, Copy)]
pub struct Mapping {
    base: NonNull<u8>,
}

impl Mapping {
    pub fn new() -> Self {
        let (prot, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        );
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                SIZE,
                prot,
                flags | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED);
        let mapping = Mapping {
            base: NonNull::new(base.cast()).unwrap(),
        };
        mapping.used().store(64, Ordering::SeqCst);
        mapping
    }

    fn used(&self) -> &AtomicUsize {
        unsafe { self.base.cast().as_ref() }
    }

    /// Pieces that are taken.
    pub fn live(&self) -> &AtomicU64 {
        unsafe { self.base.add(8).cast().as_ref() }
    }

    /// A counter for the test's own use.
    pub fn counter(&self, number: usize) -> &AtomicU64 {
        unsafe { self.base.add(16 + 8 * number).cast().as_ref() }
    }
}

unsafe impl Arena for Mapping {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        let size = layout.size().next_multiple_of(8) + 8;
        let at = self.used().fetch_add(size, Ordering::SeqCst);
        if at + size > SIZE {
            return None;
        }
        self.live().fetch_add(1, Ordering::SeqCst);
        let piece = unsafe { self.base.add(at) };
        unsafe { piece.cast::<usize>().write(size - 8) };
        Some(unsafe { piece.add(8) })
    }

    unsafe fn free(&self, ptr: NonNull<u8>) {
        let size = unsafe { ptr.sub(8).cast::<usize>().read() };
        unsafe { ptr.write_bytes(0xde, size) };
        self.live().fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs `work` in that many child processes; `beside` runs in this one meanwhile.
pub fn in_children(children: usize, work: impl Fn(usize), beside: impl FnOnce()) {
    let start = |number| match unsafe { libc::fork() } {
        0 => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(number)));
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        pid => pid,
    };
    let pids: Vec<_> = (1..=children).map(start).collect();
    beside();
    for pid in pids {
        let mut status = 0;
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert_eq!(status, 0, "a child failed");
    }
}

fn list(uris: &[String]) -> Vec<DestSpec<'_>> {
    uris.iter().map(|uri| spec(1, uri, 0, 0)).collect()
}

fn uris(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("sip:a:{n}")).collect()
}

pub fn shared_store(mapping: Mapping) -> Store<Mapping, Spin> {
    let store = Store::create(mapping, Spin::INIT, RULES).unwrap();
    unsafe { store.make_slots(9) }.unwrap();
    store
}

#[test]
fn counts_of_all_processes_are_exact_while_others_reload() {
    const CHILDREN: usize = 4;
    const MARKS: usize = 20_000;
    let mapping = Mapping::new();
    let store = shared_store(mapping);
    let uris = uris(10);
    let load = |seed| {
        store
            .load(
                store.ticket(),
                &list(&uris),
                ReloadState::Keep,
                &mut StdRng::seed_from_u64(seed),
            )
            .unwrap();
    };
    load(0);
    let mark = |state: State, failures: u32| Outcome {
        state,
        failures: failures + 1,
        flip: None,
        in_row: 0,
    };
    let work = |number| {
        for _ in 0..MARKS {
            let told = store.change(number, 1, Some(b"sip:a:7"), |_| true, mark, |_, _, _| {});
            assert_eq!(told, Some(1));
        }
    };
    in_children(CHILDREN, work, || (1..200).for_each(load));
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    let dest = view.dests().find(|dest| dest.uri() == b"sip:a:7").unwrap();
    assert_eq!(dest.record().status().1 as usize, CHILDREN * MARKS);
    drop(pinned);
    unsafe { store.destroy() };
    assert_eq!(mapping.live().load(Ordering::SeqCst), 0);
}

#[test]
fn no_selection_fails_and_nothing_freed_is_read_while_tables_change() {
    const CHILDREN: usize = 6;
    let mapping = Mapping::new();
    let store = shared_store(mapping);
    let uris = uris(66);
    let load = |seed| {
        store
            .load(
                store.ticket(),
                &list(&uris),
                ReloadState::Keep,
                &mut StdRng::seed_from_u64(seed),
            )
            .unwrap();
    };
    load(0);
    let stop = mapping.counter(0);
    let picks = mapping.counter(1);
    let select = |number: usize| {
        let mut random = StdRng::seed_from_u64(number as u64);
        while stop.load(Ordering::SeqCst) == 0 {
            let anywhere = Start::Random(random.next_u32());
            let starts = [Start::RoundRobin, anywhere, Start::First];
            for start in starts {
                let found = store.try_set(number, 1, |view| {
                    let choice = choose(view, start)?;
                    for at in choice.order(view).take(3) {
                        let uri = view.dest(at).unwrap().uri();
                        assert!(uri.starts_with(b"sip:a:"), "freed memory: {uri:x?}");
                    }
                    Some(())
                });
                assert_eq!(found, Tried::Done(()));
                picks.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    // Takes one destination out before it puts the one before back: never all are out.
    let toggle = |number: usize| {
        let to = |state| {
            move |_, _| Outcome {
                state: State(state),
                failures: 0,
                flip: None,
                in_row: 0,
            }
        };
        let set = |uri: &String, state| {
            store.change(
                number,
                1,
                Some(uri.as_bytes()),
                |_| true,
                to(state),
                |_, _, _| {},
            );
        };
        uris.iter().skip(1).for_each(|uri| set(uri, 1));
        let mut up = 0;
        while stop.load(Ordering::SeqCst) == 0 {
            let next = (up + 1) % uris.len();
            set(&uris[next], 0);
            set(&uris[up], 1);
            up = next;
        }
    };
    let work = |number| {
        if number == 1 {
            toggle(number)
        } else {
            select(number)
        }
    };
    in_children(CHILDREN, work, || {
        (1..400).for_each(load);
        stop.store(1, Ordering::SeqCst);
    });
    assert!(picks.load(Ordering::SeqCst) > 100);
    store.collect();
    assert_eq!(store.retired(), 0);
    unsafe { store.destroy() };
    assert_eq!(mapping.live().load(Ordering::SeqCst), 0);
}

/// A reload takes down what was up and brings up what was down, back and forth.
#[test]
fn no_selection_fails_while_reloads_swap_what_is_up() {
    [false, true].into_iter().for_each(swap_what_is_up);
}

fn swap_what_is_up(use_default: bool) {
    let mapping = Mapping::new();
    let rules = Rules {
        use_default,
        ..RULES
    };
    let store = Store::create(mapping, Spin::INIT, rules).unwrap();
    unsafe { store.make_slots(9) }.unwrap();
    let uris = uris(3);
    let load = |round: usize| {
        let mut list = list(&uris);
        for (at, spec) in list.iter_mut().enumerate() {
            spec.flags = State(u32::from(at != round % 3));
        }
        let states = [ReloadState::Keep, ReloadState::FromList][round / 3 % 2];
        store
            .load(store.ticket(), &list, states, &mut StdRng::seed_from_u64(1))
            .unwrap();
    };
    load(0);
    let stop = mapping.counter(0);
    let select = |number: usize| {
        let mut random = StdRng::seed_from_u64(number as u64);
        while stop.load(Ordering::SeqCst) == 0 {
            let found = store.try_set(number, 1, |view| {
                choose(view, Start::Random(random.next_u32())).map(|_| ())
            });
            assert_eq!(found, Tried::Done(()), "one is usable");
        }
    };
    in_children(4, select, || {
        (0..5_000).for_each(load);
        stop.store(1, Ordering::SeqCst);
    });
    unsafe { store.destroy() };
    assert_eq!(mapping.live().load(Ordering::SeqCst), 0);
}

/// Several processes change the same few destinations while one reloads in all ways; again and
/// again all stop, and each bit of the view must be what the records say.
#[test]
fn views_agree_with_the_records_after_all() {
    const CHILDREN: usize = 4;
    const ROUNDS: usize = 2_000;
    let mapping = Mapping::new();
    let store = shared_store(mapping);
    let uris = uris(70);
    let load = |round: usize| {
        let mut list = list(&uris);
        for (at, spec) in list.iter_mut().enumerate() {
            // Most are out, so that whole words of the bitmap empty and fill.
            spec.flags = State(u32::from(at % 64 != round / 2 % 2));
        }
        let states = [ReloadState::Keep, ReloadState::FromList][round % 2];
        let random = &mut StdRng::seed_from_u64(1);
        store.load(store.ticket(), &list, states, random).unwrap();
    };
    let change = |number: usize, round: usize| {
        let mut random = StdRng::seed_from_u64((round * CHILDREN + number) as u64);
        for _ in 0..random.random_range(1..4) {
            // All of them, or one of those at the edges of the bitmap's words.
            let at = [0, 63, 64, 100][random.random_range(0..4)];
            let uri = uris.get(at).map(|uri| uri.as_bytes());
            let bit = [1, State::DRAINING.0][random.random_range(0..2)];
            let flip = |state: State, failures| Outcome {
                state: State(state.0 ^ bit),
                failures,
                flip: None,
                in_row: 0,
            };
            store.change(number, 1, uri, |_| true, flip, |_, _, _| {});
        }
    };
    let agree = |number: usize| {
        let pinned = store.pin(number);
        let view = pinned.view(1).unwrap();
        for from in 0..view.dest_count() {
            let by_record = (from..view.dest_count()).find(|&at| view.is_usable(at));
            let draining = (from..view.dest_count()).find(|&at| view.is_draining(at));
            let agrees = view.next_bit(from) == by_record
                && view.next_draining_bit(from) == draining
                && (from > 0 || view.any_draining() == draining.is_some());
            if !agrees {
                // Counted, not asserted: the others wait for this process.
                mapping.counter(1).fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let meet = |meeting: usize| {
        let arrived = mapping.counter(0);
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < (CHILDREN * meeting) as u64 {
            std::thread::yield_now();
        }
    };
    load(0);
    let work = |number: usize| {
        for round in 1..=ROUNDS {
            match number {
                1 if round % 2 == 0 => load(round),
                _ => change(number, round),
            }
            meet(2 * round - 1);
            agree(number);
            meet(2 * round);
        }
    };
    in_children(CHILDREN, work, || {});
    let wrong_bits = mapping.counter(1).load(Ordering::SeqCst);
    assert_eq!(wrong_bits, 0);
    unsafe { store.destroy() };
    assert_eq!(mapping.live().load(Ordering::SeqCst), 0);
}

#[test]
fn no_selection_fails_while_others_edit_the_set() {
    let mapping = Mapping::new();
    let store = shared_store(mapping);
    let uris = uris(20);
    let mut random = StdRng::seed_from_u64(1);
    store
        .load(store.ticket(), &list(&uris), ReloadState::Keep, &mut random)
        .unwrap();
    let stop = mapping.counter(0);
    let select = |number: usize| {
        let mut random = StdRng::seed_from_u64(number as u64);
        while stop.load(Ordering::SeqCst) == 0 {
            let found = store.try_set(number, 1, |view| {
                let choice = choose(view, Start::Random(random.next_u32()))?;
                let all_live = choice
                    .order(view)
                    .all(|at| view.dest(at).unwrap().uri().starts_with(b"sip:a:"));
                Some(all_live)
            });
            assert_eq!(found, Tried::Done(true));
        }
    };
    // Two writers, each with destinations and a set of its own.
    let edit = |number: usize| {
        let mut random = StdRng::seed_from_u64(number as u64);
        let uri = format!("sip:a:{}", 100 + number);
        let own_set = i32::try_from(number).unwrap() + 10;
        for _ in 0..1_500 {
            for set in [1, own_set] {
                store
                    .add(LONG, &spec(set, &uri, 0, 0), &mut random)
                    .unwrap();
                assert_eq!(store.remove(LONG, set, uri.as_bytes(), &mut random), Ok(1));
            }
        }
        stop.fetch_add(1, Ordering::SeqCst);
    };
    let work = |number| {
        if number <= 2 {
            edit(number)
        } else {
            select(number)
        }
    };
    in_children(5, work, || {});
    let pinned = store.pin(0);
    assert_eq!(pinned.table().unwrap().len(), 1);
    assert_eq!(pinned.view(1).unwrap().dest_count(), 20);
    drop(pinned);
    unsafe { store.destroy() };
    assert_eq!(mapping.live().load(Ordering::SeqCst), 0);
}

//! The published table under threads in the place of processes: what Miri can check of the orders
//! of memory (`forked` is the real thing).

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::alloc;
use std::thread;

use lock_api::RawMutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::calls::with_duid;
use super::store::{RULES, Spin};
use super::{LONG, spec};
use crate::dispatch::list::destination::Proto;
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::state::transition::{Outcome, State};
use crate::shm::calls::call_table::{CallLimits, Calls};
use crate::shm::calls::fingerprint::FingerprintKey;
use crate::shm::calls::placed::Counting;
use crate::shm::dest::address::{Key, Match, Source};
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Arena, Plan};
use crate::shm::memory::epoch::Epochs;
use crate::shm::set::maxima::Maxima;
use crate::shm::set::sums::Sums;
use crate::shm::set::usable::Usable;
use crate::shm::table::edit::Revision;
use crate::shm::table::store::{ReloadState, Store, Tried};

/// An arena on the heap, for all threads, that counts what is taken. Each piece has its size in front.
#[derive(Default)]
struct Heap(AtomicUsize);

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

/// The store as each thread has it.
struct Everywhere(Store<Heap, Spin>);

// As after a fork: nothing of the store itself changes, and each thread has a number of its own.
unsafe impl Sync for Everywhere {}

#[test]
fn threads_choose_change_and_reload_at_once() {
    let rounds = if cfg!(miri) { 6 } else { 2_000 };
    let store = Everywhere(Store::create(Heap::default(), Spin::INIT, RULES).unwrap());
    unsafe { store.0.make_slots(4) }.unwrap();
    let uris: Vec<String> = (0..4).map(|n| format!("sip:a:{n}")).collect();
    let load = |round: usize, states| {
        let list: Vec<_> = uris.iter().map(|uri| spec(1, uri, 0, 0)).collect();
        let list = &list[..4 - round % 3];
        store.0.load(
            store.0.ticket(),
            list,
            states,
            &mut StdRng::seed_from_u64(1),
        )
    };
    load(0, ReloadState::Keep).unwrap();
    let stop = AtomicBool::new(false);
    let (store, stop) = (&store, &stop);
    let select = |number| {
        while !stop.load(Ordering::Relaxed) {
            // The first destination is in each list, and always up. A reader may have a number
            // that is no process's.
            let found = store.0.try_set(number, 1, |view| {
                let choice = choose(view, Start::RoundRobin)?;
                for at in choice.order(view) {
                    assert!(view.dest(at).unwrap().uri().starts_with(b"sip:a:"));
                }
                Some(())
            });
            assert_eq!(found, Tried::Done(()));
            thread::yield_now();
        }
    };
    let mark = |number| {
        for round in 0..rounds * 2 {
            let change = |state: State, failures| Outcome {
                state: State(state.0 ^ 1),
                failures,
                flip: None,
            };
            let uri = format!("SIP:A:{}", 1 + round % 3);
            let (uri, all) = (Some(uri.as_bytes()), |_: &_| true);
            store.0.change(number, 1, uri, all, change, |_, _, _| {});
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| select(1));
        scope.spawn(|| select(99));
        let markers = [2, 3].map(|number| scope.spawn(move || mark(number)));
        for round in 0..rounds {
            let states = [ReloadState::Keep, ReloadState::FromList][round % 2];
            load(round, states).unwrap();
        }
        for marker in markers {
            marker.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let pinned = store.0.pin(0);
    let view = pinned.view(1).unwrap();
    for at in 0..view.dest_count() {
        assert_eq!(view.next_usable(at, at + 1).is_some(), view.is_usable(at));
    }
    drop(pinned);
    unsafe { store.0.destroy() };
    assert_eq!(store.0.arena().0.load(Ordering::Relaxed), 0);
}

#[test]
fn threads_count_move_and_end_calls_at_once() {
    const LIMIT: u32 = 3;
    let rounds = if cfg!(miri) { 20 } else { 20_000 };
    let store = Everywhere(Store::create(Heap::default(), Spin::INIT, RULES).unwrap());
    unsafe { store.0.make_slots(4) }.unwrap();
    let list = [
        with_duid("sip:a:1", "duid=a;maxload=3"),
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:c:1", "duid=c"),
    ];
    let load = || {
        let random = &mut StdRng::seed_from_u64(1);
        let ticket = store.0.ticket();
        store
            .0
            .load(ticket, &list, ReloadState::Keep, random)
            .unwrap();
    };
    load();
    // Fewer than there are Call-IDs: calls are given up, and some are not counted.
    let limits = CallLimits {
        expire_s: 100,
        init_expire_s: 10,
        most: 8,
    };
    let calls = Calls::<Spin>::create(store.0.arena(), 1, FingerprintKey(1, 2), limits).unwrap();
    let work = |process: usize| {
        let (store, calls) = (&store, &calls);
        let mut random = StdRng::seed_from_u64(process as u64);
        for round in 0..rounds {
            let call_id = [random.random_range(0..16)];
            let call = calls.key().call(&call_id, b"x", None);
            let pinned = store.0.pin(process);
            let view = pinned.view(1).unwrap();
            let counting = Counting {
                store: &store.0,
                process,
                set: 1,
                view,
                call,
                now_s: 0,
            };
            let sent = random.random_range(0..4) > 0;
            let placed = match random.random_range(0..8) {
                0..4 => calls.place(counting, &call_id).unwrap(),
                4 => calls.move_to(counting, random.random_range(0..3)),
                5 => {
                    calls.confirm(&call);
                    None
                }
                6 => {
                    calls.end(&store.0, process, &call);
                    None
                }
                _ => {
                    calls.expire(&store.0, process, 10, round % 2, 2);
                    None
                }
            };
            if let Some(placed) = placed.filter(|_| sent) {
                placed.keep();
            }
            let limited = view.dests().find(|dest| dest.maxload != 0).unwrap();
            assert!(limited.record().load() <= LIMIT);
        }
    };
    thread::scope(|scope| {
        for process in 1..4 {
            scope.spawn(move || work(process));
        }
    });
    assert!(calls.up() <= 16);
    calls.expire(&store.0, 0, 100, 0, 1);
    assert_eq!(calls.up(), 0);
    let pinned = store.0.pin(0);
    let loads = pinned
        .view(1)
        .unwrap()
        .dests()
        .map(|dest| dest.record().load());
    assert_eq!(loads.sum::<u32>(), 0);
    drop(pinned);
    unsafe { calls.destroy(store.0.arena()) };
    unsafe { store.0.destroy() };
    assert_eq!(store.0.arena().0.load(Ordering::Relaxed), 0);
}

#[test]
fn a_pinned_reader_sees_nothing_that_was_freed() {
    let rounds = if cfg!(miri) { 200 } else { 100_000 };
    let heap = Heap::default();
    let mut block = Plan::<Epochs>::of_header().alloc(&heap).unwrap();
    block.fill().make_slots(&heap, 2).unwrap();
    block.fill().start();
    let shared = Shared(&*block.fill());
    let shared = &shared;
    let link = AtomicPtr::new(Box::into_raw(Box::new(1)));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let Shared(epochs) = shared;
            while !stop.load(Ordering::Relaxed) {
                let pinned = epochs.pin(1);
                // As every link is loaded over which a reader comes to what is retired later.
                let node = unsafe { &*link.load(Ordering::SeqCst) };
                assert!(*node > 0);
                drop(pinned);
            }
        });
        let Shared(epochs) = shared;
        for number in 2..rounds {
            let new = Box::into_raw(Box::new(number));
            let old = link.swap(new, Ordering::SeqCst);
            let retired = epochs.advance();
            while epochs.oldest() <= retired {
                thread::yield_now();
            }
            unsafe { *old = 0 };
            drop(unsafe { Box::from_raw(old) });
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(unsafe { Box::from_raw(link.into_inner()) });
    block.fill().free_slots(&heap);
    unsafe { heap.free(block.header().cast()) };
    assert_eq!(heap.0.load(Ordering::Relaxed), 0);
}

#[test]
fn threads_look_for_addresses_while_others_edit() {
    let rounds = if cfg!(miri) { 4 } else { 2_000 };
    let store = Everywhere(Store::create(Heap::default(), Spin::INIT, RULES).unwrap());
    unsafe { store.0.make_slots(3) }.unwrap();
    let store = &store;
    let mut random = StdRng::seed_from_u64(1);
    let kept = spec(1, "sip:kept:5060", 0, 0);
    let loaded = store
        .0
        .load(store.0.ticket(), &[kept], ReloadState::Keep, &mut random);
    loaded.unwrap();
    let stop = AtomicBool::new(false);
    let look = |number| {
        let source = Source {
            addr: Key::v4([127, 0, 0, 1]),
            port: 5060,
            proto: Proto::NONE,
        };
        let want = Match {
            port: true,
            proto: false,
            set: Some(1),
        };
        while !stop.load(Ordering::Relaxed) {
            let pinned = store.0.pin(number);
            let found = pinned.table().unwrap().find_source(source, want, |_| true);
            assert!(found.unwrap().uri().starts_with(b"sip:kept"));
            drop(pinned);
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| look(1));
        scope.spawn(|| look(2));
        for round in 0..rounds {
            let added = spec(1, "sip:other:5070", 0, 0);
            store.0.add(LONG, &added, &mut random).unwrap();
            let revision = Revision {
                priority: Some(round),
                ..Revision::default()
            };
            let is_kept = |dest: &Dest| dest.uri().starts_with(b"sip:kept");
            store
                .0
                .modify(LONG, 1, None, is_kept, revision, &mut random)
                .unwrap();
            assert_eq!(
                store.0.remove(LONG, 1, b"sip:other:5070", &mut random),
                Ok(1)
            );
        }
        stop.store(true, Ordering::Relaxed);
    });
    unsafe { store.0.destroy() };
    assert_eq!(store.0.arena().0.load(Ordering::Relaxed), 0);
}

/// A value that threads share, as processes share what is in shared memory.
struct Shared<T>(T);

unsafe impl<T> Sync for Shared<T> {}

#[test]
fn bitmaps_sums_and_maxima_agree_with_the_truth_after_all_changes() {
    const LEN: usize = 70;
    let rounds = if cfg!(miri) { 20 } else { 20_000 };
    let heap = super::Heap::default();
    let mut plan = Plan::<u64>::of_header();
    let usable = Usable::plan(&mut plan, LEN);
    let sums = Sums::plan(&mut plan, LEN);
    let maxima = Maxima::plan(&mut plan, LEN);
    let block = plan.alloc(&heap).unwrap();
    let shared = Shared((usable(&block), sums(&block), maxima(&block)));
    let truth = [const { AtomicU32::new(0) }; LEN];
    let (shared, truth) = (&shared, &truth);
    let change = |seed| {
        let Shared((usable, sums, maxima)) = shared;
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..rounds {
            // Few destinations, so that the threads meet, in two words of the bitmap.
            let at = [0, 63, 64, 69][random.random_range(0..4)];
            truth[at].store(random.random_range(0..3), Ordering::SeqCst);
            let value = || truth[at].load(Ordering::SeqCst);
            usable.sync(at, || value() != 0);
            sums.sync(at, value);
            maxima.sync(at, value);
        }
    };
    thread::scope(|scope| (0..3).for_each(|seed| drop(scope.spawn(move || change(seed)))));
    let Shared((usable, sums, maxima)) = shared;
    let values: Vec<u32> = truth
        .iter()
        .map(|value| value.load(Ordering::SeqCst))
        .collect();
    let set = (0..LEN).filter(|&at| values[at] != 0);
    assert_eq!(usable.any(), set.clone().count() > 0);
    assert!(usable.set_in(0, LEN).eq(set), "{values:?}");
    assert_eq!(Some(maxima.greatest()), values.iter().max().copied());
    for to in 0..=LEN {
        assert_eq!(
            sums.below(to),
            values[..to].iter().sum(),
            "{to} of {values:?}"
        );
    }
}

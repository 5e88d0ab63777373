//! What differs between processes and threads: process ids, and what a child has from its parent; and calls, events and
//! addresses under several real processes.

#![cfg(not(miri))]

use core::ptr;
use core::sync::atomic::Ordering;
use std::thread;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::calls::with_duid;
use super::forked::{Mapping, in_children, shared_store};
use super::store::Spin;
use super::threads::calls::{act, call_table, end_all};
use super::{LONG, spec};
use crate::dispatch::list::destination::{DestSpec, Proto};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::dest::address::{Key, Match, Source};
use crate::shm::event_queue::{EventQueue, QueuedEvent};
use crate::shm::table::edit::EditError;
use crate::shm::table::lock::{Patience, Refusal};
use crate::shm::table::store::{ReloadState, Store};

fn load(store: &Store<Mapping, Spin>, list: &[DestSpec<'_>]) {
    let random = &mut StdRng::seed_from_u64(1);
    let loaded = store.load(store.ticket(), list, ReloadState::Keep, random);
    loaded.unwrap();
}

/// Gives everything back. Nothing may be left.
fn destroy(mapping: Mapping, store: &Store<Mapping, Spin>) {
    store.collect();
    assert_eq!(store.holdings(0).notes, 0);
    unsafe { store.destroy() };
    assert_eq!(mapping.live().load(Ordering::SeqCst), 0);
}

/// Waits until a counter has a value.
fn wait_for(mapping: Mapping, counter: usize, value: u64) {
    while mapping.counter(counter).load(Ordering::SeqCst) != value {
        thread::yield_now();
    }
}

#[test]
fn calls_events_and_addresses_of_processes_are_exact() {
    const CHILDREN: usize = 4;
    const ROUNDS: usize = 10_000;
    let mapping = Mapping::new();
    let store = shared_store(mapping);
    let list = [
        with_duid("sip:a:5060", "duid=a;maxload=3"),
        with_duid("sip:b:5060", "duid=b"),
        with_duid("sip:c:5060", "duid=c"),
    ];
    load(&store, &list);
    let calls = call_table(&store);
    let queue = EventQueue::create(mapping).unwrap();
    let (posted, at_work) = (mapping.counter(0), mapping.counter(1));
    at_work.store(CHILDREN as u64, Ordering::SeqCst);
    let work = |number: usize| {
        let mut random = StdRng::seed_from_u64(number as u64);
        for _ in 0..ROUNDS {
            act(&store, &calls, number, &mut random);
            let event = QueuedEvent {
                set: i32::try_from(number).unwrap(),
                uri: random.next_u32().to_string().into_bytes(),
                old: State(0),
                new: State(1),
                flip: Flip::Down,
                cause: Cause::Rpc,
                node: Vec::new(),
            };
            queue.post(&event).unwrap();
            posted.fetch_add(1, Ordering::SeqCst);
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
            let pinned = store.pin(number);
            let found = pinned.table().unwrap().find_source(source, want, |_| true);
            assert!(found.unwrap().uri().starts_with(b"sip:"), "freed memory");
        }
        at_work.fetch_sub(1, Ordering::SeqCst);
    };
    let mut taken = 0;
    in_children(CHILDREN, work, || {
        let mut random = StdRng::seed_from_u64(1);
        let mut round = 0;
        while at_work.load(Ordering::SeqCst) > 0 {
            // Destinations with calls leave the lists and come back.
            load(&store, &list[round % 2..]);
            _ = store.remove(LONG, 1, b"sip:b:5060", &mut random);
            _ = store.add(LONG, &list[1], &mut random);
            taken += queue.take().len() as u64;
            round += 1;
        }
    });
    taken += queue.take().len() as u64;
    assert_eq!(taken, (CHILDREN * ROUNDS) as u64);
    assert_eq!(taken, posted.load(Ordering::SeqCst));
    load(&store, &list);
    end_all(&store, &calls);
    unsafe { queue.destroy() };
    destroy(mapping, &store);
}

/// A child has a copy of its parent's pin. As long as it leaves that alone, as a child does that runs a program, the
/// pin protects what the parent reads, and the child holds none. One that drops its copy ends the pin of its parent.
#[test]
fn a_process_that_forks_while_it_is_pinned_keeps_its_pin_until_the_child_drops_its_copy() {
    let mapping = Mapping::new();
    let store = shared_store(mapping);
    load(&store, &[spec(1, "sip:a:1", 0, 0)]);
    let pinned = store.pin(1);
    let seen = pinned.view(1).unwrap().dest(0).unwrap();
    let child = |_| {
        assert!(!store.is_held_by(2) && store.is_held_by(1));
        // A pin of its own, which ends before that of the parent.
        let own = store.pin(2);
        assert_eq!(own.view(1).unwrap().dest_count(), 1);
        drop(own);
        (0..50).for_each(|_| load(&store, &[spec(1, "sip:b:1", 0, 0)]));
        assert!(!store.is_held_by(2));
        assert!(store.holdings(0).notes >= 50, "the parent still reads");
    };
    in_children(1, child, || {});
    assert_eq!(seen.uri(), b"sip:a:1");
    let copy = |_| drop(unsafe { ptr::read(&raw const pinned) });
    in_children(1, copy, || {});
    assert!(!store.is_held_by(1));
    // It is over already.
    core::mem::forget(pinned);
    destroy(mapping, &store);
}

#[test]
fn others_are_told_which_process_reads_or_writes_for_long() {
    let mapping = Mapping::new();
    let store = shared_store(mapping);
    load(&store, &[spec(1, "sip:a:1", 0, 0)]);
    let (pid, step) = (mapping.counter(0), mapping.counter(1));
    let child = |number: usize| {
        pid.store(std::process::id().into(), Ordering::SeqCst);
        store.introduce(number);
        let pinned = store.pin(number);
        store.leak_writer_lock();
        assert!(store.is_held_by(number));
        step.store(1, Ordering::SeqCst);
        wait_for(mapping, 1, 2);
        drop(pinned);
    };
    in_children(1, child, || {
        wait_for(mapping, 1, 1);
        let pid = u32::try_from(pid.load(Ordering::SeqCst)).unwrap();
        assert_ne!(pid, std::process::id());
        assert!(!store.is_held_by(0), "another process does");
        for second in 0..12 {
            let (readers, writer) = store.watch(second);
            let told = [readers.first().copied(), writer].map(|held| held.map(|held| held.pid));
            let expected = (second == 10).then_some(pid);
            assert_eq!(told, [expected; 2], "{second}");
        }
        let once = Patience {
            wait_ms: 0,
            now_s: || 12,
        };
        let mut random = StdRng::seed_from_u64(1);
        let refused = store.remove(once, 1, b"sip:a:1", &mut random);
        let Err(EditError::Refused(Refusal::Busy(holder))) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((holder.pid, holder.for_s), (pid, 12));
        step.store(2, Ordering::SeqCst);
    });
    // The child has ended with the lock, for which nobody waits at the end of the server.
    assert!(!store.is_held_by(0));
    unsafe { store.destroy() };
    assert_eq!(mapping.live().load(Ordering::SeqCst), 0);
}

//! Counters of sets and destinations: exact however many count, kept over reloads, and no memory where they are off.

use super::store::{HeapStore, RULES, Spin, load};
use super::{Heap, LONG, spec};
use crate::shm::observe::counters::{Moment, OwnShard};
use crate::shm::set::view::{Rules, View};
use crate::shm::table::store::ReloadState;
use lock_api::RawMutex;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn store(heap: &Heap, counted: bool) -> HeapStore {
    let rules = Rules { counted, ..RULES };
    let store = HeapStore::create(heap.clone(), Spin::INIT, rules).unwrap();
    unsafe { store.make_slots(2) }.unwrap();
    store
}

fn shard(process: usize) -> OwnShard {
    let shard = OwnShard::first();
    shard.choose(process);
    shard
}

/// What was counted of a set, and of its destinations in order.
fn counted(view: &View) -> (u64, Vec<u64>) {
    let selections = |at| {
        view.dest(at)
            .unwrap()
            .record()
            .counted()
            .unwrap()
            .selections()
    };
    let of_set = view.record().counted().unwrap().selections();
    (of_set, (0..view.dest_count()).map(selections).collect())
}

#[test]
fn every_selection_counts_whichever_process_made_it() {
    let heap = Heap::default();
    let store = store(&heap, true);
    // More than the columns of one piece, and than its shards.
    let uris: Vec<String> = (10..29).map(|n| format!("sip:a:{n}")).collect();
    let list: Vec<_> = uris.iter().map(|uri| spec(1, uri, 0, 0)).collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    for process in 0..20 {
        for at in 0..view.dest_count() {
            (0..=at).for_each(|_| view.count_selection(at, &shard(process)));
        }
    }
    let of_dests: Vec<u64> = (1..=19).map(|n| n * 20).collect();
    assert_eq!(counted(view), (of_dests.iter().sum(), of_dests));
    view.count_selection(19, &shard(0));
    assert_eq!(counted(view).0, 190 * 20, "there is no such destination");
    drop(pinned);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn counters_are_kept_as_records_are() {
    let heap = Heap::default();
    let store = store(&heap, true);
    let (a, b) = (spec(1, "sip:a:1", 0, 0), spec(1, "sip:b:1", 0, 0));
    load(&store, &[b.clone(), a.clone()], ReloadState::Keep).unwrap();
    let at = |at| {
        let pinned = store.pin(0);
        pinned.view(1).unwrap().count_selection(at, &shard(3));
        let counts = pinned.view(1).unwrap().record().counted().unwrap();
        counts.count_failed(&shard(5));
        counts.count_failover(&shard(7));
    };
    let all = || {
        let pinned = store.pin(0);
        let view = pinned.view(1).unwrap();
        let of_set = view.record().counted().unwrap();
        let others = (of_set.selections_failed(), of_set.failovers());
        (counted(view), others)
    };
    at(0);
    at(0);
    at(1);
    assert_eq!(all(), ((3, vec![2, 1]), (3, 3)));
    load(&store, &[a.clone(), b], ReloadState::Keep).unwrap();
    assert_eq!(all(), ((3, vec![1, 2]), (3, 3)), "another order");
    let random = &mut StdRng::seed_from_u64(1);
    store.remove(LONG, 1, b"sip:b:1", random).unwrap();
    at(0);
    assert_eq!(all(), ((4, vec![3]), (4, 4)), "the set goes on");
    store.add(LONG, &spec(1, "sip:b:1", 0, 1), random).unwrap();
    assert_eq!(all().0, (4, vec![0, 3]), "another destination");
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn the_last_failover_and_the_last_mark_are_kept() {
    let heap = Heap::default();
    let store = store(&heap, true);
    load(&store, &[spec(1, "sip:a:1", 0, 0)], ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let record = pinned.view(1).unwrap().dest(0).unwrap().record();
    let counts = record.counted().unwrap();
    assert_eq!((counts.last_failover(), counts.last_mark()), (None, None));
    let moment = |at_ms, code| Moment { at_ms, code };
    counts.count_failover(moment(7, 503));
    counts.count_failover(moment(1 << 47, 408));
    counts.note_mark(moment(9, 0));
    assert_eq!(counts.failovers(), 2);
    assert_eq!(counts.last_failover(), Some(moment(1 << 47, 408)));
    assert_eq!(counts.last_mark(), Some(moment(9, 0)));
    drop(pinned);
    unsafe { store.destroy() };
}

#[test]
fn counters_take_memory_only_where_they_are_wanted() {
    let list = [spec(1, "sip:a:1", 0, 0), spec(2, "sip:b:1", 0, 0)];
    let taken = |counted| {
        let heap = Heap::default();
        let store = store(&heap, counted);
        load(&store, &list, ReloadState::Keep).unwrap();
        let pinned = store.pin(0);
        let view = pinned.view(1).unwrap();
        view.count_selection(0, &shard(0));
        assert_eq!(view.record().counted().is_some(), counted);
        assert_eq!(view.dest(0).unwrap().record().counted().is_some(), counted);
        drop(pinned);
        let bytes = (heap.taken(), heap.bytes());
        unsafe { store.destroy() };
        assert_eq!(heap.taken(), 0);
        bytes
    };
    let ((few, small), (many, large)) = (taken(false), taken(true));
    assert_eq!(many, few + 2, "a piece for each set");
    assert!(large > small + 3 * 1_024, "{small} {large}");
}

#[test]
fn a_load_without_memory_for_counters_changes_nothing() {
    let heap = Heap::default();
    let store = store(&heap, true);
    load(&store, &[spec(1, "sip:a:1", 0, 0)], ReloadState::Keep).unwrap();
    let list = [spec(1, "sip:a:1", 0, 0), spec(2, "sip:b:1", 0, 0)];
    let mut left = 0;
    loop {
        heap.limit(Some(left));
        let loaded = load(&store, &list, ReloadState::Keep);
        heap.limit(None);
        if loaded.is_ok() {
            break;
        }
        assert!(store.pin(0).view(2).is_none());
        left += 1;
    }
    assert!(left > 4, "{left}");
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

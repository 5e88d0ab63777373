//! Destinations that come back to the records that were retained for their calls.

use core::ops::Range;
use core::ptr;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::calls::with_duid;
use super::store::{HeapStore, dump, load, set_state, store};
use super::{Heap, LONG};
use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::state::transition::State;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::refcount::Hold;
use crate::shm::table::store::ReloadState;

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

/// Counts a call at the destination at a position of set 1, and returns its record.
fn with_a_call(store: &HeapStore, at: usize) -> Hold<'_, Heap, DestRecord> {
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    assert!(view.reserve(at));
    store.hold(view.dest(at).unwrap())
}

#[test]
fn an_add_or_a_load_without_memory_leaves_a_retained_record_as_it_is() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = [
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:a:1", "duid=a"),
    ];
    load(&store, &list, ReloadState::Keep).unwrap();
    set_state(&store, 1, "sip:a:1", 1);
    let record = with_a_call(&store, 0);
    let add = || store.add(LONG, &list[1], &mut random()).is_ok();
    let reload = || load(&store, &list, ReloadState::Keep).is_ok();
    let attempts: [&dyn Fn() -> bool; 2] = [&add, &reload];
    for attempt in attempts {
        store.remove(LONG, 1, b"sip:a:1", &mut random()).unwrap();
        let before = record.status();
        assert_eq!(before, (State(1), 3));
        let mut left = 0;
        loop {
            heap.limit(Some(left));
            let done = attempt();
            heap.limit(None);
            if done {
                break;
            }
            assert_eq!((record.status(), record.load()), (before, 1), "{left}");
            left += 1;
        }
        assert!(left > 2);
        assert_eq!(dump(&store), ["1: sip:a:1/0/0 sip:b:1/0/0"]);
        let pinned = store.pin(0);
        let view = pinned.view(1).unwrap();
        assert!(ptr::eq(view.dest(0).unwrap().record(), &raw const *record));
        assert_eq!(view.next_bit(0), Some(0));
        drop(pinned);
        set_state(&store, 1, "sip:a:1", 1);
    }
    drop(record);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn two_lines_of_one_duid_do_not_share_a_retained_record() {
    let heap = Heap::default();
    let store = store(&heap);
    let twins = [
        with_duid("sip:a:1", "duid=a"),
        with_duid("sip:a:2", "duid=A"),
    ];
    let other = with_duid("sip:b:1", "duid=b");
    for removed in 1..=2 {
        load(&store, &twins[..removed], ReloadState::Keep).unwrap();
        let records: Vec<_> = (0..removed).map(|at| with_a_call(&store, at)).collect();
        load(&store, core::slice::from_ref(&other), ReloadState::Keep).unwrap();
        load(&store, &twins, ReloadState::Keep).unwrap();
        let pinned = store.pin(0);
        let view = pinned.view(1).unwrap();
        let [one, two] = [0, 1].map(|at| view.dest(at).unwrap().record());
        assert!(!ptr::eq(one, two), "{removed}");
        let calls = one.load() + two.load();
        assert_eq!(calls as usize, removed);
        drop(pinned);
        records.iter().for_each(|record| record.unload());
        drop(records);
        load(&store, core::slice::from_ref(&other), ReloadState::Keep).unwrap();
    }
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_record_that_is_listed_under_another_duid_is_not_taken_again() {
    let heap = Heap::default();
    let store = store(&heap);
    let (a, b) = (
        with_duid("sip:a:1", "duid=a"),
        with_duid("sip:b:1", "duid=b"),
    );
    load(&store, &[a.clone(), b], ReloadState::Keep).unwrap();
    let record = with_a_call(&store, 1);
    // While it lives, nothing is given back, and so no retained counter either.
    let pinned = store.pin(1);
    store.remove(LONG, 1, b"sip:a:1", &mut random()).unwrap();
    store.add(LONG, &a, &mut random()).unwrap();
    let other = with_duid("sip:a:1", "duid=c");
    let revision = crate::shm::table::edit::Revision {
        attrs: Some((other.attrs_body, other.attrs, 0)),
        ..Default::default()
    };
    store
        .modify(LONG, 1, Some(b"sip:a:1"), |_| true, revision, &mut random())
        .unwrap();
    store
        .add(LONG, &with_duid("sip:d:1", "duid=a"), &mut random())
        .unwrap();
    drop(pinned);
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    let over = view
        .dests()
        .filter(|dest| ptr::eq(dest.record(), &raw const *record));
    assert_eq!(over.count(), 1);
    drop(pinned);
    record.unload();
    drop(record);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

/// Returns a list with one destination a set.
fn one_a_set(sets: &[(i32, String)]) -> Vec<DestSpec<'_>> {
    let specs = sets.iter().map(|(set, uri)| DestSpec {
        set: *set,
        ..with_duid(uri, "duid=a")
    });
    specs.collect()
}

#[test]
fn many_destinations_and_sets_come_back_among_many_that_do_not() {
    let count = if cfg!(miri) { 20 } else { 5_000 };
    let heap = Heap::default();
    let store = store(&heap);
    let texts = |sets: Range<i32>| {
        sets.map(|set| (set, format!("sip:a:{set}")))
            .collect::<Vec<_>>()
    };
    let all = texts(0..count);
    load(&store, &one_a_set(&all), ReloadState::Keep).unwrap();
    let call = |set: i32| {
        let pinned = store.pin(0);
        let view = pinned.view(set).unwrap();
        assert!(view.reserve(0));
        (store.hold(view.dest(0).unwrap()), view.counted())
    };
    let before: Vec<_> = (0..count).map(call).collect();
    load(
        &store,
        &one_a_set(&texts(count..count + 1)),
        ReloadState::Keep,
    )
    .unwrap();
    // Every other one comes back, beside new ones.
    let back = all.into_iter().filter(|(set, _)| set % 2 == 0).rev();
    let back: Vec<_> = back.chain(texts(count..count * 2)).collect();
    load(&store, &one_a_set(&back), ReloadState::Keep).unwrap();
    for (set, (record, set_record)) in (0..).zip(&before).step_by(2) {
        let pinned = store.pin(0);
        let view = pinned.view(set).unwrap();
        assert!(
            ptr::eq(view.dest(0).unwrap().record(), &raw const **record),
            "{set}"
        );
        assert_eq!(view.counted(), *set_record, "{set}");
    }
    before.iter().for_each(|(record, _)| record.unload());
    drop(before);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

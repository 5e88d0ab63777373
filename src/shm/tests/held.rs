//! Processes that hold a pin or the writer lock for long: what they cost the others, and who is told.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use lock_api::RawMutex;

use super::calls::with_duid;
use super::store::{HeapStore, Spin, WATCHED, load, store};
use super::{Heap, LONG, spec};
use crate::dispatch::list::destination::DestSpec;
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record_slab::Vitals;
use crate::shm::memory::epoch::Held;
use crate::shm::table::edit::{EditError, Revision};
use crate::shm::table::lock::{Patience, Refusal};
use crate::shm::table::store::{ReloadState, Store};

fn raise(store: &HeapStore, patience: Patience, priority: i32) -> Result<(), EditError> {
    let revision = Revision {
        priority: Some(priority % 7),
        ..Revision::default()
    };
    let mut random = StdRng::seed_from_u64(1);
    store.modify(
        patience,
        1,
        Some(b"sip:a:1"),
        |_| true,
        revision,
        &mut random,
    )
}

/// A clock whose seconds are milliseconds.
fn fast_s() -> u64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    125 + u64::try_from(BEGIN.elapsed().as_millis()).unwrap()
}

#[test]
fn a_long_pin_neither_slows_edits_down_nor_takes_more_than_the_bound() {
    let (edits, part) = if cfg!(miri) { (24, 6) } else { (16_000, 1_000) };
    let heap = Heap::default();
    let store = store(&heap);
    let uris: Vec<String> = (1..=10).map(|n| format!("sip:a:{n}")).collect();
    let list: Vec<_> = uris.iter().map(|uri| spec(1, uri, 0, 0)).collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    let taken = heap.taken();
    let pinned = store.pin(1);
    let timed = |number| {
        let begun = Instant::now();
        raise(&store, LONG, number).unwrap();
        begun.elapsed()
    };
    let mut took: Vec<Duration> = (0..7).cycle().take(edits).map(timed).collect();
    let kept = store.holdings(0);
    assert_eq!(kept.notes, edits as u64);
    let [first, last] = [0..part, edits - part..edits].map(|part| {
        let part = &mut took[part];
        part.sort_unstable();
        part[part.len() / 2]
    });
    assert!(cfg!(miri) || last < first * 4, "{first:?}, then {last:?}");

    let one = kept.bytes / kept.notes;
    store.bound_backlog(kept.bytes + 10 * one);
    let more = (0..100).take_while(|&number| raise(&store, LONG, number).is_ok());
    assert!((9..=11).contains(&more.count()));
    let refused = store.holdings(0);
    assert!(refused.bytes < refused.most + 2 * one);
    let why = Refusal::Kept(refused.bytes, None);
    assert_eq!(raise(&store, LONG, 1), Err(EditError::Refused(why)));
    assert_eq!(load(&store, &list, ReloadState::Keep), Err(why));
    assert_eq!(
        why.to_string(),
        format!("{} bytes of replaced lists cannot be freed", refused.bytes)
    );
    drop(pinned);

    raise(&store, LONG, 0).unwrap();
    let kept = store.holdings(0);
    assert_eq!((kept.notes, kept.bytes), (0, 0));
    load(&store, &list, ReloadState::Keep).unwrap();
    assert_eq!(heap.taken(), taken);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn what_is_counted_as_kept_is_what_was_taken() {
    let heap = Heap::default();
    let store = store(&heap);
    let count = if cfg!(miri) { 20 } else { 100 };
    let uris: Vec<String> = (1..=count).map(|n| format!("sip:a:{n}")).collect();
    let list: Vec<_> = uris.iter().map(|uri| spec(1, uri, 0, 0)).collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    let all = store.pin(0).table().unwrap().bytes_of_all() as u64;
    let before = heap.bytes() as u64;
    let pinned = store.pin(1);
    load(&store, &list, ReloadState::Keep).unwrap();
    // The header of a page, and the rounding of its parts, are in nobody's count.
    let more = heap.bytes() as u64 - before;
    let kept = store.holdings(0).bytes;
    assert!(kept <= more && kept + 256 >= more, "{kept} of {more}");
    assert!(all < kept && kept < all + 256, "{kept} of {all}");
    drop(pinned);
    unsafe { store.destroy() };
}

#[test]
fn what_left_the_lists_is_counted_as_kept_with_all_that_is_known_of_it() {
    const EACH: usize = if cfg!(miri) { 8 } else { 128 };
    let heap = Heap::default();
    let store = Store::create(heap.clone(), Spin::INIT, WATCHED).unwrap();
    unsafe { store.make_slots(2) }.unwrap();
    let reload = |round: usize| {
        let uris: Vec<String> = (0..EACH).map(|n| format!("sip:{round}-{n}:1")).collect();
        let list: Vec<_> = uris
            .iter()
            .map(|uri| DestSpec {
                set: i32::try_from(round).unwrap(),
                ..with_duid(uri, "duid=the_same")
            })
            .collect();
        load(&store, &list, ReloadState::Keep).unwrap();
    };
    reload(0);
    let before = heap.bytes();
    let pinned = store.pin(1);
    for round in 1..6 {
        reload(round);
        let more = (heap.bytes() - before) as u64;
        let kept = store.holdings(0).bytes;
        assert!(kept * 100 >= more * 95, "{round}: {kept} of {more}");
        assert!(kept <= more, "{round}: {kept} of {more}");
    }
    let kept = store.holdings(0).bytes;
    let mut random = StdRng::seed_from_u64(1);
    let uris: Vec<String> = (0..EACH).map(|n| format!("sip:5-{n}:1")).collect();
    for uri in &uris {
        store.remove(LONG, 5, uri.as_bytes(), &mut random).unwrap();
    }
    let of_records = EACH * (size_of::<DestRecord>() + size_of::<Vitals>());
    assert!(store.holdings(0).bytes > kept + of_records as u64);
    drop(pinned);
    store.collect();
    assert_eq!(store.holdings(0).bytes, 0);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn whoever_holds_the_writer_lock_is_named_and_not_waited_for() {
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &[spec(1, "sip:a:1", 0, 0)], ReloadState::Keep).unwrap();
    assert_eq!(store.holdings(0).writer, None);
    assert!(!store.is_held_by(1));
    store.leak_writer_lock();
    assert!(store.is_held_by(1));
    let pid = std::process::id();
    let holder = |for_s| Held { pid, for_s };
    for (second, told) in [(100, None), (109, None), (110, Some(10)), (111, None)] {
        let (_, writer) = store.watch(second);
        assert_eq!(writer, told.map(holder), "{second}");
    }
    assert_eq!(store.holdings(130).writer, Some(holder(30)));
    for wait_ms in [0, 30] {
        let begun = Instant::now();
        let begun_s = fast_s();
        let patience = Patience {
            wait_ms,
            now_s: fast_s,
        };
        let refused = raise(&store, patience, 1);
        let Err(EditError::Refused(why @ Refusal::Busy(Held { for_s, .. }))) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(why, Refusal::Busy(holder(for_s)));
        // The lock has been seen since second 100.
        assert!(
            for_s >= begun_s + wait_ms - 100,
            "{for_s} s from {begun_s} on"
        );
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(wait_ms));
        assert!(took < Duration::from_secs(5), "{took:?}");
        let text = format!("process {pid} has been changing the lists for {for_s} s");
        assert_eq!(why.to_string(), text);
    }
    // Nor is it waited for at the tick.
    store.collect();
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_pin_that_lasts_is_told_of_once_and_many_short_ones_are_not() {
    let heap = Heap::default();
    let store = store(&heap);
    store.introduce(1);
    assert!(!store.is_held_by(1));
    let reader = |for_s| Held {
        pid: std::process::id(),
        for_s,
    };
    let mut pinned = store.pin(1);
    assert!(store.is_held_by(1) && !store.is_held_by(0));
    for second in 0..30 {
        assert_eq!(store.watch(second), (vec![], None));
        assert_eq!(store.holdings(second).reader, None);
        // The next pin of the same process is another one.
        drop(pinned);
        pinned = store.pin(1);
    }
    for second in 30..60 {
        let told = if second == 40 {
            vec![reader(10)]
        } else {
            vec![]
        };
        assert_eq!(store.watch(second), (told, None), "{second}");
        let for_s = second - 30;
        let expected = (for_s > 1).then(|| reader(for_s));
        assert_eq!(store.holdings(second).reader, expected, "{second}");
    }
    drop(pinned);
    let pinned = store.pin(1);
    assert_eq!(store.holdings(61).reader, None);
    drop(pinned);
    unsafe { store.destroy() };
}

//! A process that is held up while it follows a change: whatever bitmaps and trees say then, what is usable is found.

use std::cell::Cell;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::calls::with_duid;
use super::store::{HeapStore, load, set_state, store};
use super::{Heap, LONG, spec};
use crate::dispatch::balance::cost::{Key, mix};
use crate::dispatch::list::attrs::Attrs;
use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::select::rendezvous;
use crate::dispatch::select::turns::Weights;
use crate::dispatch::state::transition::{Outcome, State};
use crate::shm::dest::destination::Dest;
use crate::shm::set::view::View;
use crate::shm::table::edit::Revision;
use crate::shm::table::store::ReloadState;

const STARTS: [Start; 9] = [
    Start::First,
    Start::RoundRobin,
    Start::Hash(3),
    Start::Random(90),
    Start::Weight,
    Start::RelativeWeight,
    Start::Latency,
    Start::Priority,
    Start::Service,
];

/// The number of destinations: more than a word of a bitmap has bits, unless Miri runs the tests.
const COUNT: usize = if cfg!(miri) { 8 } else { 70 };

/// A position in the last word of the bitmap.
const LATE: usize = COUNT - 3;

/// The last position, which the first line of the list has.
const LAST: usize = COUNT - 1;

/// A position between the first and the late ones.
const MIDDLE: usize = COUNT / 2;

/// Destinations of set 1, in the order of the list.
fn list(uris: &[String]) -> Vec<DestSpec<'_>> {
    uris.iter().map(|uri| spec(1, uri, 0, 0)).collect()
}

fn uris(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("sip:a:{}", n + 1)).collect()
}

/// Runs `act` with the view of set 1 and a store where all but the destinations at `up` are out.
fn with_up(count: usize, up: &[usize], act: impl FnOnce(&View, &HeapStore)) {
    let heap = Heap::default();
    let store = store(&heap);
    let uris = uris(count);
    load(&store, &list(&uris), ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    for at in (0..count).filter(|at| !up.contains(at)) {
        let uri = String::from_utf8_lossy(view.dest(at).unwrap().uri());
        set_state(&store, 1, &uri, 1);
    }
    act(view, &store);
    drop(pinned);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

/// The truth as a process sees it that is held up between its first look and its second one, before which `meanwhile`
/// runs in the others.
fn held_up<T>(first: T, truth: impl Fn() -> T, meanwhile: impl Fn()) -> impl Fn() -> T {
    let (first, looks) = (Cell::new(Some(first)), Cell::new(0));
    move || {
        looks.set(looks.get() + 1);
        if looks.get() == 2 {
            meanwhile();
        }
        first.take().unwrap_or_else(&truth)
    }
}

/// A change that takes a destination down.
fn down(_: State, failures: u32) -> Outcome {
    Outcome {
        state: State::INACTIVE,
        failures,
        flip: None,
        in_row: 0,
    }
}

/// Checks that every algorithm finds exactly these, first and as a failover order.
fn finds(view: &View, usable: &[usize]) {
    for start in STARTS {
        let choice = choose(view, start).unwrap_or_else(|| panic!("{start:?} finds nothing"));
        assert!(usable.contains(&choice.at), "{start:?}");
        let mut order: Vec<usize> = choice.order(view).collect();
        order.sort_unstable();
        assert_eq!(order, usable, "{start:?}");
    }
    assert_eq!(view.last_usable(view.dest_count()), usable.last().copied());
}

#[test]
fn a_bit_that_was_cleared_late_hides_nobody() {
    with_up(COUNT, &[LATE], |view, store| {
        view.record().begin_change();
        let truth = || view.is_usable(LATE);
        view.usable
            .sync(LATE, held_up(false, truth, || finds(view, &[LATE])));
        view.record().end_change();
        finds(view, &[LATE]);
        // Another one comes up meanwhile, and its own process is not held up.
        set_state(store, 1, &format!("sip:a:{COUNT}"), 0);
        finds(view, &[0, LATE]);
    });
}

#[test]
fn a_bit_that_was_cleared_late_is_missing_in_no_failover_order() {
    let usable = [1, MIDDLE, LATE, LAST];
    with_up(COUNT, &usable, |view, _| {
        view.record().begin_change();
        let truth = || view.is_usable(MIDDLE);
        view.usable
            .sync(MIDDLE, held_up(false, truth, || finds(view, &usable)));
    });
}

#[test]
fn a_summary_that_was_cleared_late_hides_no_word() {
    let (count, up) = if cfg!(miri) {
        (66, [64, 65])
    } else {
        (200, [130, 199])
    };
    with_up(count, &up, |view, _| {
        view.record().begin_change();
        view.usable.clear_summary(up[0]);
        finds(view, &up);
    });
}

#[test]
fn a_destination_that_seems_to_drain_no_more_is_still_found() {
    with_up(COUNT, &[], |view, store| {
        set_state(store, 1, "sip:a:3", State::DRAINING.bits());
        view.record().begin_change();
        let truth = || view.is_draining(LATE);
        let meanwhile = || {
            assert!(view.any_draining());
            assert_eq!(view.next_draining(0, COUNT), Some(LATE));
        };
        view.draining.sync(LATE, held_up(false, truth, meanwhile));
    });
}

#[test]
fn ranks_that_are_behind_hide_nobody() {
    with_up(COUNT, &[1, LATE], |view, _| {
        view.record().begin_change();
        let best = view.ranks.best();
        // One process is held up above the value, another one below it.
        best.set_leaf(1, 0);
        let truth = || view.rank(LATE).unwrap();
        best.sync(LATE, held_up(0, truth, || finds(view, &[1, LATE])));
    });
}

#[test]
fn sums_that_are_behind_give_nobodys_share_away() {
    let heap = Heap::default();
    let store = store(&heap);
    let uris = uris(3);
    let attrs = Attrs {
        rweight: 50,
        weight: 50,
        ..Attrs::default()
    };
    let list: Vec<_> = list(&uris)
        .into_iter()
        .map(|spec| DestSpec { attrs, ..spec })
        .collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    view.record().begin_change();
    // The first has come up, the sums do not know it, and will not: its value is right.
    for by in [Weights::Relative, Weights::Service] {
        let sums = view.ranks.weights(by);
        sums.sync(0, || 0);
        sums.set_value(0, 1);
    }
    for start in [Start::RelativeWeight, Start::Service] {
        let mut counts = [0; 3];
        (0..30).for_each(|_| counts[choose(view, start).unwrap().at] += 1);
        assert_eq!(counts, [10, 10, 10], "{start:?}");
    }
    drop(pinned);
    unsafe { store.destroy() };
}

#[test]
fn bitmaps_that_are_behind_hide_nobody_from_a_key() {
    with_up(COUNT, &[1, LATE], |view, _| {
        view.record().begin_change();
        let chosen = || (0..40).map(|key| rendezvous::choose(view, Key(mix(key))).unwrap());
        let truth = || view.is_usable(LATE);
        let meanwhile = || {
            assert!(chosen().all(|at| [1, LATE].contains(&at)));
            assert!(chosen().any(|at| at == LATE), "a usable one is hidden");
            let order = rendezvous::sorted(view, Key(7));
            assert_eq!(order.len(), 2);
        };
        view.usable.sync(LATE, held_up(false, truth, meanwhile));
    });
}

#[test]
fn a_tree_that_is_behind_makes_nobody_full() {
    let heap = Heap::default();
    let store = store(&heap);
    let uris = uris(COUNT);
    let list: Vec<_> = uris
        .iter()
        .map(|uri| with_duid(uri, "duid=a;maxload=1"))
        .collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    (0..COUNT).for_each(|_| assert!(view.reserve_least().is_some()));
    assert_eq!(view.reserve_least(), None);
    let record = view.dest(LATE).unwrap().record();
    // A process sees the destination full, and is held up; in another one the call ends.
    let meanwhile = || {
        assert_eq!(view.reserve_least(), Some(LATE));
        assert_eq!(view.reserve_least(), None);
    };
    let truth = || u32::from(view.dest(LATE).unwrap().has_room());
    record.unload();
    view.sync_load(LATE);
    view.rooms.sync(LATE, held_up(0, truth, meanwhile));
    // Held up above the value, too; whoever comes by next goes all the way up.
    record.unload();
    view.rooms.set_leaf(LATE, u32::MAX);
    view.sync_load(LATE);
    assert_eq!(view.find_least(), Some(LATE));
    drop(pinned);
    unsafe { store.destroy() };
}

#[test]
fn a_tree_that_is_behind_gives_no_call_to_who_is_down() {
    let heap = Heap::default();
    let store = store(&heap);
    let uris = uris(3);
    let list: Vec<_> = uris.iter().map(|uri| with_duid(uri, "duid=a")).collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    // A process takes them down, and is held up before the tree follows.
    for at in [0, 2] {
        view.record().begin_change();
        view.dest(at).unwrap().record().change(down);
    }
    for _ in 0..5 {
        assert_eq!(view.reserve_least(), Some(1));
    }
    assert_eq!(view.find_least(), Some(1));
    view.dest(1).unwrap().record().change(down);
    assert_eq!(view.reserve_least(), None);
    let loads = view.dests().map(|dest| dest.record().load());
    assert_eq!(loads.collect::<Vec<_>>(), [0, 5, 0]);
    drop(pinned);
    unsafe { store.destroy() };
}

#[test]
fn a_change_of_latency_counts_as_a_change() {
    with_up(3, &[0, 1, 2], |view, store| {
        let record = view.dest(1).unwrap().record();
        let was_quiet = Cell::new(None);
        store.change_latency(1, record, || was_quiet.set(Some(view.is_quiet())));
        assert_eq!(was_quiet.get(), Some(false));
        assert!(view.is_quiet());
    });
}

#[test]
fn each_change_that_a_load_makes_counts() {
    let heap = Heap::default();
    let store = store(&heap);
    let uris = uris(4);
    let with_flags = |flags: [u32; 4]| -> Vec<_> {
        let lines = uris.iter().zip(flags);
        lines.map(|(uri, flags)| spec(1, uri, flags, 0)).collect()
    };
    load(&store, &with_flags([0, 1, 0, 1]), ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let record = pinned.view(1).unwrap().record();
    let mut seen = vec![record.changes()];
    let is_quiet = || record.changes() == record.changes_ended();
    let mut told = |_: &Dest, _| {
        assert!(!is_quiet(), "the load is under way");
        seen.push(record.changes());
    };
    let turned = with_flags([1, 0, 1, 0]);
    let random = &mut StdRng::seed_from_u64(1);
    let (ticket, keep) = (store.ticket(), ReloadState::Keep);
    store
        .load_and_tell(LONG, ticket, &turned, keep, random, &mut told)
        .unwrap();
    assert!(is_quiet());
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
    drop(pinned);
    unsafe { store.destroy() };
}

#[test]
fn a_replaced_view_is_not_believed() {
    let heap = Heap::default();
    let store = store(&heap);
    let uris = uris(COUNT);
    let mut random = StdRng::seed_from_u64(1);
    let reload: &dyn Fn(&HeapStore) = &|store| {
        load(store, &list(&uris), ReloadState::Keep).unwrap();
    };
    let edit: &dyn Fn(&HeapStore) = &|store| {
        let random = &mut StdRng::seed_from_u64(1);
        let raised = Revision {
            priority: Some(1),
            ..Revision::default()
        };
        let all = |_: &Dest| true;
        store
            .modify(LONG, 1, Some(b"sip:a:2"), all, raised, random)
            .unwrap();
    };
    for replace in [reload, edit] {
        load(&store, &list(&uris), ReloadState::Keep).unwrap();
        let pinned = store.pin(0);
        let view = pinned.view(1).unwrap();
        for at in 0..COUNT {
            let uri = String::from_utf8_lossy(view.dest(at).unwrap().uri());
            set_state(&store, 1, &uri, if at == MIDDLE { 0 } else { 1 });
        }
        finds(view, &[MIDDLE]);
        replace(&store);
        // Only the new view follows these.
        let newer = store.pin(1);
        let newer = newer.view(1).unwrap();
        let set = |at: usize, state| {
            let record = view.dest(at).unwrap().record();
            newer.record().begin_change();
            record.change(|_, failures| Outcome {
                state,
                failures,
                flip: None,
                in_row: 0,
            });
            newer.sync(newer.position_of(record).unwrap());
            newer.record().end_change();
        };
        set(1, State::ACTIVE);
        set(MIDDLE, State::INACTIVE);
        finds(view, &[1]);
        set(LATE, State::DRAINING);
        assert!(view.any_draining());
        assert_eq!(view.next_draining(0, COUNT), Some(LATE));
        assert_eq!(
            newer.any_draining(),
            newer.next_draining(0, COUNT).is_some()
        );
        drop(pinned);
    }
    // A set that has left the lists has no newer view.
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    for uri in &uris {
        store.remove(LONG, 1, uri.as_bytes(), &mut random).unwrap();
    }
    assert!(!view.sums_are_exact());
    drop(pinned);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_change_by_uri_is_followed_where_a_reload_has_renamed_the_destination() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = |uri| [with_duid(uri, "duid=a"), with_duid("sip:b:1", "duid=b")];
    load(&store, &list("sip:a:1"), ReloadState::Keep).unwrap();
    let renamed = Cell::new(false);
    let down = |_: State, failures| {
        if !renamed.replace(true) {
            load(&store, &list("sip:c:1"), ReloadState::Keep).unwrap();
        }
        Outcome {
            state: State(1),
            failures,
            flip: None,
            in_row: 0,
        }
    };
    let all = |_: &Dest| true;
    assert_eq!(
        store.change(1, 1, Some(b"sip:a:1"), all, down, |_, _, _| {}),
        Some(1)
    );
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    let renamed = view.find_uri(b"sip:c:1").next().unwrap();
    assert!(!view.is_usable(renamed));
    assert!(view.is_quiet());
    assert_eq!(view.next_bit(renamed), (renamed == 0).then_some(1));
    drop(pinned);
    unsafe { store.destroy() };
}

#[test]
fn a_process_that_stops_for_ever_in_a_change_costs_nothing_but_time() {
    with_up(COUNT, &[2, LAST], |view, store| {
        view.record().begin_change();
        let mut random = StdRng::seed_from_u64(3);
        for _ in 0..if cfg!(miri) { 10 } else { 500 } {
            let uri = format!("sip:a:{}", 1 + random.next_u32() as usize % COUNT);
            set_state(store, 1, &uri, random.next_u32() % 2);
            let usable: Vec<usize> = (0..COUNT).filter(|&at| view.is_usable(at)).collect();
            if usable.is_empty() {
                assert_eq!(choose(view, Start::First), None);
            } else {
                finds(view, &usable);
            }
        }
    });
}

#[test]
fn a_change_hides_nobody_whose_set_has_left_and_come_back_meanwhile() {
    let heap = Heap::default();
    let store = store(&heap);
    let out = |duid| DestSpec {
        flags: State::INACTIVE,
        ..with_duid("sip:a:1", duid)
    };
    let other = spec(2, "sip:b:1", 0, 0);
    let come_back: [&dyn Fn(); 2] = [
        &|| {
            let random = &mut StdRng::seed_from_u64(1);
            store.remove(LONG, 1, b"sip:a:1", random).unwrap();
            store.add(LONG, &out("duid=a"), random).unwrap();
        },
        &|| {
            load(&store, core::slice::from_ref(&other), ReloadState::Keep).unwrap();
            load(&store, &[out("duid=a"), other.clone()], ReloadState::Keep).unwrap();
        },
    ];
    for leave_and_come_back in come_back {
        load(
            &store,
            &[out("duid=a"), other.clone()],
            ReloadState::FromList,
        )
        .unwrap();
        let asked = Cell::new(0);
        let up = |_: State, failures| {
            asked.set(asked.get() + 1);
            if asked.get() == 2 {
                leave_and_come_back();
            }
            Outcome {
                state: State::ACTIVE,
                failures,
                flip: None,
                in_row: 0,
            }
        };
        // The record is changed, and the view that runs does not follow it yet.
        let told = |_: &Dest, _, _| {
            let pinned = store.pin(0);
            let view = pinned.view(1).unwrap();
            assert!(view.is_usable(0));
            finds(view, &[0]);
        };
        store.change(1, 1, None, |_| true, up, told).unwrap();
        assert!(asked.get() > 1);
        let pinned = store.pin(0);
        assert!(pinned.view(1).unwrap().is_quiet());
        finds(pinned.view(1).unwrap(), &[0]);
    }
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

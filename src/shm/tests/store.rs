//! The published table on the heap: what survives, what is given back, what a full arena does.

use core::sync::atomic::{AtomicBool, Ordering};

use lock_api::{GuardSend, RawMutex};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Heap, LONG, spec};
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::list::attrs;
use crate::dispatch::list::destination::{Addr, DestSpec, Proto};
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Outcome, State};
use crate::shm::dest::address::{Key as AddrKey, Match, Source};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record_slab::{RecordSlab, Vitals};
use crate::shm::dest::register::RegisterCell;
use crate::shm::memory::arena::ShmSafe;
use crate::shm::memory::refcount::Counted;
use crate::shm::set::view::Rules;
use crate::shm::table::edit::Revision;
use crate::shm::table::lock::Refusal;
use crate::shm::table::new_table::{Changes, compare};
use crate::shm::table::store::{ReloadState, Store, Tried};

/// Draining.
const D: u32 = State::DRAINING.bits();

/// A lock that spins; good enough over shared memory for a test.
pub struct Spin(AtomicBool);

unsafe impl ShmSafe for Spin {}

unsafe impl RawMutex for Spin {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Spin(AtomicBool::new(false));
    type GuardMarker = GuardSend;

    fn lock(&self) {
        while !self.try_lock() {
            std::thread::yield_now();
        }
    }
    fn try_lock(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }
    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

pub const RULES: Rules = Rules {
    unusable: State(D | 5),
    use_default: false,
    call_load: true,
    watched: false,
    counted: false,
    shared: false,
    rates: false,
    ping_words: false,
};

/// These rules, with requests that are watched.
pub const WATCHED: Rules = Rules {
    watched: true,
    ..RULES
};

/// A store on the heap.
pub type HeapStore = Store<Heap, Spin>;

pub fn store(heap: &Heap) -> Store<Heap, Spin> {
    let store = Store::create(heap.clone(), Spin::INIT, RULES).unwrap();
    unsafe { store.make_slots(2) }.unwrap();
    store
}

pub fn load(
    store: &Store<Heap, Spin>,
    specs: &[DestSpec<'_>],
    states: ReloadState,
) -> Result<Changes, Refusal> {
    let loaded = store.load(store.ticket(), specs, states, &mut StdRng::seed_from_u64(1));
    loaded.map(|changes| changes.expect("no later list"))
}

/// Every set as `id: uri/state uri/state`.
pub fn dump(store: &Store<Heap, Spin>) -> Vec<String> {
    let pinned = store.pin(0);
    let Some(table) = pinned.table() else {
        return vec![];
    };
    let one = |(id, view): (i32, &crate::shm::set::view::View)| {
        let dests = view.dests().map(|dest| {
            let (state, failures) = dest.record().status();
            format!(
                " {}/{}/{failures}",
                String::from_utf8_lossy(dest.uri()),
                state.0
            )
        });
        format!("{id}:{}", dests.collect::<String>())
    };
    table.sets().map(one).collect()
}

pub fn set_state(store: &Store<Heap, Spin>, set: i32, uri: &str, state: u32) -> Option<usize> {
    let change = |_, _| Outcome {
        state: State(state),
        failures: 3,
        flip: None,
        in_row: 0,
    };
    store.change(1, set, Some(uri.as_bytes()), |_| true, change, |_, _, _| {})
}

fn firsts(store: &Store<Heap, Spin>, set: i32, picks: usize) -> Vec<Option<usize>> {
    let pinned = store.pin(0);
    let view = pinned.view(set).unwrap();
    let pick = || choose(view, Start::RoundRobin).map(|pick| pick.at);
    (0..picks).map(|_| pick()).collect()
}

#[test]
fn order_is_by_priority_and_then_the_last_line_first() {
    let heap = Heap::default();
    let store = store(&heap);
    assert_eq!(dump(&store), [""; 0]);
    let list = [
        spec(3, "sip:a:1", 0, 0),
        spec(1, "sip:b:1", 0, 0),
        spec(1, "sip:c:1", 0, 9),
        spec(1, "sip:d:1", 1, 0),
        spec(2, "sip:e:1", 0, -1),
    ];
    load(&store, &list, ReloadState::Keep).unwrap();
    let expected = [
        "1: sip:c:1/0/0 sip:d:1/1/0 sip:b:1/0/0",
        "3: sip:a:1/0/0",
        "2: sip:e:1/0/0",
    ];
    let mut shown = dump(&store);
    shown.sort();
    let mut expected = expected.map(String::from);
    expected.sort();
    assert_eq!(shown, expected);
    assert_eq!(firsts(&store, 1, 4), [Some(0), Some(2), Some(0), Some(2)]);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_reload_keeps_what_runs_unless_the_list_changed() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = [
        spec(1, "sip:a:1", 0, 0),
        spec(1, "sip:b:1", 0, 0),
        spec(1, "sip:b:1", 0, 0),
    ];
    load(&store, &list, ReloadState::Keep).unwrap();
    assert_eq!(set_state(&store, 1, "SIP:A:1", 4), Some(1));
    assert_eq!(set_state(&store, 1, "sip:b:1", 1), Some(2));
    assert_eq!(set_state(&store, 1, "sip:none", 1), Some(0));
    assert_eq!(set_state(&store, 9, "sip:a:1", 1), None);
    assert_eq!(dump(&store), ["1: sip:b:1/1/3 sip:b:1/1/3 sip:a:1/4/3"]);

    load(&store, &list, ReloadState::Keep).unwrap();
    assert_eq!(dump(&store), ["1: sip:b:1/1/3 sip:b:1/1/3 sip:a:1/4/3"]);

    let changed = [
        spec(1, "sip:a:1", 8, 0),
        spec(1, "sip:b:1", 0, 0),
        spec(1, "sip:c:1", 0, 0),
    ];
    load(&store, &changed, ReloadState::Keep).unwrap();
    assert_eq!(dump(&store), ["1: sip:c:1/0/0 sip:b:1/1/3 sip:a:1/8/0"]);
    assert_eq!(firsts(&store, 1, 2), [Some(0), Some(2)]);

    load(&store, &changed, ReloadState::FromList).unwrap();
    assert_eq!(dump(&store), ["1: sip:c:1/0/0 sip:b:1/0/0 sip:a:1/8/0"]);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_duid_is_the_identity_where_there_is_one() {
    let heap = Heap::default();
    let store = store(&heap);
    let with_duid = |uri: &'static str, body: &'static [u8]| {
        let mut spec = spec(1, uri, 0, 0);
        spec.attrs_body = body;
        spec.attrs = crate::dispatch::list::attrs::parse(body).unwrap().0;
        spec
    };
    load(
        &store,
        &[with_duid("sip:a:1", b"duid=one")],
        ReloadState::Keep,
    )
    .unwrap();
    set_state(&store, 1, "sip:a:1", 4);
    load(
        &store,
        &[with_duid("sip:b:1", b"x=1;duid=ONE")],
        ReloadState::Keep,
    )
    .unwrap();
    assert_eq!(dump(&store), ["1: sip:b:1/4/3"]);
    load(
        &store,
        &[with_duid("sip:b:1", b"duid=two")],
        ReloadState::Keep,
    )
    .unwrap();
    assert_eq!(dump(&store), ["1: sip:b:1/0/0"]);
    unsafe { store.destroy() };
}

#[test]
fn cursors_go_on_over_a_reload() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = [
        spec(1, "sip:a:1", 0, 0),
        spec(1, "sip:b:1", 0, 0),
        spec(1, "sip:c:1", 0, 0),
    ];
    load(&store, &list, ReloadState::Keep).unwrap();
    assert_eq!(firsts(&store, 1, 2), [Some(0), Some(1)]);
    load(&store, &list, ReloadState::Keep).unwrap();
    assert_eq!(firsts(&store, 1, 2), [Some(2), Some(0)]);
    unsafe { store.destroy() };
}

#[test]
fn what_a_reader_holds_is_not_given_back() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = [spec(1, "sip:a:1", 0, 0)];
    load(&store, &list, ReloadState::Keep).unwrap();
    let taken = heap.taken();
    let pinned = store.pin(1);
    let nested = store.pin(1);
    for _ in 0..3 {
        load(&store, &[spec(1, "sip:b:1", 0, 0)], ReloadState::Keep).unwrap();
    }
    assert_eq!(store.retired(), 3);
    assert_eq!(pinned.view(1).unwrap().dest(0).unwrap().uri(), b"sip:a:1");
    drop(nested);
    store.collect();
    assert_eq!(store.retired(), 3);
    assert_eq!(pinned.view(1).unwrap().dest(0).unwrap().uri(), b"sip:a:1");
    drop(pinned);
    store.collect();
    assert_eq!(store.retired(), 0);
    assert_eq!(heap.taken(), taken);

    // A process without a slot of its own is safe as well.
    let stray = store.pin(99);
    load(&store, &list, ReloadState::Keep).unwrap();
    assert_eq!(stray.view(1).unwrap().dest(0).unwrap().uri(), b"sip:b:1");
    drop(stray);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn pins_may_end_in_any_order() {
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &[spec(1, "sip:a:1", 0, 0)], ReloadState::Keep).unwrap();
    let outer = store.pin(1);
    let inner = store.pin(1);
    drop(outer);
    load(&store, &[spec(1, "sip:b:1", 0, 0)], ReloadState::Keep).unwrap();
    // A pin that begins later does not shorten the first one.
    let later = store.pin(1);
    store.collect();
    assert_eq!(store.retired(), 1);
    assert_eq!(inner.view(1).unwrap().dest(0).unwrap().uri(), b"sip:a:1");
    assert_eq!(later.view(1).unwrap().dest(0).unwrap().uri(), b"sip:b:1");
    drop(inner);
    store.collect();
    assert_eq!(
        store.retired(),
        1,
        "the first one counts until all are gone"
    );
    drop(later);
    store.collect();
    assert_eq!(store.retired(), 0);
    // A number like a -1 that was converted is no process's either.
    for number in [usize::MAX, usize::MAX / 8, usize::MAX / 8 - 1] {
        drop(store.pin(number));
    }
    unsafe { store.destroy() };
}

#[test]
fn a_change_may_ask_for_the_state_that_it_changes() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = [spec(1, "sip:a:1", 1, 0), spec(1, "sip:b:1", 4, 0)];
    load(&store, &list, ReloadState::Keep).unwrap();
    assert_eq!(firsts(&store, 1, 1), [None]);
    let up = |_, failures| Outcome {
        state: State::ACTIVE,
        failures,
        flip: None,
        in_row: 0,
    };
    let inactive = |dest: &Dest| dest.record().state() == State::INACTIVE;
    let changed = store.change(1, 1, None, inactive, up, |_, _, _| {});
    assert_eq!(changed, Some(1));
    assert_eq!(firsts(&store, 1, 1), [Some(1)]);
    unsafe { store.destroy() };
}

#[test]
fn empty_texts_and_lists_are_no_special_case() {
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &[], ReloadState::Keep).unwrap();
    assert!(store.pin(0).view(0).is_none());
    let mut bare = spec(0, "", 0, 0);
    bare.addrs = [].as_slice().into();
    load(&store, &[bare.clone(), bare], ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let view = pinned.view(0).unwrap();
    assert_eq!(view.find_uri(b"").collect::<Vec<_>>(), [0, 1]);
    assert_eq!(view.find_uri(b"sip:a").count(), 0);
    assert_eq!(view.next_usable(0, usize::MAX), Some(0));
    assert_eq!(view.next_usable(usize::MAX - 1, usize::MAX), None);
    let source = Source {
        addr: Addr::V4([0; 4]).into(),
        port: 0,
        proto: Proto::NONE,
    };
    let want = Match {
        port: true,
        proto: true,
        set: None,
    };
    let table = pinned.table().unwrap();
    assert!(table.find_source(source, want, |_| true).is_none());
    drop(pinned);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn attributes_of_any_length_are_kept() {
    let heap = Heap::default();
    let store = store(&heap);
    // Longer than 16 bits can say, but for Miri, which takes minutes for that.
    let filler = "a".repeat(if cfg!(miri) { 3_000 } else { 70_000 });
    let bodies = [
        format!("duid=one;x={filler}"),
        format!("x={filler};duid=two"),
        "duid=three".to_owned(),
        format!("duid={filler}"),
    ];
    let duids = ["one", "two", "three", filler.as_str()];
    let specs: Vec<_> = (bodies
        .iter()
        .zip(["sip:a:1", "sip:b:1", "sip:c:1", "sip:d:1"]))
    .map(|(body, uri)| DestSpec {
        attrs_body: body.as_bytes(),
        attrs: attrs::parse(body.as_bytes()).unwrap().0,
        ..spec(1, uri, 0, 0)
    })
    .collect();
    load(&store, &specs, ReloadState::Keep).unwrap();
    {
        let pinned = store.pin(0);
        let dests = pinned.view(1).unwrap().dests();
        let dests: Vec<&Dest> = dests.collect();
        for (dest, (spec, duid)) in dests.iter().rev().zip(specs.iter().zip(duids)) {
            assert_eq!(dest.uri(), &*spec.uri);
            assert!(dest.attrs_body() == spec.attrs_body, "{}", duid.len());
            assert!(dest.duid() == Some(duid.as_bytes()), "{}", duid.len());
        }
    }
    unsafe { store.destroy() };
}

#[test]
fn a_search_that_finds_nothing_looks_at_the_newer_list() {
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &[spec(1, "sip:a:1", 0, 0)], ReloadState::Keep).unwrap();
    let mut seen = Vec::new();
    let tried = store.try_set(0, 1, |view| {
        seen.push(view.dest(0)?.uri().to_vec());
        if seen.len() == 1 {
            load(&store, &[spec(1, "sip:b:1", 0, 0)], ReloadState::Keep).unwrap();
        }
        (seen.len() > 1).then_some(())
    });
    assert!(matches!(tried, Tried::Done(())));
    assert_eq!(seen, [b"sip:a:1", b"sip:b:1"]);
    unsafe { store.destroy() };
}

#[test]
fn a_record_that_is_held_keeps_64_and_no_more() {
    let heap = Heap::default();
    let store = HeapStore::create(heap.clone(), Spin::INIT, WATCHED).unwrap();
    unsafe { store.make_slots(2) }.unwrap();
    let uris: Vec<String> = (0..200).map(|n| format!("sip:a:{}", n + 1)).collect();
    let many: Vec<_> = uris.iter().map(|uri| spec(1, uri, 0, 0)).collect();
    let leave = || {
        for _ in 0..2 {
            load(&store, &[spec(1, "sip:b:1", 0, 0)], ReloadState::Keep).unwrap();
        }
        heap.bytes()
    };
    let before = leave();
    load(&store, &many, ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let held = store.hold(pinned.view(1).unwrap().dest(100).unwrap());
    drop(pinned);
    let kept = leave() - before;
    let slab = 64 * (size_of::<Counted<DestRecord>>() + size_of::<Vitals>());
    assert!(kept >= slab, "{kept} of {slab} bytes");
    assert!(
        kept <= slab + size_of::<RecordSlab>(),
        "{kept} of {slab} bytes"
    );
    drop(held);
    assert_eq!(leave(), before);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

/// A slow start begins where a load or an edit brings a new line into a set with a usable one, or makes one usable.
#[test]
fn what_lists_bring_begins_slowly_beside_others() {
    let heap = Heap::default();
    let store = HeapStore::create(heap.clone(), Spin::INIT, WATCHED).unwrap();
    unsafe { store.make_slots(2) }.unwrap();
    // Those in their slow start, which is then over.
    let slow = |store: &HeapStore| -> Vec<String> {
        let pinned = store.pin(0);
        let sets = pinned.table().unwrap().sets();
        let begins = |dest: &&Dest| {
            let traffic = dest.record().traffic().unwrap();
            let begins = traffic.ramp_ms(5, 1_000).is_some();
            assert!(traffic.ramp_ms(5_000, 1_000).is_none());
            begins
        };
        let slow = sets.flat_map(|(_, view)| view.dests().filter(begins));
        let slow = slow.map(|dest| String::from_utf8_lossy(dest.uri()).into_owned());
        let mut slow: Vec<String> = slow.collect();
        slow.sort();
        slow
    };
    let (one, drained) = (spec(1, "sip:a:1", 0, 0), spec(1, "sip:b:1", D, 0));
    load(&store, &[one.clone(), drained.clone()], ReloadState::Keep).unwrap();
    assert_eq!(slow(&store), [""; 0], "the first list");
    let new = spec(1, "sip:c:1", 0, 0);
    let alone = spec(2, "sip:d:1", 0, 0);
    let list = [one.clone(), drained, new.clone(), alone.clone()];
    load(&store, &list, ReloadState::Keep).unwrap();
    assert_eq!(slow(&store), ["sip:c:1"], "a new line");
    let list = [one, spec(1, "sip:b:1", 0, 0), new, alone];
    load(&store, &list, ReloadState::Keep).unwrap();
    assert_eq!(slow(&store), ["sip:b:1"], "the end of draining");
    load(&store, &list, ReloadState::FromList).unwrap();
    assert_eq!(slow(&store), [""; 0], "nothing was out");
    let random = &mut StdRng::seed_from_u64(1);
    for (set, uri) in [(2, "sip:e:1"), (3, "sip:f:1")] {
        store.add(LONG, &spec(set, uri, 0, 0), random).unwrap();
    }
    assert_eq!(slow(&store), ["sip:e:1"], "an added one beside others");
    for flags in [D, 0] {
        let revision = Revision {
            flags: Some(State(flags)),
            ..Revision::default()
        };
        let uri = Some(&b"sip:a:1"[..]);
        let modified = store.modify(LONG, 1, uri, |_| true, revision, random);
        modified.unwrap();
    }
    assert_eq!(slow(&store), ["sip:a:1"], "a modified one");
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn memory_is_flat_over_reloads() {
    let heap = Heap::default();
    let store = store(&heap);
    // Miri takes a second for a reload of twenty.
    let (lines, rounds) = if cfg!(miri) { (6, 2) } else { (20, 20) };
    let list: Vec<_> = (0..lines).map(|n| spec(n % 4, "sip:a:1", 0, n)).collect();
    // Records of several loads lie in as many pieces, which become no more from then on.
    let cycle = || {
        for round in 0..rounds {
            load(&store, &list[round % 5..], ReloadState::Keep).unwrap();
        }
        load(&store, &list, ReloadState::Keep).unwrap();
        heap.taken()
    };
    let taken = cycle();
    assert_eq!(cycle(), taken);
    load(&store, &[], ReloadState::Keep).unwrap();
    assert!(store.pin(0).table().unwrap().is_empty());
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_full_arena_changes_nothing_at_any_step() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = [spec(1, "sip:a:1", 0, 0), spec(2, "sip:b:1", 0, 0)];
    load(&store, &list, ReloadState::Keep).unwrap();
    set_state(&store, 1, "sip:a:1", 4);
    let (shown, taken) = (dump(&store), heap.taken());
    let longer = [
        spec(1, "sip:a:1", 8, 0),
        spec(1, "sip:c:1", 0, 0),
        spec(2, "sip:b:1", 0, 0),
        spec(3, "sip:d:1", 0, 0),
    ];
    let mut refused = 0;
    loop {
        heap.limit(Some(refused));
        let loaded = load(&store, &longer, ReloadState::Keep);
        heap.limit(None);
        if loaded.is_ok() {
            break;
        }
        assert_eq!(dump(&store), shown, "refused after {refused}");
        assert_eq!(heap.taken(), taken, "refused after {refused}");
        refused += 1;
    }
    assert!(refused > 8, "{refused}");
    assert_eq!(dump(&store).len(), 3);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_source_is_found_as_by_a_scan() {
    let mut random = StdRng::seed_from_u64(11);
    let rounds = if cfg!(miri) { 3 } else { 200 };
    for _ in 0..rounds {
        let ips: Vec<[Addr; 1]> = (0..4u8)
            .map(|n| {
                [if n == 3 {
                    Addr::V6([n; 16])
                } else {
                    Addr::V4([n; 4])
                }]
            })
            .collect();
        let list: Vec<_> = (0..random.random_range(0..30))
            .map(|_| {
                let mut spec = spec(random.random_range(0..5), "sip:a", 0, 0);
                spec.priority = random.random_range(-1..2);
                spec.port = random.random_range(0..3);
                spec.proto = Proto(random.random_range(0..3));
                spec.addrs = ips[random.random_range(0..ips.len())].as_slice().into();
                spec
            })
            .collect();
        let heap = Heap::default();
        let store = store(&heap);
        load(&store, &list, ReloadState::Keep).unwrap();
        let pinned = store.pin(0);
        let table = pinned.table().unwrap();
        for _ in 0..40 {
            let source = Source {
                addr: ips[random.random_range(0..ips.len())][0].into(),
                port: random.random_range(0..4),
                proto: Proto(random.random_range(0..3)),
            };
            let set = random.random_range(-1..5);
            let want = Match {
                port: random.random(),
                proto: random.random(),
                set: (set >= 0).then_some(set),
            };
            let scan = table
                .sets()
                .flat_map(|(_, view)| view.dests())
                .find(|dest| {
                    dest.addrs().any(|addr| AddrKey::from(addr) == source.addr)
                        && (!want.port || dest.port == 0 || dest.port == source.port)
                        && (!want.proto || dest.proto == source.proto)
                        && want.set.is_none_or(|set| set == dest.set)
                });
            let found = table.find_source(source, want, |_| true);
            assert_eq!(
                found.map(|d| d.line),
                scan.map(|d| d.line),
                "{source:?} {want:?}"
            );
        }
        drop(pinned);
        unsafe { store.destroy() };
    }
}

#[test]
fn views_follow_the_records() {
    let heap = Heap::default();
    let store = store(&heap);
    let uris: Vec<String> = (0..70).map(|n| format!("sip:a:{n}")).collect();
    let list: Vec<_> = uris.iter().map(|uri| spec(1, uri, 0, 0)).collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..if cfg!(miri) { 60 } else { 300 } {
        let uri = &uris[random.random_range(0..uris.len())];
        set_state(&store, 1, uri, random.random_range(0..6));
        let pinned = store.pin(0);
        let view = pinned.view(1).unwrap();
        let from = random.random_range(0..70);
        let scan = (from..70).find(|&at| view.is_usable(at));
        assert_eq!(view.next_usable(from, 70), scan);
    }
    unsafe { store.destroy() };
}

#[test]
fn calls_in_progress_walk_over_draining_ones_too() {
    for use_default in [false, true] {
        walk_over_draining_ones(use_default);
    }
}

fn walk_over_draining_ones(use_default: bool) {
    let heap = Heap::default();
    let rules = Rules {
        use_default,
        ..RULES
    };
    let store = Store::create(heap.clone(), Spin(AtomicBool::new(false)), rules).unwrap();
    let uris: Vec<String> = (0..70).map(|n| format!("sip:a:{n}")).collect();
    // The first one drains by its list.
    let list = (0..).zip(&uris).map(|(n, uri)| {
        let flags = if n == 0 { D } else { 1 };
        spec(1, uri, flags, 0)
    });
    let list: Vec<_> = list.collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    assert!(store.pin(0).view(1).unwrap().any_draining());
    set_state(&store, 1, &uris[0], 0);
    assert!(!store.pin(0).view(1).unwrap().any_draining());
    let mut random = StdRng::seed_from_u64(2);
    let states = [0, 1, 4, 8, D, D | 1, D | 2, D | 4, D | 8];
    for round in 0..if cfg!(miri) { 60 } else { 2_000 } {
        let uri = &uris[random.random_range(0..uris.len())];
        set_state(&store, 1, uri, states[random.random_range(0..states.len())]);
        if round % 50 == 0 {
            load(&store, &list, ReloadState::Keep).unwrap();
        }
        let pinned = store.pin(0);
        let view = pinned.view(1).unwrap();
        let bits = |at: usize| view.dest(at).unwrap().record().state().0;
        let ring = if use_default { 69 } else { 70 };
        let at = random.random_range(0..ring);
        let walk = || (at..ring).chain(0..at).chain(ring..70);
        let serving = walk().find(|&at| bits(at) & 5 == 0);
        let in_dialog = choose(view, Start::InDialog(u32::try_from(at).unwrap()));
        assert_eq!(in_dialog.map(|choice| choice.at), serving);
        assert_eq!(view.walk(at), walk().find(|&at| bits(at) & (D | 5) == 0));
        let draining = (0..70).any(|at| bits(at) & (D | 5) == D);
        assert_eq!(view.any_draining(), draining);
    }
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn an_older_list_does_not_replace_a_newer_one() {
    let heap = Heap::default();
    let store = store(&heap);
    let (older, newer) = (store.ticket(), store.ticket());
    let load = |ticket, uri| {
        let mut random = StdRng::seed_from_u64(1);
        store
            .load(
                ticket,
                &[spec(1, uri, 0, 0)],
                ReloadState::Keep,
                &mut random,
            )
            .unwrap();
    };
    load(newer, "sip:new:1");
    load(older, "sip:old:1");
    assert_eq!(dump(&store), ["1: sip:new:1/0/0"]);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn destroy_does_not_wait_for_a_process_that_ended_in_a_load() {
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &[spec(1, "sip:a:1", 0, 0)], ReloadState::Keep).unwrap();
    store.leak_writer_lock();
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_load_says_what_it_changed_and_a_comparison_says_the_same_before() {
    let heap = Heap::default();
    let store = store(&heap);
    let first = [
        spec(1, "sip:a:1", 0, 0),
        spec(1, "sip:b:1", 0, 0),
        spec(2, "sip:c:1", 0, 0),
    ];
    let second = [
        spec(1, "sip:a:1", 0, 0),
        spec(1, "sip:b:1", 0, 7),
        spec(3, "sip:c:1", 0, 0),
    ];
    let compared = |list: &[DestSpec<'_>]| compare(list, store.pin(0).table());
    let changes = |added, changed, removed, kept| Changes {
        added,
        changed,
        removed,
        kept,
    };
    for (list, expected) in [
        (&first, changes(3, 0, 0, 0)),
        (&first, changes(0, 0, 0, 3)),
        (&second, changes(1, 1, 1, 1)),
    ] {
        assert_eq!(compared(list), expected);
        assert_eq!(load(&store, list, ReloadState::Keep), Ok(expected));
    }
    unsafe { store.destroy() };
}

#[test]
fn who_has_seen_another_state_changes_nothing() {
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &[spec(1, "sip:a:1", 0, 0)], ReloadState::Keep).unwrap();
    let to = |state| {
        move |_, failures| Outcome {
            state,
            failures,
            flip: None,
            in_row: 0,
        }
    };
    {
        let pinned = store.pin(0);
        let record = pinned.view(1).unwrap().dest(0).unwrap().record();
        let seen = record.state();
        let follow = || {
            let mut olds = vec![];
            let told = |_: &Dest, (old, _), _| olds.push(old);
            store.change_seen(0, record, seen, to(State::DRAINING), told);
            olds
        };
        // An operator is faster than whoever has looked before.
        store.change_one(1, record, to(State::DISABLED), |_, _, _| {});
        assert_eq!((follow(), record.state()), (vec![], State::DISABLED));
        // Nobody is.
        store.change_one(1, record, to(seen), |_, _, _| {});
        assert_eq!((follow(), record.state()), (vec![seen], State::DRAINING));
        record.set_cause(Cause::Rpc, 5);
        record.replace_cause((Cause::Rpc, 4), (Cause::Cluster, 6));
        assert_eq!(record.cause(), (Cause::Rpc, 5));
        record.replace_cause((Cause::Rpc, 5), (Cause::Cluster, 6));
        assert_eq!(record.cause(), (Cause::Cluster, 6));
    }
    unsafe { store.destroy() };
}

#[test]
fn registers_take_memory_only_where_they_are_wanted() {
    let list = [spec(1, "sip:a:1", 0, 0), spec(1, "sip:b:1", 0, 0)];
    let taken = |shared| {
        let heap = Heap::default();
        let rules = Rules { shared, ..RULES };
        let store = Store::create(heap.clone(), Spin::INIT, rules).unwrap();
        unsafe { store.make_slots(2) }.unwrap();
        load(&store, &list, ReloadState::Keep).unwrap();
        let record_of = |uri: &str, look: &dyn Fn(&DestRecord)| {
            let pinned = store.pin(0);
            let view = pinned.view(1).unwrap();
            let at = view.find_uri(uri.as_bytes()).next().unwrap();
            look(view.dest(at).unwrap().record());
        };
        record_of("sip:a:1", &|record| {
            assert_eq!(record.register().is_some(), shared)
        });
        let bytes = (heap.taken(), heap.bytes());
        // A register is one destination's, and outlives the lists as its record does.
        let register = Register {
            bits: 4,
            ..Register::default()
        };
        let found = |record: &DestRecord| record.register().and_then(RegisterCell::get);
        record_of("sip:a:1", &|record| {
            let cell = record.register();
            cell.into_iter().for_each(|cell| cell.set(Key(7), register));
        });
        load(&store, &list[..1], ReloadState::Keep).unwrap();
        record_of("sip:a:1", &|record| {
            assert_eq!(found(record), shared.then_some((Key(7), register)));
        });
        load(&store, &list, ReloadState::Keep).unwrap();
        record_of("sip:b:1", &|record| assert_eq!(found(record), None));
        unsafe { store.destroy() };
        assert_eq!(heap.taken(), 0);
        bytes
    };
    let ((few, small), (many, large)) = (taken(false), taken(true));
    assert_eq!((many, large), (few, small + 2 * size_of::<RegisterCell>()));
    assert_eq!(size_of::<RegisterCell>(), 40, "as doc/guide/size.md says");
}

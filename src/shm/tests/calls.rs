//! Calls that are counted: against a model, over reloads and edits, and from several processes.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::store::{HeapStore, Spin, load, set_state, store};
use super::{Heap, spec};
use crate::dispatch::list::attrs;
use crate::dispatch::list::destination::DestSpec;
use crate::shm::calls::call_table::{Calls, Counting, Lifetimes, Placed};
use crate::shm::table::store::ReloadState;

const LIFETIMES: Lifetimes = Lifetimes {
    expire_s: 100,
    init_expire_s: 10,
};

/// A destination with a unique id and a limit.
pub fn with_duid<'a>(uri: &'a str, body: &'a str) -> DestSpec<'a> {
    let mut spec = spec(1, uri, 0, 0);
    spec.attrs_body = body.as_bytes();
    spec.attrs = attrs::parse(body.as_bytes()).unwrap().0;
    spec
}

struct Lab {
    store: HeapStore,
    calls: Calls<Spin>,
    heap: Heap,
}

impl Lab {
    fn new(list: &[DestSpec<'_>]) -> Self {
        let heap = Heap::default();
        let store = store(&heap);
        load(&store, list, ReloadState::Keep).unwrap();
        let calls = Calls::create(&heap, 2, LIFETIMES).unwrap();
        Lab { store, calls, heap }
    }

    fn place(&self, call_id: &str, now: u32) -> Placed {
        let pinned = self.store.pin(1);
        let at = Counting {
            store: &self.store,
            process: 1,
            set: 1,
            view: pinned.view(1).unwrap(),
            call_id: call_id.as_bytes(),
            now,
        };
        self.calls.place(&at).unwrap()
    }

    fn end(&self, call_id: &str) -> usize {
        self.calls.end_in(&self.store, 1, None, call_id.as_bytes())
    }

    /// Calls by unique id, as the records count them.
    fn loads(&self) -> HashMap<String, u32> {
        let pinned = self.store.pin(0);
        let view = pinned.view(1).unwrap();
        let load = |dest: &crate::shm::dest::destination::Dest| {
            let duid = String::from_utf8_lossy(dest.duid().unwrap_or_default()).into_owned();
            (duid, dest.record().load())
        };
        view.dests().map(load).collect()
    }

    fn destroy(self) {
        unsafe { self.calls.destroy(&self.heap) };
        unsafe { self.store.destroy() };
        assert_eq!(self.heap.taken(), 0);
    }
}

fn loads(expected: &[(&str, u32)]) -> HashMap<String, u32> {
    expected
        .iter()
        .map(|(duid, load)| (duid.to_string(), *load))
        .collect()
}

#[test]
fn calls_go_to_the_least_loaded_and_no_limit_is_exceeded() {
    let lab = Lab::new(&[
        with_duid("sip:c:1", "duid=c;maxload=-1"),
        with_duid("sip:b:1", "duid=b;maxload=1"),
        with_duid("sip:a:1", "duid=a;maxload=2"),
        spec(1, "sip:no-duid:1", 0, 9),
    ]);
    assert_eq!(lab.place("1", 0), Placed::New(1));
    assert_eq!(lab.place("2", 0), Placed::New(2));
    assert_eq!(lab.place("1", 0), Placed::Known(1));
    assert_eq!(lab.place("3", 0), Placed::New(1));
    assert_eq!(lab.place("4", 0), Placed::Full);
    assert_eq!(lab.calls.up(), 3);
    assert_eq!(lab.end("2"), 1);
    assert_eq!(lab.end("2"), 0);
    assert_eq!(lab.place("4", 0), Placed::New(2));
    assert_eq!(lab.loads(), loads(&[("a", 2), ("b", 1), ("c", 0), ("", 0)]));
    lab.destroy();
}

#[test]
fn a_call_moves_where_its_destination_is_out_or_the_next_is_asked_for() {
    let list = [
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:a:1", "duid=a;maxload=1"),
    ];
    let lab = Lab::new(&list);
    assert_eq!(lab.place("1", 0), Placed::New(0));
    set_state(&lab.store, 1, "sip:a:1", 1);
    assert_eq!(lab.place("1", 0), Placed::New(1));
    assert_eq!(lab.loads(), loads(&[("a", 0), ("b", 1)]));
    set_state(&lab.store, 1, "sip:a:1", 0);
    let pinned = lab.store.pin(1);
    let view = pinned.view(1).unwrap();
    let at = |call_id| Counting {
        store: &lab.store,
        process: 1,
        set: 1,
        view,
        call_id,
        now: 0,
    };
    assert_eq!(lab.calls.move_to(&at(b"none"), 0), Ok(false));
    assert_eq!(lab.calls.move_to(&at(b"1"), 0), Ok(true));
    assert_eq!(lab.loads(), loads(&[("a", 1), ("b", 0)]));
    assert_eq!(lab.place("2", 0), Placed::New(1));
    assert_eq!(lab.calls.move_to(&at(b"2"), 0), Ok(false));
    assert_eq!(lab.loads(), loads(&[("a", 1), ("b", 1)]));
    drop(pinned);
    lab.destroy();
}

#[test]
fn counts_survive_reloads_and_a_removed_destination_finds_its_count_again() {
    let list = [
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:a:1", "duid=a"),
    ];
    let lab = Lab::new(&list);
    (0..6).for_each(|call| assert!(matches!(lab.place(&call.to_string(), 0), Placed::New(_))));
    load(&lab.store, &list, ReloadState::FromList).unwrap();
    assert_eq!(lab.loads(), loads(&[("a", 3), ("b", 3)]));
    (6..12).for_each(|call| assert!(matches!(lab.place(&call.to_string(), 0), Placed::New(_))));
    (0..6).for_each(|call| assert_eq!(lab.end(&call.to_string()), 1));
    assert_eq!(lab.loads(), loads(&[("a", 3), ("b", 3)]));
    lab.store
        .remove(1, b"sip:a:1", &mut StdRng::seed_from_u64(1))
        .unwrap();
    assert_eq!(lab.end("6"), 1);
    assert_eq!(lab.loads(), loads(&[("b", 3)]));
    lab.store.collect();
    lab.store
        .add(&list[1], &mut StdRng::seed_from_u64(1))
        .unwrap();
    let back = lab.loads();
    assert_eq!(back["a"] + back["b"], 5, "{back:?}");
    assert!(back["a"] >= 2, "{back:?}");
    load(&lab.store, &list[..1], ReloadState::Keep).unwrap();
    load(&lab.store, &list, ReloadState::Keep).unwrap();
    assert_eq!(lab.loads(), back);
    lab.store
        .remove(1, b"sip:a:1", &mut StdRng::seed_from_u64(1))
        .unwrap();
    (7..12).for_each(|call| assert_eq!(lab.end(&call.to_string()), 1));
    assert_eq!(lab.loads(), loads(&[("b", 0)]));
    assert_eq!(lab.calls.up(), 0);
    lab.destroy();
}

#[test]
fn calls_expire_unless_they_are_confirmed() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a")]);
    lab.place("early", 0);
    lab.place("kept", 0);
    assert!(lab.calls.confirm(b"kept"));
    assert!(!lab.calls.confirm(b"none"));
    let expire = |now| {
        let parts = (0..3).map(|part| lab.calls.expire(&lab.store, 1, now, part, 3));
        parts.sum::<usize>()
    };
    assert_eq!(expire(9), 0);
    assert_eq!(expire(10), 1);
    let left = lab.calls.list(&lab.store, 0, |_| true, 0, 9);
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].call_id.as_slice(), left[0].confirmed),
        (&b"kept"[..], true)
    );
    assert_eq!(expire(99), 0);
    assert_eq!(expire(100), 1);
    assert_eq!(lab.loads(), loads(&[("a", 0)]));
    lab.destroy();
}

#[test]
fn a_full_arena_leaves_nothing_counted() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a")]);
    lab.heap.limit(Some(0));
    let pinned = lab.store.pin(1);
    let view = pinned.view(1).unwrap();
    let at = Counting {
        store: &lab.store,
        process: 1,
        set: 1,
        view,
        call_id: b"1",
        now: 0,
    };
    assert!(lab.calls.place(&at).is_err());
    lab.heap.limit(None);
    assert_eq!((lab.loads(), lab.calls.up()), (loads(&[("a", 0)]), 0));
    drop(pinned);
    lab.destroy();
}

#[test]
fn many_more_calls_than_slots_are_found_and_their_memory_is_given_back() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a")]);
    let count = if cfg!(miri) { 100 } else { 2_000 };
    let before = lab.heap.taken();
    let name = |call: usize| call.to_string();
    for call in 0..count {
        // Without memory for more chains the long one stays.
        lab.heap.limit((call < count / 4).then_some(1));
        assert_eq!(lab.place(&name(call), 0), Placed::New(0));
    }
    assert!(lab.heap.taken() > before + count, "more chains than slots");
    for call in 0..count {
        assert_eq!(lab.place(&name(call), 0), Placed::Known(0));
        assert!(call % 2 == 0 || lab.calls.confirm(name(call).as_bytes()));
    }
    let all = lab.calls.list(&lab.store, 0, |_| true, 0, usize::MAX);
    assert_eq!((all.len(), lab.calls.up()), (count, count));
    assert_eq!(lab.calls.expire(&lab.store, 1, 10, 0, 1), count / 2);
    for call in (1..count).step_by(2) {
        assert!(lab.calls.is_counted(1, name(call).as_bytes()));
        assert_eq!(lab.end(&name(call)), 1);
        assert_eq!(lab.end(&name(call)), 0);
    }
    assert_eq!(lab.loads(), loads(&[("a", 0)]));
    assert_eq!(lab.calls.expire(&lab.store, 1, 11, 0, 1), 0);
    assert_eq!(lab.heap.taken(), before);
    lab.destroy();
}

#[test]
fn random_calls_agree_with_a_model() {
    let mut rng = StdRng::seed_from_u64(5);
    let bodies: Vec<(String, String)> = (0..5)
        .map(|n| {
            (
                format!("sip:a:{n}"),
                format!("duid=d{n};maxload={}", [0, 3, 5, 2, 4][n]),
            )
        })
        .collect();
    let list: Vec<_> = bodies
        .iter()
        .map(|(uri, body)| with_duid(uri, body))
        .collect();
    let lab = Lab::new(&list);
    let mut model: HashMap<String, String> = HashMap::new();
    let duid_at = |at: usize| {
        let pinned = lab.store.pin(0);
        let dest = pinned
            .view(1)
            .unwrap()
            .dest(at)
            .unwrap()
            .duid()
            .unwrap()
            .to_vec();
        String::from_utf8(dest).unwrap()
    };
    for step in 0..if cfg!(miri) { 60 } else { 5_000 } {
        let call = rng.random_range(0..30).to_string();
        if rng.random_range(0..3) > 0 {
            match lab.place(&call, step) {
                Placed::New(at) => assert!(model.insert(call, duid_at(at)).is_none()),
                Placed::Known(at) => assert_eq!(model[&call], duid_at(at)),
                Placed::Full => assert!(!model.contains_key(&call)),
            }
        } else {
            assert_eq!(lab.end(&call), usize::from(model.remove(&call).is_some()));
        }
        if step % 100 == 0 {
            load(&lab.store, &list, ReloadState::Keep).unwrap();
        }
        let mut expected = loads(&[("d0", 0), ("d1", 0), ("d2", 0), ("d3", 0), ("d4", 0)]);
        model
            .values()
            .for_each(|duid| *expected.get_mut(duid).unwrap() += 1);
        assert_eq!(lab.loads(), expected);
        assert_eq!(lab.calls.up(), model.len());
    }
    lab.destroy();
}

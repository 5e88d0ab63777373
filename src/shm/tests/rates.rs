//! Calls a second of destinations, over loads and edits of their list.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::store::{HeapStore, RULES, Spin, load};
use super::{Heap, LONG, spec};
use crate::dispatch::list::attrs::{self, Attrs};
use crate::dispatch::list::destination::DestSpec;
use crate::shm::set::view::{Rules, View};
use crate::shm::table::edit::Revision;
use crate::shm::table::store::{ReloadState, Store};
use lock_api::RawMutex;

const ONE: &str = "sip:a:5060";

fn limited(attributes: &'static str) -> DestSpec<'static> {
    DestSpec {
        attrs_body: attributes.as_bytes(),
        attrs: attrs::parse(attributes.as_bytes()).unwrap().0,
        ..spec(1, ONE, 0, 0)
    }
}

fn store(heap: &Heap) -> HeapStore {
    let rules = Rules {
        rates: true,
        ..RULES
    };
    let store = Store::create(heap.clone(), Spin::INIT, rules).unwrap();
    unsafe { store.make_slots(2) }.unwrap();
    store
}

/// Admits as many as the destination admits at once.
fn admitted(store: &HeapStore) -> usize {
    let pinned = store.pin(0);
    let view: &View = pinned.view(1).unwrap();
    (0..20).filter(|_| view.admit_rate(0, || 5)).count()
}

#[test]
fn a_limit_goes_on_until_it_changes() {
    let heap = Heap::default();
    let store = store(&heap);
    let reload = |attributes| load(&store, &[limited(attributes)], ReloadState::Keep).unwrap();
    reload("cps=3");
    assert_eq!(admitted(&store), 3);
    reload("cps=3;x=1");
    assert_eq!(admitted(&store), 0, "the list says the same of it");
    let modify = |attributes: &'static str| {
        let attrs: Attrs<'_> = attrs::parse(attributes.as_bytes()).unwrap().0;
        let revision = Revision {
            attrs: Some((attributes.as_bytes(), attrs, 0)),
            ..Revision::default()
        };
        let random = &mut StdRng::seed_from_u64(1);
        let modified = store.modify(LONG, 1, Some(ONE.as_bytes()), |_| true, revision, random);
        modified.unwrap();
    };
    modify("cps=3;x=2");
    assert_eq!(admitted(&store), 0);
    modify("cps=2");
    assert_eq!(admitted(&store), 2, "a changed limit begins empty");
    modify("x=3");
    assert_eq!(admitted(&store), 20, "there is none");
    reload("cps=4");
    assert_eq!(admitted(&store), 4);
    store.collect();
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_load_fails_and_not_a_call() {
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &[limited("cps=3")], ReloadState::Keep).unwrap();
    assert_eq!(admitted(&store), 3);
    let taken = heap.taken();
    for allocations in 0.. {
        heap.limit(Some(allocations));
        let loaded = load(&store, &[limited("cps=5")], ReloadState::Keep);
        heap.limit(None);
        if loaded.is_ok() {
            assert!(allocations > 2, "a load takes more");
            break;
        }
        store.collect();
        assert_eq!(
            (heap.taken(), admitted(&store)),
            (taken, 0),
            "{allocations}"
        );
    }
    assert_eq!(admitted(&store), 5);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

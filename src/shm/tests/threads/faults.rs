//! Deliberate faults, one for each rule that makes shared memory sound. Miri and ThreadSanitizer must report each of
//! them (`make miri`, `make tsan`): a tool that stays silent here proves nothing by its silence elsewhere.
//!
//! All are undefined behaviour, so nothing else runs them.

use core::sync::atomic::AtomicPtr;

use lock_api::{GuardSend, RawMutex};

use super::{Shared, at_once, load, random, rounds, with_lock};
use crate::shm::memory::arena::ShmSafe;
use crate::shm::table::store::ReloadState;
use crate::shm::tests::LONG;
use crate::shm::tests::spec;
use crate::shm::tests::store::{RULES, Spin};

/// Edits set 1 again and again, which frees what no reader can see any more.
fn edit<L: RawMutex>(store: &Shared<L>, uri: &str) {
    for _ in 0..rounds(60, 2_000) {
        _ = store.add(LONG, &spec(1, uri, 0, 0), &mut random());
        _ = store.remove(LONG, 1, uri.as_bytes(), &mut random());
    }
}

fn one<L: RawMutex + ShmSafe>() -> Shared<L> {
    with_lock(3, RULES, &[spec(1, "sip:a:1", 0, 0)])
}

#[test]
#[ignore = "a deliberate fault: what is published is frozen"]
fn a_published_field_is_written() {
    let store = one::<Spin>();
    let write = || {
        for _ in 0..rounds(20, 20_000) {
            let pinned = store.pin(1);
            let dest = pinned.view(1).unwrap().raw_dest(0).unwrap();
            unsafe { (*dest.as_ptr()).priority = 1 };
        }
    };
    let read = || {
        let pinned = store.pin(2);
        assert!(pinned.view(1).unwrap().dest(0).unwrap().priority < 2);
    };
    at_once(&[&write], &[&read]);
}

#[test]
#[ignore = "a deliberate fault: readers pin"]
fn a_reader_has_no_pin() {
    let (store, other) = (one::<Spin>(), one::<Spin>());
    let read = || {
        // A pin of another table protects nothing of this one.
        let pinned = other.pin(1);
        let view = store.running(&pinned).unwrap().view(1).unwrap();
        assert!(view.dests().all(|dest| dest.uri().starts_with(b"sip:")));
    };
    at_once(&[&|| edit(&store, "sip:b:1")], &[&read]);
}

#[test]
#[ignore = "a deliberate fault: each process has a number of its own"]
fn two_readers_have_one_number() {
    let store = one::<Spin>();
    let read = || {
        let pinned = store.pin(1);
        let view = pinned.view(1).unwrap();
        assert!(view.dests().all(|dest| dest.uri().starts_with(b"sip:")));
    };
    at_once(&[&|| edit(&store, "sip:b:1")], &[&read, &read]);
}

/// A lock that keeps nobody out.
struct NoLock(#[allow(dead_code)] AtomicPtr<u8>);

unsafe impl ShmSafe for NoLock {}

unsafe impl RawMutex for NoLock {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = NoLock(AtomicPtr::new(core::ptr::null_mut()));
    type GuardMarker = GuardSend;

    fn lock(&self) {}
    fn try_lock(&self) -> bool {
        true
    }
    unsafe fn unlock(&self) {}
}

#[test]
#[ignore = "a deliberate fault: one process writes at a time"]
fn two_writers_are_at_work() {
    let store = one::<NoLock>();
    let reload = || {
        for _ in 0..rounds(60, 2_000) {
            load(&store, &[spec(1, "sip:a:1", 0, 0)], ReloadState::Keep);
        }
    };
    at_once(&[&|| edit(&store, "sip:b:1"), &reload], &[]);
}

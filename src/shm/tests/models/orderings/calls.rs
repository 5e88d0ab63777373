//! Calls: counted exactly, whoever places and ends them at once; and the table of calls that drain.

use std::sync::Arc;

use lock_api::RawMutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::thread;
use crate::dispatch::list::destination::DestSpec;
use crate::shm::calls::call_table::{CallLimits, Calls};
use crate::shm::calls::fingerprint::FingerprintKey;
use crate::shm::calls::placed::Counting;
use crate::shm::calls::sticky::StickyCalls;
use crate::shm::set::view::Rules;
use crate::shm::table::store::{ReloadState, Store};
use crate::shm::tests::calls::with_duid;
use crate::shm::tests::models::memory::{ModelLock, Pieces};
use crate::shm::tests::spec;
use crate::shm::tests::store::RULES;

/// A store with call load, and its calls.
struct Lab {
    store: Store<Pieces, ModelLock>,
    calls: Calls<ModelLock>,
}

impl Lab {
    fn new(list: &[DestSpec<'_>], most: usize) -> Arc<Self> {
        let rules = Rules {
            call_load: true,
            ..RULES
        };
        let store = Store::create(Pieces, ModelLock::INIT, rules).unwrap();
        unsafe { store.make_slots(3) }.unwrap();
        let random = &mut SmallRng::seed_from_u64(1);
        let ticket = store.ticket();
        store.load(ticket, list, ReloadState::Keep, random).unwrap();
        let limits = CallLimits {
            expire_s: 100,
            init_expire_s: 10,
            most,
        };
        let calls = Calls::create(&Pieces, 0, FingerprintKey(1, 2), limits).unwrap();
        Arc::new(Lab { store, calls })
    }

    /// Places a call; returns true if it is counted from now on.
    fn place(&self, process: usize, call_id: &[u8]) -> bool {
        let pinned = self.store.pin(process);
        let counting = Counting {
            store: &self.store,
            process,
            set: 1,
            view: pinned.view(1).unwrap(),
            call: self.calls.key().call(call_id, b"x", None),
            now_s: 0,
        };
        let placed = self.calls.place(counting, call_id).unwrap();
        placed.map(|placed| placed.keep()).is_some()
    }

    fn end_call(&self, process: usize, call_id: &[u8]) -> usize {
        let call = self.calls.key().call(call_id, b"x", None);
        self.calls.end(&self.store, process, &call)
    }

    fn load(&self) -> u32 {
        let pinned = self.store.pin(0);
        let dest = pinned.view(1).unwrap().dest(0);
        dest.unwrap().record().load()
    }

    fn end(&self) {
        unsafe { self.calls.destroy(&Pieces) };
        unsafe { self.store.destroy() };
    }
}

/// Two processes place a call each, of a destination that takes one.
fn limit() {
    let lab = Lab::new(&[with_duid("sip:a:5060", "duid=a;maxload=1")], 8);
    let placing = lab.clone();
    let other = thread(move || placing.place(1, b"1"));
    let mut placed = usize::from(lab.place(2, b"2"));
    placed += usize::from(other.join().unwrap());
    assert_eq!((placed, lab.calls.up(), lab.load()), (1, 1, 1));
    lab.end();
}

/// A call is ended while it is placed again.
fn ended() {
    let lab = Lab::new(&[with_duid("sip:a:5060", "duid=a")], 8);
    lab.place(0, b"1");
    let ending = lab.clone();
    let other = thread(move || ending.end_call(1, b"1"));
    lab.place(2, b"1");
    let ended = other.join().unwrap();
    assert!(ended <= 1);
    assert_eq!(u32::try_from(lab.calls.up()).unwrap(), lab.load());
    lab.end_call(0, b"1");
    assert_eq!((lab.calls.up(), lab.load()), (0, 0));
    lab.end();
}

/// The destination of a call leaves the lists while the call ends.
fn removed() {
    let lab = Lab::new(&[with_duid("sip:a:5060", "duid=a")], 8);
    lab.place(0, b"1");
    let ending = lab.clone();
    let other = thread(move || ending.end_call(1, b"1"));
    let random = &mut SmallRng::seed_from_u64(1);
    let ticket = lab.store.ticket();
    let list = [spec(1, "sip:b:5060", 0, 0)];
    lab.store
        .load(ticket, &list, ReloadState::Keep, random)
        .unwrap();
    assert_eq!(other.join().unwrap(), 1);
    assert_eq!(lab.calls.up(), 0);
    lab.end();
}

/// Two processes note calls at once, in a table that one of them makes.
fn sticky() {
    let calls = Arc::new(StickyCalls::create(&Pieces, FingerprintKey(1, 2)).unwrap());
    let noting = calls.clone();
    let other = thread(move || {
        noting.note(&Pieces, 1, b"a", 1).unwrap();
        assert!(noting.knows(1, b"a", 2));
    });
    calls.note(&Pieces, 1, b"b", 1).unwrap();
    calls.knows(1, b"a", 1);
    other.join().unwrap();
    assert!(calls.knows(1, b"a", 2) && calls.knows(1, b"b", 2));
    unsafe { calls.destroy(&Pieces) };
}

super::models! {
    limit: [Some(2), Some(3)],
    ended: [Some(2), Some(3)],
    removed: [Some(1), Some(2)],
    sticky: [Some(2), Some(3)],
}

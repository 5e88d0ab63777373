//! Counted calls, with each other and with lists that change.

use core::ops::ControlFlow;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{agrees, at_once, destroy, load, random, rounds, shared, toggle};
use crate::shm::calls::call_table::{CallLimits, Calls};
use crate::shm::calls::fingerprint::FingerprintKey;
use crate::shm::calls::placed::Counting;
use crate::shm::memory::arena::Arena;
use crate::shm::table::store::{ReloadState, Store};
use crate::shm::tests::LONG;
use crate::shm::tests::calls::with_duid;
use crate::shm::tests::store::{RULES, Spin};

/// The most calls of the destination that has a limit.
const LIMIT: u32 = 3;

/// Fewer calls than there are Call-IDs: some are given up, and some are not counted.
const MOST: usize = 8;

/// Call-IDs.
const IDS: u8 = 16;

/// Makes a table of a few calls.
pub fn call_table<A: Arena>(store: &Store<A, Spin>) -> Calls<Spin> {
    let limits = CallLimits {
        expire_s: 100,
        init_expire_s: 10,
        most: MOST,
    };
    Calls::create(store.arena(), 1, FingerprintKey(1, 2), limits).unwrap()
}

/// Does something with a call of set 1, as a process.
pub fn act<A: Arena>(
    store: &Store<A, Spin>,
    calls: &Calls<Spin>,
    process: usize,
    random: &mut StdRng,
) {
    let call_id = [random.random_range(0..IDS)];
    let call = calls.key().call(&call_id, b"x", None);
    let pinned = store.pin(process);
    let view = pinned.view(1).unwrap();
    let counting = Counting {
        store,
        process,
        set: 1,
        view,
        call,
        now_s: 0,
    };
    let placed = match random.random_range(0..12) {
        0..5 => calls.place(counting, &call_id).unwrap(),
        5 => calls.move_to(counting, random.random_range(0..view.dest_count())),
        other => {
            match other {
                6 | 7 => _ = calls.confirm(&call),
                8 => _ = calls.end(store, process, &call),
                9 => _ = calls.end_unconfirmed(store, process, &call, Some(1)),
                10 => _ = calls.release(store, process, &call_id),
                _ => _ = calls.expire(store, process, 10, random.random_range(0..2), 2),
            }
            None
        }
    };
    let sent = random.random_range(0..4) > 0;
    if let Some(placed) = placed.filter(|_| sent) {
        placed.keep();
    }
    for dest in view.dests().filter(|dest| dest.maxload != 0) {
        assert!(dest.record().load() <= LIMIT);
    }
    if random.random_range(0..8) == 0 {
        let end = calls.visit::<()>(&pinned, None, |info| {
            assert_eq!((info.set, info.call_id.shown().len()), (1, 1));
            ControlFlow::Continue(())
        });
        assert!(end.is_continue());
    }
}

/// Ends all calls. None may be left in the count of a destination that is listed.
pub fn end_all<A: Arena>(store: &Store<A, Spin>, calls: &Calls<Spin>) {
    assert!(calls.up() <= usize::from(IDS));
    let pinned = store.pin(0);
    let load = || -> u32 {
        let dests = pinned.view(1).unwrap().dests();
        dests.map(|dest| dest.record().load()).sum()
    };
    assert_eq!(load() as usize, calls.up());
    calls.expire(store, 0, 100, 0, 1);
    assert_eq!((load(), calls.up()), (0, 0));
    agrees(pinned.view(1).unwrap());
    drop(pinned);
    unsafe { calls.destroy(store.arena()) };
}

#[test]
fn threads_count_move_and_end_calls_at_once() {
    let rounds = rounds(20, 20_000);
    let list = [
        with_duid("sip:a:1", "duid=a;maxload=3"),
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:c:1", "duid=c"),
    ];
    let store = shared(4, RULES, &list);
    let calls = call_table(&store);
    let work = |process: usize| {
        let mut random = StdRng::seed_from_u64(process as u64);
        (0..rounds).for_each(|_| act(&store, &calls, process, &mut random));
    };
    at_once(&[&|| work(1), &|| work(2), &|| work(3)], &[]);
    end_all(&store, &calls);
    destroy(&store);
}

/// Destinations with calls leave the lists and come back, by reloads and by edits: their counts are retained meanwhile.
#[test]
fn counts_stay_exact_while_destinations_leave_and_come_back() {
    let rounds = rounds(3, 1_000);
    let list = [
        with_duid("sip:a:1", "duid=a;maxload=3"),
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:c:1", "duid=c"),
    ];
    let store = shared(6, RULES, &list);
    let calls = call_table(&store);
    let work = |process: usize| {
        let mut random = StdRng::seed_from_u64(process as u64);
        (0..4 * rounds).for_each(|_| act(&store, &calls, process, &mut random));
    };
    let reload = || {
        for round in 0..rounds {
            let states = [ReloadState::Keep, ReloadState::FromList][round % 2];
            load(&store, &list[round % 2..], states);
        }
    };
    let edit = || {
        let mut random = random();
        for round in 0..rounds {
            // The reloads list it again, too.
            let at = round % 2;
            _ = store.remove(LONG, 1, &list[at].uri, &mut random);
            store.change(4, 1, Some(&list[at].uri), |_| true, toggle, |_, _, _| {});
            _ = store.add(LONG, &list[at], &mut random);
        }
    };
    at_once(
        &[&|| work(1), &|| work(2), &|| work(3), &reload, &edit],
        &[],
    );
    // With all of them listed, each count is seen.
    load(&store, &list, ReloadState::FromList);
    end_all(&store, &calls);
    destroy(&store);
}

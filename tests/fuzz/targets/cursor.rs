//! The failover cursor in a record, which scripts can write. It is read and followed through real sets.

use std::collections::BTreeSet;

use dispatcher::dispatch::list::attrs::Attrs;
use dispatcher::dispatch::list::destination::{DestSpec, Proto};
use dispatcher::dispatch::select::candidates::Candidates;
use dispatcher::dispatch::select::cursor::FailoverCursor;
use dispatcher::dispatch::select::failover::following;
use dispatcher::dispatch::state::transition::State;
use dispatcher::shm::set::view::{Rules, View};
use dispatcher::shm::table::store::{ReloadState, Store};
use dispatcher_bench::{Heap, Spin};
use lock_api::RawMutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::Target;

pub const TARGET: Target = Target {
    name: "cursor",
    run,
    seeds: &[
        b"3-0-7_1.0.0.7",
        b"30-1-71.5.9_1.0.0.7_22.10.41.98",
        b"0-0-1.2.3_3.3.18446744073709551615.3_2.1.9.0_1.2.0.0",
        b"18446744073709551615-18446744073709551615-_3.18446744073709551615.0.0",
        b"0-9-_-2147483648.4.4.4294967295",
        b"0-0-0_2.1.0.0_2.1.1.0_2.1.2.0_2.1.99.0_7.0.0.0_1.8.3.2",
        b"ADB9999DB9999D",
    ],
    words: &[
        b"_",
        b".",
        b"-",
        b"_1.0.0.1",
        b"_2.1.0.7",
        b"_3.5.2.9",
        b"0-0-",
        b"18446744073709551615",
        b"4294967295",
        b"-2147483648",
        b"1.2.3.4",
    ],
};

fn run(text: &[u8]) {
    let Some(cursor) = FailoverCursor::parse(text) else {
        return;
    };
    let written = cursor.to_string();
    assert!(written.len() <= text.len(), "nothing is added");
    assert_eq!(
        FailoverCursor::parse(written.as_bytes()).as_ref(),
        Some(&cursor)
    );
    assert_eq!(cursor.encode(), (!cursor.is_over()).then_some(written));
    STORE.with(|store| follow(store, cursor));
}

/// Follows a cursor to its end, as `ds_next_dst` does. Checks that each destination is usable or the default of its
/// set, and that none comes twice.
fn follow(store: &Store<Heap, Spin>, mut cursor: FailoverCursor) {
    loop {
        let here = cursor.here();
        while cursor.has_more() {
            let pinned = store.pin(0);
            let Some(view) = pinned.view(here.set) else {
                break;
            };
            let at = cursor.here().at;
            let order: Vec<_> = following(view, here.order, at).collect();
            let distinct: BTreeSet<_> = order.iter().collect();
            assert_eq!(order.len(), distinct.len(), "none comes twice");
            let mut order = order.into_iter();
            let next = order.find(|&at| !cursor.has_tried(number(view, at)));
            let Some(next) = next else { break };
            assert!(view.is_usable(next) || next + 1 == view.len());
            assert!(!cursor.has_tried(number(view, next)));
            cursor.step(next, number(view, next));
            assert!(cursor.has_tried(number(view, next)) && cursor.here().at == next);
        }
        if !cursor.next_set() {
            break;
        }
    }
    assert!(!cursor.next_set(), "nothing is behind the last set");
}

/// Returns the number of a destination. Those of set 1 begin at 1, and the other sets follow.
fn number(view: &View, at: usize) -> u32 {
    view.dest(at)
        .expect("a destination of the set")
        .record()
        .drawn_number()
}

thread_local! {
    /// Sets of 1, 5 and 12 destinations. Some are inactive, one drains, and the last of each set is its default.
    static STORE: Store<Heap, Spin> = store();
}

fn store() -> Store<Heap, Spin> {
    let rules = Rules {
        unusable: State::INACTIVE
            .union(State::DISABLED)
            .union(State::DRAINING),
        use_default: true,
        call_load: false,
        watched: false,
        counted: false,
        shared: false,
        rates: false,
        ping_words: false,
    };
    let store = Store::create(Heap, Spin::INIT, rules).expect("room for the root");
    // SAFETY: one process, and nothing is pinned.
    unsafe { store.make_slots(1) }.expect("room for the slots");
    let sizes = [(1, 1), (2, 5), (3, 12)];
    let places: Vec<(i32, u8)> = sizes
        .into_iter()
        .flat_map(|(set, size)| (0..size).map(move |n| (set, n)))
        .collect();
    let uris: Vec<String> = places
        .iter()
        .map(|(set, n)| format!("sip:h{set}-{n}"))
        .collect();
    let specs: Vec<_> = places
        .iter()
        .zip(&uris)
        .map(|(&(set, n), uri)| spec(set, n, uri))
        .collect();
    let loaded = store.load(
        store.ticket(),
        &specs,
        ReloadState::Keep,
        &mut SmallRng::seed_from_u64(1),
    );
    assert!(loaded.is_ok());
    let mut last = 0;
    for (set, _) in sizes {
        let pinned = store.pin(0);
        for dest in pinned.view(set).expect("a set").dests() {
            last += 1;
            let _ = dest.record().number(|| last);
        }
    }
    store
}

fn spec(set: i32, n: u8, uri: &str) -> DestSpec<'_> {
    let flags = match n {
        3 => State::INACTIVE,
        6 => State::DRAINING,
        _ => State::ACTIVE,
    };
    DestSpec {
        set,
        uri: uri.as_bytes().into(),
        host: 4..uri.len(),
        port: 0,
        proto: Proto::NONE,
        addrs: [].as_slice().into(),
        flags,
        priority: i32::from(10 - n / 3),
        attrs_body: b"",
        attrs: Attrs::default(),
        socket: 0,
    }
}

//! Reads, marks, edits, reloads, calls, events and addresses at once.

use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::calls::{act, call_table, end_all};
use super::{at_once, destroy, load, random, rounds, shared, toggle};
use crate::dispatch::balance::cost::{Key as BalanceKey, mix};
use crate::dispatch::list::destination::{Addr, Proto};
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::select::rendezvous;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::latency::Latency;
use crate::dispatch::state::transition::{Flip, Outcome};
use crate::shm::calls::fingerprint::FingerprintKey;
use crate::shm::dest::address::{Key, Match, Source};
use crate::shm::dest::destination::Dest;
use crate::shm::event_queue::{EventQueue, QueuedEvent};
use crate::shm::set::view::Rules;
use crate::shm::table::edit::Revision;
use crate::shm::table::readdress::Answer;
use crate::shm::table::store::{ReloadState, Tried};
use crate::shm::tests::calls::with_duid;
use crate::shm::tests::store::RULES;
use crate::shm::tests::{LONG, Sticky, spec};

#[test]
fn all_that_processes_do_at_once_leaves_everything_exact() {
    let rounds = rounds(1, 500);
    let rules = Rules {
        watched: true,
        ..RULES
    };
    let list = [
        with_duid("sip:a:5060", "duid=a;weight=50;rweight=20"),
        with_duid("sip:b:5060", "duid=b;weight=30;rweight=30;cc=1"),
        with_duid("sip:c:5060", "duid=c;maxload=3;weight=20;rweight=10"),
        with_duid("sip:d:5060", "duid=d"),
    ];
    let store = shared(9, rules, &list);
    let calls = call_table(&store);
    let queue = EventQueue::create(store.arena().clone()).unwrap();
    let sticky = Sticky::with_groups(store.arena(), FingerprintKey(3, 4)).unwrap();
    let (posted, taken) = (Mutex::new(0), Mutex::new(0));

    let count_calls = |process: usize| {
        let mut random = StdRng::seed_from_u64(process as u64);
        for call in 0..rounds {
            act(&store, &calls, process, &mut random);
            let call_id = [u8::try_from(call % 100).unwrap()];
            sticky.note(store.arena(), 1, &call_id, 1).unwrap();
            assert!(sticky.knows(1, &call_id, 2));
        }
    };
    let mark = |process: usize| {
        let mut random = StdRng::seed_from_u64(process as u64);
        for _ in 0..rounds {
            // All but the first, which is always up.
            let at = random.random_range(1..list.len());
            let told = |dest: &Dest, (old, _), outcome: Outcome| {
                let event = QueuedEvent {
                    set: dest.set,
                    uri: dest.uri().to_vec(),
                    old,
                    new: outcome.state,
                    flip: Flip::Down,
                    cause: Cause::Rpc,
                    node: Vec::new(),
                };
                queue.post(&event).unwrap();
                *posted.lock().unwrap() += 1;
            };
            store.change(process, 1, Some(&list[at].uri), |_| true, toggle, told);
            let pinned = store.pin(process);
            let dest = pinned.view(1).unwrap().dest(0).unwrap();
            let record = dest.record();
            let latency = Latency {
                estimate: f64::from(random.random_range(0..30)),
                ..Latency::default()
            };
            let change = || record.health().unwrap().set_latency(&latency);
            store.change_latency(process, record, change);
        }
    };
    let reload = || {
        for round in 0..rounds {
            let states = [ReloadState::Keep, ReloadState::FromList][round % 2];
            load(&store, &list[..4 - round % 3], states);
        }
    };
    let edit = || {
        let mut random = random();
        for round in 0..rounds {
            _ = store.add(LONG, &spec(1, "sip:e:5060", 1, 0), &mut random);
            let revision = Revision {
                priority: Some(i32::try_from(round % 5).unwrap()),
                ..Revision::default()
            };
            let is_first = |dest: &Dest| dest.uri() == b"sip:a:5060";
            store
                .modify(LONG, 1, None, is_first, revision, &mut random)
                .unwrap();
            _ = store.remove(LONG, 1, b"sip:e:5060", &mut random);
            store
                .add(LONG, &spec(2, "sip:f:5060", 1, 0), &mut random)
                .unwrap();
            _ = store.remove(LONG, 2, b"sip:f:5060", &mut random);
        }
    };
    let resolve = || {
        let addrs = [Addr::V4([127, 0, 0, 1]), Addr::V6([9; 16])];
        for _ in 0..rounds {
            let pinned = store.pin(6);
            let dests = pinned.view(1).unwrap().dests();
            let answers: Vec<_> = dests
                .map(|dest| Answer {
                    record: dest.record(),
                    uri: dest.uri(),
                    now: Revision {
                        peer: Some((&addrs, 5060, Proto::NONE)),
                        ..Revision::default()
                    },
                })
                .collect();
            store.readdress(LONG, 1, &answers, &mut random()).unwrap();
        }
    };
    let read = || {
        for start in [Start::RoundRobin, Start::RelativeWeight, Start::Priority] {
            let found = store.try_set(7, 1, |view| {
                let choice = choose(view, start)?;
                let mut uris = choice.order(view).map(|at| view.dest(at).unwrap().uri());
                Some(uris.all(|uri| uri.ends_with(b":5060")))
            });
            assert_eq!(found, Tried::Done(true), "{start:?}");
        }
        for key in 0..20 {
            let found = store.try_set(7, 1, |view| {
                rendezvous::choose(view, BalanceKey(mix(key))).map(|_| ())
            });
            assert_eq!(found, Tried::Done(()), "key {key}");
        }
        let pinned = store.pin(7);
        let source = Source {
            addr: Key::v4([127, 0, 0, 1]),
            port: 5060,
            proto: Proto::NONE,
        };
        let want = Match {
            port: true,
            proto: false,
            set: Some(1),
        };
        let found = pinned.table().unwrap().find_source(source, want, |_| true);
        assert!(found.is_some());
    };
    let serve = || {
        let events = queue.take();
        assert!(events.iter().all(|event| event.uri.ends_with(b":5060")));
        *taken.lock().unwrap() += events.len();
        store.watch(1);
        store.collect();
    };
    at_once(
        &[
            &|| count_calls(1),
            &|| count_calls(2),
            &|| mark(3),
            &|| mark(4),
            &reload,
            &edit,
            &resolve,
        ],
        &[&read, &serve],
    );
    serve();
    assert_eq!(*taken.lock().unwrap(), *posted.lock().unwrap());
    load(&store, &list, ReloadState::FromList);
    end_all(&store, &calls);
    unsafe { sticky.destroy(store.arena()) };
    unsafe { queue.destroy() };
    destroy(&store);
}

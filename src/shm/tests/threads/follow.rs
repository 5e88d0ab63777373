//! What follows the records: bitmaps and trees, names that are due, and what pings find.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::collections::BTreeSet;
use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{ForAll, agrees, at_once, destroy, load, random, rounds, shared, toggle};
use crate::dispatch::list::destination::{Addr, Proto};
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::state::latency::Latency;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::next_hop::{NextHop, Resolved};
use crate::shm::dest::probing::{Ended, Health};
use crate::shm::memory::arena::Plan;
use crate::shm::set::maxima::Maxima;
use crate::shm::set::sums::Sums;
use crate::shm::set::usable::Usable;
use crate::shm::set::view::Rules;
use crate::shm::table::edit::Revision;
use crate::shm::table::readdress::Answer;
use crate::shm::table::store::{ReloadState, Tried};
use crate::shm::tests::calls::with_duid;
use crate::shm::tests::store::RULES;
use crate::shm::tests::{LONG, spec};

/// Destinations are pinged.
const WATCHED: Rules = Rules {
    watched: true,
    ..RULES
};

#[test]
fn bitmaps_sums_and_maxima_agree_with_the_truth_after_all_changes() {
    const LEN: usize = 70;
    let rounds = rounds(20, 20_000);
    let heap = super::Heap::default();
    let mut plan = Plan::<u64>::of_header();
    let usable = Usable::plan(&mut plan, LEN);
    let sums = Sums::plan(&mut plan, LEN);
    let maxima = Maxima::plan(&mut plan, LEN);
    let block = plan.alloc(&heap).unwrap();
    let shared = ForAll((usable(&block), sums(&block), maxima(&block)));
    let truth = [const { AtomicU32::new(0) }; LEN];
    let change = |seed| {
        let (usable, sums, maxima) = shared.get();
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..rounds {
            // Few destinations, so that the threads meet, in two words of the bitmap.
            let at = [0, 63, 64, 69][random.random_range(0..4)];
            truth[at].store(random.random_range(0..3), Ordering::SeqCst);
            let value = || truth[at].load(Ordering::SeqCst);
            usable.sync(at, || value() != 0);
            sums.sync(at, value);
            maxima.sync(at, value);
        }
    };
    at_once(&[&|| change(0), &|| change(1), &|| change(2)], &[]);
    let (usable, sums, maxima) = shared.get();
    let values: Vec<u32> = truth
        .iter()
        .map(|value| value.load(Ordering::SeqCst))
        .collect();
    let set = (0..LEN).filter(|&at| values[at] != 0);
    assert_eq!(usable.any(), set.clone().count() > 0);
    assert!(usable.set_in(0, LEN).eq(set), "{values:?}");
    assert_eq!(Some(maxima.greatest()), values.iter().max().copied());
    for to in 0..=LEN {
        assert_eq!(
            sums.below(to),
            values[..to].iter().sum::<u32>(),
            "{to} of {values:?}"
        );
    }
    unsafe { crate::shm::memory::arena::Arena::free(&heap, block.header().cast()) };
}

#[test]
fn shares_and_ranks_agree_after_all_changes_and_hide_nobody_before() {
    let rounds = rounds(2, 2_000);
    let bodies = [
        "duid=a;weight=50;rweight=30",
        "duid=b;weight=30;rweight=50;cc=1",
        "duid=c;weight=20;rweight=10;cc=1",
    ];
    let uris = ["sip:a:1", "sip:a:2", "sip:a:3"];
    let list: Vec<_> = uris
        .into_iter()
        .zip(bodies)
        .map(|(uri, body)| with_duid(uri, body))
        .collect();
    let store = shared(5, WATCHED, &list);
    let follow = |process: usize| {
        let mut random = StdRng::seed_from_u64(process as u64);
        for _ in 0..rounds {
            let pinned = store.pin(process);
            let view = pinned.view(1).unwrap();
            let at = random.random_range(0..3);
            let dest = view.dest(at).unwrap();
            let record = dest.record();
            let milliseconds = f64::from(random.random_range(0..40));
            let latency = Latency {
                average: 10.0,
                estimate: milliseconds,
                ..Latency::default()
            };
            let change = || record.health().unwrap().set_latency(&latency);
            store.change_latency(process, record, change);
            // The first one is always up, and its weights stay.
            if dest.uri() != b"sip:a:1" {
                store.change_one(process, record, toggle, |_, _, _| {});
            }
            if view.reserve(at) {
                record.unload();
                store.sync_load(process, 1, record);
            }
        }
    };
    let reload = || (0..rounds / 2).for_each(|_| load(&store, &list, ReloadState::Keep));
    let select = || {
        for start in [
            Start::RelativeWeight,
            Start::Latency,
            Start::Priority,
            Start::Service,
            Start::Weight,
            Start::Random(7),
        ] {
            let found = store.try_set(4, 1, |view| choose(view, start).map(|_| ()));
            assert_eq!(found, Tried::Done(()), "{start:?}");
        }
        let least = store.try_set(4, 1, |view| view.find_least());
        assert!(matches!(least, Tried::Done(_)), "{least:?}");
    };
    at_once(&[&|| follow(1), &|| follow(2), &reload], &[&select]);
    agrees(store.pin(0).view(1).unwrap());
    destroy(&store);
}

/// Whenever all stand still, a name that nobody has asked for since it was forgotten is due.
#[test]
fn no_name_stays_unasked_that_was_forgotten_meanwhile() {
    const TTL: u64 = 1_000;
    const NOW: u64 = 5_000_000;
    let addrs = [Addr::V4([10, 0, 0, 1])];
    let list = [spec(1, "sip:a:5060", 0, 0), spec(1, "sip:b:5060", 0, 0)];
    let store = shared(4, WATCHED, &list);
    let asked_us = |dest: &Dest| dest.record().health().map(Health::asked_us);
    let ask = |process: usize| {
        for _ in 0..3 {
            let pinned = store.pin(process);
            let view = pinned.view(1).unwrap();
            if !view.any_name_due(NOW, TTL, asked_us) {
                continue;
            }
            for dest in view.dests().filter(|dest| asked_us(dest) == Some(0)) {
                dest.record().health().unwrap().set_asked_us(NOW);
                let peer = Some((&addrs[..], 5060, Proto::NONE));
                let answer = Answer {
                    record: dest.record(),
                    uri: dest.uri(),
                    now: Revision {
                        peer,
                        ..Revision::default()
                    },
                };
                store.readdress(LONG, 1, &[answer], &mut random()).unwrap();
            }
        }
    };
    let forget = || {
        let is_first = |dest: &Dest| dest.uri() == b"sip:a:5060";
        for priority in 0..2 {
            let revision = Revision {
                priority: Some(priority),
                peer: Some((&[], 5060, Proto::NONE)),
                ..Revision::default()
            };
            let modified = store.modify(LONG, 1, None, is_first, revision, &mut random());
            assert_eq!(modified, Ok(()));
        }
    };
    for _ in 0..rounds(3, 300) {
        at_once(&[&|| ask(1), &|| ask(2), &forget], &[]);
        let pinned = store.pin(0);
        let view = pinned.view(1).unwrap();
        let unasked = view.dests().any(|dest| asked_us(dest) == Some(0));
        assert_eq!(view.any_name_due(NOW, TTL, asked_us), unasked);
    }
    destroy(&store);
}

#[test]
fn one_ping_is_on_its_way_at_a_time_and_its_memory_is_taken_once() {
    let rounds = rounds(10, 5_000);
    let hops = [1, 2].map(|byte| {
        Resolved::At(NextHop {
            addr: Addr::V6([byte; 16]),
            port: u16::from(byte),
            proto: Proto::UDP,
        })
    });
    let numbers = Mutex::new(BTreeSet::new());
    for _ in 0..self::rounds(2, 20) {
        // Nobody has a reason to keep vitals before the threads do.
        let store = shared(4, RULES, &[spec(1, "sip:a:1", 0, 0)]);
        let before = store.arena().taken();
        let (on_their_way, next, ended) =
            (AtomicU32::new(0), AtomicU32::new(0), AtomicUsize::new(0));
        let ping = |process: usize| {
            let pinned = store.pin(process);
            let record = pinned.view(1).unwrap().dest(0).unwrap().record();
            let number = record.number(|| next.fetch_add(1, Ordering::Relaxed) + 1);
            numbers.lock().unwrap().insert(number);
            let vitals = record.need_vitals(store.arena()).unwrap();
            let health = &vitals.health;
            for round in 0..rounds {
                if health.begin(1 + round as u64, 7) {
                    assert_eq!(on_their_way.fetch_add(1, Ordering::Relaxed), 0);
                    let change = || health.note(Ended::Reply(200), false, 1, 2);
                    store.change_latency(process, record, change);
                    on_their_way.store(0, Ordering::Relaxed);
                    ended.fetch_add(1, Ordering::Relaxed);
                    health.end();
                }
                health.hop.set(health.hop.stamp(), b"a", hops[process % 2]);
                let hop = health.hop.get(b"a");
                assert!(hop == Resolved::Unknown || hops.contains(&hop));
                vitals.overload.report(i32::try_from(round).unwrap(), 50, 9);
                vitals.overload.pass_over(5);
            }
        };
        at_once(&[&|| ping(1), &|| ping(2), &|| ping(3)], &[]);
        assert_eq!(store.arena().taken(), before + 1, "vitals");
        let pinned = store.pin(0);
        let record = pinned.view(1).unwrap().dest(0).unwrap().record();
        let last = record.health().unwrap().last().unwrap();
        assert_eq!(last.bad_in_row as usize, ended.load(Ordering::Relaxed));
        assert_eq!(record.health().unwrap().sent_us(), None);
        let seen = core::mem::take(&mut *numbers.lock().unwrap());
        assert_eq!(seen, BTreeSet::from([record.drawn_number()]));
        drop(pinned);
        destroy(&store);
    }
}

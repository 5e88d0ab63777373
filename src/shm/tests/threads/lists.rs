//! Readers while lists are edited and replaced.

use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::thread;

use rand::Rng;

use super::{ForAll, Heap, agrees, at_once, destroy, load, random, rounds, shared, toggle};
use crate::dispatch::list::destination::{Addr, Proto};
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::state::transition::State;
use crate::shm::dest::address::{Key, Match, Source};
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Arena, Plan};
use crate::shm::memory::epoch::Epochs;
use crate::shm::set::view::View;
use crate::shm::table::edit::{EditError, Revision};
use crate::shm::table::readdress::Answer;
use crate::shm::table::store::{ReloadState, Tried};
use crate::shm::tests::store::RULES;
use crate::shm::tests::{LONG, spec};

#[test]
fn a_pinned_reader_sees_nothing_that_was_freed() {
    let rounds = rounds(200, 100_000);
    let heap = Heap::default();
    let mut block = Plan::<Epochs>::of_header().alloc(&heap).unwrap();
    block.fill().make_slots(&heap, 2).unwrap();
    block.fill().start();
    let shared = ForAll(&*block.fill());
    let link = AtomicPtr::new(Box::into_raw(Box::new(1)));
    let write = || {
        for number in 2..rounds {
            let new = Box::into_raw(Box::new(number));
            let old = link.swap(new, Ordering::SeqCst);
            let retired = shared.get().advance();
            while shared.get().oldest() <= retired {
                thread::yield_now();
            }
            unsafe { *old = 0 };
            drop(unsafe { Box::from_raw(old) });
        }
    };
    let read = || {
        let pinned = shared.get().pin(1);
        // As every link is loaded over which a reader comes to what is retired later.
        let node = unsafe { &*link.load(Ordering::SeqCst) };
        assert!(*node > 0);
        drop(pinned);
    };
    at_once(&[&write], &[&read]);
    drop(unsafe { Box::from_raw(link.into_inner()) });
    block.fill().free_slots(&heap);
    unsafe { heap.free(block.header().cast()) };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn threads_choose_change_and_reload_at_once() {
    let rounds = rounds(6, 2_000);
    let uris: Vec<String> = (0..4).map(|n| format!("sip:a:{n}")).collect();
    let list: Vec<_> = uris.iter().map(|uri| spec(1, uri, 0, 0)).collect();
    let store = shared(4, RULES, &list);
    let select = |number| {
        // The first destination is in each list, and always up. A reader may have a number
        // that is no process's.
        let found = store.try_set(number, 1, |view| {
            let choice = choose(view, Start::RoundRobin)?;
            for at in choice.order(view) {
                assert!(view.dest(at).unwrap().uri().starts_with(b"sip:a:"));
            }
            Some(())
        });
        assert_eq!(found, Tried::Done(()));
    };
    let mark = |number| {
        for round in 0..rounds * 2 {
            let uri = format!("SIP:A:{}", 1 + round % 3);
            let (uri, all) = (Some(uri.as_bytes()), |_: &_| true);
            store.change(number, 1, uri, all, toggle, |_, _, _| {});
        }
    };
    let reload = || {
        for round in 0..rounds {
            let states = [ReloadState::Keep, ReloadState::FromList][round % 2];
            load(&store, &list[..4 - round % 3], states);
        }
    };
    at_once(
        &[&|| mark(2), &|| mark(3), &reload],
        &[&|| select(1), &|| select(99)],
    );
    agrees(store.pin(0).view(1).unwrap());
    destroy(&store);
}

/// Two processes edit a set that a third one reloads, which takes out what they have added.
#[test]
fn readers_find_what_stays_while_others_edit_and_reload() {
    let rounds = rounds(2, 1_000);
    let kept = [
        spec(1, "sip:kept:5060", 0, 0),
        spec(1, "sip:kept:5061", 0, 3),
    ];
    let store = shared(5, RULES, &kept);
    let edit = |number: i32| {
        let mut random = random();
        let uri = format!("sip:other:{number}");
        let is_its = |dest: &Dest| dest.uri() == uri.as_bytes();
        for round in 0..rounds {
            for set in [1, 10 + number] {
                let added = store.add(LONG, &spec(set, &uri, 0, 0), &mut random);
                assert_eq!(added, Ok(()));
                let revision = Revision {
                    priority: Some(i32::try_from(round).unwrap()),
                    flags: (round % 2 == 0).then_some(State(1)),
                    ..Revision::default()
                };
                let gone = |error| matches!(error, EditError::NotFound | EditError::NoSet);
                let modified = store.modify(LONG, set, None, is_its, revision, &mut random);
                assert!(modified.is_ok() || modified.is_err_and(gone));
                let removed = store.remove(LONG, set, uri.as_bytes(), &mut random);
                assert!(removed == Ok(1) || removed.is_err_and(gone));
            }
        }
    };
    let reload = || (0..rounds).for_each(|_| load(&store, &kept, ReloadState::Keep));
    let select = |number: usize| {
        for start in [Start::RoundRobin, Start::Hash(7), Start::Priority] {
            let found = store.try_set(number, 1, |view| {
                let choice = choose(view, start)?;
                let uris = choice.order(view).map(|at| view.dest(at).unwrap().uri());
                Some(uris.filter(|uri| uri.starts_with(b"sip:kept")).count())
            });
            assert_eq!(found, Tried::Done(2));
        }
    };
    at_once(
        &[&|| edit(1), &|| edit(2), &reload],
        &[&|| select(3), &|| select(4)],
    );
    let pinned = store.pin(0);
    assert_eq!(pinned.table().unwrap().len(), 1);
    assert_eq!(pinned.view(1).unwrap().dest_count(), 2);
    agrees(pinned.view(1).unwrap());
    drop(pinned);
    destroy(&store);
}

#[test]
fn a_pin_keeps_all_that_it_saw_while_others_edit_and_watch() {
    let rounds = rounds(3, 1_000);
    let uris: Vec<String> = (0..3).map(|n| format!("sip:a:{n}")).collect();
    let list: Vec<_> = uris.iter().map(|uri| spec(1, uri, 0, 0)).collect();
    let store = shared(4, RULES, &list);
    let edit = |number: i32| {
        let mut random = random();
        let uri = format!("sip:b:{number}");
        for _ in 0..rounds {
            store.add(LONG, &spec(1, &uri, 0, 0), &mut random).unwrap();
            let removed = store.remove(LONG, 1, uri.as_bytes(), &mut random);
            assert_eq!(removed, Ok(1));
        }
    };
    let read = |number: usize| {
        store.introduce(number);
        let outer = store.pin(number);
        let seen = |view: &View| -> Vec<(Vec<u8>, i32, Vec<Addr>)> {
            let dests = view.dests();
            let whole = |dest: &Dest| (dest.uri().to_vec(), dest.priority, dest.addrs().collect());
            dests.map(whole).collect()
        };
        let view = outer.view(1).unwrap();
        let first = seen(view);
        for _ in 0..3 {
            thread::yield_now();
            // The pins of a process may end in any order.
            let inner = store.pin(number);
            assert!(seen(inner.view(1).unwrap()).len() >= 3);
            assert!(store.is_held_by(number));
            assert_eq!(seen(view), first);
        }
    };
    let now_s = AtomicUsize::new(0);
    let watch = || {
        let now_s = now_s.fetch_add(1, Ordering::Relaxed) as u64;
        let (readers, _) = store.watch(now_s);
        assert!(readers.iter().all(|held| held.for_s >= 10));
        store.collect();
        assert!(store.holdings(now_s).bytes < 1 << 30);
    };
    at_once(&[&|| edit(1), &|| edit(2)], &[&|| read(3), &watch]);
    agrees(store.pin(0).view(1).unwrap());
    destroy(&store);
}

const PORT_OF_SET_1: Match = Match {
    port: true,
    proto: false,
    set: Some(1),
};

fn at_port_5060(addr: [u8; 4]) -> Source {
    Source {
        addr: Key::v4(addr),
        port: 5060,
        proto: Proto::NONE,
    }
}

#[test]
fn threads_look_for_addresses_while_others_edit() {
    let rounds = rounds(4, 2_000);
    let store = shared(3, RULES, &[spec(1, "sip:kept:5060", 0, 0)]);
    let look = |number| {
        let pinned = store.pin(number);
        let source = at_port_5060([127, 0, 0, 1]);
        let table = pinned.table().unwrap();
        let found = table.find_source(source, PORT_OF_SET_1, |_| true);
        assert!(found.unwrap().uri().starts_with(b"sip:kept"));
    };
    let edit = || {
        let mut random = random();
        for round in 0..rounds {
            let added = spec(1, "sip:other:5070", 0, 0);
            store.add(LONG, &added, &mut random).unwrap();
            let revision = Revision {
                priority: Some(i32::try_from(round).unwrap()),
                ..Revision::default()
            };
            let is_kept = |dest: &Dest| dest.uri().starts_with(b"sip:kept");
            store
                .modify(LONG, 1, None, is_kept, revision, &mut random)
                .unwrap();
            let removed = store.remove(LONG, 1, b"sip:other:5070", &mut random);
            assert_eq!(removed, Ok(1));
        }
    };
    at_once(&[&edit], &[&|| look(1), &|| look(2)]);
    destroy(&store);
}

/// Two processes answer for the names of a set at once, while a third one removes one of its destinations and adds it
/// again.
#[test]
fn threads_look_for_addresses_while_names_get_others() {
    const COMMON: Addr = Addr::V4([10, 0, 0, 1]);
    let rounds = rounds(2, 1_000);
    let uris = ["sip:a:5060", "sip:b:5060", "sip:c:5060"];
    let mut list = uris.map(|uri| spec(1, uri, 0, 0));
    list.iter_mut()
        .for_each(|spec| spec.addrs = [COMMON].to_vec().into());
    let store = shared(5, RULES, &list);
    let answer = |number: u8| {
        let mut random = random();
        for round in 0..rounds {
            let other = Addr::V4([10, 0, number, random.random_range(0..9)]);
            let addrs = [[COMMON, other], [other, COMMON]][round % 2];
            let pinned = store.pin(number.into());
            let view = pinned.view(1).unwrap();
            let answers = view.dests().map(|dest| Answer {
                record: dest.record(),
                uri: dest.uri(),
                now: Revision {
                    peer: Some((&addrs, 5060, Proto::NONE)),
                    ..Revision::default()
                },
            });
            let answers: Vec<_> = answers.collect();
            store.readdress(LONG, 1, &answers, &mut random).unwrap();
        }
    };
    let swap = || {
        let mut random = random();
        for _ in 0..rounds {
            let uri = list[2].uri.clone();
            assert_eq!(store.remove(LONG, 1, &uri, &mut random), Ok(1));
            store.add(LONG, &list[2], &mut random).unwrap();
        }
    };
    let look = |number| {
        let pinned = store.pin(number);
        let table = pinned.table().unwrap();
        let found = |addr| table.find_source(at_port_5060(addr), PORT_OF_SET_1, |_| true);
        assert!(found([10, 0, 0, 1]).is_some());
        assert!(found([10, 0, 0, 99]).is_none());
    };
    at_once(
        &[&|| answer(1), &|| answer(2), &swap],
        &[&|| look(3), &|| look(4)],
    );
    agrees(store.pin(0).view(1).unwrap());
    destroy(&store);
}

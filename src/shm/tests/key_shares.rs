//! Identities and weights of views: the same for the same destinations, whatever has become of the list before.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::calls::with_duid;
use super::store::{HeapStore, load, store};
use super::{Heap, LONG};
use crate::dispatch::balance::cost::{Key, mix};
use crate::dispatch::balance::identity::{Name, identity};
use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::select::rendezvous::choose;
use crate::shm::table::edit::EditError;
use crate::shm::table::store::ReloadState;

const DESTS: usize = 40;
const KEYS: u64 = if cfg!(miri) { 50 } else { 10_000 };
const EDITS: usize = if cfg!(miri) { 10 } else { 200 };

/// Returns the URIs that keys fall on.
fn places(store: &HeapStore) -> Vec<Vec<u8>> {
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    let place = |key| {
        view.dest(choose(view, Key(mix(key))).unwrap())
            .unwrap()
            .uri()
            .to_vec()
    };
    (0..KEYS).map(place).collect()
}

#[test]
fn a_list_in_another_order_and_one_that_came_by_edits_choose_alike() {
    for run in 0..if cfg!(miri) { 1 } else { 5 } {
        let mut random = StdRng::seed_from_u64(run);
        let uris: Vec<String> = (0..2 * DESTS)
            .map(|n| format!("sip:a{n}:{}", 5000 + n))
            .collect();
        let body = |n: usize| match n % 3 {
            0 => format!("duid=gw{n};rweight={}", 1 + n % 90),
            1 => format!("rweight={};socket=udp:10.0.0.{n}:5060", 1 + n % 7),
            _ => "rweight=9".to_owned(),
        };
        let bodies: Vec<String> = (0..2 * DESTS).map(body).collect();
        let all: Vec<DestSpec<'_>> = uris
            .iter()
            .zip(&bodies)
            .map(|(uri, body)| with_duid(uri, body))
            .collect();
        let listed = &all[..DESTS];

        let (heap, others) = (Heap::default(), Heap::default());
        let (straight, edited) = (store(&heap), store(&others));
        load(&straight, listed, ReloadState::Keep).unwrap();
        let mut shuffled = listed.to_vec();
        shuffled.shuffle(&mut random);
        load(&edited, &shuffled, ReloadState::Keep).unwrap();
        let expected = places(&straight);
        assert_eq!(places(&edited), expected);

        for _ in 0..EDITS {
            let spec = &all[random.random_range(0..all.len())];
            match edited.add(LONG, spec, &mut random) {
                Err(EditError::Duplicate) => {
                    edited.remove(LONG, 1, &spec.uri, &mut random).unwrap();
                }
                added => added.unwrap(),
            }
        }
        assert_ne!(places(&edited), expected);
        for spec in &all {
            let is_there = edited
                .pin(0)
                .view(1)
                .unwrap()
                .find_uri(&spec.uri)
                .next()
                .is_some();
            let is_wanted = listed.iter().any(|listed| listed.uri == spec.uri);
            match (is_there, is_wanted) {
                (true, false) => {
                    edited.remove(LONG, 1, &spec.uri, &mut random).unwrap();
                }
                (false, true) => edited.add(LONG, spec, &mut random).unwrap(),
                _ => {}
            }
        }
        assert_eq!(places(&edited), expected);
        // SAFETY: nothing is pinned, and no other process is there.
        unsafe { straight.destroy() };
        unsafe { edited.destroy() };
    }
}

#[test]
fn identities_are_of_the_texts_of_the_list() {
    let list = [
        with_duid("sip:a:1", "duid=East;socket=udp:10.0.0.1:5060"),
        with_duid("sip:b:2", "socket=udp:10.0.0.1:5060"),
        with_duid("sip:b:2", "socket=udp:10.0.0.1:5060;SockName=lan"),
        with_duid("sip:c:3", ""),
        with_duid("sip:d:4", "duid=east"),
    ];
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &list, ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    // The last line is the first of the view.
    let expected = [
        identity(Name::Duid(b"east"), 2),
        identity(Name::Uri(b"sip:c:3", b""), 1),
        identity(Name::Uri(b"sip:b:2", b"lan"), 1),
        identity(Name::Uri(b"sip:b:2", b"udp:10.0.0.1:5060"), 1),
        identity(Name::Duid(b"east"), 1),
    ];
    assert_eq!(view.identities(), expected);
    assert!(view.relative_weights().is_empty());
    drop(pinned);
    // SAFETY: nothing is pinned, and no other process is there.
    unsafe { store.destroy() };
}

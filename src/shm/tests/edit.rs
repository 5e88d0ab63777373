//! Edits of one set: what they change, what they leave, and what a full arena does to them.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::calls::with_duid;
use super::store::{RULES, dump, load, set_state, store};
use super::{Heap, LONG, spec};
use crate::dispatch::list::attrs;
use crate::dispatch::list::destination::{Addr, DestSpec, Proto};
use crate::dispatch::list::order::post_order;
use crate::dispatch::state::transition::State;
use crate::shm::dest::address::{Match, Source};
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::OutOfMemory;
use crate::shm::set::view::View;
use crate::shm::table::edit::{EditError, Revision};
use crate::shm::table::readdress::Answer;
use crate::shm::table::store::ReloadState;
use core::ptr;

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

#[test]
fn an_added_destination_is_the_last_line_of_the_list() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = [spec(1, "sip:a:1", 0, 0), spec(1, "sip:b:1", 0, 5)];
    load(&store, &list, ReloadState::Keep).unwrap();
    set_state(&store, 1, "sip:a:1", 4);
    store
        .add(LONG, &spec(1, "sip:c:1", 8, 0), &mut random())
        .unwrap();
    store
        .add(LONG, &spec(1, "sip:d:1", 0, 9), &mut random())
        .unwrap();
    store
        .add(LONG, &spec(7, "sip:e:1", 0, 0), &mut random())
        .unwrap();
    let set = "1: sip:d:1/0/0 sip:b:1/0/0 sip:c:1/8/0 sip:a:1/4/3";
    assert_eq!(dump(&store), ["7: sip:e:1/0/0", set]);
    let again = store.add(LONG, &spec(1, "sip:c:1", 0, 3), &mut random());
    assert_eq!(again, Err(EditError::Duplicate));
    assert_eq!(dump(&store), ["7: sip:e:1/0/0", set]);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_removed_destination_leaves_the_others_as_they_were() {
    let heap = Heap::default();
    let store = store(&heap);
    let uris = ["sip:a:1", "sip:b:1", "sip:a:1", "sip:c:1"];
    let list = uris.map(|uri| spec(1, uri, 0, 0));
    load(&store, &list, ReloadState::Keep).unwrap();
    set_state(&store, 1, "sip:c:1", 4);
    assert_eq!(
        store.remove(LONG, 1, b"SIP:a:1", &mut random()),
        Err(EditError::NotFound)
    );
    assert_eq!(
        store.remove(LONG, 2, b"sip:a:1", &mut random()),
        Err(EditError::NoSet)
    );
    assert_eq!(store.remove(LONG, 1, b"sip:a:1", &mut random()), Ok(2));
    assert_eq!(dump(&store), ["1: sip:c:1/4/3 sip:b:1/0/0"]);
    assert_eq!(store.remove(LONG, 1, b"sip:b:1", &mut random()), Ok(1));
    assert_eq!(store.remove(LONG, 1, b"sip:c:1", &mut random()), Ok(1));
    assert_eq!(dump(&store), [""; 0]);
    store
        .add(LONG, &spec(1, "sip:c:1", 0, 0), &mut random())
        .unwrap();
    assert_eq!(dump(&store), ["1: sip:c:1/0/0"]);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_modified_destination_keeps_what_was_not_named() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = ["sip:a:1", "sip:b:1", "sip:b:1"].map(|uri| spec(1, uri, 0, 0));
    load(&store, &list, ReloadState::Keep).unwrap();
    set_state(&store, 1, "sip:a:1", 1);
    let modify = |uri: &'static [u8], revision| {
        store.modify(
            LONG,
            1,
            None,
            |dest| dest.uri() == uri,
            revision,
            &mut random(),
        )
    };
    let up = Revision {
        priority: Some(5),
        ..Revision::default()
    };
    modify(b"sip:a:1", up).unwrap();
    assert_eq!(dump(&store), ["1: sip:a:1/1/3 sip:b:1/0/0 sip:b:1/0/0"]);
    let body = b"duid=x;weight=7";
    let attrs = Some((&body[..], attrs::parse(body).unwrap().0, 0));
    modify(
        b"sip:a:1",
        Revision {
            attrs,
            ..Revision::default()
        },
    )
    .unwrap();
    modify(
        b"sip:a:1",
        Revision {
            flags: Some(State(8)),
            ..Revision::default()
        },
    )
    .unwrap();
    assert_eq!(dump(&store), ["1: sip:a:1/8/0 sip:b:1/0/0 sip:b:1/0/0"]);
    let pinned = store.pin(0);
    let dest = pinned.view(1).unwrap().dest(0).unwrap();
    assert_eq!((dest.duid(), dest.priority), (Some(&b"x"[..]), 5));
    drop(pinned);
    for (made_of, modified) in [
        (&b"duid=x"[..], Err(EditError::Changed)),
        (&b"duid=x;weight=7"[..], Ok(())),
    ] {
        let revision = Revision {
            made_of: Some(made_of),
            ..Revision::default()
        };
        assert_eq!(modify(b"sip:a:1", revision), modified);
    }
    assert_eq!(modify(b"sip:b:1", up), Err(EditError::Ambiguous(2)));
    assert_eq!(modify(b"sip:z:1", up), Err(EditError::NotFound));
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_full_arena_changes_nothing_at_any_step_of_an_edit() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = [
        spec(1, "sip:a:1", 0, 0),
        spec(1, "sip:b:1", 0, 0),
        spec(2, "sip:c:1", 0, 0),
    ];
    load(&store, &list, ReloadState::Keep).unwrap();
    let revision = Revision {
        priority: Some(5),
        ..Revision::default()
    };
    let edits: [&dyn Fn() -> Result<(), EditError>; 5] = [
        &|| store.add(LONG, &spec(1, "sip:d:1", 0, 0), &mut random()),
        &|| store.add(LONG, &spec(9, "sip:e:1", 0, 0), &mut random()),
        &|| store.remove(LONG, 1, b"sip:a:1", &mut random()).map(|_| ()),
        &|| store.remove(LONG, 2, b"sip:c:1", &mut random()).map(|_| ()),
        &|| {
            store.modify(
                LONG,
                1,
                Some(b"SIP:B:1"),
                |dest| dest.uri() == b"sip:b:1",
                revision,
                &mut random(),
            )
        },
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let (shown, taken) = (dump(&store), heap.taken());
        let mut refused = 0;
        loop {
            heap.limit(Some(refused));
            let done = edit();
            heap.limit(None);
            if done.is_ok() {
                break;
            }
            assert_eq!(done, Err(EditError::Refused(OutOfMemory.into())));
            assert_eq!(dump(&store), shown, "edit {number} refused after {refused}");
            assert_eq!(heap.taken(), taken, "edit {number} refused after {refused}");
            refused += 1;
        }
        assert!(refused >= 2, "edit {number}: {refused}");
        assert_ne!(dump(&store), shown, "edit {number}");
    }
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

/// A set as the model has it: its destinations in list order.
type Model = Vec<(i32, Vec<(String, i32)>)>;

fn model_dump(model: &Model) -> Vec<String> {
    let ids: Vec<i32> = model.iter().map(|(id, _)| *id).collect();
    let one = |at: usize| {
        let (id, dests) = &model[at];
        let mut dests: Vec<_> = dests.iter().rev().collect();
        dests.sort_by_key(|(_, priority)| -priority);
        let dests = dests.iter().map(|(uri, _)| format!(" {uri}/0/0"));
        format!("{id}:{}", dests.collect::<Vec<_>>().concat())
    };
    post_order(&ids).into_iter().map(one).collect()
}

#[test]
fn an_answer_is_for_one_of_two_lines_with_the_same_uri() {
    let heap = Heap::default();
    let store = store(&heap);
    let list = [spec(1, "sip:a:1", 0, 0), spec(1, "sip:a:1", 0, 0)];
    for asked in 0..2 {
        load(&store, &list, ReloadState::Keep).unwrap();
        let pinned = store.pin(0);
        let dest = pinned.view(1).unwrap().dest(asked).unwrap();
        let answer = Answer {
            record: dest.record(),
            uri: dest.uri(),
            now: Revision {
                peer: Some((&[Addr::V4([10, 0, 0, 1])], 9, Proto::TCP)),
                ..Revision::default()
            },
        };
        store.readdress(LONG, 1, &[answer], &mut random()).unwrap();
        drop(pinned);
        let pinned = store.pin(0);
        let ports = pinned.view(1).unwrap().dests().map(|dest| dest.port);
        let expected: &[u16] = if asked == 0 { &[9, 1] } else { &[1, 9] };
        assert_eq!(ports.collect::<Vec<_>>(), expected);
    }
    unsafe { store.destroy() };
}

#[test]
fn all_answers_for_a_set_are_one_edit() {
    const COUNT: u8 = if cfg!(miri) { 70 } else { 200 };
    let heap = Heap::default();
    let store = store(&heap);
    let uris: Vec<String> = (0..COUNT).map(|n| format!("sip:n{n}:{n}")).collect();
    let lines = (0..).zip(&uris).map(|(n, uri)| spec(1, uri, 0, n % 3));
    let list: Vec<DestSpec<'_>> = lines.chain([spec(2, "sip:z:1", 0, 0)]).collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    set_state(&store, 1, "sip:n7:7", 4);
    let before = dump(&store);
    let addrs: Vec<Addr> = (0..COUNT).map(|n| Addr::V4([10, 0, 0, n])).collect();
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    let number = |dest: &Dest| usize::from(dest.port);
    let mut answers: Vec<Answer<'_>> = view
        .dests()
        .map(|dest| Answer {
            record: dest.record(),
            uri: dest.uri(),
            now: Revision {
                peer: Some((&addrs[number(dest)..=number(dest)], 9, Proto::TCP)),
                ..Revision::default()
            },
        })
        .collect();
    // One that has another URI by now is passed over, and one that is there twice counts once.
    answers[0].uri = b"sip:other:1";
    answers.push(answers[5]);
    let gone = view.dest(0).unwrap().uri().to_vec();
    // The pages, the note, the view and the index of addresses.
    let needed = usize::from(COUNT).div_ceil(64) + 3;
    let first = if cfg!(miri) { needed - 2 } else { 0 };
    for left in first..needed {
        heap.limit(Some(left));
        let full = store.readdress(LONG, 1, &answers, &mut random());
        assert_eq!(full, Err(OutOfMemory.into()), "{left} pieces");
    }
    heap.limit(Some(needed));
    assert_eq!(store.readdress(LONG, 1, &answers, &mut random()), Ok(()));
    heap.limit(None);
    drop(pinned);
    assert_eq!(dump(&store), before);
    let pinned = store.pin(0);
    for dest in pinned.view(1).unwrap().dests() {
        let new = dest.uri() != gone;
        assert_eq!((dest.proto == Proto::TCP, dest.port == 9), (new, new));
    }
    let source = |n: u8| Source {
        addr: Addr::V4([10, 0, 0, n]).into(),
        port: 9,
        proto: Proto::TCP,
    };
    let want = Match {
        port: true,
        proto: true,
        set: None,
    };
    let found = |n| pinned.table()?.find_source(source(n), want, |_| true);
    let missing = (0..COUNT).filter(|&n| found(n).is_none()).count();
    assert_eq!(missing, 1);
    assert_eq!(found(8).unwrap().uri(), b"sip:n8:8");
    drop(pinned);
    let none = store.readdress(LONG, 9, &[], &mut random());
    assert_eq!(none, Err(EditError::NoSet));
    assert_eq!(store.readdress(LONG, 2, &[], &mut random()), Ok(()));
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn random_edits_agree_with_a_model() {
    let mut rng = StdRng::seed_from_u64(77);
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &[], ReloadState::Keep).unwrap();
    let empty = heap.taken();
    let mut model: Model = Vec::new();
    let steps = if cfg!(miri) { 15 } else { 3_000 };
    for _ in 0..steps {
        let set = rng.random_range(0..6);
        let uri = format!("sip:a:{}", rng.random_range(0..40));
        let at = model.iter().position(|(id, _)| *id == set);
        let there = at.and_then(|at| model[at].1.iter().position(|(known, _)| *known == uri));
        let priority = rng.random_range(0..3);
        match (rng.random_range(0..3), at, there) {
            (0 | 1, _, None) => {
                store
                    .add(LONG, &spec(set, &uri, 0, priority), &mut rng)
                    .unwrap();
                match at {
                    Some(at) => model[at].1.push((uri, priority)),
                    None => model.push((set, vec![(uri, priority)])),
                }
            }
            (0, Some(at), Some(there)) => {
                let revision = Revision {
                    priority: Some(priority),
                    ..Revision::default()
                };
                let wanted =
                    |dest: &crate::shm::dest::destination::Dest| dest.uri() == uri.as_bytes();
                store
                    .modify(LONG, set, None, wanted, revision, &mut rng)
                    .unwrap();
                model[at].1[there].1 = priority;
            }
            (_, Some(at), Some(there)) => {
                assert_eq!(store.remove(LONG, set, uri.as_bytes(), &mut rng), Ok(1));
                model[at].1.remove(there);
                model.retain(|(_, dests)| !dests.is_empty());
            }
            _ => assert!(store.remove(LONG, set, uri.as_bytes(), &mut rng).is_err()),
        }
        assert_eq!(dump(&store), model_dump(&model));
        check_sources(&store, &mut rng);
    }
    while let Some((set, uri)) = model.first().map(|(set, dests)| (*set, dests[0].0.clone())) {
        store.remove(LONG, set, uri.as_bytes(), &mut rng).unwrap();
        model[0].1.remove(0);
        model.retain(|(_, dests)| !dests.is_empty());
    }
    store.collect();
    assert_eq!(heap.taken(), empty);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

/// The index of addresses finds what a scan in the order of listing finds.
fn check_sources(store: &super::store::HeapStore, rng: &mut StdRng) {
    let pinned = store.pin(0);
    let table = pinned.table().unwrap();
    let source = Source {
        addr: Addr::V4([127, 0, 0, 1]).into(),
        port: rng.random_range(0..40),
        proto: crate::dispatch::list::destination::Proto::NONE,
    };
    let set = rng.random_range(-3..6);
    let want = Match {
        port: rng.random(),
        proto: false,
        set: (set >= 0).then_some(set),
    };
    let scan = table
        .sets()
        .flat_map(|(_, view)| view.dests())
        .find(|dest| {
            (!want.port || dest.port == 0 || dest.port == source.port)
                && want.set.is_none_or(|set| set == dest.set)
        });
    let found = table.find_source(source, want, |_| true);
    let name = |dest: &crate::shm::dest::destination::Dest| (dest.set, dest.uri().to_vec());
    assert_eq!(found.map(name), scan.map(name), "{source:?} {want:?}");
}

// Takes minutes under Miri; `random_edits_agree_with_a_model` covers the same code there.
#[cfg(not(miri))]
#[test]
fn a_thousand_that_are_added_one_by_one_are_in_order() {
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, &[], ReloadState::Keep).unwrap();
    let mut rng = random();
    let count = 1_000;
    for port in 0..count {
        store
            .add(LONG, &spec(1, &format!("sip:a:{port}"), 0, 0), &mut rng)
            .unwrap();
        if port == 100 {
            set_state(&store, 1, "sip:a:7", 4);
        }
    }
    let pinned = store.pin(0);
    let view = pinned.view(1).unwrap();
    assert_eq!(view.dest_count(), count);
    let uris: Vec<String> = (0..count)
        .rev()
        .map(|port| format!("sip:a:{port}"))
        .collect();
    let shown: Vec<_> = view
        .dests()
        .map(|d| String::from_utf8_lossy(d.uri()))
        .collect();
    assert_eq!(shown, uris);
    let disabled = view
        .dests()
        .filter(|dest| dest.record().state() == State(4))
        .count();
    assert_eq!(disabled, 1);
    drop(pinned);
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

/// All that a view knows of its destinations beside their order is what their records say.
pub fn check_view(view: &View) {
    for (at, dest) in view.dests().enumerate() {
        assert_eq!(view.position_of(dest.record()), Some(at));
        assert_eq!(view.next_bit(at) == Some(at), view.is_usable(at), "{at}");
        let drains = view.next_draining_bit(at) == Some(at);
        assert_eq!(drains, view.is_draining(at), "{at}");
        let found = view.find_uri(dest.uri()).map(|at| view.dest(at).unwrap());
        let same = view
            .dests()
            .filter(|other| other.uri().eq_ignore_ascii_case(dest.uri()));
        assert!(found.map(ptr::from_ref).eq(same.map(ptr::from_ref)));
    }
    let loads = view
        .dests()
        .filter(|dest| dest.duid().is_some() && !dest.record().state().intersects(RULES.unusable));
    let least = loads.map(|dest| dest.record().load()).min();
    let found = view.find_least().and_then(|at| view.dest(at));
    assert_eq!(found.map(|dest| dest.record().load()), least);
}

#[test]
fn a_view_agrees_with_the_records_after_any_edit() {
    let heap = Heap::default();
    let store = store(&heap);
    let mut rng = StdRng::seed_from_u64(31);
    let (count, rounds) = if cfg!(miri) { (12, 6) } else { (150, 400) };
    let uris: Vec<String> = (0..count * 2).map(|n| format!("sip:h{n}:1")).collect();
    let duids: Vec<String> = (0..count * 2).map(|n| format!("duid=d{n}")).collect();
    let line = |n: usize, priority| {
        let body = if n % 3 == 0 { "" } else { duids[n].as_str() };
        DestSpec {
            attrs_body: body.as_bytes(),
            attrs: attrs::parse(body.as_bytes()).unwrap().0,
            ..spec(1, &uris[n / 2 * 2], 0, priority)
        }
    };
    let list: Vec<_> = (0..count).map(|n| line(n, [0, 1, 2, 3][n % 4])).collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    for _ in 0..rounds {
        let n = rng.random_range(0..count * 2);
        let uri = uris[n / 2 * 2].as_bytes();
        match rng.random_range(0..5) {
            0 | 1 => {
                let _ = store.add(LONG, &line(n, rng.random_range(0..4)), &mut random());
            }
            2 => {
                let _ = store.remove(LONG, 1, uri, &mut random());
            }
            3 => {
                let revision = Revision {
                    priority: Some(rng.random_range(0..4)),
                    ..Revision::default()
                };
                let _ = store.modify(LONG, 1, Some(uri), |_| true, revision, &mut random());
            }
            _ => {
                set_state(
                    &store,
                    1,
                    &uris[n / 2 * 2],
                    [0, 1, 4, State::DRAINING.bits()][n % 4],
                );
            }
        }
        let pinned = store.pin(0);
        check_view(pinned.view(1).unwrap());
    }
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn positions_are_found_in_a_view_that_was_replaced() {
    let heap = Heap::default();
    let store = store(&heap);
    let uris: Vec<String> = (0..6).map(|n| format!("sip:a:{n}")).collect();
    let list: Vec<_> = uris.iter().map(|uri| spec(1, uri, 0, 0)).collect();
    load(&store, &list, ReloadState::Keep).unwrap();
    let pinned = store.pin(0);
    let before = pinned.view(1).unwrap();
    store
        .add(LONG, &spec(1, "sip:b:1", 0, 9), &mut random())
        .unwrap();
    store.remove(LONG, 1, b"sip:a:3", &mut random()).unwrap();
    load(&store, &list[..3], ReloadState::Keep).unwrap();
    for (at, dest) in before.dests().enumerate().skip(3) {
        assert_eq!(before.position_of(dest.record()), Some(at));
    }
    let now = store.pin(0);
    let now = now.view(1).unwrap();
    for dest in before.dests() {
        let same = |other: &crate::shm::dest::destination::Dest| other.uri() == dest.uri();
        assert_eq!(now.position_of(dest.record()), now.dests().position(same));
    }
}

#[test]
fn a_name_is_asked_for_again_where_the_lists_lose_its_answer() {
    const ASKED: u64 = 500;
    let heap = Heap::default();
    let store = store(&heap);
    let resolved = with_duid("sip:a:1", "duid=a");
    let unresolved = DestSpec {
        addrs: [].as_slice().into(),
        ..resolved.clone()
    };
    let renamed = with_duid("sip:b:1", "duid=a");
    let reload = |spec: &DestSpec<'_>| {
        load(&store, core::slice::from_ref(spec), ReloadState::Keep).unwrap();
    };
    let modify = |revision: Revision<'_>| {
        store
            .modify(LONG, 1, None, |_| true, revision, &mut random())
            .unwrap();
    };
    let new_peer = |addrs| Revision {
        peer: Some((addrs, 1, Proto::NONE)),
        ..Revision::default()
    };
    let changes: [(&str, &dyn Fn(), bool); 7] = [
        ("the same list", &|| reload(&resolved), false),
        ("no address", &|| reload(&unresolved), true),
        ("another URI", &|| reload(&renamed), true),
        ("another priority", &|| modify(Revision::default()), false),
        ("modified, no address", &|| modify(new_peer(&[])), true),
        (
            "modified, an address",
            &|| modify(new_peer(&[Addr::V4([127, 0, 0, 2])])),
            false,
        ),
        (
            "it comes back",
            &|| {
                store.remove(LONG, 1, b"sip:b:1", &mut random()).unwrap();
                store.add(LONG, &resolved, &mut random()).unwrap();
            },
            true,
        ),
    ];
    reload(&resolved);
    assert!(store.pin(0).view(1).unwrap().reserve(0), "it is retained");
    for (what, change, is_lost) in changes {
        let health = |dest: &Dest| dest.record().need_vitals(&heap).unwrap().health.asked_us();
        let is_due = || {
            let pinned = store.pin(0);
            let view = pinned.view(1).unwrap();
            view.any_name_due(ASKED, 100, |dest| Some(health(dest)))
        };
        let pinned = store.pin(0);
        let dest = pinned.view(1).unwrap().dest(0).unwrap();
        let vitals = dest.record().need_vitals(&heap).unwrap();
        vitals.health.set_asked_us(ASKED);
        drop(pinned);
        assert!(!is_due());
        change();
        assert_eq!(is_due(), is_lost, "{what}");
    }
    unsafe { store.destroy() };
    assert_eq!(heap.taken(), 0);
}

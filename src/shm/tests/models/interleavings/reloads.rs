//! States that are changed, and destinations that are selected, while lists are loaded and edited.

use core::cell::RefCell;
use core::ptr;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::explore::{FULL, How, Model, QUICK, model};
use super::farm::{Farm, ONCE, RULES, bits, processes};
use super::states::list;
use super::world::{Search, let_others_go, quiet};
use crate::dispatch::list::destination::{Addr, DestSpec, Proto};
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::state::transition::State;
use crate::shm::dest::record::DestRecord;
use crate::shm::table::edit::Revision;
use crate::shm::table::lock::Refusal;
use crate::shm::table::readdress::Answer;
use crate::shm::table::store::{ReloadState, Tried};
use crate::shm::tests::calls::with_duid;
use crate::shm::tests::models::memory::Pieces as Pool;

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

/// Returns the records of set 1 as it is, in order, and holds them until `end`.
struct Records(Vec<*const DestRecord>);

impl Records {
    fn of(farm: &Farm) -> Self {
        quiet(|| {
            let pinned = farm.pin(0);
            let view = pinned.view(1).unwrap();
            let dests = view.dests();
            Records(
                dests
                    .map(|dest| farm.hold(dest).into_raw().as_ptr().cast_const().cast())
                    .collect(),
            )
        })
    }

    fn usable(&self) -> impl Fn() -> u128 + Clone + 'static {
        let records = self.0.clone();
        move || {
            // Held until the processes have ended.
            let usable = |at: &usize| RULES.usable(unsafe { &*records[*at] }.state());
            bits((0..records.len()).filter(usable))
        }
    }

    fn place(&self, record: &DestRecord) -> Option<usize> {
        self.0.iter().position(|known| ptr::eq(*known, record))
    }

    fn end(self, farm: &Farm) {
        quiet(|| {
            for record in self.0 {
                let record = ptr::NonNull::new(record.cast_mut().cast()).unwrap();
                drop(unsafe { farm.take_back(record) });
            }
        });
    }
}

/// One process takes `a` down or up, another one changes the lists, and a third one selects. `b` stays as it is.
fn change_write_and_select(start: Start, begins: State, write: fn(&Farm)) {
    let farm = Farm::new(RULES, 4, &list());
    farm.set("sip:a:1", begins);
    farm.set("sip:b:1", State::INACTIVE);
    farm.set("sip:c:1", State::INACTIVE);
    let records = Records::of(&farm);
    processes(&[&|| _ = farm.toggle(1, "sip:a:1"), &|| write(&farm), &|| {
        let search = Search::begin(records.usable());
        let found = farm.try_set(3, 1, |view| {
            let at = choose(view, start)?.at;
            Pool.assert_there(view);
            let dest = view.dest(at).unwrap();
            Pool.assert_there(dest);
            records.place(dest.record())
        });
        let seen = search.end();
        match found {
            Tried::Done(at) => assert!(seen.ever >> at & 1 == 1, "{at} but {seen:?}"),
            Tried::Nothing => assert!(seen.always == 0, "{seen:?}"),
            Tried::NoSet => panic!("the set is in all lists"),
        }
    }]);
    let toggled = State(begins.0 ^ State::INACTIVE.0);
    assert_eq!(
        farm.status("sip:a:1"),
        (toggled, 1),
        "a change of the state is lost"
    );
    records.end(&farm);
    farm.end();
}

/// A process reads a view that is replaced meanwhile, and whose bitmaps follow no change any more.
fn an_old_view(start: Start, write: fn(&Farm)) {
    let farm = Farm::new(RULES, 4, &list());
    for uri in ["sip:a:1", "sip:b:1", "sip:c:1"] {
        farm.set(uri, State::INACTIVE);
    }
    let search = || {
        let pinned = farm.pin(3);
        let view = pinned.view(1).unwrap();
        let_others_go();
        super::states::select(view, start);
    };
    processes(&[&search, &|| write(&farm), &|| _ = farm.toggle(1, "sip:a:1")]);
    farm.end();
}

fn reload_in_another_order(farm: &Farm) {
    let [c, b, a] = list();
    assert!(farm.reload(&[a, b, c], ReloadState::Keep));
}

fn add_and_remove(farm: &Farm) {
    let d = with_duid("sip:d:1", "duid=d");
    let d = DestSpec {
        priority: 9,
        flags: State(1),
        ..d
    };
    farm.add(ONCE, &d, &mut random()).unwrap();
    assert_eq!(farm.remove(ONCE, 1, b"sip:c:1", &mut random()), Ok(1));
}

fn modify(farm: &Farm) {
    let revision = Revision {
        priority: Some(7),
        ..Revision::default()
    };
    let all = |_: &_| true;
    farm.modify(ONCE, 1, Some(b"sip:b:1"), all, revision, &mut random())
        .unwrap();
}

fn other_sets_come_and_go(farm: &Farm) {
    let other = crate::shm::tests::spec(2, "sip:a:1", 0, 0);
    farm.add(ONCE, &other, &mut random()).unwrap();
    assert_eq!(farm.remove(ONCE, 2, b"sip:a:1", &mut random()), Ok(1));
}

fn readdress(farm: &Farm) {
    let pinned = farm.pin(2);
    let dest = pinned.view(1).unwrap().dests().next().unwrap();
    let addrs = [Addr::V4([127, 0, 0, 9])];
    let now = Revision {
        peer: Some((&addrs, 1, Proto::NONE)),
        ..Revision::default()
    };
    let answer = Answer {
        record: dest.record(),
        uri: dest.uri(),
        now,
    };
    farm.readdress(ONCE, 1, &[answer], &mut random()).unwrap();
}

/// A destination leaves and comes back, as the only one of its set, with a call that is up; a process that changes its
/// state is held up meanwhile.
fn the_set_leaves_and_comes_back() {
    let [.., a] = list();
    let farm = Farm::new(RULES, 5, core::slice::from_ref(&a));
    farm.set("sip:a:1", State::INACTIVE);
    let records = Records::of(&farm);
    quiet(|| {
        let pinned = farm.pin(0);
        assert!(pinned.view(1).unwrap().reserve(0));
    });
    // It has all its turns at once: what counts here is where the other two are held up.
    let leave_and_come_back = || {
        quiet(|| {
            assert_eq!(farm.remove(ONCE, 1, b"sip:a:1", &mut random()), Ok(1));
            let out = DestSpec {
                flags: State::INACTIVE,
                ..a.clone()
            };
            farm.add(ONCE, &out, &mut random()).unwrap();
        });
    };
    let usable = records.usable();
    let ever = records.usable();
    let everywhere: &'static Farm = unsafe { core::mem::transmute(&farm) };
    let listed = move || {
        let pinned = everywhere.pin(4);
        if pinned.view(1).is_some() {
            usable()
        } else {
            0
        }
    };
    let search = || {
        let (listed, ever) = (Search::begin(listed.clone()), Search::begin(ever.clone()));
        let found = farm.try_set(3, 1, |view| choose(view, Start::First));
        let (listed, ever) = (listed.end(), ever.end());
        let found = matches!(found, Tried::Done(_));
        assert!(found || listed.always == 0, "nothing, though {listed:?}");
        assert!(!found || ever.ever != 0, "something, though {ever:?}");
    };
    processes(&[
        &|| _ = farm.toggle(1, "sip:a:1"),
        &leave_and_come_back,
        &search,
    ]);
    quiet(|| {
        let pinned = farm.pin(0);
        let record = pinned.view(1).unwrap().dest(0).unwrap().record();
        assert_eq!((records.place(record), record.load()), (Some(0), 1));
        record.unload();
        pinned.view(1).unwrap().sync_load(0);
    });
    records.end(&farm);
    farm.end();
}

/// Two processes load lists that were read one after the other, and the one that was read later wins, unless the other
/// one is being loaded. A third process changes a state that neither list asks for.
fn two_loads_and_a_change() {
    let farm = Farm::new(RULES, 4, &list());
    let loads = RefCell::new(vec![]);
    let load = |flags: State| {
        let ticket = farm.ticket();
        let mut list = list();
        list[2].flags = flags;
        let keep = ReloadState::Keep;
        let loaded = farm.load_and_tell(ONCE, ticket, &list, keep, &mut random(), &mut |_, _| {});
        loads.borrow_mut().push((ticket, flags, loaded));
    };
    processes(&[
        &|| load(State::INACTIVE),
        &|| load(State::DRAINING),
        &|| _ = farm.toggle(3, "sip:b:1"),
    ]);
    assert_eq!(farm.status("sip:b:1"), (State::INACTIVE, 1));
    let mut loads = loads.into_inner();
    loads.sort_by_key(|(ticket, ..)| *ticket);
    let [(older, _, before), (newer, _, after)] = &loads[..] else {
        panic!("{loads:?}");
    };
    assert!(older < newer, "one ticket is drawn twice");
    assert!(
        matches!(after, Ok(Some(_)) | Err(Refusal::Busy(_))),
        "the later one gives way: {after:?}"
    );
    assert!(before.is_ok() || after.is_ok(), "both give way");
    let loaded = |(.., loaded): &&(_, _, Result<Option<_>, _>)| matches!(loaded, Ok(Some(_)));
    let last = loads.iter().rfind(loaded).unwrap();
    assert_eq!(farm.status("sip:a:1").0, last.1, "{loads:?}");
    farm.end();
}

const UP: State = State::ACTIVE;
const DOWN: State = State::INACTIVE;

pub const MODELS: &[Model] = &[
    model!(
        "reload, a goes up",
        change_write_and_select(Start::First, DOWN, reload_in_another_order)
    ),
    model!(
        "reload, a goes down",
        change_write_and_select(Start::RoundRobin, UP, reload_in_another_order)
    ),
    model!(
        "add and remove, a goes up",
        change_write_and_select(Start::Hash(1), DOWN, add_and_remove)
    ),
    model!(
        "add and remove, a goes down",
        change_write_and_select(Start::First, UP, add_and_remove)
    ),
    model!(
        "modify, a goes up",
        change_write_and_select(Start::Latency, DOWN, modify)
    ),
    model!(
        "other sets, a goes up",
        change_write_and_select(Start::First, DOWN, other_sets_come_and_go)
    ),
    model!(
        "readdress, a goes down",
        change_write_and_select(Start::First, UP, readdress)
    ),
    Model {
        name: "a set leaves and comes back",
        run: the_set_leaves_and_comes_back,
        quick: QUICK,
        full: &[How::Stops(2)],
    },
    model!(
        "an old view, reload",
        an_old_view(Start::First, reload_in_another_order)
    ),
    model!("an old view, edit", an_old_view(Start::Hash(2), modify)),
    model!("two loads", two_loads_and_a_change()),
];

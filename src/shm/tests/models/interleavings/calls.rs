//! Calls that several processes count, move, confirm and end.

use core::mem;

use super::explore::{FULL, How, Model, QUICK, model};
use super::farm::{Farm, ONCE, RULES, bits, look_on, processes};
use super::world::{Gate, Search, quiet};
use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::state::transition::State;
use crate::shm::calls::call_table::{CallLimits, Calls};
use crate::shm::calls::fingerprint::FingerprintKey;
use crate::shm::calls::placed::{Counting, How as Placed};
use crate::shm::calls::sticky::StickyCalls;
use crate::shm::set::view::View;
use crate::shm::table::store::ReloadState;
use crate::shm::tests::calls::with_duid;
use crate::shm::tests::models::memory::Pieces as Pool;

use rand::SeedableRng;
use rand::rngs::StdRng;

/// A farm with a table of calls, and a watch over its limits.
struct Desk {
    farm: Farm,
    calls: Calls<Gate>,
    watch: Search,
}

impl Desk {
    fn new(list: &[DestSpec<'_>], most: usize) -> Self {
        let farm = Farm::new(RULES, 5, list);
        let limits = CallLimits {
            expire_s: 100,
            init_expire_s: 10,
            most,
        };
        // One slot: all calls meet.
        let calls = quiet(|| Calls::create(&Pool, 0, FingerprintKey(1, 2), limits).unwrap());
        let watch = watch(&farm);
        Desk { farm, calls, watch }
    }

    /// Places a call at second 0, and keeps it if it is sent. Returns where it came to, and how.
    fn place(&self, process: usize, call: &str, sent: bool) -> Option<(usize, Placed)> {
        self.place_at(0, process, call, sent)
    }

    fn place_at(
        &self,
        now_s: u64,
        process: usize,
        call: &str,
        sent: bool,
    ) -> Option<(usize, Placed)> {
        let pinned = self.farm.pin(process);
        let view = pinned.view(1).unwrap();
        let counting = self.counting(now_s, process, view, call);
        let search = look_on(view, has_room);
        let placed = self.calls.place(counting, call.as_bytes()).unwrap();
        let seen = search.end();
        let Some(placed) = placed else {
            assert!(seen.always == 0, "full, though {seen:?}");
            return None;
        };
        let came = (placed.at(), placed.how());
        if sent {
            placed.keep();
        }
        Some(came)
    }

    fn counting<'p>(
        &'p self,
        now_s: u64,
        process: usize,
        view: &'p View,
        call: &str,
    ) -> Counting<'p, Pool, Gate> {
        let call = self.calls.key().call(call.as_bytes(), b"x", None);
        Counting {
            store: &self.farm,
            process,
            set: 1,
            view,
            call,
            now_s,
        }
    }

    /// Moves a call at second 5, if it is sent.
    fn move_to(&self, process: usize, call: &str, at: usize, sent: bool) -> bool {
        let pinned = self.farm.pin(process);
        let view = pinned.view(1).unwrap();
        let placed = self
            .calls
            .move_to(self.counting(5, process, view, call), at);
        let moves = placed.is_some();
        if let Some(placed) = placed.filter(|_| sent) {
            placed.keep();
        }
        moves
    }

    /// Counts a call for the destination that another algorithm has chosen.
    fn count_at(&self, process: usize, call: &str, at: usize) {
        let pinned = self.farm.pin(process);
        let view = pinned.view(1).unwrap();
        let counting = self.counting(0, process, view, call);
        self.calls.count_at(counting, call.as_bytes(), at);
    }

    fn is_counted(&self, call: &str) -> bool {
        let name = self.calls.key().call(call.as_bytes(), b"x", None);
        quiet(|| self.calls.is_counted(1, &name))
    }

    fn end_call(&self, process: usize, call: &str) -> usize {
        let name = self.calls.key().call(call.as_bytes(), b"x", None);
        self.calls.end(&self.farm, process, &name)
    }

    /// Returns how many calls each destination has, when all processes have ended.
    fn loads(&self) -> Vec<u32> {
        quiet(|| {
            let pinned = self.farm.pin(0);
            pinned
                .view(1)
                .unwrap()
                .dests()
                .map(|dest| dest.record().load())
                .collect()
        })
    }

    /// Asserts that so many calls are counted.
    fn assert_up(&self, up: usize) {
        let counted: u32 = self.loads().iter().sum();
        assert_eq!(
            (self.calls.up(), counted as usize),
            (up, up),
            "calls and their count"
        );
    }

    /// Ends all calls, of which there must be so many, and gives everything back.
    fn end(self, up: usize) {
        self.assert_up(up);
        quiet(|| {
            // As the table has them, and no others.
            assert_eq!(self.calls.expire(&self.farm, 0, 200, 0, 1), up);
            assert_eq!(self.calls.up(), 0);
        });
        assert!(
            self.loads().iter().all(|&load| load == 0),
            "{:?}",
            self.loads()
        );
        self.watch.end();
        quiet(|| unsafe { self.calls.destroy(&Pool) });
        self.farm.end();
    }
}

fn has_room(view: &View, at: usize) -> bool {
    view.dest(at)
        .is_some_and(|dest| view.is_usable(at) && dest.has_room())
}

/// Asserts at each step that no destination has more calls than it may.
fn watch(farm: &Farm) -> Search {
    let farm: &'static Farm = unsafe { mem::transmute(farm) };
    let pinned = quiet(|| mem::ManuallyDrop::new(farm.pin(0)));
    let _ = &pinned;
    let records: Vec<(*const crate::shm::dest::record::DestRecord, i32)> = quiet(|| {
        let view = pinned.view(1).unwrap();
        view.dests()
            .map(|dest| (&raw const *dest.record(), dest.maxload))
            .collect()
    });
    quiet(|| drop(mem::ManuallyDrop::into_inner(pinned)));
    Search::begin(move || {
        for &(record, maxload) in &records {
            let load = unsafe { &*record }.load();
            assert!(
                maxload == 0 || load <= maxload.unsigned_abs(),
                "{load} of {maxload}"
            );
        }
        1
    })
}

fn limited() -> [DestSpec<'static>; 2] {
    [
        with_duid("sip:b:1", "duid=b;maxload=1"),
        with_duid("sip:a:1", "duid=a;maxload=1"),
    ]
}

fn unlimited() -> [DestSpec<'static>; 2] {
    [
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:a:1", "duid=a"),
    ]
}

/// Three calls come to two destinations that hold one each, and one of them ends.
fn more_calls_than_room() {
    let desk = Desk::new(&limited(), usize::MAX);
    let counted = core::cell::Cell::new(0);
    let place = |(process, call): (usize, &str)| {
        if desk.place(process, call, true).is_some() {
            counted.set(counted.get() + 1);
        }
    };
    let both = |(process, call): (usize, &str)| {
        place((process, call));
        let ended = desk.end_call(process, call);
        counted.set(counted.get() - ended);
    };
    processes(&[&|| place((1, "one")), &|| place((2, "two")), &|| {
        both((3, "three"))
    }]);
    desk.end(counted.get());
}

/// The same call comes twice, and one of its requests is not sent; a third process ends it. The request that is sent may
/// be refused while the other one gives its room back.
fn one_call_twice(ends: bool) {
    let desk = Desk::new(&limited(), usize::MAX);
    quiet(|| desk.farm.mark(0, "sip:b:1", |_| State::INACTIVE));
    let view: *const View = quiet(|| &raw const *desk.farm.pin(0).view(1).unwrap());
    // It is never counted twice, not even for a moment.
    let once = Search::begin(move || {
        let loads = unsafe { &*view }.dests().map(|dest| dest.record().load());
        assert!(loads.sum::<u32>() <= 1);
        1
    });
    let ended = core::cell::Cell::new(0);
    let placed = core::cell::Cell::new(false);
    let end = |process| {
        ended.set(if ends {
            desk.end_call(process, "one")
        } else {
            0
        })
    };
    processes(&[
        &|| placed.set(desk.place(1, "one", true).is_some()),
        &|| _ = desk.place(2, "one", false),
        &|| end(3),
    ]);
    once.end();
    let (up, placed) = (desk.calls.up(), usize::from(placed.get()));
    // Whoever sends its request keeps what was counted, or has found it counted, unless it was ended.
    assert!(
        up == placed || up < placed && ended.get() > 0,
        "{up} up, {placed} placed, {} ended",
        ended.get()
    );
    desk.end(up);
}

/// A call moves while others move, confirm or end it.
fn moves(confirms: bool) {
    let list = [
        with_duid("sip:c:1", "duid=c;maxload=1"),
        with_duid("sip:b:1", "duid=b;maxload=1"),
        with_duid("sip:a:1", "duid=a;maxload=1"),
    ];
    let desk = Desk::new(&list, usize::MAX);
    quiet(|| desk.place(0, "one", true));
    let run = |process: usize| match process {
        1 => _ = desk.move_to(1, "one", 1, true),
        2 => _ = desk.move_to(2, "one", 2, true),
        _ if confirms => {
            let name = desk.calls.key().call(b"one", b"x", None);
            assert!(desk.calls.confirm(&name));
        }
        _ => assert_eq!(desk.end_call(3, "one"), 1),
    };
    processes(&[&|| run(1), &|| run(2), &|| run(3)]);
    // What is confirmed stays when unconfirmed calls expire.
    let expired = quiet(|| desk.calls.expire(&desk.farm, 0, 20, 0, 1));
    assert_eq!(expired, 0);
    desk.end(usize::from(confirms));
}

/// A request that is not sent takes its call back while another process moves the call: once it is moved, it stays.
fn a_move_and_a_request_that_is_not_sent() {
    let desk = Desk::new(&limited(), usize::MAX);
    let moved = core::cell::Cell::new(false);
    let run = |process: usize| match process {
        1 => _ = desk.place(1, "one", false),
        _ => {
            desk.move_to(2, "one", 1, true);
            moved.set(desk.loads().get(1) == Some(&1));
        }
    };
    processes(&[&|| run(1), &|| run(2)]);
    let up = desk.calls.up();
    // Nobody else takes it back, and its time there has begun anew.
    assert!(up == 1 || !moved.get(), "{up}");
    let expired = quiet(|| desk.calls.expire(&desk.farm, 0, 10, 0, 1));
    assert!(expired == 0 || !moved.get(), "it is too early");
    desk.end(up - expired);
}

/// A call's destination goes down while the call comes again, and another call comes.
fn moves_away_from_who_is_down() {
    let desk = Desk::new(&limited(), usize::MAX);
    quiet(|| desk.place(0, "one", true));
    let run = |process: usize| match process {
        1 => _ = desk.farm.toggle(1, "sip:a:1"),
        2 => _ = desk.place(2, "one", true),
        _ => _ = desk.place(3, "two", false),
    };
    processes(&[&|| run(1), &|| run(2), &|| run(3)]);
    desk.end(1);
}

/// The table holds one call: the oldest that is not confirmed makes room.
fn calls_make_room() {
    let desk = Desk::new(&unlimited(), 1);
    let calls: &'static Calls<Gate> = unsafe { mem::transmute(&desk.calls) };
    let bound = Search::begin(move || {
        assert!(calls.up() <= 1, "{} are counted", calls.up());
        1
    });
    quiet(|| desk.place(0, "old", true));
    let run = |process: usize| match process {
        1 => _ = desk.place(1, "one", true),
        2 => _ = desk.place(2, "two", true),
        _ => {
            let name = desk.calls.key().call(b"one", b"x", None);
            desk.calls.confirm(&name);
        }
    };
    processes(&[&|| run(1), &|| run(2), &|| run(3)]);
    bound.end();
    let up = desk.calls.up();
    desk.end(up);
}

/// Calls make room for others while one of them is confirmed: who is in the queue, and nobody else, can make room.
fn the_queue_of_those_that_make_room() {
    let desk = Desk::new(&unlimited(), 3);
    quiet(|| ["first", "second", "third"].map(|call| desk.place(0, call, true)));
    let confirmed = core::cell::Cell::new(false);
    let run = |process: usize| match process {
        1 => _ = desk.place(1, "one", true),
        2 => _ = desk.end_call(2, "second"),
        _ => {
            let name = desk.calls.key().call(b"third", b"x", None);
            confirmed.set(desk.calls.confirm(&name));
        }
    };
    processes(&[&|| run(1), &|| run(2), &|| run(3)]);
    quiet(|| {
        // However many come, each finds one that makes room, and it is never the one that was confirmed.
        for call in ["a", "b", "c", "d", "e", "f"] {
            let placed = desk.place(0, call, true);
            assert!(matches!(placed, Some((_, Placed::New))), "{placed:?}");
        }
        let name = desk.calls.key().call(b"third", b"x", None);
        let third = desk.calls.is_counted(1, &name);
        assert_eq!(confirmed.get(), third);
        let one = desk.calls.key().call(b"one", b"x", None);
        assert!(
            !desk.calls.is_counted(1, &one),
            "it is older than all others"
        );
        let expired = desk.calls.expire(&desk.farm, 0, 10, 0, 1);
        assert_eq!(desk.calls.up(), usize::from(third));
        assert_eq!(expired, 3 - usize::from(third));
    });
    let up = desk.calls.up();
    desk.end(up);
}

/// The table holds three calls, and each one that comes takes the place of the oldest: also when memory of calls is
/// used again that were in the middle of the queue, or its first.
fn each_makes_room_in_its_turn() {
    let desk = Desk::new(&unlimited(), 3);
    let place = |call| assert!(matches!(desk.place(1, call, true), Some((_, Placed::New))));
    let counted = |calls: &[&str]| {
        let known = ["a", "b", "c", "d", "e", "f", "g"];
        let up: Vec<&str> = known
            .into_iter()
            .filter(|call| desk.is_counted(call))
            .collect();
        assert_eq!(up, calls);
    };
    processes(&[&|| {
        ["a", "b", "c"].into_iter().for_each(place);
        assert_eq!(desk.end_call(1, "b"), 1);
        place("d");
        counted(&["a", "c", "d"]);
        place("e");
        counted(&["c", "d", "e"]);
        assert_eq!(desk.end_call(1, "e"), 1);
        ["f", "g"].into_iter().for_each(place);
        counted(&["d", "f", "g"]);
        place("a");
        counted(&["a", "f", "g"]);
        place("b");
        place("c");
        place("d");
        counted(&["b", "c", "d"]);
    }]);
    desk.end(3);
}

/// Asserts that the calls that are counted, and no others, make room in their turn.
fn assert_turns(desk: &Desk, most: usize) {
    quiet(|| {
        let fresh = ["a", "b", "c", "d", "e", "f", "g", "h"];
        for call in fresh {
            let placed = desk.place(0, call, true);
            assert!(matches!(placed, Some((_, Placed::New))), "{placed:?}");
        }
        let (older, newest) = fresh.split_at(fresh.len() - most);
        assert!(newest.iter().all(|call| desk.is_counted(call)));
        assert!(!older.iter().any(|call| desk.is_counted(call)));
        assert_eq!(desk.calls.up(), most);
    });
}

/// Neighbours in the queue end at once, while a call comes behind them.
fn neighbours_leave_the_queue() {
    let desk = Desk::new(&unlimited(), 4);
    quiet(|| ["first", "second", "third"].map(|call| desk.place(0, call, true)));
    processes(&[
        &|| assert_eq!(desk.end_call(1, "second"), 1),
        &|| assert_eq!(desk.end_call(2, "third"), 1),
        &|| _ = desk.place(3, "one", true),
    ]);
    desk.assert_up(2);
    assert!(desk.is_counted("first") && desk.is_counted("one"));
    assert_turns(&desk, 4);
    desk.end(4);
}

/// The table is full, and two calls come at once: each makes room for itself.
fn two_make_room() {
    let desk = Desk::new(&unlimited(), 2);
    quiet(|| ["first", "second"].map(|call| desk.place(0, call, true)));
    processes(&[&|| _ = desk.place(1, "one", true), &|| {
        _ = desk.place(2, "two", true)
    }]);
    assert!(!desk.is_counted("first"), "it is the oldest");
    assert_turns(&desk, 2);
    desk.end(2);
}

/// Two processes use the memory of calls that have ended, one of which was confirmed, while a third call ends.
fn memory_is_used_again() {
    let desk = Desk::new(&unlimited(), usize::MAX);
    quiet(|| {
        for call in ["first", "second", "third"] {
            desk.place(0, call, true);
        }
        let first = desk.calls.key().call(b"first", b"x", None);
        assert!(desk.calls.confirm(&first));
        assert_eq!(desk.end_call(0, "second"), 1);
        assert_eq!(desk.end_call(0, "first"), 1);
    });
    processes(&[
        &|| _ = desk.place(1, "one", true),
        &|| _ = desk.place(2, "two", true),
        &|| assert_eq!(desk.end_call(3, "third"), 1),
    ]);
    desk.assert_up(2);
    let expired = quiet(|| desk.calls.expire(&desk.farm, 0, 10, 0, 1));
    assert_eq!(expired, 2, "nobody has confirmed the new calls");
    desk.end(0);
}

/// Another algorithm sends the requests of one call to two destinations at once, while a third process ends a call that
/// stands beside it in the queue.
fn calls_of_every_algorithm() {
    let desk = Desk::new(&unlimited(), 3);
    quiet(|| ["first", "second"].map(|call| desk.count_at(0, call, 0)));
    processes(&[
        &|| desk.count_at(1, "one", 0),
        &|| desk.count_at(2, "one", 1),
        &|| assert_eq!(desk.end_call(3, "second"), 1),
    ]);
    desk.assert_up(2);
    assert!(desk.is_counted("first") && desk.is_counted("one"));
    assert_turns(&desk, 3);
    desk.end(3);
}

/// Two requests of a counted call move it at once, from the middle of the queue to its end, while its neighbour ends.
/// Then it ends as the newest.
fn moves_without_a_limit() {
    let desk = Desk::new(&unlimited(), 3);
    quiet(|| ["first", "second", "third"].map(|call| desk.count_at(0, call, 0)));
    processes(&[
        &|| desk.count_at(1, "second", 1),
        &|| desk.count_at(2, "second", 1),
        &|| assert_eq!(desk.end_call(3, "first"), 1),
    ]);
    desk.assert_up(2);
    assert_eq!(desk.loads(), [1, 1]);
    assert_eq!(quiet(|| desk.end_call(0, "second")), 1);
    assert_turns(&desk, 3);
    desk.end(3);
}

/// Calls expire while one is confirmed and another one comes, which takes what the first left and is younger.
fn calls_expire() {
    let desk = Desk::new(&limited(), usize::MAX);
    quiet(|| desk.place(0, "one", true));
    let expired = core::cell::Cell::new(0);
    let confirmed = core::cell::Cell::new(false);
    let run = |process: usize| match process {
        1 => expired.set(desk.calls.expire(&desk.farm, 1, 10, 0, 1)),
        2 => {
            let name = desk.calls.key().call(b"one", b"x", None);
            confirmed.set(desk.calls.confirm(&name));
        }
        _ => _ = desk.place_at(5, 3, "two", true),
    };
    processes(&[&|| run(1), &|| run(2), &|| run(3)]);
    let name = desk.calls.key().call(b"one", b"x", None);
    let more = quiet(|| desk.calls.expire(&desk.farm, 0, 10, 0, 1));
    let is_up = quiet(|| desk.calls.is_counted(1, &name));
    assert_eq!(
        is_up,
        confirmed.get(),
        "confirmed calls stay, the others do not"
    );
    assert!(desk.is_counted("two"), "its time has not come");
    expired.set(expired.get() + more);
    assert!(confirmed.get() || expired.get() > 0);
    desk.end(2 - expired.get());
}

/// A destination leaves the lists and comes back while calls begin and end there: its count stays.
fn calls_over_removals() {
    let desk = Desk::new(&limited(), usize::MAX);
    quiet(|| desk.place(0, "old", true));
    let run = |process: usize| match process {
        1 => {
            let random = &mut StdRng::seed_from_u64(1);
            assert_eq!(desk.farm.remove(ONCE, 1, b"sip:a:1", random), Ok(1));
            let [_, a] = limited();
            desk.farm.add(ONCE, &a, random).unwrap();
        }
        2 => assert_eq!(desk.end_call(2, "old"), 1),
        _ => _ = desk.place(3, "new", true),
    };
    processes(&[&|| run(1), &|| run(2), &|| run(3)]);
    let up = desk.calls.up();
    desk.end(up);
}

/// Lists are loaded anew while calls begin and end.
fn calls_over_reloads() {
    let desk = Desk::new(&limited(), usize::MAX);
    quiet(|| desk.place(0, "old", true));
    let run = |process: usize| match process {
        1 => {
            let [b, a] = limited();
            assert!(desk.farm.reload(&[a, b], ReloadState::Keep));
        }
        2 => assert_eq!(desk.end_call(2, "old"), 1),
        _ => _ = desk.place(3, "new", true),
    };
    processes(&[&|| run(1), &|| run(2), &|| run(3)]);
    desk.end(1);
}

/// Other servers count a call for one destination and then for the other, while calls begin and end here: selections see
/// all of them.
fn calls_counted_elsewhere() {
    let list = [
        with_duid("sip:b:1", "duid=b;maxload=2"),
        with_duid("sip:a:1", "duid=a;maxload=2"),
    ];
    let desk = Desk::new(&list, usize::MAX);
    quiet(|| desk.place(0, "old", true));
    let count = |process: usize, at: usize, calls: u32| {
        let pinned = desk.farm.pin(process);
        let dest = pinned.view(1).and_then(|view| view.dest(at)).unwrap();
        dest.record().set_elsewhere(calls);
        desk.farm.sync_load(process, 1, dest.record());
    };
    processes(&[
        &|| {
            count(1, 0, 1);
            count(1, 0, 0);
            count(1, 1, 1);
        },
        &|| assert_eq!(desk.end_call(2, "old"), 1),
        &|| assert!(desk.place(3, "new", true).is_some()),
    ]);
    quiet(|| {
        let pinned = desk.farm.pin(0);
        let view = pinned.view(1).unwrap();
        let loads: Vec<u32> = view
            .dests()
            .map(|dest| dest.record().whole_load())
            .collect();
        assert_eq!(loads.iter().sum::<u32>(), 2, "one here and one elsewhere");
        let least = loads.iter().min();
        let first = loads.iter().position(|load| Some(load) == least);
        assert_eq!(view.find_least(), first, "{loads:?}");
    });
    // There is room for two more, and not for a third.
    let come = |call: &str| quiet(|| desk.place(0, call, true)).is_some();
    assert_eq!(["one", "two", "three"].map(come), [true, true, false]);
    desk.end(3);
}

/// Calls of a draining destination are noted by two processes at once.
fn sticky() {
    let calls = quiet(|| StickyCalls::create(&Pool, FingerprintKey(1, 2)).unwrap());
    processes(&[
        &|| {
            calls.note(&Pool, 1, b"one", 5).unwrap();
            assert!(calls.knows(1, b"one", 6));
        },
        &|| {
            calls.note(&Pool, 1, b"two", 5).unwrap();
            assert!(calls.knows(1, b"two", 6));
        },
    ]);
    quiet(|| {
        assert!(calls.knows(1, b"one", 7) && calls.knows(1, b"two", 7));
        unsafe { calls.destroy(&Pool) };
    });
}

/// More schedules for models in which a process that waits for room would wait for ever in an unfair one.
const DRAWN: &[How] = &[How::Random(20_000), How::Priorities(4, 20_000)];

pub const MODELS: &[Model] = &[
    model!("more calls than room", more_calls_than_room()),
    model!("one call twice", one_call_twice(false)),
    model!("one call twice, ended", one_call_twice(true)),
    model!("moves and an end", moves(false)),
    model!("moves and a confirmation", moves(true)),
    model!(
        "a move and a request that is not sent",
        a_move_and_a_request_that_is_not_sent()
    ),
    model!("moves away from who is down", moves_away_from_who_is_down()),
    model!("calls make room", calls_make_room()),
    model!("the queue", the_queue_of_those_that_make_room()),
    Model {
        name: "each makes room in its turn",
        run: each_makes_room_in_its_turn,
        quick: &[How::All],
        full: &[],
    },
    model!("neighbours leave the queue", neighbours_leave_the_queue()),
    Model {
        name: "two make room",
        run: two_make_room,
        quick: &[How::Priorities(2, 300)],
        full: DRAWN,
    },
    model!("memory is used again", memory_is_used_again()),
    model!("calls of every algorithm", calls_of_every_algorithm()),
    Model {
        name: "moves without a limit",
        run: moves_without_a_limit,
        quick: &[How::Priorities(2, 300), How::Priorities(3, 700)],
        full: DRAWN,
    },
    model!("calls expire", calls_expire()),
    model!("calls counted elsewhere", calls_counted_elsewhere()),
    model!("calls over removals", calls_over_removals()),
    model!("calls over reloads", calls_over_reloads()),
    Model {
        name: "sticky calls",
        run: sticky,
        quick: &[How::Stops(1), How::Random(20)],
        full: FULL,
    },
];

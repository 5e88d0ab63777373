//! Calls that are counted: against a model, over reloads and edits, and from several processes.

use std::collections::HashMap;
use std::ops::ControlFlow;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::store::{HeapStore, Spin, load, set_state, store};
use super::{Heap, LONG, spec};
use crate::dispatch::list::attrs;
use crate::dispatch::list::destination::DestSpec;
use crate::shm::calls::call_table::{CallLimits, Calls};
use crate::shm::calls::fingerprint::{CallName, FingerprintKey};
use crate::shm::calls::placed::{Counting, How};
use crate::shm::memory::arena::OutOfMemory;
use crate::shm::table::store::ReloadState;

const LIMITS: CallLimits = CallLimits {
    expire_s: 100,
    init_expire_s: 10,
    most: usize::MAX,
};

/// A destination with a unique id and a limit.
pub fn with_duid<'a>(uri: &'a str, body: &'a str) -> DestSpec<'a> {
    let mut spec = spec(1, uri, 0, 0);
    spec.attrs_body = body.as_bytes();
    spec.attrs = attrs::parse(body.as_bytes()).unwrap().0;
    spec
}

/// A place that was kept.
#[derive(Debug, PartialEq, Eq)]
enum Placed {
    New(usize),
    Known(usize),
    Moved(usize),
    Uncounted(usize),
    Full,
}

struct Lab {
    store: HeapStore,
    calls: Calls<Spin>,
    heap: Heap,
}

impl Lab {
    fn new(list: &[DestSpec<'_>]) -> Self {
        Lab::with_limits(list, LIMITS)
    }

    /// A table that holds so many calls.
    fn with_most(list: &[DestSpec<'_>], most: usize) -> Self {
        Lab::with_limits(list, CallLimits { most, ..LIMITS })
    }

    fn with_limits(list: &[DestSpec<'_>], limits: CallLimits) -> Self {
        let heap = Heap::default();
        let store = store(&heap);
        load(&store, list, ReloadState::Keep).unwrap();
        let calls = Calls::create(&heap, 2, FingerprintKey(1, 2), limits).unwrap();
        Lab { store, calls, heap }
    }

    /// The call of an INVITE that begins it; `call` is its Call-ID, and behind a blank the caller's tag.
    fn name(&self, call: &str) -> CallName {
        let (call_id, tag) = call.split_once(' ').unwrap_or((call, "caller"));
        self.calls
            .key()
            .call(call_id.as_bytes(), tag.as_bytes(), None)
    }

    /// Places a call from a process, and keeps it if it is sent.
    fn try_place(
        &self,
        process: usize,
        call: &str,
        now_s: u64,
        sent: bool,
    ) -> Result<Placed, OutOfMemory> {
        let pinned = self.store.pin(process);
        let counting = Counting {
            store: &self.store,
            process,
            set: 1,
            view: pinned.view(1).unwrap(),
            call: self.name(call),
            now_s,
        };
        let call_id = call.split(' ').next().unwrap_or_default();
        let Some(placed) = self.calls.place(counting, call_id.as_bytes())? else {
            return Ok(Placed::Full);
        };
        let (at, how) = (placed.at(), placed.how());
        if sent {
            placed.keep();
        }
        Ok(match how {
            How::New => Placed::New(at),
            How::Known => Placed::Known(at),
            How::Moves => Placed::Moved(at),
            How::Uncounted => Placed::Uncounted(at),
        })
    }

    fn place(&self, call: &str, now_s: u64) -> Placed {
        self.try_place(1, call, now_s, true).unwrap()
    }

    /// Places a call whose request is not sent.
    fn fail(&self, call: &str) -> Placed {
        self.try_place(1, call, 0, false).unwrap()
    }

    /// Moves a call to a position; false if that takes no more.
    fn move_to(&self, call: &str, at: usize, sent: bool) -> bool {
        let pinned = self.store.pin(1);
        let counting = Counting {
            store: &self.store,
            process: 1,
            set: 1,
            view: pinned.view(1).unwrap(),
            call: self.name(call),
            now_s: 0,
        };
        let placed = self.calls.move_to(counting, at);
        let takes = placed.is_some();
        if let Some(placed) = placed.filter(|_| sent) {
            placed.keep();
        }
        takes
    }

    fn confirm(&self, call: &str) -> bool {
        self.calls.confirm(&self.name(call))
    }

    fn end(&self, call: &str) -> usize {
        self.calls.end(&self.store, 1, &self.name(call))
    }

    /// Call-IDs that are listed, sorted.
    fn listed(&self) -> Vec<String> {
        let infos = self.infos(None).into_iter();
        let mut all: Vec<String> = infos.map(|(text, ..)| text).collect();
        all.sort();
        all
    }

    /// Call-ID, state and expiry of all calls, or of those with a Call-ID.
    fn infos(&self, call_id: Option<&str>) -> Vec<(String, bool, u64)> {
        let pinned = self.store.pin(0);
        let mut infos = Vec::new();
        let end = self
            .calls
            .visit::<()>(&pinned, call_id.map(str::as_bytes), |info| {
                let text = String::from_utf8(info.call_id.shown()).unwrap();
                infos.push((text, info.confirmed, info.expires_s));
                ControlFlow::Continue(())
            });
        assert!(end.is_continue());
        infos
    }

    /// Calls by unique id, as the records count them.
    fn loads(&self) -> HashMap<String, u32> {
        let pinned = self.store.pin(0);
        let view = pinned.view(1).unwrap();
        let load = |dest: &crate::shm::dest::destination::Dest| {
            let duid = String::from_utf8_lossy(dest.duid().unwrap_or_default()).into_owned();
            (duid, dest.record().load())
        };
        view.dests().map(load).collect()
    }

    fn destroy(self) {
        unsafe { self.calls.destroy(&self.heap) };
        unsafe { self.store.destroy() };
        assert_eq!(self.heap.taken(), 0);
    }
}

fn loads(expected: &[(&str, u32)]) -> HashMap<String, u32> {
    expected
        .iter()
        .map(|(duid, load)| (duid.to_string(), *load))
        .collect()
}

#[test]
fn calls_go_to_the_least_loaded_and_no_limit_is_exceeded() {
    let lab = Lab::new(&[
        with_duid("sip:c:1", "duid=c;maxload=-1"),
        with_duid("sip:b:1", "duid=b;maxload=1"),
        with_duid("sip:a:1", "duid=a;maxload=2"),
        spec(1, "sip:no-duid:1", 0, 9),
    ]);
    assert_eq!(lab.place("1", 0), Placed::New(1));
    assert_eq!(lab.place("2", 0), Placed::New(2));
    assert_eq!(lab.place("1", 0), Placed::Known(1));
    assert_eq!(lab.place("3", 0), Placed::New(1));
    assert_eq!(lab.place("4", 0), Placed::Full);
    assert_eq!(lab.calls.up(), 3);
    assert_eq!(lab.end("2"), 1);
    assert_eq!(lab.end("2"), 0);
    assert_eq!(lab.place("4", 0), Placed::New(2));
    assert_eq!(lab.loads(), loads(&[("a", 2), ("b", 1), ("c", 0), ("", 0)]));
    lab.destroy();
}

#[test]
fn a_call_moves_where_its_destination_is_out_or_the_next_is_asked_for() {
    let list = [
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:a:1", "duid=a;maxload=1"),
    ];
    let lab = Lab::new(&list);
    assert_eq!(lab.place("1", 0), Placed::New(0));
    set_state(&lab.store, 1, "sip:a:1", 1);
    assert_eq!(lab.fail("1"), Placed::Moved(1));
    assert_eq!(lab.loads(), loads(&[("a", 1), ("b", 0)]));
    assert_eq!(lab.place("1", 0), Placed::Moved(1));
    assert_eq!(lab.loads(), loads(&[("a", 0), ("b", 1)]));
    set_state(&lab.store, 1, "sip:a:1", 0);
    assert!(
        lab.move_to("none", 0, true),
        "a call that ended is not counted again"
    );
    assert_eq!(lab.loads(), loads(&[("a", 0), ("b", 1)]));
    assert!(lab.move_to("1", 0, false));
    assert_eq!(lab.loads(), loads(&[("a", 0), ("b", 1)]), "not sent");
    assert!(lab.move_to("1", 0, true));
    assert_eq!(lab.loads(), loads(&[("a", 1), ("b", 0)]));
    assert_eq!(lab.place("2", 0), Placed::New(1));
    assert!(!lab.move_to("2", 0, true));
    assert_eq!(lab.loads(), loads(&[("a", 1), ("b", 1)]));
    lab.destroy();
}

#[test]
fn the_time_of_a_call_that_moves_begins_anew() {
    let lab = Lab::new(&[
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:a:1", "duid=a"),
    ]);
    assert_eq!(lab.place("1", 0), Placed::New(0));
    set_state(&lab.store, 1, "sip:a:1", 1);
    let before_s = lab.infos(None)[0].2;
    assert_eq!(lab.place("1", 7), Placed::Moved(1));
    assert_eq!(lab.infos(None)[0].2, before_s + 7);
    lab.destroy();
}

#[test]
fn a_confirmed_call_stays_where_it_is() {
    let list = [
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:a:1", "duid=a"),
    ];
    let lab = Lab::new(&list);
    assert_eq!(lab.place("1", 0), Placed::New(0));
    assert!(lab.confirm("1"));
    assert!(lab.move_to("1", 1, true));
    assert_eq!(lab.loads(), loads(&[("a", 1), ("b", 0)]));
    assert_eq!(lab.end("1"), 1);
    assert_eq!(lab.loads(), loads(&[("a", 0), ("b", 0)]));
    lab.destroy();
}

#[test]
fn only_the_maker_takes_a_call_back_and_only_while_nobody_has_found_it() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a;maxload=2")]);
    assert_eq!(lab.fail("1"), Placed::New(0));
    assert_eq!((lab.calls.up(), lab.loads()), (0, loads(&[("a", 0)])));
    // A call that is up stays when one more request of it fails.
    assert_eq!(lab.place("1", 0), Placed::New(0));
    assert_eq!(lab.fail("1"), Placed::Known(0));
    assert_eq!(lab.loads(), loads(&[("a", 1)]));
    // Another process finds the call before its maker fails.
    let pinned = lab.store.pin(1);
    let counting = Counting {
        store: &lab.store,
        process: 1,
        set: 1,
        view: pinned.view(1).unwrap(),
        call: lab.name("2"),
        now_s: 0,
    };
    let placed = lab.calls.place(counting, b"2").unwrap().unwrap();
    assert_eq!(lab.try_place(2, "2", 0, true), Ok(Placed::Known(0)));
    drop(placed);
    drop(pinned);
    assert_eq!(lab.loads(), loads(&[("a", 2)]));
    assert_eq!(lab.place("3", 0), Placed::Full);
    assert_eq!(lab.end("1") + lab.end("2"), 2);
    assert_eq!(lab.loads(), loads(&[("a", 0)]));
    lab.destroy();
}

#[test]
fn calls_of_one_call_id_are_told_apart_by_the_callers_tag() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a;maxload=2")]);
    assert_eq!(lab.place("1 x", 0), Placed::New(0));
    assert_eq!(lab.place("1 x", 0), Placed::Known(0));
    assert_eq!(lab.place("1 ", 0), Placed::New(0), "a missing tag is a tag");
    assert_eq!(lab.place("1 y", 0), Placed::Full);
    let from = |from: &[u8], to: &[u8]| lab.calls.key().call(b"1", from, Some(to));
    // A re-INVITE of either side.
    for (one, other) in [("x", "callee"), ("callee", "x"), ("callee", "")] {
        let name = from(one.as_bytes(), other.as_bytes());
        assert!(lab.calls.is_counted(1, &name), "{one} {other}");
    }
    // Nobody's tags end or confirm nothing.
    let foreign = from(b"foreign", b"callee");
    assert!(!lab.calls.is_counted(1, &foreign) && !lab.calls.confirm(&foreign));
    assert_eq!(lab.calls.end(&lab.store, 1, &foreign), 0);
    assert_eq!(lab.calls.end(&lab.store, 1, &from(b"callee", b"x")), 1);
    assert_eq!(lab.listed(), ["1"]);
    assert_eq!(lab.place("1 y", 0), Placed::New(0));
    assert_eq!(lab.calls.release(&lab.store, 1, b"1"), 2);
    assert_eq!(lab.loads(), loads(&[("a", 0)]));
    lab.destroy();
}

#[test]
fn a_call_has_one_size_and_long_call_ids_are_shown_cut_short() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a")]);
    let long = if cfg!(miri) { 1_000 } else { 60_000 };
    let sizes = [1, 41, 42, 255, 256, long].map(|len| {
        let before = lab.heap.taken();
        let call_id = "x".repeat(len);
        assert_eq!(lab.place(&call_id, 0), Placed::New(0));
        let taken = lab.heap.taken() - before;
        let shown = if len <= 41 {
            call_id.clone()
        } else {
            "x".repeat(41) + "..."
        };
        assert_eq!(lab.listed(), [shown], "{len}");
        let one = |id: &str| lab.infos(Some(id));
        assert_eq!((one(&call_id).len(), one(&call_id[1..]).len()), (1, 0));
        assert_eq!(lab.end(&call_id), 1);
        taken
    });
    assert_eq!(
        sizes,
        [1, 0, 0, 0, 0, 0],
        "the first one's memory serves all"
    );
    lab.destroy();
}

#[test]
fn a_full_table_gives_up_the_oldest_unconfirmed_calls_of_destinations_without_a_limit() {
    let list = [
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:a:1", "duid=a;maxload=2"),
    ];
    let lab = Lab::with_most(&list, 4);
    assert_eq!(lab.place("1", 0), Placed::New(0));
    assert_eq!(lab.place("2", 0), Placed::New(1));
    assert_eq!(lab.place("3", 0), Placed::New(0));
    assert_eq!(lab.place("4", 0), Placed::New(1));
    assert!(!lab.calls.is_full_anew(0) || lab.calls.up() == 4);
    assert!(lab.confirm("2"));
    // Those of a are limited, and that of 2 is confirmed.
    assert_eq!(lab.place("5", 0), Placed::New(1));
    assert_eq!(lab.listed(), ["1", "2", "3", "5"]);
    assert_eq!(lab.place("6", 0), Placed::New(1));
    assert_eq!(lab.listed(), ["1", "2", "3", "6"]);
    assert!(lab.confirm("6"));
    assert_eq!(lab.place("7", 0), Placed::Uncounted(1));
    assert_eq!(lab.loads(), loads(&[("a", 2), ("b", 2)]));
    assert_eq!(lab.end("2"), 1);
    assert_eq!(lab.place("8", 0), Placed::New(1));
    // A call that moves to a destination with a limit does not make room any more.
    assert_eq!(lab.end("1"), 1);
    assert!(lab.move_to("8", 0, true));
    assert_eq!(lab.place("9", 0), Placed::New(1));
    assert_eq!(lab.place("10", 0), Placed::New(1));
    assert_eq!(lab.listed(), ["10", "3", "6", "8"]);
    assert_eq!(lab.loads(), loads(&[("a", 2), ("b", 2)]));
    // One that moves back does.
    assert!(lab.move_to("8", 1, true));
    assert_eq!(lab.place("11", 0), Placed::New(0));
    assert_eq!(lab.listed(), ["11", "3", "6", "8"]);
    assert_eq!(lab.place("12", 0), Placed::New(1));
    assert_eq!(lab.listed(), ["11", "12", "3", "6"]);
    lab.destroy();
}

#[test]
fn destinations_with_a_limit_count_beyond_a_full_table_but_not_for_ever() {
    let list = [
        with_duid("sip:b:1", "duid=b;maxload=9"),
        with_duid("sip:a:1", "duid=a;maxload=9"),
    ];
    let lab = Lab::with_most(&list, 3);
    for call in 0..6 {
        assert_eq!(lab.place(&call.to_string(), 0), Placed::New(call % 2));
    }
    assert_eq!(lab.place("6", 0), Placed::Full);
    assert_eq!(lab.loads(), loads(&[("a", 3), ("b", 3)]));
    // A limit that was set later protects the calls that were there before.
    lab.destroy();
    let lab = Lab::with_most(&[with_duid("sip:a:1", "duid=a")], 1);
    assert_eq!(lab.place("1", 0), Placed::New(0));
    load(
        &lab.store,
        &[with_duid("sip:a:1", "duid=a;maxload=9")],
        ReloadState::Keep,
    )
    .unwrap();
    assert_eq!(lab.place("2", 0), Placed::New(0));
    assert_eq!(lab.listed(), ["1", "2"]);
    lab.destroy();
}

#[test]
fn a_refused_call_gives_up_no_other_and_leaves_its_memory_to_the_next() {
    let lab = Lab::with_most(&[with_duid("sip:a:1", "duid=a")], 2);
    assert_eq!(lab.place("1", 0), Placed::New(0));
    assert_eq!(lab.place("2", 0), Placed::New(0));
    set_state(&lab.store, 1, "sip:a:1", 1);
    assert_eq!(lab.place("3", 0), Placed::Full);
    assert_eq!(lab.listed(), ["1", "2"]);
    lab.heap.limit(Some(0));
    assert_eq!(lab.try_place(1, "4", 0, true), Ok(Placed::Full));
    set_state(&lab.store, 1, "sip:a:1", 0);
    assert_eq!(lab.try_place(1, "5", 0, true), Ok(Placed::New(0)));
    assert_eq!(lab.listed(), ["2", "5"]);
    lab.heap.limit(None);
    lab.destroy();
}

#[test]
fn a_call_that_cannot_be_counted_gives_up_no_other() {
    let list = [
        with_duid("sip:b:1", "duid=b;maxload=9"),
        with_duid("sip:a:1", "duid=a"),
    ];
    let lab = Lab::with_most(&list, 2);
    assert_eq!(lab.place("1", 0), Placed::New(0));
    assert!(lab.confirm("1"));
    assert_eq!(lab.place("2", 0), Placed::New(1));
    assert!(lab.confirm("2"));
    // More are up than the table holds, and one of them comes to a destination without a limit.
    set_state(&lab.store, 1, "sip:a:1", 1);
    assert_eq!(lab.place("3", 0), Placed::New(1));
    set_state(&lab.store, 1, "sip:a:1", 0);
    assert!(lab.move_to("3", 0, true));
    set_state(&lab.store, 1, "sip:b:1", 1);
    assert_eq!(lab.place("4", 0), Placed::Uncounted(0));
    assert_eq!(lab.listed(), ["1", "2", "3"]);
    lab.destroy();
}

#[test]
fn the_warning_of_a_full_table_comes_once_a_minute() {
    let lab = Lab::with_most(&[with_duid("sip:a:1", "duid=a")], 1);
    assert!(!lab.calls.is_full_anew(5));
    lab.place("1", 0);
    let warned: Vec<u64> = (5..130)
        .filter(|&now_s| lab.calls.is_full_anew(now_s))
        .collect();
    assert_eq!(warned, [5, 65, 125]);
    lab.destroy();
}

#[test]
fn counts_survive_reloads_and_a_removed_destination_finds_its_count_again() {
    let list = [
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:a:1", "duid=a"),
    ];
    let lab = Lab::new(&list);
    (0..6).for_each(|call| assert!(matches!(lab.place(&call.to_string(), 0), Placed::New(_))));
    load(&lab.store, &list, ReloadState::FromList).unwrap();
    assert_eq!(lab.loads(), loads(&[("a", 3), ("b", 3)]));
    (6..12).for_each(|call| assert!(matches!(lab.place(&call.to_string(), 0), Placed::New(_))));
    (0..6).for_each(|call| assert_eq!(lab.end(&call.to_string()), 1));
    assert_eq!(lab.loads(), loads(&[("a", 3), ("b", 3)]));
    lab.store
        .remove(LONG, 1, b"sip:a:1", &mut StdRng::seed_from_u64(1))
        .unwrap();
    assert_eq!(lab.end("6"), 1);
    assert_eq!(lab.loads(), loads(&[("b", 3)]));
    lab.store.collect();
    lab.store
        .add(LONG, &list[1], &mut StdRng::seed_from_u64(1))
        .unwrap();
    let back = lab.loads();
    assert_eq!(back["a"] + back["b"], 5, "{back:?}");
    assert!(back["a"] >= 2, "{back:?}");
    load(&lab.store, &list[..1], ReloadState::Keep).unwrap();
    load(&lab.store, &list, ReloadState::Keep).unwrap();
    assert_eq!(lab.loads(), back);
    lab.store
        .remove(LONG, 1, b"sip:a:1", &mut StdRng::seed_from_u64(1))
        .unwrap();
    (7..12).for_each(|call| assert_eq!(lab.end(&call.to_string()), 1));
    assert_eq!(lab.loads(), loads(&[("b", 0)]));
    assert_eq!(lab.calls.up(), 0);
    lab.destroy();
}

#[test]
fn calls_expire_unless_they_are_confirmed() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a")]);
    // The server's clock wraps after 2^28 seconds, this one does not.
    let begin = (1 << 28) - 5;
    lab.place("early", begin);
    lab.place("kept", begin);
    assert!(lab.confirm("kept"));
    assert!(!lab.confirm("none"));
    let expire = |age| {
        let part = |part| lab.calls.expire(&lab.store, 1, begin + age, part, 3);
        (0..3).map(part).sum::<usize>()
    };
    assert_eq!(expire(9), 0);
    assert_eq!(expire(10), 1);
    assert_eq!(lab.listed(), ["kept"]);
    let left = lab.infos(None);
    assert_eq!(left, [("kept".to_owned(), true, begin + 100)]);
    assert_eq!(expire(99), 0);
    assert_eq!(expire(100), 1);
    assert_eq!(lab.loads(), loads(&[("a", 0)]));
    lab.destroy();
}

#[test]
fn a_visit_ends_when_the_visitor_has_seen_enough() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a")]);
    (0..20).for_each(|call| assert_eq!(lab.place(&call.to_string(), 0), Placed::New(0)));
    let pinned = lab.store.pin(0);
    let mut seen = 0;
    let end = lab.calls.visit(&pinned, None, |info| {
        assert_eq!((info.set, info.duid), (1, &b"a"[..]));
        seen += 1;
        match seen {
            3 => ControlFlow::Break("enough"),
            _ => ControlFlow::Continue(()),
        }
    });
    assert_eq!((end, seen), (ControlFlow::Break("enough"), 3));
    drop(pinned);
    // No slot is left locked.
    assert_eq!(lab.infos(None).len(), 20);
    lab.destroy();
}

#[test]
fn a_full_arena_leaves_nothing_counted() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a")]);
    lab.heap.limit(Some(0));
    assert_eq!(lab.try_place(1, "1", 0, true), Err(OutOfMemory));
    lab.heap.limit(None);
    assert_eq!((lab.loads(), lab.calls.up()), (loads(&[("a", 0)]), 0));
    lab.destroy();
}

#[test]
fn many_more_calls_than_slots_are_found_and_their_memory_is_given_back() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a")]);
    let count = if cfg!(miri) { 40 } else { 2_000 };
    let before = lab.heap.taken();
    let name = |call: usize| call.to_string();
    for call in 0..count {
        // Without memory for more chains the long one stays.
        lab.heap.limit((call < count / 4).then_some(1));
        assert_eq!(lab.place(&name(call), 0), Placed::New(0));
    }
    assert!(lab.heap.taken() > before + count, "more chains than slots");
    for call in 0..count {
        assert_eq!(lab.place(&name(call), 0), Placed::Known(0));
        assert!(call % 2 == 0 || lab.confirm(&name(call)));
    }
    let all = lab.infos(None);
    assert_eq!((all.len(), lab.calls.up()), (count, count));
    assert_eq!(lab.calls.expire(&lab.store, 1, 10, 0, 1), count / 2);
    for call in (1..count).step_by(2) {
        assert!(lab.calls.is_counted(1, &lab.name(&name(call))));
        assert_eq!(lab.end(&name(call)), 1);
        assert_eq!(lab.end(&name(call)), 0);
    }
    assert_eq!(lab.loads(), loads(&[("a", 0)]));
    // No more than that wait for new calls; the rest is chains, at most one piece for each of the four slots.
    assert!(lab.heap.taken() <= before + 1_024 + 4, "too many are kept");
    assert_eq!(lab.calls.expire(&lab.store, 1, 11, 0, 1), 0);
    assert_eq!(lab.heap.taken(), before);
    lab.destroy();
}

#[test]
fn one_call_id_with_many_tags_makes_no_long_chain() {
    let lab = Lab::new(&[with_duid("sip:a:1", "duid=a")]);
    let count = if cfg!(miri) { 40 } else { 4_000 };
    let name = |call: usize| format!("1 {call}");
    for call in 0..count {
        assert_eq!(lab.place(&name(call), 0), Placed::New(0));
    }
    let longest = lab.calls.longest_chain();
    assert!(longest < 32, "{longest} calls in one chain");
    // Each is found by the tag of either side, and all by their Call-ID.
    for call in [0, count / 2, count - 1] {
        assert_eq!(lab.place(&name(call), 0), Placed::Known(0));
        let tag = call.to_string();
        let of_callee = lab.calls.key().call(b"1", b"callee", Some(tag.as_bytes()));
        assert!(lab.calls.is_counted(1, &of_callee));
    }
    assert_eq!(lab.infos(Some("1")).len(), count);
    assert_eq!(lab.end("1 0"), 1);
    assert_eq!(lab.calls.release(&lab.store, 1, b"1"), count - 1);
    assert_eq!((lab.loads(), lab.calls.up()), (loads(&[("a", 0)]), 0));
    lab.destroy();
}

#[test]
fn random_calls_agree_with_a_model() {
    let mut rng = StdRng::seed_from_u64(5);
    let bodies: Vec<(String, String)> = (0..5)
        .map(|n| {
            (
                format!("sip:a:{n}"),
                format!("duid=d{n};maxload={}", [0, 3, 5, 2, 4][n]),
            )
        })
        .collect();
    let list: Vec<_> = bodies
        .iter()
        .map(|(uri, body)| with_duid(uri, body))
        .collect();
    let lab = Lab::new(&list);
    let mut model: HashMap<String, String> = HashMap::new();
    let duid_at = |at: usize| {
        let pinned = lab.store.pin(0);
        let dest = pinned
            .view(1)
            .unwrap()
            .dest(at)
            .unwrap()
            .duid()
            .unwrap()
            .to_vec();
        String::from_utf8(dest).unwrap()
    };
    for step in 0..if cfg!(miri) { 30 } else { 5_000 } {
        let call = rng.random_range(0..30).to_string();
        if rng.random_range(0..3) > 0 {
            match lab.place(&call, step) {
                Placed::New(at) => assert!(model.insert(call, duid_at(at)).is_none()),
                Placed::Known(at) => assert_eq!(model[&call], duid_at(at)),
                Placed::Full => assert!(!model.contains_key(&call)),
                other => panic!("{call}: {other:?}"),
            }
        } else {
            assert_eq!(lab.end(&call), usize::from(model.remove(&call).is_some()));
        }
        if step % 100 == 0 {
            load(&lab.store, &list, ReloadState::Keep).unwrap();
        }
        let mut expected = loads(&[("d0", 0), ("d1", 0), ("d2", 0), ("d3", 0), ("d4", 0)]);
        model
            .values()
            .for_each(|duid| *expected.get_mut(duid).unwrap() += 1);
        assert_eq!(lab.loads(), expected);
        assert_eq!(lab.calls.up(), model.len());
    }
    lab.destroy();
}

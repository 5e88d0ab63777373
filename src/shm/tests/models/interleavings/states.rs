//! States, weights and latencies that are changed while others select.

use core::cell::Cell;

use super::explore::{How, Model, QUICK, model};
use super::farm::{Farm, RULES, bits, look_on, processes};
use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::latency::Latency;
use crate::dispatch::state::seen::{Happened, Look, Seen};
use crate::dispatch::state::transition::{Outcome, State};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::set::view::{Rules, View};
use crate::shm::tests::calls::with_duid;

const DOWN: State = State::INACTIVE;

/// Destinations `a`, `b`, `c` of set 1, in this order.
pub fn list() -> [DestSpec<'static>; 3] {
    // The last line is the first destination.
    [
        with_duid("sip:c:1", "duid=c;rweight=50;weight=50"),
        with_duid("sip:b:1", "duid=b;rweight=50;weight=50"),
        with_duid("sip:a:1", "duid=a;rweight=50;weight=50"),
    ]
}

/// Selects a destination and its failover order, and checks both against what was usable meanwhile.
pub fn select(view: &View, start: Start) {
    let search = look_on(view, View::is_usable);
    let choice = choose(view, start);
    let order: Vec<usize> = choice.map_or(vec![], |choice| choice.order(view).collect());
    let seen = search.end();
    let found = bits(order.iter().copied());
    assert!(
        found & seen.always == seen.always,
        "{start:?}: {order:?} but {seen:?}"
    );
    // The default destination ends each order, usable or not.
    let candidates = found & bits(0..view.candidate_count());
    assert!(
        candidates & seen.ever == candidates,
        "{start:?}: {order:?} but {seen:?}"
    );
}

/// Two processes change the state of one destination, a third one selects.
fn marks_and_a_search(start: Start) {
    let farm = Farm::new(RULES, 4, &list());
    farm.set("sip:b:1", DOWN);
    farm.set("sip:c:1", DOWN);
    processes(&[
        &|| assert_eq!(farm.toggle(1, "sip:a:1"), Some(1)),
        &|| assert_eq!(farm.toggle(2, "sip:a:1"), Some(1)),
        &|| {
            let pinned = farm.pin(3);
            select(pinned.view(1).unwrap(), start);
        },
    ]);
    assert_eq!(farm.status("sip:a:1"), (State::ACTIVE, 2));
    farm.end();
}

/// One destination comes up before another one goes down: at no moment all are out.
fn one_goes_up_before_another_goes_down(start: Start) {
    let rules = Rules {
        use_default: true,
        ..RULES
    };
    let farm = Farm::new(rules, 3, &list());
    farm.set("sip:a:1", DOWN);
    processes(&[
        &|| {
            farm.toggle(1, "sip:a:1");
            farm.toggle(1, "sip:b:1");
        },
        &|| {
            let pinned = farm.pin(2);
            let view = pinned.view(1).unwrap();
            let found = choose(view, start).map(|choice| choice.at);
            assert!(found.is_some_and(|at| at < 2), "{start:?}: {found:?}");
        },
    ]);
    farm.end();
}

/// Destinations that drain, and the last one that is usable.
fn drains_and_last_ones() {
    let farm = Farm::new(RULES, 4, &list());
    farm.set("sip:a:1", DOWN);
    farm.set("sip:b:1", DOWN);
    processes(&[
        &|| _ = farm.mark(1, "sip:b:1", |_| State::DRAINING),
        &|| _ = farm.mark(2, "sip:b:1", |state| State(state.0 ^ DOWN.0)),
        &|| {
            let pinned = farm.pin(3);
            let view = pinned.view(1).unwrap();
            let search = look_on(view, View::is_draining);
            let (found, any) = (view.next_draining(0, 3), view.any_draining());
            let seen = search.end();
            assert!(
                found.is_none_or(|at| seen.ever >> at & 1 == 1),
                "{found:?} but {seen:?}"
            );
            assert!(
                seen.always == 0 || any && found.is_some(),
                "{found:?} {any} but {seen:?}"
            );
            let search = look_on(view, View::is_usable);
            let found = view.last_usable(3);
            let seen = search.end();
            let behind = found.map_or(seen.always, |at| seen.always >> at >> 1);
            assert!(behind == 0, "{found:?} but {seen:?}");
        },
    ]);
    assert_eq!(farm.status("sip:b:1").1, 2);
    farm.end();
}

/// A latency changes as well, which ranks and congestion control follow.
fn latencies_and_marks(start: Start) {
    let mut list = list();
    list.iter_mut().for_each(|spec| spec.attrs.cc = 1);
    let rules = Rules {
        watched: true,
        ..RULES
    };
    let farm = Farm::new(rules, 4, &list);
    farm.set("sip:b:1", DOWN);
    let slow = |process: usize, average: f64| {
        let pinned = farm.pin(process);
        let record = pinned.view(1).unwrap().dest(0).unwrap().record();
        let latency = Latency {
            average,
            deviation: 3.0,
            estimate: average + 9.0,
            m2: 4.0,
            max: 50,
            timeouts: 1,
            samples: 9,
        };
        let change = || record.health().unwrap().set_latency(&latency);
        farm.change_latency(process, record, change);
        assert_eq!(format!("{:?}", record.latency()), format!("{latency:?}"));
    };
    let search = || {
        let pinned = farm.pin(3);
        select(pinned.view(1).unwrap(), start);
    };
    processes(&[
        &|| slow(1, 20.0),
        &|| _ = farm.toggle(2, "sip:a:1"),
        &search,
    ]);
    farm.end();
}

/// An operator sets a state while the cluster sets what another node has decided: whoever comes first, the operator's
/// command holds, and the cluster finds it.
fn an_operator_and_the_cluster() {
    let farm = Farm::new(RULES, 4, &list());
    let record = |act: &dyn Fn(&DestRecord)| {
        let pinned = farm.pin(0);
        act(pinned.view(1).unwrap().dest(0).unwrap().record());
    };
    let look = |record: &DestRecord| Seen {
        cause: record.cause(),
        state: record.state(),
        listed: record.listed(),
        base: 0,
    };
    let to = |state, failures| Outcome {
        state,
        failures,
        flip: None,
        in_row: 0,
    };
    let (known, has_acted) = (Cell::new(None), Cell::new(false));
    super::world::quiet(|| record(&|record| known.set(Some(look(record)))));
    processes(&[
        &|| {
            let told = |dest: &Dest, _, _| dest.record().set_cause(Cause::Rpc, 7);
            let change = |_, failures| to(State::DISABLED, failures);
            farm.change(1, 1, Some(b"sip:a:1"), |_| true, change, told);
        },
        &|| {
            let pinned = farm.pin(2);
            let record = pinned.view(1).unwrap().dest(0).unwrap().record();
            let (before, seen) = (known.get().unwrap(), look(record));
            match seen.since(&before, Look::default()) {
                Happened::Unsettled => return,
                Happened::Act(_) => has_acted.set(true),
                Happened::Nothing | Happened::Relisted => {}
            }
            known.set(Some(seen));
            if has_acted.get() {
                return;
            }
            let change = |_, failures| to(State::DRAINING, failures);
            farm.change_seen(2, record, seen.state, change, |dest, _, outcome| {
                let cause = (Cause::Cluster, 8);
                dest.record().replace_cause(seen.cause, cause);
                let state = outcome.state;
                known.set(Some(Seen {
                    cause,
                    state,
                    ..seen
                }));
            });
        },
    ]);
    super::world::quiet(|| {
        record(&|record| {
            let (before, now) = (known.get().unwrap(), look(record));
            assert_eq!(
                now.state,
                State::DISABLED,
                "the command has said that it is"
            );
            assert_eq!(now.cause, (Cause::Rpc, 7));
            let found = now.since(&before, Look::default());
            let expected = if has_acted.get() {
                Happened::Nothing
            } else {
                Happened::Act(State::DISABLED)
            };
            assert_eq!(found, expected);
        });
    });
    farm.end();
}

/// Failures are counted while the state stays, and while it changes.
fn counts() {
    let farm = Farm::new(RULES, 4, &list());
    let count = |process| _ = farm.mark(process, "sip:a:1", |state| state);
    processes(&[&|| count(1), &|| count(2), &|| {
        _ = farm.mark(3, "sip:a:1", |_| DOWN)
    }]);
    assert_eq!(farm.status("sip:a:1"), (DOWN, 3));
    farm.end();
}

/// More destinations than a word of the bitmap has bits.
fn marks_in_the_second_word(start: Start) {
    let uris: Vec<String> = (0..66).map(|n| format!("sip:a:{}", n + 1)).collect();
    let list: Vec<_> = uris
        .iter()
        .map(|uri| crate::shm::tests::spec(1, uri, 0, 0))
        .collect();
    let farm = Farm::new(RULES, 4, &list);
    super::world::quiet(|| {
        let all = |_: &_| true;
        let down = |_, failures| crate::dispatch::state::transition::Outcome {
            state: DOWN,
            failures,
            flip: None,
            in_row: 0,
        };
        farm.change(0, 1, None, all, down, |_, _, _| {});
    });
    farm.set("sip:a:1", State::ACTIVE);
    processes(&[
        &|| _ = farm.toggle(1, "sip:a:1"),
        &|| _ = farm.toggle(2, "sip:a:2"),
        &|| {
            let pinned = farm.pin(3);
            select(pinned.view(1).unwrap(), start);
        },
    ]);
    farm.end();
}

const FULL: &[How] = &[
    How::Stops(1),
    How::Random(100_000),
    How::Priorities(4, 100_000),
];

pub const MODELS: &[Model] = &[
    model!("marks, first", marks_and_a_search(Start::First)),
    model!("marks, round robin", marks_and_a_search(Start::RoundRobin)),
    model!("marks, hash", marks_and_a_search(Start::Hash(2))),
    model!("marks, random", marks_and_a_search(Start::Random(1))),
    model!("marks, in a dialog", marks_and_a_search(Start::InDialog(1))),
    model!("marks, weight", marks_and_a_search(Start::Weight)),
    model!(
        "marks, relative weight",
        marks_and_a_search(Start::RelativeWeight)
    ),
    model!("marks, latency", marks_and_a_search(Start::Latency)),
    model!("marks, priority", marks_and_a_search(Start::Priority)),
    model!("marks, service", marks_and_a_search(Start::Service)),
    model!(
        "up before down, first",
        one_goes_up_before_another_goes_down(Start::First)
    ),
    model!(
        "up before down, hash",
        one_goes_up_before_another_goes_down(Start::Hash(1))
    ),
    model!(
        "up before down, in turn",
        one_goes_up_before_another_goes_down(Start::RoundRobin)
    ),
    model!("drains", drains_and_last_ones()),
    model!("latencies, ranks", latencies_and_marks(Start::Latency)),
    model!(
        "latencies, shares",
        latencies_and_marks(Start::RelativeWeight)
    ),
    model!("counts", counts()),
    model!("an operator and the cluster", an_operator_and_the_cluster()),
    Model {
        name: "second word, first",
        run: || marks_in_the_second_word(Start::First),
        quick: &[How::Random(5)],
        full: FULL,
    },
    Model {
        name: "second word, latency",
        run: || marks_in_the_second_word(Start::Latency),
        quick: &[How::Random(5)],
        full: FULL,
    },
];

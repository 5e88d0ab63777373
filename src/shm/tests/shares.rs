//! Shares of the algorithms that weigh, over views: how near they come to the exact ones.

use super::store::{load, set_state, store};
use super::{Heap, spec};
use crate::dispatch::list::attrs::Attrs;
use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::select::algorithm::{Choice, Start, choose, choose_open};
use crate::dispatch::select::ranks::by_rank;
use crate::dispatch::state::latency::Latency;
use crate::shm::dest::destination::Dest;
use crate::shm::set::view::View;
use crate::shm::table::store::ReloadState;

/// Selections of a run.
const PICKS: usize = if cfg!(miri) { 400 } else { 100_000 };

/// How often each position is picked.
fn picks(view: &View, start: Start) -> Vec<usize> {
    count(view, || choose(view, start))
}

/// Selects with overload control, at this time.
fn open_picks(view: &View, now_us: u64) -> Vec<usize> {
    count(view, || {
        choose_open(view, |at| view.passes_over(at, now_us))
    })
}

fn count(view: &View, choose: impl Fn() -> Option<Choice>) -> Vec<usize> {
    let mut counts = vec![0; view.dest_count()];
    for _ in 0..PICKS {
        counts[choose().unwrap().at] += 1;
    }
    counts
}

/// The largest error of the counts against the weights, in picks and relative; who has no weight
/// gets nothing.
fn worst(counts: &[usize], weights: &[i32]) -> (f64, f64) {
    let whole: i32 = weights.iter().sum();
    let errors = counts.iter().zip(weights).map(|(&count, &weight)| {
        if weight == 0 {
            assert_eq!(count, 0, "no share, and yet picked");
            return (0.0, 0.0);
        }
        let exact = f64::from(weight) * PICKS as f64 / f64::from(whole);
        let error = (count as f64 - exact).abs();
        (error, error / exact)
    });
    errors.fold((0.0, 0.0), |worst, error| {
        (worst.0.max(error.0), worst.1.max(error.1))
    })
}

/// Destinations in the order of the view, by the attributes.
fn dests<'a>(uris: &'a [String], priority: i32, attrs: &[Attrs<'static>]) -> Vec<DestSpec<'a>> {
    // The last line of a list is the first of its view.
    let lines = uris.iter().rev().zip(attrs.iter().rev());
    let lines = lines.map(|(uri, attrs)| DestSpec {
        attrs: *attrs,
        ..spec(1, uri, 0, priority)
    });
    lines.collect()
}

fn uris(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("sip:a:{n}")).collect()
}

fn rweight(rweight: i32) -> Attrs<'static> {
    Attrs {
        rweight,
        ..Attrs::default()
    }
}

fn weight(weight: i32) -> Attrs<'static> {
    Attrs {
        weight,
        ..Attrs::default()
    }
}

/// Runs `test` with the view of a list.
fn with_view(list: &[DestSpec<'_>], down: &[&str], test: impl FnOnce(&View, &Heap)) {
    let heap = Heap::default();
    let store = store(&heap);
    load(&store, list, ReloadState::Keep).unwrap();
    for uri in down {
        set_state(&store, 1, uri, 1);
    }
    {
        let pinned = store.pin(0);
        let view = pinned.view(1).unwrap();
        test(view, &heap);
    }
    // SAFETY: nothing is pinned, and no other process is there.
    unsafe { store.destroy() };
}

fn set_latency(dest: &Dest, latency: &Latency, heap: &Heap) {
    let vitals = dest.record().need_vitals(heap).unwrap();
    vitals.health.set_latency(latency);
}

/// Nobody gets that many picks more or less than the exact share.
fn within((picks, relative): (f64, f64), bound: f64, what: &str) {
    println!("largest relative error, {what}: {relative:.6} ({picks:.2} picks)");
    assert!(picks <= bound, "{what}: {picks} picks, relative {relative}");
}

#[test]
fn relative_weights_are_exact_for_any_number() {
    let cases: [(&str, Vec<i32>); 6] = [
        ("11, weights 1 1 1", vec![1; 3]),
        ("11, weights 50 30 20 0", vec![50, 30, 20, 0]),
        ("11, 51 hosts of 50 (W7)", vec![50; 51]),
        ("11, 120 hosts of 1 (W7)", vec![1; 120]),
        (
            "11, 120 hosts of 1 to 100",
            (0..120).map(|n| n % 100 + 1).collect(),
        ),
        ("11, weights 100 and 1", vec![100, 1]),
    ];
    for (what, weights) in cases {
        if cfg!(miri) && weights.len() > 100 {
            continue;
        }
        let attrs: Vec<Attrs> = weights.iter().map(|&w| rweight(w)).collect();
        let uris = uris(weights.len());
        with_view(&dests(&uris, 0, &attrs), &[], |view, _| {
            within(
                worst(&picks(view, Start::RelativeWeight), &weights),
                3.0,
                what,
            );
        });
        // What is out gives its share to all others.
        let mut left = weights.clone();
        left[1] = 0;
        with_view(&dests(&uris, 0, &attrs), &[&uris[1]], |view, _| {
            let what = format!("{what}, the second down");
            within(
                worst(&picks(view, Start::RelativeWeight), &left),
                3.0,
                &what,
            );
        });
    }
}

#[test]
fn without_relative_weights_the_first_is_taken() {
    let (uris, attrs) = (uris(3), [Attrs::default(); 3]);
    with_view(&dests(&uris, 0, &attrs), &[], |view, _| {
        assert_eq!(picks(view, Start::RelativeWeight), [PICKS, 0, 0]);
    });
    // Those without a share take turns when all that have one are out.
    let attrs = [rweight(9), Attrs::default(), Attrs::default()];
    with_view(&dests(&uris, 0, &attrs), &[&uris[0]], |view, _| {
        assert_eq!(
            picks(view, Start::RelativeWeight),
            [0, PICKS / 2, PICKS / 2]
        );
    });
}

#[test]
fn service_weights_share_the_lowest_priority() {
    let uris = uris(10);
    let (low, high) = uris.split_at(6);
    let weights = [10, 20, 70, 0, 100, 13];
    let mut list = dests(low, 1, &weights.map(weight));
    list.extend(dests(high, 5, &[50, 50, 1, 9].map(weight)));
    with_view(&list, &[], |view, _| {
        let counts = picks(view, Start::Service);
        assert_eq!(counts[..4], [0; 4]);
        within(worst(&counts[4..], &weights), 3.0, "15, six weights");
    });
    let down: Vec<&str> = low.iter().map(String::as_str).collect();
    with_view(&list, &down, |view, _| {
        let counts = picks(view, Start::Service);
        within(
            worst(&counts[..4], &[50, 50, 1, 9]),
            3.0,
            "15, the next priority",
        );
    });
    let plain = dests(low, 1, &[Attrs::default(); 6]);
    with_view(&plain, &[&low[2]], |view, _| {
        let counts = picks(view, Start::Service);
        within(
            worst(&counts, &[1, 1, 0, 1, 1, 1]),
            1.0,
            "15, no weights, one down",
        );
    });
}

#[test]
fn latency_takes_turns_among_equals() {
    let uris = uris(7);
    let list = dests(&uris, 30, &[Attrs::default(); 7]);
    with_view(&list, &[&uris[4]], |view, heap| {
        for (at, ms) in [(1, 95), (3, 31), (5, 59)] {
            let dest = view.dest(at).unwrap();
            set_latency(dest, &Latency::initial(ms), heap);
            view.sync_rank(at);
        }
        let mut counts = vec![0; 7];
        for _ in 0..PICKS {
            counts[by_rank(view).unwrap().0] += 1;
        }
        within(
            worst(&counts, &[1, 0, 1, 0, 0, 0, 1]),
            1.0,
            "13, three equals",
        );
    });
}

#[test]
fn congestion_gives_shares_away() {
    let uris = uris(3);
    let cc = Attrs {
        cc: 1,
        weight: 50,
        ..rweight(50)
    };
    with_view(&dests(&uris, 0, &[cc; 3]), &[], |view, heap| {
        let slow = |at: usize, average: f64, estimate: f64| {
            let latency = Latency {
                average,
                estimate,
                ..Latency::initial(20)
            };
            set_latency(view.dest(at).unwrap(), &latency, heap);
            view.sync_rank(at);
        };
        slow(0, 20.0, 50.9);
        within(
            worst(&picks(view, Start::RelativeWeight), &[20, 50, 50]),
            3.0,
            "11, cc",
        );
        slow(1, 20.0, 90.0);
        within(
            worst(&picks(view, Start::RelativeWeight), &[20, 0, 50]),
            3.0,
            "11, cc, cut off",
        );
        slow(0, 20.0, 90.0);
        slow(2, 20.0, 90.0);
        let counts = picks(view, Start::RelativeWeight);
        within(worst(&counts, &[1, 1, 1]), 1.0, "11, cc, all cut off");
        slow(0, 20.0, 10.0);
        assert_eq!(picks(view, Start::RelativeWeight), [PICKS, 0, 0]);
    });
}

#[test]
fn the_wheel_of_weights() {
    let weights = [50, 30, 19, 1];
    let uris = uris(4);
    with_view(&dests(&uris, 0, &weights.map(weight)), &[], |view, _| {
        within(
            worst(&picks(view, Start::Weight), &weights),
            0.0,
            "9, sum 100",
        );
    });
}

#[test]
fn overloaded_ones_give_their_turns_away() {
    let uris = uris(4);
    with_view(
        &dests(&uris, 0, &[Attrs::default(); 4]),
        &[],
        |view, heap| {
            let counts = open_picks(view, 1);
            within(worst(&counts, &[1, 1, 1, 1]), 1.0, "64, nobody overloaded");
            for (at, rate) in [(1, 30), (2, 100)] {
                let record = view.dest(at).unwrap().record();
                let overload = &record.need_vitals(heap).unwrap().overload;
                assert!(overload.report(1, rate, 1_000_000));
                assert!(!overload.report(1, 0, 1_000_000));
            }
            let counts = open_picks(view, 1);
            within(
                worst(&counts, &[100, 70, 0, 100]),
                2.0,
                "64, rates 30 and 100",
            );
            let counts = open_picks(view, 1_000_000);
            within(worst(&counts, &[1, 1, 1, 1]), 1.0, "64, too old");
        },
    );
}

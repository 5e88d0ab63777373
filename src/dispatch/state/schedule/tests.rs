//! Tests of the schedule.

use super::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::collections::HashMap;

/// Asks at the end of every `step` ms and counts per window of `window` ms.
fn run(schedule: &mut Schedule<u32>, from: u64, to: u64, step: u64, window: u64) -> Vec<u64> {
    let mut counts = vec![0; usize::try_from((to - from).div_ceil(window)).unwrap()];
    let mut now = from;
    while now < to {
        while schedule.pop_due(now + step - 1).is_some() {
            counts[usize::try_from((now - from) / window).unwrap()] += 1;
        }
        now += step;
    }
    counts
}

fn peak(counts: &[u64]) -> f64 {
    let mean = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    *counts.iter().max().unwrap() as f64 / mean
}

fn fresh(keys: std::ops::Range<u32>) -> impl Iterator<Item = (u32, Option<u64>)> {
    keys.map(|key| (key, None))
}

#[test]
fn five_thousand_are_flat() {
    let mut schedule = Schedule::default();
    schedule.rebuild(7_003, 10_000, fresh(0..5_000));
    let rounds = if cfg!(miri) { 1 } else { 3 };
    let counts = run(&mut schedule, 7_003, 7_003 + rounds * 10_000, 50, 100);
    assert_eq!(counts.iter().sum::<u64>(), rounds * 5_000);
    assert!(peak(&counts) <= 1.05, "{}", peak(&counts));
}

#[test]
fn each_once_a_period_the_first_at_once() {
    let mut schedule = Schedule::default();
    schedule.rebuild(1_000, 300, fresh(0..3));
    let mut seen = Vec::new();
    for now in 0..1_700 {
        while let Some((key, next)) = schedule.pop_due(now) {
            seen.push((now, key, next));
        }
    }
    let want = [
        (1_000, 0, 1_300),
        (1_100, 1, 1_400),
        (1_200, 2, 1_500),
        (1_300, 0, 1_600),
        (1_400, 1, 1_700),
        (1_500, 2, 1_800),
        (1_600, 0, 1_900),
    ];
    assert_eq!(seen, want);
    assert_eq!(schedule.next_due(), Some(1_700));
}

#[test]
fn empty_ones_and_a_period_of_zero() {
    let mut schedule = Schedule::<u32>::default();
    assert_eq!(schedule.pop_due(u64::MAX), None);
    schedule.rebuild(5, 0, std::iter::empty());
    assert!(schedule.next_due().is_none());
    schedule.rebuild(5, 0, fresh(0..2));
    assert_eq!(schedule.pop_due(5), Some((0, 6)));
    assert_eq!(schedule.iter().count(), 2);
}

#[test]
fn a_late_round_keeps_the_places() {
    let mut schedule = Schedule::default();
    schedule.rebuild(0, 10_000, fresh(0..1_000));
    run(&mut schedule, 0, 12_000, 50, 100);
    // Nobody asked for 7 s: what is late comes at once, in order.
    let counts = run(&mut schedule, 19_000, 29_000, 50, 100);
    assert_eq!(counts[0], 710);
    let counts = run(&mut schedule, 30_000, 40_000, 50, 100);
    assert!(peak(&counts[1..]) <= 1.05, "{}", peak(&counts[1..]));
    // Nor for 72 s: the missed rounds are left out, and no burst follows.
    let counts = run(&mut schedule, 112_345, 122_345, 50, 100);
    assert_eq!(counts.iter().sum::<u64>(), 995);
    assert!(peak(&counts) <= 1.15, "{}", peak(&counts));
}

#[test]
fn who_is_always_too_slow_still_serves_all() {
    let mut schedule = Schedule::default();
    schedule.rebuild(0, 1_000, fresh(0..100));
    let mut counts = [0u32; 100];
    // One in 17 ms, while 10 ms would be needed.
    let each: u32 = if cfg!(miri) { 10 } else { 235 };
    for now in (0..u64::from(each) * 1_700).step_by(17) {
        if let Some((key, _)) = schedule.pop_due(now) {
            counts[key as usize] += 1;
        }
    }
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(
        *least >= each * 5 / 6 && most - least <= each / 4,
        "{least} to {most}"
    );
}

#[test]
fn known_ones_keep_their_time() {
    let mut schedule = Schedule::default();
    let known = [(1, Some(900)), (2, Some(1_700)), (3, Some(2_050))];
    schedule.rebuild(1_000, 1_000, known.into_iter());
    let queued: Vec<_> = schedule.iter().collect();
    // The last one was further off than a period.
    assert_eq!(queued, [(1, 900), (3, 1_050), (2, 1_700)]);
    assert_eq!(schedule.pop_due(1_000), Some((1, 1_900)));
    assert_eq!(schedule.pop_due(1_000), None);
}

#[test]
fn another_period_keeps_the_spread() {
    let mut schedule = Schedule::default();
    let count = if cfg!(miri) { 500 } else { 5_000 };
    schedule.rebuild(0, 60_000, fresh(0..count));
    run(&mut schedule, 0, 61_000, 50, 1_000);
    let mut now = 61_000;
    for period in [10_000, 3_000, 60_000] {
        let known: Vec<_> = schedule.iter().map(|(key, due)| (key, Some(due))).collect();
        schedule.rebuild(now, period, known.into_iter());
        for _ in 0..2 {
            let counts = run(&mut schedule, now, now + period, 50, period / 10);
            assert_eq!(counts.iter().sum::<u64>(), u64::from(count));
            assert!(peak(&counts) <= 1.2, "{period}: {}", peak(&counts));
            now += period;
        }
    }
}

#[test]
fn many_small_batches_are_even_too() {
    let mut schedule = Schedule::default();
    for key in 0..2_000 {
        let known: Vec<_> = schedule.iter().map(|(key, due)| (key, Some(due))).collect();
        // A burst of `dispatcher.add`, all in one second.
        let all = known.into_iter().chain([(key, None)]);
        schedule.rebuild(u64::from(key) / 2, 10_000, all);
        if cfg!(miri) && key > 50 {
            return;
        }
    }
    run(&mut schedule, 1_000, 20_000, 50, 100);
    let counts = run(&mut schedule, 20_000, 30_000, 50, 100);
    assert_eq!(counts.iter().sum::<u64>(), 2_000);
    assert!(peak(&counts) <= 1.3, "{}", peak(&counts));
}

#[test]
fn nobody_starves_over_many_rebuilds() {
    let mut random = StdRng::seed_from_u64(5);
    let mut schedule = Schedule::default();
    let (rounds, mut next_key) = if cfg!(miri) { (20, 40) } else { (2_000, 200) };
    let mut alive: Vec<u32> = (0..next_key).collect();
    let mut last: HashMap<u32, u64> = HashMap::new();
    schedule.rebuild(0, 1_000, fresh(0..next_key));
    let mut now = 0;
    for _ in 0..rounds {
        for _ in 0..random.random_range(0..10) {
            let gone = random.random_range(0..alive.len());
            alive[gone] = next_key;
            next_key += 1;
        }
        let known: HashMap<u32, u64> = schedule.iter().collect();
        let items = alive.iter().map(|key| (*key, known.get(key).copied()));
        schedule.rebuild(now, 1_000, items);
        for key in &alive {
            last.entry(*key).or_insert(now);
        }
        for _ in 0..random.random_range(0..20) {
            now += 10;
            while let Some((key, next)) = schedule.pop_due(now) {
                assert!(next > now && next <= now + 1_000);
                last.insert(key, now);
            }
        }
        for key in &alive {
            assert!(now - last[key] <= 1_010, "{key} at {now}");
        }
    }
}

#[test]
fn what_is_put_off_is_due_then_and_one_period_after_that() {
    let mut schedule = Schedule::default();
    schedule.rebuild(
        0,
        100,
        ["a", "b", "c"].into_iter().map(|key| (key, Some(10))),
    );
    let mut taken = Vec::new();
    while let Some((key, next)) = schedule.pop_due(10) {
        taken.push(key);
        if key == "b" {
            schedule.put_off(key, next, 70);
        }
        // An entry with another time stays where it is.
        schedule.put_off(key, next + 1, 20);
    }
    taken.sort_unstable();
    assert_eq!(taken, ["a", "b", "c"]);
    assert_eq!(schedule.pop_due(69), None);
    assert_eq!(schedule.pop_due(70), Some(("b", 170)));
    assert_eq!(schedule.next_due(), Some(110));
}

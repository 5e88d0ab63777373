//! Tables of cases: who is chosen, and in which order failover goes on.

use super::*;
use crate::dispatch::select::weight::wheel;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub struct Set {
    /// 0 out, 1 usable, 2 draining.
    pub states: Vec<u8>,
    pub cursors: Cursors,
    pub wheel: Option<Wheel>,
    /// By index: priority, weights by kind, latency.
    pub priorities: Vec<i32>,
    pub weights: Vec<u32>,
    pub latencies: Vec<i32>,
}

impl Set {
    pub fn new(usable: &[u8]) -> Self {
        Set {
            states: usable.to_vec(),
            cursors: Cursors::default(),
            wheel: None,
            priorities: vec![0; usable.len()],
            weights: vec![0; usable.len()],
            latencies: vec![0; usable.len()],
        }
    }
}

impl Candidates for Set {
    fn len(&self) -> usize {
        self.states.len()
    }
    fn next_usable(&self, from: usize, to: usize) -> Option<usize> {
        (from..to).find(|&index| self.states[index] == 1)
    }
    fn walk_ongoing(&self, at: usize, ring: usize) -> Option<usize> {
        let mut walk = (at..ring).chain(0..at).chain(ring..self.len());
        walk.find(|&index| self.states[index] != 0)
    }
    fn is_draining(&self, at: usize) -> bool {
        self.states[at] == 2
    }
    fn cursors(&self) -> &Cursors {
        &self.cursors
    }
    fn wheel(&self) -> Option<&Wheel> {
        self.wheel.as_ref()
    }
    fn weight_below(&self, _: Weights, to: usize) -> u32 {
        let shares = self.weights.iter().zip(&self.states).take(to);
        shares
            .filter(|(_, state)| **state == 1)
            .map(|(w, _)| w)
            .sum()
    }
    fn at_weight(&self, by: Weights, point: u32) -> Option<usize> {
        (0..self.len()).find(|&at| self.weight_below(by, at + 1) > point)
    }
    fn is_weighted(&self, _: Weights) -> bool {
        self.weights.iter().any(|&weight| weight > 0)
    }
    fn priority(&self, at: usize) -> i32 {
        self.priorities[at]
    }
    fn priority_start(&self, at: usize) -> usize {
        let same = |&p: &i32| p == self.priorities[at];
        self.priorities.iter().position(same).unwrap()
    }
    fn last_usable(&self, to: usize) -> Option<usize> {
        (0..to).rev().find(|&at| self.states[at] == 1)
    }
    fn rank(&self, at: usize) -> Option<u32> {
        let effective = ranked::effective_priority(self.priorities[at], self.latencies[at]);
        (self.states[at] == 1).then(|| ranked::rank(effective))
    }
    fn best(&self, at: usize, ring: usize) -> Option<usize> {
        let best = self.best_below(u32::MAX, ring)?;
        let around = |range| self.next_of_rank_in(best, range);
        around(at..ring).or_else(|| around(0..at))
    }
    fn best_below(&self, rank: u32, ring: usize) -> Option<u32> {
        let ranks = (0..ring).filter_map(|at| self.rank(at));
        ranks.filter(|&have| have < rank).max()
    }
    fn next_of_rank(&self, rank: u32, from: usize, to: usize) -> Option<usize> {
        self.next_of_rank_in(rank, from..to)
    }
}

impl Set {
    fn next_of_rank_in(&self, rank: u32, range: std::ops::Range<usize>) -> Option<usize> {
        range.into_iter().find(|&at| self.rank(at) == Some(rank))
    }
}

fn picks(set: &Set, start: Start, use_default: bool) -> Vec<usize> {
    match choose(set, start, use_default) {
        Some(choice) => choice.order(set).collect(),
        None => vec![],
    }
}

#[test]
fn order_by_hash() {
    let cases: [(&[u8], u32, bool, &[usize]); 12] = [
        (&[1, 1, 1], 1, false, &[1, 2, 0]),
        (&[1, 0, 1], 1, false, &[2, 0]),
        (&[1, 0, 0], 1, false, &[0]),
        (&[0, 0, 0], 1, false, &[]),
        (&[], 1, false, &[]),
        (&[1, 1, 1], 5, true, &[1, 0, 2]),
        (&[0, 1, 1], 0, true, &[1, 2]),
        (&[0, 0, 1], 0, true, &[2]),
        (&[1, 0, 0], 0, true, &[0, 2]),
        (&[0, 0, 0], 0, true, &[]),
        (&[1], 9, true, &[0]),
        (&[1, 1], 1, true, &[0, 1]),
    ];
    for (usable, hash, use_default, expected) in cases {
        let set = Set::new(usable);
        assert_eq!(
            picks(&set, Start::Hash(hash), use_default),
            expected,
            "{usable:?} hash {hash} use_default {use_default}"
        );
    }
}

#[test]
fn draining_ones_get_calls_in_progress_only() {
    /// States, hash, `use_default`, picks of a new call, picks of one in progress.
    type Case = (&'static [u8], u32, bool, &'static [usize], &'static [usize]);
    let cases: [Case; 9] = [
        (&[1, 2, 1], 1, false, &[2, 0], &[1, 2, 0]),
        (&[1, 2, 1], 0, false, &[0, 2], &[0, 2]),
        (&[1, 0, 2], 1, false, &[0], &[2, 0]),
        (&[2, 2, 2], 1, false, &[], &[1]),
        (&[2, 0, 0], 1, false, &[], &[0]),
        (&[1, 2, 1], 1, true, &[0, 2], &[1, 0, 2]),
        (&[1, 1, 2], 1, true, &[1, 0], &[1, 0]),
        (&[0, 0, 2], 1, true, &[], &[2]),
        (&[0, 2, 1], 0, true, &[2], &[1, 2]),
    ];
    for (states, hash, use_default, new, ongoing) in cases {
        let set = Set::new(states);
        let what = format!("{states:?} hash {hash} use_default {use_default}");
        assert_eq!(picks(&set, Start::Hash(hash), use_default), new, "{what}");
        let have = picks(&set, Start::Ongoing(hash), use_default);
        assert_eq!(have, ongoing, "{what}");
    }
}

#[test]
fn round_robin_skips_without_giving_the_turn_to_a_neighbour() {
    let set = Set::new(&[1, 0, 1]);
    let firsts: Vec<_> = (0..6)
        .map(|_| choose(&set, Start::RoundRobin, false).unwrap().first)
        .collect();
    assert_eq!(firsts, [0, 2, 0, 2, 0, 2]);
}

#[test]
fn round_robin_falls_back_to_the_last_resort() {
    let set = Set::new(&[0, 0, 1]);
    assert_eq!(picks(&set, Start::RoundRobin, true), [2]);
    assert_eq!(picks(&Set::new(&[]), Start::RoundRobin, true), []);
}

#[test]
fn a_hundred_picks_by_weight_are_exact() {
    let mut set = Set::new(&[1, 1, 1]);
    let mut random = StdRng::seed_from_u64(3);
    set.wheel = wheel([50, 30, 20].into_iter(), &mut random);
    let mut counts = [0; 3];
    for _ in 0..100 {
        counts[choose(&set, Start::Weight, false).unwrap().first] += 1;
    }
    assert_eq!(counts, [50, 30, 20]);
}

#[test]
fn no_result_is_twice_or_unusable() {
    let mut random = StdRng::seed_from_u64(42);
    for _ in 0..if cfg!(miri) { 50 } else { 2_000 } {
        let usable: Vec<u8> = (0..random.random_range(0..12))
            .map(|_| random.random_range(0..2))
            .collect();
        let set = Set::new(&usable);
        let use_default = random.random();
        let hash = random.random();
        let order = picks(&set, Start::Hash(hash), use_default);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(
            sorted.len(),
            order.len(),
            "twice in {order:?} of {usable:?}"
        );
        let last = usable.len().wrapping_sub(1);
        for (nth, &index) in order.iter().enumerate() {
            let resort = use_default && index == last && nth > 0;
            assert!(usable[index] == 1 || resort, "{index} is out in {usable:?}");
        }
        let any = usable.contains(&1);
        assert_eq!(any, !order.is_empty(), "{usable:?}");
    }
}

#[test]
fn priorities_of_14() {
    let cases: [(&[i32], &[usize]); 4] = [
        (&[5, 5, 5], &[0, 1, 2, 0]),
        (&[5, 5, 4], &[0, 0, 0, 0]),
        (&[0, 0, 0], &[0, 0, 0, 0]),
        (&[-1, -1, -1], &[0, 0, 0, 0]),
    ];
    for (priorities, expected) in cases {
        let mut set = Set::new(&[1, 1, 1]);
        set.priorities = priorities.to_vec();
        let firsts: Vec<usize> = (0..4)
            .map(|_| picks(&set, Start::Priority, false)[0])
            .collect();
        assert_eq!(firsts, expected, "{priorities:?}");
    }
}

#[test]
fn order_of_15_goes_up_by_priority() {
    // Indices 5 and 6 have the lowest priority, then 3 and 4, and so on.
    let cases: [(&[u8], bool, &[usize]); 5] = [
        (&[1, 1, 1, 1, 1, 0, 1], false, &[6, 3, 4, 1, 2, 0]),
        (&[1, 1, 1, 1, 1, 0, 0], false, &[3, 4, 1, 2, 0]),
        (&[1, 0, 0, 0, 0, 0, 0], false, &[0]),
        (&[1, 0, 0, 0, 1, 0, 0], true, &[4, 0, 6]),
        (&[0, 0, 0, 0, 0, 0, 1], true, &[6]),
    ];
    for (states, use_default, expected) in cases {
        let mut set = Set::new(states);
        set.priorities = vec![9, 8, 8, 7, 7, 6, 6];
        let what = format!("{states:?} use_default {use_default}");
        assert_eq!(picks(&set, Start::Service, use_default), expected, "{what}");
        set.weights = vec![0, 0, 0, 9, 0, 0, 9];
        assert_eq!(
            picks(&set, Start::Service, use_default),
            expected,
            "weights, {what}"
        );
    }
}

#[test]
fn ranks_of_13() {
    /// Priorities, latencies, states, `use_default`, orders of three calls.
    type Case = (
        &'static [i32],
        &'static [i32],
        &'static [u8],
        bool,
        [&'static [usize]; 3],
    );
    let cases: [Case; 5] = [
        // 30 - 45/30 = 29, 30 - 91/30 = 27, 28: as the documented example goes.
        (
            &[30, 30, 28],
            &[45, 91, 0],
            &[1, 1, 1],
            false,
            [&[0, 2, 1]; 3],
        ),
        (
            &[5, 5, 5],
            &[0, 0, 0],
            &[1, 1, 1],
            false,
            [&[0, 1, 2], &[1, 2, 0], &[2, 0, 1]],
        ),
        (
            &[5, 5, 5],
            &[0, 0, 0],
            &[1, 0, 1],
            false,
            [&[0, 2], &[2, 0], &[0, 2]],
        ),
        (
            &[5, 5, 5],
            &[0, 0, 0],
            &[1, 1, 1],
            true,
            [&[0, 1, 2], &[1, 0, 2], &[0, 1, 2]],
        ),
        (&[1, 0, 0], &[900, 900, 0], &[0, 0, 1], true, [&[2]; 3]),
    ];
    for (priorities, latencies, states, use_default, expected) in cases {
        for limit in [1, 2, usize::MAX] {
            let mut set = Set::new(states);
            (set.priorities, set.latencies) = (priorities.to_vec(), latencies.to_vec());
            let ring = ring(set.len(), use_default);
            for expected in expected {
                let taken = ranked::by_rank(&set, ring).unwrap();
                let order = ranked::order_by_rank(&set, ring, taken, limit);
                let expected = &expected[..limit.min(expected.len())];
                assert_eq!(order, expected, "{priorities:?} {states:?} limit {limit}");
            }
        }
    }
    assert_eq!(ranked::effective_priority(1, 900), 1);
    assert_eq!(ranked::effective_priority(-3, 900), -3);
    assert!(ranked::rank(i32::MIN) > 0 && ranked::rank(-1) < ranked::rank(0));
}

//! Tables of cases: which destination is selected, and in which order failover goes on.

use super::*;
use crate::dispatch::hash::xxh64;
use crate::dispatch::select::candidates::{candidate_count, is_usable, priority_start};
use crate::dispatch::select::turns::{Cursors, Weights};
use crate::dispatch::select::weight_slots::{Slots, slots};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub struct Set {
    /// 0 out, 1 usable, 2 draining.
    pub states: Vec<u8>,
    pub use_default: bool,
    pub cursors: Cursors,
    pub slots: Option<Slots>,
    /// By index: priority, weights by kind, latency.
    pub priorities: Vec<i32>,
    pub weights: Vec<u32>,
    pub latencies: Vec<i32>,
    pub identities: Vec<u64>,
    pub relative: Vec<u8>,
}

impl Set {
    pub fn new(usable: &[u8]) -> Self {
        Set {
            states: usable.to_vec(),
            use_default: false,
            cursors: Cursors::default(),
            slots: None,
            priorities: vec![0; usable.len()],
            weights: vec![0; usable.len()],
            latencies: vec![0; usable.len()],
            identities: (0..usable.len() as u64)
                .map(|at| xxh64(&at.to_le_bytes()))
                .collect(),
            relative: vec![],
        }
    }
}

impl Candidates for Set {
    fn len(&self) -> usize {
        self.states.len()
    }
    fn candidate_count(&self) -> usize {
        candidate_count(self.len(), self.use_default)
    }
    fn next_usable(&self, from: usize, to: usize) -> Option<usize> {
        (from..to).find(|&index| self.states[index] == 1)
    }
    fn next_draining(&self, from: usize, to: usize) -> Option<usize> {
        (from..to).find(|&index| self.states[index] == 2)
    }
    fn last_usable(&self, to: usize) -> Option<usize> {
        (0..to).rev().find(|&at| self.states[at] == 1)
    }
    fn walk(&self, at: usize) -> Option<usize> {
        let end = self.candidate_count();
        let mut walk = (at..end).chain(0..at).chain(end..self.len());
        walk.find(|&index| self.states[index] == 1)
    }
    fn cursors(&self) -> &Cursors {
        &self.cursors
    }
    fn weight_slots(&self) -> Option<&Slots> {
        self.slots.as_ref()
    }
    fn weight_below(&self, _: Weights, to: usize, _: bool) -> Option<u32> {
        let shares = self.weights.iter().zip(&self.states).take(to);
        let usable = shares.filter(|(_, state)| **state == 1);
        let is_weighted = self.weights.iter().any(|&weight| weight > 0);
        is_weighted.then(|| usable.map(|(weight, _)| weight).sum())
    }
    fn sums_are_exact(&self) -> bool {
        true
    }

    fn at_weight(&self, by: Weights, point: u32, exact: bool) -> Option<usize> {
        (0..self.len()).find(|&at| self.weight_below(by, at + 1, exact) > Some(point))
    }
    fn identities(&self) -> &[u64] {
        &self.identities
    }
    fn relative_weights(&self) -> &[u8] {
        &self.relative
    }
    fn priority(&self, at: usize) -> i32 {
        self.priorities[at]
    }
    fn best_rank(&self, below: Option<u32>) -> Option<u32> {
        let ranks = (0..self.candidate_count()).filter_map(|at| self.rank(at));
        ranks
            .filter(|&rank| below.is_none_or(|below| rank < below))
            .max()
    }
    fn rank(&self, at: usize) -> Option<u32> {
        let effective = ranks::effective_priority(self.priorities[at], self.latencies[at]);
        is_usable(self, at).then(|| ranks::rank(effective))
    }
    fn next_of_rank(&self, rank: u32, from: usize, to: usize) -> Option<usize> {
        (from..to).find(|&at| self.rank(at) == Some(rank))
    }
}

fn picks(set: &mut Set, start: Start, use_default: bool) -> Vec<usize> {
    set.use_default = use_default;
    match choose(set, start) {
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
        let mut set = Set::new(usable);
        assert_eq!(
            picks(&mut set, Start::Hash(hash), use_default),
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
        let mut set = Set::new(states);
        let what = format!("{states:?} hash {hash} use_default {use_default}");
        assert_eq!(
            picks(&mut set, Start::Hash(hash), use_default),
            new,
            "{what}"
        );
        let have = picks(&mut set, Start::InDialog(hash), use_default);
        assert_eq!(have, ongoing, "{what}");
    }
}

#[test]
fn round_robin_skips_without_giving_the_turn_to_a_neighbour() {
    let set = Set::new(&[1, 0, 1]);
    let firsts: Vec<_> = (0..6)
        .map(|_| choose(&set, Start::RoundRobin).unwrap().at)
        .collect();
    assert_eq!(firsts, [0, 2, 0, 2, 0, 2]);
}

#[test]
fn round_robin_falls_back_to_the_default_destination() {
    let mut set = Set::new(&[0, 0, 1]);
    assert_eq!(picks(&mut set, Start::RoundRobin, true), [2]);
    assert!(picks(&mut Set::new(&[]), Start::RoundRobin, true).is_empty());
}

#[test]
fn a_hundred_picks_by_weight_are_exact() {
    let mut set = Set::new(&[1, 1, 1]);
    let mut random = StdRng::seed_from_u64(3);
    set.slots = slots([50, 30, 20].into_iter(), &mut random);
    let mut counts = [0; 3];
    for _ in 0..100 {
        counts[choose(&set, Start::Weight).unwrap().at] += 1;
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
        let mut set = Set::new(&usable);
        let use_default = random.random();
        let hash = random.random();
        let order = picks(&mut set, Start::Hash(hash), use_default);
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
            .map(|_| picks(&mut set, Start::Priority, false)[0])
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
        assert_eq!(
            picks(&mut set, Start::Service, use_default),
            expected,
            "{what}"
        );
        set.weights = vec![0, 0, 0, 9, 0, 0, 9];
        assert_eq!(
            picks(&mut set, Start::Service, use_default),
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
        let mut set = Set::new(states);
        (set.priorities, set.latencies) = (priorities.to_vec(), latencies.to_vec());
        for expected in expected {
            let order = picks(&mut set, Start::Latency, use_default);
            assert_eq!(order, expected, "{priorities:?} {states:?}");
        }
    }
    assert_eq!(ranks::effective_priority(1, 900), 1);
    assert_eq!(ranks::effective_priority(-3, 900), -3);
    assert!(ranks::rank(i32::MIN) > 0 && ranks::rank(-1) < ranks::rank(0));
}

#[test]
fn priorities_begin_where_their_first_destination_is() {
    let mut set = Set::new(&[1; 7]);
    set.priorities = vec![9, 8, 8, 7, 7, 7, -1];
    let starts: Vec<usize> = (0..7).map(|at| priority_start(&set, at)).collect();
    assert_eq!(starts, [0, 1, 1, 3, 3, 3, 6]);
}

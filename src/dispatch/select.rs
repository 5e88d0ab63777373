//! Choosing: the first destination of a set, then the failover order, one at a time.
//!
//! Everything here is a pure function of what it is given: the set as a [`Candidates`], where to
//! start, and a source of random numbers.

#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rand::RngCore;

use super::ranked::{self, Weights};
use super::share::Turns;
use super::weight::{SLOTS, Wheel};

/// How `ds_select_*` chooses; the numbers are those of the scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// 0: hash over the Call-ID.
    HashCallId,
    /// 1: hash over the From URI.
    HashFrom,
    /// 2: hash over the To URI.
    HashTo,
    /// 3: hash over the Request-URI.
    HashRequestUri,
    /// 4: one after the other.
    RoundRobin,
    /// 5: hash over the user name of the credentials, else round-robin.
    HashAuthUser,
    /// 6: random.
    Random,
    /// 7: hash over the text of `hash_pvar`.
    HashPvar,
    /// 8: the first usable one.
    First,
    /// 9: by `weight`.
    Weight,
    /// 10: the one with the fewest calls.
    CallLoad,
    /// 11: by `rweight`, over the usable ones.
    RelativeWeight,
    /// 12: all usable ones at once.
    Parallel,
    /// 13: by priority, less what latency costs.
    Latency,
    /// 14: round-robin where all have one priority over 0, else the first usable one.
    Priority,
    /// 15: of the lowest priority, by `weight`.
    Service,
    /// Any other number: the first usable one, with a warning.
    Unknown(i32),
}

impl Algorithm {
    /// The algorithm that a script's number names.
    pub fn from_number(number: i32) -> Self {
        match number {
            0 => Self::HashCallId,
            1 => Self::HashFrom,
            2 => Self::HashTo,
            3 => Self::HashRequestUri,
            4 => Self::RoundRobin,
            5 => Self::HashAuthUser,
            6 => Self::Random,
            7 => Self::HashPvar,
            8 => Self::First,
            9 => Self::Weight,
            10 => Self::CallLoad,
            11 => Self::RelativeWeight,
            12 => Self::Parallel,
            13 => Self::Latency,
            14 => Self::Priority,
            15 => Self::Service,
            other => Self::Unknown(other),
        }
    }
}

/// Where a choice starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the destination that a hash value falls on.
    Hash(u32),
    /// The same for a request of a call in progress, which draining destinations still get.
    Ongoing(u32),
    /// At the set's round-robin cursor.
    RoundRobin,
    /// Anywhere.
    Random,
    /// At the first one.
    First,
    /// At the next slot of the set's wheel.
    Weight,
    /// At the next turn of the relative weights.
    RelativeWeight,
    /// At the best by priority and latency.
    Latency,
    /// At the round-robin cursor, or at the first one, as the priorities are.
    Priority,
    /// At the next turn of the weights within the lowest usable priority.
    Service,
}

/// The positions of a set that keep moving, shared by all processes and kept over reloads.
#[derive(Debug, Default)]
pub struct Cursors {
    /// Index at which round-robin goes on.
    pub round_robin: AtomicU32,
    /// Number of picks by weight so far.
    pub weight: AtomicU64,
    /// Turns by relative weight.
    relative: Turns,
    /// Turns by weight within a priority.
    service: Turns,
}

impl Cursors {
    /// The turns of these weights.
    pub fn turns(&self, by: Weights) -> &Turns {
        match by {
            Weights::Relative => &self.relative,
            Weights::Srv => &self.service,
        }
    }
}

/// A set as choosing sees it: destinations by index, 0 to `len() - 1`.
pub trait Candidates {
    /// Number of destinations, usable or not.
    fn len(&self) -> usize;

    /// True when the set has no destination.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first usable index in `from..to`.
    fn next_usable(&self, from: usize, to: usize) -> Option<usize>;

    /// The first usable index at or after `at`, around the end of a ring of indices below `ring`;
    /// when all of the ring are out, the first usable one behind it.
    ///
    /// One search, so that a set whose states change meanwhile can answer as of one moment.
    fn walk(&self, at: usize, ring: usize) -> Option<usize> {
        self.next_usable(at, ring)
            .or_else(|| self.next_usable(0, at))
            .or_else(|| self.next_usable(ring, self.len()))
    }

    /// As [`Candidates::walk`], but draining destinations are taken too: where a call went that was
    /// placed before they began to drain.
    fn walk_ongoing(&self, at: usize, ring: usize) -> Option<usize> {
        self.walk(at, ring)
    }

    /// Whether the destination at this index drains: it gets no new calls.
    fn is_draining(&self, _at: usize) -> bool {
        false
    }

    /// The set's cursors.
    fn cursors(&self) -> &Cursors;

    /// The set's wheel for algorithm 9; `None` when no destination has a weight.
    fn wheel(&self) -> Option<&Wheel>;

    /// The sum of the weights of the usable destinations below `to`.
    fn weight_below(&self, by: Weights, to: usize) -> u32;

    /// The destination whose weight covers this point of the sum.
    fn at_weight(&self, by: Weights, point: u32) -> Option<usize>;

    /// True when any destination has such a weight, usable or not.
    fn is_weighted(&self, by: Weights) -> bool;

    /// The priority of a destination.
    fn priority(&self, at: usize) -> i32;

    /// The first destination that has the priority of this one.
    fn priority_start(&self, at: usize) -> usize;

    /// The last usable index below `to`.
    fn last_usable(&self, to: usize) -> Option<usize>;

    /// The rank of a usable destination by priority and latency; the best is the highest.
    fn rank(&self, at: usize) -> Option<u32>;

    /// The first usable destination of the best rank in the ring, at or after `at` around its end.
    fn best(&self, at: usize, ring: usize) -> Option<usize>;

    /// The best rank below this one in the ring.
    fn best_below(&self, rank: u32, ring: usize) -> Option<u32>;

    /// The first destination of exactly this rank in `from..to`.
    fn next_of_rank(&self, rank: u32, from: usize, to: usize) -> Option<usize>;
}

/// What was chosen, and all that is needed to go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Index of the first destination to try.
    pub first: usize,
    /// Indices below this one take part in the walk.
    ring: usize,
    /// The destination of last resort, where it is not `first` itself.
    last_resort: Option<usize>,
    /// Where the priority begins that the walk goes through first, before higher ones.
    within: Option<usize>,
}

/// Number of destinations that a choice may fall on: all, or all but the one of last resort.
#[must_use]
pub fn ring(len: usize, use_default: bool) -> usize {
    if use_default && len > 1 { len - 1 } else { len }
}

/// Chooses the first destination of `set`; `None` when none is usable.
///
/// From the starting index the walk goes up by one, around the end, to the first usable
/// destination. With `use_default` the last index stays out of the walk and is taken when all
/// others are out. Costs the same for any size of set.
///
/// Source: `features.md` 3.7.1 and 3.7.2.
pub fn choose(
    set: &impl Candidates,
    start: Start,
    use_default: bool,
    random: &mut impl RngCore,
) -> Option<Choice> {
    let len = set.len();
    let ring = ring(len, use_default);
    let hash = match start {
        Start::Hash(hash) => hash,
        Start::Ongoing(hash) => {
            let at = (hash as usize).checked_rem(ring)?;
            return Some(choice(set.walk_ongoing(at, ring)?, ring, len));
        }
        Start::Random => random.next_u32(),
        Start::First => 0,
        Start::Weight => turn_wheel(set),
        Start::RoundRobin => return take_turn(set, ring),
        Start::Priority if is_even(set) => return take_turn(set, ring),
        Start::Priority => 0,
        Start::RelativeWeight => return ranked::by_share(set, ring),
        Start::Service => return ranked::by_service(set, ring),
        Start::Latency => {
            let (first, _) = ranked::by_rank(set, ring)?;
            return Some(choice(first, ring, len));
        }
    };
    let at = (hash as usize).checked_rem(ring)?;
    Some(choice(set.walk(at, ring)?, ring, len))
}

/// True when all destinations have one priority, over 0.
fn is_even(set: &impl Candidates) -> bool {
    let Some(last) = set.len().checked_sub(1) else {
        return false;
    };
    set.priority(last) > 0 && set.priority(0) == set.priority(last)
}

/// The choice of an index inside the ring, or of the last resort behind it.
pub(super) fn choice(first: usize, ring: usize, len: usize) -> Choice {
    let last_resort = (first < ring && ring < len).then_some(ring);
    Choice {
        first,
        ring,
        last_resort,
        within: None,
    }
}

/// Takes the next turn of the set: each usable destination gets its own, whatever is out between.
/// The last resort, behind the ring, takes nobody's turn.
fn take_turn(set: &impl Candidates, ring: usize) -> Option<Choice> {
    let cursor = &set.cursors().round_robin;
    let mut seen = cursor.load(Ordering::Relaxed);
    loop {
        let at = (seen as usize).checked_rem(ring)?;
        let first = set.walk(at, ring)?;
        if first >= ring {
            return Some(choice(first, ring, set.len()));
        }
        let next = u32::try_from(first + 1).unwrap_or(0);
        match cursor.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Some(choice(first, ring, set.len())),
            Err(moved) => seen = moved,
        }
    }
}

/// The index in the next slot of the wheel; 0 where the set has no weights.
fn turn_wheel(set: &impl Candidates) -> u32 {
    let Some(wheel) = set.wheel() else { return 0 };
    let turn = set.cursors().weight.fetch_add(1, Ordering::Relaxed);
    let slot = usize::try_from(turn % SLOTS as u64).unwrap_or(0);
    wheel.get(slot).copied().unwrap_or(0)
}

impl Choice {
    /// The choice of a destination that was found otherwise.
    pub fn of(set: &impl Candidates, first: usize, use_default: bool) -> Self {
        let len = set.len();
        choice(first, ring(len, use_default), len)
    }

    /// The same choice, whose walk goes through its own priority first, which begins at `from`, and
    /// then through the higher ones, one after the other.
    pub(super) fn within(self, from: usize) -> Self {
        Choice {
            within: Some(from),
            ..self
        }
    }

    /// The choice and then the failover order: up from it, around the end, usable ones only, and
    /// the destination of last resort at the end, usable or not, unless it drains.
    ///
    /// Lazy: taking `k` of them costs `k` steps, whatever the size of the set.
    ///
    /// Source: `features.md` 3.8.
    pub fn order<'a, C: Candidates>(&self, set: &'a C) -> Order<'a, C> {
        Order {
            set,
            choice: *self,
            at: At::First,
        }
    }
}

/// Iterator over a [`Choice`]'s destinations; see [`Choice::order`].
pub struct Order<'a, C> {
    set: &'a C,
    choice: Choice,
    at: At,
}

impl<C> Clone for Order<'_, C> {
    fn clone(&self) -> Self {
        Order {
            set: self.set,
            choice: self.choice,
            at: self.at,
        }
    }
}

/// Where an [`Order`] is.
#[derive(Clone, Copy)]
enum At {
    First,
    After(usize),
    Before(usize),
    /// The priorities that end below this index.
    Higher(usize),
    /// In a priority: from here, to there, and where it begins.
    Inside(usize, usize, usize),
    End,
}

impl<C: Candidates> Iterator for Order<'_, C> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let Choice {
            first,
            ring,
            within,
            ..
        } = self.choice;
        if let At::First = self.at {
            self.at = At::After(first + 1);
            return Some(first);
        }
        if let At::After(from) = self.at {
            if let Some(index) = self.set.next_usable(from, ring) {
                self.at = At::After(index + 1);
                return Some(index);
            }
            self.at = At::Before(within.unwrap_or(0));
        }
        if let At::Before(from) = self.at {
            if let Some(index) = self.set.next_usable(from, first.min(ring)) {
                self.at = At::Before(index + 1);
                return Some(index);
            }
            self.at = within.map_or(At::End, At::Higher);
            if within.is_none() {
                return self.last_resort();
            }
        }
        self.next_higher()
    }
}

impl<C: Candidates> Order<'_, C> {
    /// Takes the last resort at the end.
    fn last_resort(&mut self) -> Option<usize> {
        let at = self.choice.last_resort?;
        (!self.set.is_draining(at)).then_some(at)
    }

    /// Goes on through the higher priorities.
    fn next_higher(&mut self) -> Option<usize> {
        loop {
            match self.at {
                At::Higher(end) => {
                    let Some(last) = self.set.last_usable(end) else {
                        self.at = At::End;
                        return self.last_resort();
                    };
                    let start = self.set.priority_start(last);
                    self.at = At::Inside(start, last + 1, start);
                }
                At::Inside(from, to, start) => {
                    if let Some(index) = self.set.next_usable(from, to) {
                        self.at = At::Inside(index + 1, to, start);
                        return Some(index);
                    }
                    self.at = At::Higher(start);
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::weight::wheel;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    struct Set {
        /// 0 out, 1 usable, 2 draining.
        states: Vec<u8>,
        cursors: Cursors,
        wheel: Option<Wheel>,
        /// By index: priority, weights by kind, latency.
        priorities: Vec<i32>,
        weights: Vec<u32>,
        latencies: Vec<i32>,
    }

    impl Set {
        fn new(usable: &[u8]) -> Self {
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
        let mut random = StdRng::seed_from_u64(1);
        match choose(set, start, use_default, &mut random) {
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
        let mut random = StdRng::seed_from_u64(1);
        let firsts: Vec<_> = (0..6)
            .map(|_| {
                choose(&set, Start::RoundRobin, false, &mut random)
                    .unwrap()
                    .first
            })
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
            counts[choose(&set, Start::Weight, false, &mut random)
                .unwrap()
                .first] += 1;
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
}

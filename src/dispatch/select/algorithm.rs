//! Choosing: the first destination of a set, then the failover order, one at a time.
//!
//! Everything here is a pure function of what it is given: the set as a [`Candidates`], and where
//! to start.

#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::failover::Rule;
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
    /// 64: round-robin, with overload control.
    Overload,
    /// Any other number: the first usable one, with a warning.
    Unknown(i32),
}

impl Algorithm {
    /// The algorithm that a script's number names.
    #[inline(always)]
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
            64 => Self::Overload,
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
    /// Where this random number falls.
    Random(u32),
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

    /// Number of destinations that a choice may fall on, see [`ring`].
    fn ring(&self, use_default: bool) -> usize {
        ring(self.len(), use_default)
    }

    /// The first usable index in `from..to`.
    fn next_usable(&self, from: usize, to: usize) -> Option<usize>;

    /// The first usable index in `from..to` that takes one more call.
    fn next_with_room(&self, from: usize, to: usize) -> Option<usize> {
        self.next_usable(from, to)
    }

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

    /// Takes a turn of the destination at this index; true when overload control passes it over.
    fn pass_over(&self, _at: usize, _now_us: u64) -> bool {
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
    /// The walk goes through the priority of the first one before it goes through higher ones.
    by_priority: bool,
}

/// Number of destinations that a choice may fall on: all, or all but the one of last resort.
#[must_use]
pub fn ring(len: usize, use_default: bool) -> usize {
    if use_default && len > 1 { len - 1 } else { len }
}

/// Chooses the first destination of `set`, and keeps what is needed to go on from there; `None`
/// when none is usable.
///
/// Source: `features.md` 3.7.1 and 3.7.2.
pub fn choose(set: &impl Candidates, start: Start, use_default: bool) -> Option<Choice> {
    let first = first(set, start, use_default)?;
    Some(Choice::from(set, first, start, use_default))
}

/// The index of the first destination to try; `None` when none is usable.
///
/// From the starting index the walk goes up by one, around the end, to the first usable
/// destination. With `use_default` the last index stays out of the walk and is taken when all
/// others are out. Costs the same for any size of set.
///
/// Source: `features.md` 3.7.1 and 3.7.2.
#[inline(always)]
pub fn first(set: &impl Candidates, start: Start, use_default: bool) -> Option<usize> {
    let ring = set.ring(use_default);
    match start {
        Start::Hash(number) | Start::Random(number) => set.walk(within(number, ring)?, ring),
        Start::First => set.walk(0, ring),
        Start::RoundRobin => take_turn(set, ring),
        Start::Weight => set.walk(within(turn_wheel(set), ring)?, ring),
        Start::RelativeWeight => ranked::by_share(set, ring),
        Start::Ongoing(hash) => set.walk_ongoing(within(hash, ring)?, ring),
        Start::Priority if is_even(set) => take_turn(set, ring),
        Start::Priority => set.walk(0, ring),
        Start::Service => ranked::by_service(set, ring),
        Start::Latency => ranked::by_rank(set, ring).map(|(first, _)| first),
    }
}

/// The index that a hash or a random number falls on; `None` in an empty set.
#[inline(always)]
pub fn home(set: &impl Candidates, number: u32, use_default: bool) -> Option<usize> {
    within(number, set.ring(use_default))
}

/// True when all destinations have one priority, over 0.
fn is_even(set: &impl Candidates) -> bool {
    let Some(last) = set.len().checked_sub(1) else {
        return false;
    };
    set.priority(last) > 0 && set.priority(0) == set.priority(last)
}

/// A number as an index of the ring; `None` when the ring is empty.
#[inline(always)]
fn within(number: u32, ring: usize) -> Option<usize> {
    let number = number as usize;
    // Spares cursors a division: they are in the ring but at its end.
    if number < ring {
        return Some(number);
    }
    number.checked_rem(ring)
}

/// Takes the next turn of the set: each usable destination gets its own, whatever is out between.
/// The last resort, behind the ring, takes nobody's turn.
#[inline(always)]
fn take_turn(set: &impl Candidates, ring: usize) -> Option<usize> {
    let cursor = &set.cursors().round_robin;
    let mut seen = cursor.load(Ordering::Relaxed);
    loop {
        let at = within(seen, ring)?;
        let first = set.walk(at, ring)?;
        if first >= ring {
            return Some(first);
        }
        let next = u32::try_from(first + 1).unwrap_or(0);
        match cursor.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Some(first),
            Err(moved) => seen = moved,
        }
    }
}

/// How many overloaded destinations are passed over at most.
const PASSES: usize = 1_000;

/// Chooses the next one in turn that overload control does not pass over at this time, in
/// microseconds; `None` when all are passed over once.
pub fn choose_open(set: &impl Candidates, use_default: bool, now_us: u64) -> Option<Choice> {
    let ring = ring(set.len(), use_default);
    for _ in 0..ring.min(PASSES) {
        let first = take_turn(set, ring)?;
        if !set.pass_over(first, now_us) {
            return Some(Choice::of(set, first, use_default));
        }
    }
    None
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
        Self::from(set, first, Start::First, use_default)
    }

    /// The choice of the destination that [`first`] found from this start.
    pub fn from(set: &impl Candidates, first: usize, start: Start, use_default: bool) -> Self {
        Choice {
            first,
            ring: ring(set.len(), use_default),
            by_priority: start == Start::Service,
        }
    }

    /// How its failover order goes through the set, for whoever goes on later.
    pub fn rule(&self) -> Rule {
        if self.by_priority {
            Rule::Priorities
        } else {
            Rule::Around
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
            part: Part::First,
            from: self.first + 1,
            to: self.ring,
        }
    }

    /// Where the priority begins that the walk goes through first.
    fn priority(&self, set: &impl Candidates) -> Option<usize> {
        (self.by_priority && self.first < self.ring).then(|| set.priority_start(self.first))
    }
}

/// Iterator over a [`Choice`]'s destinations; see [`Choice::order`].
pub struct Order<'a, C> {
    set: &'a C,
    choice: Choice,
    part: Part,
    /// What is left of the part of the set that it is in.
    from: usize,
    to: usize,
}

impl<C> Clone for Order<'_, C> {
    fn clone(&self) -> Self {
        Order { ..*self }
    }
}

/// The part of the set that an [`Order`] is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before all.
    First,
    /// After the first one.
    After,
    /// Before it, in the ring or in its priority.
    Before,
    /// In the priority that begins here.
    Priority(usize),
    End,
}

impl<C: Candidates> Iterator for Order<'_, C> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.part == Part::First {
            self.part = Part::After;
            return Some(self.choice.first);
        }
        match self.set.next_usable(self.from, self.to) {
            Some(index) => {
                self.from = index + 1;
                Some(index)
            }
            None => self.next_part(),
        }
    }
}

impl<C: Candidates> Order<'_, C> {
    /// The next one, where the part that it is in is at its end.
    #[inline(never)]
    fn next_part(&mut self) -> Option<usize> {
        loop {
            let Choice { first, ring, .. } = self.choice;
            let priority = self.choice.priority(self.set);
            match (self.part, priority) {
                (Part::First | Part::After, _) => {
                    self.part = Part::Before;
                    (self.from, self.to) = (priority.unwrap_or(0), first.min(ring));
                }
                (Part::Before, Some(start)) | (Part::Priority(start), _) => self.go_higher(start),
                (Part::Before, None) => self.part = Part::End,
                (Part::End, _) => return None,
            }
            if self.part == Part::End {
                (self.from, self.to) = (0, 0);
                return self.last_resort();
            }
            if let Some(index) = self.set.next_usable(self.from, self.to) {
                self.from = index + 1;
                return Some(index);
            }
        }
    }

    /// Goes over to the lowest usable priority of those that end below an index.
    fn go_higher(&mut self, end: usize) {
        self.part = Part::End;
        if let Some(last) = self.set.last_usable(end) {
            let start = self.set.priority_start(last);
            self.part = Part::Priority(start);
            (self.from, self.to) = (start, last + 1);
        }
    }

    /// Takes the last resort at the end, where it is not the first one itself.
    fn last_resort(&self) -> Option<usize> {
        let Choice { first, ring, .. } = self.choice;
        let is_there = first < ring && ring < self.set.len() && !self.set.is_draining(ring);
        is_there.then_some(ring)
    }
}

#[cfg(test)]
pub(crate) mod tests;

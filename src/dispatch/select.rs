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
    /// 64: round-robin, with overload control.
    Overload,
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
    /// At the round-robin cursor, passing over who is overloaded at this time, in microseconds.
    Overload(u64),
}

impl Start {
    /// True where choosing goes by weights or ranks, which sets keep only once it is asked for.
    #[must_use]
    pub const fn weighs(self) -> bool {
        matches!(
            self,
            Start::RelativeWeight | Start::Latency | Start::Service
        )
    }
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
        Start::Overload(now_us) => return take_open_turn(set, ring, now_us),
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

/// How many overloaded destinations are passed over at most.
const PASSES: usize = 1_000;

/// Takes the next turn of a destination that overload control does not pass over; `None` when all
/// are passed over once.
fn take_open_turn(set: &impl Candidates, ring: usize, now_us: u64) -> Option<Choice> {
    for _ in 0..ring.min(PASSES) {
        let choice = take_turn(set, ring)?;
        if !set.pass_over(choice.first, now_us) {
            return Some(choice);
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
mod tests;

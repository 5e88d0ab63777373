//! The selection of the first destination of a set, by each of the algorithms.
//!
//! There is no I/O, no clock and no allocation here. What a selection changes are the cursors of the set.

use super::candidates::Candidates;
use super::failover::{Order, following};
use super::{ranks, shares};

/// How `ds_select_*` selects (doc/reference/functions.md). Each variant begins with the number that scripts use.
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
    /// 8: the first usable destination.
    First,
    /// 9: by `weight`.
    Weight,
    /// 10: the destination with the fewest calls.
    CallLoad,
    /// 11: by `rweight` among the usable destinations.
    RelativeWeight,
    /// 12: all usable destinations at once.
    Parallel,
    /// 13: by priority less the cost of latency.
    Latency,
    /// 14: round-robin if all have one priority above 0, else the first usable destination.
    Priority,
    /// 15: by `weight` within the lowest priority.
    Service,
    /// 64: round-robin, with overload control.
    Overload,
    /// Any other number: by rendezvous hashing if it has a [`KeyText`], else the first usable destination, with a warning.
    Unknown(i32),
}

impl Algorithm {
    /// Returns the algorithm with this number.
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

/// The text of a request that rendezvous hashing selects by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyText {
    /// The Call-ID.
    CallId,
    /// The From URI.
    From,
    /// The To URI.
    To,
    /// The Request-URI.
    RequestUri,
    /// The user name of the credentials.
    AuthUser,
    /// The text of `hash_pvar`.
    Pvar,
}

impl KeyText {
    /// Returns the text of an algorithm's number; `None` if that is not one of rendezvous hashing.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        match number {
            100 => Some(Self::CallId),
            101 => Some(Self::From),
            102 => Some(Self::To),
            103 => Some(Self::RequestUri),
            105 => Some(Self::AuthUser),
            107 => Some(Self::Pvar),
            _ => None,
        }
    }
}

/// The start of a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the destination that a hash value falls on.
    Hash(u32),
    /// As [`Start::Hash`], for a request inside a dialog, which draining destinations still get.
    InDialog(u32),
    /// At the set's round-robin cursor.
    RoundRobin,
    /// At the destination that this random number falls on.
    Random(u32),
    /// At the first one.
    First,
    /// At the next one of the set's weight slots.
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

/// The destination that was selected, and how failover goes on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The index of the destination.
    pub at: usize,
    /// The failover order.
    pub order: Order,
}

impl Choice {
    /// Returns the selected destination and then the failover order, one by one.
    pub fn order<C: Candidates>(self, set: &C) -> impl Iterator<Item = usize> {
        self.before(following(set, self.order, self.at))
    }

    /// Returns the selected destination and then the others of an order.
    pub fn before(self, order: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
        core::iter::once(self.at).chain(order.filter(move |&at| at != self.at))
    }
}

/// Selects the first destination of `set` to try; `None` when none is usable.
///
/// From the starting index the search goes up by one, around the end, to the first usable candidate. The default
/// destination is selected when no candidate is usable. The cost does not depend on the size of the set.
#[inline(always)]
pub fn choose(set: &impl Candidates, start: Start) -> Option<Choice> {
    let order = match start {
        Start::Latency => {
            let (at, turn) = ranks::by_rank(set)?;
            let order = Order::Ranks(turn);
            return Some(Choice { at, order });
        }
        Start::Service => Order::Priorities,
        _ => Order::Around,
    };
    let end = set.candidate_count();
    let at = match start {
        Start::Hash(number) | Start::Random(number) => set.walk(within(number as usize, end)?),
        Start::InDialog(hash) => walk_in_dialog(set, within(hash as usize, end)?),
        Start::RoundRobin => take_turn(set),
        Start::Weight => set.walk(within(take_slot(set), end)?),
        Start::RelativeWeight => shares::by_share(set),
        Start::Priority if is_even(set) => take_turn(set),
        Start::Service => shares::by_service(set),
        Start::First | Start::Priority | Start::Latency => set.walk(0),
    }?;
    Some(Choice { at, order })
}

/// Returns the index that a hash falls on; `None` in an empty set.
#[inline(always)]
pub fn home(set: &impl Candidates, hash: u32) -> Option<usize> {
    within(hash as usize, set.candidate_count())
}

/// The most overloaded destinations that are passed over.
const PASSES: usize = 1_000;

/// Selects the next destination in turn that `passes_over` does not pass over; `None` when all were passed over once.
pub fn choose_open(set: &impl Candidates, passes_over: impl Fn(usize) -> bool) -> Option<Choice> {
    for _ in 0..set.candidate_count().min(PASSES) {
        let at = take_turn(set)?;
        if !passes_over(at) {
            let order = Order::Around;
            return Some(Choice { at, order });
        }
    }
    None
}

/// Returns true when all destinations have one priority above 0.
pub(crate) fn is_even(set: &impl Candidates) -> bool {
    let Some(last) = set.len().checked_sub(1) else {
        return false;
    };
    set.priority(last) > 0 && set.priority(0) == set.priority(last)
}

/// Returns the index below `end` that a number falls on; `None` when there is no index.
#[inline(always)]
fn within(number: usize, end: usize) -> Option<usize> {
    // Spares most cursors a division.
    if number < end {
        return Some(number);
    }
    number.checked_rem(end)
}

/// Takes the next turn of the set: each usable candidate gets its own, however many between are out.
#[inline(always)]
fn take_turn(set: &impl Candidates) -> Option<usize> {
    let end = set.candidate_count();
    set.cursors()
        .take_turn(end, |seen| set.walk(within(seen, end)?))
}

/// Returns the index in the next weight slot; 0 when no destination has a weight.
fn take_slot(set: &impl Candidates) -> usize {
    let Some(slots) = set.weight_slots() else {
        return 0;
    };
    let slot = slots.get(set.cursors().take_slot());
    slot.map_or(0, |&at| at as usize)
}

/// Searches as [`Candidates::walk`] does, but draining destinations are found, too.
fn walk_in_dialog(set: &impl Candidates, at: usize) -> Option<usize> {
    let end = set.candidate_count();
    let serving = |(from, to)| {
        let draining = set.next_draining(from, to);
        set.next_usable(from, to).into_iter().chain(draining).min()
    };
    [(at, end), (0, at)]
        .into_iter()
        .find_map(serving)
        .or_else(|| set.walk(at))
        .or_else(|| set.next_draining(end, set.len()))
}

#[cfg(test)]
pub(crate) mod tests;

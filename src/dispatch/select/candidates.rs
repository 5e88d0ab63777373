//! A set as a selection sees it: destinations by index, and what the algorithms ask about them.

use super::turns::{Cursors, Weights};
use super::weight_slots::Slots;

/// A set, in the order of its indices: the highest priority comes first.
pub trait Candidates {
    /// Returns the number of destinations, usable or not.
    fn len(&self) -> usize;

    /// Returns the number of candidates, see [`candidate_count`].
    fn candidate_count(&self) -> usize;

    /// Returns the first usable index in `from..to`.
    fn next_usable(&self, from: usize, to: usize) -> Option<usize>;

    /// Returns the first index in `from..to` whose destination drains and does nothing worse.
    fn next_draining(&self, from: usize, to: usize) -> Option<usize>;

    /// Returns the last usable index below `to`.
    fn last_usable(&self, to: usize) -> Option<usize>;

    /// Returns the first usable candidate at or after `at`, around the end; if none is usable, the default destination,
    /// if that is.
    ///
    /// This is one search, so that a set whose states change meanwhile can answer as of one moment.
    fn walk(&self, at: usize) -> Option<usize>;

    /// Returns the cursors of the set.
    fn cursors(&self) -> &Cursors;

    /// Returns the weight slots of algorithm 9; `None` when no destination has a weight.
    fn weight_slots(&self) -> Option<&Slots>;

    /// Returns the sum of the weights of the usable candidates below `to`; `None` when no destination has such a
    /// weight, usable or not.
    fn weight_below(&self, by: Weights, to: usize, exact: bool) -> Option<u32>;

    /// Returns the candidate whose weight covers this point of the sum.
    fn at_weight(&self, by: Weights, point: u32, exact: bool) -> Option<usize>;

    /// Returns true if the sums of weights are `exact` now. If they are not, each destination is asked for its weight.
    fn sums_are_exact(&self) -> bool;

    /// Returns the identities of all destinations in order, see [`identity`](crate::dispatch::balance::identity).
    fn identities(&self) -> &[u64];

    /// Returns the listed relative weights of all destinations in order; none if no destination has one.
    fn relative_weights(&self) -> &[u8];

    /// Returns the priority of a destination.
    fn priority(&self, at: usize) -> i32;

    /// Returns the best rank of the usable candidates; with `below`, the best one below it. See
    /// [`rank`](super::ranks::rank).
    fn best_rank(&self, below: Option<u32>) -> Option<u32>;

    /// Returns the rank of a candidate; `None` when it is not usable.
    fn rank(&self, at: usize) -> Option<u32>;

    /// Returns the first candidate of exactly this rank in `from..to`.
    fn next_of_rank(&self, rank: u32, from: usize, to: usize) -> Option<usize>;
}

/// Returns how many of `len` destinations are candidates: all, or with `use_default` all but the last one, which is
/// the default destination. A lone destination is always a candidate.
#[must_use]
pub fn candidate_count(len: usize, use_default: bool) -> usize {
    if use_default && len > 1 { len - 1 } else { len }
}

/// Returns true when a selection may fall on the destination at this index.
pub fn is_usable(set: &impl Candidates, at: usize) -> bool {
    set.next_usable(at, at + 1).is_some()
}

/// Returns the index at which the priority of this destination begins.
pub fn priority_start(set: &impl Candidates, at: usize) -> usize {
    let priority = set.priority(at);
    let (mut low, mut high) = (0, at);
    while low < high {
        let middle = usize::midpoint(low, high);
        if set.priority(middle) > priority {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    high
}

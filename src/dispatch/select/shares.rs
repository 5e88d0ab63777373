//! The algorithms that share calls by weight: by relative weights (11), and by weight within a priority (15).

use super::candidates::{Candidates, is_usable, priority_start};
use super::turns::Weights;

/// The number of times that a selection is tried while states change under it.
pub(super) const RETRIES: usize = 64;

/// Takes the next turn among the usable candidates from `from` on, one after the other.
fn take_turn(set: &impl Candidates, from: usize) -> Option<usize> {
    let end = set.candidate_count();
    set.cursors().take_turn(end, |seen| {
        let at = if (from..end).contains(&seen) {
            seen
        } else {
            from
        };
        set.next_usable(at, end)
            .or_else(|| set.next_usable(from, at))
    })
}

/// Takes the next turn of the weights of the candidates from `from` on; `None` when none of them has a share.
#[inline]
fn take_share(set: &impl Candidates, by: Weights, from: usize) -> Option<usize> {
    let end = set.candidate_count();
    for _ in 0..RETRIES {
        let exact = set.sums_are_exact();
        let before = match from {
            0 => 0,
            from => set.weight_below(by, from, exact)?,
        };
        let whole = set.weight_below(by, end, exact)?.saturating_sub(before);
        if whole == 0 {
            return None;
        }
        let point = set.cursors().take_point(by, whole);
        let found = set.at_weight(by, before.saturating_add(point), exact);
        // A destination whose state changes just now may still have a weight.
        if let Some(at) = found.filter(|&at| at >= from && is_usable(set, at)) {
            return Some(at);
        }
    }
    None
}

/// Selects by relative weights (algorithm 11). If no destination has one, the first usable one is selected; if those
/// that have one are out or have given their shares away, the others take turns.
#[inline(always)]
pub fn by_share(set: &impl Candidates) -> Option<usize> {
    take_share(set, Weights::Relative, 0).or_else(|| without_share(set))
}

#[cold]
fn without_share(set: &impl Candidates) -> Option<usize> {
    let in_turn = |_| take_turn(set, 0);
    let weighted = set.weight_below(Weights::Relative, 0, true);
    weighted.and_then(in_turn).or_else(|| set.walk(0))
}

/// Selects by weight among the destinations of the lowest usable priority (algorithm 15); without weights they take
/// turns.
#[inline(never)]
pub fn by_service(set: &impl Candidates) -> Option<usize> {
    for _ in 0..RETRIES {
        let Some(last) = set.last_usable(set.candidate_count()) else {
            break;
        };
        let from = priority_start(set, last);
        let found = take_share(set, Weights::Service, from).or_else(|| take_turn(set, from));
        if found.is_some() {
            return found;
        }
    }
    set.walk(0)
}

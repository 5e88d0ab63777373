//! The algorithms that compare destinations: shares of weights (11 and 15), and ranks by priority and latency (13).

use super::candidates::{Candidates, Weights, is_usable, priority_start};

/// The number of times that a selection is tried while states change under it.
const RETRIES: usize = 64;

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
        let before = match from {
            0 => 0,
            from => set.weight_below(by, from)?,
        };
        let whole = set.weight_below(by, end)?.saturating_sub(before);
        if whole == 0 {
            return None;
        }
        let point = set.cursors().take_point(by, whole);
        let found = set.at_weight(by, before.saturating_add(point));
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
    let weighted = set.weight_below(Weights::Relative, 0);
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

/// Returns what a destination is worth for algorithm 13: its priority, less what its latency costs.
#[must_use]
pub fn effective_priority(priority: i32, latency_ms: i32) -> i32 {
    if priority > 0 && latency_ms > priority {
        (priority - latency_ms / priority).max(1)
    } else {
        priority
    }
}

/// Returns the rank of an effective priority: in the same order, and never 0.
#[must_use]
pub fn rank(priority: i32) -> u32 {
    let above_least = i64::from(priority) - i64::from(i32::MIN);
    u32::try_from(above_least).unwrap_or(u32::MAX).max(1)
}

/// Selects the best rank (algorithm 13); destinations of equal rank take turns. Returns the destination, and the index
/// from which equal ranks were searched.
#[inline(never)]
pub fn by_rank(set: &impl Candidates) -> Option<(usize, usize)> {
    let end = set.candidate_count();
    for _ in 0..RETRIES {
        let Some(best) = set.best_rank(None) else {
            break;
        };
        let mut turn = 0;
        let found = set.cursors().take_turn(end, |seen| {
            turn = seen.checked_rem(end)?;
            set.next_of_rank(best, turn, end)
                .or_else(|| set.next_of_rank(best, 0, turn))
                .filter(|&at| is_usable(set, at))
        });
        if let Some(found) = found {
            return Some((found, turn));
        }
    }
    Some((set.walk(0)?, 0))
}

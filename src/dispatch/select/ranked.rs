//! Choosing by what destinations are worth: shares of weights (algorithms 11 and 15) and ranks by
//! priority and latency (13).

#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use super::algorithm::Candidates;
use super::share::Turns;

/// How often a choice is repeated while states change under it.
const RETRIES: usize = 64;

/// Up to so many results by rank are looked up one by one; for more all are sorted.
const FEW: usize = 16;

/// The weights that shares go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// The attribute `rweight`, as congestion control leaves it: algorithm 11.
    Relative,
    /// The attribute `weight`, within a priority: algorithm 15.
    Srv,
}

/// Takes the next turn among the usable destinations of `from..ring`, each its own.
fn take_turn(set: &impl Candidates, from: usize, ring: usize) -> Option<usize> {
    let cursor = &set.cursors().round_robin;
    let mut seen = cursor.load(Relaxed);
    loop {
        let at = Some(seen as usize).filter(|at| (from..ring).contains(at));
        let at = at.unwrap_or(from);
        let found = set
            .next_usable(at, ring)
            .or_else(|| set.next_usable(from, at))?;
        let next = u32::try_from(found + 1).unwrap_or(0);
        match cursor.compare_exchange_weak(seen, next, Relaxed, Relaxed) {
            Ok(_) => return Some(found),
            Err(moved) => seen = moved,
        }
    }
}

/// Takes the next turn of the weights of `from..ring`; `None` when nobody there has a share.
fn take_share(
    set: &impl Candidates,
    by: Weights,
    turns: &Turns,
    from: usize,
    ring: usize,
) -> Option<usize> {
    for _ in 0..RETRIES {
        let before = set.weight_below(by, from);
        let whole = set.weight_below(by, ring).saturating_sub(before);
        if whole == 0 {
            return None;
        }
        let point = before.saturating_add(turns.next(whole));
        let found = set
            .at_weight(by, point)
            .filter(|at| (from..ring).contains(at));
        // Out by its record though it still has a weight: its state changes just now.
        if let Some(at) = found.filter(|&at| set.next_usable(at, at + 1).is_some()) {
            return Some(at);
        }
    }
    None
}

/// Algorithm 11: by relative weights. Where no destination has one, the first; where those that
/// have one are out or give up their shares, the others in turn.
///
/// Source: `features.md` 3.7.3; field reports W7.
#[inline(always)]
pub fn by_share(set: &impl Candidates, ring: usize) -> Option<usize> {
    let turns = set.cursors().turns(Weights::Relative);
    let in_turn = || {
        let weighted = set.is_weighted(Weights::Relative);
        weighted.then(|| take_turn(set, 0, ring)).flatten()
    };
    take_share(set, Weights::Relative, turns, 0, ring)
        .or_else(in_turn)
        .or_else(|| set.walk(0, ring))
}

/// Algorithm 15: of the lowest priority that is usable, by weight; without weights in turn.
///
/// Source: `features.md` 2.5; RFC 2782.
#[inline(never)]
pub fn by_service(set: &impl Candidates, ring: usize) -> Option<usize> {
    for _ in 0..RETRIES {
        let Some(last) = set.last_usable(ring) else {
            break;
        };
        let from = set.priority_start(last);
        let turns = set.cursors().turns(Weights::Srv);
        let found =
            take_share(set, Weights::Srv, turns, from, ring).or_else(|| take_turn(set, from, ring));
        if found.is_some() {
            return found;
        }
    }
    set.walk(0, ring)
}

/// What a destination is worth for algorithm 13: its priority, less what its latency costs.
///
/// Source: `features.md` 3.7.4.
#[must_use]
pub fn effective_priority(priority: i32, latency_ms: i32) -> i32 {
    if priority > 0 && latency_ms > priority {
        (priority - latency_ms / priority).max(1)
    } else {
        priority
    }
}

/// The rank of an effective priority: in the same order, and never 0.
#[must_use]
pub fn rank(priority: i32) -> u32 {
    let above_least = i64::from(priority) - i64::from(i32::MIN);
    u32::try_from(above_least).unwrap_or(u32::MAX).max(1)
}

/// Algorithm 13: the best rank; of equal ones the next in turn. With it the turn that was taken.
#[inline(never)]
pub fn by_rank(set: &impl Candidates, ring: usize) -> Option<(usize, usize)> {
    let cursor = &set.cursors().round_robin;
    let mut seen = cursor.load(Relaxed);
    for _ in 0..RETRIES {
        let at = (seen as usize).checked_rem(ring)?;
        let Some(found) = set.best(at, ring) else {
            break;
        };
        if set.next_usable(found, found + 1).is_none() {
            seen = cursor.load(Relaxed);
            continue;
        }
        let next = u32::try_from(found + 1).unwrap_or(0);
        match cursor.compare_exchange_weak(seen, next, Relaxed, Relaxed) {
            Ok(_) => return Some((found, at)),
            Err(moved) => seen = moved,
        }
    }
    Some((set.walk(0, ring)?, 0))
}

/// The failover order of algorithm 13, the chosen one first: by rank, and equal ranks from the turn
/// on. At most `limit` of them.
pub fn order_by_rank(
    set: &impl Candidates,
    ring: usize,
    (first, turn): (usize, usize),
    limit: usize,
) -> Vec<usize> {
    let ring = ring.max(1);
    let mut found = if limit == 0 {
        vec![]
    } else if limit <= FEW {
        best_few(set, ring, turn, limit)
    } else {
        let ranks = (0..ring).filter_map(|at| Some((set.rank(at)?, at)));
        let mut ranks: Vec<(u32, usize)> = ranks.collect();
        let steps = |at: usize| (at + ring - turn % ring) % ring;
        ranks.sort_unstable_by_key(|&(rank, at)| (core::cmp::Reverse(rank), steps(at)));
        ranks.into_iter().map(|(_, at)| at).collect()
    };
    // States may have changed since the choice.
    found.retain(|&at| at != first);
    if limit > 0 {
        found.insert(0, first);
    }
    if first < ring && ring < set.len() && !set.is_draining(ring) {
        found.push(ring);
    }
    found.truncate(limit);
    found
}

/// The best ones, one rank after the other.
fn best_few(set: &impl Candidates, ring: usize, turn: usize, limit: usize) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::with_capacity(limit);
    let mut below = u32::MAX;
    while found.len() < limit {
        // The best rank under the last one: what is better has been found already.
        let rest = set.best_below(below, ring);
        let Some(rank) = rest else { break };
        for range in [turn..ring, 0..turn] {
            let mut from = range.start;
            while let Some(at) = set.next_of_rank(rank, from, range.end) {
                if found.len() == limit {
                    return found;
                }
                found.push(at);
                from = at + 1;
            }
        }
        below = rank;
    }
    found
}

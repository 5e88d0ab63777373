//! The algorithm that compares ranks: priorities less what latencies cost (13).

use core::cmp::Reverse;

use super::candidates::{Candidates, is_usable};
use super::shares::RETRIES;

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

/// Returns the failover order by ranks, best first; equal ranks from the index `turn` on, around the end. The default
/// destination comes last, unless it drains.
pub fn sorted(set: &impl Candidates, turn: usize) -> Vec<usize> {
    let end = set.candidate_count();
    let usable = (0..end).filter_map(|at| Some((Reverse(set.rank(at)?), at < turn, at)));
    let mut ranks: Vec<_> = usable.collect();
    ranks.sort_unstable();
    let default = Some(end).filter(|&at| at < set.len() && set.next_draining(at, at + 1).is_none());
    ranks
        .into_iter()
        .map(|(.., at)| at)
        .chain(default)
        .collect()
}

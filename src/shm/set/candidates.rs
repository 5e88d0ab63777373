//! A view as selections see it.
//!
//! A bit of a bitmap is only a hint: the record is asked before a destination is returned, and "nothing" is returned
//! only if no state changed during the search.

use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::select::turns::Cursors;
use crate::dispatch::select::turns::Weights;
use crate::dispatch::select::weight_slots::Slots;
use crate::dispatch::state::transition::State;

use super::ranks;
use super::view::{RETRIES, View};

impl View {
    /// Returns the first usable position in `from..to`, by the bitmap.
    #[inline(never)]
    fn next_usable_bit(&self, from: usize, to: usize) -> Option<usize> {
        self.usable.set_in(from, to).find(|&at| self.is_usable(at))
    }

    /// Returns true when the destination at a position drains, and nothing worse.
    pub fn is_draining(&self, at: usize) -> bool {
        self.dest(at).is_some_and(|dest| {
            let state = dest.record().state();
            state.contains(State::DRAINING) && state.serves_calls(self.unusable)
        })
    }

    /// Takes a turn of the destination at a position. Returns true if overload control passes it over.
    pub fn passes_over(&self, at: usize, now_us: u64) -> bool {
        let overload = self.dest(at).and_then(|dest| dest.record().overload());
        overload.is_some_and(|overload| overload.pass_over(now_us))
    }

    /// Goes on with a walk whose first step found nothing.
    #[inline(never)]
    fn walk_on(&self, at: usize) -> Option<usize> {
        let found = self.next_usable_bit(at, self.candidate_count());
        found.or_else(|| self.walk_around(at))
    }

    /// Goes on with a walk that found nothing up to the end of the candidates.
    ///
    /// A search takes several steps, and one destination may come up behind it just before another one goes down ahead
    /// of it. "Nothing", or the default destination, is the answer only if all candidates were out at one moment.
    #[inline(never)]
    fn walk_around(&self, at: usize) -> Option<usize> {
        let end = self.candidate_count();
        let parts = [at..end, 0..at, end..self.len()];
        let by_bitmap = || {
            parts
                .iter()
                .find_map(|part| self.next_usable_bit(part.start, part.end))
        };
        let by_records = || {
            parts
                .iter()
                .find_map(|part| part.clone().find(|&at| self.is_usable(at)))
        };
        let mut found = by_bitmap();
        for _ in 0..RETRIES {
            if found.is_some_and(|at| at < end) {
                break;
            }
            let changes = self.record().changes();
            found = if self.is_settled() {
                by_bitmap()
            } else {
                by_records()
            };
            if self.record().changes() == changes {
                break;
            }
        }
        found
    }
}

impl Candidates for View {
    #[inline]
    fn len(&self) -> usize {
        self.dest_count()
    }

    #[inline]
    fn candidate_count(&self) -> usize {
        self.candidates as usize
    }

    #[inline]
    fn next_usable(&self, from: usize, to: usize) -> Option<usize> {
        if from < to && self.is_usable(from) {
            return Some(from);
        }
        self.next_usable_bit(from, to)
    }

    fn next_draining(&self, from: usize, to: usize) -> Option<usize> {
        let mut draining = self.draining.set_in(from, to);
        draining.find(|&at| self.is_draining(at))
    }

    fn last_usable(&self, to: usize) -> Option<usize> {
        let mut to = to;
        loop {
            let at = self.usable.last(to)?;
            if self.is_usable(at) {
                return Some(at);
            }
            to = at;
        }
    }

    #[inline(always)]
    fn walk(&self, at: usize) -> Option<usize> {
        if at < self.candidate_count() && self.is_usable(at) {
            return Some(at);
        }
        self.walk_on(at)
    }

    fn cursors(&self) -> &Cursors {
        &self.record().cursors
    }

    fn weight_slots(&self) -> Option<&Slots> {
        self.weight_slots.get().first()
    }

    fn weight_below(&self, by: Weights, to: usize) -> Option<u32> {
        let weights = self.ranks.weights(by);
        (!weights.is_empty()).then(|| weights.below(to))
    }

    fn at_weight(&self, by: Weights, point: u32) -> Option<usize> {
        self.ranks.weights(by).find(point)
    }

    fn priority(&self, at: usize) -> i32 {
        self.dest(at).map_or(0, |dest| dest.priority)
    }

    fn best_rank(&self, below: Option<u32>) -> Option<u32> {
        // The default destination has no rank.
        let ranks = self.ranks.best();
        let best = below.map_or_else(|| ranks.greatest(), |below| ranks.greatest_below(below));
        Some(best).filter(|&rank| rank > 0)
    }

    fn rank(&self, at: usize) -> Option<u32> {
        Some(ranks::rank(self, at)).filter(|&rank| rank > 0)
    }

    fn next_of_rank(&self, rank: u32, from: usize, to: usize) -> Option<usize> {
        let mut best = self.ranks.best().at_least(rank, from, to);
        best.find(|&at| ranks::rank(self, at) == rank)
    }
}

//! A set as choosing sees it.
//!
//! A bit of a bitmap is only a hint, and the record is asked before it is an answer. "Nothing" is an
//! answer only if no state changed while it was found.

use crate::dispatch::select::algorithm::{Candidates, Cursors};
use crate::dispatch::select::ranked::Weights;
use crate::dispatch::select::weight::Wheel;
use crate::dispatch::state::transition::State;

use super::ranks;
use super::view::{RETRIES, View};

impl View {
    /// Returns the first usable position of `from..to`, by the bitmap.
    #[inline(never)]
    fn next_usable_bit(&self, from: usize, to: usize) -> Option<usize> {
        let mut from = from;
        while from < to {
            let at = self.usable.next(from).filter(|&at| at < to)?;
            if self.is_usable(at) {
                return Some(at);
            }
            from = at + 1;
        }
        None
    }

    /// Returns the first draining position of `from..to`.
    fn next_draining(&self, from: usize, to: usize) -> Option<usize> {
        let mut from = from;
        while from < to {
            let at = self.draining.next(from).filter(|&at| at < to)?;
            if self.is_draining(at) {
                return Some(at);
            }
            from = at + 1;
        }
        None
    }

    /// Goes on with a walk whose first step found nothing.
    #[inline(never)]
    fn walk_on(&self, at: usize, ring: usize) -> Option<usize> {
        let found = self.next_usable_bit(at, ring);
        found.or_else(|| self.walk_around(at, ring))
    }

    /// Goes on with a walk that found nothing up to the end of the candidates.
    ///
    /// A search takes several steps, and one destination may come up behind it just before another
    /// one goes down ahead of it. Nothing, or the default destination, is the answer only if all
    /// candidates were out at one moment.
    #[inline(never)]
    fn walk_around(&self, at: usize, ring: usize) -> Option<usize> {
        let parts = [at..ring, 0..at, ring..self.len()];
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
            if found.is_some_and(|at| at < ring) {
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
    fn ring(&self, _use_default: bool) -> usize {
        // Views are built by the same rule.
        self.ring as usize
    }

    #[inline]
    fn next_usable(&self, from: usize, to: usize) -> Option<usize> {
        if from < to && self.is_usable(from) {
            return Some(from);
        }
        self.next_usable_bit(from, to)
    }

    fn next_with_room(&self, from: usize, to: usize) -> Option<usize> {
        self.first_room(from, to)
    }

    #[inline(always)]
    fn walk(&self, at: usize, ring: usize) -> Option<usize> {
        if at < ring && self.is_usable(at) {
            return Some(at);
        }
        self.walk_on(at, ring)
    }

    fn walk_ongoing(&self, at: usize, ring: usize) -> Option<usize> {
        let draining = self
            .next_draining(at, ring)
            .or_else(|| self.next_draining(0, at))
            .or_else(|| self.next_draining(ring, self.len()));
        // Steps of the walk to a position; the default destination comes last.
        let steps = |&found: &usize| match found {
            found if found >= ring => found,
            found if found >= at => found - at,
            found => found + ring - at,
        };
        let found = [self.walk(at, ring), draining].into_iter().flatten();
        found.min_by_key(steps)
    }

    fn is_draining(&self, at: usize) -> bool {
        self.dest(at).is_some_and(|dest| {
            let state = dest.record().state();
            state.contains(State::DRAINING) && state.serves_calls(self.unusable)
        })
    }

    fn cursors(&self) -> &Cursors {
        &self.record().cursors
    }

    fn wheel(&self) -> Option<&Wheel> {
        self.wheel.get().first()
    }

    fn pass_over(&self, at: usize, now_us: u64) -> bool {
        let overload = self.dest(at).and_then(|dest| dest.record().overload());
        overload.is_some_and(|overload| overload.pass_over(now_us))
    }

    fn weight_below(&self, by: Weights, to: usize) -> u32 {
        self.ranks.weights(by).below(to)
    }

    fn at_weight(&self, by: Weights, point: u32) -> Option<usize> {
        self.ranks.weights(by).find(point)
    }

    fn is_weighted(&self, by: Weights) -> bool {
        !self.ranks.weights(by).is_empty()
    }

    fn priority(&self, at: usize) -> i32 {
        self.dest(at).map_or(0, |dest| dest.priority)
    }

    fn priority_start(&self, at: usize) -> usize {
        let priority = self.priority(at);
        self.partition_point(|dest| dest.priority > priority)
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

    fn rank(&self, at: usize) -> Option<u32> {
        Some(ranks::rank(self, at)).filter(|&rank| rank > 0)
    }

    fn best(&self, at: usize, ring: usize) -> Option<usize> {
        let ranks = self.ranks.best();
        let best = Some(ranks.greatest()).filter(|&best| best > 0)?;
        ranks
            .next(best, at, ring)
            .or_else(|| ranks.next(best, 0, at))
    }

    fn best_below(&self, rank: u32, _ring: usize) -> Option<u32> {
        // The default destination, behind the ring, has no rank.
        Some(self.ranks.best().greatest_below(rank)).filter(|&rank| rank > 0)
    }

    fn next_of_rank(&self, rank: u32, from: usize, to: usize) -> Option<usize> {
        let mut from = from;
        loop {
            let at = self.ranks.best().next(rank, from, to)?;
            if ranks::rank(self, at) == rank {
                return Some(at);
            }
            from = at + 1;
        }
    }
}

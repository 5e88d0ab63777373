//! A view as selections see it.
//!
//! Bitmaps and trees are only hints: the record is asked before a destination is returned. That they have nothing to
//! offer, or nothing before what they offer, is believed only if no change was under way during the search. Else the
//! records are asked: a process that is held up, for however long, while it follows a change hides no destination.

use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::select::turns::Cursors;
use crate::dispatch::select::turns::Weights;
use crate::dispatch::select::weight_slots::Slots;
use crate::dispatch::state::transition::State;

use super::ranks;
use super::view::{RETRIES, View};

impl View {
    /// Returns the first usable position in `from..to`.
    #[inline(never)]
    fn find_usable(&self, from: usize, to: usize) -> Option<usize> {
        let ended = self.record().changes_ended();
        let found = self.usable.set_in(from, to).find(|&at| self.is_usable(at));
        if self.agrees_since(ended) {
            return found;
        }
        self.scan(from, found.unwrap_or(to), View::is_usable)
            .or(found)
    }

    /// Returns the first position in `from..to` that `fits`, by the records alone.
    #[cold]
    fn scan(&self, from: usize, to: usize, fits: fn(&Self, usize) -> bool) -> Option<usize> {
        (from..to.min(self.dest_count())).find(|&at| fits(self, at))
    }

    /// Returns true when the destination at a position drains, and nothing worse.
    pub fn is_draining(&self, at: usize) -> bool {
        self.dest(at).is_some_and(|dest| {
            let state = dest.record().state();
            state.contains(State::DRAINING) && state.serves_calls(self.unusable)
        })
    }

    /// Returns the sum of the shares below `to`, by the records alone.
    #[cold]
    #[inline(never)]
    fn sum_shares(&self, by: Weights, to: usize) -> u32 {
        let shares = (0..to.min(self.dest_count())).map(|at| self.ranks.share(self, by, at));
        shares.fold(0, u32::wrapping_add)
    }

    /// Returns the destination whose share covers this point of the sum, by the records alone.
    #[cold]
    #[inline(never)]
    fn scan_shares(&self, by: Weights, point: u32) -> Option<usize> {
        let mut left = point;
        (0..self.dest_count()).find(|&at| {
            let share = self.ranks.share(self, by, at);
            let covers = left < share;
            left = left.saturating_sub(share);
            covers
        })
    }

    /// Returns the best rank, or the best one below another, by the records alone.
    #[cold]
    fn scan_best_rank(&self, below: Option<u32>) -> u32 {
        let ranks = (0..self.candidate_count()).map(|at| ranks::rank(self, at));
        let ranks = ranks.filter(|&rank| below.is_none_or(|below| rank < below));
        ranks.max().unwrap_or(0)
    }

    /// Takes a turn of the destination at a position. Returns true if overload control passes it over.
    pub fn passes_over(&self, at: usize, now_us: u64) -> bool {
        let overload = self.dest(at).and_then(|dest| dest.record().overload());
        overload.is_some_and(|overload| overload.pass_over(now_us))
    }

    /// Goes on with a walk whose first step found nothing.
    #[inline(never)]
    fn walk_on(&self, at: usize) -> Option<usize> {
        let found = self.find_usable(at, self.candidate_count());
        found.or_else(|| self.walk_around(at))
    }

    /// Goes on with a walk that found nothing up to the end of the candidates.
    ///
    /// A search takes several steps, and one destination may come up behind it just before another one goes down ahead
    /// of it. "Nothing", or the default destination, is the answer only if all candidates were out at one moment.
    #[inline(never)]
    fn walk_around(&self, at: usize) -> Option<usize> {
        let end = self.candidate_count();
        let parts = [(at, end), (0, at), (end, self.len())];
        let search = || {
            parts
                .into_iter()
                .find_map(|(from, to)| self.find_usable(from, to))
        };
        let mut found = None;
        for _ in 0..RETRIES {
            let changes = self.record().changes();
            found = search();
            if found.is_some_and(|at| at < end) || self.record().changes() == changes {
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
        if from >= to || self.is_usable(from) {
            return (from < to).then_some(from);
        }
        self.find_usable(from, to)
    }

    fn next_draining(&self, from: usize, to: usize) -> Option<usize> {
        let ended = self.record().changes_ended();
        let mut draining = self.draining.set_in(from, to);
        let found = draining.find(|&at| self.is_draining(at));
        if self.agrees_since(ended) {
            return found;
        }
        self.scan(from, found.unwrap_or(to), View::is_draining)
            .or(found)
    }

    fn last_usable(&self, to: usize) -> Option<usize> {
        let ended = self.record().changes_ended();
        let before = |&at: &usize| self.usable.last(at);
        let mut found = core::iter::successors(self.usable.last(to), before);
        let found = found.find(|&at| self.is_usable(at));
        if self.agrees_since(ended) {
            return found;
        }
        let behind = found.map_or(0, |at| at + 1);
        let last = (behind..to).rev().find(|&at| self.is_usable(at));
        last.or(found)
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

    #[inline]
    fn weight_below(&self, by: Weights, to: usize, exact: bool) -> Option<u32> {
        let weights = self.ranks.weights(by);
        if weights.is_empty() {
            return None;
        }
        Some(if exact {
            weights.below(to)
        } else {
            self.sum_shares(by, to)
        })
    }

    #[inline]
    fn at_weight(&self, by: Weights, point: u32, exact: bool) -> Option<usize> {
        if exact {
            self.ranks.weights(by).find(point)
        } else {
            self.scan_shares(by, point)
        }
    }

    #[inline]
    fn sums_are_exact(&self) -> bool {
        self.is_quiet()
    }

    #[inline]
    fn identities(&self) -> &[u64] {
        self.shares.identities()
    }

    #[inline]
    fn relative_weights(&self) -> &[u8] {
        self.shares.weights()
    }

    fn priority(&self, at: usize) -> i32 {
        self.dest(at).map_or(0, |dest| dest.priority)
    }

    fn best_rank(&self, below: Option<u32>) -> Option<u32> {
        // The default destination has no rank.
        let best = if self.is_quiet() {
            let ranks = self.ranks.best();
            below.map_or_else(|| ranks.greatest(), |below| ranks.greatest_below(below))
        } else {
            self.scan_best_rank(below)
        };
        Some(best).filter(|&rank| rank > 0)
    }

    fn rank(&self, at: usize) -> Option<u32> {
        Some(ranks::rank(self, at)).filter(|&rank| rank > 0)
    }

    fn next_of_rank(&self, rank: u32, from: usize, to: usize) -> Option<usize> {
        let ended = self.record().changes_ended();
        let mut best = self.ranks.best().at_least(rank, from, to);
        let found = best.find(|&at| ranks::rank(self, at) == rank);
        if self.agrees_since(ended) {
            return found;
        }
        let mut before = from..found.unwrap_or(to).min(self.dest_count());
        before.find(|&at| ranks::rank(self, at) == rank).or(found)
    }
}

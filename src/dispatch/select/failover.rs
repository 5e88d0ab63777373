//! Going on from a destination that was tried: the failover order of an earlier choice, made anew
//! from the set as it is now.
//!
//! While nothing changes, the order is that of [`super::algorithm::Choice::order`] and of
//! [`super::ranked::order_by_rank`]. What goes down meanwhile is passed over; what comes up behind
//! is reached at the end of the round.

#![forbid(unsafe_code)]

use super::algorithm::{Candidates, ring};

/// How an order goes through its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Up, and around the end.
    Around,
    /// As [`Rule::Around`], but only where one more call is within the limit.
    Calls,
    /// Through its own priority, then through the higher ones.
    Priorities,
    /// By rank; equal ranks from this turn on, around the end.
    Ranks(usize),
}

/// The rest of an order after the destination at `at`, which counts as tried; see [`Rest`].
///
/// `tried` says of an index whether it was tried. With `use_default` the last index comes at the
/// end, usable or not, unless it drains.
pub fn rest<C, T>(set: &C, rule: Rule, at: usize, use_default: bool, tried: T) -> Rest<'_, C, T>
where
    C: Candidates,
    T: Fn(usize) -> bool,
{
    let ring = ring(set.len(), use_default);
    // The set may have shrunk.
    let at = at.min(ring);
    let (from, part) = match rule {
        Rule::Ranks(_) => (ring, Part::Best),
        _ => (at, Part::After),
    };
    Rest {
        set,
        tried,
        rule,
        ring,
        at,
        from,
        to: ring,
        part,
    }
}

/// Iterator over the usable destinations that were not tried, in their order.
///
/// Lazy: taking one costs a step, and a step for each that was tried on the way, whatever the size
/// of the set.
pub struct Rest<'a, C, T> {
    set: &'a C,
    tried: T,
    rule: Rule,
    ring: usize,
    at: usize,
    /// What is left of the part of the set that it is in.
    from: usize,
    to: usize,
    part: Part,
}

/// The part of the set that a [`Rest`] is in.
#[derive(Clone, Copy)]
enum Part {
    /// From the last one on.
    After,
    /// Before that one, in the ring or in its priority.
    Before,
    /// In the priority that begins here.
    Priority(usize),
    /// Before the best rank.
    Best,
    /// In this rank, from the turn on.
    Rank(u32),
    /// In this rank, before the turn.
    RankBefore(u32),
    /// The last resort.
    Last,
    End,
}

impl<C: Candidates, T: Fn(usize) -> bool> Iterator for Rest<'_, C, T> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            while let Some(found) = self.find() {
                self.from = found + 1;
                if !(self.tried)(found) {
                    return Some(found);
                }
            }
            match self.part {
                Part::Last => {
                    self.part = Part::End;
                    let is_there = self.ring < self.set.len() && !self.set.is_draining(self.ring);
                    return Some(self.ring).filter(|&last| is_there && !(self.tried)(last));
                }
                Part::End => return None,
                _ => self.turn(),
            }
        }
    }
}

impl<C: Candidates, T> Rest<'_, C, T> {
    /// The next usable one in the part that it is in.
    fn find(&mut self) -> Option<usize> {
        let (Part::Rank(rank) | Part::RankBefore(rank)) = self.part else {
            return match self.rule {
                Rule::Calls => self.set.next_with_room(self.from, self.to),
                _ => self.set.next_usable(self.from, self.to),
            };
        };
        loop {
            let found = self.set.next_of_rank(rank, self.from, self.to)?;
            // Out by its record though it still has a rank: its state changes just now.
            if self.set.next_usable(found, found + 1).is_some() {
                return Some(found);
            }
            self.from = found + 1;
        }
    }

    /// Goes over to the part that comes next.
    fn turn(&mut self) {
        let (part, range) = match self.part {
            Part::After => (Part::Before, self.start()..self.at),
            Part::Before if self.rule == Rule::Priorities => self.higher(self.start()),
            Part::Priority(start) => self.higher(start),
            Part::Best => {
                let best = self.set.best(self.turn_at(), self.ring);
                self.ranked(best.and_then(|best| self.set.rank(best)))
            }
            Part::Rank(rank) => (Part::RankBefore(rank), 0..self.turn_at()),
            Part::RankBefore(rank) => self.ranked(self.set.best_below(rank, self.ring)),
            Part::Before | Part::Last => (Part::Last, 0..0),
            Part::End => (Part::End, 0..0),
        };
        (self.part, self.from, self.to) = (part, range.start, range.end);
    }

    /// Where the walk through the ring, or through the own priority, begins.
    fn start(&self) -> usize {
        match self.rule {
            Rule::Priorities if self.at < self.ring => self.set.priority_start(self.at),
            Rule::Priorities => self.ring,
            _ => 0,
        }
    }

    /// The turn among equal ranks.
    fn turn_at(&self) -> usize {
        match self.rule {
            Rule::Ranks(turn) => turn.min(self.ring),
            _ => 0,
        }
    }

    /// The lowest usable priority of those that end below an index.
    fn higher(&self, end: usize) -> (Part, core::ops::Range<usize>) {
        match self.set.last_usable(end) {
            Some(last) => {
                let start = self.set.priority_start(last);
                (Part::Priority(start), start..last + 1)
            }
            None => (Part::Last, 0..0),
        }
    }

    fn ranked(&self, rank: Option<u32>) -> (Part, core::ops::Range<usize>) {
        match rank {
            Some(rank) => (Part::Rank(rank), self.turn_at()..self.ring),
            None => (Part::Last, 0..0),
        }
    }
}

#[cfg(test)]
mod tests;

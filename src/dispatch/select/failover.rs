//! The failover order: which destinations follow the one that was tried, made from the set as it is now.
//!
//! A destination that goes down meanwhile is passed over. One that comes up behind is reached at the end of the round.

use super::candidates::{Candidates, is_usable, priority_start};

/// A way of the failover order through a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Up, and around the end.
    Around,
    /// As [`Order::Around`], and the call is counted at each destination that it goes to.
    Calls,
    /// Through its own priority, then through the higher ones.
    Priorities,
    /// By rank; equal ranks from this index on, around the end.
    Ranks(usize),
}

/// Returns the usable destinations that follow the one at `at`, which may be among them, and at the end the default
/// destination, usable or not, unless it drains.
pub fn following<C: Candidates>(set: &C, order: Order, at: usize) -> Following<'_, C> {
    Following {
        set,
        order,
        // The set may have shrunk.
        at: at.min(set.candidate_count()),
        ranges: 0,
        rank: None,
        from: 0,
        to: 0,
        is_over: false,
    }
}

/// Iterator over a failover order, see [`following`]. Each destination costs a step, whatever the size of the set.
pub struct Following<'s, C> {
    set: &'s C,
    order: Order,
    /// The index where the order began; by priorities, the start of the last range.
    at: usize,
    /// The number of ranges so far.
    ranges: usize,
    /// The rank of the destinations that are searched for, if the order goes by ranks.
    rank: Option<u32>,
    /// The rest of the last range.
    from: usize,
    to: usize,
    is_over: bool,
}

impl<C> Clone for Following<'_, C> {
    fn clone(&self) -> Self {
        Following { ..*self }
    }
}

impl<C: Candidates> Following<'_, C> {
    /// Goes on to the next range of indices; `None` after the last one.
    fn next_range(&mut self) -> Option<()> {
        let (set, at, end) = (self.set, self.at, self.set.candidate_count());
        self.ranges += 1;
        (self.from, self.to) = match (self.order, self.ranges) {
            (Order::Ranks(turn), ranges) => {
                let turn = turn.min(end);
                if ranges % 2 == 0 {
                    (0, turn)
                } else {
                    self.rank = Some(set.best_rank(self.rank)?);
                    (turn, end)
                }
            }
            (_, 1) => (at, end),
            (Order::Around | Order::Calls, 2) => (0, at),
            (Order::Around | Order::Calls, _) => return None,
            (Order::Priorities, 2) if at == end => (at, at),
            (Order::Priorities, 2) => {
                self.at = priority_start(set, at);
                (self.at, at)
            }
            (Order::Priorities, _) => {
                let last = set.last_usable(at)?;
                self.at = priority_start(set, last);
                (self.at, last + 1)
            }
        };
        Some(())
    }
}

impl<C: Candidates> Iterator for Following<'_, C> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while !self.is_over {
            let found = match self.rank {
                None => self.set.next_usable(self.from, self.to),
                Some(rank) => self.set.next_of_rank(rank, self.from, self.to),
            };
            if let Some(at) = found {
                self.from = at + 1;
                // A destination whose state changes just now may still have a rank.
                if self.rank.is_none() || is_usable(self.set, at) {
                    return found;
                }
            } else if self.next_range().is_none() {
                self.is_over = true;
                let default = self.set.candidate_count();
                let drains = |at| self.set.next_draining(at, at + 1).is_some();
                return Some(default).filter(|&at| at < self.set.len() && !drains(at));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;

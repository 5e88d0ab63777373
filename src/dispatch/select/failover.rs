//! The failover order: which destinations follow the one that was tried, made from the set as it is now.
//!
//! A destination that goes down meanwhile is passed over. In an order by index, one that comes up before the start is
//! reached at the end of the round. By rank or by cost, one that comes up and is better than the last is not reached.

use crate::dispatch::balance::cost::{Cost, Key};
use crate::dispatch::select::rendezvous;

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
    /// By what each costs a key, the cheapest first.
    Key(Key),
}

/// Returns the usable destinations that follow the one at `at`, which may be among them, and at the end the default
/// destination, usable or not, unless it drains.
pub fn following<C: Candidates>(set: &C, order: Order, at: usize) -> Following<'_, C> {
    let end = set.candidate_count();
    // The set may have shrunk.
    let at = at.min(end);
    let (ranges, to) = match order {
        Order::Ranks(_) | Order::Key(_) => (0, at),
        _ => (1, end),
    };
    Following {
        set,
        order,
        at,
        ranges,
        rank: None,
        cost: None,
        from: at,
        to,
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
    /// The cost of the last destination, if the order goes by what each costs a key.
    cost: Option<Cost>,
    /// The rest of the last range.
    from: usize,
    to: usize,
    is_over: bool,
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
            (Order::Key(key), _) => {
                let next = rendezvous::next(set, key, self.cost)?;
                self.cost = Some(next);
                (next.at(), next.at() + 1)
            }
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

    /// Goes on where the rest of the last range has nothing more, or where the order goes by ranks.
    #[inline(never)]
    fn search(&mut self) -> Option<usize> {
        while !self.is_over {
            if let Some(rank) = self.rank {
                // A destination whose state changes just now may still have a rank.
                while let Some(at) = self.set.next_of_rank(rank, self.from, self.to) {
                    self.from = at + 1;
                    if is_usable(self.set, at) {
                        return Some(at);
                    }
                }
            }
            if self.next_range().is_none() {
                self.is_over = true;
                self.from = self.to;
                let default = self.set.candidate_count();
                let drains = |at| self.set.next_draining(at, at + 1).is_some();
                return Some(default).filter(|&at| at < self.set.len() && !drains(at));
            }
            if let Some(at) = self.next_by_index() {
                return Some(at);
            }
        }
        None
    }

    /// Returns the next destination of the last range, if the order does not go by ranks.
    #[inline(always)]
    fn next_by_index(&mut self) -> Option<usize> {
        if self.rank.is_some() {
            return None;
        }
        let at = self.set.next_usable(self.from, self.to)?;
        self.from = at + 1;
        Some(at)
    }
}

impl<C: Candidates> Iterator for Following<'_, C> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        // Most destinations are found by this look.
        self.next_by_index().or_else(|| self.search())
    }
}

#[cfg(test)]
mod tests;

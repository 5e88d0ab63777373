//! A schedule of things that are due once every period, spread evenly so that the load is flat.

use std::collections::VecDeque;

use crate::dispatch::hash::GOLDEN;

/// A queue of things that are each due once every period.
///
/// All times are milliseconds of one clock that the caller reads. Each thing keeps its place within the period, so that
/// the spread stays even after a late round. As all have the same period, a queue is enough: what is due now is due
/// last in the next round.
#[derive(Clone, Debug)]
pub struct Schedule<K> {
    /// Ascending by time.
    queue: VecDeque<(u64, K)>,
    period: u64,
    /// The number of rebuilds that had new things.
    batches: u64,
}

impl<K> Default for Schedule<K> {
    fn default() -> Schedule<K> {
        Schedule {
            queue: VecDeque::new(),
            period: 0,
            batches: 0,
        }
    }
}

impl<K: Copy> Schedule<K> {
    /// Replaces what is queued. A thing with a known time keeps it. The others are spread evenly over the period that
    /// begins now.
    ///
    /// The first new thing of the first rebuild is due at once. Later batches start at places of their own, so that
    /// many small batches are as even as one large one. A known time more than a period away moves into the period.
    /// When the period changes, known waits change in proportion, which keeps them even.
    pub fn rebuild(
        &mut self,
        now: u64,
        period: u64,
        items: impl Iterator<Item = (K, Option<u64>)>,
    ) {
        let period = period.max(1);
        let old_period = if self.period == 0 {
            period
        } else {
            self.period
        };
        self.period = period;
        self.queue.clear();
        let mut fresh = Vec::new();
        for (key, due) in items {
            match due {
                Some(due) if due <= now => self.queue.push_back((due, key)),
                Some(due) => {
                    let wait = scale(due - now, period, old_period);
                    let wait = if wait > period { wait % period } else { wait };
                    self.queue.push_back((now + wait, key));
                }
                None => fresh.push(key),
            }
        }
        self.spread(now, &fresh);
        self.queue.make_contiguous().sort_by_key(|(due, _)| *due);
    }

    fn spread(&mut self, now: u64, fresh: &[K]) {
        let count = fresh.len() as u64;
        if count == 0 {
            return;
        }
        // Each batch starts at another place of the first gap.
        let shift = scale(self.period, self.batches.wrapping_mul(GOLDEN), u64::MAX) / count;
        self.batches = self.batches.wrapping_add(1);
        for (place, key) in (0u64..).zip(fresh) {
            let due = now + scale(self.period, place, count) + shift;
            self.queue.push_back((due, *key));
        }
    }

    /// Returns the first thing that is due, and when it is due next; `None` when nothing is due.
    ///
    /// The thing is queued again one period after it was due, however late this call is. When the caller is late by a
    /// whole period or more, the missed rounds are left out, and each thing is due at its next place.
    pub fn pop_due(&mut self, now: u64) -> Option<(K, u64)> {
        let first = self.next_due()?;
        if first + self.period <= now {
            self.skip_missed(now);
        }
        let (due, key) = *self.queue.front()?;
        if due > now {
            return None;
        }
        let next = due + self.period;
        self.queue.pop_front();
        // Only a thing that was late when the queue was rebuilt has to be put before others.
        let place = match self.queue.back() {
            Some((last, _)) if *last > next => self.queue.partition_point(|(due, _)| *due <= next),
            _ => self.queue.len(),
        };
        self.queue.insert(place, (next, key));
        Some((key, next))
    }

    /// Moves a thing that was taken a moment ago, and is due again at `next`, to another time. It keeps that place.
    pub fn put_off(&mut self, key: K, next: u64, to: u64)
    where
        K: PartialEq,
    {
        let first = self.queue.partition_point(|(due, _)| *due < next);
        let mut at_next = self
            .queue
            .range(first..)
            .take_while(|(due, _)| *due == next);
        let Some(place) = at_next.position(|(_, other)| *other == key) else {
            return;
        };
        self.queue.remove(first + place);
        let place = self.queue.partition_point(|(due, _)| *due <= to);
        self.queue.insert(place, (to, key));
    }

    /// Moves late things by whole periods to now or later, so that no burst follows.
    fn skip_missed(&mut self, now: u64) {
        for (due, _) in &mut self.queue {
            *due += now.saturating_sub(*due).div_ceil(self.period) * self.period;
        }
        self.queue.make_contiguous().sort_by_key(|(due, _)| *due);
    }

    /// Returns when something is due next; `None` when nothing is queued.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.queue.front().map(|(due, _)| *due)
    }

    /// Returns all queued things with their next times, soonest first.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> {
        self.queue.iter().map(|(due, key)| (*key, *due))
    }
}

/// Returns `value * part / whole` without overflow on the way.
fn scale(value: u64, part: u64, whole: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

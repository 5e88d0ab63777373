//! Call load in the view of a set: who has the fewest calls, and counting one more.

use core::sync::atomic::Ordering::SeqCst;

use super::least::{FULL, Least};
use super::view::{RETRIES, View};

impl View {
    /// Makes the tree of loads follow the record of the destination at a position.
    pub fn sync_load(&self, at: usize) {
        if let Some(least) = self.least.get().first() {
            least.sync(at, || self.room(at));
        }
    }

    /// The calls of the destination at a position; [`FULL`] when it takes no more.
    fn room(&self, at: usize) -> u32 {
        let dest = self
            .dest(at)
            .filter(|dest| dest.duid().is_some() && self.is_usable(at));
        let spare = dest.filter(|dest| dest.has_room() && !self.is_last_resort(at));
        spare.map_or(FULL, |dest| dest.record().load())
    }

    /// Counts a call for the destination with the fewest, or for the last resort when all others
    /// are full; choosing and counting are one step, so no limit is ever exceeded. `None` when
    /// all are full or out.
    pub fn reserve_least(&self) -> Option<usize> {
        for _ in 0..RETRIES {
            let settled = self.settled.load(SeqCst) != 0;
            let Some(at) = (if settled {
                self.least.get().first().and_then(Least::find)
            } else {
                self.scan_least()
            }) else {
                break;
            };
            if self.reserve(at) {
                return Some(at);
            }
        }
        let last = self
            .dest_count()
            .checked_sub(1)
            .filter(|&last| self.is_last_resort(last))?;
        let fits = self.dest(last).is_some_and(|dest| dest.duid().is_some());
        (fits && self.is_usable(last) && self.reserve(last)).then_some(last)
    }

    /// Counts a call for the destination at a position; false when it takes no more.
    pub fn reserve(&self, at: usize) -> bool {
        let reserved = self
            .dest(at)
            .is_some_and(|dest| dest.record().reserve(dest.maxload));
        self.sync_load(at);
        reserved
    }

    /// The first position in `from..to` of a destination that takes one more call.
    pub(crate) fn first_room(&self, from: usize, to: usize) -> Option<usize> {
        let has_room = |at: &usize| self.room(*at) != FULL;
        let Some(least) = self.least.get().first().filter(|_| self.is_settled()) else {
            return (from..to).find(has_room);
        };
        let mut from = from;
        loop {
            let at = least.next(from).filter(|&at| at < to)?;
            if has_room(&at) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    /// The destination with the fewest calls, by the records alone.
    fn scan_least(&self) -> Option<usize> {
        let rooms = (0..self.dest_count()).map(|at| (self.room(at), at));
        rooms
            .min()
            .filter(|&(room, _)| room != FULL)
            .map(|(_, at)| at)
    }

    /// The destination with the fewest calls, by the tree alone.
    #[cfg(test)]
    pub fn find_least(&self) -> Option<usize> {
        self.least.get().first().and_then(Least::find)
    }
}

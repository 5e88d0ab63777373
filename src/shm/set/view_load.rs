//! Call load in the view of a set: the destination with the fewest calls, and counting one more.

use core::cmp::Reverse;

use crate::dispatch::select::candidates::Candidates;

use super::view::{RETRIES, View};

/// The room of a destination that takes no more calls.
const FULL: u32 = 0;

impl View {
    /// Makes the tree of rooms follow the record of the destination at a position.
    pub fn sync_load(&self, at: usize) {
        self.rooms.sync(at, || self.room(at));
    }

    /// Returns the room of the destination at a position, which is greater the fewer calls the destination has;
    /// [`FULL`] if it takes no more.
    pub(super) fn room(&self, at: usize) -> u32 {
        let dest = self.usable_dest(at).filter(|dest| dest.duid().is_some());
        let spare = dest.filter(|dest| dest.has_room() && !self.is_default(at));
        spare.map_or(FULL, |dest| u32::MAX - dest.record().whole_load())
    }

    /// Counts a call for the destination with the fewest calls, or for the default destination if all others are full,
    /// and returns its position. `None` if all are full or out. A call is counted only if the limit admits it at that
    /// moment.
    pub fn reserve_least(&self) -> Option<usize> {
        for _ in 0..RETRIES {
            // A process that was held up on its way through the tree may hide one with room.
            let found = self.rooms.first_of_greatest();
            let Some(at) = found.or_else(|| self.scan_least()) else {
                break;
            };
            if !self.is_usable(at) {
                // Nor has such a process told the tree that a destination is out.
                self.sync_load(at);
            } else if self.reserve(at) {
                return Some(at);
            }
        }
        let last = self.candidate_count();
        let is_fit = self.usable_dest(last)?.duid().is_some();
        (is_fit && self.reserve(last)).then_some(last)
    }

    /// Counts a call for the destination at a position. Returns false if it takes no more.
    pub fn reserve(&self, at: usize) -> bool {
        let reserved = self
            .dest(at)
            .is_some_and(|dest| dest.record().reserve(dest.maxload));
        self.sync_load(at);
        reserved
    }

    /// Counts a call for the destination at a position, whatever its limit. Returns false if there is no
    /// destination.
    pub fn load_at(&self, at: usize) -> bool {
        let counted = self.dest(at).is_some_and(|dest| dest.record().reserve(0));
        self.sync_load(at);
        counted
    }

    /// Returns the destinations that algorithm 10 may use, those with the fewest calls first. The default destination
    /// comes last.
    pub fn by_calls(&self) -> Vec<usize> {
        let has_duid = |at: &usize| {
            self.usable_dest(*at)
                .is_some_and(|dest| dest.duid().is_some())
        };
        let mut all: Vec<_> = (0..self.dest_count()).filter(has_duid).collect();
        let load = |at: usize| self.dest(at).map_or(0, |dest| dest.record().whole_load());
        all.sort_by_key(|&at| (self.is_default(at), load(at)));
        all
    }

    /// Returns the destination with the fewest calls, by the records alone.
    #[cold]
    fn scan_least(&self) -> Option<usize> {
        let rooms = (0..self.dest_count()).map(|at| (self.room(at), Reverse(at)));
        let most = rooms.max().filter(|&(room, _)| room != FULL);
        most.map(|(_, Reverse(at))| at)
    }

    /// Returns the destination with the fewest calls, by the tree alone.
    #[cfg(test)]
    pub fn find_least(&self) -> Option<usize> {
        self.rooms.first_of_greatest()
    }
}

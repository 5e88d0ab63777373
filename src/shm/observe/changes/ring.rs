//! A ring of the last entries that processes have written. Nobody waits for anybody, and nobody reads a part of one
//! entry beside a part of another.
//!
//! A writer draws a ticket, and takes the place of that ticket by one exchange of the place's turn: from an even
//! number, so nobody writes there, to the odd number of its ticket. Until it stores the next even number, the place is
//! its own. So a writer that is stopped in between keeps one place for as long as it is stopped; whoever comes to it
//! draws another ticket. A reader copies an entry, and believes it only if the turn was the same even number before
//! and after.

use core::ptr::NonNull;

use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::AtomicU64;
use crate::shm::memory::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::shm::memory::atomic::fence;

/// Tickets that a writer draws at most for one entry: more places than that are never taken in a row, but by as many
/// writers that are stopped.
const TRIES: usize = 8;

/// A place for an entry.
struct Place<const WORDS: usize> {
    /// Twice the ticket and 1 while its entry is written, and 2 once it is whole; 0 before the first.
    turn: AtomicU64,
    words: [AtomicU64; WORDS],
}

// SAFETY: atomics; zeroed it is a place that never had an entry.
unsafe impl<const WORDS: usize> ShmSafe for Place<WORDS> {}

struct Root<const WORDS: usize> {
    /// The tickets that were drawn.
    tickets: AtomicU64,
    places: ShmSlice<Place<WORDS>>,
}

// SAFETY: an atomic, and a shared slice of atomics; zeroed it is a ring without places.
unsafe impl<const WORDS: usize> ShmSafe for Root<WORDS> {}

/// One process's way to a ring of entries with so many words. Made before the server forks, then copied by the fork.
pub struct Ring<const WORDS: usize> {
    root: NonNull<Root<WORDS>>,
}

// SAFETY: the root is made of atomics.
unsafe impl<const WORDS: usize> Sync for Ring<WORDS> {}
// SAFETY: the root is made of atomics, and belongs to no process.
unsafe impl<const WORDS: usize> Send for Ring<WORDS> {}

impl<const WORDS: usize> Ring<WORDS> {
    /// Makes an empty ring with so many places.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: &impl Arena, places: usize) -> Result<Self, OutOfMemory> {
        let mut plan = Plan::<Root<WORDS>>::of_header();
        let field = plan.array(places);
        let mut block = plan.alloc(arena)?;
        let places = block.slice(&field);
        block.fill().places = places;
        Ok(Ring {
            root: block.header(),
        })
    }

    fn root(&self) -> &Root<WORDS> {
        // SAFETY: made by `create`, given back by nobody but `destroy`, the last use.
        unsafe { self.root.as_ref() }
    }

    fn place(&self, ticket: u64) -> Option<&Place<WORDS>> {
        let places = self.root().places.get();
        let at = usize::try_from(ticket).ok()?.checked_rem(places.len())?;
        places.get(at)
    }

    /// Takes the place of the next ticket that has a free one.
    fn take(&self) -> Option<(&Place<WORDS>, u64)> {
        for _ in 0..TRIES {
            let ticket = self.root().tickets.fetch_add(1, Relaxed);
            let (place, writing) = (self.place(ticket)?, 2 * ticket + 1);
            let seen = place.turn.load(Relaxed);
            // Somebody writes there, or was stopped in it; or this process was, and others have overtaken it.
            if seen % 2 == 1 || seen > writing {
                continue;
            }
            let taken = place.turn.compare_exchange(seen, writing, Acquire, Relaxed);
            if taken.is_ok() {
                return Some((place, ticket));
            }
        }
        None
    }

    /// Writes an entry. Returns false if there was no free place.
    pub fn push(&self, words: &[u64; WORDS]) -> bool {
        let Some((place, ticket)) = self.take() else {
            return false;
        };
        // Whoever reads one of the words below finds the turn odd after that.
        fence(Release);
        for (word, new) in place.words.iter().zip(words) {
            word.store(*new, Relaxed);
        }
        place.turn.store(2 * ticket + 2, Release);
        true
    }

    /// Returns the entry of a ticket, if it is whole and still there.
    fn read(&self, ticket: u64) -> Option<[u64; WORDS]> {
        let (place, whole) = (self.place(ticket)?, 2 * ticket + 2);
        if place.turn.load(Acquire) != whole {
            return None;
        }
        let words = core::array::from_fn(|at| place.words.get(at).map_or(0, |w| w.load(Relaxed)));
        fence(Acquire);
        (place.turn.load(Relaxed) == whole).then_some(words)
    }

    /// Returns the entries that are whole, the newest first. Entries that are overwritten meanwhile are left out.
    pub fn newest(&self) -> impl Iterator<Item = [u64; WORDS]> + '_ {
        let tickets = self.root().tickets.load(Relaxed);
        let oldest = tickets.saturating_sub(self.root().places.len() as u64);
        let tickets = (oldest..tickets).rev();
        tickets.filter_map(|ticket| self.read(ticket))
    }

    /// Gives the ring back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, and the ring is not used again.
    pub unsafe fn destroy(&self, arena: &impl Arena) {
        // SAFETY: made by `create`; no other process is left.
        unsafe { arena.free(self.root.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;

    /// A ring that goes with its test.
    struct Lab(Ring<3>, Heap);

    impl Lab {
        fn new(places: usize) -> Self {
            let heap = Heap::default();
            Lab(Ring::create(&heap, places).unwrap(), heap)
        }

        fn push(&self, number: u64) -> bool {
            self.0.push(&[number, number + 1, number + 2])
        }

        fn numbers(&self) -> Vec<u64> {
            let entries = self.0.newest().map(|[number, next, last]| {
                assert_eq!([next, last], [number + 1, number + 2]);
                number
            });
            entries.collect()
        }
    }

    impl Drop for Lab {
        fn drop(&mut self) {
            // SAFETY: the test is over, and had no other process.
            unsafe { self.0.destroy(&self.1) };
            assert_eq!(self.1.taken(), 0);
        }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_make_room() {
        let lab = Lab::new(4);
        assert!(lab.numbers().is_empty());
        assert!((0..3).all(|number| lab.push(number)));
        assert_eq!(lab.numbers(), [2, 1, 0]);
        assert!((3..11).all(|number| lab.push(number)));
        assert_eq!(lab.numbers(), [10, 9, 8, 7]);
    }

    #[test]
    fn a_writer_that_is_stopped_keeps_its_place_and_nothing_else() {
        let lab = Lab::new(4);
        assert!((0..6).all(|number| lab.push(number)));
        let (place, ticket) = lab.0.take().unwrap();
        place.words[0].store(77, Relaxed);
        assert_eq!(
            lab.numbers(),
            [5, 4, 3],
            "the place is empty while it is written"
        );
        // Others pass it by, as often as they come around.
        assert!((6..16).all(|number| lab.push(number)));
        assert_eq!(lab.numbers(), [15, 14, 13]);
        // It goes on when its entry is long out of date.
        place.words[1].store(78, Relaxed);
        place.words[2].store(79, Relaxed);
        place.turn.store(2 * ticket + 2, Release);
        assert_eq!(lab.numbers(), [15, 14, 13]);
        assert!((16..20).all(|number| lab.push(number)));
        assert_eq!(lab.numbers(), [19, 18, 17, 16]);
    }

    #[test]
    fn where_all_places_are_taken_an_entry_is_given_up() {
        let lab = Lab::new(2);
        let places = [lab.0.take(), lab.0.take()].map(Option::unwrap);
        assert!(!lab.push(1));
        assert!(lab.numbers().is_empty());
        let [(place, ticket), _] = places;
        place.turn.store(2 * ticket + 2, Release);
        assert!(lab.push(1));
        assert_eq!(lab.numbers(), [1]);
    }

    #[test]
    fn a_process_that_others_have_overtaken_overwrites_nothing_newer() {
        let lab = Lab::new(2);
        assert!((0..5).all(|number| lab.push(number)));
        // It drew its ticket long ago.
        lab.0.root().tickets.store(1, Relaxed);
        assert!(lab.push(5));
        assert_eq!(lab.numbers(), [5, 4]);
    }

    #[test]
    fn a_ring_without_places_keeps_nothing() {
        let lab = Lab::new(0);
        assert!(!lab.push(1));
        assert!(lab.numbers().is_empty());
    }
}

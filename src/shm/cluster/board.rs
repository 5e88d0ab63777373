//! The members of the cluster, as the process knows them that speaks with the others: whoever asks reads a copy that is
//! whole, and waits for nobody.
//!
//! The process writes all rows again each time, with a number for that round, into a [`Ring`] that has room for two
//! rounds. So a reader finds a whole round, whatever the process is at.

use core::array;

use crate::shm::memory::arena::{Arena, OutOfMemory};
use crate::shm::observe::changes::ring::Ring;

/// The most rows.
pub const MOST_ROWS: usize = 128;

/// Words of text in a row.
const TEXT: usize = 48;

/// The bytes of text that a row has room for.
#[cfg(test)]
pub const MOST_TEXT: usize = TEXT * 8;

/// Words in a row: the number of its round, the number of rows of that round, and the text.
const WORDS: usize = 2 + TEXT;

/// How often a reader looks for a round that is whole.
const TRIES: usize = 10;

/// The rows. Made before the server forks, then copied by the fork.
pub struct Board(Ring<WORDS>);

impl Board {
    /// Makes a board without rows.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: &impl Arena) -> Result<Self, OutOfMemory> {
        Ring::create(arena, 2 * MOST_ROWS).map(Board)
    }

    /// Writes the rows of a round, whose number is greater than that of the last one. For one process alone. What is more
    /// than [`MOST_ROWS`], or longer than the text of a row, is left out.
    pub fn show(&self, round: u64, rows: &[String]) {
        let rows = rows.get(..MOST_ROWS).unwrap_or(rows);
        for row in rows {
            let mut bytes = row.as_bytes().chunks(8);
            let words: [u64; WORDS] = array::from_fn(|at| match at {
                0 => round,
                1 => rows.len() as u64,
                _ => bytes.next().map_or(0, word),
            });
            // A process that writes alone finds each place free.
            _ = self.0.push(&words);
        }
    }

    /// Returns the rows of the last round that is whole.
    pub fn rows(&self) -> Vec<String> {
        // Whoever is overtaken while it reads looks again.
        let mut looks = (0..TRIES).filter_map(|_| self.last_round());
        looks.next().unwrap_or_default()
    }

    fn last_round(&self) -> Option<Vec<String>> {
        let (mut rows, mut seen) = (Vec::new(), None);
        for [round, count, text @ ..] in self.0.newest() {
            if seen != Some(round) {
                rows.clear();
                seen = Some(round);
            }
            rows.push(unpack(&text));
            if rows.len() as u64 == count {
                rows.reverse();
                return Some(rows);
            }
        }
        None
    }

    /// Gives the memory back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, and the board is not used again.
    pub unsafe fn destroy(&self, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { self.0.destroy(arena) };
    }
}

/// Returns up to eight bytes as a word.
fn word(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(all)
}

fn unpack(words: &[u64]) -> String {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;

    /// A board that goes with its test.
    struct Lab(Board, Heap);

    impl Lab {
        fn new() -> Self {
            let heap = Heap::default();
            Lab(Board::create(&heap).unwrap(), heap)
        }
    }

    impl Drop for Lab {
        fn drop(&mut self) {
            // SAFETY: the test is over, and had no other process.
            unsafe { self.0.destroy(&self.1) };
            assert_eq!(self.1.taken(), 0);
        }
    }

    fn rows(round: u64, count: usize) -> Vec<String> {
        let row = |number| format!("{round}-{number}-{}", "x".repeat(number % 300));
        (0..count).map(row).collect()
    }

    #[test]
    fn the_rows_are_those_of_the_last_round() {
        let lab = Lab::new();
        assert!(lab.0.rows().is_empty());
        for (round, count) in (1..).zip([1, 3, MOST_ROWS, 2, MOST_ROWS, MOST_ROWS, 5]) {
            let rows = rows(round, count);
            lab.0.show(round, &rows);
            assert_eq!(lab.0.rows(), rows);
        }
        lab.0.show(8, &rows(8, MOST_ROWS + 10));
        assert_eq!(lab.0.rows(), rows(8, MOST_ROWS));
    }

    #[test]
    fn a_round_that_is_not_whole_leaves_the_last_one() {
        let lab = Lab::new();
        lab.0.show(1, &rows(1, MOST_ROWS));
        // The process was stopped before the last row of the next round.
        for _ in 1..MOST_ROWS {
            let words = array::from_fn(|at| [2, MOST_ROWS as u64].get(at).copied().unwrap_or(0));
            assert!(lab.0.0.push(&words));
        }
        assert_eq!(lab.0.rows(), rows(1, MOST_ROWS));
    }

    #[test]
    fn a_row_that_is_too_long_is_cut() {
        let lab = Lab::new();
        lab.0.show(1, &["y".repeat(MOST_TEXT + 1)]);
        assert_eq!(lab.0.rows(), ["y".repeat(MOST_TEXT)]);
    }
}

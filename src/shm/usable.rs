//! Which destinations of a set are usable, or draining: a bitmap over bitmaps, changed in place.
//!
//! Bit `i` of the lowest level belongs to destination `i`. A bit of a higher level says whether
//! the word of 64 below it has any bit set. Finding the next usable destination touches at most
//! two words a level, and there is a level more for each factor of 64: three for 262,144.
//!
//! The truth is elsewhere, in the destinations' records; this is the fast way to it. A change of a
//! record is followed by [`Usable::sync`], which copies the truth until it stands still, so that
//! the last change of several processes wins whatever their order.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::arena::{Block, Field, Plan, ShmSafe, ShmSlice};

/// Levels of the largest set: 64^5 is over a thousand million destinations.
const LEVELS: usize = 5;

/// Bits in a word.
const WORD: usize = 64;

/// The bitmap of one set. Lives in shared memory, inside the set's view.
pub struct Usable {
    levels: [ShmSlice<AtomicU64>; LEVELS],
    /// The level that is one word.
    top: usize,
}

// SAFETY: an integer, shared slices and atomics; zeroed it is the bitmap of an empty set.
unsafe impl ShmSafe for Usable {}

/// The planned arrays of a [`Usable`].
pub struct UsablePlan([Option<Field<AtomicU64>>; LEVELS]);

impl UsablePlan {
    /// Plans the words for `len` destinations; `None` when memory cannot be that large.
    pub fn new<H: ShmSafe>(plan: &mut Plan<H>, len: usize) -> Option<Self> {
        let mut fields = [const { None }; LEVELS];
        let mut bits = len;
        for field in &mut fields {
            let words = bits.div_ceil(WORD);
            *field = Some(plan.array(words)?);
            if words <= 1 {
                break;
            }
            bits = words;
        }
        Some(UsablePlan(fields))
    }

    /// The bitmap over the block's memory, with no bit set.
    pub fn place<H>(&self, block: &Block<H>) -> Usable {
        let levels = self.0.each_ref().map(|field| match field {
            Some(field) => block.slice(field),
            None => ShmSlice::EMPTY,
        });
        let top = self.0.iter().flatten().count().saturating_sub(1);
        Usable { levels, top }
    }
}

impl Usable {
    fn word(&self, level: usize, index: usize) -> Option<&AtomicU64> {
        self.levels.get(level)?.get().get(index)
    }

    /// True when any bit is set.
    pub fn any(&self) -> bool {
        self.word(self.top, 0)
            .is_some_and(|word| word.load(SeqCst) != 0)
    }

    /// Makes the bit of destination `index` what `truth` says, and goes on until it stays so.
    ///
    /// `truth` reads the destination's record; it is asked again after each step, because another
    /// process may change the record meanwhile.
    pub fn sync(&self, index: usize, truth: impl Fn() -> bool) {
        self.follow(0, index, &truth);
        let mut index = index;
        for level in 1..LEVELS {
            let Some(below) = self.word(level - 1, index / WORD) else {
                break;
            };
            index /= WORD;
            self.follow(level, index, &|| below.load(SeqCst) != 0);
        }
    }

    /// Copies `truth` into one bit until both agree.
    fn follow(&self, level: usize, index: usize, truth: &impl Fn() -> bool) {
        let Some(word) = self.word(level, index / WORD) else {
            return;
        };
        let bit = 1u64 << (index % WORD);
        loop {
            let set = truth();
            if set {
                word.fetch_or(bit, SeqCst);
            } else {
                word.fetch_and(!bit, SeqCst);
            }
            if truth() == set {
                return;
            }
        }
    }

    /// Sets a bit of a bitmap that nobody else sees yet.
    pub fn set_first(&self, index: usize) {
        let mut index = index;
        for level in 0..LEVELS {
            let Some(word) = self.word(level, index / WORD) else {
                return;
            };
            word.store(word.load(Relaxed) | (1 << (index % WORD)), Relaxed);
            index /= WORD;
        }
    }

    /// Repairs the bit of `index` where it is not what `truth` says.
    pub fn repair(&self, index: usize, truth: impl Fn() -> bool) {
        let Some(word) = self.word(0, index / WORD) else {
            return;
        };
        if ((word.load(SeqCst) >> (index % WORD)) & 1 == 1) != truth() {
            self.sync(index, truth);
        }
    }

    /// The first index at or after `from` whose bit is set.
    ///
    /// Goes up to a level with something left, and down again; never back.
    pub fn next(&self, from: usize) -> Option<usize> {
        let mut level = 0;
        let mut at = from;
        loop {
            let word = self.word(level, at / WORD)?.load(SeqCst) & (u64::MAX << (at % WORD));
            if word == 0 {
                at = at / WORD + 1;
                level += 1;
            } else {
                let bit = at / WORD * WORD + word.trailing_zeros() as usize;
                if level == 0 {
                    return Some(bit);
                }
                // A word that was emptied after its summary was read leads up again, behind it.
                level -= 1;
                at = bit * WORD;
            }
            if level == LEVELS {
                return None;
            }
        }
    }
    /// The last index below `to` whose bit is set; `to` is at most the number of destinations.
    pub fn last(&self, to: usize) -> Option<usize> {
        let mut level = 0;
        let mut at = to.checked_sub(1)?;
        loop {
            // What is behind the last word is not set.
            let word = self.word(level, at / WORD).map_or(0, |word| {
                word.load(SeqCst) & (u64::MAX >> (WORD - 1 - at % WORD))
            });
            if word == 0 {
                at = (at / WORD).checked_sub(1)?;
                level += 1;
            } else {
                let bit = at / WORD * WORD + (WORD - 1 - word.leading_zeros() as usize);
                if level == 0 {
                    return Some(bit);
                }
                // A word that was emptied after its summary was read leads up again, before it.
                level -= 1;
                at = bit * WORD + WORD - 1;
            }
            if level == LEVELS {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use std::cell::RefCell;

    fn bitmap(heap: &Heap, len: usize) -> Usable {
        let mut plan = Plan::<u64>::of_header();
        let usable = UsablePlan::new(&mut plan, len).unwrap();
        usable.place(&plan.alloc(heap).unwrap())
    }

    #[test]
    fn next_agrees_with_a_plain_list() {
        let mut random = StdRng::seed_from_u64(5);
        let sizes: &[usize] = if cfg!(miri) {
            &[0, 1, 65]
        } else {
            &[0, 1, 64, 65, 4096, 5000]
        };
        for &len in sizes {
            let heap = Heap::default();
            let usable = bitmap(&heap, len);
            let model = RefCell::new(vec![false; len]);
            for _ in 0..200 {
                if len > 0 {
                    let index = random.random_range(0..len);
                    model.borrow_mut()[index] = random.random_range(0..4) == 0;
                    usable.sync(index, || model.borrow()[index]);
                }
                let from = random.random_range(0..len + 2);
                let expected = (from..len).find(|&index| model.borrow()[index]);
                assert_eq!(usable.next(from), expected, "len {len} from {from}");
                let before = (0..from.min(len)).rfind(|&index| model.borrow()[index]);
                assert_eq!(
                    usable.last(from.min(len)),
                    before,
                    "len {len} before {from}"
                );
                assert_eq!(usable.any(), model.borrow().contains(&true), "len {len}");
            }
        }
    }
}

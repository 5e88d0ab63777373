//! Which destinations of a set are usable, or draining: a bitmap over bitmaps, changed in place.
//!
//! Bit `i` of the lowest level belongs to destination `i`. A bit of a higher level says whether
//! the word of 64 below it has any bit set. Finding the next usable destination touches at most
//! two words a level, and there is a level more for each factor of 64: three for 262,144.
//!
//! The truth is elsewhere, in the destinations' records; this is the fast way to it. A change of a
//! record is followed by [`Usable::sync`], which copies the truth until it stands still, so that
//! the last change of several processes wins whatever their order.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::shm::memory::arena::{Block, Field, Plan, ShmSafe, ShmSlice};

/// Levels of the largest set: 64^5 is over a thousand million destinations.
const LEVELS: usize = 5;

/// Bits in a word.
const WORD: usize = 64;

/// The bitmap of one set. Lives in shared memory, inside the set's view.
pub struct Usable {
    /// The words of all levels, the lowest first.
    words: ShmSlice<AtomicU64>,
    /// Where each level but the lowest begins; the last one ends with the words.
    starts: [u32; LEVELS - 1],
    /// Number of bits that are set in the lowest level.
    count: AtomicU32,
    /// The last index that was found to be the only one.
    only: AtomicU32,
}

// SAFETY: integers and a shared slice of atomics; zeroed it is the bitmap of an empty set.
unsafe impl ShmSafe for Usable {}

/// The planned array of a [`Usable`].
pub struct UsablePlan {
    words: Field<AtomicU64>,
    starts: [u32; LEVELS - 1],
}

impl UsablePlan {
    /// Plans the words for `len` destinations; `None` when memory cannot be that large.
    pub fn new<H: ShmSafe>(plan: &mut Plan<H>, len: usize) -> Option<Self> {
        let mut starts = [0; LEVELS - 1];
        let mut words = len.div_ceil(WORD);
        let mut all = words;
        for start in &mut starts {
            *start = u32::try_from(all).ok()?;
            // Above a level of one word there is none.
            words = if words > 1 { words.div_ceil(WORD) } else { 0 };
            all = all.checked_add(words)?;
        }
        u32::try_from(len).ok()?;
        let words = plan.array(all);
        Some(UsablePlan { words, starts })
    }

    /// The bitmap over the block's memory, with no bit set.
    pub fn place<H>(&self, block: &Block<H>) -> Usable {
        Usable {
            words: block.slice(&self.words),
            starts: self.starts,
            count: AtomicU32::new(0),
            only: AtomicU32::new(0),
        }
    }
}

impl Usable {
    fn word(&self, level: usize, index: usize) -> Option<&AtomicU64> {
        let start = match level.checked_sub(1) {
            Some(below) => *self.starts.get(below)? as usize,
            None => 0,
        };
        let end = self.starts.get(level);
        let end = end.map_or(self.words.len(), |&end| end as usize);
        let at = start.checked_add(index)?;
        self.words.get().get(at).filter(|_| at < end)
    }

    /// The words of the lowest level, as they are.
    pub fn copy(&self) -> Vec<u64> {
        let [end, ..] = self.starts;
        let words = self.words.get().iter().take(end as usize);
        words.map(|word| word.load(SeqCst)).collect()
    }

    /// Sets all bits of a bitmap that nobody else sees yet, by the words of the lowest level.
    pub fn fill(&self, lowest: &[u64]) {
        for (index, &bits) in lowest.iter().enumerate().filter(|&(_, &bits)| bits != 0) {
            if let Some(word) = self.word(0, index) {
                word.store(bits, Relaxed);
                self.count.fetch_add(bits.count_ones(), Relaxed);
            }
            self.set_above(index);
        }
    }

    /// Sets the bits that say that a word of the lowest level is not empty.
    fn set_above(&self, word: usize) {
        let mut index = word;
        for level in 1..LEVELS {
            let Some(word) = self.word(level, index / WORD) else {
                return;
            };
            word.store(word.load(Relaxed) | (1 << (index % WORD)), Relaxed);
            index /= WORD;
        }
    }

    /// The indices whose bits are not what these words of the lowest level say.
    pub fn differing<'u>(&'u self, lowest: &'u [u64]) -> impl Iterator<Item = usize> + 'u {
        lowest.iter().enumerate().flat_map(|(index, &expected)| {
            let word = self.word(0, index).map_or(0, |word| word.load(SeqCst));
            let mut left = word ^ expected;
            core::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.checked_sub(1)?;
                Some(index * WORD + bit)
            })
        })
    }

    /// True when any bit is set.
    pub fn any(&self) -> bool {
        self.words
            .get()
            .last()
            .is_some_and(|top| top.load(SeqCst) != 0)
    }

    /// Makes the bit of destination `index` what `truth` says, and goes on until it stays so.
    ///
    /// `truth` reads the destination's record; it is asked again after each step, because another
    /// process may change the record meanwhile.
    pub fn sync(&self, index: usize, truth: impl Fn() -> bool) {
        let changed = self.follow(0, index, &truth);
        // What others count meanwhile is added up, below 0 too.
        self.count.fetch_add(changed, SeqCst);
        let mut index = index;
        for level in 1..LEVELS {
            let Some(below) = self.word(level - 1, index / WORD) else {
                break;
            };
            index /= WORD;
            self.follow(level, index, &|| below.load(SeqCst) != 0);
        }
    }

    /// Copies `truth` into one bit until both agree; returns how many more are set by that, modulo
    /// 2^32.
    fn follow(&self, level: usize, index: usize, truth: &impl Fn() -> bool) -> u32 {
        let Some(word) = self.word(level, index / WORD) else {
            return 0;
        };
        let bit = 1u64 << (index % WORD);
        let mut more = 0u32;
        loop {
            let set = truth();
            if set {
                let before = word.fetch_or(bit, SeqCst);
                more = more.wrapping_add(u32::from(before & bit == 0));
            } else {
                let before = word.fetch_and(!bit, SeqCst);
                more = more.wrapping_sub(u32::from(before & bit != 0));
            }
            if truth() == set {
                return more;
            }
        }
    }

    /// The index that was last found where no other bit is set.
    #[inline]
    pub fn only(&self) -> Option<usize> {
        let alone = self.count.load(SeqCst) == 1;
        alone.then(|| self.only.load(Relaxed) as usize)
    }

    /// Remembers an index whose bit is set, for [`Usable::only`], where no other one is.
    #[inline]
    pub fn found(&self, index: usize) {
        if self.count.load(SeqCst) == 1 {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.only.store(index, Relaxed);
        }
    }

    /// Sets a bit of a bitmap that nobody else sees yet.
    pub fn set_first(&self, index: usize) {
        if let Some(word) = self.word(0, index / WORD) {
            let before = word.load(Relaxed);
            let bit = 1 << (index % WORD);
            word.store(before | bit, Relaxed);
            let more = u32::from(before & bit == 0);
            self.count.fetch_add(more, Relaxed);
            self.set_above(index / WORD);
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
    #[inline]
    pub fn next(&self, from: usize) -> Option<usize> {
        let [end, ..] = self.starts;
        let at = from / WORD;
        let word = self.words.get().get(at).filter(|_| at < end as usize)?;
        match word.load(SeqCst) & (u64::MAX << (from % WORD)) {
            0 => self.next_from(1, at + 1),
            word => Some(at * WORD + word.trailing_zeros() as usize),
        }
    }

    /// The same, from a bit of a higher level on.
    #[inline(never)]
    fn next_from(&self, level: usize, at: usize) -> Option<usize> {
        let (mut level, mut at) = (level, at);
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
            let count = model.borrow().iter().filter(|&&set| set).count();
            assert_eq!(usable.only().is_some(), count == 1, "len {len}");
            let words = usable.copy();
            let other = bitmap(&heap, len);
            let set = (0..len).filter(|&index| model.borrow()[index]);
            assert!(other.differing(&words).eq(set), "len {len}");
            other.fill(&words);
            assert_eq!(other.differing(&words).count(), 0);
            assert_eq!((other.any(), other.next(0)), (usable.any(), usable.next(0)));
            // All but one go out, and what was found then is remembered until another comes up.
            let Some(last) = len.checked_sub(1) else {
                continue;
            };
            (0..last).for_each(|index| other.sync(index, || false));
            other.sync(last, || true);
            other.found(last);
            assert_eq!(other.only(), Some(last), "len {len}");
            other.sync(0, || true);
            assert_eq!(other.only(), (len == 1).then_some(last), "len {len}");
        }
    }
}

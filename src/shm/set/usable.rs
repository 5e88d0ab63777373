//! The usable destinations of a set, or the draining ones: a bitmap with a summary, changed in place.
//!
//! Bit `i` belongs to destination `i`. A bit of the summary says that a word of the bitmap has any
//! bit set, so that 4,096 destinations that are all out are passed over in one step.
//!
//! The truth is in the records; this is the fast way to it. A change of a record is
//! followed by [`Usable::sync`], which copies the truth until it stands still, so that the last of
//! several changes wins whatever their order.

use crate::shm::memory::arena::{Block, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

/// Bits in a word.
const WORD: usize = 64;

/// The bitmap of one set. Lives in shared memory, inside the set's view.
pub struct Usable {
    words: ShmSlice<AtomicU64>,
    summary: ShmSlice<AtomicU64>,
    /// The number of bits that are set.
    count: AtomicU32,
}

// SAFETY: shared slices of atomics; zeroed it is the bitmap of an empty set.
unsafe impl ShmSafe for Usable {}

impl Usable {
    /// Plans the words for `len` destinations, and returns what places them, with no bit set.
    pub fn plan<H: ShmSafe>(
        plan: &mut Plan<H>,
        len: usize,
    ) -> impl FnOnce(&Block<H>) -> Usable + use<H> {
        let words = plan.array(len.div_ceil(WORD));
        let summary = plan.array(len.div_ceil(WORD * WORD));
        move |block: &Block<H>| Usable {
            words: block.slice(&words),
            summary: block.slice(&summary),
            count: AtomicU32::new(0),
        }
    }

    /// Sets the bits of these destinations, in a bitmap that nobody else sees yet.
    pub fn fill(&self, set: impl Iterator<Item = usize>) {
        let mark = |words: &ShmSlice<AtomicU64>, index: usize| {
            if let Some(word) = words.get().get(index / WORD) {
                word.store(word.load(Relaxed) | 1 << (index % WORD), Relaxed);
            }
        };
        for index in set {
            mark(&self.words, index);
            mark(&self.summary, index / WORD);
            self.count.fetch_add(1, Relaxed);
        }
    }

    /// Returns true if any bit is set.
    pub fn any(&self) -> bool {
        self.count.load(SeqCst) != 0
    }

    /// Returns the number of bits that are set. While others set and clear some, it may be off by those.
    pub fn count(&self) -> usize {
        // Less than 0 wraps.
        let count = i32::from_ne_bytes(self.count.load(SeqCst).to_ne_bytes());
        usize::try_from(count).unwrap_or(0)
    }

    /// Makes the bit of a destination what `truth` says, and goes on until it stays so.
    pub fn sync(&self, index: usize, truth: impl Fn() -> bool) {
        let words = self.words.get();
        let more = follow(words, index, truth);
        if more != 0 {
            // It may be less than 0 while others count, too.
            self.count.fetch_add(more, SeqCst);
        }
        let at = index / WORD;
        let has_any = || words.get(at).is_some_and(|word| word.load(SeqCst) != 0);
        follow(self.summary.get(), at, has_any);
    }

    /// Clears the summary's bit over a destination, as a process does that is held up just before it.
    #[cfg(test)]
    pub fn clear_summary(&self, index: usize) {
        follow(self.summary.get(), index / WORD, || false);
    }

    /// Returns the first destination at or after `from` whose bit is set.
    #[inline]
    pub fn next(&self, from: usize) -> Option<usize> {
        let words = self.words.get();
        let here = words.get(from / WORD)?.load(SeqCst) & (u64::MAX << (from % WORD));
        if here != 0 {
            return Some(from / WORD * WORD + here.trailing_zeros() as usize);
        }
        let mut at = from / WORD;
        loop {
            at = next_bit(self.summary.get(), at + 1)?;
            // A word may have been emptied after its bit in the summary was read.
            let word = words.get(at)?.load(SeqCst);
            if word != 0 {
                return Some(at * WORD + word.trailing_zeros() as usize);
            }
        }
    }

    /// Returns the destinations of `from..to` whose bits are set, as they are found.
    #[inline]
    pub fn set_in(&self, from: usize, to: usize) -> impl Iterator<Item = usize> + '_ {
        let mut from = from;
        core::iter::from_fn(move || {
            let at = if from < to { self.next(from)? } else { to };
            from = at + 1;
            Some(at).filter(|&at| at < to)
        })
    }

    /// Returns the last destination below `to` whose bit is set; `to` is at most the number of destinations.
    pub fn last(&self, to: usize) -> Option<usize> {
        let words = self.words.get();
        let last = to.checked_sub(1)?;
        let mut at = last / WORD;
        let mut mask = u64::MAX >> (WORD - 1 - last % WORD);
        loop {
            let word = words.get(at)?.load(SeqCst) & mask;
            if word != 0 {
                return Some(at * WORD + word.ilog2() as usize);
            }
            at = last_bit(self.summary.get(), at)?;
            mask = u64::MAX;
        }
    }
}

/// Copies `truth` into a bit until both agree. Returns how many more bits are set by that, modulo 2^32.
fn follow(words: &[AtomicU64], index: usize, truth: impl Fn() -> bool) -> u32 {
    let Some(word) = words.get(index / WORD) else {
        return 0;
    };
    let bit = 1 << (index % WORD);
    let mut more = 0u32;
    loop {
        let set = truth();
        if (word.load(SeqCst) & bit != 0) == set {
            return more;
        }
        if set {
            let before = word.fetch_or(bit, SeqCst);
            more = more.wrapping_add(u32::from(before & bit == 0));
        } else {
            let before = word.fetch_and(!bit, SeqCst);
            more = more.wrapping_sub(u32::from(before & bit != 0));
        }
    }
}

/// Returns the first bit at or after `from` that is set.
fn next_bit(words: &[AtomicU64], from: usize) -> Option<usize> {
    let mut mask = u64::MAX << (from % WORD);
    for (at, word) in words.iter().enumerate().skip(from / WORD) {
        let word = word.load(SeqCst) & mask;
        if word != 0 {
            return Some(at * WORD + word.trailing_zeros() as usize);
        }
        mask = u64::MAX;
    }
    None
}

/// Returns the last bit below `to` that is set.
fn last_bit(words: &[AtomicU64], to: usize) -> Option<usize> {
    let last = to.checked_sub(1)?;
    let mut mask = u64::MAX >> (WORD - 1 - last % WORD);
    let words = words.get(..=last / WORD)?;
    for (at, word) in words.iter().enumerate().rev() {
        let word = word.load(SeqCst) & mask;
        if word != 0 {
            return Some(at * WORD + word.ilog2() as usize);
        }
        mask = u64::MAX;
    }
    None
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
        let place = Usable::plan(&mut plan, len);
        place(&plan.alloc(heap).unwrap())
    }

    #[test]
    fn next_and_last_agree_with_a_plain_list() {
        let mut random = StdRng::seed_from_u64(5);
        let sizes: &[usize] = if cfg!(miri) {
            &[0, 1, 65]
        } else {
            &[0, 1, 64, 65, 4096, 5000, 9000]
        };
        for &len in sizes {
            let heap = Heap::default();
            let usable = bitmap(&heap, len);
            let model = RefCell::new(vec![false; len]);
            for step in (0..200).step_by(if cfg!(miri) { 10 } else { 1 }) {
                // Few bits and many, so that both levels have gaps.
                if len > 0 {
                    let index = random.random_range(0..len);
                    model.borrow_mut()[index] = random.random_range(0..4) <= step / 50;
                    usable.sync(index, || model.borrow()[index]);
                }
                let model = model.borrow();
                let from = random.random_range(0..len + 2);
                let expected = (from..len).find(|&index| model[index]);
                assert_eq!(usable.next(from), expected, "len {len} from {from}");
                let to = from.min(len);
                let before = (0..to).rfind(|&index| model[index]);
                assert_eq!(usable.last(to), before, "len {len} before {to}");
                assert_eq!(usable.any(), model.contains(&true), "len {len}");
            }
            let filled = bitmap(&heap, len);
            filled.fill((0..len).filter(|&index| model.borrow()[index]));
            let all = |bitmap: &Usable| -> Vec<usize> {
                core::iter::successors(bitmap.next(0), |at| bitmap.next(at + 1)).collect()
            };
            assert_eq!(all(&filled), all(&usable), "len {len}");
        }
    }

    #[test]
    fn what_changes_while_a_bit_is_written_is_followed() {
        let heap = Heap::default();
        for last in [false, true] {
            let usable = bitmap(&heap, 5);
            usable.sync(3, || last);
            let looks = core::cell::Cell::new(0);
            // It is another one until the process has looked at it for the first time.
            usable.sync(3, || last == (looks.replace(looks.get() + 1) > 0));
            assert_eq!(usable.next(0), last.then_some(3));
            assert_eq!(usable.any(), last);
        }
    }
}

//! How positions move when one destination leaves a set and one comes: what an edit copies from the
//! view before, instead of working it out anew.

/// One edit of a set's order. Both at once where a destination is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// The position that goes, in the order before.
    pub dropped: Option<usize>,
    /// The position that is new, in the order after.
    pub added: Option<usize>,
}

/// Positions that stay together: the first one before, the first one after, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where they begin in the order before.
    pub from: usize,
    /// Where they begin in the order after.
    pub to: usize,
    /// How many there are.
    pub len: usize,
}

impl Shift {
    /// What stays together of an order of `len` positions, going up.
    pub fn runs(self, len: usize) -> impl Iterator<Item = Run> {
        let kept = len.saturating_sub(usize::from(self.dropped.is_some()));
        let dropped = self.dropped.unwrap_or(usize::MAX);
        let added = self.added.unwrap_or(usize::MAX);
        let (first, second) = (dropped.min(added).min(kept), dropped.max(added).min(kept));
        let ends = [(0, first), (first, second), (second, kept)];
        ends.into_iter()
            .filter(|(start, end)| start < end)
            .map(move |(start, end)| Run {
                from: start + usize::from(start >= dropped),
                to: start + usize::from(start >= added),
                len: end - start,
            })
    }

    /// Number of positions after an order of `len`.
    pub fn len_after(self, len: usize) -> usize {
        let kept = len.saturating_sub(usize::from(self.dropped.is_some()));
        kept + usize::from(self.added.is_some())
    }

    /// Copies what stays of an array.
    pub fn copy<T: Copy>(self, before: &[T], after: &mut [T]) {
        for Run { from, to, len } in self.runs(before.len()) {
            let (from, to) = (before.get(from..from + len), after.get_mut(to..to + len));
            if let (Some(from), Some(to)) = (from, to) {
                to.copy_from_slice(from);
            }
        }
    }

    /// Copies what stays of the bits of an array of words.
    pub fn copy_bits(self, before: &[u64], len: usize) -> Vec<u64> {
        let mut after = vec![0; self.len_after(len).div_ceil(WORD)];
        for Run { from, to, len } in self.runs(len) {
            let mut done = 0;
            while done < len {
                let (word, bit) = ((to + done) / WORD, (to + done) % WORD);
                let count = (WORD - bit).min(len - done);
                let mask = u64::MAX >> (WORD - count);
                if let Some(word) = after.get_mut(word) {
                    *word |= (bits_at(before, from + done) & mask) << bit;
                }
                done += count;
            }
        }
        after
    }
}

/// Bits in a word.
const WORD: usize = 64;

/// The 64 bits from a bit on.
fn bits_at(words: &[u64], at: usize) -> u64 {
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    let low = word(at / WORD) >> (at % WORD);
    match at % WORD {
        0 => low,
        bit => low | (word(at / WORD + 1) << (WORD - bit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn arrays_and_bits_move_as_in_a_plain_list() {
        let mut random = StdRng::seed_from_u64(21);
        for _ in 0..if cfg!(miri) { 20 } else { 2_000 } {
            let len = random.random_range(0..200);
            let before: Vec<u64> = (1..=len as u64).collect();
            let dropped = (len > 0 && random.random()).then(|| random.random_range(0..len));
            let kept = len - usize::from(dropped.is_some());
            let added = random
                .random::<bool>()
                .then(|| random.random_range(0..=kept));
            let shift = Shift { dropped, added };
            let mut expected = before.clone();
            dropped.map(|at| expected.remove(at));
            if let Some(at) = added {
                expected.insert(at, 0);
            }
            assert_eq!(shift.len_after(len), expected.len());
            let mut after = vec![0; expected.len()];
            shift.copy(&before, &mut after);
            assert_eq!(after, expected, "{shift:?} of {len}");

            let mut words = vec![0u64; len.div_ceil(64)];
            let is_set = |value: u64| value % 3 == 1;
            for (at, &value) in before.iter().enumerate() {
                words[at / 64] |= u64::from(is_set(value)) << (at % 64);
            }
            let bits = shift.copy_bits(&words, len);
            for (at, &value) in expected.iter().enumerate() {
                let bit = (bits[at / 64] >> (at % 64)) & 1 == 1;
                assert_eq!(bit, is_set(value), "{shift:?} of {len}, bit {at}");
            }
        }
    }
}

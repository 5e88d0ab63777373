//! Random choices from a seed: the same seed gives the same garbage.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A source of numbers, texts and bytes.
pub struct Chance(StdRng);

impl Chance {
    /// Returns the source for a seed.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Returns a number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0.random_range(0..limit)
    }

    /// Returns true in one case of `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Returns one of several values.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Returns any byte.
    pub fn byte(&mut self) -> u8 {
        self.0.random()
    }

    /// Returns any bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    /// Returns any number of 64 bits; small and extreme ones come more often than others.
    pub fn number(&mut self) -> i64 {
        const EXTREMES: [i64; 16] = [
            0,
            1,
            -1,
            2,
            255,
            65_535,
            65_536,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            -0x8000_0000,
            -0x8000_0001,
            i64::MAX,
            i64::MIN,
            64,
            1_000_000,
        ];
        match self.below(3) {
            0 => *self.pick(&EXTREMES),
            1 => i64::try_from(self.below(200)).expect("a small number") - 20,
            _ => self.0.random(),
        }
    }

    /// Returns a length from 0 to `most`, mostly a short one.
    pub fn length(&mut self, most: usize) -> usize {
        match self.below(10) {
            0 => most,
            1 => self.below(most + 1),
            2 | 3 => self.below(most.min(600) + 1),
            _ => self.below(most.min(24) + 1),
        }
    }
}

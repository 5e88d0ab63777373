//! Exact shares: which point of a whole the next turn falls on.

#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The turns of one kind of weights, shared by all processes and kept over reloads.
///
/// The weights of a set's destinations lie end to end and make a whole of so many points. Turn `n`
/// falls on point `n * stride % whole`. The stride has no divisor in common with the whole, so each
/// `whole` turns fall on each point once: the shares of a cycle are exact. It is near the golden
/// section of the whole, so the turns of a part of a cycle are spread over the whole too.
#[derive(Debug, Default)]
pub struct Turns {
    turn: AtomicU64,
    /// The last whole above, its stride below.
    known: AtomicU64,
}

impl Turns {
    /// The point of `0..whole` that the next turn falls on; 0 when the whole is nothing.
    pub fn next(&self, whole: u32) -> u32 {
        let turn = self.turn.fetch_add(1, Relaxed);
        let wide = u64::from(whole);
        let Some(place) = turn.checked_rem(wide) else {
            return 0;
        };
        let product = place * u64::from(self.stride(whole));
        product
            .checked_rem(wide)
            .and_then(|point| u32::try_from(point).ok())
            .unwrap_or(0)
    }

    /// The stride of a whole; that of the last one is remembered.
    fn stride(&self, whole: u32) -> u32 {
        let known = self.known.load(Relaxed);
        if known >> 32 == u64::from(whole) {
            return u32::try_from(known & u64::from(u32::MAX)).unwrap_or(1);
        }
        let stride = stride(whole);
        let known = (u64::from(whole) << 32) | u64::from(stride);
        self.known.store(known, Relaxed);
        stride
    }
}

/// The number nearest to the golden section of `whole`, upwards, that has no divisor in common
/// with it.
fn stride(whole: u32) -> u32 {
    // 2^32 divided by the golden ratio.
    const GOLDEN: u64 = 2_654_435_769;
    let section = (u64::from(whole) * GOLDEN) >> 32;
    let section = u32::try_from(section).unwrap_or(1).max(1);
    (section..whole)
        .find(|&stride| common_divisor(stride, whole) == 1)
        .unwrap_or(1)
}

/// The greatest common divisor; that of a number and 0 is the number.
#[must_use]
pub fn common_divisor(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_falls_on_each_point_once() {
        for whole in [1, 2, 3, 4, 6, 10, 100, 120, 2550] {
            let turns = Turns::default();
            for cycle in 0..2 {
                let mut points: Vec<u32> = (0..whole).map(|_| turns.next(whole)).collect();
                points.sort_unstable();
                assert!(points.into_iter().eq(0..whole), "{whole}, cycle {cycle}");
            }
        }
        assert_eq!(Turns::default().next(0), 0);
    }

    #[test]
    fn parts_of_a_cycle_are_spread() {
        let (whole, half) = (1_000_000, 500_000);
        let turns = Turns::default();
        let mut low = 0i32;
        for turn in 1..=1_000 {
            low += i32::from(turns.next(whole) < half);
            assert!(
                (low * 2 - turn).abs() <= 6,
                "turn {turn}: {low} below the half"
            );
        }
    }

    #[test]
    fn strides_have_no_divisor_in_common() {
        for whole in (1..500).chain([1 << 20, 999_999, u32::MAX]) {
            let stride = stride(whole);
            assert_eq!(common_divisor(stride, whole), 1, "{whole}");
        }
    }
}

//! The turns that the selections of all processes take, one after the other: the cursors of a set.
//!
//! These are atomics that lie in shared memory and are kept over reloads. Taking a turn needs no memory and waits for
//! nobody.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::weight_slots::SLOTS;

/// The weights that shares are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// The attribute `rweight`, as congestion control leaves it: algorithm 11.
    Relative,
    /// The attribute `weight`, within a priority: algorithm 15.
    Service,
}

/// The cursors of a set.
#[derive(Debug, Default)]
pub struct Cursors {
    /// Index at which round-robin goes on.
    round_robin: AtomicU32,
    /// Number of selections by weight slots so far.
    weight: AtomicU64,
    /// Turns by relative weight.
    relative: Turns,
    /// Turns by weight within a priority.
    service: Turns,
}

impl Cursors {
    /// Takes the next turn of the destinations one after the other: moves the round-robin cursor behind the one that
    /// `find` returns for it. A destination at or behind `end` takes nobody's turn.
    #[inline(always)]
    pub fn take_turn(
        &self,
        end: usize,
        mut find: impl FnMut(usize) -> Option<usize>,
    ) -> Option<usize> {
        let mut seen = self.round_robin.load(Relaxed);
        loop {
            let found = find(seen as usize)?;
            if found >= end {
                return Some(found);
            }
            let next = u32::try_from(found + 1).unwrap_or(0);
            let swap = self
                .round_robin
                .compare_exchange_weak(seen, next, Relaxed, Relaxed);
            match swap {
                Ok(_) => return Some(found),
                Err(moved) => seen = moved,
            }
        }
    }

    /// Takes the next one of the weight slots.
    pub fn take_slot(&self) -> usize {
        let turn = self.weight.fetch_add(1, Relaxed);
        usize::try_from(turn % SLOTS as u64).unwrap_or(0)
    }

    /// Takes the next turn by these weights, which falls on a point of `0..whole`; 0 when the whole is nothing.
    pub fn take_point(&self, by: Weights, whole: u32) -> u32 {
        match by {
            Weights::Relative => self.relative.next(whole),
            Weights::Service => self.service.next(whole),
        }
    }
}

/// The turns of one kind of weights.
///
/// The weights of a set's destinations lie end to end and make a whole of so many points. Turn `n` falls on point
/// `n * stride % whole`. The stride has no divisor in common with the whole, so each `whole` turns fall on each point
/// once: the shares of a cycle are exact. The stride is near the golden section of the whole, so the turns of a part
/// of a cycle are spread over the whole too.
#[derive(Debug, Default)]
struct Turns {
    turn: AtomicU64,
    /// The last whole in the upper half, its stride in the lower one.
    known: AtomicU64,
}

impl Turns {
    fn next(&self, whole: u32) -> u32 {
        let turn = self.turn.fetch_add(1, Relaxed);
        let wide = u64::from(whole);
        let point = |place: u64| (place * u64::from(self.stride(whole))).checked_rem(wide);
        let point = turn.checked_rem(wide).and_then(point);
        point
            .and_then(|point| u32::try_from(point).ok())
            .unwrap_or(0)
    }

    /// Returns the stride of a whole, and remembers the last one.
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

/// Returns the first number from the golden section of `whole` upwards that has no divisor in common with it.
fn stride(whole: u32) -> u32 {
    // 2^32 divided by the golden ratio.
    const GOLDEN: u64 = 2_654_435_769;
    let section = (u64::from(whole) * GOLDEN) >> 32;
    let section = u32::try_from(section).unwrap_or(1).max(1);
    (section..whole)
        .find(|&stride| common_divisor(stride, whole) == 1)
        .unwrap_or(1)
}

/// Returns the greatest common divisor; that of a number and 0 is the number.
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
        let large = if cfg!(miri) { 200 } else { 2550 };
        for whole in [1, 2, 3, 4, 6, 10, 100, 120, large] {
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

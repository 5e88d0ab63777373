//! Slow start: a destination that is back gets a growing part of its turns.

use crate::dispatch::balance::cost::mix;
use crate::dispatch::select::algorithm::Choice;

/// The most seconds of a slow start.
pub const MOST_S: u32 = 3_600;

/// The whole, of which parts are thousandths.
pub const WHOLE: u64 = 1_000;

/// The least part, in thousandths.
const LEAST: u64 = 100;

/// Returns the part of its turns that a destination gets so long after its return, in thousandths.
#[must_use]
pub fn part(elapsed_ms: u64, ramp_ms: u64) -> u64 {
    let part = elapsed_ms.saturating_mul(WHOLE) / ramp_ms.max(1);
    part.clamp(LEAST, WHOLE)
}

/// Returns true if the destination with this identity takes a key at this part. A key that it takes once stays there.
#[must_use]
pub fn takes_key(key: u64, identity: u64, part: u64) -> bool {
    (mix(key ^ identity) >> 32) * WHOLE < part << 32
}

/// Returns true if this turn, of a number that grows by one, is taken, where `part` turns of `all` are. Turns that are
/// taken are evenly spread.
#[must_use]
pub fn takes_turn(turn: u64, part: u64, all: u64) -> bool {
    let at = turn % all.max(1);
    (at + 1) * part / all.max(1) != at * part / all.max(1)
}

/// Returns true for the algorithms of which destinations can refuse turns: not for the first destination, or for all at
/// once. The one with the fewest calls passes calls on in a way of its own.
#[must_use]
pub fn is_for(algorithm: i32) -> bool {
    matches!(algorithm, 0..=7 | 9 | 11 | 13..=15 | 64 | 100..=103 | 105 | 107)
}

/// Choices without those that are passed over; the first of these comes last, so that nobody is refused for them.
pub struct PassedOver<I, F> {
    choices: I,
    passes: F,
    passed: Option<Choice>,
}

impl<I: Iterator<Item = Choice>, F: FnMut(usize) -> bool> PassedOver<I, F> {
    /// Leaves out the choices of which `passes` says so.
    pub fn new(choices: I, passes: F) -> Self {
        PassedOver {
            choices,
            passes,
            passed: None,
        }
    }

    /// Says that this choice was passed over before the others.
    #[must_use]
    pub fn behind(self, passed: Option<Choice>) -> Self {
        PassedOver { passed, ..self }
    }
}

impl<I: Iterator<Item = Choice>, F: FnMut(usize) -> bool> Iterator for PassedOver<I, F> {
    type Item = Choice;

    fn next(&mut self) -> Option<Choice> {
        loop {
            match self.choices.next() {
                Some(choice) if (self.passes)(choice.at) => {
                    self.passed.get_or_insert(choice);
                }
                Some(choice) => return Some(choice),
                None => return self.passed.take(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::select::failover::Order;

    #[test]
    fn the_part_grows_in_a_line_from_a_tenth() {
        let rows = [
            (0, 100),
            (5_999, 100),
            (6_000, 100),
            (30_000, 500),
            (60_000, 1_000),
            (1 << 50, 1_000),
        ];
        for (elapsed_ms, expected) in rows {
            assert_eq!(part(elapsed_ms, 60_000), expected, "{elapsed_ms}");
        }
    }

    #[test]
    fn so_many_turns_are_taken_and_keys_come_home_once() {
        for part in [100, 250, 500, 999, 1_000] {
            let taken = (7..1_007)
                .filter(|&turn| takes_turn(turn, part, WHOLE))
                .count();
            assert_eq!(taken as u64, part);
            let all = 30 * WHOLE;
            let taken = (0..all).filter(|&turn| takes_turn(turn, part, all)).count();
            assert_eq!(taken as u64, part);
            let keys = (0..100_000)
                .filter(|&key| takes_key(mix(key), 77, part))
                .count();
            assert!((keys as u64).abs_diff(100 * part) < 700, "{part}: {keys}");
        }
        for key in 0..1_000 {
            let taken: Vec<bool> = (100..=1_000)
                .map(|part| takes_key(mix(key), 77, part))
                .collect();
            assert!(taken.is_sorted() && taken.last() == Some(&true), "{key}");
        }
    }

    #[test]
    fn what_is_passed_over_comes_last() {
        let order = Order::Around;
        let choices = || (0..4).map(move |at| Choice { at, order });
        let taken = |passes: fn(usize) -> bool| -> Vec<usize> {
            PassedOver::new(choices(), passes)
                .map(|choice| choice.at)
                .collect()
        };
        assert_eq!(taken(|_| false), [0, 1, 2, 3]);
        assert_eq!(taken(|at| at < 2), [2, 3, 0]);
        assert_eq!(taken(|_| true), [0]);
        let first = Choice { at: 7, order };
        let behind = PassedOver::new(choices(), |at| at < 2).behind(Some(first));
        assert_eq!(behind.map(|choice| choice.at).last(), Some(7));
    }
}

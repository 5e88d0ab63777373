//! The failover cursor: what a selection on demand leaves of itself, so that the next destination can be found when it
//! is asked for. It is a short text that travels with the request.
//!
//! Nothing in it points anywhere: destinations are named by numbers that are never given twice, and indices are hints.
//! A text that somebody has changed leads to other destinations of the set at worst.

use core::fmt::{self, Write as _};
use std::collections::VecDeque;

use nom::branch::alt;
use nom::character::complete::{char, i32, u32, u64, usize};
use nom::combinator::all_consuming;
use nom::multi::{many0, separated_list0};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::failover::Order;
use crate::dispatch::balance::cost::Key;
use crate::dispatch::list::destination::SetId;

/// The destination that a failover order has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The set.
    pub set: SetId,
    /// The failover order.
    pub order: Order,
    /// The index of the destination that it has come to, unless the set was changed since.
    pub at: usize,
    /// The number of that destination.
    pub number: u32,
}

/// The failover orders of a selection, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverCursor {
    /// The most destinations to try; 0 is no limit. Each set gives one in any case.
    limit: usize,
    /// The number of destinations that had been tried before the current set's turn came.
    before: usize,
    /// The numbers of the destinations that were tried.
    tried: Vec<u32>,
    /// The destination that the current set's order has come to.
    here: Step,
    /// The choices in the sets that come after the current one.
    behind: VecDeque<Step>,
}

impl FailoverCursor {
    /// Returns the cursor of a selection whose chosen destination is tried now.
    pub fn begin(limit: usize, here: Step) -> Self {
        FailoverCursor {
            limit,
            before: 0,
            tried: vec![here.number],
            here,
            behind: VecDeque::new(),
        }
    }

    /// Adds the choice in a set that comes after all others.
    pub fn add(&mut self, choice: Step) {
        self.behind.push_back(choice);
    }

    /// Returns the destination that the current set's order has come to.
    pub fn here(&self) -> Step {
        self.here
    }

    /// Returns true if the current set may give one more destination.
    pub fn has_more(&self) -> bool {
        let here = self.tried.len().saturating_sub(self.before);
        self.limit == 0 || here < self.limit.saturating_sub(self.before).max(1)
    }

    /// Returns true if there is nothing to go on to.
    pub fn is_over(&self) -> bool {
        !self.has_more() && self.behind.is_empty()
    }

    /// Returns true if the destination with this number was tried; 0 is no destination's number.
    #[inline(always)]
    pub fn has_tried(&self, number: u32) -> bool {
        number != 0 && self.tried.contains(&number)
    }

    /// Returns true if the current set's own choice was not tried yet.
    pub fn is_fresh(&self) -> bool {
        self.tried.len() == self.before
    }

    /// Goes on to one more destination of the current set.
    pub fn step(&mut self, at: usize, number: u32) {
        (self.here.at, self.here.number) = (at, number);
        self.tried.push(number);
    }

    /// Goes over to the set behind; false if there is none.
    pub fn next_set(&mut self) -> bool {
        let Some(behind) = self.behind.pop_front() else {
            return false;
        };
        self.here = behind;
        self.before = self.tried.len();
        true
    }

    /// Returns the text of the cursor; `None` if there is nothing to go on to.
    pub fn encode(&self) -> Option<String> {
        if self.is_over() {
            return None;
        }
        // Room for most texts at once.
        let mut text = String::with_capacity(64);
        write!(text, "{self}").ok()?;
        Some(text)
    }

    /// Reads the text of a cursor; `None` for any other text.
    #[inline(always)]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (_, cursor) = all_consuming(cursor).parse(text).ok()?;
        Some(cursor)
    }
}

/// Writes `limit-before-tried.tried…`, and for each set `_set.order.at.number`.
impl fmt::Display for FailoverCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-", self.limit, self.before)?;
        for (nth, number) in self.tried.iter().enumerate() {
            let dot = if nth == 0 { "" } else { "." };
            write!(f, "{dot}{number}")?;
        }
        for step in core::iter::once(&self.here).chain(&self.behind) {
            write!(f, "_{}.", step.set)?;
            match step.order {
                Order::Around => f.write_str("0")?,
                Order::Priorities => f.write_str("1")?,
                Order::Calls => f.write_str("2")?,
                Order::Ranks(turn) => write!(f, "{}", turn.saturating_add(3))?,
                Order::Key(Key(key)) => write!(f, "-{key}")?,
            }
            write!(f, ".{}.{}", step.at, step.number)?;
        }
        Ok(())
    }
}

#[inline(always)]
fn cursor(text: &[u8]) -> IResult<&[u8], FailoverCursor> {
    let numbers = separated_list0(char('.'), u32);
    let head = (
        terminated(usize, char('-')),
        terminated(usize, char('-')),
        numbers,
    );
    let (rest, ((limit, before, tried), here, behind)) = (head, step, many0(step)).parse(text)?;
    let cursor = FailoverCursor {
        limit,
        before,
        tried,
        here,
        behind: behind.into(),
    };
    Ok((rest, cursor))
}

fn step(text: &[u8]) -> IResult<&[u8], Step> {
    let dotted = |text| preceded(char('.'), usize).parse(text);
    let set = preceded(char('_'), i32);
    let order = preceded(char('.'), order);
    let (rest, (set, order, at, number)) =
        (set, order, dotted, preceded(char('.'), u32)).parse(text)?;
    let step = Step {
        set,
        order,
        at,
        number,
    };
    Ok((rest, step))
}

fn order(text: &[u8]) -> IResult<&[u8], Order> {
    let of_key = preceded(char('-'), u64).map(|key| Order::Key(Key(key)));
    let other = usize.map(|order| match order {
        0 => Order::Around,
        1 => Order::Priorities,
        2 => Order::Calls,
        turn => Order::Ranks(turn - 3),
    });
    alt((of_key, other)).parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn step(set: SetId, order: Order, at: usize, number: u32) -> Step {
        Step {
            set,
            order,
            at,
            number,
        }
    }

    #[test]
    fn texts_are_read_as_they_were_written() {
        let orders = [
            Order::Calls,
            Order::Around,
            Order::Priorities,
            Order::Ranks(0),
            Order::Ranks(9_999),
            Order::Key(Key(0)),
            Order::Key(Key(u64::MAX)),
        ];
        let mut random = StdRng::seed_from_u64(7);
        for set in [0, 1, -1, 31, 32, SetId::MAX, SetId::MIN] {
            for order in orders {
                let mut cursor =
                    FailoverCursor::begin(random.random_range(0..9), step(set, order, 0, 1));
                for _ in 0..random.random_range(0..40) {
                    cursor.step(random.random_range(0..100_000), random.random());
                }
                for _ in 0..random.random_range(0..3) {
                    cursor.add(step(random.random(), order, usize::MAX / 4, u32::MAX));
                }
                let Some(text) = cursor.encode() else {
                    assert!(cursor.is_over());
                    continue;
                };
                let plain = |letter: u8| letter.is_ascii_digit() || b"-_.".contains(&letter);
                assert!(text.bytes().all(plain), "{text:?}");
                assert_eq!(FailoverCursor::parse(text.as_bytes()), Some(cursor));
            }
        }
        let first = FailoverCursor::begin(3, step(1, Order::Around, 0, 7));
        assert_eq!(first.to_string(), "3-0-7_1.0.0.7");
        let last = FailoverCursor::begin(1, step(1, Order::Around, 0, 7));
        assert_eq!(last.encode(), None);
    }

    #[test]
    fn other_texts_are_none() {
        let good = FailoverCursor::begin(3, step(1, Order::Around, 0, 1)).to_string();
        for end in 0..good.len() {
            assert_eq!(
                FailoverCursor::parse(&good.as_bytes()[..end]),
                None,
                "{end}"
            );
        }
        let bad: [&[u8]; 7] = [
            b"",
            b"3-0-1_1.0.0. 1",
            b"3-0-1_1.0.0.1_",
            b"3-0-1_1.0.0.1_2",
            b"3-0-1_1.0.0.4294967296",
            b"-3-0-1_1.0.0.1",
            b"99999999999999999999-0-1_1.0.0.1",
        ];
        for text in bad {
            assert_eq!(FailoverCursor::parse(text), None, "{}", text.escape_ascii());
        }
        let mut random = StdRng::seed_from_u64(8);
        for _ in 0..if cfg!(miri) { 25 } else { 20_000 } {
            // A good text with some letters changed.
            let mut text = b"30-1-71.5.9_1.0.0.7_22.10.41.98_3.-77.2.9".to_vec();
            for _ in 0..random.random_range(0..4) {
                let at = random.random_range(0..text.len());
                text[at] = b"0123456789-_.x"[random.random_range(0..14)];
            }
            if let Some(text) = FailoverCursor::parse(&text).and_then(|cursor| cursor.encode()) {
                let again = FailoverCursor::parse(text.as_bytes()).unwrap();
                assert_eq!(again.encode().unwrap(), text);
            }
        }
    }

    /// How many each set gives, by limit, while each has five.
    #[test]
    fn limits_are_over_all_sets_and_each_gives_one() {
        let cases: [(usize, [usize; 3]); 7] = [
            (0, [5, 5, 5]),
            (1, [1, 1, 1]),
            (2, [2, 1, 1]),
            (5, [5, 1, 1]),
            (6, [5, 1, 1]),
            (7, [5, 2, 1]),
            (11, [5, 5, 1]),
        ];
        for (limit, expected) in cases {
            let mut cursor = FailoverCursor::begin(limit, step(1, Order::Around, 0, 1));
            cursor.add(step(2, Order::Around, 0, 6));
            cursor.add(step(3, Order::Around, 0, 11));
            let (mut given, mut tried) = (vec![1], vec![1]);
            for number in 2u32.. {
                let last = given.last_mut().unwrap();
                if cursor.has_more() && *last < 5 {
                    cursor.step(0, number);
                    tried.push(number);
                    *last += 1;
                } else if cursor.next_set() {
                    assert!(cursor.is_fresh());
                    given.push(0);
                } else {
                    break;
                }
            }
            assert_eq!(given, expected, "limit {limit}");
            let read = FailoverCursor::parse(cursor.to_string().as_bytes()).unwrap();
            for number in 0..40 {
                let expected = tried.contains(&number);
                assert_eq!(cursor.has_tried(number), expected, "{number}");
                assert_eq!(read.has_tried(number), expected, "{number}, read again");
            }
        }
    }
}

//! What a selection leaves of itself, so that the next destination can be made when it is asked for:
//! a short text that travels with the request.
//!
//! Nothing in it points anywhere. Destinations are named by numbers that are never given twice, and
//! places in a set are hints. A text that somebody has changed leads to other destinations of the
//! set at worst.

#![forbid(unsafe_code)]

use super::failover::Rule;
use crate::dispatch::list::destination::SetId;

/// Where an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The set.
    pub set: SetId,
    /// How it goes through it.
    pub rule: Rule,
    /// The index of the destination that it has come to, unless the set was changed since.
    pub at: usize,
    /// The number of that destination.
    pub number: u32,
}

/// The orders of a selection, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    /// Most destinations to try; 0 is no limit. Each set gives one in any case.
    limit: usize,
    /// How many had been tried before this set's turn came.
    before: usize,
    /// Where it is.
    way: Way,
    /// The numbers of the destinations that were tried.
    tried: Vec<u32>,
    /// The choices in the sets that come after this one.
    behind: Vec<Way>,
}

impl Trail {
    /// The trail of a selection whose chosen destination is tried now.
    pub fn begin(limit: usize, way: Way) -> Self {
        Trail {
            limit,
            before: 0,
            way,
            tried: vec![way.number],
            behind: Vec::new(),
        }
    }

    /// Adds what was chosen in a set that comes after all others.
    pub fn add(&mut self, way: Way) {
        self.behind.push(way);
    }

    /// Where it is.
    pub fn way(&self) -> Way {
        self.way
    }

    /// True when the set may give one more destination.
    pub fn has_more(&self) -> bool {
        let here = self.tried.len().saturating_sub(self.before);
        self.limit == 0 || here < self.limit.saturating_sub(self.before).max(1)
    }

    /// True when there is nothing to go on to.
    pub fn is_over(&self) -> bool {
        !self.has_more() && self.behind.is_empty()
    }

    /// True when the destination with this number was tried; 0 is the number of none.
    pub fn has_tried(&self, number: u32) -> bool {
        number != 0 && self.tried.contains(&number)
    }

    /// True when the current set's own choice was not tried yet.
    pub fn is_fresh(&self) -> bool {
        self.tried.len() == self.before
    }

    /// Goes on to one more destination of the set.
    pub fn step(&mut self, at: usize, number: u32) {
        (self.way.at, self.way.number) = (at, number);
        self.tried.push(number);
    }

    /// Goes over to the set behind; false when there is none.
    pub fn turn(&mut self) -> bool {
        if self.behind.is_empty() {
            return false;
        }
        self.way = self.behind.remove(0);
        self.before = self.tried.len();
        true
    }

    /// The trail as a text of letters, digits, `-` and `_`; `None` when there is nothing to go on to.
    pub fn encode(&self) -> Option<Text> {
        if self.is_over() {
            return None;
        }
        let mut text = Text::default();
        text.put(self.limit);
        text.put(self.before);
        text.put_way(&self.way);
        text.put(self.tried.len());
        for &number in &self.tried {
            text.put(number as usize);
        }
        for way in &self.behind {
            text.put_way(way);
        }
        Some(text)
    }

    /// The text of a trail that begins, of one set.
    pub fn encode_first(limit: usize, way: &Way) -> Option<Text> {
        if limit == 1 {
            return None;
        }
        let mut text = Text::default();
        text.put(limit);
        text.put(0);
        text.put_way(way);
        text.put(1);
        text.put(way.number as usize);
        Some(text)
    }

    /// Reads such a text; `None` when it is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut rest = text;
        let limit = take(&mut rest)?;
        let before = take(&mut rest)?;
        let way = take_way(&mut rest)?;
        let count = take(&mut rest)?;
        // Each number has a letter at least.
        let count = Some(count).filter(|&count| count <= rest.len())?;
        // With room for the next one.
        let mut tried = Vec::with_capacity(count + 1);
        for _ in 0..count {
            tried.push(u32::try_from(take(&mut rest)?).ok()?);
        }
        let mut behind = Vec::new();
        while !rest.is_empty() {
            behind.push(take_way(&mut rest)?);
        }
        Some(Trail {
            limit,
            before,
            way,
            tried,
            behind,
        })
    }
}

/// Letters of a text that needs no memory of its own.
const SHORT: usize = 64;

/// The text of a trail.
#[derive(Debug)]
pub struct Text {
    short: [u8; SHORT],
    len: usize,
    /// All of a text that is longer.
    long: Vec<u8>,
}

impl Default for Text {
    fn default() -> Self {
        Text {
            short: [0; SHORT],
            len: 0,
            long: Vec::new(),
        }
    }
}

impl Text {
    /// Its letters.
    pub fn bytes(&self) -> &[u8] {
        if self.long.is_empty() {
            self.short.get(..self.len).unwrap_or(&[])
        } else {
            &self.long
        }
    }

    fn push(&mut self, letter: u8) {
        match self.short.get_mut(self.len) {
            Some(place) => {
                *place = letter;
                self.len += 1;
            }
            None => {
                if self.long.is_empty() {
                    self.long.extend(self.short);
                }
                self.long.push(letter);
            }
        }
    }

    fn put(&mut self, number: usize) {
        let mut left = number;
        while left >= MORE {
            self.push(letter(left % MORE + MORE));
            left >>= BITS;
        }
        self.push(letter(left));
    }

    fn put_way(&mut self, way: &Way) {
        // The sign of a set comes last.
        let set = i64::from(way.set);
        let set = (set.unsigned_abs() << 1) | u64::from(set < 0);
        self.put(usize::try_from(set).unwrap_or(0));
        match way.rule {
            Rule::Around => self.put(0),
            Rule::Priorities => self.put(1),
            Rule::Calls => self.put(2),
            Rule::Ranks(turn) => self.put(turn.saturating_add(3)),
        }
        self.put(way.at);
        self.put(way.number as usize);
    }
}

/// A letter for each number below 64.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bits of a number in a letter; one more says that others follow.
const BITS: u32 = 5;
const MORE: usize = 1 << BITS;

fn letter(number: usize) -> u8 {
    LETTERS.get(number).copied().unwrap_or(b'A')
}

fn take(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0usize;
    let mut shift = 0;
    loop {
        let (&letter, left) = rest.split_first()?;
        *rest = left;
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        let value = usize::from(value);
        let part = (value % MORE).checked_shl(shift)?;
        // Nothing may be shifted out.
        number |= Some(part).filter(|part| part >> shift == value % MORE)?;
        if value < MORE {
            return Some(number);
        }
        shift += BITS;
    }
}

fn take_way(rest: &mut &[u8]) -> Option<Way> {
    let set = i64::try_from(take(rest)?).ok()?;
    let size = set >> 1;
    let set = SetId::try_from(if set & 1 == 0 { size } else { -size }).ok()?;
    let rule = match take(rest)? {
        0 => Rule::Around,
        1 => Rule::Priorities,
        2 => Rule::Calls,
        turn => Rule::Ranks(turn - 3),
    };
    let at = take(rest)?;
    let number = u32::try_from(take(rest)?).ok()?;
    Some(Way {
        set,
        rule,
        at,
        number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn way(set: SetId, rule: Rule, at: usize, number: u32) -> Way {
        Way {
            set,
            rule,
            at,
            number,
        }
    }

    fn encoded(trail: &Trail) -> Vec<u8> {
        trail.encode().unwrap().bytes().to_vec()
    }

    #[test]
    fn texts_are_read_as_they_were_written() {
        let rules = [
            Rule::Calls,
            Rule::Around,
            Rule::Priorities,
            Rule::Ranks(0),
            Rule::Ranks(9_999),
        ];
        let mut random = StdRng::seed_from_u64(7);
        for set in [0, 1, -1, 31, 32, SetId::MAX, SetId::MIN] {
            for rule in rules {
                let mut trail = Trail::begin(random.random_range(0..9), way(set, rule, 0, 1));
                for _ in 0..random.random_range(0..40) {
                    trail.step(random.random_range(0..100_000), random.random());
                }
                for _ in 0..random.random_range(0..3) {
                    trail.add(way(random.random(), rule, usize::MAX / 4, u32::MAX));
                }
                let Some(text) = trail.encode() else {
                    assert!(trail.is_over());
                    continue;
                };
                let text = text.bytes();
                let plain = |letter: &u8| letter.is_ascii_alphanumeric() || b"-_".contains(letter);
                assert!(text.iter().all(plain), "{text:?}");
                assert_eq!(Trail::parse(text), Some(trail));
            }
        }
        let first = way(1, Rule::Around, 0, 1);
        assert_eq!(encoded(&Trail::begin(3, first)), b"DACAABBB");
        for limit in [0, 1, 2, 3, 99] {
            let made = Trail::begin(limit, first).encode();
            let short = Trail::encode_first(limit, &first);
            let bytes = |text: Option<Text>| text.map(|text| text.bytes().to_vec());
            assert_eq!(bytes(short), bytes(made), "limit {limit}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        let good = encoded(&Trail::begin(3, way(1, Rule::Around, 0, 1)));
        for end in 0..good.len() {
            assert_eq!(Trail::parse(&good[..end]), None, "{end}");
        }
        let bad: [&[u8]; 5] = [
            b"",
            b"DACAAB B",
            b"DACAAfffH",
            b"ggggggggggggggggggggggB",
            b"DACAABBBC",
        ];
        for text in bad {
            assert_eq!(Trail::parse(text), None, "{}", text.escape_ascii());
        }
        let mut random = StdRng::seed_from_u64(8);
        for _ in 0..if cfg!(miri) { 100 } else { 20_000 } {
            let letters = random.random_range(0..40);
            let text: Vec<u8> = (0..letters)
                .map(|_| LETTERS[random.random_range(0..64)])
                .collect();
            if let Some(trail) = Trail::parse(&text) {
                if let Some(text) = trail.encode() {
                    assert_eq!(Trail::parse(text.bytes()), Some(trail));
                }
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
            let mut trail = Trail::begin(limit, way(1, Rule::Around, 0, 1));
            trail.add(way(2, Rule::Around, 0, 6));
            trail.add(way(3, Rule::Around, 0, 11));
            let mut given = vec![1];
            for number in 2u32.. {
                let last = given.last_mut().unwrap();
                if trail.has_more() && *last < 5 {
                    trail.step(0, number);
                    *last += 1;
                } else if trail.turn() {
                    assert!(trail.is_fresh());
                    given.push(0);
                } else {
                    break;
                }
            }
            assert_eq!(given, expected, "limit {limit}");
            assert!(trail.has_tried(1) && !trail.has_tried(0) && !trail.has_tried(99));
        }
    }
}

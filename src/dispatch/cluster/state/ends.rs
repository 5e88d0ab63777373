//! Ends of calls that this node does not know: another one may have counted them.

use std::collections::VecDeque;

use crate::dispatch::cluster::text::message::is_word;

/// The most bytes of a Call-ID or a tag that is told.
pub const MOST_TEXT: usize = 128;

/// The most ends that wait until all peers have them.
pub const MOST_WAITING: usize = 10_000;

/// The word of a line for an empty text. No tag has this byte.
pub const EMPTY: &str = "/";

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is over: BYE.
    Over,
    /// It is over unless it is answered: CANCEL.
    Cancelled,
    /// It is answered: 2xx.
    Answered,
}

/// A message to a call that this node does not know.
///
/// To do twice what it says is to do it once, and what is said of different calls may be done in any order. So it does
/// no harm if it is told again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// The outcome of the call.
    pub fate: Fate,
    /// The words of its line: Call-ID, tag in From, tag in To.
    words: String,
}

impl CallEnd {
    /// Makes one of the texts of a message; `None` if they are too long or have bytes that no line can have. A CANCEL has no
    /// tag in To, because only the caller sends it.
    #[must_use]
    pub fn of(fate: Fate, call_id: &[u8], from: &[u8], to: &[u8]) -> Option<Self> {
        let word = |text: &[u8]| {
            let fits = is_word(text, MOST_TEXT) && text != EMPTY.as_bytes();
            fits.then(|| String::from_utf8_lossy(text).into_owned())
        };
        let tag = |text: &[u8]| match text {
            [] => Some(EMPTY.to_owned()),
            text => word(text),
        };
        let (call_id, from, to) = (word(call_id)?, tag(from)?, tag(to)?);
        let words = format!("{call_id} {from} {to}");
        Some(Self { fate, words })
    }

    /// Makes one of what [`CallEnd::words`] has returned.
    #[must_use]
    pub const fn of_words(fate: Fate, words: String) -> Self {
        Self { fate, words }
    }

    /// Returns the words of its line.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Returns Call-ID, tag in From and tag in To.
    #[must_use]
    pub fn texts(&self) -> [&str; 3] {
        let mut words = self.words.split(' ').map(|word| match word {
            EMPTY => "",
            word => word,
        });
        [(); 3].map(|()| words.next().unwrap_or_default())
    }
}

/// The ends that peers are to hear of, numbered from 1 in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    waiting: VecDeque<CallEnd>,
    /// The number of the last one.
    last: u64,
}

impl Ends {
    /// Adds one. If too many wait, because a peer is not reached, the first one is forgotten; then it returns false.
    pub fn add(&mut self, end: CallEnd) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if !has_room {
            self.waiting.pop_front();
        }
        self.last += 1;
        self.waiting.push_back(end);
        has_room
    }

    /// Returns those behind the one with this number, each with its own.
    pub fn after(&self, number: u64) -> impl Iterator<Item = (u64, &CallEnd)> {
        let before = self.before();
        let known = number.saturating_sub(before);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        (before + 1..).zip(&self.waiting).skip(known)
    }

    /// Forgets all up to this number, because all peers have them.
    pub fn all_have(&mut self, number: u64) {
        let known = number.saturating_sub(self.before());
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        self.waiting.drain(..known.min(self.waiting.len()));
    }

    /// Returns the number of the last one.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Returns the number before that of the first one that waits.
    fn before(&self) -> u64 {
        self.last.saturating_sub(self.waiting.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(call_id: &str) -> CallEnd {
        CallEnd::of(Fate::Over, call_id.as_bytes(), b"f", b"t").unwrap()
    }

    fn after(ends: &Ends, number: u64) -> Vec<(u64, String)> {
        let all = ends.after(number);
        all.map(|(number, end)| (number, end.texts()[0].to_owned()))
            .collect()
    }

    #[test]
    fn ends_wait_until_all_peers_have_them() {
        let mut ends = Ends::default();
        for call_id in ["a", "b", "c"] {
            assert!(ends.add(end(call_id)));
        }
        let numbered = |all: &[(u64, &str)]| -> Vec<(u64, String)> {
            all.iter().map(|&(n, text)| (n, text.to_owned())).collect()
        };
        assert_eq!(after(&ends, 0), numbered(&[(1, "a"), (2, "b"), (3, "c")]));
        assert_eq!(after(&ends, 2), numbered(&[(3, "c")]));
        ends.all_have(2);
        assert_eq!(after(&ends, 0), numbered(&[(3, "c")]));
        assert_eq!(after(&ends, 3), []);
        ends.all_have(1);
        assert_eq!(after(&ends, 2), numbered(&[(3, "c")]));
        ends.all_have(u64::MAX);
        assert!(ends.add(end("d")));
        assert_eq!(after(&ends, 0), numbered(&[(4, "d")]));
        assert_eq!((after(&ends, u64::MAX), ends.last()), (vec![], 4));
    }

    #[test]
    fn the_first_ends_that_wait_are_forgotten_if_there_are_too_many() {
        let mut ends = Ends::default();
        for _ in 0..MOST_WAITING {
            assert!(ends.add(end("a")));
        }
        assert!(!ends.add(end("b")));
        let all = after(&ends, 0);
        assert_eq!(all.len(), MOST_WAITING);
        assert_eq!((all[0].0, all.last().unwrap().1.as_str()), (2, "b"));
        ends.all_have(2);
        assert!(ends.add(end("c")));
    }

    #[test]
    fn texts_that_no_line_can_have_are_not_told() {
        let long = vec![b'x'; MOST_TEXT + 1];
        for call_id in [&b""[..], b"/", b"a b", b"a\n", "\u{e9}".as_bytes(), &long] {
            assert_eq!(CallEnd::of(Fate::Over, call_id, b"", b""), None);
            let is_tag = call_id.is_empty();
            let from = CallEnd::of(Fate::Cancelled, b"a", call_id, b"");
            assert_eq!(from.is_some(), is_tag);
            let to = CallEnd::of(Fate::Answered, b"a", b"", call_id);
            assert_eq!(to.is_some(), is_tag);
        }
    }
}

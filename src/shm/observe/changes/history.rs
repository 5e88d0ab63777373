//! The last changes of states, for whoever asks what happened: a [`Ring`] of entries of one size.

use std::borrow::Cow;

use super::ring::Ring;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::State;
use crate::shm::dest::probing::Ended;
use crate::shm::memory::arena::{Arena, OutOfMemory};

/// Bytes that are kept of a URI.
pub const URI: usize = 120;

/// Bytes that are kept of a name.
pub const WHO: usize = 32;

/// Words of numbers in an entry.
const NUMBERS: usize = 5;

/// Words in an entry.
const WORDS: usize = NUMBERS + (URI + WHO) / 8;

/// Bytes of shared memory that an entry takes.
pub const ENTRY_BYTES: usize = (1 + WORDS) * 8;

/// A change of the state of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'t> {
    /// When, in milliseconds of the clock that never goes back.
    pub at_ms: u64,
    /// The set.
    pub set: SetId,
    /// The URI, of which the first [`URI`] bytes are kept.
    pub uri: Cow<'t, [u8]>,
    /// The state before.
    pub old: State,
    /// The state after it.
    pub new: State,
    /// The cause.
    pub cause: Cause,
    /// The code, as events have it.
    pub code: i32,
    /// The status of a call that has led to it; 0 without one.
    pub status: u16,
    /// The end of the ping that has led to it, if one has.
    pub ended: Option<Ended>,
    /// How many results in a row have led to it; 0 if nothing was counted.
    pub in_row: u32,
    /// The function, the command or the person, of which the first [`WHO`] bytes are kept.
    pub who: Cow<'t, [u8]>,
}

impl Change<'_> {
    /// Says what was found, and how often in a row; empty if there is nothing to say.
    pub fn found(&self) -> String {
        let found = match self.ended {
            Some(ended) => ended.to_string(),
            None if self.status > 0 => self.status.to_string(),
            None => String::new(),
        };
        match (found.as_str(), self.in_row) {
            (_, 0 | 1) => found,
            ("", in_row) => format!("{in_row} in a row"),
            (_, in_row) => format!("{found}, {in_row} in a row"),
        }
    }
}

/// The history. Made before the server forks, then copied by the fork.
pub struct History(Ring<WORDS>);

impl History {
    /// Makes an empty history of so many changes.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: &impl Arena, size: usize) -> Result<Self, OutOfMemory> {
        Ring::create(arena, size).map(History)
    }

    /// Keeps a change. Never waits, and takes no memory.
    pub fn keep(&self, change: &Change<'_>) {
        // Where all places are held by processes that are stopped, it is given up.
        _ = self.0.push(&pack(change));
    }

    /// Returns the changes that are kept, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = Change<'static>> + '_ {
        self.0.newest().map(|words| unpack(&words))
    }

    /// Gives the memory back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, and the history is not used again.
    pub unsafe fn destroy(&self, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { self.0.destroy(arena) };
    }
}

/// Joins two numbers in a word.
fn join(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// Returns the two numbers in a word.
fn part(word: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    )
}

/// Returns the first bytes of a text that fit, and their number.
fn cut(text: &[u8], most: usize) -> (&[u8], u8) {
    let kept = text.get(..most).unwrap_or(text);
    (kept, u8::try_from(kept.len()).unwrap_or(u8::MAX))
}

fn pack(change: &Change<'_>) -> [u64; WORDS] {
    let ((uri, uri_len), (who, who_len)) = (cut(&change.uri, URI), cut(&change.who, WHO));
    let cause = u8::try_from(change.cause.number()).unwrap_or(0);
    let small = [cause, 0, uri_len, who_len];
    let number = |signed: i32| u32::from_ne_bytes(signed.to_ne_bytes());
    let numbers = [
        change.at_ms,
        join(number(change.set), change.old.bits()),
        join(change.new.bits(), change.in_row),
        join(number(change.code), u32::from_le_bytes(small)),
        join(change.ended.map_or(0, Ended::pack), change.status.into()),
    ];
    let mut words = [0; WORDS];
    let (first, texts) = words.split_at_mut(NUMBERS);
    first.copy_from_slice(&numbers);
    let (for_uri, for_who) = texts.split_at_mut(URI / 8);
    write_text(for_uri, uri);
    write_text(for_who, who);
    words
}

fn unpack(words: &[u64; WORDS]) -> Change<'static> {
    let &[at_ms, place, new, code, ended, ref texts @ ..] = words;
    let ((set, old), (new, in_row), (code, small)) = (part(place), part(new), part(code));
    let [cause, _, uri_len, who_len] = small.to_le_bytes();
    let (ended, status) = part(ended);
    let number = |bits: u32| i32::from_ne_bytes(bits.to_ne_bytes());
    let (uri, who) = texts.split_at(URI / 8);
    Change {
        at_ms,
        set: number(set),
        uri: read_text(uri, uri_len).into(),
        old: State(old),
        new: State(new),
        cause: Cause::from_number(cause.into()),
        code: number(code),
        status: u16::try_from(status).unwrap_or(0),
        ended: Ended::unpack(ended),
        in_row,
        who: read_text(who, who_len).into(),
    }
}

fn write_text(words: &mut [u64], text: &[u8]) {
    for (word, piece) in words.iter_mut().zip(text.chunks(8)) {
        let mut bytes = [0; 8];
        bytes
            .iter_mut()
            .zip(piece)
            .for_each(|(to, from)| *to = *from);
        *word = u64::from_le_bytes(bytes);
    }
}

fn read_text(words: &[u64], len: u8) -> Vec<u8> {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.take(len.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::state::probe::Unsent;
    use crate::shm::tests::Heap;

    fn change(number: u32) -> Change<'static> {
        let ended = [
            None,
            Some(Ended::Silence),
            Some(Ended::Reply(503)),
            Some(Ended::NotSent(Unsent::NoSocket)),
        ];
        Change {
            at_ms: u64::from(number) << 33,
            set: i32::try_from(number).unwrap() - 5,
            uri: vec![b'u'; 7 * number as usize].into(),
            old: State(number ^ 0x1_0008),
            new: State(u32::MAX - number),
            cause: Cause::from_number(number % 6),
            code: 800 - 200 * i32::try_from(number).unwrap(),
            status: u16::try_from(500 * (number % 2)).unwrap(),
            ended: ended[number as usize % 4],
            in_row: number,
            who: b"set_state"[..number as usize % 10].to_vec().into(),
        }
    }

    #[test]
    fn changes_come_back_as_they_were() {
        let heap = Heap::default();
        let history = History::create(&heap, 8).unwrap();
        let bytes = heap.taken();
        (0..12).for_each(|number| history.keep(&change(number)));
        let expected: Vec<_> = (4..12).rev().map(change).collect();
        assert_eq!(history.newest().collect::<Vec<_>>(), expected);
        assert_eq!(heap.taken(), bytes, "it takes no more memory");
        // SAFETY: the test had no other process.
        unsafe { history.destroy(&heap) };
        assert_eq!(heap.taken(), 0);
    }

    #[test]
    fn what_was_found_is_said() {
        let found = |ended, status, in_row| {
            let change = Change {
                ended,
                status,
                in_row,
                ..change(1)
            };
            change.found()
        };
        assert_eq!(found(Some(Ended::Silence), 0, 3), "no reply, 3 in a row");
        assert_eq!(found(Some(Ended::Reply(404)), 503, 1), "404");
        assert_eq!(found(None, 503, 2), "503, 2 in a row");
        assert_eq!(found(None, 0, 2), "2 in a row");
        assert_eq!(found(None, 0, 0), "");
    }

    #[test]
    fn long_texts_are_cut() {
        let heap = Heap::default();
        let history = History::create(&heap, 1).unwrap();
        let long = Change {
            uri: vec![b'u'; 60_000].into(),
            who: vec![b'w'; 300].into(),
            ..change(1)
        };
        history.keep(&long);
        let kept = history.newest().next().unwrap();
        assert_eq!((kept.uri.len(), kept.who.len()), (URI, WHO));
        assert_eq!(kept.in_row, 1);
        // SAFETY: the test had no other process.
        unsafe { history.destroy(&heap) };
    }

    #[test]
    fn an_entry_has_the_size_that_the_documents_say() {
        assert_eq!(ENTRY_BYTES, 200);
        let safety = include_str!("../../../../doc/dev/safety.md");
        assert!(safety.contains("200 bytes each"));
    }
}

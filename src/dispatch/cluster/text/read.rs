//! Reading messages, and why a text is refused.
//!
//! Fields of the first line, letters of lines and fields at the end of lines that are not known here are skipped: a later
//! version may have written them.

use core::fmt;

use super::hmac::HmacKey;
use super::message::{
    Content, Data, Hello, MOST_BYTES, MOST_INCARNATION, MOST_LINES, MOST_NAME, MOST_URI, Message,
    Reloaded, Told, is_reason, is_word,
};
use crate::dispatch::cluster::state::clock::Stamp;
use crate::dispatch::cluster::state::ends::{CallEnd, Fate, MOST_TEXT};
use crate::dispatch::cluster::state::key::{Key, NodeHash};
use crate::dispatch::cluster::state::pings;
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::cluster::state::view::View;

/// The first word of each message.
const MAGIC: &[u8] = b"DSC";

/// The number before the point of a version that is understood; whatever follows it.
const MAJOR: &[u8] = b"1";

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has more bytes or lines than are read.
    TooLong,
    /// It is no message.
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// The byte of the line, from 1.
        column: usize,
        /// The word that should be there.
        expected: &'static str,
    },
    /// It is of a later version that says so.
    Version,
    /// It is for another cluster.
    Cluster,
    /// Its code is wrong or missing.
    Code,
}

impl Refusal {
    /// Returns the code of the SIP reply.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::TooLong => 413,
            Self::Unreadable { .. } => 400,
            Self::Version => 505,
            Self::Cluster | Self::Code => 403,
        }
    }
}

/// Shows the reason of the SIP reply.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "More Than {MOST_BYTES} Bytes Or {MOST_LINES} Lines"),
            Self::Unreadable {
                line,
                column,
                expected,
            } => write!(f, "Line {line} Column {column}: No {expected}"),
            Self::Version => f.write_str("Version 1 Is Understood"),
            Self::Cluster => f.write_str("Another Cluster"),
            Self::Code => f.write_str("Wrong Or Missing Code"),
        }
    }
}

/// Reads a message from outside.
///
/// # Errors
/// If it is not a message for this cluster under this key.
pub fn check<'m>(
    body: &'m [u8],
    cluster: &str,
    key: Option<&HmacKey>,
) -> Result<Message<'m>, Refusal> {
    if body.len() > MOST_BYTES {
        return Err(Refusal::TooLong);
    }
    if let Some(key) = key {
        let (text, code) = split_code(body).ok_or(Refusal::Code)?;
        if !key.fits(text, code) {
            return Err(Refusal::Code);
        }
    }
    let message = read(body)?;
    if message.cluster == cluster {
        Ok(message)
    } else {
        Err(Refusal::Cluster)
    }
}

/// Reads a message whose code and cluster were checked before.
///
/// # Errors
/// If it is none.
pub fn read(body: &[u8]) -> Result<Message<'_>, Refusal> {
    if body.len() > MOST_BYTES || body.iter().filter(|&&byte| byte == b'\n').count() > MOST_LINES {
        return Err(Refusal::TooLong);
    }
    let lines = match body.strip_suffix(b"\n") {
        Some(lines) => lines,
        None => {
            let last = body.rsplit(|&byte| byte == b'\n').next().unwrap_or(body);
            return Err(Refusal::Unreadable {
                line: body.split(|&byte| byte == b'\n').count(),
                column: last.len() + 1,
                expected: "End Of Line",
            });
        }
    };
    let mut lines = (1..).zip(lines.split(|&byte| byte == b'\n'));
    let (_, first) = lines.next().unwrap_or_default();
    let mut words = Words::of(1, first);
    words.exactly(MAGIC, "Message")?;
    let version = words.next("Version")?;
    if version.split(|&byte| byte == b'.').next() != Some(MAJOR) {
        return Err(Refusal::Version);
    }
    let mut message = read_first(words)?;
    for (number, line) in lines {
        let mut words = Words::of(number, line);
        let letter = words.next("Letter")?;
        match (letter, &mut message.content) {
            (b"A", Content::Data(data)) => data.registers.push(words.register()?),
            (b"B", Content::Data(data)) => data.views.push(words.figure(Words::view)?),
            (b"L", Content::Data(data)) => {
                data.calls.push(words.figure(|words| words.small("Calls"))?)
            }
            (b"E", Content::Data(data)) => data.ends.extend(words.call_end()?),
            (b"M", Content::Hello(hello)) => hello.members.push(words.told()?),
            (b"T", Content::Reloaded(reloaded)) => reloaded.reason = words.reason()?,
            _ => {}
        }
    }
    Ok(message)
}

/// Returns the text before the line of the code, and the code.
fn split_code(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let lines = body.strip_suffix(b"\n")?;
    let before = lines.iter().rposition(|&byte| byte == b'\n')? + 1;
    let (text, last) = body.split_at_checked(before)?;
    Some((text, last.strip_prefix(b"Z ")?.strip_suffix(b"\n")?))
}

/// Reads the fields of the first line.
fn read_first<'m>(mut words: Words<'m>) -> Result<Message<'m>, Refusal> {
    let (mut cluster, mut node, mut incarnation, mut number) = (None, None, None, None);
    let mut kind = None;
    let mut hello = Hello::default();
    let (mut pings, mut says_pings) = (pings::Told::default(), false);
    let mut data = Data::default();
    let mut reloaded = Reloaded::default();
    while words.rest.is_some() {
        let column = words.column;
        let field = words.next_field().unwrap_or_default();
        let Some(at) = field.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let (name, value) = field.split_at(at);
        let mut value = Words {
            line: words.line,
            column: column + at + 1,
            rest: value.get(1..),
        };
        match name {
            b"c" => cluster = Some(value.word(MOST_NAME, "Cluster")?),
            b"n" => node = Some(value.word(MOST_NAME, "Node")?),
            b"i" => incarnation = Some(value.incarnation()?),
            b"s" => number = Some(value.number("Number")?),
            b"k" => kind = Some(value.next("Kind")?),
            b"u" => hello.uri = value.word(MOST_URI, "URI")?,
            b"r" => hello.ready = value.number("Readiness")? != 0,
            b"b" => hello.started = value.number("Start")?,
            b"p" => hello.hello_ms = value.number("Period")?,
            b"t" => hello.dead_ms = value.number("Time")?,
            b"w" => hello.wall_ms = value.number("Clock")?,
            b"d" => hello.digest = Some(value.number("Digest")?),
            b"y" => pings.true_ms = value.number("Clock")?,
            b"g" => {
                pings.interval_ms = value.number("Interval")?;
                says_pings = true;
            }
            b"o" => data.to = value.number("Incarnation")?,
            b"f" => data.begins = value.number("Begin")? != 0,
            b"e" => data.end = value.number("End")? != 0,
            b"q" => reloaded.asked = value.number("Number")?,
            b"h" => reloaded.dests = Some(value.number("Number")?),
            _ => {}
        }
    }
    hello.pings = says_pings.then_some(pings);
    let missing = |expected| words.unreadable(expected);
    let content = match kind.ok_or_else(|| missing("Kind"))? {
        b"H" if hello.uri.is_empty() => return Err(missing("URI")),
        b"H" => Content::Hello(hello),
        b"D" => Content::Data(data),
        b"R" => Content::Reload { to: data.to },
        b"S" => Content::Reloaded(Reloaded {
            to: data.to,
            ..reloaded
        }),
        b"V" => Content::Leave,
        _ => Content::Unknown,
    };
    Ok(Message {
        cluster: cluster.ok_or_else(|| missing("Cluster"))?,
        node: node.ok_or_else(|| missing("Node"))?,
        incarnation: incarnation.ok_or_else(|| missing("Incarnation"))?,
        number: number.ok_or_else(|| missing("Number"))?,
        content,
    })
}

/// The words of a line that are still to be read; one blank is between two.
struct Words<'m> {
    line: usize,
    /// The column of what is still to be read.
    column: usize,
    /// The rest of the line; `None` after the last word.
    rest: Option<&'m [u8]>,
}

impl<'m> Words<'m> {
    fn of(line: usize, text: &'m [u8]) -> Self {
        Self {
            line,
            column: 1,
            rest: Some(text),
        }
    }

    fn unreadable(&self, expected: &'static str) -> Refusal {
        Refusal::Unreadable {
            line: self.line,
            column: self.column,
            expected,
        }
    }

    /// Returns the next word, which may be empty.
    fn next_field(&mut self) -> Option<&'m [u8]> {
        let rest = self.rest?;
        let end = rest.iter().position(|&byte| byte == b' ');
        let (word, rest) = match end {
            Some(end) => (rest.get(..end)?, rest.get(end + 1..)),
            None => (rest, None),
        };
        self.column += word.len() + usize::from(rest.is_some());
        self.rest = rest;
        Some(word)
    }

    /// Returns the next word, which is not empty.
    fn next(&mut self, expected: &'static str) -> Result<&'m [u8], Refusal> {
        self.read(expected, Some)
    }

    fn exactly(&mut self, word: &[u8], expected: &'static str) -> Result<(), Refusal> {
        self.read(expected, |found| (found == word).then_some(()))
    }

    fn word(&mut self, most: usize, expected: &'static str) -> Result<&'m str, Refusal> {
        self.read(expected, |word| {
            let word = is_word(word, most).then_some(word)?;
            core::str::from_utf8(word).ok()
        })
    }

    /// Reads a hexadecimal number.
    fn number(&mut self, expected: &'static str) -> Result<u64, Refusal> {
        self.read(expected, |word| {
            let digits = word.iter().map(|&byte| char::from(byte).to_digit(16));
            let add = |number: u64, digit: Option<u32>| Some(number << 4 | u64::from(digit?));
            (word.len() <= 16).then(|| digits.into_iter().try_fold(0, add))?
        })
    }

    /// Reads the rest of the line as a text.
    fn reason(&mut self) -> Result<&'m str, Refusal> {
        let text = self.rest.filter(|text| is_reason(text));
        let text = text.and_then(|text| core::str::from_utf8(text).ok());
        text.ok_or_else(|| self.unreadable("Reason"))
    }

    fn incarnation(&mut self) -> Result<u64, Refusal> {
        let refusal = self.unreadable("Incarnation");
        let number = self.number("Incarnation")?;
        (number <= MOST_INCARNATION)
            .then_some(number)
            .ok_or(refusal)
    }

    /// Reads a number of 32 bits.
    fn small(&mut self, expected: &'static str) -> Result<u32, Refusal> {
        let refusal = self.unreadable(expected);
        u32::try_from(self.number(expected)?).map_err(|_| refusal)
    }

    fn register(&mut self) -> Result<(Key, Register), Refusal> {
        let key = Key(self.number("Key")?);
        let register = Register {
            stamp: Stamp(self.number("Stamp")?),
            node: NodeHash(self.number("Node")?),
            bits: self.small("Flags")?,
            base: self.small("Listed Flags")?,
        };
        Ok((key, register))
    }

    /// Reads a key, and the figure behind it: `-` if it was taken back.
    fn figure<V>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<V, Refusal>,
    ) -> Result<(Key, Option<V>), Refusal> {
        let key = Key(self.number("Key")?);
        let is_taken_back = self
            .rest
            .is_some_and(|rest| rest.split(|&byte| byte == b' ').next() == Some(b"-"));
        let figure = if is_taken_back {
            None
        } else {
            Some(read(self)?)
        };
        Ok((key, figure))
    }

    fn view(&mut self) -> Result<View, Refusal> {
        Ok(View {
            failures: self.small("Failures")?,
            bits: self.small("Flags")?,
            phase_ms: self.small("Phase")?,
        })
    }

    /// Reads the end of a call; `None` if only a later version knows what has become of the call.
    fn call_end(&mut self) -> Result<Option<CallEnd>, Refusal> {
        let fate = self.next("Fate")?;
        let call_id = self.word(MOST_TEXT, "Call-ID")?;
        let (from, to) = (self.word(MOST_TEXT, "Tag")?, self.word(MOST_TEXT, "Tag")?);
        let fate = match fate {
            b"o" => Fate::Over,
            b"c" => Fate::Cancelled,
            b"a" => Fate::Answered,
            _ => return Ok(None),
        };
        let words = format!("{call_id} {from} {to}");
        Ok(Some(CallEnd::of_words(fate, words)))
    }

    fn told(&mut self) -> Result<Told<'m>, Refusal> {
        Ok(Told {
            name: self.word(MOST_NAME, "Name")?,
            uri: self.word(MOST_URI, "URI")?,
            incarnation: self.incarnation()?,
            heard_ms: self.number("Time")?,
            // A sender that does not say so keeps no figures.
            taken: match self.rest {
                Some(_) => self.number("Taken")? != 0,
                None => true,
            },
        })
    }

    /// Reads the next word; an error names its first column.
    fn read<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'m [u8]) -> Option<T>,
    ) -> Result<T, Refusal> {
        let refusal = self.unreadable(expected);
        let word = self.next_field().filter(|word| !word.is_empty());
        word.and_then(read).ok_or(refusal)
    }
}

#[cfg(test)]
mod tests;

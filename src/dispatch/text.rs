//! Small texts: what messages show of a text, white space, and the parts of parameters.

use core::fmt::{self, Write as _};
use core::str::FromStr;

/// Bytes for a message: quoted, unprintable ones as `\xNN`, cut after 40 bytes with `…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpt<'a>(pub &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 40;
        f.write_char('"')?;
        for byte in self.0.iter().take(MOST) {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_str(if self.0.len() > MOST { "…\"" } else { "\"" })
    }
}

/// Shows bytes from outside in a log line or a fault, in at most [`Escaped::MAX`] bytes: text as it is, other bytes as
/// `\x1b`. A longer text is cut and ends with `...`, so what follows it in the line is still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Escaped<'_> {
    /// The most bytes that are shown.
    pub const MAX: usize = 120;
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A byte more than may be shown is enough to see that the text is too long.
        let start = self.0.get(..=Self::MAX).unwrap_or(self.0);
        let mut shown = Cut(String::new());
        let fits = escape(start, &mut shown).is_ok();
        let Cut(mut shown) = shown;
        if !fits {
            let mut end = shown.len().min(Self::MAX - "...".len());
            while !shown.is_char_boundary(end) {
                end -= 1;
            }
            shown.truncate(end);
            shown.push_str("...");
        }
        f.write_str(&shown)
    }
}

/// Shows a text of the config, such as the name of a file, as [`Escaped`] does, but whole: only the operator makes it
/// long, and needs its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<'a>(pub &'a [u8]);

impl fmt::Display for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, f)
    }
}

/// A text that takes no more than [`Escaped::MAX`] bytes.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.0.len() + piece.len() > Escaped::MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(piece);
        Ok(())
    }
}

/// Writes text as it is, and control characters, backslashes and bytes that are no text as escapes.
fn escape(bytes: &[u8], f: &mut impl fmt::Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        for b in chunk.invalid() {
            write!(f, "\\x{b:02x}")?;
        }
    }
    Ok(())
}

/// Returns a text without the white space at its ends, as the server has it (core/trim.h): a form feed stays.
#[must_use]
pub fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// Returns a text without the white space at its start, as [`trim`] does.
#[must_use]
pub fn trim_start(text: &[u8]) -> &[u8] {
    let from = text.iter().position(|&byte| !is_white(byte));
    text.get(from.unwrap_or(text.len())..).unwrap_or_default()
}

/// Returns a text without the white space at its end, as [`trim`] does.
#[must_use]
pub fn trim_end(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|&byte| !is_white(byte));
    text.get(..last.map_or(0, |last| last + 1))
        .unwrap_or_default()
}

/// Returns true for white space of the server.
#[must_use]
pub const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Reads a number that makes up the whole text; `None` for any other text, and for a number that does not fit.
#[must_use]
pub fn number<N: FromStr>(text: &[u8]) -> Option<N> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// Returns the number in a text if it is not more than this.
#[must_use]
pub fn number_within(text: &[u8], most: u32) -> Option<u32> {
    number(trim(text)).filter(|number| *number <= most)
}

/// Returns the URI of an address such as `"Name" <sip:u@h>`: what stands in angle brackets, or all of a text without them.
#[must_use]
pub fn bare_uri(address: &[u8]) -> &[u8] {
    match cut(address, b"<").1.split_first() {
        Some((_, uri)) => cut(uri, b">").0,
        None => address,
    }
}

/// One part of a text such as `code=404;class=5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'t> {
    /// The part as written, without the blanks around it.
    pub item: &'t [u8],
    /// The text before the first `=`.
    pub name: &'t [u8],
    /// The text behind it, without quotes around it; empty if there is no `=`.
    pub value: &'t [u8],
}

/// The parts of a text such as `code=404;class=5`, as the server's own parser divides it: at each `;` that is not in
/// quotes, up to the first comma.
#[derive(Clone, Debug)]
pub struct Parameters<'t> {
    rest: &'t [u8],
    /// The text behind the comma, which nobody reads.
    pub unread: &'t [u8],
}

impl<'t> Parameters<'t> {
    /// Begins with the first part.
    #[must_use]
    pub const fn of(text: &'t [u8]) -> Self {
        Parameters {
            rest: text,
            unread: b"",
        }
    }
}

impl<'t> Iterator for Parameters<'t> {
    type Item = Parameter<'t>;

    fn next(&mut self) -> Option<Parameter<'t>> {
        if self.rest.is_empty() {
            return None;
        }
        let text = self.rest;
        let (name, behind) = cut(text, b"=;,");
        let (value, end) = match behind.split_first() {
            Some((b'=', value)) => value_of(value),
            _ => (&b""[..], behind),
        };
        let item = text.get(..text.len() - end.len()).unwrap_or(text);
        match end.split_first() {
            Some((b',', unread)) => (self.rest, self.unread) = (b"", unread),
            Some((_, rest)) => self.rest = rest,
            None => self.rest = b"",
        }
        Some(Parameter {
            item: item.trim_ascii(),
            name: name.trim_ascii(),
            value,
        })
    }
}

/// Divides a text before the first of some bytes.
fn cut<'t>(text: &'t [u8], ends: &[u8]) -> (&'t [u8], &'t [u8]) {
    let end = text.iter().position(|byte| ends.contains(byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// Returns the value that a text begins with, and the text from the `;` or comma behind it on.
fn value_of(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    if let Some((quote @ (b'"' | b'\''), quoted)) = text.split_first() {
        let (value, behind) = cut(quoted, &[*quote]);
        return (value, cut(behind, b";,").1);
    }
    let (value, end) = cut(text, b";,");
    (value.trim_ascii(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_from_outside_are_escaped() {
        let shown = |bytes| Escaped(bytes).to_string();
        assert_eq!(shown(b"sip:a@b.test"), "sip:a@b.test");
        assert_eq!(shown(b"a\r\n\\"), r"a\r\n\\");
        assert_eq!(shown("\u{e9}\u{7f}".as_bytes()), "\u{e9}\\u{7f}");
        assert_eq!(shown(b"\xff\xe9x"), r"\xff\xe9x");
    }

    #[test]
    fn long_texts_are_cut() {
        let fits = [b'a'; Escaped::MAX];
        assert_eq!(Escaped(&fits).to_string(), "a".repeat(Escaped::MAX));
        let start = "a".repeat(Escaped::MAX - 3);
        assert_eq!(
            Escaped(&[b'a'; Escaped::MAX + 1]).to_string(),
            start + "..."
        );
        // Neither escapes nor characters of several bytes make it longer.
        for long in [
            vec![0xff; 60_000],
            vec![1; 60_000],
            "\u{20ac}".repeat(500).into_bytes(),
        ] {
            let shown = Escaped(&long).to_string();
            assert!(
                shown.len() <= Escaped::MAX && shown.ends_with("..."),
                "{shown}"
            );
        }
    }

    #[test]
    fn the_operators_own_text_is_whole() {
        let long = [b'\n'; Escaped::MAX];
        assert_eq!(Whole(&long).to_string(), r"\n".repeat(Escaped::MAX));
    }
}

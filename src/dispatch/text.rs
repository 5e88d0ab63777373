//! Small texts: what messages show of a text, and the parts of parameters.

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

/// Reads a number that makes up the whole text; `None` for any other text, and for a number that does not fit.
#[must_use]
pub fn number<N: FromStr>(text: &[u8]) -> Option<N> {
    core::str::from_utf8(text).ok()?.parse().ok()
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

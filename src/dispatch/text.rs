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

/// Reads `name=value`, with blanks around both but not inside; the value begins behind the first `=`.
#[must_use]
pub fn name_value(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = item.iter().position(|byte| *byte == b'=')?;
    let (name, value) = item.split_at(equals);
    let (name, value) = (name.trim_ascii(), value.get(1..)?.trim_ascii());
    let is_word = |text: &[u8]| !text.is_empty() && !text.iter().any(u8::is_ascii_whitespace);
    (is_word(name) && is_word(value)).then_some((name, value))
}

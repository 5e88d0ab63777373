//! The server's strings: pointer and length, no NUL at the end, any bytes.

use super::sys;
use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int};
use core::fmt;
use core::ptr;
use core::slice;

/// Returns the bytes of a server string; no bytes if its pointer is null.
///
/// # Safety
/// `s.s` is null or points to `s.len` bytes that stay as they are for `'a`.
pub unsafe fn bytes<'a>(s: &sys::str_) -> &'a [u8] {
    if s.len <= 0 || s.s.is_null() {
        return &[];
    }
    let len = usize::try_from(s.len).unwrap_or(0);
    // SAFETY: not null, and of this length by this function's contract.
    unsafe { slice::from_raw_parts(s.s.cast::<u8>(), len) }
}

/// Returns the bytes of the server string at an address; `None` for null.
///
/// # Safety
/// `s` is null or points to a string that [`bytes`] accepts.
pub unsafe fn bytes_at<'a>(s: *const sys::str_) -> Option<&'a [u8]> {
    // SAFETY: null or valid, by this function's contract.
    let s = unsafe { s.as_ref() }?;
    // SAFETY: by this function's contract.
    Some(unsafe { bytes(s) })
}

/// Returns the bytes of a C string, without its NUL; `None` for null.
///
/// # Safety
/// `s` is null or points to a text with a NUL at its end that stays as it is for `'a`.
pub unsafe fn c_bytes<'a>(s: *const c_char) -> Option<&'a [u8]> {
    if s.is_null() {
        return None;
    }
    // SAFETY: not null, and ended by NUL by this function's contract.
    Some(unsafe { CStr::from_ptr(s) }.to_bytes())
}

/// Returns bytes as a server string, for a call that only reads them. It is valid as long as `b`.
pub fn as_str(b: &[u8]) -> sys::str_ {
    sys::str_ {
        s: b.as_ptr().cast::<c_char>().cast_mut(),
        // A length that the server has no number for becomes 0, and not a wrong one.
        len: c_int::try_from(b.len()).unwrap_or(0),
    }
}

/// Returns a text that ends with NUL as a server string, for a call that may read as far as the NUL.
pub fn as_terminated_str(b: &CStr) -> sys::str_ {
    sys::str_ {
        s: b.as_ptr().cast_mut(),
        len: as_str(b.to_bytes()).len,
    }
}

/// Returns a text without the white space at its ends, as the server has it (core/trim.h): a form feed stays.
pub fn trim(text: &[u8]) -> &[u8] {
    let first = text.iter().position(|byte| !WHITE.contains(byte));
    first.map_or(b"", |at| trim_end(text.get(at..).unwrap_or_default()))
}

/// Returns a text without the white space at its end, as [`trim`] does.
pub fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some((last, rest)) = text.split_last() {
        if !WHITE.contains(last) {
            break;
        }
        text = rest;
    }
    text
}

const WHITE: &[u8] = b" \t\r\n";

/// The server's empty string.
pub const EMPTY: sys::str_ = sys::str_ {
    s: ptr::null_mut(),
    len: 0,
};

/// A text for a pseudo-variable. Some of the server's functions put a NUL behind a value for a moment
/// (core/str.h, `STR_VTOZ`), so it can be changed, and has a byte to spare.
#[derive(Debug)]
pub struct ScriptText(Box<[Cell<u8>]>);

impl ScriptText {
    /// A copy of the bytes.
    pub fn new(text: &[u8]) -> Self {
        ScriptText(text.iter().chain(b"\0").copied().map(Cell::new).collect())
    }

    /// A copy of the bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let len = self.0.len().saturating_sub(1);
        self.0.iter().take(len).map(Cell::get).collect()
    }

    /// Returns true for a text without bytes.
    pub fn is_empty(&self) -> bool {
        self.0.len() <= 1
    }

    /// The text for the server; it lives as long as this does.
    pub fn as_str(&self) -> sys::str_ {
        sys::str_ {
            s: self.0.as_ptr().cast_mut().cast(),
            len: c_int::try_from(self.0.len().saturating_sub(1)).unwrap_or(0),
        }
    }
}

/// A string argument of a function that the server calls. Only the server makes one.
#[repr(transparent)]
pub struct StrArg(*const sys::str_);

impl StrArg {
    /// Returns its bytes, for the time of the call; no bytes for a null pointer.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: null, or the server's own string, which stays as it is until the function that got
        // it returns (core/kemi.h, core/pvapi.c); `self` is borrowed as long as the result.
        unsafe { bytes_at(self.0) }.unwrap_or_default()
    }
}

/// Shows bytes from outside in a log line or a fault, in at most [`Escaped::MAX`] bytes: text as it is, other bytes as
/// `\x1b`. A longer text is cut and ends with `...`, so what follows it in the line is still read.
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

    #[test]
    fn a_string_without_pointer_or_length_is_empty() {
        let text = b"text";
        for (s, len) in [
            (ptr::null_mut(), 4),
            (as_str(text).s, 0),
            (as_str(text).s, -1),
        ] {
            // SAFETY: null, or a text of our own, of which no byte is to be read.
            assert_eq!(unsafe { bytes(&sys::str_ { s, len }) }, b"");
        }
        // SAFETY: a text of our own.
        assert_eq!(unsafe { bytes(&as_str(text)) }, text);
        // SAFETY: null is allowed.
        assert_eq!(unsafe { bytes_at(ptr::null()) }, None);
        // SAFETY: null is allowed.
        assert_eq!(unsafe { c_bytes(ptr::null()) }, None);
    }

    #[test]
    fn a_text_for_scripts_ends_with_nul() {
        let text = ScriptText::new(b"ab");
        assert_eq!((text.bytes(), text.as_str().len), (b"ab".to_vec(), 2));
        // SAFETY: the text lives, and has a byte more than its length says.
        assert_eq!(unsafe { CStr::from_ptr(text.as_str().s) }, c"ab");
    }
}

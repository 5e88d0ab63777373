//! The server's strings: pointer and length, no NUL at the end, any bytes.

use super::sys;
use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int};
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

#[cfg(test)]
mod tests {
    use super::*;

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

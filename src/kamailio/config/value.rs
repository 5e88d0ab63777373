//! The value of one parameter, as the server has read it from the config.

use core::ffi::{c_char, c_void};
use core::fmt;
use std::sync::{Mutex, PoisonError};

use crate::dispatch::text::Whole;
use crate::kamailio::server::guard::{InitRet, guard};
use crate::kamailio::server::log::log_warn;
use crate::kamailio::server::sys;
use crate::kamailio::server::text;

/// A parameter whose value cannot be used.
pub(super) struct BadValue {
    name: &'static str,
    value: Vec<u8>,
    expected: &'static str,
}

/// The values of a parameter that may be set more than once, in the order of the config.
pub(super) struct Texts(Mutex<Vec<Vec<u8>>>);

impl Texts {
    pub(super) const fn new() -> Self {
        Texts(Mutex::new(Vec::new()))
    }

    /// Keeps a value. For the function that the server calls with each, while it reads the config.
    pub(super) fn keep(&self, value: *mut c_void) -> InitRet {
        guard(|| {
            // SAFETY: null, or the value, which ends with NUL and stays for the call (core/modparam.c).
            let value = unsafe { text::c_bytes(value.cast::<c_char>()) };
            let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            values.push(value.unwrap_or_default().to_vec());
            InitRet::OK
        })
    }

    /// Returns all values.
    pub(super) fn all(&self) -> Vec<Vec<u8>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A parameter that was read.
pub(super) type Read<T> = Result<T, BadValue>;

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value, expected) = (self.name, Whole(&self.value), self.expected);
        write!(
            f,
            "parameter {name}: found \"{value}\", expected {expected}"
        )
    }
}

/// Returns the error for a value.
pub(super) fn bad<T>(name: &'static str, value: &[u8], expected: &'static str) -> Read<T> {
    Err(BadValue {
        name,
        value: value.to_vec(),
        expected,
    })
}

/// Returns the error for a number.
pub(super) fn bad_number<T>(name: &'static str, value: i32, expected: &'static str) -> Read<T> {
    bad(name, value.to_string().as_bytes(), expected)
}

/// Returns the bytes of a text parameter, which the server never frees or changes.
pub(super) fn bytes(text: &sys::str_) -> &'static [u8] {
    // SAFETY: set by the server while it read the config, and left alone since (doc/dev/safety.md).
    unsafe { text::bytes(text) }
}

/// Returns the bytes of a text parameter, if it is set.
pub(super) fn set(text: &sys::str_) -> Option<&'static [u8]> {
    Some(bytes(text)).filter(|text| !text.is_empty())
}

/// Parses a text parameter, if it is set.
pub(super) fn parsed<T>(
    name: &'static str,
    value: &sys::str_,
    parse: impl FnOnce(&'static [u8]) -> Option<T>,
    expected: &'static str,
) -> Read<Option<T>> {
    let Some(value) = set(value) else {
        return Ok(None);
    };
    match parse(value) {
        Some(parsed) => Ok(Some(parsed)),
        None => bad(name, value, expected),
    }
}

/// Warns of a value that means nothing, and says what is done instead.
pub(super) fn remark(name: &str, value: &[u8], expected: &str, instead: &str) {
    log_warn!(
        "parameter {name}: found \"{}\", expected {expected}: {instead}",
        Whole(value)
    );
}

/// As [`remark`], of a number.
pub(super) fn remark_number(name: &str, value: i32, expected: &str, instead: &str) {
    remark(name, value.to_string().as_bytes(), expected, instead);
}

/// Warns of what follows a variable, which nobody reads.
pub(super) fn remark_rest(name: &str, value: &[u8], rest: &[u8], expected: &str) {
    if !rest.trim_ascii().is_empty() {
        remark(
            name,
            value,
            expected,
            "what follows the variable is not read",
        );
    }
}

/// Reads a number that is not negative. A negative one counts as 0, after a warning.
pub(super) fn whole(name: &str, value: i32, expected: &str) -> u32 {
    u32::try_from(value).unwrap_or_else(|_| {
        remark_number(name, value, expected, "0 is used");
        0
    })
}

/// Reads a number of seconds. A negative one never comes to its end, after a warning.
pub(super) fn seconds_or_never(name: &str, value: i32) -> u32 {
    u32::try_from(value).unwrap_or_else(|_| {
        remark_number(name, value, "seconds, 0 or more", "the time never ends");
        u32::MAX
    })
}

/// Reads a number that is 0 or 1.
pub(super) fn switch(name: &'static str, value: i32) -> Read<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => bad_number(name, other, "0 or 1"),
    }
}

#[cfg(test)]
mod tests {
    use super::switch;

    #[test]
    fn a_switch_is_0_or_1() {
        assert!(matches!(switch("p", 0), Ok(false)));
        assert!(matches!(switch("p", 1), Ok(true)));
        let bad = switch("p", 2).map_err(|bad| bad.to_string());
        let text = "parameter p: found \"2\", expected 0 or 1";
        assert_eq!(bad, Err(text.to_owned()));
    }
}

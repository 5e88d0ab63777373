//! The server's log, with the place in the Rust source: `dispatcher [src/…/x.rs:42]: pick(): …`.
//!
//! The level is tested before anything is formatted, and the text is an argument of `%.*s`, never
//! a format. Short messages need no memory from the heap.

// Not every level has a message yet.
#![allow(unused_macros)]

use super::sys;
use core::ffi::{CStr, c_int};
use core::fmt::{self, Write};

/// Bytes that a message may have before it needs the heap.
const SHORT: usize = 512;

/// A log line while it is written.
pub struct Line {
    short: [u8; SHORT],
    used: usize,
    long: Vec<u8>,
}

impl Line {
    /// An empty line.
    pub const fn new() -> Self {
        Self {
            short: [0; SHORT],
            used: 0,
            long: Vec::new(),
        }
    }

    /// What was written so far.
    pub fn bytes(&self) -> &[u8] {
        if self.long.is_empty() {
            self.short.get(..self.used).unwrap_or_default()
        } else {
            &self.long
        }
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.long.is_empty() {
            let end = self.used.saturating_add(bytes.len());
            if let Some(room) = self.short.get_mut(self.used..end) {
                room.copy_from_slice(bytes);
                self.used = end;
                return;
            }
            let so_far = self.short.get(..self.used).unwrap_or_default();
            self.long.extend_from_slice(so_far);
        }
        self.long.extend_from_slice(bytes);
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.push(s.as_bytes());
        Ok(())
    }
}

/// True if a message of this level would be written now.
pub fn on(level: c_int) -> bool {
    // SAFETY: reads the process's own debug level (core/dprint.c, get_debug_level).
    unsafe { sys::glue_log_on(level) != 0 }
}

/// Writes one message; called by the macros, which test the level first.
///
/// `path` is the full name of a function inside the caller, see [`crate::kamailio::log_at!`].
pub fn write(level: c_int, prefix: &CStr, path: &str, message: fmt::Arguments<'_>) {
    let mut func = Line::new();
    func.push(function_of(path).as_bytes());
    func.push(b"\0");
    let func = CStr::from_bytes_until_nul(func.bytes()).ok();
    let mut text = Line::new();
    // Writing to a Line fails only where a Display of ours does; what came before is still good.
    let _ = text.write_fmt(message);
    emit(level, prefix, func, text.bytes());
}

/// Writes one message with a place known only at run time.
pub fn write_at(level: c_int, file: &str, line: u32, text: &[u8]) {
    let mut prefix = Line::new();
    let _ = write!(prefix, "dispatcher [{file}:{line}]: \0");
    let prefix = CStr::from_bytes_until_nul(prefix.bytes()).unwrap_or(c"dispatcher: ");
    emit(level, prefix, None, text);
}

fn emit(level: c_int, prefix: &CStr, func: Option<&CStr>, text: &[u8]) {
    let len = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
    let func = func.map_or(core::ptr::null(), CStr::as_ptr);
    // SAFETY: prefix and func end with NUL, text has len bytes; the server copies them into its
    // output before it returns (include/dispatcher_glue.h).
    unsafe { sys::glue_log(level, prefix.as_ptr(), func, text.as_ptr().cast(), len) }
}

/// `pick` of `dispatcher::dispatch::select::pick::{{closure}}::here`.
fn function_of(path: &str) -> &str {
    let mut path = path.strip_suffix("::here").unwrap_or(path);
    while let Some(outer) = path.strip_suffix("::{{closure}}") {
        path = outer;
    }
    path.rsplit("::").next().unwrap_or(path)
}

/// Writes one message at the given level, if the server wants that level now.
macro_rules! log_at {
    ($level:expr, $($message:tt)+) => {{
        let level: ::core::ffi::c_int = $level;
        if $crate::kamailio::server::log::on(level) {
            const PREFIX: &::core::ffi::CStr = match ::core::ffi::CStr::from_bytes_with_nul(
                concat!("dispatcher [", file!(), ":", line!(), "]: \0").as_bytes(),
            ) {
                Ok(prefix) => prefix,
                Err(_) => c"dispatcher: ",
            };
            fn here() {}
            let path = ::core::any::type_name_of_val(&here);
            $crate::kamailio::server::log::write(level, PREFIX, path, format_args!($($message)+));
        }
    }};
}

/// The server cannot do its work; a bug or a broken machine.
macro_rules! log_crit {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_CRIT2, $($m)+) };
}

/// The operator must act.
macro_rules! log_err {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_ERR, $($m)+) };
}

/// Input ignored, or a default used.
macro_rules! log_warn {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_WARN, $($m)+) };
}

/// State changed, list loaded.
macro_rules! log_info {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_INFO, $($m)+) };
}

/// Per request.
macro_rules! log_dbg {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_DBG, $($m)+) };
}

#[allow(unused_imports)]
pub(crate) use {log_at, log_crit, log_dbg, log_err, log_info, log_warn};

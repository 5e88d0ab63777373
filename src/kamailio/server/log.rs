//! The server's log, with the place in the Rust source: `dispatcher [src/…/x.rs:42]: pick(): …`.
//!
//! The level is tested before anything is formatted, and the text is an argument of `%.*s`, never a format.

use core::ffi::{CStr, c_int};
use core::fmt;
use std::ffi::CString;

use super::sys;

/// Returns true if a message of this level would be written now.
pub fn on(level: c_int) -> bool {
    // SAFETY: reads variables of this process, the debug levels (core/dprint.h, is_printable).
    unsafe { sys::glue_log_on(level) != 0 }
}

/// Writes one message; called by the macros, which test the level first.
///
/// `path` is the full name of a function inside the caller, see [`crate::kamailio::server::log::log_at!`].
pub fn write(level: c_int, prefix: &CStr, path: &str, message: fmt::Arguments<'_>) {
    let func = CString::new(function_of(path)).ok();
    emit(level, prefix, func.as_deref(), &message.to_string());
}

/// Writes one message with a place that is known only at run time.
pub fn write_at(level: c_int, file: &str, line: u32, text: &str) {
    let prefix = CString::new(format!("dispatcher [{file}:{line}]: "));
    emit(level, &prefix.unwrap_or_default(), None, text);
}

/// Writes a critical message without taking memory of the heap, which may be used up.
pub fn write_last(text: &str) {
    emit(
        sys::L_CRIT2,
        c"dispatcher [src/kamailio/server/heap.rs]: ",
        None,
        text,
    );
}

fn emit(level: c_int, prefix: &CStr, func: Option<&CStr>, text: &str) {
    let len = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
    let func = func.map_or(core::ptr::null(), CStr::as_ptr);
    // SAFETY: prefix and func end with NUL, text has at least len bytes; the server has written them when it
    // returns (include/dispatcher_glue.h).
    unsafe { sys::glue_log(level, prefix.as_ptr(), func, text.as_ptr().cast(), len) }
}

/// Returns the name of the function in a path: `pick` in `dispatcher::select::pick::{{closure}}::here`.
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

/// Logs that the server cannot do its work: a bug, or a broken machine.
macro_rules! log_crit {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_CRIT2, $($m)+) };
}

/// Logs what the operator must act upon.
macro_rules! log_err {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_ERR, $($m)+) };
}

/// Logs that input was ignored, or that a default is used.
macro_rules! log_warn {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_WARN, $($m)+) };
}

/// Logs that a state has changed, or that a list was loaded.
macro_rules! log_info {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_INFO, $($m)+) };
}

/// Logs what happens for each request.
macro_rules! log_dbg {
    ($($m:tt)+) => { $crate::kamailio::server::log::log_at!($crate::kamailio::server::sys::L_DBG, $($m)+) };
}

pub(crate) use {log_at, log_crit, log_dbg, log_err, log_info, log_warn};

#[cfg(test)]
mod tests {
    use super::function_of;

    #[test]
    fn the_function_is_the_last_part_of_its_path() {
        let path = "dispatcher::dispatch::select::pick::here";
        assert_eq!(function_of(path), "pick");
        let path = "dispatcher::pick::{{closure}}::{{closure}}::here";
        assert_eq!(function_of(path), "pick");
        assert_eq!(function_of("pick"), "pick");
    }
}

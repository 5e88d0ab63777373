//! The server's log, with the place in the Rust source: `dispatcher [src/…/x.rs:42]: pick(): …`.
//!
//! The level is tested before anything is formatted, and the text is an argument of `%.*s`, never a format.
//!
//! Whoever writes to a log may have to wait for it. Lines that are logged while this process holds what others wait for
//! (see [`wait_while`]) are written afterwards, at the latest when the entry point ends.

use core::ffi::{CStr, c_int};
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::cell::RefCell;
use std::ffi::CString;
use std::sync::OnceLock;

use super::sys;

/// The most lines that wait; further ones are written at once.
const MOST_WAITING: usize = 1_000;

/// A line that waits.
struct Line {
    level: c_int,
    prefix: CString,
    func: Option<CString>,
    text: String,
}

impl Line {
    fn emit(&self) {
        emit(self.level, &self.prefix, self.func.as_deref(), &self.text);
    }
}

/// The lines of this process that wait, in order.
struct Waiting(Vec<Line>);

impl Waiting {
    /// Takes one more line. Returns those that are to be written now.
    fn pass(&mut self, line: Line, must_wait: bool) -> Vec<Line> {
        if must_wait && self.0.len() >= MOST_WAITING {
            return vec![line];
        }
        self.0.push(line);
        if must_wait {
            Vec::new()
        } else {
            core::mem::take(&mut self.0)
        }
    }
}

thread_local! {
    static WAITING: RefCell<Waiting> = const { RefCell::new(Waiting(Vec::new())) };
}

/// True while lines of this process wait.
static ANY_WAITS: AtomicBool = AtomicBool::new(false);

/// Says whether lines have to wait, and writes those that do. Pointers, so that tests of the guard need no server.
struct Rule {
    holds: fn() -> bool,
    write_all: fn(),
}

static RULE: OnceLock<Rule> = OnceLock::new();

/// Lets lines wait while `holds` is true of this process. For the start.
pub fn wait_while(holds: fn() -> bool) {
    // The server starts once in a process.
    let _ = RULE.set(Rule { holds, write_all });
}

fn must_wait() -> bool {
    RULE.get().is_some_and(|rule| (rule.holds)())
}

/// Writes the lines that wait, unless they still have to.
#[inline(always)]
pub fn write_waiting() {
    if ANY_WAITS.load(Relaxed) {
        write_by_rule();
    }
}

/// Out of line, so that entry points stay small.
#[cold]
#[inline(never)]
fn write_by_rule() {
    RULE.get().into_iter().for_each(|rule| (rule.write_all)());
}

fn write_all() {
    if must_wait() {
        return;
    }
    ANY_WAITS.store(false, Relaxed);
    let waiting = WAITING.with_borrow_mut(|waiting| core::mem::take(&mut waiting.0));
    waiting.iter().for_each(Line::emit);
}

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
    let text = message.to_string();
    let line = Line {
        level,
        prefix: prefix.to_owned(),
        func,
        text,
    };
    let must_wait = must_wait();
    ANY_WAITS.store(must_wait, Relaxed);
    let now = WAITING.with_borrow_mut(|waiting| waiting.pass(line, must_wait));
    now.iter().for_each(Line::emit);
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
    use super::{CString, Line, MOST_WAITING, Waiting, function_of};

    #[test]
    fn lines_wait_as_long_as_others_wait_for_this_process() {
        let line = |text: usize| Line {
            level: 3,
            prefix: CString::default(),
            func: None,
            text: text.to_string(),
        };
        let mut waiting = Waiting(Vec::new());
        for number in 0..MOST_WAITING {
            assert!(waiting.pass(line(number), true).is_empty());
        }
        assert_eq!(waiting.pass(line(7), true).len(), 1, "no more than that");
        let now = waiting.pass(line(MOST_WAITING), false);
        let numbers = now.iter().map(|line| line.text.parse::<usize>().unwrap());
        assert!(numbers.eq(0..=MOST_WAITING), "all, in order");
        assert!(waiting.0.is_empty());
    }

    #[test]
    fn the_function_is_the_last_part_of_its_path() {
        let path = "dispatcher::dispatch::select::pick::here";
        assert_eq!(function_of(path), "pick");
        let path = "dispatcher::pick::{{closure}}::{{closure}}::here";
        assert_eq!(function_of(path), "pick");
        assert_eq!(function_of("pick"), "pick");
    }
}

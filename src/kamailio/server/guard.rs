//! The guard that no panic leaves: it would end the worker, and the server stops when a worker dies.
//!
//! Every `extern "C"` body is one call to [`guard`]. The return type chooses the value that the server gets
//! after a panic, and a hook writes one log line about it.

use core::ffi::c_int;
use core::num::NonZeroI32;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use super::log;
use super::sys;
use crate::dispatch::text::Escaped;

/// A return value of an entry point, one of which tells the server about a panic.
pub trait EntryRet {
    /// The value after a panic.
    const ON_PANIC: Self;
}

/// Timers, tm callbacks and `destroy` go on after the log line.
impl EntryRet for () {
    const ON_PANIC: Self = ();
}

/// A pointer is null after a panic.
impl<T> EntryRet for *mut T {
    const ON_PANIC: Self = core::ptr::null_mut();
}

/// The result of `mod_init`, `child_init`, `mod_register` and fixups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct InitRet(c_int);

impl InitRet {
    /// The step is done.
    pub const OK: Self = Self(0);
    /// The step failed; the server does not start.
    pub const FAILED: Self = Self(-1);

    /// Returns success if the step is done.
    pub const fn of(done: bool) -> Self {
        if done { Self::OK } else { Self::FAILED }
    }
}

impl EntryRet for InitRet {
    const ON_PANIC: Self = Self::FAILED;
}

/// `Ok` is success. The error must have been logged.
impl<E> From<Result<(), E>> for InitRet {
    fn from(result: Result<(), E>) -> Self {
        Self::of(result.is_ok())
    }
}

/// The result of a script or KEMI function: positive is true, negative is false. It cannot be 0, which would
/// end the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct ScriptRet(NonZeroI32);

impl ScriptRet {
    /// True.
    pub const OK: Self = Self::new(1);
    /// False, with the usual code.
    pub const FAILED: Self = match NonZeroI32::new(-1) {
        Some(code) => Self(code),
        None => Self(NonZeroI32::MIN),
    };

    /// Makes a result of its own code; 0 becomes [`ScriptRet::FAILED`].
    pub const fn new(code: i32) -> Self {
        match NonZeroI32::new(code) {
            Some(code) => Self(code),
            None => Self::FAILED,
        }
    }
}

impl EntryRet for ScriptRet {
    const ON_PANIC: Self = Self::FAILED;
}

/// How an RPC command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RpcEnd {
    /// It has answered.
    Done,
    /// It answers with a fault of this text.
    Fault(String),
    /// It panicked, and may not have answered.
    Panicked,
}

impl EntryRet for RpcEnd {
    const ON_PANIC: Self = Self::Panicked;
}

/// The functions that a build for memcheck runs before and after each body.
#[cfg(feature = "memcheck")]
pub static AROUND: std::sync::OnceLock<[fn(); 2]> = std::sync::OnceLock::new();

/// Runs the body of an entry point, and returns [`EntryRet::ON_PANIC`] after a panic.
///
/// Locks are released while the panic unwinds.
pub fn guard<R: EntryRet>(body: impl FnOnce() -> R) -> R {
    #[cfg(feature = "memcheck")]
    AROUND.get().inspect(|[before, _]| before());
    let value = match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            // The payload leaks, because its own Drop might panic again.
            core::mem::forget(payload);
            R::ON_PANIC
        }
    };
    log::write_waiting();
    #[cfg(feature = "memcheck")]
    AROUND.get().inspect(|[_, after]| after());
    value
}

/// Returns true in the first thread of a process, which is the only one that may run our code (doc/dev/safety.md).
pub fn in_first_thread() -> bool {
    // SAFETY: only returns the number of this thread.
    u32::try_from(unsafe { libc::gettid() }) == Ok(std::process::id())
}

/// Has every panic write to the server's log. The default hook writes to stderr, which is /dev/null in a
/// daemon.
pub fn install_hook() {
    panic::set_hook(Box::new(log_panic));
}

/// Writes one critical line that names the place in the source.
fn log_panic(info: &PanicHookInfo<'_>) {
    let text = format!("panic caught: {}", Escaped(payload_text(info).as_bytes()));
    let (file, line) = info.location().map_or(("?", 0), |l| (l.file(), l.line()));
    log::write_at(sys::L_CRIT2, file, line, &text);
}

/// Returns the message of `panic!`, or of a failed check.
fn payload_text<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run in threads of their own; a child of one has a single thread.
    #[test]
    fn another_thread_is_not_the_first() {
        assert!(!in_first_thread());
        // SAFETY: the child asks for its number and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let wrong = i32::from(!in_first_thread());
            // SAFETY: ends this process, without what a test would do at its end.
            unsafe { libc::_exit(wrong) };
        }
        let mut status = -1;
        // SAFETY: our own child, and a number that outlives the call.
        let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((ended, status), (child, 0));
    }

    #[test]
    #[allow(clippy::panic)]
    fn a_panic_becomes_the_failure_of_that_kind_of_function() {
        panic::set_hook(Box::new(|_| {}));
        let panics = || -> bool { panic!("on purpose") };
        assert_eq!(guard(|| ScriptRet::new(panics().into())), ScriptRet::FAILED);
        assert_eq!(guard(|| InitRet::of(panics())), InitRet::FAILED);
        let end = guard(|| {
            if panics() {
                RpcEnd::Done
            } else {
                RpcEnd::Fault(String::new())
            }
        });
        assert_eq!(end, RpcEnd::Panicked);
    }

    #[test]
    fn no_script_function_returns_0() {
        assert_eq!(ScriptRet::new(0), ScriptRet::FAILED);
        assert_ne!(ScriptRet::new(-2), ScriptRet::FAILED);
    }
}

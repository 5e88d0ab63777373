//! No panic leaves Rust: it would end the worker, and the server stops when a worker dies.
//!
//! Every `extern "C"` body is one call to [`guard`]. The return type picks the value that the
//! server gets after a panic. A hook writes the one log line about it.

use super::log;
use core::ffi::c_int;
use core::fmt::Write;
use core::num::NonZeroI32;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

/// A return value of an entry point, with the one that tells the server about a failure inside.
pub trait EntryRet {
    /// Returned after a panic.
    const ON_PANIC: Self;
}

/// Timers, tm callbacks, `destroy`, RPC commands: log and go on.
impl EntryRet for () {
    const ON_PANIC: Self = ();
}

/// A pointer result: null.
impl<T> EntryRet for *mut T {
    const ON_PANIC: Self = core::ptr::null_mut();
}

/// Result of `mod_init`, `child_init`, `mod_register`, fixups and parameter functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct InitRet(c_int);

impl InitRet {
    /// The step is done.
    pub const OK: Self = Self(0);
    /// The step failed; the server does not start.
    pub const FAILED: Self = Self(-1);
}

impl EntryRet for InitRet {
    const ON_PANIC: Self = Self::FAILED;
}

/// `Ok` is success; the error must have been logged.
impl<E> From<Result<(), E>> for InitRet {
    fn from(result: Result<(), E>) -> Self {
        if result.is_ok() {
            Self::OK
        } else {
            Self::FAILED
        }
    }
}

/// Result of a script or KEMI function: positive is true, negative is false. It cannot be 0,
/// which would end the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct ScriptRet(NonZeroI32);

impl ScriptRet {
    /// True.
    pub const OK: Self = Self::new(1);
    /// False, and the usual error.
    pub const FAILED: Self = match NonZeroI32::new(-1) {
        Some(code) => Self(code),
        None => Self(NonZeroI32::MIN),
    };

    /// A code of its own; 0 becomes [`ScriptRet::FAILED`].
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
    /// It answers with a fault that has this text.
    Fault(String),
    /// It panicked, and has perhaps not answered.
    Panicked,
}

impl EntryRet for RpcEnd {
    const ON_PANIC: Self = Self::Panicked;
}

/// Runs the body of an entry point; after a panic the server gets [`EntryRet::ON_PANIC`].
///
/// Guards of the server's locks are released while the panic unwinds.
pub fn guard<R: EntryRet>(body: impl FnOnce() -> R) -> R {
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            // A payload's own Drop may panic again; the little that leaks is worth it.
            core::mem::forget(payload);
            R::ON_PANIC
        }
    }
}

/// Sends the text of every panic to the server's log: the default hook writes to stderr, which is
/// /dev/null in a daemon.
pub fn install_hook() {
    panic::set_hook(Box::new(log_panic));
}

/// One critical line that names the place in the source.
fn log_panic(info: &PanicHookInfo<'_>) {
    let mut text = log::Line::new();
    let what = payload_text(info);
    // Writing to a Line cannot fail.
    let _ = write!(
        text,
        "panic caught: {}",
        crate::kamailio::server::text::Escaped(what.as_bytes())
    );
    let (file, line) = info.location().map_or(("?", 0), |l| (l.file(), l.line()));
    log::write_at(
        crate::kamailio::server::sys::L_CRIT2,
        file,
        line,
        text.bytes(),
    );
}

/// The message of `panic!`, or of a failed check.
fn payload_text<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "no message",
    }
}

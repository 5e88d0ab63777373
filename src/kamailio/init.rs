//! Start, fork, stop.

use super::guard::{InitRet, guard};
use core::ffi::c_int;

/// Called once when the module is opened, before its parameters are set.
pub fn on_load() -> InitRet {
    InitRet::OK
}

/// `mod_init`: once, in the main process, before any fork.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_init() -> InitRet {
    guard(|| InitRet::OK)
}

/// `child_init`: in each process; `PROC_INIT` comes once before the forks.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_child_init(_rank: c_int) -> InitRet {
    guard(|| InitRet::OK)
}

/// `destroy`: in the main process when the server stops; also when `mod_init` failed or never ran.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_destroy() {
    guard(|| {});
}

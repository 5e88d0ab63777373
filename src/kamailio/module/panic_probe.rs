//! A script function that panics on purpose, for the test of the guard. Never in a release.

use crate::kamailio::server::guard::{ScriptRet, guard};
use crate::kamailio::server::sys;
use core::ffi::c_char;

/// `ds_panic_probe()`: always panics; the script must see -1.
#[unsafe(no_mangle)]
#[allow(clippy::panic)]
pub extern "C" fn dsr_panic_probe(
    _msg: *mut sys::sip_msg,
    _p1: *mut c_char,
    _p2: *mut c_char,
) -> ScriptRet {
    guard(|| panic!("on purpose, 100%s\nsecond line"))
}

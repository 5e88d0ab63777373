//! Script functions that panic, or ask for too much memory, on purpose, for the tests of both. Never in a release.

use crate::kamailio::server::guard::{ScriptRet, guard};
use crate::kamailio::server::sys;
use core::ffi::c_char;
use core::hint::black_box;

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

/// `ds_memory_probe()`: asks for more memory than there is; the process must end.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_memory_probe(
    _msg: *mut sys::sip_msg,
    _p1: *mut c_char,
    _p2: *mut c_char,
) -> ScriptRet {
    guard(|| {
        let much = Vec::<u8>::with_capacity(isize::MAX.unsigned_abs());
        black_box(much.as_ptr());
        ScriptRet::OK
    })
}

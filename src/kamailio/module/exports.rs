//! The five symbols that the server's loader looks up by name.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_uint, c_void};
use core::mem::MaybeUninit;

use crate::kamailio::server::guard::{self, InitRet};
use crate::kamailio::server::sys;

/// A variable that only the server's loader reads.
#[repr(transparent)]
pub struct ForLoader<T>(UnsafeCell<T>);

// SAFETY: Rust never reads the content, and writes it only while the loader loads this module; the
// loader reads it in the same thread, before any fork (core/sr_module.c, load_module).
unsafe impl<T> Sync for ForLoader<T> {}

impl<T> ForLoader<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }
}

/// The version of the server that this module was built for. The loader refuses any other.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static module_version: ForLoader<*const c_char> =
    ForLoader::new(sys::KSR_FULL_VERSION.as_ptr());

/// The compile flags of that server, which the loader compares byte by byte.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static module_flags: ForLoader<*const c_char> = ForLoader::new(sys::KSR_COMPILE_FLAGS.as_ptr());

/// The version of the loader's interface, which only 4.x and 5.0 read.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static module_interface_ver: ForLoader<c_uint> = ForLoader::new(sys::MODULE_INTERFACE_VER);

/// The interface of the module. The tables are in C (`kamailio-glue/tables.c`), which knows their layouts.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static exports: ForLoader<MaybeUninit<sys::glue_exports_t>> =
    ForLoader::new(MaybeUninit::zeroed());

/// Called by the loader after its checks and before it reads `exports`, also for `kamailio -c`.
///
/// `_dlflags` must stay as it is: a change would make the loader open the module again.
#[unsafe(no_mangle)]
pub extern "C" fn mod_register(
    _path: *mut c_char,
    _dlflags: *mut c_int,
    _reserved1: *mut c_void,
    _reserved2: *mut c_void,
) -> InitRet {
    guard::install_hook();
    guard::guard(|| {
        // SAFETY: our own variable, which the loader reads when this function has returned.
        unsafe { sys::glue_fill_exports(exports.0.get().cast()) };
        // SAFETY: called while the module is loaded, before any fork, as sr_kemi_modules_add asks.
        InitRet::of(unsafe { sys::glue_kemi_add() } == 0)
    })
}

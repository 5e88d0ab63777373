//! The five symbols that the server's loader looks up by name.

use super::guard::{self, InitRet};
use super::{init, sys};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_uint, c_void};

/// A variable that only the server's loader reads.
#[repr(transparent)]
pub struct ForLoader<T>(UnsafeCell<T>);

// SAFETY: Rust never reads or writes the content; the loader does, in one process and one thread,
// before any fork (core/sr_module.c, load_module).
unsafe impl<T> Sync for ForLoader<T> {}

impl<T> ForLoader<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }
}

/// Version of the server that this module was built for; the loader refuses any other.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static module_version: ForLoader<*const c_char> =
    ForLoader::new(sys::KSR_FULL_VERSION.as_ptr());

/// Compile flags of that server; compared byte by byte.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static module_flags: ForLoader<*const c_char> = ForLoader::new(sys::KSR_COMPILE_FLAGS.as_ptr());

/// Version of the loader's interface; read by 4.x and 5.0 only.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static module_interface_ver: ForLoader<c_uint> = ForLoader::new(sys::MODULE_INTERFACE_VER);

/// What the module offers. The tables live in C (`kamailio-glue/tables.c`).
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static exports: ForLoader<sys::module_exports> = ForLoader::new(sys::module_exports {
    name: c"dispatcher".as_ptr().cast_mut(),
    dlflags: sys::DEFAULT_DLFLAGS,
    cmds: (&raw const sys::glue_cmds).cast_mut().cast(),
    params: (&raw const sys::glue_params).cast_mut().cast(),
    rpc_methods: (&raw const sys::glue_rpc).cast_mut().cast(),
    pv_items: (&raw const sys::glue_pvs).cast_mut().cast(),
    response_f: None,
    init_mod_f: Some(sys::dsr_init),
    init_child_f: Some(sys::dsr_child_init),
    destroy_mod_f: Some(sys::dsr_destroy),
});

/// Called by the loader after the checks and before `exports` is read, also for `kamailio -c`.
///
/// `_dlflags` must stay as it is: a change would make the loader reopen the module.
#[unsafe(no_mangle)]
pub extern "C" fn mod_register(
    _path: *mut c_char,
    _dlflags: *mut c_int,
    _reserved1: *mut c_void,
    _reserved2: *mut c_void,
) -> InitRet {
    guard::install_hook();
    guard::guard(init::on_load)
}

//! What tm knows of the message that a process works on, put aside while an event route runs.
//!
//! tm keeps the current transaction in variables of the process and finds it by the number of the
//! message. A route that works on another message would leave them changed: the interrupted script
//! would look its transaction up again, count one more reference to it, and never give it back.

use core::ffi::{CStr, c_int, c_uint, c_void};
use core::mem::{self, MaybeUninit};
use core::ptr;

use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;

/// "Not looked for yet" (tm/t_lookup.h, `T_UNDEFINED`).
const UNKNOWN: *mut sys::cell = ptr::without_provenance_mut(usize::MAX);
/// No branch (tm/t_lookup.h, `T_BR_UNDEFINED`).
const NO_BRANCH: c_int = -1;

/// Where tm says which message the current transaction is of: the variable's name, and of how many
/// words it is. The number of the message, and in later versions of the process behind it
/// (core/parser/msg_parser.h, `msg_ctx_id_t`).
const OF_MESSAGE: [(&CStr, usize); 2] = [(c"tm_global_ctx_id", 2), (c"global_msg_id", 1)];

type Get = unsafe extern "C" fn() -> c_uint;
type Set = unsafe extern "C" fn(c_uint);

/// A number that tm keeps for the script that runs: where it goes on in which case.
#[derive(Clone, Copy)]
struct Register {
    get: Get,
    set: Set,
}

/// tm's interface, with what it keeps but does not hand out.
pub struct Tm {
    get: unsafe extern "C" fn() -> *mut sys::cell,
    branch: unsafe extern "C" fn() -> c_int,
    set: unsafe extern "C" fn(*mut sys::cell, c_int),
    unref: unsafe extern "C" fn(*mut sys::sip_msg) -> c_int,
    /// The words of [`OF_MESSAGE`].
    of_message: Vec<*mut c_uint>,
    /// Routes that `t_on_failure` and its like have set.
    registers: Vec<Register>,
    /// How the transaction was ended so far. Its setter adds.
    ended: Option<(Get, Set, unsafe extern "C" fn())>,
}

// SAFETY: made in mod_init; each of the server's processes is single-threaded and has its own copy
// of what it points to (doc/dev/safety.md).
unsafe impl Sync for Tm {}
// SAFETY: as above.
unsafe impl Send for Tm {}

/// A symbol of the loaded tm; null where this version has none.
fn symbol(handle: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: the server's own handle of a loaded module, and a text that ends with NUL.
    unsafe { libc::dlsym(handle, name.as_ptr()) }
}

/// A function of the loaded tm.
///
/// # Safety
/// `F` is a pointer to a function, of the type that tm declares for this name.
unsafe fn function<F: Copy>(handle: *mut c_void, name: &CStr) -> Option<F> {
    let at = symbol(handle, name);
    if at.is_null() || size_of::<F>() != size_of_val(&at) {
        return None;
    }
    // SAFETY: not null, of the same size, and a function by the caller's promise.
    Some(unsafe { mem::transmute_copy::<*mut c_void, F>(&at) })
}

impl Tm {
    /// tm as it is loaded; `None` for a config without it.
    pub fn find() -> Option<Self> {
        // SAFETY: texts that end with NUL; called when all modules are loaded.
        let load = unsafe { sys::find_export(c"load_tm".as_ptr().cast_mut(), sys::NO_SCRIPT, 0) };
        // SAFETY: the export of this name has this type (tm/tm_load.h, load_tm_api).
        let load: sys::load_tm_f = unsafe { mem::transmute(load) };
        let mut api = MaybeUninit::<sys::tm_binds>::zeroed();
        // SAFETY: tm fills the struct.
        if unsafe { load?(api.as_mut_ptr()) } < 0 {
            return None;
        }
        // SAFETY: pointers, filled or null.
        let api = unsafe { api.assume_init() };
        // SAFETY: a text that ends with NUL, which is only read.
        let module = unsafe { sys::find_module_by_name(c"tm".as_ptr().cast_mut()) };
        // SAFETY: the server's own note of a loaded module, or null.
        let handle = unsafe { module.as_ref() }.map(|module| module.handle);
        let mut tm = Tm {
            get: api.t_gett?,
            branch: api.t_gett_branch?,
            set: api.t_sett?,
            unref: api.t_unref?,
            of_message: Vec::new(),
            registers: Vec::new(),
            ended: None,
        };
        if let Some(handle) = handle.filter(|handle| !handle.is_null()) {
            tm.find_symbols(handle);
        }
        Some(tm)
    }

    /// What tm has but does not hand out; what this version lacks stays as a route leaves it.
    fn find_symbols(&mut self, handle: *mut c_void) {
        let found = OF_MESSAGE
            .iter()
            .map(|&(name, words)| (symbol(handle, name).cast::<c_uint>(), words))
            .find(|(at, _)| !at.is_null());
        if let Some((at, words)) = found {
            self.of_message = (0..words).map(|word| at.wrapping_add(word)).collect();
        }
        let pairs = [
            (c"get_on_failure", c"t_on_failure"),
            (c"get_on_branch_failure", c"t_on_branch_failure"),
            (c"get_on_reply", c"t_on_reply"),
            (c"get_on_branch", c"t_on_branch"),
        ];
        for (get, set) in pairs {
            // SAFETY: `unsigned int name(void)` (tm/t_reply.h, t_fwd.h).
            let get = unsafe { function::<Get>(handle, get) };
            // SAFETY: `void name(unsigned int)` (as above).
            let set = unsafe { function::<Set>(handle, set) };
            if let (Some(get), Some(set)) = (get, set) {
                self.registers.push(Register { get, set });
            }
        }
        // SAFETY: `enum kill_reason get_kr(void)` (tm/h_table.h).
        let get = unsafe { function::<Get>(handle, c"get_kr") };
        // SAFETY: `void set_kr(enum kill_reason)`.
        let set = unsafe { function::<Set>(handle, c"set_kr") };
        // SAFETY: `void reset_kr(void)`.
        let reset = unsafe { function(handle, c"reset_kr") };
        self.ended = get.zip(set).zip(reset).map(|((g, s), r)| (g, s, r));
    }

    fn set_ended(&self, how: c_uint) {
        let Some((_, set, reset)) = self.ended else {
            return;
        };
        // SAFETY: writes a variable of the process.
        unsafe { reset() };
        // SAFETY: as above.
        unsafe { set(how) };
    }

    /// Puts aside what tm knows, as if a script just began; it is back when the result is dropped.
    pub fn put_aside(&self, msg: &Message) -> Aside<'_> {
        // SAFETY: reads a variable of the process.
        let cell = unsafe { (self.get)() };
        // SAFETY: as above.
        let branch = unsafe { (self.branch)() };
        let of_message = self.of_message.iter();
        // SAFETY: tm's variable, in this process.
        let of_message = of_message.map(|&at| unsafe { *at }).collect();
        // SAFETY: as above.
        let ended = self.ended.map_or(0, |(get, ..)| unsafe { get() });
        let registers = self.registers.iter();
        // SAFETY: as above.
        let registers = registers.map(|register| unsafe { (register.get)() });
        let aside = Aside {
            tm: self,
            msg: msg.raw(),
            cell,
            branch,
            of_message,
            ended,
            registers: registers.collect(),
        };
        // SAFETY: writes variables of the process.
        unsafe { (self.set)(UNKNOWN, NO_BRANCH) };
        self.set_ended(0);
        for register in &self.registers {
            // SAFETY: as above.
            unsafe { (register.set)(0) };
        }
        aside
    }
}

/// What tm knew before an event route.
pub struct Aside<'t> {
    tm: &'t Tm,
    /// The message of the route.
    msg: *mut sys::sip_msg,
    cell: *mut sys::cell,
    branch: c_int,
    of_message: Vec<c_uint>,
    ended: c_uint,
    registers: Vec<c_uint>,
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // A transaction that the route made or found: give it back, as tm does after a script.
        // SAFETY: the route's message is still alive.
        unsafe { (self.tm.unref)(self.msg) };
        // Without a transaction: with one, tm would take these for that transaction's own.
        // SAFETY: writes variables of the process.
        unsafe { (self.tm.set)(UNKNOWN, NO_BRANCH) };
        self.tm.set_ended(self.ended);
        for (register, &route) in self.tm.registers.iter().zip(&self.registers) {
            // SAFETY: writes a variable of the process.
            unsafe { (register.set)(route) };
        }
        // SAFETY: what was current before is so again; it was not given back meanwhile.
        unsafe { (self.tm.set)(self.cell, self.branch) };
        for (&at, &word) in self.tm.of_message.iter().zip(&self.of_message) {
            // SAFETY: tm's variable, in this process.
            unsafe { *at = word };
        }
    }
}

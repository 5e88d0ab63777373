//! Arguments of script functions: fixed when the config is read, asked for at each call.

use core::ffi::{c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;

use super::compat;
use super::log::log_err;
use super::message::Message;
use super::sys;
use super::text;
use crate::dispatch::list::words::script_number;

/// An argument of a script function while the config is read. Only the server makes one.
#[repr(transparent)]
pub struct FixupArg(*mut *mut c_void);

impl FixupArg {
    /// Copies the text of the config, before it is prepared.
    pub fn written(&self) -> Vec<u8> {
        // SAFETY: the server's own argument, as it passes it to fixups (core/route.c, fix_actions).
        let text = unsafe { self.0.as_ref() };
        // SAFETY: it points to the config's text, which ends with NUL (core/cfg.y), until it is prepared.
        let text = text.and_then(|text| unsafe { text::c_bytes(text.cast()) });
        text.unwrap_or_default().to_vec()
    }

    /// Has the server prepare a number: a fixed one, or a variable. Returns false if it is neither.
    pub fn fix_number(&self) -> bool {
        let types = c_int::try_from(sys::FPARAM_INT | sys::FPARAM_PVS).unwrap_or(0);
        // SAFETY: the server's own argument, as it passes it to fixups (core/route.c, fix_actions).
        unsafe { sys::fix_param_types(types, self.0) == 0 }
    }

    /// Has the server prepare a text, with or without variables in it. Returns false if it cannot.
    pub fn fix_text(&self) -> bool {
        // SAFETY: the server's own argument, as it passes it to fixups (core/route.c, fix_actions).
        unsafe { sys::fixup_spve_null(self.0, 1) == 0 }
    }
}

/// An argument of a script function, as its fixup left it. Only the server makes one.
#[repr(transparent)]
pub struct Arg(*mut c_char);

impl Arg {
    /// Returns the number that the argument stands for in this message; `None` after a log line if it
    /// stands for none. `what` names the argument there.
    #[inline(always)]
    pub fn number(&self, msg: &Message, what: &str) -> Option<i32> {
        let param = self.param()?;
        if kind(param) == sys::FPARAM_INT {
            // SAFETY: the type says that this member of the union is set.
            return Some(unsafe { param.v.i });
        }
        evaluate(msg, param, what)
    }

    /// Returns the text that the argument stands for in this message; `None` after a log line if it
    /// stands for none. `what` names the argument there.
    pub fn text(&self, msg: &Message, what: &str) -> Option<Vec<u8>> {
        let text = text_of(msg, self.param()?);
        if text.is_none() {
            log_err!("{what} has no value");
        }
        text
    }

    /// Returns the text of an argument that has no fixup.
    pub fn unfixed(&self) -> Option<&[u8]> {
        // SAFETY: without a fixup it is the config's own text, which ends with NUL and stays
        // (core/cfg.y); null where there is none.
        unsafe { text::c_bytes(self.0) }
    }

    fn param(&self) -> Option<&sys::fparam_t> {
        // SAFETY: the fixups above leave a pointer to this struct, which stays (core/sr_module.c,
        // fix_param_types and fixup_spve_null); `self` is borrowed as long as the result.
        unsafe { self.0.cast::<sys::fparam_t>().as_ref() }
    }
}

/// Returns which member of a parameter's union is set.
fn kind(param: &sys::fparam_t) -> u32 {
    u32::try_from(param.type_).unwrap_or(sys::FPARAM_UNSPEC)
}

#[inline(never)]
fn evaluate(msg: &Message, param: &sys::fparam_t, what: &str) -> Option<i32> {
    let number = match kind(param) {
        // SAFETY: the type says that this member of the union is set.
        sys::FPARAM_PVS => number_of_variable(msg, unsafe { param.v.pvs }),
        _ => None,
    };
    if number.is_none() {
        log_err!("{what} is not a number");
    }
    number
}

fn number_of_variable(msg: &Message, variable: *mut sys::pv_spec_t) -> Option<i32> {
    let mut value = MaybeUninit::<sys::pv_value_t>::zeroed();
    // SAFETY: the fixup has parsed the variable, and the message is alive.
    let got = unsafe { sys::pv_get_spec_value(msg.raw(), variable, value.as_mut_ptr()) };
    // SAFETY: a struct of integers and a string, for which zeroes are a value.
    let value = unsafe { value.assume_init() };
    if got != 0 || value.flags & sys::PV_VAL_NULL != 0 {
        return None;
    }
    if value.flags & sys::PV_VAL_INT != 0 {
        return compat::narrow(value.ri);
    }
    // SAFETY: the value stays until the server evaluates the next variable; it is parsed before that.
    script_number(unsafe { text::bytes(&value.rs) })
}

/// Copies a parameter's text: the next evaluation may use the server's buffer again.
fn text_of(msg: &Message, param: &sys::fparam_t) -> Option<Vec<u8>> {
    let mut value = text::EMPTY;
    let param = ptr::from_ref(param).cast_mut();
    // SAFETY: a parameter that the fixup left, which the server only reads, and a live message.
    let got = unsafe { sys::get_str_fparam(&raw mut value, msg.raw(), param) };
    // SAFETY: the server's buffer, which stays until it evaluates the next text.
    (got == 0).then(|| unsafe { text::bytes(&value) }.to_vec())
}

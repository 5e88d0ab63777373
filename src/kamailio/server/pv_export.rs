//! What our pseudo-variables have in common: the inner name, `$dsv(name)`, and the answer.

use core::ffi::c_int;
use core::ptr;

use super::compat;
use super::guard::EntryRet;
use super::log::log_err;
use super::sys;
use super::text::{Escaped, ScriptText, StrArg};

/// Result of reading a variable: 0, or negative where the server is to complain.
#[repr(transparent)]
pub struct PvRet(c_int);

impl EntryRet for PvRet {
    const ON_PANIC: Self = PvRet(-1);
}

impl PvRet {
    /// Success where there is something.
    pub fn of(done: Option<()>) -> Self {
        PvRet(if done.is_some() { 0 } else { -1 })
    }
}

/// The inner names of a variable and what each asks for. The server keeps the place in `known`.
pub struct Names<F: 'static> {
    /// The variable itself, such as `$dsv`.
    pub variable: &'static str,
    /// Names and what they ask for.
    pub known: &'static [(&'static str, F)],
}

impl<F: Copy> Names<F> {
    /// Reads the name in the parentheses, when the config is read: keeps its number in `spec`, or
    /// logs which names there are.
    pub fn parse(&self, spec: sys::pv_spec_p, name: &StrArg) -> PvRet {
        let name = name.bytes();
        let is_it = |(known, _): &(&str, F)| known.as_bytes() == name;
        let at = self.known.iter().position(is_it);
        if at.is_none() {
            let (variable, names) = (self.variable, self.listed());
            log_err!("{variable}({}): expected {names}", Escaped(name));
        }
        PvRet::of(at.and_then(|at| keep(spec, at)))
    }

    /// What is asked for; `None` where the server kept none of these names.
    pub fn asked(&self, question: &Question) -> Option<F> {
        let (_, field) = self.known.get(question.name()?)?;
        Some(*field)
    }

    /// All names: `a, b or c`.
    fn listed(&self) -> String {
        let names: Vec<&str> = self.known.iter().map(|(name, _)| *name).collect();
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        format!("{} or {last}", others.join(", "))
    }
}

/// Keeps the number of a name in the server's spec; `None` where there is no spec.
fn keep(spec: sys::pv_spec_p, at: usize) -> Option<()> {
    // SAFETY: the spec that the server fills, or null.
    let name = &mut unsafe { spec.as_mut() }?.pvp.pvn;
    name.type_ = 0;
    name.u.isname.type_ = 0;
    name.u.isname.name.n = compat::wide(c_int::try_from(at).ok()?);
    Some(())
}

/// What the server asks for a value with.
pub struct Question {
    msg: *mut sys::sip_msg,
    param: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
}

impl Question {
    /// The arguments that the server gave.
    pub fn new(
        msg: *mut sys::sip_msg,
        param: *mut sys::pv_param_t,
        value: *mut sys::pv_value_t,
    ) -> Self {
        Question { msg, param, value }
    }

    /// The number of the name that is asked for, as [`Names::parse`] left it.
    fn name(&self) -> Option<usize> {
        // SAFETY: the server's own argument.
        let param = unsafe { self.param.as_ref() }?;
        // SAFETY: [`Names::parse`] has set this member of the union.
        let name = unsafe { param.pvn.u.isname.name };
        // SAFETY: as above.
        let at = unsafe { name.n };
        compat::narrow(at)
    }

    /// Answers that there is no value.
    pub fn null(&self) -> PvRet {
        // SAFETY: the server's own arguments.
        PvRet(unsafe { sys::pv_get_null(self.msg, self.param, self.value) })
    }

    /// Answers with a number.
    pub fn number(&self, number: c_int) -> PvRet {
        // SAFETY: the server's own arguments.
        PvRet(unsafe {
            sys::pv_get_sintval(self.msg, self.param, self.value, compat::wide(number))
        })
    }

    /// Answers with a text, which must live as long as the event's route runs.
    pub fn text(&self, text: &ScriptText) -> PvRet {
        let mut text = text.as_str();
        let text = ptr::from_mut(&mut text);
        // SAFETY: the server's own arguments; it copies pointer and length.
        PvRet(unsafe { sys::pv_get_strval(self.msg, self.param, self.value, text) })
    }
}

//! Pseudo-variables of our own: the name in the parentheses, as in `$dsv(name)`, and the answer.

use core::ffi::c_int;
use core::ptr;

use super::compat;
use super::guard::EntryRet;
use super::log::log_err;
use super::sys;
use super::text::{ScriptText, StrArg};
use crate::dispatch::text::Escaped;

/// The result of reading a variable: 0, or negative if the server is to complain.
#[repr(transparent)]
pub struct PvRet(c_int);

impl EntryRet for PvRet {
    const ON_PANIC: Self = PvRet(-1);
}

/// The names that a variable knows, and what each stands for. The server keeps the position of a name.
pub struct Names<F: 'static> {
    /// The variable itself, such as `$dsv`.
    pub variable: &'static str,
    /// Names, and what they stand for.
    pub known: &'static [(&'static str, F)],
}

impl<F: Copy> Names<F> {
    /// Reads the name in the parentheses, when the config is read: stores its position in `spec`, or logs
    /// which names there are.
    pub fn parse(&self, spec: Option<&mut sys::pv_spec_t>, name: &StrArg) -> PvRet {
        let name = name.bytes();
        let is_it = |(known, _): &(&str, F)| known.as_bytes() == name;
        let Some(at) = self.known.iter().position(is_it) else {
            let (variable, names) = (self.variable, self.listed());
            log_err!("{variable}({}): expected {names}", Escaped(name));
            return PvRet(-1);
        };
        let Some((spec, at)) = spec.zip(c_int::try_from(at).ok()) else {
            return PvRet(-1);
        };
        let name = &mut spec.pvp.pvn;
        name.type_ = 0;
        name.u.isname.type_ = 0;
        name.u.isname.name.n = compat::wide(at);
        PvRet(0)
    }

    /// Returns what the name in the parentheses stands for; `None` if [`Self::parse`] has stored no name.
    pub fn asked(&self, param: Option<&sys::pv_param_t>) -> Option<F> {
        // SAFETY: the server passes the parameter that `parse` has filled, so this member of the union is set.
        let name = unsafe { param?.pvn.u.isname.name };
        // SAFETY: `parse` has stored a number in this union.
        let at: usize = compat::narrow(unsafe { name.n })?;
        let (_, stands_for) = self.known.get(at)?;
        Some(*stands_for)
    }

    /// Lists all names: `a, b or c`.
    fn listed(&self) -> String {
        let names: Vec<&str> = self.known.iter().map(|(name, _)| *name).collect();
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        format!("{} or {last}", others.join(", "))
    }
}

/// The place for a variable's value. Only the server makes one.
#[repr(transparent)]
pub struct ValueArg(*mut sys::pv_value_t);

impl ValueArg {
    /// Answers that there is no value.
    pub fn null(&self) -> PvRet {
        // SAFETY: the server's own argument. The function writes nothing else, and accepts null pointers
        // (core/pvapi.c, pv_get_null).
        PvRet(unsafe { sys::pv_get_null(ptr::null_mut(), ptr::null_mut(), self.0) })
    }

    /// Answers with a number.
    pub fn number(&self, number: c_int) -> PvRet {
        let number = compat::wide(number);
        // SAFETY: the server's own argument. The function writes nothing else, and accepts null pointers
        // (core/pvapi.c, pv_get_sintval).
        PvRet(unsafe { sys::pv_get_sintval(ptr::null_mut(), ptr::null_mut(), self.0, number) })
    }

    /// Answers with a text, which must stay until the server has used it.
    pub fn text(&self, text: &ScriptText) -> PvRet {
        let mut text = text.as_str();
        // SAFETY: the server's own argument. The function copies pointer and length there, writes nothing else,
        // and accepts null pointers (core/pvapi.c, pv_get_strval).
        PvRet(unsafe {
            sys::pv_get_strval(ptr::null_mut(), ptr::null_mut(), self.0, &raw mut text)
        })
    }
}

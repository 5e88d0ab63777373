//! Pseudo-variables that the config names: parsed once at the start, then read and written by script functions.

use core::ffi::c_int;
use core::mem::MaybeUninit;

use super::compat;
use super::message::Message;
use super::sys;
use super::text;

/// A variable that the config names, such as `$var(x)` or `$avp(y)`.
pub struct Variable(sys::pv_spec_t);

// SAFETY: written in mod_init only; each process of the server has one thread, and its own copy after the fork
// (doc/dev/safety.md).
unsafe impl Sync for Variable {}
// SAFETY: no other thread ever has it: each process of the server has one (doc/dev/safety.md).
unsafe impl Send for Variable {}

impl Variable {
    /// Parses the variable that a text begins with. Returns it and what follows; `None` if there is none.
    pub fn parse(text: &'static [u8]) -> Option<(Self, &'static [u8])> {
        let mut name = text::as_str(text);
        let start = name.s.addr();
        let mut spec = MaybeUninit::<sys::pv_spec_t>::zeroed();
        // SAFETY: the server fills the spec, and keeps pointers into the name, which stays.
        let parsed = unsafe { sys::pv_parse_spec2(&raw mut name, spec.as_mut_ptr(), 1) };
        let rest = text.get(parsed.addr().checked_sub(start)?..)?;
        // SAFETY: a struct of integers and pointers, for which zeroes are a value.
        let spec = unsafe { spec.assume_init() };
        Some((Variable(spec), rest))
    }

    /// Returns true if scripts can write to it.
    pub fn is_writable(&self) -> bool {
        self.0.setf.is_some()
    }

    /// Returns the AVP that it names; `None` if it is not an AVP with a fixed name.
    fn as_avp(&self) -> Option<Avp> {
        let mut spec = self.0;
        if spec.type_ != sys::PVT_AVP {
            return None;
        }
        let mut name = sys::int_str { n: 0 };
        let mut kind = Default::default();
        let (param, msg) = (&raw mut spec.pvp, core::ptr::null_mut());
        // SAFETY: a parameter that the server has parsed. Without a message it answers only for a fixed name
        // (core/pvapi.c, pv_get_avp_name).
        let got = unsafe { sys::pv_get_avp_name(msg, param, &raw mut name, &raw mut kind) };
        let kind = compat::narrow(kind)?;
        (got == 0).then_some(Avp { name, kind })
    }

    fn set(&self, msg: &mut Message, mut value: sys::pv_value_t) -> bool {
        let Ok(assign) = c_int::try_from(sys::EQ_T) else {
            return false;
        };
        // The server asks for a spec that it may change, and a static is for reading.
        let mut spec = self.0;
        // SAFETY: a copy of a spec that the server has parsed, and a live message; it copies the value, and keeps no
        // pointer to the spec (core/pvapi.c, pv_set_spec_value).
        unsafe { sys::pv_set_spec_value(msg.raw(), &raw mut spec, assign, &raw mut value) >= 0 }
    }

    /// Writes a number; false if the server refuses.
    pub fn set_number(&self, msg: &mut Message, number: i32) -> bool {
        let flags = sys::PV_VAL_INT | sys::PV_TYPE_INT;
        self.set(
            msg,
            sys::pv_value_t {
                rs: text::EMPTY,
                ri: compat::wide(number),
                flags,
            },
        )
    }

    /// Writes a text; false if the server refuses.
    pub fn set_text(&self, msg: &mut Message, value: &[u8]) -> bool {
        // Some variables put a NUL behind the text while they parse it (core/str.h, STR_VTOZ), so it is a copy
        // with a byte to spare.
        let mut text = [value, b"\0"].concat();
        let rs = sys::str_ {
            s: text.as_mut_ptr().cast(),
            len: text::as_str(value).len,
        };
        let flags = sys::PV_VAL_STR;
        self.set(msg, sys::pv_value_t { rs, ri: 0, flags })
    }
}

/// A text with variables in it, such as `"$fU@$ci"`.
pub struct Format(*mut sys::pv_elem_t);

// SAFETY: written in mod_init only; each process of the server has one thread, and its own copy after the fork
// (doc/dev/safety.md).
unsafe impl Sync for Format {}
// SAFETY: no other thread ever has it: each process of the server has one (doc/dev/safety.md).
unsafe impl Send for Format {}

impl Format {
    /// Parses the text; `None` if it has a variable that the server does not know.
    pub fn parse(format: &'static [u8]) -> Option<Self> {
        let mut format = text::as_str(format);
        let mut model = core::ptr::null_mut();
        // SAFETY: the server keeps pointers into the text, which stays (core/pvapi.c).
        let parsed = unsafe { sys::pv_parse_format(&raw mut format, &raw mut model) };
        (parsed >= 0).then_some(Format(model))
    }

    /// Returns the text with its variables filled in. It lies in the server's buffer, which the next
    /// text is printed to, so the message is borrowed until it is not used any more.
    pub fn print<'m>(&self, msg: &'m mut Message) -> Option<&'m [u8]> {
        let mut printed = text::EMPTY;
        // SAFETY: a model that the server has parsed, and a live message.
        let done = unsafe { sys::pv_printf_s(msg.raw(), self.0, &raw mut printed) };
        // SAFETY: the server's own buffer, which stays until it prints again; that needs the message, which the
        // result borrows mutably.
        (done == 0).then(|| unsafe { text::bytes(&printed) })
    }
}

/// An AVP with a fixed name.
#[derive(Clone, Copy)]
pub struct Avp {
    name: sys::int_str,
    kind: u32,
}

// SAFETY: written in mod_init only; each process of the server has one thread, and its own copy after the fork
// (doc/dev/safety.md).
unsafe impl Sync for Avp {}
// SAFETY: no other thread ever has it: each process of the server has one (doc/dev/safety.md).
unsafe impl Send for Avp {}

impl Avp {
    /// Parses `$avp(name)`, `$avp(s:name)` or `$avp(i:number)`. Returns it and what follows; `None` for any other text.
    pub fn parse(text: &'static [u8]) -> Option<(Self, &'static [u8])> {
        Variable::parse(text)
            .and_then(|(variable, rest)| Some((variable.as_avp()?, rest)))
            .or_else(|| Some((Self::parse_name(text)?, &b""[..])))
    }

    /// Parses it without the class of variables `$avp`, which is the module pv's: old configs name their AVPs
    /// without loading it.
    fn parse_name(text: &'static [u8]) -> Option<Self> {
        let name = text.strip_prefix(b"$avp(")?.strip_suffix(b")")?;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(byte);
        if !name.iter().all(plain) {
            return None;
        }
        let mut name_text = text::as_str(name);
        let mut name = sys::int_str { n: 0 };
        let mut kind = Default::default();
        // SAFETY: the server parses the text, and may keep pointers into it; it is `'static`.
        let parsed = unsafe {
            sys::parse_avp_spec(
                &raw mut name_text,
                &raw mut kind,
                &raw mut name,
                core::ptr::null_mut(),
            )
        };
        let kind = compat::narrow(kind)?;
        (parsed == 0).then_some(Avp { name, kind })
    }

    /// Puts a text in front of the AVP's values; false if the server has no memory.
    pub fn push_text(&self, value: &[u8]) -> bool {
        let value = sys::int_str {
            s: text::as_str(value),
        };
        // SAFETY: the server copies name and value (core/usr_avp.c).
        unsafe { sys::add_avp(self.kind | sys::AVP_VAL_STR, self.name, value) == 0 }
    }

    /// Puts a number in front of the AVP's values; false if the server has no memory.
    pub fn push_number(&self, value: i32) -> bool {
        let value = sys::int_str {
            n: compat::wide(value),
        };
        // SAFETY: the server copies name and value (core/usr_avp.c).
        unsafe { sys::add_avp(self.kind, self.name, value) == 0 }
    }

    /// Removes the first value, if there is one.
    pub fn pop(&self) {
        // SAFETY: the server searches its current list and frees what it finds; nobody here keeps pointers to it.
        unsafe { sys::destroy_avps(self.kind, self.name, 0) };
    }
}

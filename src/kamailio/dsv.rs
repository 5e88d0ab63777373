//! `$dsv(name)`: what an event route can ask about its event.

use core::ffi::c_int;
use core::ptr;

use super::events::{self, Event, ScriptText};
use super::guard::{EntryRet, guard};
use super::log::log_err;
use super::text::{self, Escaped};
use super::{compat, sys};

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

/// What can be asked.
#[derive(Clone, Copy)]
enum Field {
    Code,
    Reason,
    Flags,
    Uri,
    Set,
    Cause,
    Old,
    New,
}

/// Names and fields; the place in this table is what the server keeps.
const FIELDS: [(&[u8], Field); 9] = [
    (b"code", Field::Code),
    (b"reason", Field::Reason),
    (b"flags", Field::Flags),
    (b"uri", Field::Uri),
    (b"setid", Field::Set),
    (b"group", Field::Set),
    (b"cause", Field::Cause),
    (b"old", Field::Old),
    (b"new", Field::New),
];

/// Bit of `$dsv(flags)`: a reply from the network said so.
const FROM_REPLY: c_int = 1;

/// Reads the name in the parentheses, when the config is read.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsv_parse_name(spec: sys::pv_spec_p, name: *mut sys::str_) -> PvRet {
    guard(|| {
        let known = |name: &[u8]| FIELDS.iter().position(|(known, _)| *known == name);
        let kept = keep_name(spec, name, known, |name| {
            log_err!(
                "$dsv({}): expected code, reason, flags, uri, setid, group, cause, old or new",
                Escaped(name)
            );
        });
        PvRet::of(kept)
    })
}

/// Keeps in `spec` the number of the name; `None` after `unknown` where it has none.
pub fn keep_name(
    spec: sys::pv_spec_p,
    name: *const sys::str_,
    number: impl Fn(&[u8]) -> Option<usize>,
    unknown: impl Fn(&[u8]),
) -> Option<()> {
    // SAFETY: the server gives the name that stands in the config (core/pvapi.c).
    let name = unsafe { text::bytes_at(name) }.unwrap_or_default();
    let Some(at) = number(name) else {
        unknown(name);
        return None;
    };
    // SAFETY: the spec that the server fills, or null.
    let name = &mut unsafe { spec.as_mut() }?.pvp.pvn;
    name.type_ = 0;
    name.u.isname.type_ = 0;
    name.u.isname.name.n = compat::wide(c_int::try_from(at).ok()?);
    Some(())
}

/// Gives the value; null outside event routes.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsv_get(
    msg: *mut sys::sip_msg,
    param: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
) -> PvRet {
    let question = Question::new(msg, param, value);
    guard(|| {
        let field = question.name().and_then(|at| FIELDS.get(at));
        match (events::current(), field) {
            (Some(event), Some(&(_, field))) => question.answer(&event, field),
            _ => question.null(),
        }
    })
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

    /// The number of the name that is asked for, as [`keep_name`] left it.
    pub fn name(&self) -> Option<usize> {
        // SAFETY: the server's own argument.
        let param = unsafe { self.param.as_ref() }?;
        // SAFETY: `keep_name` has set this member of the union.
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

    /// The text must live as long as the event's route runs.
    fn text(&self, text: &ScriptText) -> PvRet {
        let mut text = text.as_str();
        let text = ptr::from_mut(&mut text);
        // SAFETY: the server's own arguments; it copies pointer and length.
        PvRet(unsafe { sys::pv_get_strval(self.msg, self.param, self.value, text) })
    }

    fn answer(&self, event: &Event, field: Field) -> PvRet {
        match field {
            Field::Code => self.number(event.code),
            Field::Flags => self.number(if event.from_reply { FROM_REPLY } else { 0 }),
            Field::Set => self.number(event.set),
            Field::Reason => self.text(&event.reason),
            Field::Uri => self.text(&event.uri),
            Field::Cause => self.text(&event.cause),
            Field::Old => self.text(&event.old),
            Field::New => self.text(&event.new),
        }
    }
}

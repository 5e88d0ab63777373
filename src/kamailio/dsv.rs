//! `$dsv(name)`: what an event route can ask about its event.

use core::ffi::c_int;
use core::ptr;

use super::events::{self, Event};
use super::guard::{EntryRet, guard};
use super::log::log_err;
use super::sys;
use super::text::{self, Escaped};

/// Result of reading a variable: 0, or negative where the server is to complain.
#[repr(transparent)]
pub struct PvRet(c_int);

impl EntryRet for PvRet {
    const ON_PANIC: Self = PvRet(-1);
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
        // SAFETY: the server gives the name that stands in the config (core/pvapi.c).
        let name = unsafe { text::bytes_at(name) }.unwrap_or_default();
        let at = FIELDS.iter().position(|(known, _)| *known == name);
        // SAFETY: the spec that the server fills, or null.
        let spec = unsafe { spec.as_mut() };
        let (Some(spec), Some(at)) = (spec, at) else {
            log_err!(
                "$dsv({}): expected code, reason, flags, uri, setid, group, cause, old or new",
                Escaped(name)
            );
            return PvRet(-1);
        };
        let name = &mut spec.pvp.pvn;
        name.type_ = 0;
        name.u.isname.type_ = 0;
        name.u.isname.name.n = c_int::try_from(at).unwrap_or(0);
        PvRet(0)
    })
}

/// Gives the value; null outside event routes.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsv_get(
    msg: *mut sys::sip_msg,
    param: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
) -> PvRet {
    guard(|| {
        // SAFETY: as `dsr_dsv_parse_name` left it.
        let field = unsafe { param.as_ref() }.and_then(field);
        let (Some(event), Some(field)) = (events::current(), field) else {
            // SAFETY: the server's own arguments.
            return PvRet(unsafe { sys::pv_get_null(msg, param, value) });
        };
        give(&event, field, msg, param, value)
    })
}

fn field(param: &sys::pv_param_t) -> Option<Field> {
    // SAFETY: `dsr_dsv_parse_name` has set this member of the union.
    let name = unsafe { param.pvn.u.isname.name };
    // SAFETY: as above.
    let at = unsafe { name.n };
    FIELDS
        .get(usize::try_from(at).ok()?)
        .map(|(_, field)| *field)
}

fn give(
    event: &Event,
    field: Field,
    msg: *mut sys::sip_msg,
    param: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
) -> PvRet {
    let number = |number| {
        // SAFETY: the server's own arguments.
        PvRet(unsafe { sys::pv_get_sintval(msg, param, value, number) })
    };
    let text = |text: &[u8]| {
        let mut text = text::as_str(text);
        // SAFETY: the server's own arguments, and a text that lives as long as the event's route
        // runs. The server does not write to a value's text.
        PvRet(unsafe { sys::pv_get_strval(msg, param, value, ptr::from_mut(&mut text)) })
    };
    match field {
        Field::Code => number(event.code),
        Field::Flags => number(if event.from_reply { FROM_REPLY } else { 0 }),
        Field::Set => number(event.set),
        Field::Reason => text(&event.reason),
        Field::Uri => text(&event.uri),
        Field::Cause => text(event.cause.name().as_bytes()),
        Field::Old => text(&event.old_letters),
        Field::New => text(&event.new_letters),
    }
}

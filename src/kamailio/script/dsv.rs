//! `$dsv(name)`: what an event route can ask about its event.

use core::ffi::c_int;

use crate::kamailio::events::routes::{self, Event};
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::pv_export::{Names, PvRet, Question};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::StrArg;

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

/// The names.
const NAMES: Names<Field> = Names {
    variable: "$dsv",
    known: &[
        ("code", Field::Code),
        ("reason", Field::Reason),
        ("flags", Field::Flags),
        ("uri", Field::Uri),
        ("setid", Field::Set),
        ("group", Field::Set),
        ("cause", Field::Cause),
        ("old", Field::Old),
        ("new", Field::New),
    ],
};

/// Bit of `$dsv(flags)`: a reply from the network said so.
const FROM_REPLY: c_int = 1;

/// Reads the name in the parentheses, when the config is read.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsv_parse_name(spec: sys::pv_spec_p, name: StrArg) -> PvRet {
    guard(|| NAMES.parse(spec, &name))
}

/// Gives the value; null outside event routes.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsv_get(
    msg: *mut sys::sip_msg,
    param: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
) -> PvRet {
    let question = Question::new(msg, param, value);
    guard(|| match (routes::current(), NAMES.asked(&question)) {
        (Some(event), Some(field)) => answer(&question, &event, field),
        _ => question.null(),
    })
}

/// The value of a field of the event.
fn answer(question: &Question, event: &Event, field: Field) -> PvRet {
    match field {
        Field::Code => question.number(event.code),
        Field::Flags => question.number(if event.from_reply { FROM_REPLY } else { 0 }),
        Field::Set => question.number(event.set),
        Field::Reason => question.text(&event.reason),
        Field::Uri => question.text(&event.uri),
        Field::Cause => question.text(&event.cause),
        Field::Old => question.text(&event.old),
        Field::New => question.text(&event.new),
    }
}

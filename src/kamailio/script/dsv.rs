//! `$dsv(name)`: what an event route can ask about its event.

use core::ffi::c_int;

use crate::kamailio::events::routes::{self, Event};
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::message::MessageArg;
use crate::kamailio::server::pv_export::{Names, PvRet, ValueArg};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{ScriptText, StrArg};

/// Writes a part of the event as the value of the variable.
type Part = fn(&ValueArg, &Event) -> PvRet;

const NAMES: Names<Part> = Names {
    variable: "$dsv",
    known: &[
        ("code", |value, event| {
            of_destination(value, event, event.code)
        }),
        ("reason", |value, event| text_or_null(value, &event.reason)),
        ("flags", |value, event| {
            of_destination(value, event, flags(event))
        }),
        ("uri", |value, event| value.text(&event.uri)),
        ("setid", |value, event| set(value, event)),
        ("group", |value, event| set(value, event)),
        ("cause", |value, event| text_or_null(value, &event.cause)),
        ("node", |value, event| text_or_null(value, &event.node)),
        ("old", |value, event| text_or_null(value, &event.old)),
        ("new", |value, event| text_or_null(value, &event.new)),
    ],
};

/// Writes a text, and null for one that is empty.
fn text_or_null(value: &ValueArg, text: &ScriptText) -> PvRet {
    match text.is_empty() {
        true => value.null(),
        false => value.text(text),
    }
}

fn set(value: &ValueArg, event: &Event) -> PvRet {
    event
        .set
        .map_or_else(|| value.null(), |set| value.number(set))
}

/// Writes a number that only events of destinations have; null for others.
fn of_destination(value: &ValueArg, event: &Event, number: c_int) -> PvRet {
    match event.set {
        Some(_) => value.number(number),
        None => value.null(),
    }
}

/// Bit 1: a reply from the network caused the event.
fn flags(event: &Event) -> c_int {
    event.from_reply.into()
}

/// Reads the name in the parentheses, when the config is read.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsv_parse_name(spec: Option<&mut sys::pv_spec_t>, name: StrArg) -> PvRet {
    guard(|| NAMES.parse(spec, &name))
}

/// Gives the value; null outside event routes.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsv_get(
    _msg: MessageArg,
    param: Option<&sys::pv_param_t>,
    value: ValueArg,
) -> PvRet {
    // The event, and so its texts, stays until its route ends.
    guard(|| match (routes::current(), NAMES.asked(param)) {
        (Some(event), Some(part)) => part(&value, &event),
        _ => value.null(),
    })
}

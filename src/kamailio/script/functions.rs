//! The script functions as the config's routes call them.
//!
//! Each takes its arguments, and leaves the work to [`crate::kamailio::select::select_dst`] and
//! [`crate::kamailio::select::from_list`].

use core::ffi::c_char;

use super::dsg;
use crate::kamailio::list::reload;
use crate::kamailio::rpc::overload;
use crate::kamailio::select::call_load;
use crate::kamailio::select::from_list::{self, DEFAULT_MODE};
use crate::kamailio::select::routes;
use crate::kamailio::select::select_dst::{self, Request, UNLIMITED};
use crate::kamailio::server::fixup::{number, text};
use crate::kamailio::server::guard::{ScriptRet, guard};
use crate::kamailio::server::message::{Message, Target};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::c_bytes;

/// An argument of a script function, as its fixup left it.
type Arg = *mut c_char;

/// Runs a function's body with its message; a missing argument (`None`) is a failure.
fn call(msg: *mut sys::sip_msg, body: impl FnOnce(Message) -> Option<ScriptRet>) -> ScriptRet {
    // SAFETY: the message that the server called us with (core/action.c, do_action).
    guard(move || body(unsafe { Message::new(msg) }).unwrap_or(ScriptRet::FAILED))
}

/// An argument without a fixup.
fn plain<'a>(arg: Arg) -> Option<&'a [u8]> {
    // SAFETY: it is the config's own text, with its NUL, and stays.
    unsafe { c_bytes(arg) }
}

#[inline(always)]
fn select(
    msg: *mut sys::sip_msg,
    target: Target,
    set: Arg,
    algorithm: Arg,
    limit: Option<Arg>,
) -> ScriptRet {
    call(msg, move |msg| {
        let request = Request {
            set: number(msg, set, "the set")?,
            algorithm: number(msg, algorithm, "the algorithm")?,
            limit: match limit {
                Some(limit) => number(msg, limit, "the limit")?,
                None => UNLIMITED,
            },
            target,
            behind: None,
        };
        Some(select_dst::select(msg, request))
    })
}

/// `ds_select_dst`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_dst(msg: *mut sys::sip_msg, set: Arg, alg: Arg) -> ScriptRet {
    select(msg, Target::DstUri, set, alg, None)
}

/// `ds_select_dst`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_dst_limit(
    msg: *mut sys::sip_msg,
    set: Arg,
    alg: Arg,
    limit: Arg,
) -> ScriptRet {
    select(msg, Target::DstUri, set, alg, Some(limit))
}

/// `ds_select_domain`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_domain(msg: *mut sys::sip_msg, set: Arg, alg: Arg) -> ScriptRet {
    select(msg, Target::Domain, set, alg, None)
}

/// `ds_select_domain`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_domain_limit(
    msg: *mut sys::sip_msg,
    set: Arg,
    alg: Arg,
    limit: Arg,
) -> ScriptRet {
    select(msg, Target::Domain, set, alg, Some(limit))
}

/// `ds_select`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select(msg: *mut sys::sip_msg, set: Arg, alg: Arg) -> ScriptRet {
    select(msg, Target::Nothing, set, alg, None)
}

/// `ds_select`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_limit(
    msg: *mut sys::sip_msg,
    set: Arg,
    alg: Arg,
    limit: Arg,
) -> ScriptRet {
    select(msg, Target::Nothing, set, alg, Some(limit))
}

fn routes(msg: *mut sys::sip_msg, rules: Arg, mode: Arg, limit: Option<Arg>) -> ScriptRet {
    call(msg, |msg| {
        let limit = match limit {
            Some(limit) => number(msg, limit, "the limit")?,
            None => UNLIMITED,
        };
        // Each evaluation may use the server's buffer of the one before.
        let rules = text(msg, rules, "the rules")?.to_vec();
        let mode = text(msg, mode, "the mode")?.first().copied();
        Some(routes::select(msg, &rules, mode.as_slice(), limit))
    })
}

/// `ds_select_routes`(rules, mode).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_routes(msg: *mut sys::sip_msg, rules: Arg, mode: Arg) -> ScriptRet {
    routes(msg, rules, mode, None)
}

/// `ds_select_routes`(rules, mode, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_routes_limit(
    msg: *mut sys::sip_msg,
    rules: Arg,
    mode: Arg,
    limit: Arg,
) -> ScriptRet {
    routes(msg, rules, mode, Some(limit))
}

/// `ds_next_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_next_dst(msg: *mut sys::sip_msg, _: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| Some(select_dst::next(msg, Target::DstUri)))
}

/// `ds_next_domain`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_next_domain(msg: *mut sys::sip_msg, _: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| Some(select_dst::next(msg, Target::Domain)))
}

/// `ds_set_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_set_dst(msg: *mut sys::sip_msg, _: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| Some(select_dst::set(msg, Target::DstUri)))
}

/// `ds_set_domain`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_set_domain(msg: *mut sys::sip_msg, _: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| Some(select_dst::set(msg, Target::Domain)))
}

/// `ds_mark_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mark_dst(msg: *mut sys::sip_msg, _: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| Some(select_dst::mark(msg, None)))
}

/// `ds_mark_dst`(state): the text as it stands in the config.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mark_dst_state(msg: *mut sys::sip_msg, state: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| Some(select_dst::mark(msg, plain(state))))
}

/// `ds_is_from_list`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_from_lists(msg: *mut sys::sip_msg, _: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| {
        Some(from_list::is_from_list(msg, -1, DEFAULT_MODE, None))
    })
}

/// `ds_is_from_list`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_from_list(msg: *mut sys::sip_msg, set: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| {
        let set = number(msg, set, "the set")?;
        Some(from_list::is_from_list(msg, set, DEFAULT_MODE, None))
    })
}

/// `ds_is_from_list`(set, mode).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_from_list_mode(msg: *mut sys::sip_msg, set: Arg, mode: Arg) -> ScriptRet {
    call(msg, |msg| {
        let set = number(msg, set, "the set")?;
        let mode = number(msg, mode, "the mode")?;
        Some(from_list::is_from_list(msg, set, mode, None))
    })
}

/// `ds_is_from_list`(set, mode, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_from_list_uri(
    msg: *mut sys::sip_msg,
    set: Arg,
    mode: Arg,
    uri: Arg,
) -> ScriptRet {
    call(msg, |msg| {
        let set = number(msg, set, "the set")?;
        let mode = number(msg, mode, "the mode")?;
        let uri = text(msg, uri, "the URI")?;
        Some(from_list::is_from_list(msg, set, mode, Some(uri)))
    })
}

/// `ds_list_exist`(set) and `ds_list_exists`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_list_exists(msg: *mut sys::sip_msg, set: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| {
        Some(from_list::list_exists(number(msg, set, "the set")))
    })
}

/// `ds_is_active`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_active(msg: *mut sys::sip_msg, set: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| {
        Some(from_list::is_active(number(msg, set, "the set")?, None))
    })
}

/// `ds_is_active`(set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_active_uri(msg: *mut sys::sip_msg, set: Arg, uri: Arg) -> ScriptRet {
    call(msg, |msg| {
        let set = number(msg, set, "the set")?;
        let uri = text(msg, uri, "the URI")?;
        Some(from_list::is_active(set, Some(uri)))
    })
}

/// `ds_oc_set_attrs`(set, uri, rate, milliseconds, number).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_oc_set_attrs(
    msg: *mut sys::sip_msg,
    set: Arg,
    uri: Arg,
    rate: Arg,
    validity: Arg,
    seq: Arg,
) -> ScriptRet {
    call(msg, |msg| {
        let set = number(msg, set, "the set")?;
        let uri = text(msg, uri, "the URI")?;
        let report = overload::Report {
            rate: number(msg, rate, "the rate")?,
            validity_ms: number(msg, validity, "the milliseconds")?,
            seq: number(msg, seq, "the number")?,
        };
        Some(overload::report(set, uri, &report))
    })
}

/// `ds_reload`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_reload(msg: *mut sys::sip_msg, _: Arg, _: Arg) -> ScriptRet {
    call(msg, |_| Some(reload::ds_reload()))
}

/// `ds_dsg_fetch`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsg_fetch(msg: *mut sys::sip_msg, set: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| Some(dsg::fetch(number(msg, set, "the set")?)))
}

/// `ds_dsg_fetch_uri`(set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsg_fetch_uri(msg: *mut sys::sip_msg, set: Arg, uri: Arg) -> ScriptRet {
    call(msg, |msg| {
        let set = number(msg, set, "the set")?;
        Some(dsg::fetch_uri(set, text(msg, uri, "the URI")?))
    })
}

/// `ds_mark_addr`(state, set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mark_addr(
    msg: *mut sys::sip_msg,
    state: Arg,
    set: Arg,
    uri: Arg,
) -> ScriptRet {
    call(msg, |msg| {
        // Each evaluation may use the server's buffer of the one before.
        let state = text(msg, state, "the state")?.to_vec();
        let uri = text(msg, uri, "the URI")?.to_vec();
        let set = number(msg, set, "the set")?;
        Some(select_dst::mark_addr(msg, &state, set, &uri))
    })
}

/// `ds_load_update`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_load_update(msg: *mut sys::sip_msg, _: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| call_load::update(msg).then_some(ScriptRet::OK))
}

/// `ds_load_unset`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_load_unset(msg: *mut sys::sip_msg, _: Arg, _: Arg) -> ScriptRet {
    call(msg, |msg| call_load::unset(msg).then_some(ScriptRet::OK))
}

//! The script functions as KEMI scripts call them: numbers are numbers, texts are the server's.

use core::ffi::c_int;

use crate::kamailio::list::reload;
use crate::kamailio::select::call_load;
use crate::kamailio::select::from_list::{self, DEFAULT_MODE};
use crate::kamailio::select::routes;
use crate::kamailio::select::select_dst::{self, Request, UNLIMITED};
use crate::kamailio::server::guard::{InitRet, ScriptRet, guard};
use crate::kamailio::server::message::{Message, Target};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::bytes_at;

/// Runs a function's body with its message.
fn call(msg: *mut sys::sip_msg, body: impl FnOnce(Message) -> ScriptRet) -> ScriptRet {
    // SAFETY: the message that the server's KEMI engine called us with (core/kemi.c).
    guard(|| body(unsafe { Message::new(msg) }))
}

/// A text that the engine gives; it lives as long as the call.
fn text<'a>(text: *mut sys::str_) -> Option<&'a [u8]> {
    // SAFETY: the server's KEMI engines give a pointer to their own string (core/kemi.h).
    unsafe { bytes_at(text) }
}

/// Selects for the message's `$du`, its R-URI, or nothing.
fn select(
    msg: *mut sys::sip_msg,
    set: c_int,
    algorithm: c_int,
    limit: c_int,
    target: Target,
) -> ScriptRet {
    let request = Request {
        set,
        algorithm,
        limit,
        target,
        behind: None,
    };
    call(msg, |msg| select_dst::select(msg, request))
}

/// `ds_select_dst`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_dst(msg: *mut sys::sip_msg, set: c_int, alg: c_int) -> ScriptRet {
    dsr_kemi_select_dst_limit(msg, set, alg, UNLIMITED)
}

/// `ds_select_dst_limit`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_dst_limit(
    msg: *mut sys::sip_msg,
    set: c_int,
    algorithm: c_int,
    limit: c_int,
) -> ScriptRet {
    select(msg, set, algorithm, limit, Target::DstUri)
}

/// `ds_select_domain`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_domain(
    msg: *mut sys::sip_msg,
    set: c_int,
    alg: c_int,
) -> ScriptRet {
    dsr_kemi_select_domain_limit(msg, set, alg, UNLIMITED)
}

/// `ds_select_domain_limit`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_domain_limit(
    msg: *mut sys::sip_msg,
    set: c_int,
    algorithm: c_int,
    limit: c_int,
) -> ScriptRet {
    select(msg, set, algorithm, limit, Target::Domain)
}

/// `ds_select`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select(msg: *mut sys::sip_msg, set: c_int, alg: c_int) -> ScriptRet {
    dsr_kemi_select_limit(msg, set, alg, UNLIMITED)
}

/// `ds_select_limit`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_limit(
    msg: *mut sys::sip_msg,
    set: c_int,
    algorithm: c_int,
    limit: c_int,
) -> ScriptRet {
    select(msg, set, algorithm, limit, Target::Nothing)
}

/// `ds_select_routes`(rules, mode).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_routes(
    msg: *mut sys::sip_msg,
    rules: *mut sys::str_,
    mode: *mut sys::str_,
) -> ScriptRet {
    dsr_kemi_select_routes_limit(msg, rules, mode, UNLIMITED)
}

/// `ds_select_routes_limit`(rules, mode, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_routes_limit(
    msg: *mut sys::sip_msg,
    rules: *mut sys::str_,
    mode: *mut sys::str_,
    limit: c_int,
) -> ScriptRet {
    let [rules, mode] = [rules, mode].map(|arg| text(arg).unwrap_or_default());
    call(msg, |msg| routes::select(msg, rules, mode, limit))
}

/// `ds_next_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_next_dst(msg: *mut sys::sip_msg) -> ScriptRet {
    call(msg, |msg| select_dst::next(msg, Target::DstUri))
}

/// `ds_next_domain`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_next_domain(msg: *mut sys::sip_msg) -> ScriptRet {
    call(msg, |msg| select_dst::next(msg, Target::Domain))
}

/// `ds_set_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_set_dst(msg: *mut sys::sip_msg) -> ScriptRet {
    call(msg, |msg| select_dst::set(msg, Target::DstUri))
}

/// `ds_set_domain`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_set_domain(msg: *mut sys::sip_msg) -> ScriptRet {
    call(msg, |msg| select_dst::set(msg, Target::Domain))
}

/// `ds_mark_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_mark_dst(msg: *mut sys::sip_msg) -> ScriptRet {
    call(msg, |msg| select_dst::mark(msg, None))
}

/// `ds_mark_dst_state`(state).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_mark_dst_state(
    msg: *mut sys::sip_msg,
    state: *mut sys::str_,
) -> ScriptRet {
    call(msg, |msg| select_dst::mark(msg, text(state)))
}

/// `ds_mark_addr`(state, set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_mark_addr(
    msg: *mut sys::sip_msg,
    state: *mut sys::str_,
    set: c_int,
    uri: *mut sys::str_,
) -> ScriptRet {
    let [state, uri] = [state, uri].map(|arg| text(arg).unwrap_or_default());
    call(msg, |msg| select_dst::mark_addr(msg, state, set, uri))
}

/// `ds_is_from_lists`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_from_lists(msg: *mut sys::sip_msg) -> ScriptRet {
    dsr_kemi_is_from_list(msg, -1)
}

/// `ds_is_from_list`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_from_list(msg: *mut sys::sip_msg, set: c_int) -> ScriptRet {
    dsr_kemi_is_from_list_mode(msg, set, DEFAULT_MODE)
}

/// `ds_is_from_list_mode`(set, mode).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_from_list_mode(
    msg: *mut sys::sip_msg,
    set: c_int,
    mode: c_int,
) -> ScriptRet {
    call(msg, |msg| from_list::is_from_list(msg, set, mode, None))
}

/// `ds_is_from_list_uri`(set, mode, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_from_list_uri(
    msg: *mut sys::sip_msg,
    set: c_int,
    mode: c_int,
    uri: *mut sys::str_,
) -> ScriptRet {
    call(msg, |msg| {
        from_list::is_from_list(msg, set, mode, text(uri))
    })
}

/// `ds_list_exists`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_list_exists(msg: *mut sys::sip_msg, set: c_int) -> ScriptRet {
    call(msg, |_| from_list::list_exists(Some(set)))
}

/// `ds_is_active`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_active(msg: *mut sys::sip_msg, set: c_int) -> ScriptRet {
    call(msg, |_| from_list::is_active(set, None))
}

/// `ds_is_active_uri`(set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_active_uri(
    msg: *mut sys::sip_msg,
    set: c_int,
    uri: *mut sys::str_,
) -> ScriptRet {
    call(msg, |_| from_list::is_active(set, text(uri)))
}

/// `ds_reload`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_reload(msg: *mut sys::sip_msg) -> ScriptRet {
    call(msg, |_| reload::ds_reload())
}

/// `ds_load_update`(): 0 or -1, as in the C module.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_load_update(msg: *mut sys::sip_msg) -> InitRet {
    call_zero(msg, call_load::update)
}

/// `ds_load_unset`(): 0 or -1, as in the C module.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_load_unset(msg: *mut sys::sip_msg) -> InitRet {
    call_zero(msg, call_load::unset)
}

/// Runs a function that answers 0 for success.
fn call_zero(msg: *mut sys::sip_msg, body: impl FnOnce(Message) -> bool) -> InitRet {
    // SAFETY: as in `call`.
    let done = || body(unsafe { Message::new(msg) });
    guard(|| if done() { InitRet::OK } else { InitRet::FAILED })
}

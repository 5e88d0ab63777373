//! The script functions as KEMI scripts call them, with numbers and with the server's strings.

use core::ffi::c_int;

use crate::kamailio::cluster::show;
use crate::kamailio::list::reload;
use crate::kamailio::observe::metrics;
use crate::kamailio::observe::page::answer;
use crate::kamailio::select::call_load;
use crate::kamailio::select::from_list::{self, DEFAULT_MODE};
use crate::kamailio::select::mark;
use crate::kamailio::select::next_dst;
use crate::kamailio::select::request::{Request, UNLIMITED};
use crate::kamailio::select::routes;
use crate::kamailio::select::select_dst;
use crate::kamailio::server::guard::{InitRet, ScriptRet, guard};
use crate::kamailio::server::message::{Message, MessageArg, Target};
use crate::kamailio::server::text::StrArg;

/// Selects a destination for the message's `$du`, its R-URI, or nothing.
fn select(
    msg: MessageArg,
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
    msg.run(|msg| select_dst::select(msg, &request))
}

/// `ds_select_dst`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_dst(msg: MessageArg, set: c_int, alg: c_int) -> ScriptRet {
    dsr_kemi_select_dst_limit(msg, set, alg, UNLIMITED)
}

/// `ds_select_dst_limit`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_dst_limit(
    msg: MessageArg,
    set: c_int,
    algorithm: c_int,
    limit: c_int,
) -> ScriptRet {
    select(msg, set, algorithm, limit, Target::DstUri)
}

/// `ds_select_domain`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_domain(msg: MessageArg, set: c_int, alg: c_int) -> ScriptRet {
    dsr_kemi_select_domain_limit(msg, set, alg, UNLIMITED)
}

/// `ds_select_domain_limit`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_domain_limit(
    msg: MessageArg,
    set: c_int,
    algorithm: c_int,
    limit: c_int,
) -> ScriptRet {
    select(msg, set, algorithm, limit, Target::Domain)
}

/// `ds_select`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select(msg: MessageArg, set: c_int, alg: c_int) -> ScriptRet {
    dsr_kemi_select_limit(msg, set, alg, UNLIMITED)
}

/// `ds_select_limit`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_limit(
    msg: MessageArg,
    set: c_int,
    algorithm: c_int,
    limit: c_int,
) -> ScriptRet {
    select(msg, set, algorithm, limit, Target::Nothing)
}

/// `ds_select_routes`(rules, mode).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_routes(
    msg: MessageArg,
    rules: StrArg,
    mode: StrArg,
) -> ScriptRet {
    dsr_kemi_select_routes_limit(msg, rules, mode, UNLIMITED)
}

/// `ds_select_routes_limit`(rules, mode, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_select_routes_limit(
    msg: MessageArg,
    rules: StrArg,
    mode: StrArg,
    limit: c_int,
) -> ScriptRet {
    msg.run(|msg| routes::select(msg, rules.bytes(), mode.bytes(), limit))
}

/// `ds_next_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_next_dst(msg: MessageArg) -> ScriptRet {
    msg.run(|msg| next_dst::next(msg, Target::DstUri))
}

/// `ds_next_domain`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_next_domain(msg: MessageArg) -> ScriptRet {
    msg.run(|msg| next_dst::next(msg, Target::Domain))
}

/// `ds_set_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_set_dst(msg: MessageArg) -> ScriptRet {
    msg.run(|msg| next_dst::set(msg, Target::DstUri))
}

/// `ds_set_domain`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_set_domain(msg: MessageArg) -> ScriptRet {
    msg.run(|msg| next_dst::set(msg, Target::Domain))
}

/// `ds_mark_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_mark_dst(msg: MessageArg) -> ScriptRet {
    msg.run(|msg| mark::mark(msg, None))
}

/// `ds_mark_dst_state`(state).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_mark_dst_state(msg: MessageArg, state: StrArg) -> ScriptRet {
    msg.run(|msg| mark::mark(msg, Some(state.bytes())))
}

/// `ds_mark_addr`(state, set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_mark_addr(
    msg: MessageArg,
    state: StrArg,
    set: c_int,
    uri: StrArg,
) -> ScriptRet {
    msg.run(|msg| mark::mark_addr(msg, state.bytes(), set, uri.bytes()))
}

/// `ds_is_from_lists`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_from_lists(msg: MessageArg) -> ScriptRet {
    dsr_kemi_is_from_list(msg, -1)
}

/// `ds_is_from_list`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_from_list(msg: MessageArg, set: c_int) -> ScriptRet {
    dsr_kemi_is_from_list_mode(msg, set, DEFAULT_MODE)
}

/// `ds_is_from_list_mode`(set, mode).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_from_list_mode(
    msg: MessageArg,
    set: c_int,
    mode: c_int,
) -> ScriptRet {
    msg.run(|msg| from_list::is_from_list(msg, set, mode, None))
}

/// `ds_is_from_list_uri`(set, mode, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_from_list_uri(
    msg: MessageArg,
    set: c_int,
    mode: c_int,
    uri: StrArg,
) -> ScriptRet {
    msg.run(|msg| from_list::is_from_list(msg, set, mode, Some(uri.bytes())))
}

/// `ds_list_exists`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_list_exists(msg: MessageArg, set: c_int) -> ScriptRet {
    msg.run(|_| from_list::list_exists(Some(set)))
}

/// `ds_is_active`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_active(msg: MessageArg, set: c_int) -> ScriptRet {
    msg.run(|_| from_list::is_active(set, None))
}

/// `ds_is_active_uri`(set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_is_active_uri(msg: MessageArg, set: c_int, uri: StrArg) -> ScriptRet {
    msg.run(|_| from_list::is_active(set, Some(uri.bytes())))
}

/// `ds_reload`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_reload(msg: MessageArg) -> ScriptRet {
    msg.run(reload::ds_reload)
}

/// `ds_dmq_ready`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_dmq_ready(msg: MessageArg) -> ScriptRet {
    msg.run(|_| show::ds_dmq_ready())
}

/// `ds_metrics`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_metrics(msg: MessageArg) -> ScriptRet {
    msg.run(|msg| metrics::ds_metrics(msg, b""))
}

/// `ds_metrics_filter`(filter).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_metrics_filter(msg: MessageArg, filter: StrArg) -> ScriptRet {
    msg.run(|msg| metrics::ds_metrics(msg, filter.bytes()))
}

/// `ds_page`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_page(msg: MessageArg) -> ScriptRet {
    msg.run(|msg| answer::page(msg))
}

/// `ds_load_update`(). The result is 0 or -1, as in the C module.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_load_update(msg: MessageArg) -> InitRet {
    call_zero(msg, call_load::update)
}

/// `ds_load_unset`(). The result is 0 or -1, as in the C module.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_load_unset(msg: MessageArg) -> InitRet {
    call_zero(msg, call_load::unset)
}

/// `ds_load_unset_callid`(callid). The result is 0 or -1, as that of the function without an argument.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_kemi_load_unset_call_id(msg: MessageArg, call_id: StrArg) -> InitRet {
    call_zero(msg, |_| call_load::unset_call_id(call_id.bytes()))
}

/// Runs the body of a function that returns 0 for success.
fn call_zero(mut msg: MessageArg, body: impl FnOnce(&Message) -> bool) -> InitRet {
    guard(|| InitRet::of(msg.get().is_some_and(|msg| body(msg))))
}

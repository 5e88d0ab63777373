//! The script functions as the config's routes call them: each takes its arguments and leaves the work to others.

use super::dsg;
use crate::kamailio::cluster::show;
use crate::kamailio::list::reload;
use crate::kamailio::observe::metrics;
use crate::kamailio::observe::page::answer;
use crate::kamailio::select::call_load;
use crate::kamailio::select::from_list::{self, DEFAULT_MODE};
use crate::kamailio::select::mark;
use crate::kamailio::select::next_dst;
use crate::kamailio::select::overload;
use crate::kamailio::select::request::{Request, UNLIMITED};
use crate::kamailio::select::routes;
use crate::kamailio::select::select_dst;
use crate::kamailio::server::fixup::Arg;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::message::{Message, MessageArg, Target};

/// Runs a selection. `limit` has a type of its own at each call, so that each function is compiled for itself.
#[inline(always)]
fn select(
    msg: MessageArg,
    target: Target,
    set: Arg,
    algorithm: Arg,
    limit: impl FnOnce(&Message) -> Option<i32>,
) -> ScriptRet {
    msg.run(move |msg| {
        let request = Request {
            set: set.number(msg, "the set")?,
            algorithm: algorithm.number(msg, "the algorithm")?,
            limit: limit(msg)?,
            target,
            behind: None,
        };
        Some(select_dst::select(msg, &request))
    })
}

/// `ds_select_dst`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_dst(msg: MessageArg, set: Arg, alg: Arg) -> ScriptRet {
    select(msg, Target::DstUri, set, alg, |_| Some(UNLIMITED))
}

/// `ds_select_dst`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_dst_limit(
    msg: MessageArg,
    set: Arg,
    alg: Arg,
    limit: Arg,
) -> ScriptRet {
    select(msg, Target::DstUri, set, alg, move |msg| {
        limit.number(msg, "the limit")
    })
}

/// `ds_select_domain`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_domain(msg: MessageArg, set: Arg, alg: Arg) -> ScriptRet {
    select(msg, Target::Domain, set, alg, |_| Some(UNLIMITED))
}

/// `ds_select_domain`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_domain_limit(
    msg: MessageArg,
    set: Arg,
    alg: Arg,
    limit: Arg,
) -> ScriptRet {
    select(msg, Target::Domain, set, alg, move |msg| {
        limit.number(msg, "the limit")
    })
}

/// `ds_select`(set, algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select(msg: MessageArg, set: Arg, alg: Arg) -> ScriptRet {
    select(msg, Target::Nothing, set, alg, |_| Some(UNLIMITED))
}

/// `ds_select`(set, algorithm, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_limit(msg: MessageArg, set: Arg, alg: Arg, limit: Arg) -> ScriptRet {
    select(msg, Target::Nothing, set, alg, move |msg| {
        limit.number(msg, "the limit")
    })
}

fn routes(msg: MessageArg, rules: Arg, mode: Arg, limit: Option<Arg>) -> ScriptRet {
    msg.run(|msg| {
        let limit = match limit {
            Some(limit) => limit.number(msg, "the limit")?,
            None => UNLIMITED,
        };
        let rules = rules.text(msg, "the rules")?;
        let mode = mode.text(msg, "the mode")?.first().copied();
        Some(routes::select(msg, &rules, mode.as_slice(), limit))
    })
}

/// `ds_select_routes`(rules, mode).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_routes(msg: MessageArg, rules: Arg, mode: Arg) -> ScriptRet {
    routes(msg, rules, mode, None)
}

/// `ds_select_routes`(rules, mode, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_select_routes_limit(
    msg: MessageArg,
    rules: Arg,
    mode: Arg,
    limit: Arg,
) -> ScriptRet {
    routes(msg, rules, mode, Some(limit))
}

/// `ds_next_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_next_dst(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| next_dst::next(msg, Target::DstUri))
}

/// `ds_next_domain`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_next_domain(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| next_dst::next(msg, Target::Domain))
}

/// `ds_set_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_set_dst(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| next_dst::set(msg, Target::DstUri))
}

/// `ds_set_domain`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_set_domain(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| next_dst::set(msg, Target::Domain))
}

/// `ds_mark_dst`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mark_dst(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| mark::mark(msg, None))
}

/// `ds_mark_dst`(state), with the text as it is written in the config.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mark_dst_state(msg: MessageArg, state: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| mark::mark(msg, state.unfixed()))
}

/// `ds_is_from_list`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_from_lists(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| Some(from_list::is_from_list(msg, -1, DEFAULT_MODE, None)))
}

/// `ds_is_from_list`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_from_list(msg: MessageArg, set: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| {
        let set = set.number(msg, "the set")?;
        Some(from_list::is_from_list(msg, set, DEFAULT_MODE, None))
    })
}

/// `ds_is_from_list`(set, mode).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_from_list_mode(msg: MessageArg, set: Arg, mode: Arg) -> ScriptRet {
    msg.run(|msg| {
        let set = set.number(msg, "the set")?;
        let mode = mode.number(msg, "the mode")?;
        Some(from_list::is_from_list(msg, set, mode, None))
    })
}

/// `ds_is_from_list`(set, mode, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_from_list_uri(
    msg: MessageArg,
    set: Arg,
    mode: Arg,
    uri: Arg,
) -> ScriptRet {
    msg.run(|msg| {
        let set = set.number(msg, "the set")?;
        let mode = mode.number(msg, "the mode")?;
        let uri = uri.text(msg, "the URI")?;
        Some(from_list::is_from_list(msg, set, mode, Some(&uri)))
    })
}

/// `ds_list_exist`(set) and `ds_list_exists`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_list_exists(msg: MessageArg, set: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| Some(from_list::list_exists(set.number(msg, "the set"))))
}

/// `ds_is_active`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_active(msg: MessageArg, set: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| Some(from_list::is_active(set.number(msg, "the set")?, None)))
}

/// `ds_is_active`(set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_is_active_uri(msg: MessageArg, set: Arg, uri: Arg) -> ScriptRet {
    msg.run(|msg| {
        let set = set.number(msg, "the set")?;
        let uri = uri.text(msg, "the URI")?;
        Some(from_list::is_active(set, Some(&uri)))
    })
}

/// `ds_oc_set_attrs`(set, uri, rate, milliseconds, number).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_oc_set_attrs(
    msg: MessageArg,
    set: Arg,
    uri: Arg,
    rate: Arg,
    validity: Arg,
    seq: Arg,
) -> ScriptRet {
    msg.run(|msg| {
        let set = set.number(msg, "the set")?;
        let uri = uri.text(msg, "the URI")?;
        let report = overload::Report {
            rate: rate.number(msg, "the rate")?,
            validity_ms: validity.number(msg, "the milliseconds")?,
            seq: seq.number(msg, "the number")?,
        };
        Some(overload::report(set, &uri, &report))
    })
}

/// `ds_reload`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_reload(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(reload::ds_reload)
}

/// `ds_dmq_ready`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dmq_ready(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|_| show::ds_dmq_ready())
}

/// `ds_metrics`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_metrics(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| metrics::ds_metrics(msg, b""))
}

/// `ds_metrics`(filter).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_metrics_filter(msg: MessageArg, filter: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| metrics::ds_metrics(msg, &filter.text(msg, "the filter")?))
}

/// `ds_dsg_fetch`(set).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsg_fetch(msg: MessageArg, set: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| Some(dsg::fetch(set.number(msg, "the set")?)))
}

/// `ds_dsg_fetch_uri`(set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsg_fetch_uri(msg: MessageArg, set: Arg, uri: Arg) -> ScriptRet {
    msg.run(|msg| {
        let set = set.number(msg, "the set")?;
        Some(dsg::fetch_uri(set, &uri.text(msg, "the URI")?))
    })
}

/// `ds_mark_addr`(state, set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mark_addr(msg: MessageArg, state: Arg, set: Arg, uri: Arg) -> ScriptRet {
    msg.run(|msg| {
        let state = state.text(msg, "the state")?;
        let uri = uri.text(msg, "the URI")?;
        let set = set.number(msg, "the set")?;
        Some(mark::mark_addr(msg, &state, set, &uri))
    })
}

/// `ds_load_update`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_load_update(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| call_load::update(msg).then_some(ScriptRet::OK))
}

/// `ds_load_unset`(callid).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_load_unset_call_id(msg: MessageArg, call_id: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| {
        let call_id = call_id.text(msg, "the Call-ID")?;
        call_load::unset_call_id(&call_id).then_some(ScriptRet::OK)
    })
}

/// `ds_load_unset`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_load_unset(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| call_load::unset(msg).then_some(ScriptRet::OK))
}

/// `ds_page`().
#[unsafe(no_mangle)]
pub extern "C" fn dsr_page(msg: MessageArg, _: Arg, _: Arg) -> ScriptRet {
    msg.run(|msg| answer::page(msg))
}

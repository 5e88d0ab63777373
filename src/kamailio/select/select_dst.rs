//! `ds_select_dst`, `ds_select_domain` and `ds_select`: from a message to a destination.

use super::by_key;
use super::call_load;
use super::deliver::deliver;
use super::drain;
use super::parallel;
use super::request::{Failure, Request, conclude, failed};
use super::send::{Others, send_asking, send_to, send_watched};
use super::trace::{self, Hash};
use crate::dispatch::admission::others::others;
use crate::dispatch::balance::cost::mix;
use crate::dispatch::select::algorithm::{Algorithm, Choice, Start, choose, choose_open, home};
use crate::dispatch::select::failover::Order;
use crate::kamailio::admission::ask::may_refuse;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::counting::counts;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::log_warn;
use crate::kamailio::server::message::{Message, Target};
use crate::kamailio::server::rand;
use crate::kamailio::server::time::now_us;
use crate::shm::set::view::View;

/// Selects a destination of a set, and sends the message there.
pub fn select(msg: &mut Message, request: &Request) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    if !module.settings.force_dst && request.target == Target::DstUri && msg.has_dst_uri() {
        return failed(request.set, &Failure::AlreadySet);
    }
    let algorithm = Algorithm::from_number(request.algorithm);
    match algorithm {
        // A call is counted where it goes, and it goes to the first destination of all sets.
        Algorithm::CallLoad if call_load::counts(module, msg) && request.leads() => {
            return call_load::select(module, msg, request);
        }
        Algorithm::Parallel => return parallel::select(module, msg, request),
        Algorithm::Overload => return select_open(module, msg, request),
        Algorithm::Unknown(number) => {
            if let Some(result) = by_key::select(module, msg, request, number) {
                return result;
            }
        }
        _ => {}
    }
    let Some(start) = start(module, msg, algorithm) else {
        counts::failed(request.set);
        return ScriptRet::FAILED;
    };
    let sent = module
        .store
        .try_set(Module::process(), request.set, |view| {
            pick(module, msg, request, view, start)
        });
    conclude(request.set, &sent)
}

/// Selects in turn, with overload control (algorithm 64).
#[inline(never)]
fn select_open(module: &Module, msg: &mut Message, request: &Request) -> ScriptRet {
    let now_us = now_us();
    let sent = module
        .store
        .try_set(Module::process(), request.set, |view| {
            let choice = choose_open(view, |at| view.passes_over(at, now_us))?;
            if trace::is_watched(module) {
                return send_open_watched(module, msg, request, view, choice, now_us);
            }
            Some(deliver(module, msg, request, view, choice))
        });
    conclude(request.set, &sent)
}

/// Sends the message to what was chosen with overload control, where there is more to do than to send.
#[cold]
#[inline(never)]
fn send_open_watched(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    choice: Choice,
    now_us: u64,
) -> Option<Result<(), Failure>> {
    let hash = Hash::None;
    if trace::is_gated(module) && may_refuse(module, view, request.algorithm, choice.at) {
        let chosen = (choice, hash, None);
        let others = || -> Others {
            let others = others(view, Start::RoundRobin, choice);
            Box::new(others.filter(move |other| !view.passes_over(other.at, now_us)))
        };
        return send_asking(module, msg, request, view, chosen, &others, None);
    }
    Some(send_watched(module, msg, request, view, choice, hash))
}

/// Selects in a view, and sends the message there; `None` when nothing is usable.
#[inline(always)]
fn pick(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    start: Start,
) -> Option<Result<(), Failure>> {
    let choice = match start {
        Start::Hash(hash) => match home(view, hash).filter(|&at| view.is_usable(at)) {
            Some(at) => Choice {
                at,
                order: Order::Around,
            },
            None => drain::choose_elsewhere(module, msg, request.set, view, hash)?,
        },
        start => choose(view, start)?,
    };
    if trace::is_watched(module) {
        return send_start_watched(module, msg, request, view, start, choice);
    }
    Some(send_to(module, msg, request, view, choice))
}

/// Sends the message to what was chosen from a start, where there is more to do than to send. It has a frame of its own,
/// so that plain selections need not make room for it.
#[cold]
#[inline(never)]
fn send_start_watched(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    start: Start,
    choice: Choice,
) -> Option<Result<(), Failure>> {
    let hash = match start {
        Start::Hash(hash) => Hash::Number(hash),
        _ => Hash::None,
    };
    if trace::is_gated(module) && may_refuse(module, view, request.algorithm, choice.at) {
        let key = match start {
            Start::Hash(hash) | Start::InDialog(hash) => Some(mix(hash.into())),
            _ => None,
        };
        let chosen = (choice, hash, key);
        let others = || -> Others { Box::new(others(view, start, choice)) };
        return send_asking(module, msg, request, view, chosen, &others, None);
    }
    Some(send_watched(module, msg, request, view, choice, hash))
}

/// Returns where the selection starts for this message; logs why if that cannot be known.
#[inline]
fn start(module: &Module, msg: &mut Message, algorithm: Algorithm) -> Option<Start> {
    let user_only = module.settings.hash_user_only;
    let hash = match algorithm {
        Algorithm::HashCallId => msg.hash_call_id(),
        Algorithm::HashFrom => msg.hash_from(user_only),
        Algorithm::HashTo => msg.hash_to(user_only),
        Algorithm::HashRequestUri => msg.hash_request_uri(user_only),
        Algorithm::HashPvar => by_key::hash_pvar(module, msg),
        other => return Some(start_without_hash(msg, other)),
    };
    hash.map(Start::Hash)
}

#[inline]
fn start_without_hash(msg: &mut Message, algorithm: Algorithm) -> Start {
    match algorithm {
        Algorithm::HashAuthUser => msg.hash_auth_user().map_or(Start::RoundRobin, Start::Hash),
        Algorithm::RoundRobin => Start::RoundRobin,
        Algorithm::Random => Start::Random(rand::word()),
        Algorithm::Weight => Start::Weight,
        Algorithm::RelativeWeight => Start::RelativeWeight,
        Algorithm::Latency => Start::Latency,
        Algorithm::Priority => Start::Priority,
        Algorithm::Service => Start::Service,
        Algorithm::Unknown(number) => start_of_unknown(number),
        // Call load starts here if it counts no calls. The others do not come here.
        _ => Start::First,
    }
}

#[cold]
fn start_of_unknown(algorithm: i32) -> Start {
    log_warn!("algorithm {algorithm} is not implemented: the first destination is used");
    Start::First
}

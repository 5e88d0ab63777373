//! Selecting by the key of a message: algorithms 100 to 107. The keys are of the same texts as the hashes of 0 to 7.

use super::drain;
use super::request::{Failure, Request, conclude};
use super::send::{Others, send_asking, send_to, send_watched};
use super::trace::{self, Hash};
use crate::dispatch::admission::others::{others, others_by_key};
use crate::dispatch::balance::cost::Key;
use crate::dispatch::hash::hash;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::select::algorithm::{Choice, KeyText, Start, choose};
use crate::dispatch::select::failover::Order;
use crate::dispatch::select::rendezvous;
use crate::kamailio::admission::ask::may_refuse;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::counting::counts;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::log_err;
use crate::kamailio::server::message::Message;
use crate::shm::set::view::View;

/// Selects the destination that the key of a message falls on, and sends the message there; `None` if the algorithm's
/// number is not one of rendezvous hashing.
#[inline(never)]
pub fn select(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    number: i32,
) -> Option<ScriptRet> {
    let text = KeyText::from_number(number)?;
    let Some(found) = find(module, msg, text) else {
        counts::failed(request.set);
        return Some(ScriptRet::FAILED);
    };
    let sent = module
        .store
        .try_set(Module::process(), request.set, |view| {
            pick(module, msg, request, view, found)
        });
    Some(conclude(request.set, &sent))
}

/// Selects in a view, and sends the message there; `None` when nothing is usable.
fn pick(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    found: Found,
) -> Option<Result<(), Failure>> {
    let (choice, key) = match found {
        Found::NoUser => (choose(view, Start::RoundRobin)?, None),
        Found::Key(key) => {
            let at = place(module, msg, request.set, view, key)?;
            let order = Order::Key(key);
            (Choice { at, order }, Some(key))
        }
    };
    if !trace::is_watched(module) {
        return Some(send_to(module, msg, request, view, choice));
    }
    send_key_watched(module, msg, request, view, choice, key)
}

/// Sends the message to what was chosen by a key, where there is more to do than to send.
#[cold]
#[inline(never)]
fn send_key_watched(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    choice: Choice,
    key: Option<Key>,
) -> Option<Result<(), Failure>> {
    let hash = key.map_or(Hash::None, Hash::Key);
    if !trace::is_gated(module) || !may_refuse(module, view, request.algorithm, choice.at) {
        return Some(send_watched(module, msg, request, view, choice, hash));
    }
    let chosen = (choice, hash, key.map(|key| key.0));
    let Some(key) = key else {
        let others = || -> Others { Box::new(others(view, Start::RoundRobin, choice)) };
        return send_asking(module, msg, request, view, chosen, &others, None);
    };
    let percent = module.settings.bounded_load;
    let calls = |at: usize| view.dest(at).map_or(0, |dest| dest.record().load());
    let others = || -> Others {
        let by_calls = percent.map(|_| calls);
        Box::new(others_by_key(view, key, choice.at, by_calls))
    };
    send_asking(module, msg, request, view, chosen, &others, percent)
}

/// Returns the destination for a key.
fn place(module: &Module, msg: &Message, set: SetId, view: &View, key: Key) -> Option<usize> {
    let home = rendezvous::home(view, key)?;
    if view.is_usable(home) {
        return Some(home);
    }
    let with_draining = || rendezvous::choose_in_dialog(view, key);
    let others = || rendezvous::choose_but_home(view, key);
    let is_beside = || with_draining().is_some_and(|at| view.is_draining(at)) && others().is_some();
    if drain::includes_draining(module, msg, set, view, is_beside) {
        return with_draining();
    }
    others()
}

/// The key of a request, or that it has none.
#[derive(Clone, Copy)]
enum Found {
    /// The key.
    Key(Key),
    /// The request has no credentials with a user: it goes in turn, as with algorithm 5.
    NoUser,
}

/// Returns the key of a message; logs why if it has none.
fn find(module: &Module, msg: &mut Message, text: KeyText) -> Option<Found> {
    let user_only = module.settings.hash_user_only;
    let key = match text {
        KeyText::CallId => msg.call_id().map(Key::of),
        KeyText::From => msg.key_of_from(user_only),
        KeyText::To => msg.key_of_to(user_only),
        KeyText::RequestUri => msg.key_of_request_uri(user_only),
        KeyText::Pvar => pvar_text(module, msg, 107).map(Key::of),
        KeyText::AuthUser => {
            let user = msg.credentials_user().map(Key::of);
            return Some(user.map_or(Found::NoUser, Found::Key));
        }
    };
    key.map(Found::Key)
}

/// Returns the hash over the text of `hash_pvar`.
#[inline(never)]
pub fn hash_pvar(module: &Module, msg: &mut Message) -> Option<u32> {
    Some(hash(pvar_text(module, msg, 7)?, None))
}

/// Returns the text of `hash_pvar` without the white space at its ends; `None` after a log line, which names the algorithm, if there is
/// none.
#[inline(always)]
fn pvar_text<'m>(module: &'m Module, msg: &'m mut Message, algorithm: u32) -> Option<&'m [u8]> {
    let Some(format) = &module.settings.hash_pvar else {
        log_err!("algorithm {algorithm} needs the parameter hash_pvar");
        return None;
    };
    let text = format
        .print(msg)
        .map(<[u8]>::trim_ascii)
        .unwrap_or_default();
    if text.is_empty() {
        log_err!("nothing to hash: hash_pvar is empty for this message");
        return None;
    }
    Some(text)
}

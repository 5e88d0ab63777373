//! `dispatcher.route`: where a key goes now, and why.

use crate::dispatch::admission::others::{MOST_TRIES, others_by_key};
use crate::dispatch::admission::refusal::Refusal;
use crate::dispatch::balance::cost::Key;
use crate::dispatch::list::words::{INVALID, integer};
use crate::dispatch::observe::shown::Shown;
use crate::dispatch::select::algorithm::KeyText;
use crate::dispatch::select::candidates::{Candidates, is_usable};
use crate::dispatch::select::rendezvous;
use crate::kamailio::admission::ask::asked_by_all;
use crate::kamailio::config::instance::Module;
use crate::kamailio::rpc::rpc_reply::{Full, RpcCall, RpcNode};
use crate::kamailio::server::heap;
use crate::shm::dest::destination::Dest;
use crate::shm::set::gates::Asked;
use crate::shm::set::view::View;

/// Bytes of heap for a destination while all of a set are put in order.
const SORT_HEAP: usize = 150;

/// Answers `dispatcher.route` SET ALGORITHM KEY.
///
/// # Errors
/// The text of the fault.
pub fn route(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (Some(set), Some(algorithm), Some(text)) = (call.text(), call.text(), call.text()) else {
        return Err(INVALID.into());
    };
    call.all_readable()?;
    let set = integer(&set).ok_or("Invalid Parameters: expected a set")?;
    if integer(&algorithm).and_then(KeyText::from_number).is_none() {
        return Err("Invalid Parameters: expected an algorithm of 100 to 103, 105 or 107".into());
    }
    let pinned = module.pin();
    let view = pinned.view(set).ok_or("No Such Destination Set")?;
    heap::need(view.dest_count() * SORT_HEAP)?;
    Ok(reply(call, module, view, Key::of(&text))?)
}

fn reply(call: &RpcCall, module: &Module, view: &View, key: Key) -> Result<(), Full> {
    let top = call.add_struct()?;
    top.add(c"KEY", &key.to_string())?;
    let asked = asked_by_all(module).map(|asked| Asked {
        bound: module
            .settings
            .bounded_load
            .map(|percent| view.bound(percent)),
        ..asked
    });
    let chosen = chosen(view, key, asked.as_ref());
    top.add(c"URI", chosen.and_then(|at| view.dest(at)).map(Dest::uri))?;
    let list = top.add_array(c"ROUTE")?;
    for at in rendezvous::ranking(view, key) {
        if let Some(dest) = view.dest(at) {
            add(&list.add_struct(c"DEST")?, view, at, dest, asked.as_ref())?;
        }
        if chosen == Some(at) {
            return Ok(());
        }
    }
    // The default destination has no place in the ranking.
    match chosen.and_then(|at| Some((at, view.dest(at)?))) {
        Some((at, dest)) => add(&list.add_struct(c"DEST")?, view, at, dest, asked.as_ref()),
        None => Ok(()),
    }
}

/// Returns the destination that an INVITE with this key would go to.
fn chosen(view: &View, key: Key, asked: Option<&Asked>) -> Option<usize> {
    let first = rendezvous::choose(view, key)?;
    let Some(asked) = asked else {
        return Some(first);
    };
    let calls = |at: usize| view.dest(at).map_or(0, |dest| dest.record().load());
    let by_calls = asked.bound.map(|_| calls);
    let others = others_by_key(view, key, first, by_calls).map(|choice| choice.at);
    let mut order = core::iter::once(first).chain(others).take(MOST_TRIES);
    order.find(|&at| view.refusal(at, asked).is_none())
}

fn add(
    node: &RpcNode<'_>,
    view: &View,
    at: usize,
    dest: &Dest,
    asked: Option<&Asked>,
) -> Result<(), Full> {
    node.add(c"URI", dest.uri())?;
    let identity = view.identities().get(at).copied().unwrap_or(0);
    node.add(c"HASHID", &format!("{identity:016x}"))?;
    node.add(c"RWEIGHT", dest.rweight())?;
    node.add(c"STATE", Shown::of(dest.record().shown_state()).word())?;
    let Some(asked) = asked else { return Ok(()) };
    let refusal = view
        .refusal(at, asked)
        .filter(|_| is_usable(view, at))
        .map(Refusal::word);
    node.add(c"REFUSES", refusal)
}

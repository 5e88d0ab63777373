//! `dispatcher.drain_status`: whether draining destinations are empty.

use core::ops::ControlFlow;
use core::ptr;
use std::collections::HashMap;

use super::rpc_reply::{Full, RpcCall, RpcNode};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::words::integer;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::CountCalls;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::time::now_s;
use crate::shm::dest::destination::Dest;
use crate::shm::table::store::Pinned;

/// The seconds in which the oldest calls of destinations were counted there.
type Oldest = HashMap<*const Dest, u64>;

/// Answers `dispatcher.drain_status` [set].
///
/// # Errors
/// The text of the fault.
pub fn drain_status(call: &RpcCall, module: &Module) -> Result<(), String> {
    let set = match call.text().as_deref() {
        None | Some(b"all") => None,
        Some(word) => Some(integer(word).ok_or("Invalid Parameters: expected a set or `all`")?),
    };
    call.all_readable()?;
    let pinned = module.pin();
    if set.is_some_and(|set| pinned.view(set).is_none()) {
        return Err("No Such Destination Set".into());
    }
    let draining = draining(&pinned, set)?;
    let oldest = oldest(module, &pinned, &draining)?;
    reply(call, module, &pinned, &draining, &oldest).map_err(|Full| {
        "Reply too large for this transport: ask for one set (dispatcher.drain_status SET)".into()
    })
}

/// Returns the draining destinations of a set, or of all.
fn draining<'p>(pinned: &'p Pinned<'_>, set: Option<SetId>) -> Result<Vec<&'p Dest>, NoMemory> {
    let mut draining = Vec::new();
    let Some(table) = pinned.table() else {
        return Ok(draining);
    };
    let sets = table
        .sets()
        .filter(|(id, _)| set.is_none_or(|set| set == *id));
    for dest in sets.flat_map(|(_, view)| view.dests()) {
        if dest.record().state().drains() {
            heap::reserve(&mut draining, 1)?;
            draining.push(dest);
        }
    }
    Ok(draining)
}

/// Returns when the oldest call of each of these destinations was counted there.
fn oldest(module: &Module, pinned: &Pinned<'_>, dests: &[&Dest]) -> Result<Oldest, NoMemory> {
    heap::need(dests.len() * size_of::<(*const Dest, u64)>() * 4)?;
    let never = dests.iter().map(|dest| (ptr::from_ref(*dest), u64::MAX));
    let mut oldest: Oldest = never.collect();
    let calls = module.calls.as_ref().filter(|_| !dests.is_empty());
    if let Some(calls) = calls {
        let stop = calls.visit::<()>(pinned, None, |info| {
            if let Some(first) = info.dest.and_then(|dest| oldest.get_mut(&dest)) {
                *first = info.begun_s.min(*first);
            }
            ControlFlow::Continue(())
        });
        debug_assert!(stop.is_continue());
    }
    Ok(oldest)
}

fn reply(
    call: &RpcCall,
    module: &Module,
    pinned: &Pinned<'_>,
    dests: &[&Dest],
    oldest: &Oldest,
) -> Result<(), Full> {
    let top = call.add_struct()?;
    top.add(c"DRAINING", dests.len())?;
    let array = top.add_array(c"TARGETS")?;
    for dest in dests {
        let node = array.add_struct(c"DEST")?;
        node.add(c"SET", dest.set)?;
        node.add(c"URI", dest.uri())?;
        calls_left(
            &node,
            module,
            is_counted(module, pinned, dest),
            dest,
            oldest,
        )?;
        if let Some(counts) = dest.record().counted() {
            let last = counts.last_selection_s();
            node.add(c"LAST_SELECTION_AGO_S", last.map(ago_s))?;
        }
    }
    Ok(())
}

/// Returns true if the calls of a destination are counted: all of them, or those that algorithm 10 has sent to its set.
fn is_counted(module: &Module, pinned: &Pinned<'_>, dest: &Dest) -> bool {
    let by_algorithm = || {
        let view = pinned.view(dest.set);
        view.is_some_and(|view| view.record().has_counted_calls())
    };
    let counts = match module.settings.count_calls {
        CountCalls::Off => by_algorithm(),
        CountCalls::Count => true,
        CountCalls::Limit => return true,
    };
    counts && module.calls.is_some() && dest.duid().is_some()
}

/// Adds how many calls a destination has, and how long the oldest one has been there; null where calls are not counted.
fn calls_left(
    node: &RpcNode<'_>,
    module: &Module,
    is_counted: bool,
    dest: &Dest,
    oldest: &Oldest,
) -> Result<(), Full> {
    let calls = is_counted.then(|| dest.record().whole_load());
    node.add(c"CALLS", calls)?;
    if is_counted && module.settings.shares_load() {
        node.add(c"OWN", dest.record().load())?;
    }
    let begun_s = oldest.get(&ptr::from_ref(dest)).copied();
    let begun_s = begun_s.filter(|&second| second != u64::MAX);
    node.add(c"OLDEST_S", begun_s.map(ago_s))
}

fn ago_s(second: u64) -> u64 {
    now_s().saturating_sub(second)
}

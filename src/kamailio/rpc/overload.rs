//! `dispatcher.oclist`: what destinations report of their load.

use core::ffi::CStr;

use super::rpc_reply::{Full, RpcCall, RpcNode, RpcValue};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::words::INVALID;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::time::wall_of;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::overload::Overload;

/// Answers `dispatcher.oclist` set.
///
/// # Errors
/// The text of the fault.
pub fn list(call: &RpcCall, module: &Module) -> Result<(), String> {
    let set = call.number().ok_or(INVALID)?;
    let pinned = module.pin();
    let Some(view) = pinned.view(set) else {
        call.fault(404, "Destination Group Not Found");
        return Ok(());
    };
    let mut dests = view.dests();
    dests
        .try_for_each(|dest| show(call, set, dest))
        .map_err(String::from)
}

fn show(call: &RpcCall, set: SetId, dest: &Dest) -> Result<(), Full> {
    let node = call.add_struct()?;
    let flags = dest.record().state().bits();
    node.add(c"group", set)?;
    node.add(c"uri", dest.uri())?;
    node.add(c"flags", flags)?;
    node.add(c"priority", dest.priority)?;
    let names = [c"ocrate", c"ocidx", c"ocseq", c"octime_sec", c"octime_usec"];
    state(&node, names, dest, RpcValue::from)?;
    node.add(c"ocmin", dest.ocmin())?;
    node.add(c"ocmax", dest.ocmax())
}

/// Adds what a destination reported of its load: rate, next turn, number of the report, and until when
/// it holds in seconds and microseconds, under these names. `count` gives turn and number the type that they have there.
///
/// # Errors
/// [`Full`].
pub fn state(
    node: &RpcNode<'_>,
    names: [&'static CStr; 5],
    dest: &Dest,
    count: fn(i32) -> RpcValue<'static>,
) -> Result<(), Full> {
    let overload = dest.record().overload();
    let until_us = overload.map_or(0, |report| wall_of(report.until_us()));
    let [rate, turn, seq, seconds, micros] = names;
    node.add(rate, overload.map_or(0, Overload::rate))?;
    let turns = overload.map_or(0, Overload::turn);
    node.add(turn, count(turns.try_into().unwrap_or(0)))?;
    node.add(seq, count(overload.map_or(0, Overload::seq)))?;
    node.add_time([seconds, micros], until_us)
}

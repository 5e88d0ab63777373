//! `dispatcher.stats`: what there is, what memory it takes, and who keeps what was replaced.

use core::ffi::CStr;

use super::rpc_reply::{Full, RpcCall, RpcNode};
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::patience::watch_s;
use crate::shm::memory::epoch::Held;
use crate::shm::table::store::Holdings;

/// The figures, which MI commands show as well.
pub struct Stats {
    /// The number of sets.
    pub sets: usize,
    /// The number of destinations.
    pub dests: usize,
    /// The number of calls at them.
    pub calls: u64,
    /// The bytes of the lists, without states and calls.
    pub list_bytes: usize,
    /// The memory of what was replaced, and the processes that read and change the lists.
    pub held: Holdings,
}

impl Stats {
    /// Takes the figures. Nothing is locked.
    pub fn take(module: &Module) -> Self {
        let held = module.store.holdings(watch_s());
        let pinned = module.pin();
        let mut stats = Stats {
            sets: 0,
            dests: 0,
            calls: 0,
            list_bytes: 0,
            held,
        };
        let Some(table) = pinned.table() else {
            return stats;
        };
        (stats.sets, stats.list_bytes) = (table.len(), table.bytes_of_all());
        for (_, view) in table.sets() {
            stats.dests += view.dest_count();
            let loads = view.dests().map(|dest| u64::from(dest.record().load()));
            stats.calls += loads.sum::<u64>();
        }
        stats
    }
}

/// Answers `dispatcher.stats`.
///
/// # Errors
/// The text of the fault.
pub fn stats(call: &RpcCall, module: &Module) -> Result<(), String> {
    Ok(show(call, &Stats::take(module))?)
}

fn show(call: &RpcCall, stats: &Stats) -> Result<(), Full> {
    let held = &stats.held;
    let top = call.add_struct()?;
    top.add(c"SETS", stats.sets)?;
    top.add(c"DESTINATIONS", stats.dests)?;
    top.add(c"CALLS", stats.calls)?;
    let memory = top.add_struct(c"MEMORY")?;
    memory.add(c"LISTS", stats.list_bytes)?;
    memory.add(c"REPLACED", held.bytes)?;
    memory.add(c"REPLACED_PIECES", held.notes)?;
    memory.add(c"REPLACED_MOST", held.most)?;
    show_held(&top, c"READER", held.reader)?;
    show_held(&top, c"WRITER", held.writer)
}

/// Adds the process that holds something, and for how many seconds; 0 and 0 for none.
fn show_held(top: &RpcNode<'_>, name: &'static CStr, held: Option<Held>) -> Result<(), Full> {
    let node = top.add_struct(name)?;
    node.add(c"PID", held.map_or(0, |held| held.pid))?;
    node.add(c"SECONDS", held.map_or(0, |held| held.for_s))
}

//! `dispatcher.stats`: what there is, what memory it takes, and who keeps what was replaced.

use core::ffi::CStr;

use super::rpc_reply::{Full, RpcCall, RpcNode};
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::patience::watch_s;
use crate::shm::calls::call_table::Calls;
use crate::shm::dest::destination::Dest;
use crate::shm::event_queue::EventQueue;
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
    /// The bytes of the states of destinations and sets.
    pub state_bytes: usize,
    /// The bytes of the results of pings, and of reports.
    pub ping_bytes: usize,
    /// The bytes of the counters of sets and destinations.
    pub counter_bytes: usize,
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
            state_bytes: 0,
            ping_bytes: 0,
            counter_bytes: 0,
            held,
        };
        let Some(table) = pinned.table() else {
            return stats;
        };
        (stats.sets, stats.list_bytes) = (table.len(), table.bytes_of_all());
        for (_, view) in table.sets() {
            stats.dests += view.dest_count();
            let of_counts = view.record().bytes_of_counts();
            stats.counter_bytes += of_counts;
            stats.state_bytes += view.record().bytes() - of_counts;
            for record in view.dests().map(Dest::record) {
                let bytes = record.bytes_by_kind();
                stats.calls += u64::from(record.load());
                stats.state_bytes += bytes.state;
                stats.ping_bytes += bytes.vitals;
                stats.counter_bytes += bytes.counts;
            }
        }
        stats
    }
}

/// Answers `dispatcher.stats`.
///
/// # Errors
/// The text of the fault.
pub fn stats(call: &RpcCall, module: &Module) -> Result<(), String> {
    Ok(show(call, module, &Stats::take(module))?)
}

fn show(call: &RpcCall, module: &Module, stats: &Stats) -> Result<(), Full> {
    let held = &stats.held;
    let top = call.add_struct()?;
    top.add(c"SETS", stats.sets)?;
    top.add(c"DESTINATIONS", stats.dests)?;
    top.add(c"CALLS", stats.calls)?;
    let memory = top.add_struct(c"MEMORY")?;
    memory.add(c"LISTS", stats.list_bytes)?;
    memory.add(c"STATES", stats.state_bytes)?;
    memory.add(c"PINGS", stats.ping_bytes)?;
    memory.add(c"COUNTERS", stats.counter_bytes)?;
    let calls = module.calls.as_ref().map_or(0, Calls::bytes);
    memory.add(c"CALLS", calls)?;
    let events = module.event_queue.as_ref().map_or(0, EventQueue::bytes);
    memory.add(c"EVENTS", events)?;
    memory.add(c"REPLACED", held.bytes)?;
    memory.add(c"REPLACED_PIECES", held.notes)?;
    memory.add(c"REPLACED_MOST", held.most)?;
    show_held(&top, c"READER", held.reader)?;
    show_held(&top, c"WRITER", held.writer)?;
    top.add(c"WRITERS_WAITING", held.waiting)
}

/// Adds the process that holds something, and for how many seconds; 0 and 0 for none.
fn show_held(top: &RpcNode<'_>, name: &'static CStr, held: Option<Held>) -> Result<(), Full> {
    let node = top.add_struct(name)?;
    node.add(c"PID", held.map_or(0, |held| held.pid))?;
    node.add(c"SECONDS", held.map_or(0, |held| held.for_s))
}

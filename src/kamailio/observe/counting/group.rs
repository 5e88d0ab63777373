//! The group `dispatcher` of the server's own counters (`counters` 1).
//!
//! The server has a row of cells for each process, which that process alone writes. A process finds its cells when it
//! starts, so counting takes a load and an increment.

use core::cell::Cell;
use core::ffi::{CStr, c_int, c_long};
use core::sync::atomic::{AtomicI32, AtomicI64, AtomicPtr, Ordering::Relaxed};

use crate::dispatch::observe::shown::{Shown, Tally};
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::{Counters, Settings};
use crate::kamailio::server::guard::{EntryRet, guard};
use crate::kamailio::server::log::log_err;
use crate::kamailio::server::sys;
use crate::shm::table::sets::Table;

/// Selections that found a destination.
pub static SELECTIONS: Counter = Counter::new();
/// Selections that found none.
pub static SELECTIONS_FAILED: Counter = Counter::new();
/// Destinations that were left for the next one.
pub static FAILOVERS: Counter = Counter::new();
/// Marks by the script.
pub static MARKS: Counter = Counter::new();
/// Changes of states.
pub static STATE_CHANGES: Counter = Counter::new();
/// Pings that have ended.
pub static PINGS: Counter = Counter::new();
/// Pings that ended badly.
pub static PINGS_FAILED: Counter = Counter::new();
/// Events that were not told.
pub static EVENTS_DROPPED: Counter = Counter::new();

/// Messages that were sent to other servers of the cluster.
pub static CLUSTER_SENT: Counter = Counter::new();
/// The bytes of those messages.
pub static CLUSTER_BYTES_OUT: Counter = Counter::new();
/// Messages of other servers.
pub static CLUSTER_RECEIVED: Counter = Counter::new();
/// Messages with states that were sent again.
pub static CLUSTER_RETRIES: Counter = Counter::new();
/// Messages and states that were refused, here or there.
pub static CLUSTER_REFUSED: Counter = Counter::new();
/// States of other servers that count here.
pub static CLUSTER_MERGED: Counter = Counter::new();
/// Pings that were not sent, because another server of the cluster has sent one.
pub static CLUSTER_PINGS_SPARED: Counter = Counter::new();
/// States of other servers that did not count here, and messages that came too late.
pub static CLUSTER_STALE: Counter = Counter::new();
/// Ends of calls not counted here that other servers were told of.
pub static CLUSTER_ENDS: Counter = Counter::new();
/// Ends of calls not counted here that nobody was told of.
pub static CLUSTER_ENDS_DROPPED: Counter = Counter::new();

/// The counters, with the names and descriptions that the server shows.
static COUNTED: [(&CStr, &CStr, &Counter); 8] = [
    (
        c"selections",
        c"Destinations chosen, first or by failover",
        &SELECTIONS,
    ),
    (
        c"selections_failed",
        c"Selections of a set that found no destination",
        &SELECTIONS_FAILED,
    ),
    (
        c"failovers",
        c"Destinations left for the next one",
        &FAILOVERS,
    ),
    (c"marks", c"Marks by the script", &MARKS),
    (
        c"state_changes",
        c"Changes of the states of destinations",
        &STATE_CHANGES,
    ),
    (c"pings", c"Pings that have ended", &PINGS),
    (
        c"pings_failed",
        c"Pings with a bad result, or that could not be sent",
        &PINGS_FAILED,
    ),
    (
        c"events_dropped",
        c"Events that no route was told of",
        &EVENTS_DROPPED,
    ),
];

/// Those that a server has which is not alone.
static OF_CLUSTER: [(&CStr, &CStr, &Counter); 10] = [
    (
        c"cluster_sent",
        c"Messages sent to other servers of the cluster",
        &CLUSTER_SENT,
    ),
    (
        c"cluster_bytes_out",
        c"Bytes of the messages sent to other servers",
        &CLUSTER_BYTES_OUT,
    ),
    (
        c"cluster_received",
        c"Messages of other servers of the cluster",
        &CLUSTER_RECEIVED,
    ),
    (
        c"cluster_retries",
        c"Messages with states that were sent again",
        &CLUSTER_RETRIES,
    ),
    (
        c"cluster_refused",
        c"Messages and states that were refused, here or by others",
        &CLUSTER_REFUSED,
    ),
    (
        c"cluster_merged",
        c"States set on other servers that count here",
        &CLUSTER_MERGED,
    ),
    (
        c"cluster_pings_spared",
        c"Pings not sent, because another server of the cluster has sent one",
        &CLUSTER_PINGS_SPARED,
    ),
    (
        c"cluster_stale",
        c"States of other servers that were older than those here, and messages that came too late",
        &CLUSTER_STALE,
    ),
    (
        c"cluster_ends",
        c"Ends of calls not counted here that other servers were told of",
        &CLUSTER_ENDS,
    ),
    (
        c"cluster_ends_dropped",
        c"Ends of calls not counted here that nobody was told of",
        &CLUSTER_ENDS_DROPPED,
    ),
];

/// A value that is asked for, not counted.
#[derive(Clone, Copy)]
enum Asked {
    Sets,
    Destinations,
    Up,
    Draining,
    Disabled,
    Calls,
    Reloads,
    ReloadsRefused,
    Edits,
    Nodes,
}

/// Those values, with the names and descriptions that the server shows.
const ASKED: [(&CStr, &CStr, Asked); 9] = [
    (c"sets", c"Sets in use", Asked::Sets),
    (c"destinations", c"Destinations in use", Asked::Destinations),
    (
        c"destinations_up",
        c"Destinations that new calls may be sent to",
        Asked::Up,
    ),
    (
        c"destinations_draining",
        c"Destinations that get no new calls until theirs have ended",
        Asked::Draining,
    ),
    (
        c"destinations_disabled",
        c"Destinations that an operator has disabled",
        Asked::Disabled,
    ),
    (c"calls", c"Calls that are counted", Asked::Calls),
    (
        c"reloads",
        c"Lists loaded while the server ran",
        Asked::Reloads,
    ),
    (
        c"reloads_refused",
        c"Lists refused while the server ran",
        Asked::ReloadsRefused,
    ),
    (
        c"edits",
        c"Destinations added, removed and modified by commands",
        Asked::Edits,
    ),
];

/// The one that a server has which is not alone.
const ASKED_OF_CLUSTER: [(&CStr, &CStr, Asked); 1] = [(
    c"cluster_nodes",
    c"Servers of the cluster that are alive, with this one",
    Asked::Nodes,
)];

/// A counter of what happens.
pub struct Counter {
    /// The cell of this process; [`NOBODYS`] until the process has found its own.
    cell: AtomicPtr<c_long>,
    /// The server's number for it; negative where it is not registered.
    id: AtomicI32,
}

/// Takes what is counted where nobody looks.
static NOBODYS: AtomicI64 = AtomicI64::new(0);

impl Counter {
    const fn new() -> Self {
        Counter {
            cell: AtomicPtr::new(NOBODYS.as_ptr()),
            id: AtomicI32::new(-1),
        }
    }

    /// Counts one more.
    #[inline(always)]
    pub fn count(&self) {
        self.add_number(1);
    }

    /// Counts one less.
    pub fn take_back(&self) {
        self.add_number(-1);
    }

    /// Counts so many more.
    pub fn add(&self, more: usize) {
        self.add_number(c_long::try_from(more).unwrap_or(c_long::MAX));
    }

    /// Returns what all processes have counted; `None` if it is not counted.
    pub fn sum(&self) -> Option<u64> {
        let id = self.id.load(Relaxed);
        // SAFETY: the number of a counter that the server has registered.
        let sum = (id >= 0).then(|| unsafe { sys::glue_counter_sum(id) })?;
        u64::try_from(sum).ok()
    }

    #[inline(always)]
    fn add_number(&self, more: c_long) {
        // SAFETY: a cell that lives as long as the process (`find_cells`), whose first thread alone runs this; or
        // `NOBODYS`, which each process has for itself, as it is not in shared memory.
        let cell = unsafe { &mut *self.cell.load(Relaxed) };
        *cell = cell.wrapping_add(more);
    }
}

/// Registers the group, if it is wanted; `None` after a log line if the server refuses. For `mod_init`.
pub fn register(settings: &Settings) -> Option<()> {
    if settings.counters == Counters::Off {
        return Some(());
    }
    let is_alone = settings.cluster.is_none();
    let counted = COUNTED
        .iter()
        .chain(OF_CLUSTER.iter().filter(|_| !is_alone));
    let asked = ASKED
        .iter()
        .chain(ASKED_OF_CLUSTER.iter().filter(|_| !is_alone));
    let refused = |name: &CStr| log_err!("cannot register the counter {}", name.to_string_lossy());
    for (name, doc, counter) in counted {
        // SAFETY: called from mod_init; the server keeps both texts, which are static.
        let id = unsafe { sys::glue_counter_add(name.as_ptr(), doc.as_ptr()) };
        if id < 0 {
            refused(name);
            return None;
        }
        counter.id.store(id, Relaxed);
    }
    for &(name, doc, asked) in asked {
        // SAFETY: called from mod_init; the server keeps both texts, which are static.
        let done = unsafe { sys::glue_counter_show(name.as_ptr(), doc.as_ptr(), asked as c_int) };
        if done < 0 {
            refused(name);
            return None;
        }
    }
    Some(())
}

/// Finds the cells of this process. For `child_init`, but not for that of `PROC_INIT`: after it the server replaces the
/// cells. What is counted until then is lost.
pub fn find_cells() {
    for (_, _, counter) in COUNTED.iter().chain(&OF_CLUSTER) {
        let id = counter.id.load(Relaxed);
        if id >= 0 {
            // SAFETY: a process starts after the server has made the cells that stay (main.c: main_loop calls
            // counters_prefork_init after init_child(PROC_INIT), and before it forks).
            counter
                .cell
                .store(unsafe { sys::glue_counter_cell(id) }, Relaxed);
        }
    }
}

impl EntryRet for c_long {
    const ON_PANIC: Self = 0;
}

/// Returns a value that is asked for. The server calls it in any process, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_counter_value(what: c_int) -> c_long {
    guard(|| {
        let mut all = ASKED.iter().chain(&ASKED_OF_CLUSTER);
        let asked = all.find(|(_, _, asked)| *asked as c_int == what);
        let value = asked
            .zip(Module::get())
            .map(|((_, _, asked), module)| value(module, *asked));
        value
            .and_then(|value| c_long::try_from(value).ok())
            .unwrap_or(0)
    })
}

fn value(module: &Module, asked: Asked) -> u64 {
    let outcomes = &module.shared.outcomes;
    let in_state = |shown| u64::from(tally(module).of(shown));
    match asked {
        Asked::Sets => module.pin().table().map_or(0, Table::len) as u64,
        Asked::Destinations => tally(module).all().into(),
        Asked::Up => in_state(Shown::Active) + in_state(Shown::Trying),
        Asked::Draining => in_state(Shown::Draining),
        Asked::Disabled => in_state(Shown::Disabled),
        Asked::Calls => module.calls.as_ref().map_or(0, |calls| calls.up()) as u64,
        Asked::Reloads => outcomes.reloads(),
        Asked::ReloadsRefused => outcomes.loads_refused.load(Relaxed),
        Asked::Edits => outcomes.edits(),
        Asked::Nodes => module.shared.cluster_nodes.load(Relaxed).into(),
    }
}

/// A number that differs after each change of a list or of a state.
type Version = (u64, u64, u64);

thread_local! {
    /// The tally that this process has made last. The server asks for one value after the other.
    static LAST: Cell<Option<(Version, Tally)>> = const { Cell::new(None) };
}

/// Counts the destinations in each state, unless nothing has changed since this process counted last.
fn tally(module: &Module) -> Tally {
    let pinned = module.pin();
    let mut tally = Tally::default();
    let Some(table) = pinned.table() else {
        return tally;
    };
    let (mut begun, mut ended) = (0, 0);
    for (_, view) in table.sets() {
        begun += u64::from(view.record().changes());
        ended += u64::from(view.record().changes_ended());
    }
    let version = (module.store.version(), begun, ended);
    if let Some((_, tally)) = LAST.get().filter(|(of, _)| *of == version) {
        return tally;
    }
    for dest in table.sets().flat_map(|(_, view)| view.dests()) {
        tally.count(Shown::of(dest.record().shown_state()));
    }
    LAST.set(Some((version, tally)));
    tally
}

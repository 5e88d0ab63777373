//! Counts what happens: one function for each place where a selection, a failover or a mark ends.

use std::sync::Once;

use super::group;
use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::Counters;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;
use crate::kamailio::server::time::{now_ms, now_s};
use crate::shm::dest::destination::Dest;
use crate::shm::observe::counters::{Moment, OwnShard};
use crate::shm::set::view::View;
use crate::shm::table::sets::Table;

/// The shard in which this process counts.
static SHARD: OwnShard = OwnShard::first();

/// Has this process count apart from its neighbours. For `child_init`, but not for that of `PROC_INIT`.
pub fn start() {
    group::find_cells();
    SHARD.choose(Module::process());
}

/// Counts that a destination was chosen, and the request was sent there, for its set and itself; the group counts that
/// where the selection ends.
#[inline(always)]
pub fn selected(view: &View, at: usize) {
    view.count_selection(at, &SHARD);
}

/// Counts that a selection found no destination.
#[cold]
pub fn failed(set: SetId) {
    group::SELECTIONS_FAILED.count();
    let Some(module) = each() else { return };
    let pinned = module.pin();
    if let Some(counts) = pinned.view(set).and_then(|view| view.record().counted()) {
        counts.count_failed(&SHARD);
    }
}

/// Returns the module if sets and destinations have counters.
fn each() -> Option<&'static Module> {
    Module::get().filter(|module| module.settings.counters == Counters::Each)
}

/// Watches for the selections of draining destinations. Once a second, in one process.
pub fn watch_draining(module: &Module) {
    if module.settings.counters != Counters::Each {
        return;
    }
    let pinned = module.pin();
    let sets = pinned.table().into_iter().flat_map(Table::sets);
    let dests = sets
        .filter(|(_, view)| view.any_draining())
        .flat_map(|(_, view)| view.dests());
    for record in dests.map(Dest::record) {
        if let Some(counts) = record.counted().filter(|_| record.state().drains()) {
            counts.watch(now_s());
        }
    }
}

/// A destination that a request is sent to.
pub struct Place {
    /// Its set.
    pub set: SetId,
    /// Its URI, as listed.
    pub uri: Vec<u8>,
    /// Its local socket as an opaque address; 0 for none.
    pub socket: usize,
    /// Its unique id, if algorithm 10 has chosen it, and counts the call there.
    pub duid: Option<Vec<u8>>,
}

impl Place {
    /// Finds it in its set, as it is now.
    pub fn find(&self, view: &View) -> Option<usize> {
        let has_id = |dest: &Dest| self.duid.as_ref().is_none_or(|duid| dest.has_duid(duid));
        let is_it = |at: &usize| {
            view.dest(*at)
                .is_some_and(|dest| dest.socket() == self.socket && has_id(dest))
        };
        view.find_uri(&self.uri).find(is_it)
    }

    /// Returns true if algorithm 10 counts the call there.
    pub fn is_counted(&self) -> bool {
        self.duid.is_some()
    }
}

/// Counts the destination that a request was sent on from, and the one that it went to.
pub fn moved_on(module: &Module, msg: &Message, left: &Place, reached: &Place) {
    let pinned = module.pin();
    if let Some(view) = pinned.view(left.set) {
        if let Some(counts) = view.record().counted() {
            counts.count_failover(&SHARD);
        }
        let left = left.find(view).and_then(|at| view.dest(at));
        if let Some(counts) = left.and_then(|dest| dest.record().counted()) {
            counts.count_failover(now(msg));
        }
    }
    if let Some(view) = pinned.view(reached.set) {
        if let Some(at) = reached.find(view) {
            view.count_selection(at, &SHARD);
        }
    }
}

/// Counts a mark, which is about to be made; returns what [`marked`] notes of it, if destinations have counters.
pub fn marks(module: &Module, msg: &Message) -> Option<Moment> {
    group::MARKS.count();
    (module.settings.counters == Counters::Each).then(|| now(msg))
}

/// Notes that a destination was marked.
pub fn marked(dest: &Dest, moment: Option<Moment>) {
    let Some(moment) = moment else { return };
    if let Some(counts) = dest.record().counted() {
        counts.note_mark(moment);
    }
}

/// Returns this moment with the status that the script reacts to.
fn now(msg: &Message) -> Moment {
    Moment {
        at_ms: now_ms(),
        code: status(msg),
    }
}

/// Done when this process has looked for tm. Without it there are no failure routes to learn a status from.
static FIND_TM: Once = Once::new();

/// Returns the status that the script reacts to: that of the reply, or of the failure route; else 0.
pub fn status(msg: &Message) -> u16 {
    let reason = msg.reason();
    let code = if reason.from_reply {
        reason.code
    } else {
        FIND_TM.call_once(|| {
            // SAFETY: all modules are initialised when a script runs, as load_tm asks.
            unsafe { sys::glue_tm_find() };
        });
        // SAFETY: tm was looked for; its transaction is that of the message that this process works on.
        unsafe { sys::glue_tm_failure() }
    };
    u16::try_from(code).unwrap_or(0)
}

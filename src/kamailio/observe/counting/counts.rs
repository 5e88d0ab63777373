//! Counts what happens: one function for each place where a selection, a failover or a mark ends.

use std::sync::Once;

use super::group;
use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::Counters;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::observe::counters::Moment;
use crate::shm::set::view::View;

/// Counts that a destination was chosen, and the request was sent there.
#[inline(always)]
pub fn selected(view: &View, at: usize) {
    group::SELECTIONS.count();
    view.count_selection(at, Module::process());
}

/// Counts that a selection found no destination.
#[cold]
pub fn failed(set: SetId) {
    group::SELECTIONS_FAILED.count();
    let Some(module) = each() else { return };
    let pinned = module.pin();
    if let Some(counts) = pinned.view(set).and_then(|view| view.record().counted()) {
        counts.count_failed(Module::process());
    }
}

/// Returns the module if sets and destinations have counters.
fn each() -> Option<&'static Module> {
    Module::get().filter(|module| module.settings.counters == Counters::Each)
}

/// A destination that a request is sent to.
pub struct Place {
    /// Its set.
    pub set: SetId,
    /// Its URI, as listed.
    pub uri: Vec<u8>,
    /// Its local socket as an opaque address; 0 for none.
    pub socket: usize,
}

impl Place {
    /// Finds it in its set, as it is now.
    fn find(&self, view: &View) -> Option<usize> {
        let has_socket = |at: &usize| {
            view.dest(*at)
                .is_some_and(|dest| dest.socket() == self.socket)
        };
        view.find_uri(&self.uri).find(has_socket)
    }
}

/// Counts that a request was sent on from one destination to the next. Both are known if destinations have counters.
pub fn moved_on(module: &Module, msg: &Message, left: Option<&Place>, reached: Option<&Place>) {
    group::FAILOVERS.count();
    group::SELECTIONS.count();
    if left.is_none() {
        return;
    }
    let pinned = module.pin();
    let find = |place: &Place| {
        let view = pinned.view(place.set)?;
        Some((view, place.find(view)))
    };
    if let Some((view, at)) = left.and_then(find) {
        if let Some(counts) = view.record().counted() {
            counts.count_failover(Module::process());
        }
        if let Some(counts) = at.and_then(|at| view.dest(at)?.record().counted()) {
            counts.count_failover(now(msg));
        }
    }
    if let Some((view, Some(at))) = reached.and_then(find) {
        view.count_selection(at, Module::process());
    }
}

/// Counts a mark, which is about to be made; returns what [`marked`] notes of it, if destinations have counters.
pub fn marks(module: &Module, msg: &Message) -> Option<Moment> {
    group::MARKS.count();
    (module.settings.counters == Counters::Each).then(|| now(msg))
}

/// Notes that a destination was marked.
pub fn marked(dest: &Dest, moment: Option<Moment>) {
    if let Some((counts, moment)) = dest.record().counted().zip(moment) {
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

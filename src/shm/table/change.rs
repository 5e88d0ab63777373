//! Changes of states, of calls and of latencies, while tables are replaced.
//!
//! No lock is taken. A change goes to the record, and the running view follows it. A view that another process
//! publishes meanwhile was perhaps built before the change, so it follows, too.

use core::ptr;

use lock_api::RawMutex;

use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::transition::{Outcome, State};

use super::store::{Pinned, Store};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::Arena;
use crate::shm::set::set_record::SetRecord;
use crate::shm::set::view::View;

/// Destinations of a set.
#[derive(Clone, Copy)]
enum Which<'w> {
    All,
    /// The destinations whose URI equals this one but for letter case.
    Uri(&'w [u8]),
    /// The one over this record.
    Record(&'w DestRecord),
}

impl Which<'_> {
    /// Calls `act` for each of them that a view has.
    fn each(self, view: &View, mut act: impl FnMut(usize, &Dest)) {
        let visit = |at| {
            if let Some(dest) = view.dest(at) {
                act(at, dest);
            }
        };
        match self {
            Which::All => (0..view.dest_count()).for_each(visit),
            Which::Uri(uri) => view.find_uri(uri).for_each(visit),
            Which::Record(record) => view.position_of(record).into_iter().for_each(visit),
        }
    }
}

impl<A: Arena, L: RawMutex> Store<A, L> {
    /// Changes the states of the destinations of a set that `wanted` takes; with `uri`, only destinations whose URI
    /// equals it but for letter case are asked.
    ///
    /// Each of them takes `change` in one step, see [`DestRecord::change`], and then `told` gets it with the
    /// [`DestRecord::status`] before. Returns how many there were; `None` if there is no such set.
    pub fn change(
        &self,
        process: usize,
        set: SetId,
        uri: Option<&[u8]>,
        wanted: impl Fn(&Dest) -> bool,
        change: impl Fn(State, u32) -> Outcome,
        told: impl FnMut(&Dest, (State, u32), Outcome),
    ) -> Option<usize> {
        let which = uri.map_or(Which::All, Which::Uri);
        self.change_each(process, set, which, wanted, change, told)
    }

    /// Changes the state of the destination over this record, as [`Store::change`] does; does nothing if it has left
    /// the lists.
    pub fn change_one(
        &self,
        process: usize,
        record: &DestRecord,
        change: impl Fn(State, u32) -> Outcome,
        told: impl FnMut(&Dest, (State, u32), Outcome),
    ) {
        let which = Which::Record(record);
        self.change_each(process, record.set(), which, |_| true, change, told);
    }

    /// Changes the state of the destination over this record, as [`Store::change_one`] does, if it still is the one that
    /// was seen. Else nothing changes, and `told` gets nothing.
    pub fn change_seen(
        &self,
        process: usize,
        record: &DestRecord,
        seen: State,
        change: impl Fn(State, u32) -> Outcome,
        mut told: impl FnMut(&Dest, (State, u32), Outcome),
    ) {
        let if_seen = |state, failures| {
            if state == seen {
                change(state, failures)
            } else {
                Outcome {
                    state,
                    failures,
                    flip: None,
                    in_row: 0,
                }
            }
        };
        self.change_one(process, record, if_seen, |dest, old, outcome| {
            if old.0 == seen {
                told(dest, old, outcome);
            }
        });
    }

    fn change_each(
        &self,
        process: usize,
        set: SetId,
        which: Which<'_>,
        wanted: impl Fn(&Dest) -> bool,
        change: impl Fn(State, u32) -> Outcome,
        mut told: impl FnMut(&Dest, (State, u32), Outcome),
    ) -> Option<usize> {
        let pinned = self.pin(process);
        let view = pinned.view(set)?;
        let (mut changed, mut begun) = (0, false);
        which.each(view, |at, dest| {
            if wanted(dest) {
                // A change that only counts leaves the state, so there is nothing to follow.
                let counted = dest.record().change_count(&change);
                let (old, outcome) = counted.unwrap_or_else(|| {
                    if !core::mem::replace(&mut begun, true) {
                        view.record().begin_change();
                    }
                    let (old, outcome) = dest.record().change(&change);
                    view.sync(at);
                    let record = dest.record();
                    record.begin_ramp_if_back(old.0, outcome.state, view.unusable);
                    (old, outcome)
                });
                changed += 1;
                told(dest, old, outcome);
            }
        });
        if begun {
            // `wanted` may look at the state and say otherwise by now, so all that it was asked about are followed. A
            // newer view may have them under other URIs.
            self.follow(&pinned, set, view, |newer| {
                which.each(view, |_, dest| {
                    let at = newer.position_of(dest.record());
                    at.into_iter().for_each(|at| newer.sync(at));
                });
            });
            view.record().end_change();
        }
        Some(changed)
    }

    /// Makes the running view follow the number of calls of a destination.
    pub fn sync_load(&self, process: usize, set: SetId, record: &DestRecord) {
        self.sync_one(process, set, record, View::sync_load);
    }

    /// Makes record and views follow what traffic says of a destination.
    pub(in crate::shm) fn follow_traffic(&self, process: usize, record: &DestRecord) {
        let change = |set: Option<&SetRecord>| {
            record.follow_traffic();
            let epoch = self.root().epochs.advance();
            set.into_iter()
                .for_each(|set| set.note_traffic_epoch(epoch));
        };
        self.change_aside(process, record, change, View::sync);
    }

    /// Changes the latency of a destination, and makes the running view follow it.
    pub fn change_latency(&self, process: usize, record: &DestRecord, change: impl FnOnce()) {
        self.change_aside(process, record, |_| change(), View::sync_rank);
    }

    /// Changes what a destination has beside its state, and makes the running view follow it by `sync`.
    fn change_aside(
        &self,
        process: usize,
        record: &DestRecord,
        change: impl FnOnce(Option<&SetRecord>),
        sync: impl Fn(&View, usize),
    ) {
        let pinned = self.pin(process);
        let set = pinned.view(record.set()).map(View::record);
        set.into_iter().for_each(SetRecord::begin_change);
        change(set);
        self.sync_one(process, record.set(), record, sync);
        set.into_iter().for_each(SetRecord::end_change);
    }

    fn sync_one(
        &self,
        process: usize,
        set: SetId,
        record: &DestRecord,
        sync: impl Fn(&View, usize),
    ) {
        let each = |view: &View| Which::Record(record).each(view, |at, _| sync(view, at));
        let pinned = self.pin(process);
        if let Some(view) = pinned.view(set) {
            each(view);
            self.follow(&pinned, set, view, each);
        }
    }

    /// Calls `sync` for each view of the set that replaces `done`, until that is the running one.
    fn follow(&self, pinned: &Pinned<'_>, set: SetId, done: &View, sync: impl Fn(&View)) {
        let mut done = done;
        while let Some(view) = self.running(pinned).and_then(|table| table.view(set)) {
            if ptr::eq(view, done) {
                break;
            }
            sync(view);
            done = view;
        }
    }
}

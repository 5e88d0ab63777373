//! Changing the states of destinations, and what choosing knows of them, while tables come and go.
//!
//! No lock is taken: a change goes to the record, and is followed in whatever view runs then. A
//! reload in another process finds the changed records.

use core::ptr;

use parking_lot::lock_api::RawMutex;

use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::transition::{Outcome, State};

use super::store::Store;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::Arena;
use crate::shm::set::view::View;

impl<A: Arena, L: RawMutex> Store<A, L> {
    /// Changes the state of destinations of a set, and what choosing knows of it.
    ///
    /// `wanted` says which destinations; with `uri` only those whose URI equals it but for letter
    /// case are asked. `change` is applied to each in one step (see
    /// [`crate::shm::dest::record::DestRecord::change`]) and `told` hears of each. Returns how many there
    /// were; `None` when there is no such set. No lock is taken: a reload in the other process
    /// finds the changed records.
    pub fn change(
        &self,
        process: usize,
        set: SetId,
        uri: Option<&[u8]>,
        wanted: impl Fn(&Dest) -> bool,
        change: impl Fn(State, u32) -> Outcome,
        told: impl FnMut(&Dest, State, Outcome),
    ) -> Option<usize> {
        self.change_among(
            process,
            set,
            |view, act| each(view, uri, act),
            wanted,
            change,
            told,
        )
    }

    /// Changes the state of the destination over this record, as [`Store::change`] does; nothing
    /// happens when it has left the lists.
    pub fn change_one(
        &self,
        process: usize,
        record: &DestRecord,
        change: impl Fn(State, u32) -> Outcome,
        told: impl FnMut(&Dest, State, Outcome),
    ) {
        let only = |view: &View, act: &mut dyn FnMut(usize, &Dest)| {
            let at = view.position_of(record);
            if let Some((at, dest)) = at.and_then(|at| Some((at, view.dest(at)?))) {
                act(at, dest);
            }
        };
        self.change_among(process, record.set(), only, |_| true, change, told);
    }

    /// Changes those destinations that `each` goes through and that are wanted.
    fn change_among(
        &self,
        process: usize,
        set: SetId,
        each: impl Fn(&View, &mut dyn FnMut(usize, &Dest)),
        wanted: impl Fn(&Dest) -> bool,
        change: impl Fn(State, u32) -> Outcome,
        mut told: impl FnMut(&Dest, State, Outcome),
    ) -> Option<usize> {
        let pinned = self.pin(process);
        let mut view = pinned.view(set)?;
        let mut changed = 0;
        each(view, &mut |at, dest| {
            if wanted(dest) {
                // Where the state stays there is nothing to follow.
                let counted = dest.record().change_count(&change);
                let (old, outcome) = counted.unwrap_or_else(|| {
                    view.record().announce_change();
                    let changed = dest.record().change(&change);
                    view.sync(at);
                    changed
                });
                changed += 1;
                told(dest, old, outcome);
            }
        });
        // A view that was published meanwhile was perhaps built before the change. All that may
        // have changed follow their records there: `wanted` may look at the state, and say
        // otherwise by now.
        while let Some(now) = self.running(&pinned).and_then(|table| table.view(set)) {
            if ptr::eq(now, view) {
                break;
            }
            view = now;
            each(view, &mut |at, _| view.sync(at));
        }
        Some(changed)
    }

    /// Makes what choosing knows of a destination's calls follow its record, after they changed.
    pub fn sync_load(&self, process: usize, set: SetId, record: &DestRecord) {
        self.sync_views(process, set, record, View::sync_load);
    }

    /// Makes what choosing knows of a destination's latency follow its record, after a ping.
    pub fn sync_rank(&self, process: usize, record: &DestRecord) {
        self.sync_views(process, record.set(), record, View::sync_rank);
    }

    /// Calls `sync` for a destination in the running view, and in one that is published meanwhile.
    fn sync_views(
        &self,
        process: usize,
        set: SetId,
        record: &DestRecord,
        sync: impl Fn(&View, usize),
    ) {
        let pinned = self.pin(process);
        let mut seen: *const View = ptr::null();
        while let Some(view) = self.running(&pinned).and_then(|table| table.view(set)) {
            if ptr::eq(view, seen) {
                return;
            }
            seen = view;
            if let Some(at) = view.position_of(record) {
                sync(view, at);
            }
        }
    }
}

/// Calls `act` for each destination of a view, or each with that URI, with its position.
fn each(view: &View, uri: Option<&[u8]>, act: &mut dyn FnMut(usize, &Dest)) {
    let visit = |at| {
        if let Some(dest) = view.dest(at) {
            act(at, dest);
        }
    };
    match uri {
        Some(uri) => view.find_uri(uri).for_each(visit),
        None => (0..view.dest_count()).for_each(visit),
    }
}

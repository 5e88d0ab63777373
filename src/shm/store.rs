//! The published table: how processes read it, and how it is replaced.
//!
//! Readers [`Store::pin`] and then load the table by one atomic pointer; they never lock and never
//! wait. Writers take the writer lock, build a whole new table beside the running one, publish it
//! by one pointer store, and retire the old one until no reader can still see it ([`super::epoch`]).
//! When memory runs out on the way, the running table stays as it was.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::SeqCst};

use parking_lot::lock_api::{Mutex, MutexGuard, RawMutex};
use rand::RngCore;

use crate::dispatch::dest::{DestSpec, SetId};
use crate::dispatch::state::{Outcome, State};

use super::arena::{Arena, OutOfMemory, Plan, ShmSafe};
use super::epoch::{Epochs, Pin};
use super::table::{self, Table};
use super::view::{Dest, Rules, View};

/// What lives at one fixed place in shared memory.
pub struct Root<L> {
    table: AtomicPtr<Table>,
    epochs: Epochs,
    /// Tickets that were drawn, see [`Store::ticket`].
    tickets: AtomicU64,
    writer: Mutex<L, Retirement>,
}

// SAFETY: an atomic pointer, epochs, and a lock that `Store::create` writes whole before use.
unsafe impl<L> ShmSafe for Root<L> {}

/// What only the holder of the writer lock may touch.
pub struct Retirement {
    /// Replaced tables, newest first.
    newest: *mut Retired,
    /// The ticket of the running table.
    ticket: Ticket,
}

/// A replaced table that readers may still see.
struct Retired {
    next: *mut Retired,
    table: *mut Table,
    /// The last epoch in which it was to be had.
    epoch: u64,
}

// SAFETY: integers and arena pointers; zeroed it is a note of nothing.
unsafe impl ShmSafe for Retired {}

/// A place in the order in which lists were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// How a load treats the states of destinations that are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadState {
    /// They keep their state, unless the list asks for another one than before.
    Keep,
    /// All states come from the list.
    FromList,
}

/// One process's way to the shared table. Made before the server forks, then copied by the fork.
pub struct Store<A: Arena, L: 'static> {
    arena: A,
    root: NonNull<Root<L>>,
    rules: Rules,
}

// SAFETY: what the root points to is made for several processes at once: atomics, frozen pieces,
// and a retirement list under a lock. Threads of one process are no worse.
unsafe impl<A: Arena + Sync, L: Sync> Sync for Store<A, L> {}
// SAFETY: as above; the root belongs to no process.
unsafe impl<A: Arena + Send, L: Sync> Send for Store<A, L> {}

impl<A: Arena, L: RawMutex> Store<A, L> {
    /// Makes the root with an empty table slot. `lock` is an unlocked lock.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: A, lock: L, rules: Rules) -> Result<Self, OutOfMemory> {
        let root = Plan::<Root<L>>::of_header().alloc(&arena)?.header();
        let retirement = Retirement {
            newest: ptr::null_mut(),
            ticket: Ticket(0),
        };
        // SAFETY: ours alone until the server forks; only the lock needs more than zeroes.
        let writer = unsafe { &raw mut (*root.as_ptr()).writer };
        // SAFETY: as above.
        unsafe { writer.write(Mutex::from_raw(lock, retirement)) };
        let store = Store { arena, root, rules };
        store.root().epochs.start();
        Ok(store)
    }

    fn root(&self) -> &Root<L> {
        // SAFETY: made by `create`, given back by nobody but `destroy`, which takes the store.
        unsafe { self.root.as_ref() }
    }

    /// The rules that all views are built by.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Makes a reader slot for each process of the server. Called once, before the fork.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    ///
    /// # Safety
    /// No other process runs yet, and nothing is pinned.
    pub unsafe fn make_slots(&self, processes: usize) -> Result<(), OutOfMemory> {
        // SAFETY: by this function's contract nobody else looks at the root.
        let epochs = unsafe { &mut (*self.root.as_ptr()).epochs };
        epochs.make_slots(&self.arena, processes)
    }

    /// Pins the running table for the process with this number.
    ///
    /// Copy out what you need and drop the pin before anything that may wait: while it lives, no
    /// replaced table is given back.
    pub fn pin(&self, process: usize) -> Pinned<'_> {
        let root = self.root();
        let pin = root.epochs.pin(process);
        // SAFETY: a table that is published while the pin is set is not freed while it lives.
        let table = unsafe { root.table.load(SeqCst).as_ref() };
        Pinned { _pin: pin, table }
    }

    /// True when no newer table was published since the pin.
    pub fn is_current(&self, pinned: &Pinned<'_>) -> bool {
        let running = self.root().table.load(SeqCst).cast_const();
        ptr::eq(running, pinned.table.map_or(ptr::null(), ptr::from_ref))
    }

    /// The running table of this moment, which may be newer than the pinned one.
    fn running<'p>(&'p self, _pinned: &'p Pinned<'_>) -> Option<&'p Table> {
        // SAFETY: as in `pin`; the pin is borrowed for as long as the result lives.
        unsafe { self.root().table.load(SeqCst).as_ref() }
    }

    /// Draws a ticket. Whoever reads a list draws one before.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.root().tickets.fetch_add(1, SeqCst) + 1)
    }

    /// Builds a table from a list and publishes it, unless one with a later ticket runs already:
    /// that one was read later, and is at least as new.
    ///
    /// Records, cursors and, with [`ReloadState::Keep`], states of destinations that are still
    /// there go over to it.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the running table and all states stay as they were.
    pub fn load(
        &self,
        ticket: Ticket,
        specs: &[DestSpec<'_>],
        states: ReloadState,
        random: &mut impl RngCore,
    ) -> Result<(), OutOfMemory> {
        let root = self.root();
        let mut writer = root.writer.lock();
        if ticket < writer.ticket {
            return Ok(());
        }
        self.collect_locked(&mut writer);
        let note = Plan::<Retired>::of_header().alloc(&self.arena)?.header();
        // SAFETY: only the holder of the writer lock replaces the running table.
        let running = unsafe { root.table.load(SeqCst).as_ref() };
        let built = table::build(&self.arena, self.rules, specs, running, random);
        let Ok(built) = built else {
            // SAFETY: taken above and seen by nobody.
            unsafe { self.arena.free(note.cast()) };
            return Err(OutOfMemory);
        };
        // SAFETY: just built.
        let new = unsafe { built.as_ref() };
        // What comes up does so before readers see the new table, what goes down after that: at
        // no moment is a set out that was not out before and is not to be.
        relist(new, states, |state| self.rules.usable(state));
        let old = root.table.swap(built.as_ptr(), SeqCst);
        let epoch = root.epochs.advance();
        relist(new, states, |state| !self.rules.usable(state));
        new.sets().for_each(|(_, view)| view.settle());
        // SAFETY: taken above and seen by nobody.
        unsafe {
            note.write(Retired {
                next: writer.newest,
                table: old,
                epoch,
            })
        };
        writer.newest = note.as_ptr();
        writer.ticket = ticket;
        self.collect_locked(&mut writer);
        Ok(())
    }

    /// Gives back the replaced tables that no reader can see any more.
    ///
    /// Does nothing when a writer is at work, which does the same itself.
    pub fn collect(&self) {
        if let Some(mut writer) = self.root().writer.try_lock() {
            self.collect_locked(&mut writer);
        }
    }

    fn collect_locked(&self, writer: &mut MutexGuard<'_, L, Retirement>) {
        let mut link: *mut *mut Retired = &raw mut writer.newest;
        // SAFETY: `link` is the list's head or the `next` of a note in it, all under the lock.
        while let Some(note) = NonNull::new(unsafe { *link }) {
            // SAFETY: notes in the list are live.
            let &Retired { next, table, epoch } = unsafe { note.as_ref() };
            if !self.root().epochs.is_past(epoch) {
                // SAFETY: as above.
                link = unsafe { &raw mut (*note.as_ptr()).next };
                continue;
            }
            // SAFETY: as above; takes the note out of the list.
            unsafe { *link = next };
            self.free_retired(table);
            // SAFETY: out of the list, so nobody sees it any more.
            unsafe { self.arena.free(note.cast()) };
        }
    }

    fn free_retired(&self, table: *mut Table) {
        if let Some(table) = NonNull::new(table) {
            // SAFETY: replaced, and past all readers: `is_past` said so or none are left.
            unsafe { Table::free(table, &self.arena) };
        }
    }

    /// Number of replaced tables that are not given back yet.
    pub fn retired(&self) -> usize {
        let writer = self.root().writer.lock();
        let mut notes = 0;
        let mut at = writer.newest;
        // SAFETY: notes in the list are live while the lock is held.
        while let Some(note) = unsafe { at.as_ref() } {
            notes += 1;
            at = note.next;
        }
        notes
    }

    /// Changes the state of destinations of a set, and what choosing knows of it.
    ///
    /// `wanted` says which destinations; with `uri` only those whose URI equals it but for letter
    /// case are asked. `change` is applied to each in one step (see
    /// [`super::record::DestRecord::change`]) and `told` hears of each. Returns how many there
    /// were; `None` when there is no such set. No lock is taken: a reload in the other process
    /// finds the changed records.
    pub fn change(
        &self,
        process: usize,
        set: SetId,
        uri: Option<&[u8]>,
        wanted: impl Fn(&Dest) -> bool,
        change: impl Fn(State, u32) -> Outcome,
        mut told: impl FnMut(&Dest, State, Outcome),
    ) -> Option<usize> {
        let pinned = self.pin(process);
        let mut view = pinned.view(set)?;
        let mut changed = 0;
        each(view, uri, |at, dest| {
            if wanted(dest) {
                view.record().announce_change();
                let (old, outcome) = dest.record().change(&change);
                view.sync(at);
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
            each(view, uri, |at, _| view.sync(at));
        }
        Some(changed)
    }

    /// Takes the writer lock and never gives it back, as a process does that is ended meanwhile.
    #[cfg(test)]
    pub fn leak_writer_lock(&self) {
        core::mem::forget(self.root().writer.lock());
    }

    /// Gives everything back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, nothing is pinned, and the store is not used again.
    pub unsafe fn destroy(&self) {
        // The lock is not asked for: a process that ended in the middle of a load left it locked.
        let writer = self.root().writer.data_ptr();
        // SAFETY: by this function's contract nobody else looks at the root.
        let mut at = unsafe { &mut *writer }.newest;
        while let Some(note) = NonNull::new(at) {
            // SAFETY: notes in the list are live.
            let &Retired { next, table, .. } = unsafe { note.as_ref() };
            self.free_retired(table);
            // SAFETY: no other process is left that could see it.
            unsafe { self.arena.free(note.cast()) };
            at = next;
        }
        self.free_retired(self.root().table.swap(ptr::null_mut(), SeqCst));
        // SAFETY: by this function's contract nobody else looks at the root.
        unsafe { &mut (*self.root.as_ptr()).epochs }.free_slots(&self.arena);
        // SAFETY: made by `create`; no other process is left.
        unsafe { self.arena.free(self.root.cast()) };
    }
}

/// Sets the states that a load asks for, of those that `which` takes.
fn relist(table: &Table, states: ReloadState, which: impl Fn(State) -> bool) {
    for (_, view) in table.sets() {
        for (at, dest) in view.dests().enumerate() {
            let record = dest.record();
            let asked = states == ReloadState::FromList || record.listed_otherwise(dest.listed);
            if asked && which(dest.listed) {
                view.record().announce_change();
                record.relist(dest.listed);
                view.sync(at);
            }
        }
    }
}

/// Calls `act` for each destination of a view, or each with that URI, with its position.
fn each<'v>(view: &'v View, uri: Option<&'v [u8]>, mut act: impl FnMut(usize, &Dest)) {
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

/// A table that stays while this lives; no table before the first load.
pub struct Pinned<'s> {
    _pin: Pin<'s>,
    table: Option<&'s Table>,
}

impl Pinned<'_> {
    /// The table.
    pub fn table(&self) -> Option<&Table> {
        self.table
    }

    /// The view of a set.
    pub fn view(&self, set: SetId) -> Option<&View> {
        self.table?.view(set)
    }
}

//! The published table: how processes read it, and how it is replaced.
//!
//! Readers [`Store::pin`] and then load the table by one atomic pointer; they never lock and never
//! wait. Writers take the writer lock, build a whole new table beside the running one, publish it
//! by one pointer store, and retire the old one until no reader can still see it ([`crate::shm::memory::epoch`]).
//! When memory runs out on the way, the running table stays as it was.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::SeqCst};

use parking_lot::lock_api::{Mutex, MutexGuard, RawMutex};
use rand::RngCore;

use crate::dispatch::list::destination::{SetId, ToSpec};
use crate::dispatch::state::transition::State;

use super::from_list::{self, Changes};
use super::retained::Orphans;
use super::slots::Table;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::epoch::{Epochs, Pin, SlotPin};
use crate::shm::memory::refcount::{Counted, Hold};
use crate::shm::set::view::{Rules, View};

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
    /// What was replaced, newest first.
    newest: *mut Retired,
    /// The ticket of the running table.
    ticket: Ticket,
    /// What removed destinations still count.
    orphans: Orphans,
}

impl Retirement {
    /// What removed destinations still count.
    pub(crate) fn orphans(&self) -> &Orphans {
        &self.orphans
    }
}

/// What was replaced, and readers may still see. Taken before the change, so that no change fails
/// half-way.
pub(crate) struct Retired {
    next: *mut Retired,
    /// The last epoch in which it was to be had.
    epoch: u64,
    /// A table with all that belongs to it.
    pub(crate) whole: *mut Table,
    /// A table whose views and index live on in another one.
    pub(crate) table: *mut Table,
    /// A view whose destinations live on in another one, but for `dests`.
    pub(crate) view: *mut View,
    /// Destinations of that view.
    pub(crate) dests: ShmSlice<*mut Dest>,
}

// SAFETY: integers, arena pointers and a shared slice; zeroed it is a note of nothing.
unsafe impl ShmSafe for Retired {}

impl Retired {
    /// A note with room for `dests` destinations.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub(crate) fn create(arena: &impl Arena, dests: usize) -> Result<NonNull<Self>, OutOfMemory> {
        let mut plan = Plan::<Retired>::of_header();
        let dests = plan.array(dests).ok_or(OutOfMemory)?;
        let block = plan.alloc(arena)?;
        let note = block.header();
        // SAFETY: just made and zeroed; nobody else has it.
        unsafe { (*note.as_ptr()).dests = block.slice(&dests) };
        Ok(note)
    }

    /// Gives back what the note is about, and the note.
    ///
    /// # Safety
    /// The note came from `create` with this arena and is in no list; no reader can reach what it
    /// is about.
    unsafe fn free(note: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: still ours to read.
        let Retired {
            whole,
            table,
            view,
            dests,
            ..
        } = unsafe { note.as_ref() };
        if let Some(whole) = NonNull::new(*whole) {
            // SAFETY: the caller's promise.
            unsafe { Table::free(whole, arena) };
        }
        if let Some(table) = NonNull::new(*table) {
            // SAFETY: the caller's promise; its parts live on elsewhere.
            unsafe { arena.free(table.cast()) };
        }
        if let Some(view) = NonNull::new(*view) {
            // SAFETY: the caller's promise.
            unsafe { View::free(view, arena) };
        }
        for dest in dests.get().iter().filter_map(|dest| NonNull::new(*dest)) {
            // SAFETY: the caller's promise.
            unsafe { Dest::free(dest, arena) };
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(note.cast()) };
    }
}

/// A place in the order in which lists were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What came of [`Store::try_set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<R> {
    /// It succeeded.
    Done(R),
    /// It found nothing in the set.
    Nothing,
    /// There is no such set.
    NoSet,
}

/// How often [`Store::try_set`] tries when lists are replaced under it.
const RETRIES: usize = 8;

/// Hears of a destination whose state its list line has set, with the state before.
pub type Told<'t> = dyn FnMut(&Dest, State) + 't;

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
            orphans: Orphans::EMPTY,
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

    /// As [`Store::pin`]; `None` for a process that has no reader slot of its own.
    #[inline(always)]
    pub fn pin_slot(&self, process: usize) -> Option<Pinned<'_, SlotPin<'_>>> {
        let root = self.root();
        let pin = root.epochs.pin_slot(process)?;
        // SAFETY: as in `pin`.
        let table = unsafe { root.table.load(SeqCst).as_ref() };
        Some(Pinned { _pin: pin, table })
    }

    /// Tries something with a set's view until it succeeds, or fails with the newest view.
    ///
    /// `act` gives `None` when it found nothing. A view that was replaced meanwhile may be behind
    /// the records, so that nothing found in it is no answer.
    #[inline]
    pub fn try_set<R>(
        &self,
        process: usize,
        set: SetId,
        mut act: impl FnMut(&View) -> Option<R>,
    ) -> Found<R> {
        let mut tries = 0;
        loop {
            let pinned = self.pin(process);
            let view = pinned.view(set);
            if let Some(done) = view.and_then(&mut act) {
                return Found::Done(done);
            }
            tries += 1;
            if tries == RETRIES || self.is_newest(&pinned, set, view) {
                return match view {
                    Some(_) => Found::Nothing,
                    None => Found::NoSet,
                };
            }
        }
    }

    /// True when the running table still has this view of the set, or none.
    #[cold]
    fn is_newest(&self, pinned: &Pinned<'_>, set: SetId, view: Option<&View>) -> bool {
        let newest = self.running(pinned).and_then(|table| table.view(set));
        view.map(ptr::from_ref) == newest.map(ptr::from_ref)
    }

    /// The running table of this moment, which may be newer than the pinned one.
    pub(crate) fn running<'p>(&'p self, _pinned: &'p Pinned<'_>) -> Option<&'p Table> {
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
    /// there go over to it. Returns what changed; `None` where a later list runs.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the running table and all states stay as they were.
    #[cfg(any(test, feature = "internals"))]
    pub fn load(
        &self,
        ticket: Ticket,
        list: &[impl ToSpec],
        states: ReloadState,
        random: &mut impl RngCore,
    ) -> Result<Option<Changes>, OutOfMemory> {
        self.load_and_tell(ticket, list, states, random, &mut |_, _| {})
    }

    /// As [`Store::load`]; `told` hears, while the lock is held, of each destination whose state
    /// the list sets, with the state before, and of each new one that cannot be chosen: it
    /// was active before, as far as anybody knew.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load_and_tell(
        &self,
        ticket: Ticket,
        list: &[impl ToSpec],
        states: ReloadState,
        random: &mut impl RngCore,
        told: &mut Told<'_>,
    ) -> Result<Option<Changes>, OutOfMemory> {
        let mut writer = self.write();
        if ticket < writer.ticket {
            return Ok(None);
        }
        let asked = Some((ticket, states));
        let changes = self.replace(&mut writer, list, asked, random, told)?;
        writer.ticket = ticket;
        Ok(Some(changes))
    }

    /// Builds a table from a list and publishes it. `asked` says when the list was read and how it
    /// treats states; without it all states stay.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the running table and all states stay as they were.
    pub(crate) fn replace(
        &self,
        writer: &mut MutexGuard<'_, L, Retirement>,
        list: &[impl ToSpec],
        asked: Option<(Ticket, ReloadState)>,
        random: &mut impl RngCore,
        told: &mut Told<'_>,
    ) -> Result<Changes, OutOfMemory> {
        let note = Retired::create(&self.arena, 0)?;
        let running = self.table_of_writer(writer);
        let orphans = writer.orphans();
        let built = from_list::build(&self.arena, self.rules, list, running, orphans, random);
        let Ok(built) = built else {
            // SAFETY: taken above and seen by nobody.
            unsafe { self.arena.free(note.cast()) };
            return Err(OutOfMemory);
        };
        // SAFETY: just built.
        let new = unsafe { built.table.as_ref() };
        let asked = asked.filter(|(_, states)| built.relists || *states == ReloadState::FromList);
        // What comes up does so before readers see the new table, what goes down after that: at
        // no moment is a set out that was not out before and is not to be.
        relist(new, asked, |state| self.rules.usable(state), told);
        let old = self.publish_table(built.table);
        relist(new, asked, |state| !self.rules.usable(state), told);
        if !built.fresh.is_empty() {
            let dests = new.sets().flat_map(|(_, view)| view.dests());
            let is_fresh = |dest: &&Dest| built.fresh.contains(&(dest.line as usize));
            dests
                .filter(is_fresh)
                .for_each(|dest| told(dest, State::ACTIVE));
        }
        new.sets().for_each(|(_, view)| view.settle());
        // SAFETY: taken above and seen by nobody.
        unsafe { (*note.as_ptr()).whole = old };
        self.retire(writer, note);
        Ok(built.changes)
    }

    /// Takes the writer lock, and gives back what no reader can see any more.
    pub(crate) fn write(&self) -> MutexGuard<'_, L, Retirement> {
        let mut writer = self.root().writer.lock();
        self.collect_locked(&mut writer);
        writer
    }

    /// The running table, which only the holder of the writer lock replaces.
    pub(crate) fn table_of_writer<'s>(
        &'s self,
        _writer: &MutexGuard<'_, L, Retirement>,
    ) -> Option<&'s Table> {
        // SAFETY: nobody else replaces it, and what this writer replaces is freed by a later one.
        unsafe { self.root().table.load(SeqCst).as_ref() }
    }

    /// Makes a table the running one; returns the one before.
    pub(crate) fn publish_table(&self, table: NonNull<Table>) -> *mut Table {
        self.root().table.swap(table.as_ptr(), SeqCst)
    }

    /// Ends the epoch in which what the note is about was to be had, and keeps the note.
    pub(crate) fn retire(
        &self,
        writer: &mut MutexGuard<'_, L, Retirement>,
        note: NonNull<Retired>,
    ) {
        // SAFETY: in no list yet, so nobody else has it.
        let retired = unsafe { &mut *note.as_ptr() };
        retired.epoch = self.root().epochs.advance();
        if self.rules.call_load {
            self.keep_calls(writer, retired);
        }
        retired.next = writer.newest;
        writer.newest = note.as_ptr();
        self.collect_locked(writer);
    }

    /// Keeps the records of the destinations that have left the lists, with their calls.
    fn keep_calls(&self, writer: &mut MutexGuard<'_, L, Retirement>, retired: &Retired) {
        let running = self.table_of_writer(writer);
        // SAFETY: replaced, but not freed before the note is in the list.
        let whole = unsafe { retired.whole.as_ref() };
        let of_whole = whole
            .into_iter()
            .flat_map(Table::sets)
            .flat_map(|(_, view)| view.dests());
        let single = retired.dests.get().iter();
        // SAFETY: as above.
        let single = single.filter_map(|dest| unsafe { dest.as_ref() });
        for dest in of_whole.chain(single) {
            let view = running.and_then(|table| table.view(dest.set));
            if view
                .and_then(|view| view.position_of(dest.record()))
                .is_none()
            {
                writer.orphans.keep(&self.arena, dest, retired.epoch);
            }
        }
    }

    /// The arena that all pieces come from.
    pub(crate) fn arena(&self) -> &A {
        &self.arena
    }

    /// Gives back what was replaced and no reader can see any more.
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
            let &Retired { next, epoch, .. } = unsafe { note.as_ref() };
            if !self.root().epochs.is_past(epoch) {
                // SAFETY: as above.
                link = unsafe { &raw mut (*note.as_ptr()).next };
                continue;
            }
            // SAFETY: as above; takes the note out of the list.
            unsafe { *link = next };
            // SAFETY: replaced, past all readers, and out of the list.
            unsafe { Retired::free(note, &self.arena) };
        }
        let running = self.table_of_writer(writer);
        writer.orphans.prune(&self.arena, |set, record, epoch| {
            let view = running.and_then(|table| table.view(set));
            let is_listed = view.and_then(|view| view.position_of(record)).is_some();
            is_listed || (record.load() == 0 && self.root().epochs.is_past(epoch))
        });
    }

    /// Number of notes of what was replaced and is not given back yet.
    #[cfg(test)]
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

    /// A reference of its own to a destination's record, which lives on when the destination has
    /// left the lists. The caller has pinned the destination.
    pub fn hold(&self, dest: &Dest) -> Hold<'_, A, DestRecord> {
        Hold::new(dest.counted(), &self.arena)
    }

    /// Takes a reference back that was given away as a bare pointer.
    ///
    /// # Safety
    /// As for [`Hold::from_raw`]; the hold came from this store.
    pub unsafe fn take_back(
        &self,
        record: NonNull<Counted<DestRecord>>,
    ) -> Hold<'_, A, DestRecord> {
        // SAFETY: by this function's contract.
        unsafe { Hold::from_raw(record, &self.arena) }
    }

    /// Says that the flags of a destination were written to where the list is.
    pub fn set_written(&self, record: &DestRecord, listed: State) {
        record.set_written(listed, self.ticket().0);
    }

    /// A number that grows whenever lists are replaced or edited.
    pub fn version(&self) -> u64 {
        self.root().epochs.now()
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
        let writer = unsafe { &mut *writer };
        writer.orphans.prune(&self.arena, |_, _, _| true);
        let mut at = writer.newest;
        while let Some(note) = NonNull::new(at) {
            // SAFETY: notes in the list are live.
            at = unsafe { note.as_ref() }.next;
            // SAFETY: no other process is left that could see what it is about.
            unsafe { Retired::free(note, &self.arena) };
        }
        if let Some(table) = NonNull::new(self.root().table.swap(ptr::null_mut(), SeqCst)) {
            // SAFETY: as above.
            unsafe { Table::free(table, &self.arena) };
        }
        // SAFETY: by this function's contract nobody else looks at the root.
        unsafe { &mut (*self.root.as_ptr()).epochs }.free_slots(&self.arena);
        // SAFETY: made by `create`; no other process is left.
        unsafe { self.arena.free(self.root.cast()) };
    }
}

/// Sets the states that a load asks for, of those that `which` takes.
fn relist(
    table: &Table,
    asked: Option<(Ticket, ReloadState)>,
    which: impl Fn(State) -> bool,
    told: &mut Told<'_>,
) {
    let Some((ticket, states)) = asked else {
        return;
    };
    for (_, view) in table.sets() {
        for (at, dest) in view.dests().enumerate() {
            let record = dest.record();
            let asked = states == ReloadState::FromList || record.listed_otherwise(dest.listed);
            if asked && record.is_known_to(ticket.0) && which(dest.listed) {
                view.record().announce_change();
                let before = record.relist(dest.listed);
                view.sync(at);
                told(dest, before);
            }
        }
    }
}

/// A table that stays while this lives; no table before the first load.
pub struct Pinned<'s, P = Pin<'s>> {
    _pin: P,
    table: Option<&'s Table>,
}

impl<P> Pinned<'_, P> {
    /// The table.
    pub fn table(&self) -> Option<&Table> {
        self.table
    }

    /// The view of a set.
    #[inline(always)]
    pub fn view(&self, set: SetId) -> Option<&View> {
        self.table?.view(set)
    }
}

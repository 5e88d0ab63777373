//! The published table: how processes read it, and how it is replaced.
//!
//! Readers [`Store::pin`] and then load the table by one atomic pointer; they never lock and never
//! wait. Writers take the writer lock, build a whole new table beside the running one, publish it
//! by one pointer store, and retire the old one until no reader can still see it (see `epoch`).
//! When memory runs out on the way, the running table stays as it was.

use core::ptr::{self, NonNull};

use lock_api::RawMutex;
use rand::RngCore;

use crate::dispatch::list::destination::{DestSpec, SetId};
use crate::dispatch::state::transition::State;

use super::lock::{Patience, Refusal, WriterLock};
use super::new_table::Changes;
use super::sets::Table;
use super::writer::{Backlog, Retirement};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe};
use crate::shm::memory::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use crate::shm::memory::epoch::{Epochs, Held, Pin};
use crate::shm::memory::refcount::{Counted, Hold};
use crate::shm::set::view::{Rules, View};

/// The data at one fixed place in shared memory.
pub struct Root<L> {
    pub(crate) table: AtomicPtr<Table>,
    pub(crate) epochs: Epochs,
    /// Tickets that were drawn, see [`Store::ticket`].
    tickets: AtomicU64,
    /// How often lists were replaced or edited.
    pub(crate) versions: AtomicU64,
    pub(crate) backlog: Backlog,
    pub(crate) writer: WriterLock<L, Retirement>,
}

// SAFETY: an atomic pointer, epochs, and a lock of which zeroes are a value.
unsafe impl<L: ShmSafe> ShmSafe for Root<L> {}

/// A place in the order in which lists were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// Before all others.
    pub(crate) const NONE: Self = Ticket(0);

    /// Returns its number. A later ticket has a greater one.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

/// The outcome of [`Store::try_set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried<R> {
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
pub type OnChange<'c> = dyn FnMut(&Dest, State) + 'c;

/// What readers and writers hold at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Holdings {
    /// The number of replaced pieces that cannot be given back yet.
    pub notes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes at which nothing more is replaced; 0 for no bound.
    pub most: u64,
    /// The reader that has read longest, if one has for more than a second.
    pub reader: Option<Held>,
    /// The holder of the writer lock.
    pub writer: Option<Held>,
    /// The number of processes that wait for the writer lock.
    pub waiting: u32,
}

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
// SAFETY: the root is made for several processes, and belongs to none.
unsafe impl<A: Arena + Send, L: Sync> Send for Store<A, L> {}

impl<A: Arena, L: RawMutex> Store<A, L> {
    /// Makes the root with an empty table slot. `lock` is an unlocked lock.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: A, lock: L, rules: Rules) -> Result<Self, OutOfMemory>
    where
        L: ShmSafe,
    {
        let mut block = Plan::<Root<L>>::of_header().alloc(&arena)?;
        block.fill().writer.start(lock, Retirement::EMPTY);
        let root = block.header();
        let store = Store { arena, root, rules };
        store.root().epochs.start();
        Ok(store)
    }

    pub(crate) fn root(&self) -> &Root<L> {
        // SAFETY: made by `create`, given back by nobody but `destroy`, which takes the store.
        unsafe { self.root.as_ref() }
    }

    /// Returns the rules that all views are built by.
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
        Pinned { pin, table }
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
    ) -> Tried<R> {
        let mut tries = 0;
        loop {
            let pinned = self.pin(process);
            let view = pinned.view(set);
            if let Some(done) = view.and_then(&mut act) {
                return Tried::Done(done);
            }
            tries += 1;
            if tries == RETRIES || self.is_answer(process, set, view) {
                return match view {
                    Some(_) => Tried::Nothing,
                    None => Tried::NoSet,
                };
            }
        }
    }

    /// Returns true if it is the answer that nothing was found in this view of a set, or no view: it is the newest one,
    /// and no destination is back that only traffic had kept out.
    #[cold]
    #[inline(never)]
    fn is_answer(&self, process: usize, set: SetId, view: Option<&View>) -> bool {
        // This pin is within the caller's, so it has the same epoch.
        let pinned = self.pin(process);
        let newest = pinned.view(set);
        newest.map(ptr::from_ref) == view.map(ptr::from_ref)
            && !view.is_some_and(|view| self.call_back(process, pinned.epoch(), view))
    }

    /// Returns the running table of this moment, which may be newer than the pinned one.
    pub(crate) fn running<'p>(&'p self, _pinned: &'p Pinned<'_>) -> Option<&'p Table> {
        // SAFETY: a table that is published while a pin is set is not freed while the pin lives, and the
        // pin is borrowed for as long as the result.
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
    /// [`Refusal`]: the running table and all states stay as they were.
    #[cfg(any(test, feature = "internals"))]
    pub fn load(
        &self,
        ticket: Ticket,
        list: &[DestSpec<'_>],
        states: ReloadState,
        random: &mut impl RngCore,
    ) -> Result<Option<Changes>, Refusal> {
        self.load_and_tell(Patience::LONG, ticket, list, states, random, &mut |_, _| {})
    }

    /// As [`Store::load`]; `on_change` hears, while the lock is held, of each destination whose state
    /// the list sets, with the state before, and of each new one that cannot be chosen: it
    /// was active before, as far as anybody knew.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load_and_tell(
        &self,
        patience: Patience,
        ticket: Ticket,
        list: &[DestSpec<'_>],
        states: ReloadState,
        random: &mut impl RngCore,
        on_change: &mut OnChange<'_>,
    ) -> Result<Option<Changes>, Refusal> {
        let mut writer = self.write(patience)?;
        if ticket < writer.held().ticket {
            return Ok(None);
        }
        let changes = writer.replace(list, ticket, states, random, on_change)?;
        Ok(Some(changes))
    }

    /// Returns the arena that all pieces come from.
    pub(crate) fn arena(&self) -> &A {
        &self.arena
    }

    /// Returns the number of notes of what was replaced and cannot be given back yet.
    #[cfg(test)]
    pub fn retired(&self) -> u64 {
        self.collect();
        self.holdings(0).notes
    }

    /// Sets the bytes of replaced lists at which nothing more is replaced, before they are given back; 0 for no bound.
    pub fn bound_backlog(&self, bytes: u64) {
        self.root().backlog.most.store(bytes, Relaxed);
    }

    /// Tells who the process with this number is, which is the caller.
    pub fn introduce(&self, process: usize) {
        self.root().epochs.introduce(process);
    }

    /// Returns true if the process with this number, which is the caller, holds a pin or the writer lock.
    pub fn is_held_by(&self, process: usize) -> bool {
        let root = self.root();
        root.epochs.is_pinned(process) || root.writer.is_ours()
    }

    /// Looks once a second, in one process, at who pins the table and who holds the writer lock. Returns the readers
    /// and the writer that have just become long ones.
    pub fn watch(&self, now_s: u64) -> (Vec<Held>, Option<Held>) {
        let root = self.root();
        (root.epochs.watch(now_s), root.writer.watch(now_s))
    }

    /// Returns what readers and writers hold.
    pub fn holdings(&self, now_s: u64) -> Holdings {
        let root = self.root();
        Holdings {
            notes: root.backlog.notes.load(Relaxed),
            bytes: root.backlog.bytes.load(Relaxed),
            most: root.backlog.most.load(Relaxed),
            reader: root.epochs.oldest_pin(now_s),
            writer: root.writer.held(now_s),
            waiting: root.writer.waiting(),
        }
    }

    /// Returns a reference of its own to a destination's record, which lives on when the destination has
    /// left the lists. The caller has pinned the destination.
    pub fn hold(&self, dest: &Dest) -> Hold<'_, A, DestRecord> {
        // SAFETY: the destination, which is borrowed, holds its record.
        unsafe { Hold::new(dest.counted(), &self.arena) }
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

    /// Returns a number that grows whenever lists are replaced or edited.
    pub fn version(&self) -> u64 {
        self.root().versions.load(SeqCst)
    }

    /// Takes the writer lock and never gives it back, as a process does that is ended meanwhile.
    #[cfg(test)]
    pub fn leak_writer_lock(&self) {
        core::mem::forget(self.root().writer.try_take());
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
        // SAFETY: all of it came from this arena; no other process is left.
        unsafe { writer.free_all(&self.arena) };
        if let Some(table) = NonNull::new(self.root().table.swap(ptr::null_mut(), Relaxed)) {
            // SAFETY: it came from this arena; no other process is left that could see it.
            unsafe { Table::free_with_views(table, &self.arena) };
        }
        // SAFETY: by this function's contract nobody else looks at the root.
        unsafe { &mut (*self.root.as_ptr()).epochs }.free_slots(&self.arena);
        // SAFETY: made by `create`; no other process is left.
        unsafe { self.arena.free(self.root.cast()) };
    }
}

/// A table that stays while this lives; no table before the first load.
pub struct Pinned<'s> {
    pin: Pin<'s>,
    table: Option<&'s Table>,
}

impl Pinned<'_> {
    /// Returns the epoch that its process has pinned.
    pub(crate) fn epoch(&self) -> u64 {
        self.pin.epoch()
    }

    /// Returns the table.
    pub fn table(&self) -> Option<&Table> {
        self.table
    }

    /// Returns the view of a set.
    #[inline(always)]
    pub fn view(&self, set: SetId) -> Option<&View> {
        self.table?.view(set)
    }
}

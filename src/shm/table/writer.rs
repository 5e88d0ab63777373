//! What only the holder of the writer lock does: publish, retire, give back.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use lock_api::RawMutex;
use rand::RngCore;

use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::state::transition::State;

use super::lock::{Locked, Patience, Refusal};
use super::new_table::{self, Changes, KeptRecord};
use super::retained::Retained;
use super::sets::Table;
use super::store::{OnChange, ReloadState, Store, Ticket};
use crate::shm::dest::address::AddrIndex;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::rate::Rate;
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record::NOWHERE;
use crate::shm::memory::arena::{Arena, Free, OutOfMemory, Owned, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use crate::shm::memory::list::{Fifo, Linked, List};
use crate::shm::set::view::View;

/// The data that only the holder of the writer lock may touch.
pub struct Retirement {
    /// Notes of replaced pieces, in the order of their epochs.
    notes: Fifo<Retired>,
    /// The ticket of the running table.
    pub(crate) ticket: Ticket,
    /// The counters of removed destinations that still have calls.
    pub(crate) retained: Retained,
}

impl Retirement {
    /// Nothing was replaced yet.
    pub(crate) const EMPTY: Self = Retirement {
        notes: Fifo::EMPTY,
        ticket: Ticket::NONE,
        retained: Retained::EMPTY,
    };

    /// Gives back all that was replaced, at the end of the server.
    ///
    /// # Safety
    /// All of it came from this arena, and no process is left that could read it.
    pub(crate) unsafe fn free_all(&mut self, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { self.retained.free(arena) };
        // SAFETY: the caller's promise.
        unsafe { core::mem::replace(&mut self.notes, Fifo::EMPTY).free(arena) };
    }
}

/// How much was replaced and is not given back yet. Only the holder of the writer lock changes it; others report it.
pub(crate) struct Backlog {
    /// The number of notes.
    pub(crate) notes: AtomicU64,
    /// Their bytes.
    pub(crate) bytes: AtomicU64,
    /// The bytes at which nothing more is replaced.
    pub(crate) most: AtomicU64,
}

// SAFETY: atomics only; zeroed nothing was replaced.
unsafe impl ShmSafe for Backlog {}

impl Backlog {
    fn add(&self, note: &Retired) {
        self.notes.fetch_add(1, Relaxed);
        self.bytes.fetch_add(note.bytes(), Relaxed);
    }

    fn take(&self, note: &Retired) {
        self.notes.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(note.bytes(), Relaxed);
    }
}

// SAFETY: lists and a ticket; zeroed nothing was replaced.
unsafe impl ShmSafe for Retirement {}

/// A note of what was replaced, and readers may still see. It is taken before the change, so that
/// no change fails half-way.
pub(crate) struct Retired {
    next: List<Retired>,
    /// The last epoch in which readers could load it.
    epoch: u64,
    /// A table with all that belongs to it.
    pub(crate) whole: *mut Table,
    /// A table whose views live on in another one.
    pub(crate) table: *mut Table,
    /// An index of addresses.
    pub(crate) addrs: *mut AddrIndex,
    /// A view whose destinations live on in another one, but for `dests`.
    pub(crate) view: *mut View,
    /// Destinations of that view.
    pub(crate) dests: ShmSlice<*mut Dest>,
    /// The bytes of all of it, and of the records that have left the lists with it.
    bytes: usize,
}

// SAFETY: integers, arena pointers and a shared slice; zeroed it is a note of nothing.
unsafe impl ShmSafe for Retired {}

impl Linked for Retired {
    fn next(&self) -> &List<Self> {
        &self.next
    }

    fn next_mut(&mut self) -> &mut List<Self> {
        &mut self.next
    }
}

impl Retired {
    /// Makes a note with room for `dests` destinations.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub(crate) fn note<A: Arena>(
        arena: &A,
        dests: usize,
    ) -> Result<Owned<'_, A, Self>, OutOfMemory> {
        let mut plan = Plan::<Retired>::of_header();
        let dests = plan.array(dests);
        let mut block = plan.alloc(arena)?;
        block.fill().dests = block.slice(&dests);
        // SAFETY: just made; zeroed but for its array it is a note of nothing.
        Ok(unsafe { Owned::new(block.header(), arena) })
    }
}

impl Retired {
    /// Returns the bytes of what it is about.
    fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Counts the bytes of what it is about.
    ///
    /// # Safety
    /// What it is about is there.
    unsafe fn weigh(&mut self) {
        // SAFETY: the caller's promise.
        let whole = unsafe { self.whole.as_ref() }.map_or(0, Table::bytes_of_all);
        // SAFETY: the caller's promise.
        let table = unsafe { self.table.as_ref() }.map_or(0, Table::bytes);
        // SAFETY: the caller's promise.
        let addrs = unsafe { self.addrs.as_ref() }.map_or(0, AddrIndex::bytes);
        // SAFETY: the caller's promise.
        let view = unsafe { self.view.as_ref() }.map_or(0, View::bytes);
        let dests = self.dests.get().iter();
        // SAFETY: the caller's promise.
        let dests = dests.filter_map(|dest| unsafe { dest.as_ref() });
        let dests: usize = dests.map(Dest::bytes).sum();
        self.bytes = size_of::<Self>() + whole + table + addrs + view + dests;
    }
}

impl Free for Retired {
    /// Gives back what the note is about as well, which no reader may reach any more.
    unsafe fn free(note: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the note is given back last.
        let retired = unsafe { note.as_ref() };
        if let Some(whole) = NonNull::new(retired.whole) {
            // SAFETY: no reader can reach it, and it is in this note alone.
            unsafe { Table::free_with_views(whole, arena) };
        }
        if let Some(table) = NonNull::new(retired.table) {
            // SAFETY: no reader can reach it, and it is in this note alone.
            unsafe { Table::free(table, arena) };
        }
        if let Some(addrs) = NonNull::new(retired.addrs) {
            // SAFETY: no reader can reach it, and it is in this note alone.
            unsafe { AddrIndex::free(addrs, arena) };
        }
        if let Some(view) = NonNull::new(retired.view) {
            // SAFETY: no reader can reach it, and it is in this note alone.
            unsafe { View::free(view, arena) };
        }
        let dests = retired.dests.get().iter();
        for dest in dests.filter_map(|dest| NonNull::new(*dest)) {
            // SAFETY: no reader can reach it, and no view that lives on has it.
            unsafe { Dest::free(dest, arena) };
        }
        // SAFETY: it came from this arena, and nobody reads it any more.
        unsafe { arena.free(note.cast()) };
    }
}

/// The writer lock, while it is held. What runs is replaced through it alone, and given back only
/// through `&mut`: what [`Writer::table`] returns stays for as long as it is borrowed.
pub(crate) struct Writer<'s, A: Arena, L: RawMutex + 'static> {
    store: &'s Store<A, L>,
    held: Locked<'s, L, Retirement>,
}

impl<A: Arena, L: RawMutex> Store<A, L> {
    /// Takes the writer lock, and gives back what no reader can see any more.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when the lock was not free in time. [`Refusal::Kept`] when readers keep too much of what was
    /// replaced: a reader that is stopped must not take the memory that the rest of the server needs.
    pub(crate) fn write(&self, patience: Patience) -> Result<Writer<'_, A, L>, Refusal> {
        let root = self.root();
        let held = root.writer.take(patience)?;
        let mut writer = Writer { store: self, held };
        writer.collect();
        let (bytes, most) = (&root.backlog.bytes, &root.backlog.most);
        let (bytes, most) = (bytes.load(Relaxed), most.load(Relaxed));
        if most > 0 && bytes >= most {
            return Err(Refusal::Kept(
                bytes,
                root.epochs.oldest_pin((patience.now_s)()),
            ));
        }
        Ok(writer)
    }

    /// Gives back what was replaced and no reader can see any more.
    ///
    /// Does nothing when a writer is at work, which does the same itself.
    pub fn collect(&self) {
        if let Some(held) = self.root().writer.try_take() {
            Writer { store: self, held }.collect();
        }
    }
}

impl<'s, A: Arena, L: RawMutex> Writer<'s, A, L> {
    /// Returns the running table.
    pub(crate) fn table(&self) -> Option<&Table> {
        // SAFETY: only the holder of the lock replaces it, and gives it back through `&mut self`.
        unsafe { self.store.root().table.load(Relaxed).as_ref() }
    }

    /// Returns what only the holder of the lock may touch.
    pub(crate) fn held(&self) -> &Retirement {
        &self.held
    }

    /// Returns the running table, and what only the holder of the lock may touch.
    fn parts(&mut self) -> (Option<&Table>, &mut Retirement) {
        // SAFETY: only the holder of the lock replaces it, and gives it back through `&mut self`,
        // which is borrowed for as long as the result lives.
        let table = unsafe { self.store.root().table.load(Relaxed).as_ref() };
        (table, &mut self.held)
    }

    /// Makes a table the running one; returns the one before.
    ///
    /// A change of a state takes no lock. It stores the status in the record, and then loads the running pointers to
    /// follow them (`Store::follow`). A publisher swaps a pointer, this one or that of a slot to its view, and then
    /// loads the statuses (`View::settle`). All four accesses are `SeqCst`: either the change sees the new view, or the
    /// publisher sees the change. With anything weaker both may miss each other, and the view does not learn of the
    /// change. No model would find that: loom treats `SeqCst` accesses as `AcqRel`, and shuttle all as `SeqCst`.
    ///
    /// # Safety
    /// The table is whole, and stays until it was replaced and retired.
    pub(crate) unsafe fn publish(&self, table: NonNull<Table>) -> *mut Table {
        self.store.root().table.swap(table.as_ptr(), SeqCst)
    }

    /// Builds a table from a list and publishes it.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the running table and all states stay as they were.
    pub(crate) fn replace(
        &mut self,
        list: &[DestSpec<'_>],
        ticket: Ticket,
        states: ReloadState,
        random: &mut impl RngCore,
        on_change: &mut OnChange<'_>,
    ) -> Result<Changes, OutOfMemory> {
        let (arena, rules) = (self.store.arena(), self.store.rules());
        let note = Retired::note(arena, 0)?;
        let retained = &self.held.retained;
        let built = new_table::build(arena, rules, list, self.table(), retained, random)?;
        // SAFETY: just built, and replaced by nobody but the holder of the lock.
        let new = unsafe { built.table.as_ref() };
        let relists = built.relists || states == ReloadState::FromList;
        let relist = |which: &dyn Fn(State) -> bool, on_change: &mut OnChange<'_>| {
            if relists {
                relist(new, ticket, states, which, on_change);
            }
        };
        // From here on, until the views are settled, readers ask the records.
        new.sets()
            .for_each(|(_, view)| view.record().begin_change());
        for &(line, record) in &built.returned {
            if let Some(spec) = list.get(line) {
                // SAFETY: the retained counters hold it, and the new table does.
                unsafe { record.as_ref() }.relist(spec.flags);
            }
        }
        // What comes up does so before readers see the new table, what goes down after that: at
        // no moment is a set out that was not out before and is not to be.
        relist(&|state| rules.usable(state), on_change);
        new.sets().for_each(|(_, view)| view.tell_positions());
        // From here on readers may still see what the note is about: a panic leaks it.
        let mut note = ManuallyDrop::new(note);
        // SAFETY: whole, and from here on it belongs to the root.
        note.whole = unsafe { self.publish(built.table) };
        // SAFETY: only the note has it, which gives it back later.
        let replaced = unsafe { note.whole.as_ref() }.into_iter();
        replaced
            .flat_map(Table::sets)
            .for_each(|(_, view)| view.set_replaced());
        relist(&|state| !rules.usable(state), on_change);
        if !built.fresh.is_empty() {
            let dests = new.sets().flat_map(|(_, view)| view.dests());
            let is_fresh = |dest: &&Dest| built.fresh.contains(&(dest.line as usize));
            dests
                .filter(is_fresh)
                .for_each(|dest| on_change(dest, State::ACTIVE));
        }
        for (_, view) in new.sets() {
            view.settle();
            view.record().end_change();
        }
        // SAFETY: the table in it was just replaced.
        unsafe { self.retire(note) };
        // SAFETY: the new table holds them.
        unsafe { self.ask_again(&built.unanswered) };
        self.held.ticket = ticket;
        Ok(built.changes)
    }

    /// Ends the epoch in which readers could load what the note is about, and keeps the note.
    ///
    /// # Safety
    /// The pieces in the note were replaced, and are in no other note.
    pub(crate) unsafe fn retire(&mut self, mut note: ManuallyDrop<Owned<'_, A, Retired>>) {
        let root = self.store.root();
        note.epoch = root.epochs.advance();
        root.versions.fetch_add(1, SeqCst);
        // SAFETY: it was replaced, and is given back with the note.
        unsafe { note.weigh() };
        note.bytes += self.let_go(&note);
        root.backlog.add(&note);
        self.held.notes.push(ManuallyDrop::into_inner(note));
        self.collect();
    }

    /// Has the names of listed destinations asked for again, of which the running lists have no answer.
    ///
    /// It comes after the change is counted in [`Store::version`]: who asked for a name of the lists before sees that
    /// by then, or asked before this.
    ///
    /// # Safety
    /// The running table holds the records.
    pub(crate) unsafe fn ask_again(&self, records: &[KeptRecord]) {
        if records.is_empty() {
            return;
        }
        for record in records {
            // SAFETY: the caller's promise.
            unsafe { record.as_ref() }.forget_question();
        }
        let sets = self.table().into_iter().flat_map(Table::sets);
        sets.for_each(|(_, view)| view.forget_names_due());
    }

    /// Lets the destinations and sets go that have left the lists; with call load, the counters of the destinations are
    /// retained. Returns the bytes of what is known of them, which is given back no earlier than the note.
    fn let_go(&mut self, retired: &Retired) -> usize {
        let (arena, counts_calls) = (self.store.arena(), self.store.rules().call_load);
        let (running, held) = self.parts();
        // SAFETY: replaced, but not given back before the note is in the list.
        let whole = unsafe { retired.whole.as_ref() };
        let of_whole = || {
            whole
                .into_iter()
                .flat_map(Table::sets)
                .map(|(_, view)| view)
        };
        // SAFETY: replaced, but not given back before the note is in the list.
        let view = unsafe { retired.view.as_ref() };
        let single = retired.dests.get().iter();
        // SAFETY: replaced, but not given back before the note is in the list.
        let single = single.filter_map(|dest| unsafe { dest.as_ref() });
        let single = single.filter_map(|dest| Some((view?, dest)));
        let all = of_whole().flat_map(|view| view.dests().map(move |dest| (view, dest)));
        let mut bytes = 0;
        for (view, dest) in all.chain(single) {
            bytes += dest.rate().map_or(0, Rate::bytes_of_last);
            let running = running.and_then(|table| table.view(dest.set));
            if running.is_some_and(|view| view.lists(dest.record())) {
                continue;
            }
            bytes += dest.record().bytes();
            if counts_calls {
                dest.record().set_position(NOWHERE);
                bytes += held.retained.keep(arena, (view, dest), retired.epoch);
            }
        }
        let is_gone = |view: &&View| {
            let set = view.dest(0).map(|dest| dest.set);
            set.is_some_and(|set| running.is_none_or(|table| table.view(set).is_none()))
        };
        let gone = of_whole().chain(view).filter(is_gone);
        bytes + gone.map(|view| view.record().bytes()).sum::<usize>()
    }

    /// Gives back what was replaced and no reader can see any more.
    fn collect(&mut self) {
        let (arena, root) = (self.store.arena(), self.store.root());
        // Both lists are in the order of epochs: what readers keep costs nothing here, however much it is.
        let oldest = root.epochs.oldest();
        let notes = &mut self.held.notes;
        while notes.first().is_some_and(|note| note.epoch < oldest) {
            // SAFETY: notes are of this arena.
            let Some(note) = (unsafe { notes.pop(arena) }) else {
                break;
            };
            root.backlog.take(&note);
            // Its drop gives back what it is about, which no reader can load any more.
            drop(note);
        }
        let (running, held) = self.parts();
        let is_over = |set, record: &DestRecord| {
            let view = running.and_then(|table| table.view(set));
            let is_listed = view.is_some_and(|view| view.lists(record));
            is_listed || record.load() == 0
        };
        // SAFETY: all records are of this arena.
        unsafe { held.retained.prune(arena, oldest, is_over) };
    }
}

/// Sets the states that a load asks for, of those that `which` takes. Each counts as a change of its own: a search that
/// finds nothing, because one comes up behind it and another one goes down ahead of it, is repeated.
fn relist(
    table: &Table,
    ticket: Ticket,
    states: ReloadState,
    which: impl Fn(State) -> bool,
    on_change: &mut OnChange<'_>,
) {
    for (_, view) in table.sets() {
        for (at, dest) in view.dests().enumerate() {
            let record = dest.record();
            let asked = states == ReloadState::FromList || record.listed_otherwise(dest.listed);
            if asked && record.is_known_to(ticket.number()) && which(dest.listed) {
                view.record().begin_change();
                let before = record.relist(dest.listed);
                record.begin_ramp_if_back(before, dest.listed, view.unusable);
                view.sync(at);
                view.record().end_change();
                on_change(dest, before);
            }
        }
    }
}

//! Retained counters: the records of removed destinations that still have calls.
//!
//! When a destination with a unique id leaves the lists, its record is retained here until its last
//! call has ended, or until the destination is listed again, which then finds its count. The writer
//! lock protects them.

use core::cell::OnceCell;
use core::ptr::NonNull;
use std::collections::HashSet;

use crate::dispatch::hash::fold_hash;
use crate::dispatch::list::destination::SetId;

use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::{DestRecord, NOWHERE};
use crate::shm::memory::arena::{Arena, Free, OutOfMemory, Owned, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::list::{Fifo, Linked, List};
use crate::shm::memory::refcount::Counted;
use crate::shm::set::set_record::SetRecord;
use crate::shm::set::view::View;

/// The record of a destination that is in no list.
struct Counter {
    next: List<Counter>,
    /// It is held; null only before it is written.
    record: *mut Counted<DestRecord>,
    /// The record of its set, which is held as well. A process that is held up in a change of the destination has
    /// counted the change there, so a set to which the destination comes back goes on with it.
    set_record: *mut Counted<SetRecord>,
    set: SetId,
    /// The last epoch in which readers could find the destination: until it is past, calls may come.
    epoch: u64,
    duid: ShmSlice<u8>,
}

// SAFETY: integers, arena pointers and a shared slice; zeroed it is a counter of nobody.
unsafe impl ShmSafe for Counter {}

impl Linked for Counter {
    fn next(&self) -> &List<Self> {
        &self.next
    }

    fn next_mut(&mut self) -> &mut List<Self> {
        &mut self.next
    }
}

impl Free for Counter {
    /// Lets both records go as well.
    unsafe fn free(counter: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: it is given back last.
        let &Counter {
            record, set_record, ..
        } = unsafe { counter.as_ref() };
        if let Some(record) = NonNull::new(record) {
            // SAFETY: the counter holds it, and both came from this arena.
            unsafe { Counted::release(record, arena) };
        }
        if let Some(set_record) = NonNull::new(set_record) {
            // SAFETY: the counter holds it, and both came from this arena.
            unsafe { Counted::release(set_record, arena) };
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(counter.cast()) };
    }
}

impl Counter {
    /// Makes a counter over the record of a destination with this unique id, of this view.
    fn create<'a, A: Arena>(
        arena: &'a A,
        (view, dest): (&View, &Dest),
        duid: &[u8],
        epoch: u64,
    ) -> Result<Owned<'a, A, Self>, OutOfMemory> {
        let mut plan = Plan::<Counter>::of_header();
        let text = plan.array(duid.len());
        let mut block = plan.alloc(arena)?;
        let text = block.slice(&text);
        // SAFETY: the block is ours alone until it is in a list.
        unsafe { text.fill() }.copy_from_slice(duid);
        let counter = block.fill();
        counter.record = dest.counted().as_ptr();
        counter.set_record = view.counted().as_ptr();
        (counter.set, counter.epoch, counter.duid) = (dest.set, epoch, text);
        // SAFETY: the destination, which is borrowed, holds its record.
        unsafe { dest.counted().as_ref() }.retain();
        // SAFETY: the view, which is borrowed, holds its record.
        unsafe { view.counted().as_ref() }.retain();
        // SAFETY: just made, of this arena.
        Ok(unsafe { Owned::new(block.header(), arena) })
    }
}

/// All retained counters. They live in shared memory, behind the writer lock.
pub struct Retained {
    /// Those whose destinations readers may still find, in the order of their epochs.
    fresh: Fifo<Counter>,
    /// The others: no new calls come to them.
    closed: List<Counter>,
}

impl Retained {
    /// No counters.
    pub const EMPTY: Self = Retained {
        fresh: Fifo::EMPTY,
        closed: List::EMPTY,
    };

    /// Retains the record of a destination that has left the lists with this view. Returns the bytes that this takes.
    /// Without memory or without a unique id it is not retained: if the destination comes back, it counts from 0.
    pub fn keep(&mut self, arena: &impl Arena, (view, dest): (&View, &Dest), epoch: u64) -> usize {
        let Some(duid) = dest.duid() else { return 0 };
        let Ok(counter) = Counter::create(arena, (view, dest), duid, epoch) else {
            return 0;
        };
        self.fresh.push(counter);
        size_of::<Counter>() + duid.len()
    }

    /// Lets go of the records that `is_over` accepts, because they are listed again or have no calls any more, of those
    /// that no reader can find: all readers have pinned the epoch `oldest` or a later one.
    ///
    /// # Safety
    /// All records came from this arena.
    pub unsafe fn prune(
        &mut self,
        arena: &impl Arena,
        oldest: u64,
        is_over: impl Fn(SetId, &DestRecord) -> bool,
    ) {
        while self
            .fresh
            .first()
            .is_some_and(|counter| counter.epoch < oldest)
        {
            // SAFETY: the caller's promise.
            match unsafe { self.fresh.pop(arena) } {
                Some(counter) => self.closed.push(counter),
                None => break,
            }
        }
        let mut over = List::EMPTY;
        self.closed.move_to(&mut over, |counter| {
            // SAFETY: the counter holds its record.
            let record = unsafe { counter.record.as_ref() };
            record.is_none_or(|record| is_over(counter.set, record))
        });
        // SAFETY: taken out of the list, so nobody else has them; the arena is the caller's promise.
        unsafe { over.free(arena) };
    }

    /// Lets go of all records, at the end of the server.
    ///
    /// # Safety
    /// All records came from this arena, and no process is left.
    pub unsafe fn free(&mut self, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { core::mem::replace(&mut self.fresh, Fifo::EMPTY).free(arena) };
        // SAFETY: the caller's promise.
        unsafe { core::mem::replace(&mut self.closed, List::EMPTY).free(arena) };
    }
}

/// The retained counters, as a change of the lists looks for them. They are sorted when the first one is looked for: a
/// list may bring many sets and destinations while there are many counters.
pub(crate) struct Returning<'r> {
    retained: &'r Retained,
    /// By set, and by the hash of the unique id.
    sorted: OnceCell<Vec<((SetId, u32), &'r Counter)>>,
    /// The records with which destinations go on.
    taken: HashSet<NonNull<Counted<DestRecord>>>,
}

impl<'r> Returning<'r> {
    /// Makes one that has looked for nothing yet.
    pub(crate) fn new(retained: &'r Retained) -> Self {
        Returning {
            retained,
            sorted: OnceCell::new(),
            taken: HashSet::new(),
        }
    }

    /// Returns the counters from this key on.
    fn from(&self, key: (SetId, u32)) -> &[((SetId, u32), &'r Counter)] {
        let sorted = self.sorted.get_or_init(|| {
            let counters = self.retained.fresh.iter();
            let counters = counters.chain(self.retained.closed.iter());
            let key = |counter: &Counter| (counter.set, fold_hash(counter.duid.get()));
            let mut sorted: Vec<_> = counters.map(|counter| (key(counter), counter)).collect();
            sorted.sort_by_key(|(key, _)| *key);
            sorted
        });
        let start = sorted.partition_point(|(other, _)| *other < key);
        sorted.get(start..).unwrap_or_default()
    }

    /// Takes the record of a destination that was removed while it had calls: the first that is not listed again, and
    /// was not taken. Its state is still the old one.
    pub(crate) fn take(&mut self, set: SetId, duid: &[u8]) -> Option<NonNull<Counted<DestRecord>>> {
        let key = (set, fold_hash(duid));
        let same = self.from(key).iter().take_while(|(other, _)| *other == key);
        let same = same.filter(|(_, counter)| counter.duid.get().eq_ignore_ascii_case(duid));
        let mut records = same.filter_map(|(_, counter)| NonNull::new(counter.record));
        let record = records.find(|record| {
            // SAFETY: the counter holds its record.
            let is_gone = unsafe { record.as_ref() }.position() == NOWHERE;
            is_gone && !self.taken.contains(record)
        })?;
        self.taken.insert(record);
        Some(record)
    }

    /// Returns the record that a set had when destinations left it whose records are retained.
    pub(crate) fn set_record(&self, set: SetId) -> Option<NonNull<Counted<SetRecord>>> {
        let (_, first) = self.from((set, 0)).first()?;
        NonNull::new(first.set_record).filter(|_| first.set == set)
    }
}

//! The record of a set, kept over reloads: its cursors, and the numbers of its changes.

use core::ptr::NonNull;

use crate::dispatch::select::turns::Cursors;

use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe};
use crate::shm::memory::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::memory::refcount::{Counted, Hold, Kept};
use crate::shm::observe::counters::SetCounts;

/// The record of a set. Each selection writes its cursors, so they lie in the middle of two cache
/// lines, which nobody else has wherever the arena puts the record.
pub struct SetRecord {
    _before: [u64; 7],
    /// The cursors.
    pub cursors: Cursors,
    /// The number of views that point to it.
    refs: AtomicU32,
    /// The number of changes of its destinations' records that have begun: each is counted before it is made.
    begun: AtomicU32,
    /// The number of those that have ended: each is counted when the running view has followed it.
    ended: AtomicU32,
    /// Not 0 once a call was counted in it.
    has_counted_calls: AtomicU32,
    /// Not 0 while one of its destinations waits for a request that tries it.
    probation: AtomicU32,
    /// What was counted of it; null unless sets have counters. It does not change.
    counts: *mut SetCounts,
    /// The epoch that ended when traffic last took one of its destinations out or let it back in.
    traffic_epoch: AtomicU64,
    _after: [u64; 5],
}

// SAFETY: integers, atomics and an arena pointer; zeroed its cursors are at the start.
unsafe impl ShmSafe for SetRecord {}

impl Kept for SetRecord {
    fn refs(&self) -> &AtomicU32 {
        &self.refs
    }

    unsafe fn give_back(counted: NonNull<Counted<Self>>, arena: &impl Arena) {
        // SAFETY: it is given back last.
        if let Some(counts) = NonNull::new(unsafe { counted.as_ref() }.counts) {
            // SAFETY: from this arena, and nobody holds the record, through which it is found.
            unsafe { arena.free(counts.cast()) };
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(counted.cast()) };
    }
}

impl SetRecord {
    /// Makes a record, with counters if the set has them.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub(crate) fn create<A: Arena>(
        arena: &A,
        counted: bool,
    ) -> Result<Hold<'_, A, SetRecord>, OutOfMemory> {
        let mut block = Plan::<SetRecord>::of_header().alloc(arena)?;
        // SAFETY: just made, of this arena.
        let record = unsafe { Hold::new(block.header().cast(), arena) };
        if counted {
            block.fill().counts = SetCounts::create(arena)?.as_ptr();
        }
        Ok(record)
    }

    /// Returns what was counted of it, if sets have counters (`counters` 2).
    pub fn counted(&self) -> Option<&SetCounts> {
        // SAFETY: given back with the record.
        unsafe { self.counts.as_ref() }
    }

    /// Notes that a call was counted in it.
    pub fn note_call(&self) {
        // Mostly it is noted already: then other processes keep what they have of the record.
        if !self.has_counted_calls() {
            self.has_counted_calls.store(1, Ordering::SeqCst);
        }
    }

    /// Returns true once a call was counted in it, over reloads too.
    pub fn has_counted_calls(&self) -> bool {
        self.has_counted_calls.load(Ordering::SeqCst) != 0
    }

    /// Says that one of its destinations waits for a request that tries it.
    pub fn offer_probation(&self) {
        self.probation.store(1, Ordering::SeqCst);
    }

    /// Returns true for one of those that ask, if a destination waits for a request that tries it.
    pub fn take_probation(&self) -> bool {
        self.probation.load(Ordering::SeqCst) != 0 && self.probation.swap(0, Ordering::SeqCst) != 0
    }

    /// Says that traffic has taken one of its destinations out or let it back in, and that this epoch ended then. A
    /// process that pins a later one finds the destination as it is since.
    pub fn note_traffic_epoch(&self, epoch: u64) {
        let later = |noted: u64| (noted < epoch).then_some(epoch);
        let noted = &self.traffic_epoch;
        let _ = noted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }

    /// Returns the epoch that ended when traffic last took one of its destinations out or let it back in.
    pub fn traffic_epoch(&self) -> u64 {
        self.traffic_epoch.load(Ordering::SeqCst)
    }

    /// Returns its size in bytes, with its counters.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes_of_counts()
    }

    /// Returns the size of its counters in bytes.
    pub fn bytes_of_counts(&self) -> usize {
        self.counted().map_or(0, |_| SetCounts::bytes())
    }

    /// Counts a change of the records of destinations, which is about to be made.
    ///
    /// Until [`SetRecord::end_change`], nobody believes bitmaps and trees that have nothing to offer. If the process
    /// is held up or panics in between, searches cost more, and find the same.
    pub fn begin_change(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts the end of a change, after the view that runs has followed it.
    pub fn end_change(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns a number that differs after each change that has begun.
    #[inline]
    pub fn changes(&self) -> u32 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Returns a number that, if it equals [`SetRecord::changes`] of any later moment, says that no change was under
    /// way from now until then.
    #[inline]
    pub fn changes_ended(&self) -> u32 {
        self.ended.load(Ordering::SeqCst)
    }
}

//! The record of a set, kept over reloads: its cursors, and the number of its state changes.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::dispatch::select::turns::Cursors;

use crate::shm::memory::arena::{Arena, LINE, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::refcount::{Counted, Kept};
use crate::shm::memory::slab::{self, Maker, Piece};

/// The record of a set. It has a cache line of its own, because each selection writes its cursors.
pub struct SetRecord {
    /// The slab that it is in.
    home: AtomicPtr<SetBatch>,
    /// The cursors.
    pub cursors: Cursors,
    /// The number of views that point to it.
    refs: AtomicU32,
    /// The number of state changes of its destinations, each counted before it is made.
    changes: AtomicU32,
}

const _: () = assert!(size_of::<SetRecord>() == LINE, "a cache line");

// SAFETY: integers, atomics and an arena pointer; zeroed its cursors are at the start.
unsafe impl ShmSafe for SetRecord {}

impl Kept for SetRecord {
    fn refs(&self) -> &AtomicU32 {
        &self.refs
    }

    unsafe fn give_back(counted: NonNull<Counted<Self>>, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { slab::leave_home::<SetBatch>(counted, arena) };
    }
}

impl SetRecord {
    /// Counts a state change of a destination, which is about to be made.
    pub fn announce_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns a number that differs after each change that was announced.
    pub fn changes(&self) -> u32 {
        self.changes.load(Ordering::SeqCst)
    }
}

/// A piece of sets' records.
pub(crate) struct SetBatch {
    /// See [`Piece::live`].
    live: AtomicU32,
    records: ShmSlice<Counted<SetRecord>>,
}

// SAFETY: an atomic and a shared slice; zeroed it has no records.
unsafe impl ShmSafe for SetBatch {}

/// Makes sets' records.
pub(crate) type SetRecords<'a, A> = Maker<'a, A, SetBatch>;

impl Piece for SetBatch {
    type Of = SetRecord;

    fn create(arena: &impl Arena, len: usize) -> Result<NonNull<Self>, OutOfMemory> {
        let mut plan = Plan::<SetBatch>::of_header();
        let records = plan.array_on_line(len);
        let mut block = plan.alloc(arena)?;
        let records = block.slice_on_line(&records);
        let batch = block.fill();
        batch.live = AtomicU32::new(1);
        batch.records = records;
        Ok(block.header())
    }

    fn live(&self) -> &AtomicU32 {
        &self.live
    }

    fn all(&self) -> &ShmSlice<Counted<SetRecord>> {
        &self.records
    }

    fn home(record: &SetRecord) -> &AtomicPtr<Self> {
        &record.home
    }

    unsafe fn free(batch: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { arena.free(batch.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;

    #[test]
    fn records_share_no_cache_line_and_their_pieces_go_with_the_last_of_them() {
        let heap = Heap::default();
        let mut records = SetRecords::new(&heap, 70);
        let mut held: Vec<_> = (0..70).map(|_| records.make().unwrap()).collect();
        drop(records);
        assert_eq!(heap.taken(), 2, "64 and 6");
        let mut lines: Vec<usize> = held
            .iter()
            .map(|record| core::ptr::from_ref::<SetRecord>(record) as usize)
            .collect();
        assert!(lines.iter().all(|line| line % LINE == 0));
        lines.dedup();
        assert_eq!(lines.len(), 70);
        held.drain(1..);
        assert_eq!(heap.taken(), 1, "the first one keeps its piece");
        held.clear();
        assert_eq!(heap.taken(), 0);
    }
}

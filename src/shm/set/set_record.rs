//! The record of a set, kept over reloads: its cursors, and the number of its state changes.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::dispatch::select::turns::Cursors;

use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe};
use crate::shm::memory::refcount::{Counted, Hold, Kept};

/// The record of a set. Each selection writes its cursors, so they lie in the middle of two cache
/// lines, which nobody else has wherever the arena puts the record.
pub struct SetRecord {
    _before: [u64; 7],
    /// The cursors.
    pub cursors: Cursors,
    /// The number of views that point to it.
    refs: AtomicU32,
    /// The number of state changes of its destinations, each counted before it is made.
    changes: AtomicU32,
    _after: [u64; 7],
}

// SAFETY: integers and atomics; zeroed its cursors are at the start.
unsafe impl ShmSafe for SetRecord {}

impl Kept for SetRecord {
    fn refs(&self) -> &AtomicU32 {
        &self.refs
    }

    unsafe fn give_back(counted: NonNull<Counted<Self>>, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { arena.free(counted.cast()) };
    }
}

impl SetRecord {
    /// Makes a record.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub(crate) fn create<A: Arena>(arena: &A) -> Result<Hold<'_, A, SetRecord>, OutOfMemory> {
        let record = Plan::<Counted<SetRecord>>::of_header()
            .alloc(arena)?
            .header();
        // SAFETY: just made, of this arena.
        Ok(unsafe { Hold::new(record, arena) })
    }

    /// Counts a state change of a destination, which is about to be made.
    pub fn announce_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns a number that differs after each change that was announced.
    pub fn changes(&self) -> u32 {
        self.changes.load(Ordering::SeqCst)
    }
}

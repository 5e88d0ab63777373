//! Retained counters: the records of removed destinations that still have calls.
//!
//! When a destination with a unique id leaves the lists, its record is retained here until its last
//! call has ended, or until the destination is listed again, which then finds its count. The writer
//! lock protects them.

use core::ptr::{self, NonNull};

use crate::dispatch::list::destination::SetId;

use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::refcount::Counted;

/// A record that no table points to.
struct Entry {
    next: *mut Entry,
    record: *mut Counted<DestRecord>,
    set: SetId,
    /// The last epoch in which the destination was to be had: until it is past, calls may come.
    epoch: u64,
    duid: ShmSlice<u8>,
}

// SAFETY: integers, arena pointers and a shared slice; zeroed it is a record of nobody. It is
// never linked before `Retained::keep` has written it.
unsafe impl ShmSafe for Entry {}

/// All such records. Lives in shared memory, behind the writer lock.
pub struct Retained {
    first: *mut Entry,
}

impl Retained {
    /// None.
    pub const EMPTY: Self = Retained {
        first: ptr::null_mut(),
    };

    /// Keeps the record of a destination that has left the lists. Without memory, or without a
    /// unique id, it is not kept: should the destination come back, it counts from 0.
    pub fn keep(&mut self, arena: &impl Arena, dest: &Dest, epoch: u64) {
        if let Some(duid) = dest.duid() {
            if let Ok(entry) = self.make(arena, dest, duid, epoch) {
                self.first = entry.as_ptr();
            }
        }
    }

    fn make(
        &self,
        arena: &impl Arena,
        dest: &Dest,
        duid: &[u8],
        epoch: u64,
    ) -> Result<NonNull<Entry>, OutOfMemory> {
        let mut plan = Plan::<Entry>::of_header();
        let text = plan.array(duid.len());
        let mut block = plan.alloc(arena)?;
        let text = block.slice(&text);
        // SAFETY: the block is ours alone until it is linked.
        unsafe { text.fill() }.copy_from_slice(duid);
        let entry = block.fill();
        entry.next = self.first;
        entry.record = dest.counted().as_ptr();
        entry.set = dest.set;
        entry.epoch = epoch;
        entry.duid = text;
        // SAFETY: the destination holds its record.
        unsafe { dest.counted().as_ref() }.retain();
        Ok(block.header())
    }

    /// The record of a destination that comes back.
    pub fn find(&self, set: SetId, duid: &[u8]) -> Option<NonNull<Counted<DestRecord>>> {
        let mut at = self.first;
        // SAFETY: entries in the list are live; the writer lock is held.
        while let Some(entry) = unsafe { at.as_ref() } {
            if entry.set == set && entry.duid.get().eq_ignore_ascii_case(duid) {
                return NonNull::new(entry.record);
            }
            at = entry.next;
        }
        None
    }

    /// Lets go of the records that `is_over` says are listed again or have no calls any more; it
    /// is given the set, the record, and the epoch in which the destination was last to be had.
    pub fn prune(&mut self, arena: &impl Arena, is_over: impl Fn(SetId, &DestRecord, u64) -> bool) {
        let mut link: *mut *mut Entry = &raw mut self.first;
        // SAFETY: the list's head, or the `next` of an entry in it; the writer lock is held.
        while let Some(entry) = NonNull::new(unsafe { *link }) {
            // SAFETY: entries in the list are live.
            let &Entry {
                next,
                record,
                set,
                epoch,
                ..
            } = unsafe { entry.as_ref() };
            let Some(record) = NonNull::new(record) else {
                return;
            };
            // SAFETY: the entry holds its record.
            if !is_over(set, unsafe { record.as_ref() }, epoch) {
                // SAFETY: as above.
                link = unsafe { &raw mut (*entry.as_ptr()).next };
                continue;
            }
            // SAFETY: as above; takes it out of the list.
            unsafe { *link = next };
            // SAFETY: gives up what `make` counted.
            unsafe { Counted::release(record, arena) };
            // SAFETY: out of the list, so nobody sees it any more.
            unsafe { arena.free(entry.cast()) };
        }
    }
}

//! Records of removed destinations that still have calls: one that comes back finds its count.
//!
//! When a destination with a unique id leaves the lists, its record is kept here until its last
//! call has ended, or until the destination is listed again. Touched under the writer lock only.

use core::ptr::{self, NonNull};

use crate::dispatch::list::destination::SetId;

use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::refcount::Counted;

/// A record that no table points to.
struct Orphan {
    next: *mut Orphan,
    record: *mut Counted<DestRecord>,
    set: SetId,
    /// The last epoch in which the destination was to be had: until it is past, calls may come.
    epoch: u64,
    duid: ShmSlice<u8>,
}

// SAFETY: integers, arena pointers and a shared slice; zeroed it is a record of nobody. It is
// never linked before `Orphans::keep` has written it.
unsafe impl ShmSafe for Orphan {}

/// All such records. Lives in shared memory, behind the writer lock.
pub struct Orphans {
    first: *mut Orphan,
}

impl Orphans {
    /// None.
    pub const EMPTY: Self = Orphans {
        first: ptr::null_mut(),
    };

    /// Keeps the record of a destination that has left the lists. Without memory, or without a
    /// unique id, it is not kept: should the destination come back, it counts from 0.
    pub fn keep(&mut self, arena: &impl Arena, dest: &Dest, epoch: u64) {
        if let Some(duid) = dest.duid() {
            if let Ok(orphan) = self.make(arena, dest, duid, epoch) {
                self.first = orphan.as_ptr();
            }
        }
    }

    fn make(
        &self,
        arena: &impl Arena,
        dest: &Dest,
        duid: &[u8],
        epoch: u64,
    ) -> Result<NonNull<Orphan>, OutOfMemory> {
        let mut plan = Plan::<Orphan>::of_header();
        let text = plan.array(duid.len()).ok_or(OutOfMemory)?;
        let mut block = plan.alloc(arena)?;
        let text = block.slice(&text);
        // SAFETY: the block is ours alone until it is linked.
        unsafe { text.fill() }.copy_from_slice(duid);
        let orphan = block.fill();
        orphan.next = self.first;
        orphan.record = dest.counted().as_ptr();
        orphan.set = dest.set;
        orphan.epoch = epoch;
        orphan.duid = text;
        // SAFETY: the destination holds its record.
        unsafe { dest.counted().as_ref() }.retain();
        Ok(block.header())
    }

    /// The record of a destination that comes back.
    pub fn find(&self, set: SetId, duid: &[u8]) -> Option<NonNull<Counted<DestRecord>>> {
        let mut at = self.first;
        // SAFETY: orphans in the list are live; the writer lock is held.
        while let Some(orphan) = unsafe { at.as_ref() } {
            if orphan.set == set && orphan.duid.get().eq_ignore_ascii_case(duid) {
                return NonNull::new(orphan.record);
            }
            at = orphan.next;
        }
        None
    }

    /// Lets go of the records that `is_over` says are listed again or have no calls any more; it
    /// is given the set, the record, and the epoch in which the destination was last to be had.
    pub fn prune(&mut self, arena: &impl Arena, is_over: impl Fn(SetId, &DestRecord, u64) -> bool) {
        let mut link: *mut *mut Orphan = &raw mut self.first;
        // SAFETY: the list's head, or the `next` of an orphan in it; the writer lock is held.
        while let Some(orphan) = NonNull::new(unsafe { *link }) {
            // SAFETY: orphans in the list are live.
            let &Orphan {
                next,
                record,
                set,
                epoch,
                ..
            } = unsafe { orphan.as_ref() };
            let Some(record) = NonNull::new(record) else {
                return;
            };
            // SAFETY: the orphan holds its record.
            if !is_over(set, unsafe { record.as_ref() }, epoch) {
                // SAFETY: as above.
                link = unsafe { &raw mut (*orphan.as_ptr()).next };
                continue;
            }
            // SAFETY: as above; takes it out of the list.
            unsafe { *link = next };
            // SAFETY: gives up what `make` counted.
            unsafe { Counted::release(record, arena) };
            // SAFETY: out of the list, so nobody sees it any more.
            unsafe { arena.free(orphan.cast()) };
        }
    }
}

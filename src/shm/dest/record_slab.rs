//! Pieces of destinations' records.
//!
//! What pings find and what a destination says of its load is kept beside the records, and only
//! once there is a reason to.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::overload::Overload;
use super::probing::Health;
use super::record::DestRecord;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::refcount::{Counted, Hold};
use crate::shm::memory::slab::{Maker, Piece};

/// What is known of some destinations beside their states. Zeroed nothing is known.
pub struct Vitals {
    /// What pings found.
    pub health: Health,
    /// What it reported of its load.
    pub overload: Overload,
}

// SAFETY: atomics only; zeroed nothing was found and nothing was reported.
unsafe impl ShmSafe for Vitals {}

/// A piece of records.
pub struct Batch {
    /// Records that somebody holds; one more while there may be new ones.
    live: AtomicU32,
    records: ShmSlice<Counted<DestRecord>>,
    /// As many as there are records, in a piece of their own; null before they are needed.
    vitals: AtomicPtr<Vitals>,
}

// SAFETY: atomics and a shared slice; zeroed it has no records.
unsafe impl ShmSafe for Batch {}

impl Piece for Batch {
    type Of = DestRecord;

    fn create(arena: &impl Arena, len: usize) -> Result<NonNull<Self>, OutOfMemory> {
        let mut plan = Plan::<Batch>::of_header();
        let records = plan.array(len);
        let mut block = plan.alloc(arena)?;
        let records = block.slice(&records);
        let batch = block.fill();
        batch.live = AtomicU32::new(1);
        batch.records = records;
        Ok(block.header())
    }

    fn live(&self) -> &AtomicU32 {
        &self.live
    }

    fn all(&self) -> &ShmSlice<Counted<DestRecord>> {
        &self.records
    }

    fn home(record: &DestRecord) -> &AtomicPtr<Self> {
        &record.home
    }

    unsafe fn free(batch: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        let vitals = unsafe { batch.as_ref() }.vitals.load(Ordering::Relaxed);
        if let Some(vitals) = NonNull::new(vitals) {
            // SAFETY: from this arena, and reached only through the piece.
            unsafe { arena.free(vitals.cast()) };
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(batch.cast()) };
    }
}

impl Batch {
    /// What is known of one of its records.
    pub(crate) fn vitals(&self, record: &DestRecord) -> Option<&Vitals> {
        let vitals = NonNull::new(self.vitals.load(Ordering::Acquire))?;
        let first = self.records.start()?.as_ptr() as usize;
        let at = (ptr::from_ref(record) as usize).checked_sub(first)? / size_of::<DestRecord>();
        if at >= self.records.len() {
            return None;
        }
        // SAFETY: there are as many as there are records.
        let of_record = unsafe { vitals.add(at) };
        // SAFETY: given back with the records.
        Some(unsafe { of_record.as_ref() })
    }

    /// Takes memory for what is known of its records, unless that was done before.
    pub(crate) fn make_vitals(&self, arena: &impl Arena) -> Result<(), OutOfMemory> {
        if !self.vitals.load(Ordering::Acquire).is_null() {
            return Ok(());
        }
        let mut plan = Plan::<[u64; 0]>::of_header();
        let vitals = plan.array::<Vitals>(self.records.len());
        let block = plan.alloc(arena)?;
        let made = block.slice(&vitals).start().ok_or(OutOfMemory)?;
        let none = ptr::null_mut();
        let swap =
            self.vitals
                .compare_exchange(none, made.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
        if swap.is_err() {
            // SAFETY: another process was faster; nobody has seen this one.
            unsafe { arena.free(block.header().cast()) };
        }
        Ok(())
    }
}

/// Makes records.
pub(crate) struct Records<'a, A: Arena> {
    maker: Maker<'a, A, Batch>,
    arena: &'a A,
    /// Whether there is a reason to keep the health of each from the start.
    watched: bool,
}

impl<'a, A: Arena> Records<'a, A> {
    /// Takes memory for about `wanted` records, as they are made.
    pub(crate) fn new(arena: &'a A, wanted: usize, watched: bool) -> Self {
        Records {
            maker: Maker::new(arena, wanted),
            arena,
            watched,
        }
    }

    /// A new record.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub(crate) fn make(&mut self) -> Result<Hold<'a, A, DestRecord>, OutOfMemory> {
        let record = self.maker.make()?;
        if self.watched {
            record.need_vitals(self.arena)?;
        }
        Ok(record)
    }
}

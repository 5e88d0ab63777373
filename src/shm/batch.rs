//! Records are made many in one piece: each piece of shared memory costs the server's allocator up
//! to a hundred bytes, which is more than a record.
//!
//! A piece is given back with the last of its records. What pings find and what a destination says
//! of its load is kept beside the records, and only once there is a reason to.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use super::counted::{Counted, Hold};
use super::health::Health;
use super::overload::Overload;
use super::record::DestRecord;

/// Most things of one piece: what one that stays keeps with it is small.
pub(super) const MOST: usize = 64;

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

impl Batch {
    /// A piece of so many records, that its maker holds.
    fn create(arena: &impl Arena, len: usize) -> Result<NonNull<Self>, OutOfMemory> {
        let mut plan = Plan::<Batch>::of_header();
        let records = plan.array(len).ok_or(OutOfMemory)?;
        let mut block = plan.alloc(arena)?;
        let records = block.slice(&records);
        let batch = block.fill();
        batch.live = AtomicU32::new(1);
        batch.records = records;
        Ok(block.header())
    }

    /// Gives up a place in it; with the last one, gives back the piece.
    ///
    /// # Safety
    /// The caller has that place, `arena` is the piece's, and nobody reads its record any more.
    pub(super) unsafe fn leave(batch: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller's place keeps it.
        let live = unsafe { &(*batch.as_ptr()).live };
        if live.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        // SAFETY: as above; that was the last place.
        let vitals = unsafe { batch.as_ref() }.vitals.load(Ordering::Relaxed);
        if let Some(vitals) = NonNull::new(vitals) {
            // SAFETY: from this arena, and reached only through the piece.
            unsafe { arena.free(vitals.cast()) };
        }
        // SAFETY: nobody has a place in it any more.
        unsafe { arena.free(batch.cast()) };
    }

    /// What is known of one of its records.
    pub(super) fn vitals(&self, record: &DestRecord) -> Option<&Vitals> {
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
    pub(super) fn make_vitals(&self, arena: &impl Arena) -> Result<(), OutOfMemory> {
        if !self.vitals.load(Ordering::Acquire).is_null() {
            return Ok(());
        }
        let mut plan = Plan::<[u64; 0]>::of_header();
        let vitals = plan
            .array::<Vitals>(self.records.len())
            .ok_or(OutOfMemory)?;
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
pub(super) struct Records<'a, A: Arena> {
    arena: &'a A,
    /// Those that are still to be made, as far as is known.
    wanted: usize,
    /// Whether there is a reason to keep the health of each from the start.
    watched: bool,
    batch: Option<NonNull<Batch>>,
    /// Records of that piece that were given out.
    taken: usize,
}

impl<'a, A: Arena> Records<'a, A> {
    /// Takes memory for about `wanted` records, as they are made.
    pub(super) fn new(arena: &'a A, wanted: usize, watched: bool) -> Self {
        Records {
            arena,
            wanted,
            watched,
            batch: None,
            taken: 0,
        }
    }

    /// A new record.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub(super) fn make(&mut self) -> Result<Hold<'a, A, DestRecord>, OutOfMemory> {
        let (home, record) = match self.next() {
            Some(next) => next,
            None => {
                self.open()?;
                self.next().ok_or(OutOfMemory)?
            }
        };
        self.taken += 1;
        self.wanted = self.wanted.saturating_sub(1);
        // SAFETY: held by `self`.
        unsafe { home.as_ref() }
            .live
            .fetch_add(1, Ordering::Relaxed);
        // SAFETY: in a piece that is there, and seen by nobody.
        let place = unsafe { &record.as_ref().home };
        place.store(home.as_ptr(), Ordering::Relaxed);
        Ok(Hold::new(record, self.arena))
    }

    /// The next free record of the piece.
    fn next(&self) -> Option<(NonNull<Batch>, NonNull<Counted<DestRecord>>)> {
        let home = self.batch?;
        // SAFETY: held by `self`.
        let records = unsafe { &home.as_ref().records };
        if self.taken >= records.len() {
            return None;
        }
        // SAFETY: within the array.
        Some((home, unsafe { records.start()?.add(self.taken) }))
    }

    /// Takes memory for more records.
    fn open(&mut self) -> Result<(), OutOfMemory> {
        let batch = Batch::create(self.arena, self.wanted.clamp(1, MOST))?;
        self.close();
        (self.batch, self.taken) = (Some(batch), 0);
        if self.watched {
            // SAFETY: just made.
            unsafe { batch.as_ref() }.make_vitals(self.arena)?;
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(batch) = self.batch.take() {
            // SAFETY: gives up the place that it was made with.
            unsafe { Batch::leave(batch, self.arena) };
        }
    }
}

impl<A: Arena> Drop for Records<'_, A> {
    fn drop(&mut self) {
        self.close();
    }
}

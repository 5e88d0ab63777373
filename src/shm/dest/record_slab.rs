//! Slabs of records: each allocation costs the server's allocator up to a hundred bytes of its own,
//! which is more than a record, so up to 64 records are made in one.
//!
//! A slab counts the records that somebody holds, and is given back with the last one. What pings
//! find and what a destination reports of its load lies beside the records, once there is a reason
//! to keep it.

use core::ops::Range;
use core::ptr::{self, NonNull};

use super::overload::Overload;
use super::ping_word::PingWord;
use super::probing::Health;
use super::record::DestRecord;
use super::register::RegisterCell;
use super::traffic::Traffic;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::{AtomicPtr, AtomicU32, Ordering};
use crate::shm::memory::refcount::{Counted, Hold};
use crate::shm::observe::counters::{self, COLUMNS, DestCounts};

/// Most records of one slab: one record that stays keeps no more neighbours than these.
pub(crate) const MOST: usize = 64;

/// The vitals of a destination: what is known of it beside its state. Zeroed nothing is known.
pub struct Vitals {
    /// The results of its pings.
    pub health: Health,
    /// The load that it reported.
    pub overload: Overload,
    /// The news that its requests have of it.
    pub traffic: Traffic,
}

// SAFETY: atomics only; zeroed nothing was found, reported or said.
unsafe impl ShmSafe for Vitals {}

/// A slab of records.
pub struct RecordSlab {
    /// Records that somebody holds; one more while more may be given out.
    live: AtomicU32,
    records: ShmSlice<Counted<DestRecord>>,
    /// As many as there are records, in a piece of their own; null before they are needed. Whoever follows a change of
    /// what is in them also sees that they are there, so it is of the same order as that: `SeqCst`.
    vitals: AtomicPtr<Vitals>,
    /// As many as there are records, in the same piece; none unless destinations have counters.
    counts: ShmSlice<DestCounts>,
    /// As many as there are records, in the same piece; none unless the states of destinations are shared in a cluster.
    registers: ShmSlice<RegisterCell>,
    /// As many as there are records, in the same piece; none unless there is a cluster and destinations are pinged.
    ping_words: ShmSlice<PingWord>,
}

/// What lies beside the records of a slab from the start.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    /// Counters.
    counts: bool,
    /// Registers of the cluster.
    registers: bool,
    /// The words of those that ping.
    ping_words: bool,
}

// SAFETY: atomics and a shared slice; zeroed it has no records.
unsafe impl ShmSafe for RecordSlab {}

impl RecordSlab {
    /// Makes a slab of so many records, which its maker holds: `live` is 1.
    fn create(
        arena: &impl Arena,
        len: usize,
        beside: Beside,
    ) -> Result<NonNull<Self>, OutOfMemory> {
        let mut plan = Plan::<RecordSlab>::of_header();
        let records = plan.array(len);
        let registers = plan.array(if beside.registers { len } else { 0 });
        let ping_words = plan.array(if beside.ping_words { len } else { 0 });
        let len = if beside.counts { len } else { 0 };
        let (counts, sharded) = (plan.array(len), plan.array(len.div_ceil(COLUMNS)));
        let mut block = plan.alloc(arena)?;
        let (records, registers) = (block.slice(&records), block.slice(&registers));
        let ping_words = block.slice(&ping_words);
        let (counts, sharded) = (block.slice(&counts), block.slice(&sharded));
        // SAFETY: all of the piece, which nobody else sees, and which has a column for each.
        unsafe { counters::start(&counts, &sharded) };
        let slab = block.fill();
        slab.live.store(1, Ordering::Relaxed);
        (slab.records, slab.counts, slab.registers) = (records, counts, registers);
        slab.ping_words = ping_words;
        Ok(block.header())
    }

    /// Gives up a place in a slab; with the last one, gives back the slab.
    ///
    /// # Safety
    /// The caller has that place, the slab came from this arena, and nobody reads what is in the
    /// place any more.
    pub(crate) unsafe fn leave(slab: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller's place keeps it.
        let RecordSlab { live, vitals, .. } = unsafe { slab.as_ref() };
        if live.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        if let Some(vitals) = NonNull::new(vitals.load(Ordering::Relaxed)) {
            // SAFETY: from this arena, and reached only through the slab, which nobody holds.
            unsafe { arena.free(vitals.cast()) };
        }
        // SAFETY: from this arena, and nobody holds it.
        unsafe { arena.free(slab.cast()) };
    }

    /// Returns the vitals of one of its records.
    pub(crate) fn vitals(&self, record: &DestRecord) -> Option<&Vitals> {
        let vitals = NonNull::new(self.vitals.load(Ordering::SeqCst))?;
        let at = self.place(record)?;
        // SAFETY: there are as many as there are records.
        let of_record = unsafe { vitals.add(at) };
        // SAFETY: given back with the records.
        Some(unsafe { of_record.as_ref() })
    }

    /// Returns what was counted of one of its records, if destinations have counters.
    pub(crate) fn counts(&self, record: &DestRecord) -> Option<&DestCounts> {
        self.counts.get().get(self.place(record)?)
    }

    /// Returns the register of one of its records, if states are shared in a cluster.
    pub(crate) fn register(&self, record: &DestRecord) -> Option<&RegisterCell> {
        self.registers.get().get(self.place(record)?)
    }

    /// Returns the words of those that ping one of its records, in a cluster.
    pub(crate) fn ping_word(&self, record: &DestRecord) -> Option<&PingWord> {
        self.ping_words.get().get(self.place(record)?)
    }

    /// Returns the place of one of its records.
    fn place(&self, record: &DestRecord) -> Option<usize> {
        let of_slab = self.records.get().as_ptr_range();
        let record: *const Counted<DestRecord> = ptr::from_ref(record).cast();
        let offset = record.addr().wrapping_sub(of_slab.start.addr());
        of_slab
            .contains(&record)
            .then_some(offset / size_of::<DestRecord>())
    }

    /// Takes memory for the vitals of its records, unless that was done before.
    pub(crate) fn make_vitals(&self, arena: &impl Arena) -> Result<(), OutOfMemory> {
        if !self.vitals.load(Ordering::SeqCst).is_null() {
            return Ok(());
        }
        let made = ShmSlice::<Vitals>::create(arena, self.records.len())?;
        let first = made.start().map_or(ptr::null_mut(), NonNull::as_ptr);
        let swap = self.vitals.compare_exchange(
            ptr::null_mut(),
            first,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        if swap.is_err() {
            // SAFETY: another process was faster; nobody has seen this one.
            unsafe { made.free(arena) };
        }
        Ok(())
    }
}

/// Makes records, a slab of them at a time.
pub(crate) struct Records<'a, A: Arena> {
    arena: &'a A,
    /// Records that are still to be made, as far as is known.
    wanted: usize,
    /// True when there is a reason to keep the vitals of each from the start.
    watched: bool,
    beside: Beside,
    /// The slab in which there may be free places, and those.
    open: Option<(NonNull<RecordSlab>, Range<usize>)>,
}

impl<'a, A: Arena> Records<'a, A> {
    /// Takes memory for about `wanted` records, as they are made.
    pub(crate) fn new(arena: &'a A, wanted: usize, watched: bool) -> Self {
        Records {
            arena,
            wanted,
            watched,
            beside: Beside::default(),
            open: None,
        }
    }

    /// Returns these with or without counters for each.
    pub(crate) fn counted(mut self, counted: bool) -> Self {
        self.beside.counts = counted;
        self
    }

    /// Returns these with or without a register of the cluster for each.
    pub(crate) fn shared(mut self, shared: bool) -> Self {
        self.beside.registers = shared;
        self
    }

    /// Returns these with or without the words of those that ping each.
    pub(crate) fn pinged(mut self, pinged: bool) -> Self {
        self.beside.ping_words = pinged;
        self
    }

    /// Makes a new record.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub(crate) fn make(&mut self) -> Result<Hold<'a, A, DestRecord>, OutOfMemory> {
        let record = loop {
            match self.next() {
                Some(record) => break record,
                None => self.open()?,
            }
        };
        if self.watched {
            record.need_vitals(self.arena)?;
        }
        Ok(record)
    }

    /// Returns the next free record of the slab.
    fn next(&mut self) -> Option<Hold<'a, A, DestRecord>> {
        let (slab, free) = self.open.as_mut()?;
        let at = free.next()?;
        self.wanted = self.wanted.saturating_sub(1);
        // SAFETY: `self` has a place in it.
        let RecordSlab { live, records, .. } = unsafe { slab.as_ref() };
        // SAFETY: within the array.
        let record = unsafe { records.start()?.add(at) };
        live.fetch_add(1, Ordering::Relaxed);
        // SAFETY: in a slab that is there, and seen by nobody.
        let home = &unsafe { record.as_ref() }.home;
        home.store(slab.as_ptr(), Ordering::Relaxed);
        // SAFETY: just made, of this arena.
        Some(unsafe { Hold::new(record, self.arena) })
    }

    /// Takes memory for more of them.
    fn open(&mut self) -> Result<(), OutOfMemory> {
        let count = self.wanted.clamp(1, MOST);
        let slab = RecordSlab::create(self.arena, count, self.beside)?;
        self.close();
        self.open = Some((slab, 0..count));
        Ok(())
    }

    fn close(&mut self) {
        if let Some((slab, _)) = self.open.take() {
            // SAFETY: gives up the place that it was made with.
            unsafe { RecordSlab::leave(slab, self.arena) };
        }
    }
}

impl<A: Arena> Drop for Records<'_, A> {
    fn drop(&mut self) {
        self.close();
    }
}

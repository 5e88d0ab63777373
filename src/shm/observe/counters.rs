//! Counters of each set and of each destination, for `counters` 2.
//!
//! A selection by hash writes nothing that other processes write, so a counter in one word would make selections wait
//! for each other. Each counter has a word in each of eight shards, processes are spread over the shards, and two shards
//! share no cache line. What comes with a failure, a failover or a mark, has one word for all processes.

use core::ptr::NonNull;

use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::{AtomicU64, Ordering::Relaxed};
use core::sync::atomic::AtomicUsize;

/// The number of shards.
const SHARDS: usize = 8;

/// The number of counters that share shards.
pub(crate) const COLUMNS: usize = 8;

/// The words of some of the processes, and a cache line that keeps them apart from those of the next shard, wherever
/// the arena puts them.
#[repr(C)]
struct Shard {
    words: [AtomicU64; COLUMNS],
    _gap: [u64; 8],
}

/// The shard in which a process counts.
pub struct OwnShard(
    /// Its distance from the first one in bytes: that of one of the [`SHARDS`].
    AtomicUsize,
);

impl OwnShard {
    /// Returns the first shard.
    pub const fn first() -> Self {
        OwnShard(AtomicUsize::new(0))
    }

    /// Chooses the shard of the process with this number, so that neighbours have different ones.
    pub fn choose(&self, process: usize) {
        self.0.store(process % SHARDS * size_of::<Shard>(), Relaxed);
    }
}

/// Eight counters.
#[repr(transparent)]
pub(crate) struct Sharded([Shard; SHARDS]);

// SAFETY: integers and atomics; zeroed nothing was counted.
unsafe impl ShmSafe for Sharded {}

/// A counter. It lies in shared memory, as what it points to.
pub(crate) struct Counter {
    /// Its word in the first shard; those of the other shards follow at the distance of a [`Shard`].
    first: *mut AtomicU64,
}

// SAFETY: an arena pointer. Zeroed it is null, and not used before `Counter::of` has made it.
unsafe impl ShmSafe for Counter {}

impl Counter {
    /// Returns the counter in a column.
    ///
    /// # Safety
    /// `sharded` lives as long as the counter is used, and `column` is less than [`COLUMNS`].
    pub(crate) unsafe fn of(sharded: NonNull<Sharded>, column: usize) -> Self {
        // SAFETY: the first shard begins with its words, of which this is one.
        let first = unsafe { sharded.cast::<AtomicU64>().add(column) };
        Counter {
            first: first.as_ptr(),
        }
    }

    /// Returns the same counter for another holder, which does not outlive this one.
    pub(crate) fn share(&self) -> Self {
        Counter { first: self.first }
    }

    /// Returns the word of the shard at this distance.
    #[inline(always)]
    fn word(&self, distance: usize) -> &AtomicU64 {
        // SAFETY: `of` was given all shards, and the distance is that of one of them.
        let word = unsafe { self.first.byte_add(distance) };
        // SAFETY: the shards live as long as `self` is used.
        unsafe { &*word }
    }

    /// Counts one more.
    #[inline(always)]
    pub(crate) fn count(&self, shard: &OwnShard) {
        self.word(shard.0.load(Relaxed)).fetch_add(1, Relaxed);
    }

    /// Returns what was counted.
    pub(crate) fn get(&self) -> u64 {
        let distances = (0..SHARDS).map(|shard| shard * size_of::<Shard>());
        let words = distances.map(|distance| self.word(distance).load(Relaxed));
        words.fold(0, u64::wrapping_add)
    }
}

/// A moment, and the status code that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// In milliseconds of the clock that all processes share.
    pub at_ms: u64,
    /// The code.
    pub code: u16,
}

/// A [`Moment`] in shared memory.
struct MomentCell(AtomicU64);

impl MomentCell {
    const CODE_BITS: u32 = u16::BITS;

    fn set(&self, Moment { at_ms, code }: Moment) {
        let word = (at_ms << Self::CODE_BITS) | u64::from(code);
        self.0.store(word, Relaxed);
    }

    fn get(&self) -> Option<Moment> {
        let word = self.0.load(Relaxed);
        let [low, high, ..] = word.to_le_bytes();
        (word != 0).then_some(Moment {
            at_ms: word >> Self::CODE_BITS,
            code: u16::from_le_bytes([low, high]),
        })
    }
}

/// What was counted of a destination.
pub struct DestCounts {
    pub(crate) selections: Counter,
    failovers: AtomicU64,
    last_failover: MomentCell,
    last_mark: MomentCell,
    /// The selections that the last [`DestCounts::watch`] has seen, and the second in which one first saw so many.
    seen: AtomicU64,
    seen_s: AtomicU64,
}

// SAFETY: an arena pointer and atomics. Zeroed nothing was counted; it is not used before it has its counter.
unsafe impl ShmSafe for DestCounts {}

impl DestCounts {
    /// Returns how often it was chosen, first or by failover.
    pub fn selections(&self) -> u64 {
        self.selections.get()
    }

    /// Returns how often it was left for the next destination.
    pub fn failovers(&self) -> u64 {
        self.failovers.load(Relaxed)
    }

    /// Returns when it was last left for the next destination, and the status that was the reason.
    pub fn last_failover(&self) -> Option<Moment> {
        self.last_failover.get()
    }

    /// Returns when the script last marked it, and the status that was the reason.
    pub fn last_mark(&self) -> Option<Moment> {
        self.last_mark.get()
    }

    /// Looks once a second whether it was chosen, in one process: a selection itself notes no time.
    pub fn watch(&self, now_s: u64) {
        let selections = self.selections();
        if self.seen.swap(selections, Relaxed) != selections {
            self.seen_s.store(now_s, Relaxed);
        }
    }

    /// Returns the second of the last selection: as far as it was watched then, else when that began. `None` if it was
    /// never chosen.
    pub fn last_selection_s(&self) -> Option<u64> {
        Some(self.seen_s.load(Relaxed)).filter(|&second| second != 0)
    }

    /// Returns its size in bytes.
    pub(crate) const fn bytes() -> usize {
        size_of::<Self>() + size_of::<Sharded>() / COLUMNS
    }

    /// Counts that it was left for the next destination.
    pub fn count_failover(&self, moment: Moment) {
        self.failovers.fetch_add(1, Relaxed);
        self.last_failover.set(moment);
    }

    /// Notes that the script has marked it.
    pub fn note_mark(&self, moment: Moment) {
        self.last_mark.set(moment);
    }
}

/// Gives each destination of a slab its counter.
///
/// # Safety
/// Nobody else sees the slices yet, which live equally long, and there is a column for each destination.
pub(crate) unsafe fn start(counts: &ShmSlice<DestCounts>, sharded: &ShmSlice<Sharded>) {
    let Some(first) = sharded.start() else { return };
    // SAFETY: the caller's promise.
    for (at, count) in unsafe { counts.fill() }.iter_mut().enumerate() {
        // SAFETY: the caller promises that there are so many.
        let of = unsafe { first.add(at / COLUMNS) };
        // SAFETY: the caller promises that it lives as long; the column is one of its own.
        count.selections = unsafe { Counter::of(of, at % COLUMNS) };
    }
}

/// What was counted of a set: a piece of its own.
pub struct SetCounts {
    selections: Counter,
    selections_failed: Counter,
    failovers: Counter,
}

// SAFETY: arena pointers. Zeroed they are null, and not used before `create` has made them.
unsafe impl ShmSafe for SetCounts {}

impl SetCounts {
    /// Makes the counters of a set.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub(crate) fn create(arena: &impl Arena) -> Result<NonNull<Self>, OutOfMemory> {
        let mut plan = Plan::<SetCounts>::of_header();
        let sharded = plan.array::<Sharded>(1);
        let mut block = plan.alloc(arena)?;
        let sharded = block.slice(&sharded).start().ok_or(OutOfMemory)?;
        // SAFETY: it lies in the same piece as the counter, and there are more columns than these.
        let column = |column| unsafe { Counter::of(sharded, column) };
        let counts = block.fill();
        counts.selections = column(0);
        counts.selections_failed = column(1);
        counts.failovers = column(2);
        Ok(block.header())
    }

    /// Returns its size in bytes.
    pub(crate) const fn bytes() -> usize {
        size_of::<Self>() + size_of::<Sharded>()
    }

    /// Returns how often a destination was chosen, first or by failover.
    pub fn selections(&self) -> u64 {
        self.selections.get()
    }

    /// Returns how often a selection found no destination.
    pub fn selections_failed(&self) -> u64 {
        self.selections_failed.get()
    }

    /// Returns how often a destination was left for the next one.
    pub fn failovers(&self) -> u64 {
        self.failovers.get()
    }

    /// Counts a selection that found no destination.
    pub fn count_failed(&self, shard: &OwnShard) {
        self.selections_failed.count(shard);
    }

    /// Counts that a destination was left for the next one.
    pub fn count_failover(&self, shard: &OwnShard) {
        self.failovers.count(shard);
    }
}

/// The counters of the selections of a destination: its own, and that of its set. They lie in the view, so that
/// a selection finds them at the place of the destination.
pub(crate) struct Selections {
    dest: Counter,
    set: Counter,
}

// SAFETY: arena pointers. Zeroed they are null, and not used before `Selections::of` has made them.
unsafe impl ShmSafe for Selections {}

impl Selections {
    /// Returns the counters of a destination and of its set, which live as long as they are used.
    pub(crate) fn of(dest: &DestCounts, set: &SetCounts) -> Self {
        Selections {
            dest: dest.selections.share(),
            set: set.selections.share(),
        }
    }

    /// Counts one more.
    #[inline(always)]
    pub(crate) fn count(&self, shard: &OwnShard) {
        self.dest.count(shard);
        self.set.count(shard);
    }
}

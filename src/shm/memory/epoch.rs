//! When a replaced piece may be freed: readers pin, writers retire.
//!
//! A reader writes the current epoch into its process's slot before it loads a published pointer,
//! and clears the slot when it is done. A writer replaces the pointer, raises the epoch, and notes
//! the epoch in which the old piece was last to be had. The piece is freed when no slot holds an
//! epoch at or before that one. Readers never wait, writers never wait for readers.
//!
//! It is sound across processes because slots and epoch are atomics in memory that all processes map
//! at one address, and because of two fences. The reader's is between its pin and its loads of pointers;
//! the writer's is in [`Epochs::advance`], between the replacement and the scan of the slots. One of them
//! comes first:
//!
//! - The reader's: then the scan sees its pin, or what the process wrote there later.
//! - The writer's: then the reader sees the new pointer. A reader whose pin is of a later epoch also has
//!   seen that epoch begin, which came after the writer's fence.
//!
//! Accesses that are `SeqCst` would not do without the fences, unless all pointers to what is retired were
//! accessed so too. For the epochs it is enough that a published pointer is stored with `Release` and loaded with
//! `Acquire`, as the index of addresses is. The pointers to the table and to views must be `SeqCst`, because changes of
//! states follow them (`Writer::publish` in `table/writer.rs`).
//!
//! A process writes to its slot with `Release`, and the scan reads with `Acquire`: all that was read under an
//! earlier pin was read before whoever sees a later one frees it. Loom proves it (`doc/dev/models.md`).
//!
//! A process that dies with a pin set takes the whole server down with it (`doc/dev/safety.md`, children).
//! One that is stopped holds its pin, and with it all that is replaced meanwhile: [`Epochs::watch`] tells
//! of it, and what is held has a bound (`table/writer.rs`).

use super::arena::{Arena, OutOfMemory, ShmSafe, ShmSlice};
use super::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use super::atomic::{AtomicU32, AtomicU64, fence};
use super::watch::Watch;

/// The pin of one process. Its words are in the middle of two cache lines that are its own, wherever
/// the arena puts the array: readers do not disturb each other.
struct Slot {
    _before: [u64; 7],
    /// The epoch in which it pinned; 0 when it holds no pin.
    epoch: AtomicU64,
    /// Pins that it holds. Nobody but the process itself looks at this.
    pins: AtomicU64,
    /// Its process id; 0 before it is told.
    pid: AtomicU64,
    /// How long it has pinned this epoch.
    watch: Watch,
    _after: [u64; 3],
}

impl Slot {
    fn held(&self, for_s: u64) -> Held {
        let pid = u32::try_from(self.pid.load(Relaxed)).unwrap_or(0);
        Held { pid, for_s }
    }
}

/// A process that holds something, and for how many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The process id; 0 if it is not known.
    pub pid: u32,
    /// Seconds, as far as they were watched.
    pub for_s: u64,
}

// SAFETY: atomics and integers; zeroed it holds no pin.
unsafe impl ShmSafe for Slot {}

/// Epochs and pins of all processes. Lives in shared memory.
pub struct Epochs {
    now: AtomicU64,
    /// Readers without a slot of their own: nothing is freed while there are some.
    strays: AtomicU32,
    /// One slot a process.
    slots: ShmSlice<Slot>,
}

// SAFETY: atomics and a shared slice; zeroed it has no slots and is started by `start`.
unsafe impl ShmSafe for Epochs {}

impl Epochs {
    /// Sets the first epoch; epoch 0 means "not pinned".
    pub fn start(&self) {
        self.now.store(1, Relaxed);
    }

    /// Makes a slot for each of `processes` processes, numbered from 0.
    ///
    /// Called once, before the server forks; until then all readers are strays, which is right for
    /// a single process.
    ///
    /// # Errors
    /// [`OutOfMemory`]: all readers stay strays.
    pub fn make_slots(&mut self, arena: &impl Arena, processes: usize) -> Result<(), OutOfMemory> {
        self.slots = ShmSlice::create(arena, processes)?;
        Ok(())
    }

    /// Gives the slots back, when no other process is left.
    pub fn free_slots(&mut self, arena: &impl Arena) {
        let slots = core::mem::replace(&mut self.slots, ShmSlice::EMPTY);
        // SAFETY: `make_slots` took them from this arena; nobody is left to pin.
        unsafe { slots.free(arena) };
    }

    /// Pins the epoch for the process with this number, which must be the caller's own.
    ///
    /// A process may hold several pins and drop them in any order: the first one counts until the
    /// last one is gone.
    pub fn pin(&self, process: usize) -> Pin<'_> {
        let slot = self.slots.get().get(process);
        match slot {
            Some(slot) => {
                let pins = slot.pins.load(Relaxed);
                slot.pins.store(pins + 1, Relaxed);
                if pins == 0 {
                    let now = self.now.load(Relaxed);
                    slot.epoch.store(now, Release);
                    fence(SeqCst);
                }
            }
            None => {
                self.strays.fetch_add(1, Relaxed);
                fence(SeqCst);
            }
        }
        Pin { epochs: self, slot }
    }

    /// Ends the current epoch, after a piece was replaced; returns the epoch that ended.
    pub fn advance(&self) -> u64 {
        fence(SeqCst);
        self.now.fetch_add(1, Relaxed)
    }

    /// Returns the oldest epoch that a reader has pinned: what was replaced in an earlier one can be seen by nobody.
    /// It is 0 while there are readers without a slot, and the greatest number if there is no reader.
    pub fn oldest(&self) -> u64 {
        if self.strays.load(Acquire) > 0 {
            return 0;
        }
        let pinned = self.slots.get().iter().map(|slot| slot.epoch.load(Acquire));
        pinned.filter(|&epoch| epoch != 0).min().unwrap_or(u64::MAX)
    }

    /// Returns true if the process with this number, which is the caller, holds a pin.
    pub fn is_pinned(&self, process: usize) -> bool {
        match self.slots.get().get(process) {
            Some(slot) => slot.pins.load(Relaxed) > 0,
            None => self.strays.load(Relaxed) > 0,
        }
    }

    /// Tells the process id of the process with this number, which is the caller.
    pub fn introduce(&self, process: usize) {
        if let Some(slot) = self.slots.get().get(process) {
            slot.pid.store(std::process::id().into(), Relaxed);
        }
    }

    /// Looks at all pins, once a second. Returns those that have just become long ones.
    ///
    /// It ends the epoch, so that a pin of the next second is another one.
    pub fn watch(&self, now_s: u64) -> Vec<Held> {
        let slots = self.slots.get().iter();
        let long = slots.filter_map(|slot| {
            let for_s = slot.watch.look(slot.epoch.load(Relaxed), now_s)?;
            Some(slot.held(for_s))
        });
        let long = long.collect();
        self.advance();
        long
    }

    /// Returns the pin that has lasted longest, of those that have lasted for more than a second.
    pub fn oldest_pin(&self, now_s: u64) -> Option<Held> {
        let slots = self.slots.get().iter();
        let pins = slots.map(|slot| slot.held(slot.watch.seconds(slot.epoch.load(Relaxed), now_s)));
        let lasting = pins.filter(|pin| pin.for_s > 1);
        lasting.max_by_key(|pin| pin.for_s)
    }
}

/// While it lives, nothing that its process can load is freed.
pub struct Pin<'e> {
    epochs: &'e Epochs,
    /// `None` for a stray.
    slot: Option<&'e Slot>,
}

impl Pin<'_> {
    /// Returns the epoch that its process has pinned; 0 for a stray.
    pub fn epoch(&self) -> u64 {
        self.slot.map_or(0, |slot| slot.epoch.load(Relaxed))
    }
}

impl Drop for Pin<'_> {
    #[inline]
    fn drop(&mut self) {
        let Some(slot) = self.slot else {
            self.epochs.strays.fetch_sub(1, Release);
            return;
        };
        let pins = slot.pins.load(Relaxed).wrapping_sub(1);
        slot.pins.store(pins, Relaxed);
        if pins == 0 {
            // All that was read under the pin was read before whoever frees it sees this.
            slot.epoch.store(0, Release);
        }
    }
}

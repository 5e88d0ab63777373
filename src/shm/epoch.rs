//! When a replaced piece may be freed: readers pin, writers retire.
//!
//! A reader writes the current epoch into its process's slot before it loads a published pointer,
//! and clears the slot when it is done. A writer replaces the pointer, raises the epoch, and notes
//! the epoch in which the old piece was last to be had. The piece is freed when no slot holds an
//! epoch at or before that one. Readers never wait, writers never wait for readers.
//!
//! Why it is sound across processes: slots and epoch are atomics in memory that all processes map
//! at one address. All accesses that order a pin against a publication are sequentially
//! consistent: either the writer that scans the slots sees the pin, or the reader that pinned sees
//! the new pointer. A process that dies with a pin set takes the whole server down with it
//! (`doc/safety.md`, children), so no slot is held for ever.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use super::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};

/// Words from one slot to the next: a cache line, so that readers do not disturb each other.
const STRIDE: usize = 8;

/// Epochs and pins of all processes. Lives in shared memory.
pub struct Epochs {
    now: AtomicU64,
    /// Readers without a slot of their own: nothing is freed while there are some.
    strays: AtomicU32,
    /// One padded slot a process: 0, or the epoch in which it pinned.
    slots: ShmSlice<AtomicU64>,
}

// SAFETY: atomics and a shared slice; zeroed it has no slots and is started by `start`.
unsafe impl ShmSafe for Epochs {}

impl Epochs {
    /// Sets the first epoch; epoch 0 means "not pinned".
    pub fn start(&self) {
        self.now.store(1, SeqCst);
    }

    /// Makes a slot for each of `processes` processes, numbered from 0.
    ///
    /// Called once, before the server forks; until then all readers are strays, which is right for
    /// a single process.
    ///
    /// # Errors
    /// [`OutOfMemory`]: all readers stay strays.
    pub fn make_slots(&mut self, arena: &impl Arena, processes: usize) -> Result<(), OutOfMemory> {
        let mut plan = Plan::<[AtomicU64; 0]>::of_header();
        let words = processes
            .checked_add(1)
            .and_then(|slots| slots.checked_mul(STRIDE));
        let field = words
            .and_then(|words| plan.array(words))
            .ok_or(OutOfMemory)?;
        self.slots = plan.alloc(arena)?.slice(&field);
        Ok(())
    }

    /// Gives the slots back, when no other process is left.
    pub fn free_slots(&mut self, arena: &impl Arena) {
        let slots = core::mem::replace(&mut self.slots, ShmSlice::EMPTY);
        if let Some(first) = slots.start() {
            // SAFETY: `make_slots` took them from this arena; nobody is left to pin.
            unsafe { arena.free(first.cast()) };
        }
    }

    /// Pins the epoch for the process with this number. Nested pins are one pin.
    pub fn pin(&self, process: usize) -> Pin<'_> {
        let slot = process
            .checked_add(1)
            .and_then(|at| self.slots.get().get(at * STRIDE));
        let Some(slot) = slot else {
            self.strays.fetch_add(1, SeqCst);
            return Pin {
                epochs: self,
                held: Held::Stray,
            };
        };
        if slot.load(SeqCst) != 0 {
            return Pin {
                epochs: self,
                held: Held::Nested,
            };
        }
        slot.store(self.now.load(SeqCst), SeqCst);
        Pin {
            epochs: self,
            held: Held::Slot(slot),
        }
    }

    /// Ends the current epoch, after a piece was replaced; returns the epoch that ended.
    pub fn advance(&self) -> u64 {
        self.now.fetch_add(1, SeqCst)
    }

    /// True when no reader can still see what was replaced in epoch `retired` or before.
    pub fn is_past(&self, retired: u64) -> bool {
        let pinned = self.slots.get().iter().step_by(STRIDE).skip(1);
        self.strays.load(SeqCst) == 0
            && pinned
                .map(|slot| slot.load(SeqCst))
                .all(|epoch| epoch == 0 || epoch > retired)
    }
}

/// How a pin is recorded.
enum Held<'e> {
    Slot(&'e AtomicU64),
    Stray,
    Nested,
}

/// While it lives, nothing that its process can load is freed.
pub struct Pin<'e> {
    epochs: &'e Epochs,
    held: Held<'e>,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        match self.held {
            Held::Slot(slot) => slot.store(0, SeqCst),
            Held::Stray => {
                self.epochs.strays.fetch_sub(1, SeqCst);
            }
            Held::Nested => {}
        }
    }
}

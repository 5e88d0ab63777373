//! Calls that were placed beside a draining destination, so that they stay where they went.
//!
//! A hash has no memory. While a destination drains, a request inside a dialog whose hash falls on
//! it belongs to a call that is there, unless the call began after the drain did: then it went to
//! the next one. These calls, and only these, are noted here, as fingerprints in a table of fixed
//! size without locks; the longest unused of eight makes room for a new one.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::dispatch::dest::SetId;

use super::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};

/// Entries that a call may be in.
const WAYS: usize = 8;

/// Groups of entries: room for 32,768 calls.
const GROUPS: usize = 4_096;

/// Tries to write an entry that others write too.
const TRIES: usize = 4;

/// The table in shared memory.
struct Root {
    /// Fingerprint above, second of the last use below; 0 is free.
    entries: ShmSlice<AtomicU64>,
}

// SAFETY: a shared slice; zeroed it is a table without entries.
unsafe impl ShmSafe for Root {}

/// One process's way to the table. Made before the server forks, then copied by the fork.
pub struct Diverted {
    root: NonNull<Root>,
}

// SAFETY: the root points to atomics only.
unsafe impl Sync for Diverted {}
// SAFETY: as above; the root belongs to no process.
unsafe impl Send for Diverted {}

/// Group and fingerprint of a call; the fingerprint is never 0.
fn key(set: SetId, call_id: &[u8]) -> (usize, u64) {
    // FNV-1a, 64 bits.
    let bytes = set.to_ne_bytes();
    let hash = bytes
        .iter()
        .chain(call_id)
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
    let group = usize::try_from(hash % GROUPS as u64).unwrap_or(0);
    (group, (hash >> 32) | 1)
}

/// Whether an entry is of this call.
fn is_of(entry: &AtomicU64, fingerprint: u64) -> bool {
    entry.load(Relaxed) >> 32 == fingerprint
}

impl Diverted {
    /// An empty table.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub fn create(arena: &impl Arena) -> Result<Self, OutOfMemory> {
        let mut plan = Plan::<Root>::of_header();
        let entries = plan.array(GROUPS * WAYS).ok_or(OutOfMemory)?;
        let mut block = plan.alloc(arena)?;
        let entries = block.slice(&entries);
        block.fill().entries = entries;
        Ok(Diverted {
            root: block.header(),
        })
    }

    fn group(&self, group: usize) -> &[AtomicU64] {
        // SAFETY: made by `create`, given back by nobody but `destroy`.
        let entries = unsafe { self.root.as_ref() }.entries.get();
        entries
            .get(group * WAYS..(group + 1) * WAYS)
            .unwrap_or_default()
    }

    /// Notes a call of a set, in second `now`.
    pub fn note(&self, set: SetId, call_id: &[u8], now: u32) {
        let (group, fingerprint) = key(set, call_id);
        let group = self.group(group);
        let noted = (fingerprint << 32) | u64::from(now);
        for _ in 0..TRIES {
            let there = group.iter().find(|entry| is_of(entry, fingerprint));
            if let Some(entry) = there {
                entry.store(noted, Relaxed);
                return;
            }
            let oldest = group
                .iter()
                .map(|entry| (entry, entry.load(Relaxed)))
                .min_by_key(|(_, value)| value & u64::from(u32::MAX));
            let Some((entry, value)) = oldest else { return };
            let swap = entry.compare_exchange(value, noted, Relaxed, Relaxed);
            if swap.is_ok() {
                return;
            }
        }
    }

    /// Whether a call of a set is noted. One that is counts as used in second `now`.
    pub fn knows(&self, set: SetId, call_id: &[u8], now: u32) -> bool {
        let (group, fingerprint) = key(set, call_id);
        let entry = self
            .group(group)
            .iter()
            .find(|entry| is_of(entry, fingerprint));
        if let Some(entry) = entry {
            let seen = entry.load(Relaxed);
            let used = (fingerprint << 32) | u64::from(now);
            // Where another call took the entry meanwhile, it keeps it.
            if seen >> 32 == fingerprint {
                let _ = entry.compare_exchange(seen, used, Relaxed, Relaxed);
            }
        }
        entry.is_some()
    }

    /// Gives the table back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, and the table is not used again.
    pub unsafe fn destroy(&self, arena: &impl Arena) {
        // SAFETY: made by `create`; nobody uses it again.
        unsafe { arena.free(self.root.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;

    /// A table that goes with its test.
    struct Lab(Diverted, Heap);

    impl Lab {
        fn new() -> Self {
            let heap = Heap::default();
            Lab(Diverted::create(&heap).unwrap(), heap)
        }
    }

    impl Drop for Lab {
        fn drop(&mut self) {
            // SAFETY: the test is over, and had no other process.
            unsafe { self.0.destroy(&self.1) };
            assert_eq!(self.1.taken(), 0);
        }
    }

    #[test]
    fn knows_what_was_noted() {
        let lab = Lab::new();
        let calls = &lab.0;
        assert!(!calls.knows(1, b"a", 5));
        calls.note(1, b"a", 5);
        calls.note(1, b"a", 6);
        assert!(calls.knows(1, b"a", 7));
        assert!(!calls.knows(2, b"a", 7) && !calls.knows(1, b"A", 7) && !calls.knows(1, b"", 7));
    }

    #[test]
    fn the_longest_unused_makes_room() {
        if cfg!(miri) {
            // Forty thousand hashes to find ten calls of one group.
            return;
        }
        let lab = Lab::new();
        let calls = &lab.0;
        let ids = || (0u32..).map(|n| format!("call-{n}"));
        let same_group: Vec<String> = ids()
            .filter(|id| key(1, id.as_bytes()).0 == 7)
            .take(WAYS + 2)
            .collect();
        for (now, id) in (1..).zip(&same_group) {
            calls.note(1, id.as_bytes(), now);
            // The first one is in use all the time.
            assert!(calls.knows(1, same_group[0].as_bytes(), now));
        }
        let known: Vec<bool> = same_group
            .iter()
            .map(|id| calls.knows(1, id.as_bytes(), 99))
            .collect();
        let want = [true, false, false, true, true, true, true, true, true, true];
        assert_eq!(known, want);
    }

    #[test]
    fn ten_thousand_fit() {
        let lab = Lab::new();
        let calls = &lab.0;
        let count = if cfg!(miri) { 20 } else { 10_000 };
        let id = |n| format!("{n}@host");
        (0..count).for_each(|n| calls.note(3, id(n).as_bytes(), n));
        let lost = (0..count).filter(|n| !calls.knows(3, id(*n).as_bytes(), *n));
        assert!(lost.count() <= 20);
    }
}

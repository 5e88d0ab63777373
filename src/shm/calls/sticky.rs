//! Calls that were placed beside a draining destination, so that they stay where they went.
//!
//! A hash has no memory. While a destination drains, a request inside a dialog whose hash falls on
//! it belongs to a call that is there, unless the call began after the drain did: then it went to
//! the next one. These calls, and only these, are noted here, as fingerprints in a table of fixed
//! size without locks; the longest unused of eight makes room for a new one.

use core::ptr::{self, NonNull};

use crate::dispatch::list::destination::SetId;

use super::fingerprint::FingerprintKey;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe};
use crate::shm::memory::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::shm::memory::atomic::{AtomicPtr, AtomicU64};

/// Entries that a call may be in.
const WAYS: usize = 8;

/// Groups of entries in a server: room for 32,768 calls.
pub const GROUPS: usize = 4_096;

/// Tries to write an entry that others write too.
const TRIES: usize = 4;

/// The table's place in shared memory.
struct Root<const GROUPS: usize> {
    /// Fingerprint above, second of the last use below; 0 is free. Null before the first call is
    /// noted: most servers never drain.
    entries: AtomicPtr<Entries<GROUPS>>,
}

// SAFETY: an arena pointer; zeroed there is no table.
unsafe impl<const GROUPS: usize> ShmSafe for Root<GROUPS> {}

/// All entries. A call may be in each of its group.
type Entries<const GROUPS: usize> = [[AtomicU64; WAYS]; GROUPS];

/// One process's way to the table. Made before the server forks, then copied by the fork.
pub struct StickyCalls<const GROUPS: usize = { self::GROUPS }> {
    root: NonNull<Root<GROUPS>>,
    key: FingerprintKey,
}

// SAFETY: the root points to atomics only.
unsafe impl<const GROUPS: usize> Sync for StickyCalls<GROUPS> {}
// SAFETY: the root points to atomics only, and belongs to no process.
unsafe impl<const GROUPS: usize> Send for StickyCalls<GROUPS> {}

/// Returns the entry of a call that was used in second `now_s`. Its 32 bits of seconds wrap after 136 years.
fn entry_of(fingerprint: u64, now_s: u64) -> u64 {
    (fingerprint << 32) | (now_s & u64::from(u32::MAX))
}

/// Returns true if an entry is of this call.
fn is_of(entry: &AtomicU64, fingerprint: u64) -> bool {
    entry.load(Relaxed) >> 32 == fingerprint
}

impl StickyCalls {
    /// Makes a table of a server, as [`StickyCalls::with_groups`] does.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub fn create(arena: &impl Arena, key: FingerprintKey) -> Result<Self, OutOfMemory> {
        Self::with_groups(arena, key)
    }
}

impl<const GROUPS: usize> StickyCalls<GROUPS> {
    /// Makes a table with so many groups, without memory of its own yet.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub fn with_groups(arena: &impl Arena, key: FingerprintKey) -> Result<Self, OutOfMemory> {
        let root = Plan::<Root<GROUPS>>::of_header().alloc(arena)?.header();
        Ok(StickyCalls { root, key })
    }

    /// Returns the group and the fingerprint of a call. The fingerprint is never 0.
    fn find(&self, set: SetId, call_id: &[u8]) -> (usize, u64) {
        let id = self.key.call_id(call_id);
        let set = u32::from_ne_bytes(set.to_ne_bytes());
        let group = id.slot.wrapping_add(set as usize) % GROUPS;
        (group, ((id.chain as u64 >> 32) ^ u64::from(set)) | 1)
    }

    fn entries(&self) -> Option<&Entries<GROUPS>> {
        // SAFETY: made by `create`, given back by nobody but `destroy`.
        let root = unsafe { self.root.as_ref() };
        // SAFETY: made whole before it was published here, given back by nobody but `destroy`.
        unsafe { root.entries.load(Acquire).as_ref() }
    }

    /// Takes memory for the table, unless that was done before.
    fn need_entries(&self, arena: &impl Arena) -> Result<&Entries<GROUPS>, OutOfMemory> {
        if self.entries().is_none() {
            let made = Plan::<Entries<GROUPS>>::of_header().alloc(arena)?.header();
            // SAFETY: made by `create`, given back by nobody but `destroy`.
            let place = unsafe { &self.root.as_ref().entries };
            let none = ptr::null_mut();
            if place
                .compare_exchange(none, made.as_ptr(), Release, Relaxed)
                .is_err()
            {
                // SAFETY: another process was faster; nobody has seen this one.
                unsafe { arena.free(made.cast()) };
            }
        }
        self.entries().ok_or(OutOfMemory)
    }

    /// Notes a call of a set, in second `now_s`.
    ///
    /// # Errors
    /// [`OutOfMemory`] when there is no room for the table: nothing is noted.
    pub fn note(
        &self,
        arena: &impl Arena,
        set: SetId,
        call_id: &[u8],
        now_s: u64,
    ) -> Result<(), OutOfMemory> {
        let (group, fingerprint) = self.find(set, call_id);
        let group = self.need_entries(arena)?.get(group);
        let group = group.map_or(&[][..], <[_; WAYS]>::as_slice);
        let noted = entry_of(fingerprint, now_s);
        for _ in 0..TRIES {
            let there = group.iter().find(|entry| is_of(entry, fingerprint));
            if let Some(entry) = there {
                entry.store(noted, Relaxed);
                return Ok(());
            }
            let oldest = group
                .iter()
                .map(|entry| (entry, entry.load(Relaxed)))
                .min_by_key(|(_, value)| value & u64::from(u32::MAX));
            let Some((entry, value)) = oldest else {
                return Ok(());
            };
            let swap = entry.compare_exchange(value, noted, Relaxed, Relaxed);
            if swap.is_ok() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns true if a call of a set is noted. One that is counts as used in second `now_s`.
    pub fn knows(&self, set: SetId, call_id: &[u8], now_s: u64) -> bool {
        let (group, fingerprint) = self.find(set, call_id);
        let Some(entries) = self.entries() else {
            return false;
        };
        let group = entries.get(group);
        let entry = group.and_then(|group| group.iter().find(|entry| is_of(entry, fingerprint)));
        if let Some(entry) = entry {
            let seen = entry.load(Relaxed);
            let used = entry_of(fingerprint, now_s);
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
        // SAFETY: made by `create`, and still there.
        let entries = unsafe { self.root.as_ref() }.entries.load(Relaxed);
        if let Some(entries) = NonNull::new(entries) {
            // SAFETY: from this arena; nobody uses it again.
            unsafe { arena.free(entries.cast()) };
        }
        // SAFETY: made by `create`; no other process is left.
        unsafe { arena.free(self.root.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::{Heap, Sticky};

    /// A table that goes with its test.
    struct Lab(Sticky, Heap);

    impl Lab {
        fn new() -> Self {
            let heap = Heap::default();
            Lab(
                Sticky::with_groups(&heap, FingerprintKey(1, 2)).unwrap(),
                heap,
            )
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
        calls.note(&lab.1, 1, b"a", 5).unwrap();
        calls.note(&lab.1, 1, b"a", 6).unwrap();
        assert!(calls.knows(1, b"a", 7));
        assert!(!calls.knows(2, b"a", 7) && !calls.knows(1, b"A", 7) && !calls.knows(1, b"", 7));
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let lab = Lab::new();
        let calls = &lab.0;
        let ids = || (0u32..).map(|n| format!("call-{n}"));
        let same_group: Vec<String> = ids()
            .filter(|id| calls.find(1, id.as_bytes()).0 == 7)
            .take(WAYS + 2)
            .collect();
        for (now, id) in (1..).zip(&same_group) {
            calls.note(&lab.1, 1, id.as_bytes(), now).unwrap();
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
        (0..count).for_each(|n| calls.note(&lab.1, 3, id(n).as_bytes(), n).unwrap());
        let lost = (0..count).filter(|n| !calls.knows(3, id(*n).as_bytes(), *n));
        assert!(lost.count() <= 20);
    }
}

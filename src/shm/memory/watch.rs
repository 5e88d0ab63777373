//! For how long something has been as it is, as one process sees it that looks once a second.

use super::arena::ShmSafe;
use super::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Seconds after which a pin or the writer lock is held for long.
pub const LONG_S: u64 = 10;

/// The value that was last seen, and since when.
pub struct Watch {
    seen: AtomicU64,
    since_s: AtomicU64,
    /// The value that was told of.
    told: AtomicU64,
}

// SAFETY: atomics only; zeroed nothing was seen.
unsafe impl ShmSafe for Watch {}

impl Watch {
    /// Looks at a value, which differs each time that something begins anew, and is 0 while there is nothing. Returns
    /// once for how many seconds it has been so, if these are [`LONG_S`] or more.
    pub fn look(&self, value: u64, now_s: u64) -> Option<u64> {
        if self.seen.load(Relaxed) != value {
            // In this order nobody takes the time of the value before for that of this one.
            self.since_s.store(now_s, Relaxed);
            self.seen.store(value, Release);
        }
        let for_s = self.seconds(value, now_s);
        if for_s < LONG_S || self.told.load(Relaxed) == value {
            return None;
        }
        self.told.store(value, Relaxed);
        Some(for_s)
    }

    /// Returns for how many seconds the value has been so, as far as it was seen.
    pub fn seconds(&self, value: u64, now_s: u64) -> u64 {
        if value == 0 || self.seen.load(Acquire) != value {
            return 0;
        }
        now_s.saturating_sub(self.since_s.load(Relaxed))
    }
}

//! What the processes that ping a destination and the one that speaks with the other servers tell each other of it.
//!
//! Whoever pings writes that it does; the process of the cluster writes who watches the destination for this server. Each
//! word stands alone: who reads one of before pings once too often, or a little later.

use crate::dispatch::state::transition::State;
use crate::shm::memory::arena::ShmSafe;
use crate::shm::memory::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// The bit that stands above state and failures of a destination that is pinged here.
const PINGED: u64 = 1 << 63;

/// The words of a destination. Zeroed nobody pings it.
pub struct PingWord {
    /// What the last ping of this server found; 0 if it pings it no longer.
    own: AtomicU64,
    /// The place of the member that watches it, plus 1, and above that when in its interval it pings; 0 for nobody.
    watcher: AtomicU64,
    /// Failures in a row by the watcher's word.
    row: AtomicU32,
    /// Not 0 if it is to be pinged at once.
    look: AtomicU32,
}

// SAFETY: atomics only; zeroed nobody pings it.
unsafe impl ShmSafe for PingWord {}

/// The member that watches a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchedBy {
    /// Its place in the table of peers.
    pub peer: u8,
    /// At which millisecond of its interval it pings.
    pub phase_ms: u32,
}

impl PingWord {
    /// Says what a ping of this server has found. Returns true if that is news.
    pub fn found(&self, state: State, failures: u32) -> bool {
        let failures = u64::from(failures & (u32::MAX >> 1));
        let word = PINGED | failures << 32 | u64::from(state.bits());
        self.own.swap(word, SeqCst) != word
    }

    /// Says that this server does not ping it any more. Returns true if that is news.
    pub fn leave(&self) -> bool {
        self.own.swap(0, SeqCst) != 0
    }

    /// Tells whether this server pings it, and the first ping has ended.
    pub fn is_pinged(&self) -> bool {
        self.own.load(SeqCst) != 0
    }

    /// Returns who watches it.
    pub fn watcher(&self) -> Option<WatchedBy> {
        let [peer, _, _, _, a, b, c, d] = self.watcher.load(SeqCst).to_le_bytes();
        Some(WatchedBy {
            peer: peer.checked_sub(1)?,
            phase_ms: u32::from_le_bytes([a, b, c, d]),
        })
    }

    /// Returns the failures in a row by the word of the one that watches it; 0 if that is good.
    pub fn row(&self) -> u32 {
        self.row.load(SeqCst)
    }

    /// Says who watches it, and the failures in a row there. Returns true if it is to be pinged at once: the first bad
    /// word has come. For the process of the cluster.
    pub fn set_watcher(&self, watcher: Option<WatchedBy>, row: u32) -> bool {
        let word = watcher.map_or(0, |WatchedBy { peer, phase_ms }| {
            u64::from(phase_ms) << 32 | (u64::from(peer) + 1)
        });
        self.watcher.store(word, SeqCst);
        let is_first = self.row.swap(row, SeqCst) == 0 && row > 0;
        if is_first {
            self.look.store(1, SeqCst);
        }
        is_first
    }

    /// Returns true once after it was to be pinged at once.
    pub fn take_look(&self) -> bool {
        self.look.load(SeqCst) != 0 && self.look.swap(0, SeqCst) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::dest::record_slab::Records;
    use crate::shm::tests::Heap;

    #[test]
    fn words_are_there_only_in_a_cluster_and_tell_what_was_said() {
        let heap = Heap::default();
        let alone = Records::new(&heap, 1, false).make().unwrap();
        assert!(alone.ping_word().is_none());
        drop(alone);
        let record = Records::new(&heap, 1, false).pinged(true).make().unwrap();
        assert!(record.register().is_none());
        let word = record.ping_word().unwrap();
        assert!(!word.is_pinged() && word.watcher().is_none() && !word.take_look());
        let active = State::PROBING;
        assert!(word.found(active, 0) && !word.found(active, 0) && word.is_pinged());
        assert!(word.found(active, 1) && word.found(State::INACTIVE, 0));
        assert!(word.leave() && !word.leave() && !word.is_pinged());
        let watcher = Some(WatchedBy {
            peer: 127,
            phase_ms: u32::MAX,
        });
        assert!(!word.set_watcher(watcher, 0));
        assert_eq!(word.watcher(), watcher);
        // Only the first bad word of a row makes it look.
        assert!(word.set_watcher(watcher, 1) && !word.set_watcher(watcher, 2));
        assert_eq!(word.row(), 2);
        assert!(word.take_look() && !word.take_look());
        assert!(!word.set_watcher(None, 0) && word.set_watcher(watcher, u32::MAX));
        assert_eq!(size_of_val(word), 24, "as doc/guide/size.md says");
        drop(record);
        assert_eq!(heap.taken(), 0);
    }
}

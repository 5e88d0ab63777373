//! Words about a destination between the processes that ping it and the one that speaks with the other servers.
//!
//! A process that pings writes that it does; the process of the cluster writes who watches the destination for this
//! server. Each word stands alone: a process that reads an old one pings once too often, or a little later.

use crate::dispatch::cluster::node::pinging::Doubt;
use crate::dispatch::cluster::state::view::{FoundElsewhere, is_good};
use crate::dispatch::state::transition::State;
use crate::shm::memory::arena::ShmSafe;
use crate::shm::memory::atomic::{AtomicU64, Ordering::SeqCst};

/// The bit that stands above state and failures of a destination that is pinged here.
const PINGED: u64 = 1 << 63;

/// The words of a destination. Zeroed they say that nobody pings it.
pub struct PingWord {
    /// The result of this server's last ping; 0 if it pings it no longer.
    own: AtomicU64,
    /// The place of the member that watches it, plus 1, or 0 for nobody; above that, each in a byte, how many others find it
    /// up and how many down; and in the upper half when in its interval the one that watches it pings.
    watcher: AtomicU64,
    /// A [`Doubt`].
    doubt: AtomicU64,
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
        if is_good(state, failures) {
            self.change_doubt(Doubt::found_good);
        }
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

    /// Returns how many other members that ping it find it up, and how many down.
    pub fn found_elsewhere(&self) -> FoundElsewhere {
        let [_, up, down, ..] = self.watcher.load(SeqCst).to_le_bytes();
        FoundElsewhere { up, down }
    }

    /// Returns what follows from the word of the one that watches it, if that is bad.
    pub fn doubt(&self) -> Doubt {
        Doubt::from_bits(self.doubt.load(SeqCst))
    }

    /// Says who watches it, the failures in a row there, and what all others find. Returns true if that makes a ping due at
    /// once. For the process of the cluster.
    pub fn set_watcher(&self, watcher: Option<WatchedBy>, row: u32, found: FoundElsewhere) -> bool {
        let (place, phase_ms) =
            watcher.map_or((0, 0), |by| (by.peer.saturating_add(1), by.phase_ms));
        let [a, b, c, d] = phase_ms.to_le_bytes();
        let word = [place, found.up, found.down, 0, a, b, c, d];
        self.watcher.store(u64::from_le_bytes(word), SeqCst);
        let before = self.change_doubt(|doubt| doubt.told(row));
        !before.is_due() && before.told(row).is_due()
    }

    /// Returns true once after a ping was due at once, if it is to be sent.
    pub fn take_look(&self, state: State, failures: u32) -> bool {
        self.doubt().is_due() && self.change_doubt(Doubt::seen).looks(state, failures)
    }

    /// Returns the doubt as it was before the change.
    fn change_doubt(&self, to: impl Fn(Doubt) -> Doubt) -> Doubt {
        let to_bits = |bits| {
            let new = to(Doubt::from_bits(bits)).to_bits();
            (new != bits).then_some(new)
        };
        let (Ok(before) | Err(before)) = self.doubt.fetch_update(SeqCst, SeqCst, to_bits);
        Doubt::from_bits(before)
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
        assert!(
            !word.is_pinged() && word.watcher().is_none() && !word.take_look(State::PROBING, 0)
        );
        let active = State::PROBING;
        assert!(word.found(active, 0) && !word.found(active, 0) && word.is_pinged());
        assert!(word.found(active, 1) && word.found(State::INACTIVE, 0));
        assert!(word.leave() && !word.leave() && !word.is_pinged());
        let watcher = Some(WatchedBy {
            peer: 127,
            phase_ms: u32::MAX,
        });
        let found = FoundElsewhere { up: 127, down: 3 };
        assert!(!word.set_watcher(watcher, 0, found));
        assert_eq!(word.watcher(), watcher);
        assert_eq!(word.found_elsewhere(), found);
        // Only the first bad word of a row makes a ping due, and the one that it is down.
        assert!(word.set_watcher(watcher, 1, found) && !word.set_watcher(watcher, 2, found));
        assert!(word.take_look(active, 0) && !word.take_look(active, 0));
        assert!(word.set_watcher(watcher, u32::MAX, found) && word.take_look(active, 0));
        assert!(word.found(active, 0), "it was left before");
        let expected = Doubt::default().told(u32::MAX).seen().found_good();
        assert_eq!(word.doubt(), expected);
        assert!(!word.set_watcher(None, 0, found) && word.set_watcher(watcher, u32::MAX, found));
        assert_eq!(size_of_val(word), 24, "as doc/guide/size.md says");
        drop(record);
        assert_eq!(heap.taken(), 0);
    }
}

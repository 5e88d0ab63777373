//! The members on whose word this server relies, for the process that pings: how long each is believed.

use crate::dispatch::cluster::node::settings::MOST_NODES;
use crate::dispatch::cluster::state::pings::Relied;
use crate::shm::memory::arena::{Arena, OutOfMemory, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::{AtomicU64, Ordering::SeqCst};

/// A member. Zeroed it is not believed.
struct Member {
    until_ms: AtomicU64,
    missed_ms: AtomicU64,
    interval_ms: AtomicU64,
}

// SAFETY: atomics only; zeroed it is not believed.
unsafe impl ShmSafe for Member {}

/// The members, by their places. Made before the server forks, then copied by the fork.
pub struct Members(ShmSlice<Member>);

// SAFETY: the members are atomics in shared memory, which stay until `destroy`.
unsafe impl Send for Members {}
// SAFETY: as for `Send`.
unsafe impl Sync for Members {}

impl Members {
    /// Makes a table in which nobody is believed.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: &impl Arena) -> Result<Self, OutOfMemory> {
        ShmSlice::create(arena, MOST_NODES).map(Members)
    }

    /// Says how long a member is believed. For the process of the cluster.
    pub fn set(&self, peer: usize, relied: &Relied) {
        if let Some(member) = self.0.get().get(peer) {
            member.missed_ms.store(relied.missed_ms, SeqCst);
            member.interval_ms.store(relied.interval_ms, SeqCst);
            member.until_ms.store(relied.until_ms, SeqCst);
        }
    }

    /// Returns how long a member is believed.
    pub fn get(&self, peer: usize) -> Relied {
        let member = self.0.get().get(peer);
        member.map_or_else(Relied::default, |member| Relied {
            until_ms: member.until_ms.load(SeqCst),
            missed_ms: member.missed_ms.load(SeqCst),
            interval_ms: member.interval_ms.load(SeqCst),
        })
    }

    /// Gives the memory back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, and the table is not used again.
    pub unsafe fn destroy(&self, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { self.0.free(arena) };
    }
}

//! A request that is on its way to a destination: what tm keeps for us with the transaction.
//!
//! A transaction has one for each selection that gave it a destination. tm tells each of them of each of its branches,
//! so each knows which are its own: the first that was sent from its number on, and what tm has added behind that.

use core::ptr::NonNull;

use super::record::DestRecord;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe};
use crate::shm::memory::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::SeqCst};
use crate::shm::memory::refcount::{Counted, Hold};

/// No branch.
const NONE: u32 = u32::MAX;

/// The bit of a request of which anything was received.
const HEARD: u32 = 1;
/// The bit of one that has said what it had to say.
const DECIDED: u32 = 2;
/// The bit of one that tries a destination.
const TRIES: u32 = 4;

/// A watched request. It holds the record of its destination.
pub struct Watched {
    record: AtomicPtr<Counted<DestRecord>>,
    /// When the destination was chosen, and then when the request was sent, in milliseconds.
    since_ms: AtomicU64,
    /// The URI that the request was sent to, as a fingerprint; 0 if that is not looked at.
    target: AtomicU64,
    /// The first branch that may be its own, and the first one behind those.
    first: AtomicU32,
    end: AtomicU32,
    /// The branch that was sent.
    sent: AtomicU32,
    /// The branches that the transaction has once it is sent.
    needed: AtomicU32,
    flags: AtomicU32,
}

// SAFETY: atomics only; zeroed it has no record.
unsafe impl ShmSafe for Watched {}

/// The branches that a request may have.
#[derive(Clone, Copy, Debug)]
pub struct Branches {
    /// The first one.
    pub first: u32,
    /// The one behind the last; `None` if the last is not known yet.
    pub end: Option<u32>,
    /// The branches that the transaction is to have when it is sent.
    pub needed: u32,
}

impl Branches {
    /// Returns all from one on.
    #[must_use]
    pub fn from(first: u32) -> Self {
        Branches {
            first,
            end: None,
            needed: 0,
        }
    }

    /// Returns a single one of a transaction that forks to so many.
    #[must_use]
    pub fn only(at: u32, needed: u32) -> Self {
        Branches {
            first: at,
            end: Some(at + 1),
            needed,
        }
    }
}

impl Watched {
    /// Makes one for a request to the destination with this record.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub fn create<A: Arena>(
        arena: &A,
        record: Hold<'_, A, DestRecord>,
        target: u64,
        branches: Branches,
        now_ms: u64,
    ) -> Result<NonNull<Self>, OutOfMemory> {
        let mut block = Plan::<Watched>::of_header().alloc(arena)?;
        let watched = block.fill();
        watched.record.store(record.into_raw().as_ptr(), SeqCst);
        watched.since_ms.store(now_ms, SeqCst);
        watched.target.store(target, SeqCst);
        watched.first.store(branches.first, SeqCst);
        watched.end.store(branches.end.unwrap_or(NONE), SeqCst);
        watched.sent.store(NONE, SeqCst);
        watched.needed.store(branches.needed, SeqCst);
        Ok(block.header())
    }

    /// Gives it back, and lets go of the record.
    ///
    /// # Safety
    /// It was made by [`Watched::create`] with this arena, and nobody uses it again.
    pub unsafe fn free<A: Arena>(watched: NonNull<Self>, arena: &A) {
        // SAFETY: the caller's promise: it is still there.
        let it = unsafe { watched.as_ref() };
        it.end_trial();
        let record = it.record.load(SeqCst);
        if let Some(record) = NonNull::new(record) {
            // SAFETY: given away by `create` or `turn_to`, and taken back once.
            drop(unsafe { Hold::from_raw(record, arena) });
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(watched.cast()) };
    }

    /// Returns the record of its destination.
    pub fn record(&self) -> Option<&DestRecord> {
        // SAFETY: held since it was stored. Only `turn_to` replaces it, before anything is sent.
        Some(unsafe { self.record.load(SeqCst).as_ref() }?)
    }

    /// Returns true if nothing was sent from this branch on, so that another selection takes its place.
    pub fn waits_at(&self, first: u32) -> bool {
        self.sent.load(SeqCst) == NONE && self.first.load(SeqCst) == first
    }

    /// Watches another destination instead: the script has chosen again.
    pub fn turn_to<A: Arena>(
        &self,
        arena: &A,
        record: Hold<'_, A, DestRecord>,
        target: u64,
        branches: Branches,
        now_ms: u64,
    ) {
        self.end_trial();
        let before = self.record.swap(record.into_raw().as_ptr(), SeqCst);
        if let Some(before) = NonNull::new(before) {
            // SAFETY: given away by `create` or here, and taken back once.
            drop(unsafe { Hold::from_raw(before, arena) });
        }
        self.since_ms.store(now_ms, SeqCst);
        self.target.store(target, SeqCst);
        self.end.store(branches.end.unwrap_or(NONE), SeqCst);
        self.needed.store(branches.needed, SeqCst);
    }

    /// Says that the branches from this one on belong to another selection.
    pub fn end_at(&self, branch: u32) {
        if self.end.load(SeqCst) > branch {
            self.end.store(branch, SeqCst);
        }
    }

    /// Says that the request tries its destination, until it has said something, or ends.
    pub fn try_it(&self) {
        self.flags.fetch_or(TRIES, SeqCst);
    }

    /// Has another request try the destination, if this one was to and has said nothing.
    pub fn end_trial(&self) {
        if self.flags.fetch_and(!TRIES, SeqCst) & TRIES == 0 {
            return;
        }
        if let Some(traffic) = self.record().and_then(DestRecord::traffic) {
            traffic.end_trial(self.sent_ms());
        }
    }

    /// Returns true if a branch may be its own.
    pub fn is_own(&self, branch: u32) -> bool {
        (self.first.load(SeqCst)..self.end.load(SeqCst)).contains(&branch)
    }

    /// Notes that a branch was sent now to the URI with this fingerprint, when the transaction had so many branches.
    pub fn note_sent(&self, branch: u32, target: u64, branches: u32, now_ms: u64) {
        if !self.is_own(branch) {
            return;
        }
        if self.sent.load(SeqCst) == NONE {
            self.since_ms.store(now_ms, SeqCst);
        }
        let expected = self.target.load(SeqCst);
        let is_other = expected != 0 && expected != target;
        let needed = self.needed.load(SeqCst);
        if is_other || needed != 0 && branches != needed {
            // Somebody else has said where it goes, or it is not known which of several it is.
            self.decide();
        }
        if !self.is_sent_as(branch) {
            // The script has added this one.
            self.end_at(branch);
        }
    }

    /// Returns true if this branch is the one that was sent: the first that is named.
    fn is_sent_as(&self, branch: u32) -> bool {
        let named = self.sent.compare_exchange(NONE, branch, SeqCst, SeqCst);
        named.map_or_else(|sent| sent == branch, |_| true)
    }

    /// Returns true if a reply on this branch is one to this request. Notes that something was received.
    pub fn hears(&self, branch: u32) -> bool {
        // A reply may come to another process before tm has told of the request.
        let is_own = self.is_own(branch);
        let is_own = is_own && (self.is_sent_as(branch) || branch > self.sent.load(SeqCst));
        if is_own && !self.has_heard() {
            self.flags.fetch_or(HEARD, SeqCst);
        }
        is_own
    }

    /// Returns true if anything was received.
    pub fn has_heard(&self) -> bool {
        self.flags.load(SeqCst) & HEARD != 0
    }

    /// Has it say nothing more. Returns true if it had said nothing before.
    pub fn decide(&self) -> bool {
        self.flags.fetch_or(DECIDED, SeqCst) & DECIDED == 0
    }

    /// Returns true if it has said what it had to say.
    pub fn is_decided(&self) -> bool {
        self.flags.load(SeqCst) & DECIDED != 0
    }

    /// Returns the branch by which it is judged at the end, and whether that was sent.
    pub fn last_branch(&self) -> (u32, bool) {
        match self.sent.load(SeqCst) {
            NONE => (self.first.load(SeqCst), false),
            sent => (sent, true),
        }
    }

    /// Returns when the request was sent, in milliseconds.
    pub fn sent_ms(&self) -> u64 {
        self.since_ms.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::dest::record_slab::Records;
    use crate::shm::tests::Heap;

    fn watched(heap: &Heap, branches: Branches) -> NonNull<Watched> {
        let record = Records::new(heap, 1, true).make().unwrap();
        Watched::create(heap, record, 7, branches, 1_000).unwrap()
    }

    #[test]
    fn its_branches_are_the_one_that_was_sent_and_what_tm_adds() {
        let heap = Heap::default();
        let it = watched(&heap, Branches::from(1));
        {
            // SAFETY: made above, and freed below.
            let watched = unsafe { it.as_ref() };
            watched.note_sent(0, 7, 9, 3_000);
            assert!(!watched.hears(0) && watched.waits_at(1), "nothing was sent");
            watched.note_sent(2, 7, 9, 3_000);
            assert!(!watched.hears(1) && watched.hears(2) && watched.hears(3));
            watched.note_sent(4, 7, 9, 3_000);
            assert!(watched.hears(3) && !watched.hears(4), "of the script");
            assert_eq!(watched.last_branch(), (2, true));
            assert!(watched.decide() && !watched.decide());
        }
        // SAFETY: nobody uses it again.
        unsafe { Watched::free(it, &heap) };
        assert_eq!(heap.taken(), 0);
    }

    /// Replies are taken by other processes.
    #[test]
    fn a_reply_may_be_heard_before_its_request() {
        let heap = Heap::default();
        let it = watched(&heap, Branches::from(1));
        {
            // SAFETY: made above, and freed below.
            let watched = unsafe { it.as_ref() };
            assert!(watched.hears(1) && watched.has_heard());
            watched.note_sent(1, 7, 2, 3_000);
            assert_eq!(watched.last_branch(), (1, true));
            assert!(watched.hears(1) && watched.hears(2));
        }
        // SAFETY: nobody uses it again.
        unsafe { Watched::free(it, &heap) };
        assert_eq!(heap.taken(), 0);
    }

    #[test]
    fn what_goes_elsewhere_says_nothing() {
        let heap = Heap::default();
        for (branches, target, count, decided) in [
            (Branches::from(0), 7, 1, false),
            (Branches::from(0), 8, 1, true),
            (Branches::only(0, 3), 7, 3, false),
            (Branches::only(0, 3), 7, 2, true),
            (Branches::only(0, 3), 7, 4, true),
        ] {
            let it = watched(&heap, branches);
            // SAFETY: made above, and freed below.
            let watched = unsafe { it.as_ref() };
            watched.note_sent(0, target, count, 3_000);
            assert_eq!(
                watched.is_decided(),
                decided,
                "{branches:?} {target} {count}"
            );
            // SAFETY: nobody uses it again.
            unsafe { Watched::free(it, &heap) };
        }
        assert_eq!(heap.taken(), 0);
    }

    #[test]
    fn a_second_choice_takes_its_place_and_lets_go_of_the_first() {
        let heap = Heap::default();
        let it = watched(&heap, Branches::from(0));
        {
            // SAFETY: made above, and freed below.
            let watched = unsafe { it.as_ref() };
            assert!(watched.waits_at(0) && !watched.waits_at(1));
            let other = Records::new(&heap, 1, true).make().unwrap();
            watched.turn_to(&heap, other, 9, Branches::from(0), 2_000);
            assert_eq!(watched.sent_ms(), 2_000);
            watched.note_sent(0, 9, 1, 3_000);
            assert!(!watched.is_decided() && !watched.waits_at(0));
            assert_eq!(watched.sent_ms(), 3_000);
        }
        // SAFETY: nobody uses it again.
        unsafe { Watched::free(it, &heap) };
        assert_eq!(heap.taken(), 0);
    }
}

//! A counted call: one size, whatever its Call-ID.

use core::ptr::NonNull;

use super::fingerprint::CallKey;
use crate::dispatch::list::destination::SetId;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, Free, ShmSafe};
use crate::shm::memory::atomic::Ordering::Relaxed;
use crate::shm::memory::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};
use crate::shm::memory::refcount::Counted;

/// The bytes of a Call-ID that a call keeps, for those who list calls.
pub(super) const TEXT: usize = 41;

/// The maker of a call that somebody else has found.
pub(super) const NOBODY: u32 = u32::MAX;

/// A link to a call; null at the end of a chain.
pub(super) type Link = AtomicPtr<Call>;

/// A call that is counted.
///
/// What changes is atomic, because a call lies in a chain and in the queue, each behind a lock of its own: nobody has
/// a call mutably once it is counted.
pub struct Call {
    /// The next call of its chain. Behind the lock of its slot.
    pub(super) next: Link,
    /// Its neighbours in the queue. Behind the queue's lock.
    pub(super) older: Link,
    pub(super) newer: Link,
    /// The record of its destination, which it holds; null before it is in a chain. Behind the lock of its slot.
    pub(super) record: AtomicPtr<Counted<DestRecord>>,
    pub(super) key: CallKey,
    /// The second in which it was counted for its destination. Behind the lock of its slot.
    pub(super) begun_s: AtomicU64,
    /// The process that has counted it, as long as no other selection has found it. Behind the lock of its slot.
    pub(super) maker: AtomicU32,
    /// True if a 2xx has confirmed it. Behind the lock of its slot.
    pub(super) confirmed: AtomicBool,
    /// True if it is in the queue. Behind the queue's lock.
    pub(super) queued: AtomicBool,
    /// The length of its Call-ID, at most 255.
    text_len: u8,
    text: [u8; TEXT],
}

const _: () = assert!(size_of::<Call>() == 112, "a call has no padding");

// SAFETY: integers, atomics and arena pointers; zeroed it is a call of nobody.
unsafe impl ShmSafe for Call {}

impl Free for Call {
    /// Lets its record go as well.
    unsafe fn free(call: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: it is given back last.
        let record = unsafe { call.as_ref() }.record.load(Relaxed);
        if let Some(record) = NonNull::new(record) {
            // SAFETY: the call holds it, and both came from this arena.
            unsafe { Counted::release(record, arena) };
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(call.cast()) };
    }
}

/// A Call-ID, as far as a call keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallIdText {
    len: u8,
    start: [u8; TEXT],
}

impl CallIdText {
    /// Returns the text; three dots stand for the end of a long one.
    pub fn shown(&self) -> Vec<u8> {
        let len = usize::from(self.len);
        let mut shown = self.start.get(..len).unwrap_or(&self.start).to_vec();
        if len > TEXT {
            shown.extend_from_slice(b"...");
        }
        shown
    }
}

impl Call {
    /// Fills a call that nobody else sees yet and that holds no record.
    pub(super) fn fill(&mut self, key: CallKey, text: &[u8], begun_s: u64, maker: u32) {
        self.key = key;
        self.begun_s.store(begun_s, Relaxed);
        self.maker.store(maker, Relaxed);
        self.confirmed.store(false, Relaxed);
        self.text_len = u8::try_from(text.len()).unwrap_or(u8::MAX);
        for (to, from) in self.text.iter_mut().zip(text) {
            *to = *from;
        }
    }

    /// Returns its Call-ID, as far as it is kept.
    pub(super) fn text(&self) -> CallIdText {
        CallIdText {
            len: self.text_len,
            start: self.text,
        }
    }

    /// Returns true if it is counted in the set, while the lock of its slot is held.
    pub(super) fn is_in(&self, set: SetId) -> bool {
        self.record().is_some_and(|record| record.set() == set)
    }

    /// Returns the record of its destination, while the lock of its slot is held.
    pub(super) fn record(&self) -> Option<&DestRecord> {
        // SAFETY: a call holds its record, and changes it only behind the lock.
        Some(unsafe { self.record.load(Relaxed).as_ref() }?)
    }
}

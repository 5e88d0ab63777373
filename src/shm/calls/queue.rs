//! The calls that make room when the table is full: those that nobody has confirmed, of destinations without
//! `maxload`, the oldest first.

use core::ptr;

use super::call::{Call, Link};
use super::fingerprint::CallKey;
use crate::shm::memory::atomic::Ordering::Relaxed;

/// The queue. It lies behind a lock, which is taken last: whoever holds it asks for no other.
pub(super) struct Queue {
    oldest: Link,
    newest: Link,
}

/// Returns the call that a link leads to.
fn follow(link: &Link) -> Option<&Call> {
    // SAFETY: links of the queue lead to calls in it, and a call leaves the queue before it is given back
    // (`Calls::finish`) behind the queue's lock, which the caller holds.
    unsafe { link.load(Relaxed).as_ref() }
}

fn address(call: &Call) -> *mut Call {
    ptr::from_ref(call).cast_mut()
}

impl Queue {
    /// Returns one without calls.
    pub(super) const fn empty() -> Self {
        Queue {
            oldest: Link::new(ptr::null_mut()),
            newest: Link::new(ptr::null_mut()),
        }
    }

    /// Puts a call at the end.
    pub(super) fn push(&mut self, call: &Call) {
        let behind = follow(&self.newest).map_or(&self.oldest, |newest| &newest.newer);
        behind.store(address(call), Relaxed);
        call.older.store(self.newest.load(Relaxed), Relaxed);
        call.newer.store(ptr::null_mut(), Relaxed);
        self.newest.store(address(call), Relaxed);
        call.queued.store(true, Relaxed);
    }

    /// Takes a call out, if it is there.
    pub(super) fn remove(&mut self, call: &Call) {
        if !call.queued.load(Relaxed) {
            return;
        }
        let before = follow(&call.older).map_or(&self.oldest, |older| &older.newer);
        before.store(call.newer.load(Relaxed), Relaxed);
        let behind = follow(&call.newer).map_or(&self.newest, |newer| &newer.older);
        behind.store(call.older.load(Relaxed), Relaxed);
        call.queued.store(false, Relaxed);
    }

    /// Takes the oldest call out, and returns its key.
    pub(super) fn pop(&mut self) -> Option<CallKey> {
        let link = Link::new(self.oldest.load(Relaxed));
        let oldest = follow(&link)?;
        let key = oldest.key;
        self.remove(oldest);
        Some(key)
    }
}

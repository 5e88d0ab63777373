//! Values that are freed when the last table or call that points to them lets go.

use core::ops::Deref;
use core::ptr::NonNull;

use super::arena::{Arena, ShmSafe};
use super::atomic::{AtomicU32, Ordering};

/// A value that counts its holders, and knows where its memory goes after the last one.
pub trait Kept: ShmSafe {
    /// Returns the number of its holders. It is 0 in a zeroed value.
    fn refs(&self) -> &AtomicU32;

    /// Gives back its memory.
    ///
    /// # Safety
    /// Nobody holds the value any more, and `arena` is the one that it came from.
    unsafe fn give_back(counted: NonNull<Counted<Self>>, arena: &impl Arena)
    where
        Self: Sized;
}

/// A shared value that tables and calls point to.
#[repr(transparent)]
pub struct Counted<T>(T);

// SAFETY: it is the value, which is safe to share.
unsafe impl<T: ShmSafe> ShmSafe for Counted<T> {}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Kept> Counted<T> {
    /// Counts one more holder.
    ///
    /// Writers and calls hold a counted value already when they do this, or the writer lock.
    pub fn retain(&self) {
        self.0.refs().fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one holder less, and frees the value with the last one.
    ///
    /// # Safety
    /// The caller gives up one reference that `retain` counted, no reader can reach the value
    /// through it any more, and `counted` came from this arena.
    pub unsafe fn release(counted: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller still holds a reference.
        let refs = unsafe { counted.as_ref() }.refs();
        if refs.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: that was the last one, and the arena is the one it came from.
            unsafe { T::give_back(counted, arena) };
        }
    }
}

/// A reference of its own to a counted value, given up when dropped.
pub struct Hold<'a, A: Arena, T: Kept> {
    pub(crate) counted: NonNull<Counted<T>>,
    arena: &'a A,
}

impl<'a, A: Arena, T: Kept> Hold<'a, A, T> {
    /// Counts one more holder.
    ///
    /// # Safety
    /// `counted` came from `arena`, and somebody holds it, or it was just made.
    pub(crate) unsafe fn new(counted: NonNull<Counted<T>>, arena: &'a A) -> Self {
        // SAFETY: the caller's promise: it is there.
        unsafe { counted.as_ref() }.retain();
        Hold { counted, arena }
    }

    /// Returns the reference as a bare pointer, for somebody who gives it back later.
    pub fn into_raw(self) -> NonNull<Counted<T>> {
        let counted = self.counted;
        core::mem::forget(self);
        counted
    }

    /// Takes a bare reference back.
    ///
    /// # Safety
    /// `counted` came from `into_raw` of a hold with this arena, and is taken back once.
    pub unsafe fn from_raw(counted: NonNull<Counted<T>>, arena: &'a A) -> Self {
        Hold { counted, arena }
    }
}

impl<A: Arena, T: Kept> Deref for Hold<'_, A, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this reference keeps it.
        unsafe { self.counted.as_ref() }
    }
}

impl<A: Arena, T: Kept> Drop for Hold<'_, A, T> {
    fn drop(&mut self) {
        // SAFETY: gives up the reference that this holds.
        unsafe { Counted::release(self.counted, self.arena) };
    }
}

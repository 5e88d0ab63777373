//! Shared things that are freed when the last table or call that points to them lets go.

use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use super::arena::{Arena, OutOfMemory, Plan, ShmSafe};

/// A shared value and the number of tables and calls that point to it.
pub struct Counted<T> {
    refs: AtomicU32,
    value: T,
}

// SAFETY: a counter beside a value that is safe; zeroed it is a zeroed value that nobody holds.
unsafe impl<T: ShmSafe> ShmSafe for Counted<T> {}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ShmSafe> Counted<T> {
    /// A zeroed value that nobody holds yet.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: &impl Arena) -> Result<NonNull<Self>, OutOfMemory> {
        Ok(Plan::<Self>::of_header().alloc(arena)?.header())
    }

    /// Counts one more holder.
    ///
    /// Writers and calls hold a counted value already when they do this, or the writer lock.
    pub fn retain(&self) {
        self.refs.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one holder less, and frees the value with the last one.
    ///
    /// # Safety
    /// The caller gives up one reference that `retain` counted, no reader can reach the value
    /// through it any more, and `counted` came from `create` with this arena.
    pub unsafe fn release(counted: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller still holds a reference.
        let refs = unsafe { counted.as_ref() }
            .refs
            .fetch_sub(1, Ordering::AcqRel);
        if refs == 1 {
            // SAFETY: that was the last one, and the arena is the one it came from.
            unsafe { arena.free(counted.cast()) };
        }
    }
}

/// A reference of its own to a counted value, given up when dropped.
pub struct Hold<'a, A: Arena, T: ShmSafe> {
    pub(super) counted: NonNull<Counted<T>>,
    arena: &'a A,
}

impl<'a, A: Arena, T: ShmSafe> Hold<'a, A, T> {
    pub(super) fn new(counted: NonNull<Counted<T>>, arena: &'a A) -> Self {
        // SAFETY: the caller just made it, or the running table holds it.
        unsafe { counted.as_ref() }.retain();
        Hold { counted, arena }
    }

    /// The reference as a bare pointer, for somebody who gives it back later.
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

impl<A: Arena, T: ShmSafe> Deref for Hold<'_, A, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this reference keeps it.
        unsafe { self.counted.as_ref() }
    }
}

impl<A: Arena, T: ShmSafe> Drop for Hold<'_, A, T> {
    fn drop(&mut self) {
        // SAFETY: gives up the reference that this holds.
        unsafe { Counted::release(self.counted, self.arena) };
    }
}

//! The server's lock between processes, behind `lock_api`, whose guards release it on unwind.
//!
//! Locks of std do not work in shared memory: their queues of waiters belong to one process, so a waiter in another
//! one never wakes.

use super::sys;
use crate::shm::memory::arena::ShmSafe;
use core::cell::UnsafeCell;
use lock_api::{GuardNoSend, RawMutex};

/// A lock that lives in shared memory; all bytes zero is unlocked.
#[repr(transparent)]
pub struct ServerLock(UnsafeCell<sys::gen_lock_t>);

// SAFETY: an integer, or a struct of integers; zeroed it is unlocked, in every process.
unsafe impl ShmSafe for ServerLock {}

// SAFETY: the lock's word is only touched by the server's atomic operations (core/futexlock.h).
unsafe impl Sync for ServerLock {}

// SAFETY: the server's lock excludes all other holders, in this and in every other process that
// maps the word at any address (core/futexlock.h; the futex calls are not process-private).
unsafe impl RawMutex for ServerLock {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Self(UnsafeCell::new(
        // SAFETY: an integer, or a struct of integers, so zero is a value of it; lock.c does not
        // compile for a server whose locks start otherwise.
        unsafe { core::mem::zeroed() },
    ));

    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        // SAFETY: a word that began as zero and that only these functions touch.
        unsafe { sys::glue_lock_get(self.0.get()) }
    }

    fn try_lock(&self) -> bool {
        // SAFETY: a word that began as zero and that only these functions touch.
        unsafe { sys::glue_lock_try(self.0.get()) != 0 }
    }

    unsafe fn unlock(&self) {
        // SAFETY: a word that began as zero and that only these functions touch; the caller holds the lock.
        unsafe { sys::glue_lock_release(self.0.get()) }
    }
}

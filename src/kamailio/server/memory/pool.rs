//! The server's functions for its pool of shared memory (`-m` on its command line).

use core::ptr::NonNull;

use crate::kamailio::server::sys;

/// Returns the size of the pool in bytes.
pub fn size() -> usize {
    // SAFETY: the pool exists before any module is loaded, and has a lock of its own (core/mem/shm.c).
    usize::try_from(unsafe { sys::glue_shm_size() }).unwrap_or(0)
}

/// Takes a piece; `None` when the pool is full.
pub fn take(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: the pool exists before any module is loaded, and has a lock of its own (core/mem/shm.c).
    let piece = unsafe { sys::glue_shm_malloc(bytes as _) };
    NonNull::new(piece.cast())
}

/// Gives a piece back.
///
/// # Safety
/// It came from [`take`], is given back once, and nobody reads it again.
pub unsafe fn give_back(piece: NonNull<u8>) {
    // SAFETY: the caller's promise is what the pool asks for.
    unsafe { sys::glue_shm_free(piece.as_ptr().cast()) }
}

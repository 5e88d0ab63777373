//! The server's shared memory as an [`Arena`].

use super::sys;
use crate::shm::memory::arena::Arena;
use core::alloc::Layout;
use core::ptr::NonNull;

/// The server's shared memory pool (`-m` on its command line).
#[derive(Clone, Copy, Debug, Default)]
pub struct ShmArena;

// SAFETY: the pool is mapped before the server forks, so addresses agree in all processes
// (core/mem/shm.c, shm_core_init in main before main_loop). Its managers round every piece to at
// least 8 bytes: q_malloc.h, f_malloc.h ROUNDTO, tlsf_malloc.c ALIGN_SIZE.
unsafe impl Arena for ShmArena {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the pool exists before any module is loaded, and has a lock of its own (core/mem/shm.c).
        let p = unsafe { sys::glue_shm_malloc(layout.size().max(1) as _) };
        NonNull::new(p.cast())
    }

    unsafe fn free(&self, ptr: NonNull<u8>) {
        // SAFETY: the caller gives back, once, what `alloc` returned, by the trait's contract.
        unsafe { sys::glue_shm_free(ptr.as_ptr().cast()) }
    }
}

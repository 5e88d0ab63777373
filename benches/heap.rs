//! What the shared-memory layer needs of a server, on the heap of one process.

use std::alloc::{self, Layout};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use dispatcher::shm::memory::arena::{Arena, ShmSafe};
use lock_api::{GuardSend, RawMutex};

/// Room in front of each piece for its size; keeps the piece aligned.
const FRONT: usize = 16;

/// An arena on the heap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

fn whole(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(FRONT)?, FRONT).ok()
}

// SAFETY: the allocator's memory is the caller's alone, aligned to 16 behind 16 bytes in front; there
// is but one process.
unsafe impl Arena for Heap {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        let all = whole(layout.size())?;
        // SAFETY: at least `FRONT` bytes.
        let start = NonNull::new(unsafe { alloc::alloc(all) })?;
        // SAFETY: the front is as large as that, and aligned.
        unsafe { start.cast::<usize>().write(layout.size()) };
        // SAFETY: inside the piece.
        Some(unsafe { start.add(FRONT) })
    }

    unsafe fn free(&self, ptr: NonNull<u8>) {
        // SAFETY: `alloc` gave this place in a larger piece.
        let start = unsafe { ptr.sub(FRONT) };
        // SAFETY: `alloc` wrote it there.
        let size = unsafe { start.cast::<usize>().read() };
        if let Some(all) = whole(size) {
            // SAFETY: as it was allocated; the caller gives it back once.
            unsafe { alloc::dealloc(start.as_ptr(), all) };
        }
    }
}

/// A lock that spins; nobody contends here.
#[derive(Debug)]
pub struct Spin(AtomicBool);

// SAFETY: an atomic flag; zeroed it is not held.
unsafe impl ShmSafe for Spin {}

// SAFETY: the flag is set by one holder at a time.
unsafe impl RawMutex for Spin {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "the trait asks for it"
    )]
    const INIT: Self = Spin(AtomicBool::new(false));
    type GuardMarker = GuardSend;

    fn lock(&self) {
        while !self.try_lock() {
            std::hint::spin_loop();
        }
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(true, Ordering::Acquire)
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

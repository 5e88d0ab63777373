//! The server's shared memory as an [`Arena`].
//!
//! | module | contents |
//! | --- | --- |
//! | `mapping` | Where the pool lies; only for the two tools below. |
//! | `memcheck` | What memcheck must know of the pieces; only in a build for it. |
//! | [`pool`] | The server's functions. |
//! | `red_zones` | What AddressSanitizer must know of the pieces; only in a build with sanitizers. |

#[cfg(any(feature = "memcheck", feature = "sanitizers"))]
mod mapping;
#[cfg(feature = "memcheck")]
mod memcheck;
mod pool;
#[cfg(feature = "sanitizers")]
mod red_zones;

use crate::shm::memory::arena::Arena;
use core::alloc::Layout;
use core::ptr::NonNull;

#[cfg(feature = "memcheck")]
use memcheck as pieces;
#[cfg(not(any(feature = "memcheck", feature = "sanitizers")))]
use pool as pieces;
#[cfg(all(feature = "sanitizers", not(feature = "memcheck")))]
use red_zones as pieces;

pub use pool::size;

/// The server's shared memory pool (`-m` on its command line).
#[derive(Clone, Copy, Debug, Default)]
pub struct ShmArena;

// SAFETY: the pool is mapped before the server forks, so addresses agree in all processes
// (core/mem/shm.c, shm_core_init in main before main_loop). Its managers round every piece to at
// least 8 bytes: q_malloc.h, f_malloc.h ROUNDTO, tlsf_malloc.c ALIGN_SIZE.
unsafe impl Arena for ShmArena {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        pieces::take(layout.size().max(1))
    }

    unsafe fn free(&self, ptr: NonNull<u8>) {
        // SAFETY: the caller gives back, once, what `alloc` returned, by the trait's contract.
        unsafe { pieces::give_back(ptr) }
    }
}

/// The number of free pieces that [`leave_holes`] leaves, and their sizes in bytes by turns.
///
/// A destination record takes four pieces of the server (one XAVP each), so these serve 128 records at a time. The
/// smaller size is that of a number or of the record itself. The larger one is that of a URI of up to some 30 bytes.
const HOLES: usize = 512;
const HOLE_SIZES: [Layout; 2] = [Layout::new::<[u8; 64]>(), Layout::new::<[u8; 96]>()];

/// Leaves small free pieces in the server's pool, held apart by pieces that stay for as long as the server runs.
///
/// The server's default allocator, qm, joins free neighbours, and looks for a piece size by size up to the large
/// rest of the pool. In a pool without small free pieces each XAVP costs it some 2,000 steps, and what is freed
/// joins the rest again. The held pieces keep these holes from joining. The other allocators find a piece that
/// fits faster, too. At most 160 kB are in use for it.
pub fn leave_holes() {
    let held = Layout::new::<u64>();
    let sizes = HOLE_SIZES.into_iter().cycle().take(HOLES);
    let holes: Vec<_> = sizes
        .map_while(|hole| {
            let hole = ShmArena.alloc(hole)?;
            // Without this one the hole joins its neighbour, which costs time and no more.
            let _ = ShmArena.alloc(held);
            Some(hole)
        })
        .collect();
    for hole in holes {
        // SAFETY: it came from `alloc` above, and only this function knows it.
        unsafe { ShmArena.free(hole) };
    }
}

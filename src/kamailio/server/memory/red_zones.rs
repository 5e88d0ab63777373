//! Tells AddressSanitizer of our pieces of shared memory. It is never in a release.
//!
//! To AddressSanitizer the server's pool is one mapping, in which everything may be touched. Here each piece gets a
//! forbidden zone before and behind it. A piece that was given back is forbidden, and is kept for a while before the
//! server gets it.
//!
//! The shadow memory says which bytes are forbidden, a byte for eight. Each process has its own, and a piece may be
//! taken in one process and given back in another. So the shadow of the pool is mapped anew before the server forks,
//! and all processes share it: each sees what another one has forbidden.

use core::ffi::c_void;
use core::ptr::NonNull;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use super::{mapping, pool};

unsafe extern "C" {
    fn __asan_poison_memory_region(start: *const c_void, bytes: usize);
    fn __asan_unpoison_memory_region(start: *const c_void, bytes: usize);
    fn __asan_get_shadow_mapping(scale: *mut usize, offset: *mut usize);
}

/// The least forbidden bytes before and behind a piece. The first eight before it hold its size, and may be touched.
const ZONE: usize = 32;

/// The most bytes that a process keeps of what it gave back.
const MOST_KEPT: usize = 64 * 1_024;

/// The pieces that this process gave back and the server has not got yet.
struct Kept {
    /// The process: a child of it inherits the list, but not the pieces.
    process: u32,
    /// Start and size of each, the oldest first.
    pieces: VecDeque<(usize, usize)>,
    bytes: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    process: 0,
    pieces: VecDeque::new(),
    bytes: 0,
});

/// Returns the size of what the server gives for a piece.
fn whole(bytes: usize) -> usize {
    bytes.next_multiple_of(8) + 2 * ZONE
}

/// Forbids some bytes to all processes.
fn forbid(start: NonNull<u8>, bytes: usize) {
    // SAFETY: only the shadow is written, and that of any address is mapped.
    unsafe { __asan_poison_memory_region(start.as_ptr().cast(), bytes) }
}

/// Allows some bytes to all processes.
fn allow(start: NonNull<u8>, bytes: usize) {
    // SAFETY: only the shadow is written, and that of any address is mapped.
    unsafe { __asan_unpoison_memory_region(start.as_ptr().cast(), bytes) }
}

/// Takes a piece with its zones; `None` when the pool is full.
pub fn take(bytes: usize) -> Option<NonNull<u8>> {
    let base = pool::take(whole(bytes)).or_else(|| {
        kept_here().keep_at_most(0);
        pool::take(whole(bytes))
    })?;
    share_shadow(base);
    allow(base, whole(bytes));
    // SAFETY: the pool gave that many bytes, aligned to 8.
    unsafe { base.cast::<usize>().write(bytes) };
    // SAFETY: within what the pool gave.
    let [before, piece, behind] = [8, ZONE, ZONE + bytes].map(|at| unsafe { base.add(at) });
    forbid(before, ZONE - 8);
    forbid(behind, whole(bytes) - ZONE - bytes);
    Some(piece)
}

/// Forbids a piece, and gives back to the server what was kept for long enough.
///
/// # Safety
/// It came from [`take`], is given back once, and nobody reads it again.
pub unsafe fn give_back(piece: NonNull<u8>) {
    // SAFETY: it is still the caller's. Where it was given back before, AddressSanitizer ends the process here.
    unsafe { piece.read_volatile() };
    // SAFETY: `take` left that much room before it, and wrote the size there.
    let base = unsafe { piece.sub(ZONE) };
    // SAFETY: as above.
    let bytes = whole(unsafe { base.cast::<usize>().read() });
    forbid(base, bytes);
    let mut kept = kept_here();
    kept.bytes += bytes;
    kept.pieces
        .push_back((base.as_ptr().expose_provenance(), bytes));
    kept.keep_at_most(MOST_KEPT);
}

/// Returns what this process keeps. A child of another process begins with nothing.
fn kept_here() -> MutexGuard<'static, Kept> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.process != std::process::id() {
        kept.process = std::process::id();
        kept.pieces.clear();
        kept.bytes = 0;
    }
    kept
}

impl Kept {
    /// Gives the oldest pieces back to the server until so many bytes are left.
    fn keep_at_most(&mut self, most: usize) {
        while self.bytes > most {
            let Some((base, bytes)) = self.pieces.pop_front() else {
                break;
            };
            self.bytes -= bytes;
            if let Some(base) = NonNull::new(core::ptr::with_exposed_provenance_mut(base)) {
                allow(base, bytes);
                // SAFETY: it came from the pool, and leaves the list, which alone knew it.
                unsafe { pool::give_back(base) };
            }
        }
    }
}

/// Lets all processes to come share the shadow of the pool that `piece` lies in. Done once, with the first piece, which
/// is taken before the server forks (`mod_init`).
fn share_shadow(piece: NonNull<u8>) {
    static SHARED: Once = Once::new();
    SHARED.call_once(|| {
        let pool = mapping::of(piece.addr().get());
        let mapped = pool.is_some_and(|pool| map_shadow(pool.start, pool.end));
        assert!(mapped, "the shadow of the server's pool cannot be shared");
    });
}

/// Maps the shadow of these addresses, which nothing has forbidden yet. Its first and last page may belong to other
/// mappings, too, and stay as they are.
fn map_shadow(start: usize, end: usize) -> bool {
    let (mut scale, mut offset) = (0, 0);
    // SAFETY: two places for two numbers.
    unsafe { __asan_get_shadow_mapping(&raw mut scale, &raw mut offset) };
    let page = 4_096;
    let from = ((start >> scale) + offset).next_multiple_of(page);
    let to = ((end >> scale) + offset) / page * page;
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let place = core::ptr::with_exposed_provenance_mut(from);
    // SAFETY: shadow memory of the server's pool alone, all zero as the new mapping is. One thread runs.
    let mapped = unsafe { libc::mmap(place, to - from, rights, kind, -1, 0) };
    mapped == place
}

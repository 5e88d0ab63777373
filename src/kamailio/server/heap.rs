//! The heap of this process: Rust's own, beside the server's pools.
//!
//! Where an allocation fails inside an expression, Rust ends the process, and the server ends with it. So whoever takes
//! memory by the size of his input asks for it first, with [`need`] or [`reserve`], and refuses the input where it
//! fails. Other allocations are bounded (doc/dev/safety.md, entry 40). If that finds no memory either, a small reserve
//! is given up, and after that a last line in the server's log says who ends, and why.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::fmt::{self, Write};
use core::hint::black_box;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::alloc::System;

use super::log;

/// The allocator of all Rust code in the module.
struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

/// The memory that is kept for the moment when the system has no more.
const RESERVE: Layout = Layout::new::<[u8; 65_536]>();

/// The reserve of this process; null before [`keep_reserve`] and after it was given up.
static RESERVED: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// True while memory is asked for that this process can do without.
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

/// The system gives this process no more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory {
    /// The number of bytes that were asked for.
    pub bytes: usize,
}

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "out of memory: the system refuses this process {} bytes",
            self.bytes
        )
    }
}

impl core::error::Error for NoMemory {}

impl From<NoMemory> for String {
    fn from(error: NoMemory) -> String {
        error.to_string()
    }
}

/// Makes sure that this process can take so many bytes more.
///
/// # Errors
/// [`NoMemory`].
pub fn need(bytes: usize) -> Result<(), NoMemory> {
    keep_reserve();
    let mut probe = Vec::<u8>::new();
    reserve(&mut probe, bytes)?;
    // The compiler leaves out an allocation that nobody looks at.
    black_box(probe.as_ptr());
    Ok(())
}

/// Makes room for so many elements more.
///
/// # Errors
/// [`NoMemory`]: the list is as it was.
pub fn reserve<T>(list: &mut Vec<T>, more: usize) -> Result<(), NoMemory> {
    ASKING.set(true);
    let reserved = list.try_reserve(more);
    ASKING.set(false);
    reserved.map_err(|_| NoMemory {
        bytes: more.saturating_mul(size_of::<T>()),
    })
}

/// Copies bytes.
///
/// # Errors
/// [`NoMemory`].
pub fn copy(bytes: &[u8]) -> Result<Vec<u8>, NoMemory> {
    let mut copy = Vec::new();
    reserve(&mut copy, bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// Takes the reserve, if this process has none. Each process has one of its own, by the fork.
pub fn keep_reserve() {
    if RESERVED.load(Relaxed).is_null() {
        // SAFETY: the layout has a size.
        let reserve = unsafe { System.alloc(RESERVE) };
        RESERVED.store(reserve, Relaxed);
    }
}

/// Gives the reserve back to the system's allocator; false if there is none.
fn give_up_reserve() -> bool {
    let reserve = RESERVED.swap(ptr::null_mut(), Relaxed);
    if !reserve.is_null() {
        // SAFETY: taken in `keep_reserve` with this layout, and out of `RESERVED` just now.
        unsafe { System.dealloc(reserve, RESERVE) };
    }
    !reserve.is_null()
}

/// Handles a failed allocation of so many bytes; `again` repeats it. Returns null if that is in vain.
#[cold]
fn refused(bytes: usize, again: impl FnOnce() -> *mut u8) -> *mut u8 {
    if ASKING.get() {
        return ptr::null_mut();
    }
    let found = if give_up_reserve() {
        again()
    } else {
        ptr::null_mut()
    };
    // The log itself needs memory, which the reserve has left. A line of this length fits.
    let mut line = Line {
        text: [0; 160],
        len: 0,
    };
    let _ = if found.is_null() {
        write!(
            line,
            "out of memory: the system refuses this process {bytes} bytes, and it ends"
        )
    } else {
        write!(
            line,
            "out of memory: the system refuses this process {bytes} bytes, and its last reserve is given up"
        )
    };
    // Unit tests have no server, and so not its log.
    if cfg!(not(test)) {
        log::write_last(line.text());
    }
    found
}

/// A text that needs no heap.
struct Line {
    text: [u8; 160],
    len: usize,
}

impl Line {
    fn text(&self) -> &str {
        let text = self.text.get(..self.len).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let end = self.len + piece.len();
        let place = self.text.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(piece.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Returns what `ask` gives, or what [`refused`] makes of null.
fn found_or_refused(bytes: usize, ask: impl Fn() -> *mut u8) -> *mut u8 {
    let found = ask();
    if found.is_null() {
        refused(bytes, ask)
    } else {
        found
    }
}

// SAFETY: each call is that of the system's allocator, at most repeated where it gave null; nothing here panics.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by this function's contract, which is the same.
        found_or_refused(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by this function's contract, which is the same.
        found_or_refused(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: by this function's contract, which is the same; where it gives null, the old piece stays.
        found_or_refused(new_size, || unsafe {
            System.realloc(ptr, layout, new_size)
        })
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: by this function's contract, which is the same.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_refused_and_leaves_everything_as_it_was() {
        let most = isize::MAX.unsigned_abs();
        let refused = Err(NoMemory { bytes: most });
        assert_eq!(need(most), refused);
        let mut list = vec![1_u8];
        assert_eq!(reserve(&mut list, most), refused);
        assert_eq!(
            reserve(&mut vec![1_u64], most).unwrap_err().bytes,
            usize::MAX
        );
        assert_eq!((need(1_000), list), (Ok(()), vec![1]));
        assert_eq!(copy(b"text"), Ok(b"text".to_vec()));
    }
}

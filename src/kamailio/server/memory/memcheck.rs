//! Tells memcheck what it cannot see of shared memory. It is never in a release.
//!
//! Memcheck knows for each byte whether it has a value, and looks at one process. Where this process once left padding
//! without a value (the server does so in each XAVP), and another process has used the place since, memcheck still takes
//! the bytes for undefined. So all of the pool counts as defined when the module is called and other processes have taken
//! pieces meanwhile, and before each use of the pool itself. What is lost by that is checked on the way out: each byte
//! of each piece that was taken in the call must have a value, because other processes, for which everything there is
//! defined, read it from now on.

use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::{mapping, pool};
use crate::kamailio::server::guard::AROUND;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("feature memcheck: only the requests of x86-64 are here");

/// The requests: the tool `MC`, and the place among its requests (memcheck.h).
const MAKE_DEFINED: usize = 0x4d43_0002;
const CHECK_DEFINED: usize = 0x4d43_0005;

/// The pool, as the first process finds it when it takes the first piece.
static POOL: OnceLock<Pool> = OnceLock::new();

struct Pool {
    process: u32,
    addresses: Range<usize>,
    /// How many pieces all processes have taken; in shared memory.
    pieces: Option<&'static AtomicU64>,
}

impl Pool {
    fn find() -> Self {
        AROUND.get_or_init(|| [entered, left]);
        let pieces = pool::take(size_of::<AtomicU64>()).map(NonNull::cast::<AtomicU64>);
        let address = pieces.map_or(0, |pieces| pieces.addr().get());
        // SAFETY: taken for this alone, aligned to 8, and never given back.
        let write = |pieces: NonNull<AtomicU64>| unsafe { pieces.write(AtomicU64::new(0)) };
        pieces.inspect(|pieces| write(*pieces));
        Pool {
            process: std::process::id(),
            addresses: mapping::of(address).unwrap_or_default(),
            // SAFETY: just written, and never given back.
            pieces: pieces.map(|pieces| unsafe { pieces.as_ref() }),
        }
    }

    fn pieces(&self) -> u64 {
        self.pieces.map_or(0, |pieces| pieces.load(SeqCst))
    }
}

/// How many pieces had been taken when this process last counted all as defined.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// The pieces that were taken in this call, and are not given back.
static TAKEN: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

fn taken() -> MutexGuard<'static, Vec<Range<usize>>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a piece; `None` when the pool is full.
pub fn take(bytes: usize) -> Option<NonNull<u8>> {
    let of_all = POOL.get_or_init(Pool::find);
    request(MAKE_DEFINED, &of_all.addresses);
    let piece = pool::take(bytes)?;
    of_all.pieces.inspect(|pieces| {
        pieces.fetch_add(1, SeqCst);
    });
    // Pieces that the first process makes before it forks the others are never given back; their padding reaches
    // nobody.
    if of_all.process != std::process::id() {
        let start = piece.addr().get();
        taken().push(start..start + bytes);
    }
    Some(piece)
}

/// Gives a piece back.
///
/// # Safety
/// It came from [`take`], is given back once, and nobody reads it again.
pub unsafe fn give_back(piece: NonNull<u8>) {
    taken().retain(|taken| taken.start != piece.addr().get());
    if let Some(of_all) = POOL.get() {
        request(MAKE_DEFINED, &of_all.addresses);
    }
    // SAFETY: the caller's promise.
    unsafe { pool::give_back(piece) }
}

/// Notes that the server calls the module.
fn entered() {
    let Some(of_all) = POOL.get() else { return };
    let pieces = of_all.pieces();
    if SEEN.swap(pieces, SeqCst) != pieces {
        request(MAKE_DEFINED, &of_all.addresses);
    }
}

/// Checks what the call has taken, before other processes read it.
fn left() {
    for piece in taken().drain(..) {
        request(CHECK_DEFINED, &piece);
    }
}

/// Asks memcheck, which finds the request in this sequence of instructions. Without it they do nothing.
fn request(what: usize, of: &Range<usize>) {
    let arguments = [what, of.start, of.len(), 0, 0, 0];
    // SAFETY: the rotations add up to two whole turns, and the exchange is of a register with itself; the arguments are
    // only read, and outlive the request.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") 0_usize => _,
        );
    }
}

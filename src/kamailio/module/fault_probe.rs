//! A script function that makes mistakes on purpose, for the test of the sanitizers. Never in a release.

use crate::kamailio::server::guard::{ScriptRet, guard};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::sys;
use crate::shm::memory::arena::Arena;
use core::alloc::Layout;
use core::ffi::{CStr, c_char};
use core::hint::black_box;
use core::ptr::NonNull;

const PIECE: Layout = Layout::new::<[u8; 20]>();

/// `ds_fault_probe("mistake")`: makes the mistake; the process must end with a report of it.
#[unsafe(no_mangle)]
#[allow(clippy::panic)]
pub extern "C" fn dsr_fault_probe(
    _msg: *mut sys::sip_msg,
    mistake: *mut c_char,
    _p2: *mut c_char,
) -> ScriptRet {
    guard(|| {
        // SAFETY: an argument without a fixup is the text of the config (core/sr_module.c).
        let mistake = unsafe { CStr::from_ptr(mistake) };
        match mistake.to_bytes() {
            b"heap overrun" => drop(black_box(behind(Vec::from([0_u8; 20]).as_ptr(), 20))),
            b"heap use after free" => {
                let freed = Vec::from([0_u8; 20]);
                let start = freed.as_ptr();
                drop(freed);
                black_box(behind(start, 0));
            }
            // SAFETY: a number.
            b"stack overrun in C" => drop(black_box(unsafe { sys::glue_stack_fault(16) })),
            // SAFETY: a number.
            b"sum overflow in C" => drop(black_box(unsafe { sys::glue_sum_fault(i32::MAX) })),
            b"sum overflow" => drop(black_box(black_box(u8::MAX) + 1)),
            b"shared overrun" => drop(black_box(behind(piece().as_ptr(), 20))),
            b"shared underrun" => drop(black_box(behind(piece().as_ptr().wrapping_sub(1), 0))),
            b"shared use after free" => {
                let freed = piece();
                free_in_a_child(freed);
                black_box(behind(freed.as_ptr(), 19));
            }
            b"shared double free" => {
                let freed = piece();
                free_in_a_child(freed);
                // SAFETY: it is not; that is the mistake.
                unsafe { ShmArena.free(freed) };
            }
            other => panic!("no such mistake: {}", String::from_utf8_lossy(other)),
        }
        ScriptRet::OK
    })
}

/// Reads a byte that may not be read.
fn behind(start: *const u8, place: usize) -> u8 {
    // SAFETY: it is not; that is the mistake.
    unsafe { black_box(start).wrapping_add(place).read_volatile() }
}

/// Takes a piece of shared memory.
#[allow(clippy::panic)]
fn piece() -> NonNull<u8> {
    let piece = ShmArena.alloc(PIECE);
    piece.unwrap_or_else(|| panic!("out of shared memory"))
}

/// Has another process give a piece back.
fn free_in_a_child(piece: NonNull<u8>) {
    // SAFETY: the child only gives the piece back, and ends at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: it came from the arena just now.
        unsafe { ShmArena.free(piece) };
        // SAFETY: ends this process and nothing else.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: the state of the child is not asked for.
    unsafe { libc::waitpid(child, core::ptr::null_mut(), 0) };
}

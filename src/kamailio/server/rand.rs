//! Random numbers: a generator of `rand` in each process, seeded by the server's, which costs ten
//! times as much for each number.

use core::cell::UnsafeCell;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use super::sys;

/// The generator of this process.
pub struct ServerRandom;

/// It, and the process that seeded it: a fork inherits its parent's.
struct Generator(UnsafeCell<Option<(i32, SmallRng)>>);

// SAFETY: memory of one process, and each process of the server has one thread.
unsafe impl Sync for Generator {}

static GENERATOR: Generator = Generator(UnsafeCell::new(None));

/// Calls `draw` with the generator of this process.
#[inline]
fn with<T>(draw: impl FnOnce(&mut SmallRng) -> T) -> T {
    // SAFETY: an integer of this process, set by the server when it forked (core/pt.h).
    let process = unsafe { sys::process_no };
    // SAFETY: the only reference: one thread, and `draw` is a step of the generator that calls
    // nobody.
    let generator = unsafe { &mut *GENERATOR.0.get() };
    match generator {
        Some((owner, generator)) if *owner == process => draw(generator),
        _ => draw(&mut generator.insert((process, seeded())).1),
    }
}

/// A generator that begins with numbers of the server's, which it seeds in each child (core/pt.c).
#[cold]
fn seeded() -> SmallRng {
    let bits = || {
        // SAFETY: a call without arguments; the server's generator belongs to this process.
        u64::try_from(unsafe { sys::glue_rand() }).unwrap_or(0)
    };
    SmallRng::seed_from_u64((bits() << 33) ^ (bits() << 16) ^ bits())
}

/// 32 random bits.
#[inline]
pub fn word() -> u32 {
    with(SmallRng::next_u32)
}

impl RngCore for ServerRandom {
    fn next_u32(&mut self) -> u32 {
        word()
    }

    fn next_u64(&mut self) -> u64 {
        with(SmallRng::next_u64)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        with(|generator| generator.fill_bytes(dest));
    }
}

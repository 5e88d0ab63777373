//! Random numbers: a generator of `rand` in each process, seeded by the server's, which takes ten times as long for
//! each number.

use core::cell::UnsafeCell;
use core::hash::{BuildHasher, Hasher};
use std::collections::hash_map::RandomState;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use super::sys;
use crate::shm::calls::fingerprint::FingerprintKey;

/// The generator of this process.
pub struct ServerRandom;

/// The generator and the process that has seeded it. A forked process inherits its parent's, and seeds its own.
struct Generator(UnsafeCell<Option<(i32, SmallRng)>>);

// SAFETY: memory of one process, and each process of the server has one thread (doc/dev/safety.md).
unsafe impl Sync for Generator {}

static GENERATOR: Generator = Generator(UnsafeCell::new(None));

/// Calls `draw` with the generator of this process.
fn with<T>(draw: impl FnOnce(&mut SmallRng) -> T) -> T {
    // SAFETY: an integer of this process, set by the server when it forked (core/pt.h).
    let process = unsafe { sys::process_no };
    // SAFETY: the only reference: the process has one thread, and the steps of the generator that are passed as
    // `draw` call nothing that draws again.
    let generator = unsafe { &mut *GENERATOR.0.get() };
    match generator {
        Some((owner, generator)) if *owner == process => draw(generator),
        _ => draw(&mut generator.insert((process, seeded())).1),
    }
}

/// Makes a generator from numbers of the server's, which the server seeds in each child (core/pt.c).
#[cold]
fn seeded() -> SmallRng {
    let bits = || {
        // SAFETY: a call without arguments; the server's generator belongs to this process (core/rand).
        u64::try_from(unsafe { sys::glue_rand() }).unwrap_or(0)
    };
    SmallRng::seed_from_u64((bits() << 33) ^ (bits() << 16) ^ bits())
}

/// Returns a key that nobody outside can guess, from the system's random numbers, which `RandomState` takes its keys
/// from. The server's generator is seeded by the time of day.
pub fn fingerprint_key() -> FingerprintKey {
    let draw = || RandomState::new().build_hasher().finish();
    FingerprintKey(draw(), draw())
}

/// Returns 32 random bits.
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

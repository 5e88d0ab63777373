//! Random numbers behind `rand`'s trait: a generator of our own in each process, begun with a number
//! of the server's, which costs ten times as much.

use core::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

use rand::RngCore;

use super::sys;

/// The generator of this process.
pub struct ServerRandom;

/// Where it is: SplitMix64 (Steele, Lea and Flood, 2014).
static STATE: AtomicU64 = AtomicU64::new(0);

/// The process that it belongs to, as 1 + its number: a fork inherits its parent's.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// 64 random bits.
#[inline]
fn number() -> u64 {
    // SAFETY: an integer of this process, set by the server when it forked (core/pt.h).
    let process = unsafe { sys::process_no }.wrapping_add(1);
    if OWNER.load(Relaxed) != process {
        begin(process);
    }
    // One thread calls: each process of the server has one.
    let state = STATE.load(Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.store(state, Relaxed);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Begins anew, from the server's generator, which it seeds in each child (core/pt.c).
#[cold]
fn begin(process: i32) {
    let bits = || {
        // SAFETY: a call without arguments; the generator belongs to this process.
        u64::try_from(unsafe { sys::glue_rand() }).unwrap_or(0)
    };
    STATE.store((bits() << 33) ^ (bits() << 16) ^ bits(), Relaxed);
    OWNER.store(process, Relaxed);
}

/// 32 random bits.
#[inline]
pub fn word() -> u32 {
    let [a, b, c, d, ..] = number().to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

impl RngCore for ServerRandom {
    fn next_u32(&mut self) -> u32 {
        word()
    }

    fn next_u64(&mut self) -> u64 {
        number()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for chunk in dest.chunks_mut(4) {
            for (byte, random) in chunk.iter_mut().zip(self.next_u32().to_le_bytes()) {
                *byte = random;
            }
        }
    }
}

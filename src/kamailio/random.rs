//! The server's random numbers behind `rand`'s trait.

use rand::RngCore;

use super::sys;

/// The generator of this process, which the server seeds anew in each child (core/pt.c).
pub struct ServerRandom;

/// 31 random bits of that generator.
pub fn number() -> u32 {
    // SAFETY: a call without arguments; the generator belongs to this process.
    u32::try_from(unsafe { sys::glue_rand() }).unwrap_or(0)
}

impl RngCore for ServerRandom {
    fn next_u32(&mut self) -> u32 {
        // The low bits of the C library's generator are as good as the high ones.
        (number() << 16) ^ number()
    }

    fn next_u64(&mut self) -> u64 {
        (u64::from(self.next_u32()) << 32) | u64::from(self.next_u32())
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for chunk in dest.chunks_mut(4) {
            for (byte, random) in chunk.iter_mut().zip(self.next_u32().to_le_bytes()) {
                *byte = random;
            }
        }
    }
}

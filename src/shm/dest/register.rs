//! The register of a destination, beside its record: what the cluster has last decided on it, for those that only look.
//!
//! One process writes. Whoever reads believes what it reads only if nobody has written meanwhile.

use crate::dispatch::cluster::state::clock::Stamp;
use crate::dispatch::cluster::state::key::{Key, NodeHash};
use crate::dispatch::cluster::state::register::Register;
use crate::shm::memory::arena::ShmSafe;
use crate::shm::memory::atomic::{AtomicU64, Ordering::SeqCst};

/// How often a reader tries. A writer that is stopped in the middle does not keep him.
const TRIES: usize = 100;

/// A register in shared memory. Zeroed there is none.
pub struct RegisterCell {
    /// How often it was written, twice; odd while it is being written.
    turn: AtomicU64,
    key: AtomicU64,
    stamp: AtomicU64,
    node: AtomicU64,
    /// The bits, and above them the base.
    flags: AtomicU64,
}

// SAFETY: atomics only; zeroed there is no register.
unsafe impl ShmSafe for RegisterCell {}

impl RegisterCell {
    /// Writes it. For one process only.
    pub fn set(&self, key: Key, register: Register) {
        let turn = self.turn.load(SeqCst);
        self.turn.store(turn | 1, SeqCst);
        self.key.store(key.0, SeqCst);
        self.stamp.store(register.stamp.0, SeqCst);
        self.node.store(register.node.0, SeqCst);
        let flags = u64::from(register.base) << 32 | u64::from(register.bits);
        self.flags.store(flags, SeqCst);
        self.turn.store((turn | 1) + 1, SeqCst);
    }

    /// Returns it; `None` before it is written, and while its writer is stopped in the middle.
    pub fn get(&self) -> Option<(Key, Register)> {
        (0..TRIES).find_map(|_| self.try_get()).flatten()
    }

    /// Returns it, if nobody writes meanwhile.
    fn try_get(&self) -> Option<Option<(Key, Register)>> {
        let turn = self.turn.load(SeqCst);
        let [a, b, c, d, e, f, g, h] = self.flags.load(SeqCst).to_le_bytes();
        let register = Register {
            stamp: Stamp(self.stamp.load(SeqCst)),
            node: NodeHash(self.node.load(SeqCst)),
            bits: u32::from_le_bytes([a, b, c, d]),
            base: u32::from_le_bytes([e, f, g, h]),
        };
        let key = Key(self.key.load(SeqCst));
        let is_whole = turn % 2 == 0 && self.turn.load(SeqCst) == turn;
        is_whole.then(|| (turn > 0).then_some((key, register)))
    }
}

//! The next hop of a URI that names a host: processes that resolve names write it, all read it.

use core::hash::Hasher;
use std::hash::DefaultHasher;

use crate::dispatch::list::destination::{Addr, Proto};
use crate::shm::memory::atomic::AtomicU64;
use crate::shm::memory::atomic::Ordering::{Acquire, Relaxed, Release};

/// Where to send what goes to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The address.
    pub addr: Addr,
    /// The port, never 0.
    pub port: u16,
    /// The transport.
    pub proto: Proto,
}

/// The state of our knowledge about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Nobody has asked yet.
    Unknown,
    /// It leads nowhere.
    Nowhere,
    /// It leads here.
    At(NextHop),
}

/// How often a reader tries while the writer writes.
const RETRIES: usize = 64;

/// A [`Resolved`] in shared memory, with the URI that it belongs to. Zeroed it is unknown.
///
/// The first word holds kind, transport, port, and a number that grows with each change, so that
/// a reader notices when what is behind it changed meanwhile: a writer changes the first word before it stores the
/// others, and a reader that has read one of those sees that change when it loads the first word again. A destination
/// may get another URI: what was found for the old one says nothing about the new one.
pub struct Hop {
    word: AtomicU64,
    /// Fingerprint of the URI that was asked for.
    target: AtomicU64,
    halves: [AtomicU64; 2],
}

/// The version of what is known of a name, see [`Hop::set`].
#[derive(Clone, Copy, Debug)]
pub struct Stamp(u64);

/// Returns the number by which a URI is told from others.
pub fn fingerprint(target: &[u8]) -> u64 {
    // Its keys are the same in all processes.
    let mut hasher = DefaultHasher::new();
    hasher.write(target);
    hasher.finish()
}

const UNKNOWN: u8 = 0;
const NOWHERE: u8 = 1;
const V4: u8 = 2;
const V6: u8 = 3;
const BUSY: u8 = 4;

fn pack(change: u64, kind: u8, proto: Proto, port: u16) -> u64 {
    (change << 32) | (u64::from(port) << 16) | (u64::from(proto.0) << 8) | u64::from(kind)
}

fn is_busy(word: u64) -> bool {
    word.to_le_bytes()[0] == BUSY
}

impl Hop {
    /// Returns what is known of the name in this URI.
    pub fn get(&self, target: &[u8]) -> Resolved {
        let wanted = fingerprint(target);
        for _ in 0..RETRIES {
            let word = self.word.load(Acquire);
            if is_busy(word) {
                continue;
            }
            let target = self.target.load(Acquire);
            let halves = self.halves.each_ref().map(|half| half.load(Acquire));
            if self.word.load(Relaxed) == word {
                return if target == wanted {
                    read(word, halves)
                } else {
                    Resolved::Unknown
                };
            }
        }
        Resolved::Unknown
    }

    /// Returns the stamp of what is known now. Draw it before you ask for a name.
    pub fn stamp(&self) -> Stamp {
        Stamp(self.word.load(Relaxed))
    }

    /// Keeps what was found for a URI, unless another process has kept something since `stamp`.
    pub fn set(&self, stamp: Stamp, target: &[u8], found: Resolved) {
        let Stamp(before) = stamp;
        let change = (before >> 32).wrapping_add(1);
        let busy = pack(change, BUSY, Proto::NONE, 0);
        let is_ours = !is_busy(before)
            && self
                .word
                .compare_exchange(before, busy, Acquire, Relaxed)
                .is_ok();
        if !is_ours {
            return;
        }
        self.target.store(fingerprint(target), Release);
        let word = match found {
            Resolved::Unknown => pack(change, UNKNOWN, Proto::NONE, 0),
            Resolved::Nowhere => pack(change, NOWHERE, Proto::NONE, 0),
            Resolved::At(hop) => {
                let (kind, bytes) = match hop.addr {
                    Addr::V4([a, b, c, d]) => {
                        (V4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
                    }
                    Addr::V6(bytes) => (V6, bytes),
                };
                let [first, second] = split(bytes);
                let [one, other] = &self.halves;
                one.store(u64::from_ne_bytes(first), Release);
                other.store(u64::from_ne_bytes(second), Release);
                pack(change, kind, hop.proto, hop.port)
            }
        };
        self.word.store(word, Release);
    }
}

fn split(bytes: [u8; 16]) -> [[u8; 8]; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    [[a, b, c, d, e, f, g, h], rest]
}

fn read(word: u64, halves: [u64; 2]) -> Resolved {
    let [kind, proto, low, high, ..] = word.to_le_bytes();
    let [[a, b, c, d, e, f, g, h], second] = halves.map(u64::to_ne_bytes);
    let addr = match kind {
        V4 => Addr::V4([a, b, c, d]),
        V6 => {
            let [i, j, k, l, m, n, o, p] = second;
            Addr::V6([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
        }
        NOWHERE => return Resolved::Nowhere,
        _ => return Resolved::Unknown,
    };
    Resolved::At(NextHop {
        addr,
        port: u16::from_le_bytes([low, high]),
        proto: Proto(proto),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn zeroed() -> Hop {
        Hop {
            word: AtomicU64::new(0),
            target: AtomicU64::new(0),
            halves: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    fn v6(byte: u8) -> Resolved {
        Resolved::At(NextHop {
            addr: Addr::V6([byte; 16]),
            port: u16::from(byte) + 5060,
            proto: Proto::TCP,
        })
    }

    #[test]
    fn what_was_set_is_read() {
        let hop = zeroed();
        assert_eq!(hop.get(b"a"), Resolved::Unknown);
        let v4 = Resolved::At(NextHop {
            addr: Addr::V4([192, 0, 2, 7]),
            port: 5060,
            proto: Proto::UDP,
        });
        for found in [v4, v6(3), Resolved::Nowhere, Resolved::Unknown] {
            hop.set(hop.stamp(), b"a", found);
            assert_eq!(hop.get(b"a"), found);
            assert_eq!(hop.get(b"b"), Resolved::Unknown);
        }
    }

    #[test]
    fn who_was_overtaken_says_nothing() {
        let hop = zeroed();
        let stamp = hop.stamp();
        hop.set(hop.stamp(), b"new", v6(1));
        hop.set(stamp, b"old", v6(2));
        assert_eq!(hop.get(b"new"), v6(1));
    }

    #[test]
    fn no_reader_sees_a_mixture() {
        let hop = zeroed();
        let rounds: u32 = if cfg!(miri) { 100 } else { 100_000 };
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..rounds).for_each(|round| {
                    let found = v6(round.to_le_bytes()[0] % 200);
                    hop.set(hop.stamp(), b"a", found);
                })
            });
            for _ in 0..rounds {
                if let found @ Resolved::At(NextHop { port, .. }) = hop.get(b"a") {
                    assert_eq!(found, v6((port - 5060).to_le_bytes()[0]));
                }
            }
        });
    }
}

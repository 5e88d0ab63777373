//! The register of a destination, and which of two registers counts.

use super::clock::Stamp;
use super::key::{Key, NodeHash, hash};

/// The state that was set for one destination, by whom and when.
///
/// Registers are in a total order, by their fields from first to last. The greatest one counts, on every node. The
/// greatest of several values does not depend on the order or the number of times in which they were compared, so all
/// nodes that have seen the same registers have the same one, however the messages came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Register {
    /// When it was set.
    pub stamp: Stamp,
    /// The node on which it was set.
    pub node: NodeHash,
    /// The flags that the destination is to have: disabled, draining.
    pub bits: u32,
    /// The flags that the list of that node asked for.
    pub base: u32,
}

impl Register {
    /// Returns a hash of a register and its key, for the digest of all registers.
    #[must_use]
    pub(super) fn digest(&self, key: Key) -> u64 {
        let mut bytes = [0; 32];
        let (numbers, flags) = bytes.split_at_mut(24);
        for (place, number) in numbers
            .chunks_exact_mut(8)
            .zip([key.0, self.stamp.0, self.node.0])
        {
            place.copy_from_slice(&number.to_be_bytes());
        }
        for (place, flags) in flags.chunks_exact_mut(4).zip([self.bits, self.base]) {
            place.copy_from_slice(&flags.to_be_bytes());
        }
        hash(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::cluster::state::rules::{Rules, Sound};

    fn register(stamp: u64, node: u64, bits: u32, base: u32) -> Register {
        Register {
            stamp: Stamp(stamp),
            node: NodeHash(node),
            bits,
            base,
        }
    }

    #[test]
    fn the_order_is_that_of_the_fields_and_total() {
        let rising = [
            register(0, 9, 9, 9),
            register(1, 1, 4, 4),
            register(1, 2, 0, 0),
            register(1, 2, 0, 1),
            register(1, 2, 4, 0),
            register(2, 0, 0, 0),
        ];
        for (place, one) in rising.iter().enumerate() {
            for (other_place, other) in rising.iter().enumerate() {
                assert_eq!(Sound::wins(one, other), place > other_place);
            }
        }
    }

    #[test]
    fn any_order_of_arrival_ends_with_the_same_register() {
        let all = [
            register(5, 1, 4, 0),
            register(5, 2, 0, 0),
            register(5, 2, 8, 8),
            register(4, 9, 8, 0),
        ];
        let merged = |order: &[usize]| {
            order.iter().fold(Register::default(), |old, &at| {
                if Sound::wins(&all[at], &old) {
                    all[at]
                } else {
                    old
                }
            })
        };
        for start in 0..4 {
            for step in [1, 3] {
                let order: Vec<usize> = (0..9).map(|turn| (start + turn * step) % 4).collect();
                assert_eq!(merged(&order), all[2]);
            }
        }
    }

    #[test]
    fn each_field_and_the_key_count_in_the_digest() {
        let one = register(1, 2, 3, 4);
        let others = [
            (Key(8), one),
            (Key(7), register(9, 2, 3, 4)),
            (Key(7), register(1, 9, 3, 4)),
            (Key(7), register(1, 2, 9, 4)),
            (Key(7), register(1, 2, 3, 9)),
        ];
        for (key, other) in others {
            assert_ne!(one.digest(Key(7)), other.digest(key));
        }
        assert_eq!(one.digest(Key(7)), one.digest(Key(7)));
    }
}

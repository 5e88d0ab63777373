//! Names as numbers: a destination and a node are known on all nodes by 64 bits.

use crate::dispatch::hash::xxh64;
use crate::dispatch::list::destination::SetId;

/// A destination as all nodes know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

/// A node as registers name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeHash(pub u64);

/// The key that tells a destination from all others, the same on every node.
///
/// The local socket is left out: it differs from node to node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity<'a> {
    /// Its unique id; capital and small letters are alike.
    Duid(&'a [u8]),
    /// Without one, its URI as it is listed.
    Uri(&'a [u8]),
}

impl Key {
    /// Returns the key of a destination. `number` counts those of the set with the same identity in the order of the
    /// list, from 1.
    #[must_use]
    pub fn of(set: SetId, identity: Identity<'_>, number: usize) -> Self {
        let mut text = format!("{set}\n").into_bytes();
        match identity {
            Identity::Duid(duid) => {
                text.extend_from_slice(b"d:");
                text.extend(duid.iter().map(u8::to_ascii_lowercase));
            }
            Identity::Uri(uri) => {
                text.extend_from_slice(b"u:");
                text.extend_from_slice(uri);
            }
        }
        if number > 1 {
            text.extend_from_slice(format!("\n{number}").as_bytes());
        }
        Self(hash(&text))
    }
}

impl NodeHash {
    /// Returns the number of a node's name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(hash(name.as_bytes()))
    }
}

/// Returns XXH64 with the seed 0. All nodes of a cluster must agree on it, so it never changes.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    xxh64(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_the_algorithm_prescribes() {
        assert_eq!(hash(b""), 0xef46_db37_51d8_e999);
        assert_eq!(hash(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(hash(b"abc"), 0x44bc_2cf5_ad77_0999);
    }

    #[test]
    fn keys_are_what_every_version_computes() {
        let key = |set, identity, number| Key::of(set, identity, number).0;
        let (uri, duid) = (Identity::Uri(b"sip:192.0.2.1:5060"), Identity::Duid(b"gw1"));
        let long = Identity::Uri(b"sip:192.0.2.1:5060;transport=tls;r2=on");
        let golden = [
            (1, uri, 1, 0xfc3f_bbf2_feed_42a5),
            (1, uri, 2, 0xf442_b585_680d_e5c4),
            (-2, uri, 1, 0xe773_ec9a_9c07_0583),
            (1, long, 1, 0x51da_ac9f_d002_3292),
            (1, duid, 1, 0x2580_63f2_9303_e1bc),
        ];
        for (set, identity, number, expected) in golden {
            let found = key(set, identity, number);
            assert_eq!(found, expected, "{set} {identity:?} {number}: {found:#x}");
        }
        assert_eq!(key(1, Identity::Duid(b"GW1"), 1), key(1, duid, 1));
        assert_ne!(key(1, Identity::Uri(b"gw1"), 1), key(1, duid, 1));
        assert_eq!(NodeHash::of("lb1").0, 0xbcb7_d1da_0ea2_5cec);
    }

    #[test]
    fn a_key_is_the_hash_of_the_text_that_the_documentation_shows() {
        let uri = Identity::Uri(b"sip:a");
        assert_eq!(Key::of(-3, uri, 1).0, hash(b"-3\nu:sip:a"));
        assert_eq!(Key::of(-3, uri, 2).0, hash(b"-3\nu:sip:a\n2"));
        let duid = Identity::Duid(b"East-\xc4");
        assert_eq!(Key::of(7, duid, 1).0, hash(b"7\nd:east-\xc4"));
    }
}

//! Hashes: the one that picks destinations, bit-exact with the C module, and one for our tables.

#![forbid(unsafe_code)]

use core::ffi::c_char;

/// Hash of one or two texts, as algorithms 0-3, 5 and 7 and RPC `dispatcher.hash` use it.
///
/// Never 0. The two texts are hashed one after the other, each in its own groups of four bytes.
/// Bytes are C's `char`: where that is signed (x86), a byte from 0x80 on counts as negative.
///
/// Source: features 3.7.1; known values read from the C module 5.6.3 with `dispatcher.hash`.
#[must_use]
pub fn hash(first: &[u8], second: Option<&[u8]>) -> u32 {
    let mut sum = add_text(0, first);
    if let Some(second) = second {
        sum = add_text(sum, second);
    }
    let mixed = sum
        .wrapping_add(sum >> 11)
        .wrapping_add(sum >> 13)
        .wrapping_add(sum >> 23);
    mixed.max(1)
}

/// Adds the groups of four bytes of `text`, then what is left over as one more group.
fn add_text(sum: u32, text: &[u8]) -> u32 {
    text.chunks(4).fold(sum, |sum, group| {
        let value = group
            .iter()
            .fold(0u32, |value, byte| (value << 8).wrapping_add(extend(*byte)));
        sum.wrapping_add(value ^ (value >> 3))
    })
}

/// `byte` as C converts a `char` of this machine to an unsigned int.
fn extend(byte: u8) -> u32 {
    let as_char = c_char::from_ne_bytes([byte]);
    u32::from_ne_bytes(i32::from(as_char).to_ne_bytes())
}

/// A cheap hash for our own tables that ignores the case of ASCII letters (32-bit FNV-1a).
#[must_use]
pub fn fold_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn known_values() {
        type Case = (&'static [u8], Option<&'static [u8]>, u32);
        let cases: &[Case] = &[
            (b"", None, 1),
            (b"", Some(b""), 1),
            (b"a", None, 109),
            (b"ab", None, 27_998),
            (b"abc", None, 7_167_810),
            (b"abcd", None, 1_834_959_896),
            (b"abcde", None, 1_834_960_001),
            (b"abc@def", None, 1_841_839_720),
            (b"alice", None, 1_834_153_949),
            (b"alice", Some(b"a.example"), 1_201_249_320),
            (b"0123456789abcdef0123456789@10.0.0.1", None, 4_125_324_209),
        ];
        for (first, second, want) in cases {
            assert_eq!(hash(first, *second), *want, "{first:?} {second:?}");
        }
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    #[test]
    fn known_values_with_signed_bytes() {
        let second: &[u8] = b"q\xe9st";
        let cases: &[(&[u8], u32, u32)] = &[
            (b"\xc3\xa4\xff\x80x", 3_675_896_360, 1_509_551_213),
            (b"\x80", 3_760_390_704, 1_594_045_556),
            (b"\x80\x81\x82\x83\x84", 1_350_378_589, 3_481_622_691),
            (b"abc", 7_167_810, 2_138_411_913),
            (b"abcde", 1_834_960_001, 3_966_204_104),
        ];
        for (first, alone, with_second) in cases {
            assert_eq!(hash(first, None), *alone, "{first:?}");
            assert_eq!(hash(first, Some(second)), *with_second, "{first:?}");
        }
    }

    #[test]
    fn texts_are_not_joined() {
        assert_ne!(hash(b"abc", Some(b"def")), hash(b"abcdef", None));
        assert_eq!(hash(b"abcd", Some(b"efg")), hash(b"abcdefg", None));
    }

    #[test]
    fn never_zero_and_empty_second_changes_nothing() {
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..if cfg!(miri) { 50 } else { 2_000 } {
            let mut text = vec![0u8; random.random_range(0..40)];
            random.fill(text.as_mut_slice());
            assert_ne!(hash(&text, None), 0, "{text:?}");
            assert_eq!(hash(&text, None), hash(&text, Some(b"")), "{text:?}");
        }
    }

    #[test]
    fn fold_hash_ignores_case_only() {
        assert_eq!(fold_hash(b""), 0x811c_9dc5);
        assert_eq!(fold_hash(b"a"), 0xe40c_292c);
        assert_eq!(fold_hash(b"SIP:Host"), fold_hash(b"sip:hOST"));
        assert_ne!(fold_hash(b"sip:a"), fold_hash(b"sip:b"));
        assert_ne!(fold_hash(b"["), fold_hash(b"{"));
    }
}

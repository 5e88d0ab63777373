//! Hashes: the one that selects destinations, bit for bit that of the C module, one on which servers agree, and one for
//! tables.

use core::ffi::c_char;

use twox_hash::XxHash64;

/// Returns the hash of one or two texts, as algorithms 0-3, 5 and 7 and RPC `dispatcher.hash` use it; never 0.
///
/// The two texts are hashed one after the other, each in its own groups of four bytes. Bytes are C's `char`: if that is
/// signed (x86), a byte from 0x80 on counts as negative.
#[must_use]
#[inline(always)]
pub fn hash(first: &[u8], second: Option<&[u8]>) -> u32 {
    match second {
        Some(second) => hash_of_two(first, second),
        None => hash_of_one(first),
    }
}

#[inline(never)]
fn hash_of_one(text: &[u8]) -> u32 {
    mix(add_text(0, text))
}

#[inline(never)]
fn hash_of_two(first: &[u8], second: &[u8]) -> u32 {
    mix(add_text(add_text(0, first), second))
}

/// Returns the hash for the sum of all groups.
fn mix(sum: u32) -> u32 {
    let mixed = sum
        .wrapping_add(sum >> 11)
        .wrapping_add(sum >> 13)
        .wrapping_add(sum >> 23);
    mixed.max(1)
}

/// Adds the groups of four bytes of `text`, and then the bytes that are left over as one more group.
#[inline(always)]
fn add_text(sum: u32, text: &[u8]) -> u32 {
    let pairs = text.chunks_exact(8);
    let rest = pairs.remainder();
    let sum = pairs.fold(sum, |sum, pair| {
        let pair = pair.first_chunk().copied().unwrap_or_default();
        add_pair(sum, u64::from_be_bytes(pair))
    });
    let sum = match rest.first_chunk() {
        Some(&group) => add(sum, u32::from_be_bytes(group)),
        None => sum,
    };
    if text.len() % 4 == 0 {
        return sum;
    }
    // The last four bytes of a longer text, without those that were in its last group.
    let left_over = match (text.last_chunk(), text) {
        (Some(&last), _) => u32::from_be_bytes(last) & !(u32::MAX << (text.len() % 4 * 8)),
        (None, &[a]) => u32::from(a),
        (None, &[a, b]) => u32::from_be_bytes([0, 0, a, b]),
        (None, &[a, b, c]) => u32::from_be_bytes([0, a, b, c]),
        (None, _) => 0,
    };
    add(sum, left_over)
}

/// Adds one group.
#[inline(always)]
const fn add(sum: u32, group: u32) -> u32 {
    let group = extend(group);
    sum.wrapping_add(group ^ (group >> 3))
}

/// Adds two groups, the second one in the lower half.
#[inline(always)]
fn add_pair(sum: u32, pair: u64) -> u32 {
    if pair & 0x8080_8080_8080_8080 != 0 {
        let (first, second) = halves(pair);
        return add(add(sum, first), second);
    }
    // All bytes are ASCII: none is negative, and both groups can be added at once.
    let (first, second) = halves(pair ^ ((pair >> 3) & 0x1fff_ffff_1fff_ffff));
    sum.wrapping_add(first).wrapping_add(second)
}

/// Returns the upper and the lower half.
#[inline(always)]
fn halves(pair: u64) -> (u32, u32) {
    let half = |pair: u64| u32::try_from(pair & u64::from(u32::MAX)).unwrap_or(0);
    (half(pair >> 32), half(pair))
}

/// Returns the sum of four bytes, each shifted to its place as a `char` of this machine.
///
/// A negative `char` is 256 less than its byte, which is one less in the byte above.
const fn extend(bytes: u32) -> u32 {
    if c_char::MIN == 0 {
        bytes
    } else {
        bytes.wrapping_sub((bytes & 0x0080_8080) << 1)
    }
}

/// Returns XXH64 with the seed 0: a hash that is specified, so that servers of any version agree on it for ever.
#[must_use]
pub fn xxh64(text: &[u8]) -> u64 {
    XxHash64::oneshot(0, text)
}

/// An odd number with its bits well spread (2^64 by the golden ratio).
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes the bits of a word: the upper half of the result is a hash of all of them.
#[must_use]
#[inline]
pub const fn spread(word: u64) -> u64 {
    let mixed = word.wrapping_mul(GOLDEN);
    mixed ^ (mixed >> 32)
}

/// Returns a cheap hash for tables, which ignores the case of ASCII letters.
#[must_use]
pub fn fold_hash(bytes: &[u8]) -> u32 {
    // The constant sets the bit that tells small letters from capital ones. Other bytes may get the same value.
    let add = |hash: u64, word: u64| spread(hash ^ (word | 0x2020_2020_2020_2020));
    let words = bytes.chunks_exact(8);
    let mut last = [0u8; 8];
    for (to, from) in last.iter_mut().zip(words.remainder()) {
        *to = *from;
    }
    let hash = words.fold(bytes.len() as u64, |hash, word| match word {
        &[a, b, c, d, e, f, g, h] => add(hash, u64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        _ => hash,
    });
    let [a, b, c, d, ..] = add(hash, u64::from_ne_bytes(last))
        .wrapping_mul(GOLDEN)
        .to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
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
        assert_eq!(fold_hash(b"SIP:Host"), fold_hash(b"sip:hOST"));
        assert_ne!(fold_hash(b"sip:a"), fold_hash(b"sip:b"));
        assert_eq!(
            fold_hash(b"SIP:LONG.EXAMPLE:5060"),
            fold_hash(b"sip:long.example:5060")
        );
        assert_ne!(fold_hash(b"a"), fold_hash(b"a\0"));
    }

    #[test]
    fn fold_hash_spreads_uris_that_differ_in_little() {
        const BUCKETS: usize = if cfg!(miri) { 32 } else { 1024 };
        for base in [
            "sip:10.0.0.1:",
            "sip:a",
            "sip:gateway.example.com;transport=tcp;n=",
        ] {
            let mut chains = [0; BUCKETS];
            for n in 0..BUCKETS {
                chains[fold_hash(format!("{base}{n}").as_bytes()) as usize % BUCKETS] += 1;
            }
            let longest = chains.iter().max().unwrap();
            assert!(*longest <= 8, "{base}: {longest} in one bucket");
        }
    }
}

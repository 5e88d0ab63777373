//! Texts that are hashed. The first byte says where the second text begins.

use std::ffi::c_char;

use dispatcher::dispatch::hash::{fold_hash, hash};

use crate::Target;

pub const TARGET: Target = Target {
    name: "hash",
    run,
    seeds: &[
        b"\x000123456789abcdef0123456789@10.0.0.1",
        b"\x05alicea.example",
        b"\x04\x80\x81\x82\x83\x84",
        b"\x00",
        b"\x03abcd",
    ],
    words: &[b"\x80", b"\xff", b"sip:", b"@", b"\x7f\xff\xff\xff"],
};

fn run(input: &[u8]) {
    let (at, text) = input.split_first().unwrap_or((&0, b""));
    let (first, second) = text.split_at(usize::from(*at).min(text.len()));
    let alone = hash(text, None);
    assert_eq!(alone, finish(sum(0, text)));
    assert_eq!(alone, hash(text, Some(b"")));
    assert_eq!(
        hash(first, Some(second)),
        finish(sum(sum(0, first), second))
    );
    assert_eq!(fold_hash(text), fold_hash(&text.to_ascii_uppercase()));
}

/// Adds up a text byte by byte: groups of four, each byte a `char` of this machine.
fn sum(start: u32, text: &[u8]) -> u32 {
    text.chunks(4).fold(start, |sum, group| {
        let group = group.iter().fold(0u32, |word, &byte| {
            let char = if c_char::MIN == 0 {
                i32::from(byte)
            } else {
                i32::from(i8::from_ne_bytes([byte]))
            };
            (word << 8).wrapping_add(u32::from_ne_bytes(char.to_ne_bytes()))
        });
        sum.wrapping_add(group ^ (group >> 3))
    })
}

fn finish(sum: u32) -> u32 {
    let mixed = sum
        .wrapping_add(sum >> 11)
        .wrapping_add(sum >> 13)
        .wrapping_add(sum >> 23);
    mixed.max(1)
}

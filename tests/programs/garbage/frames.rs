//! Packets of ctl's binary protocol: whole ones with values of any type, and broken ones.
//!
//! The format is in modules/ctl/binrpc.h of the server's sources.

use super::chance::Chance;
use super::mutate::mutate;
use super::words::word;

/// Kinds of values.
const INT: u8 = 0;
const TEXT: u8 = 1;
const DOUBLE: u8 = 2;
const STRUCT: u8 = 3;
const ARRAY: u8 = 4;
const NAME: u8 = 5;
const BYTES: u8 = 6;

/// Returns a packet around a body, with a length of two bytes and a cookie of four.
fn wrapped(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    [&[0xA1, 0x07], &length.to_be_bytes()[..], b"hard", body].concat()
}

/// Returns a value, its length in as many bytes as it needs.
fn value(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    match content.len() {
        0..=7 => {
            let length = u8::try_from(content.len()).unwrap_or(0);
            [&[length << 4 | kind], content].concat()
        }
        8..=255 => [&[0x90 | kind, length[1]], content].concat(),
        _ => [&[0xA0 | kind], &length[..], content].concat(),
    }
}

fn terminated(word: &[u8]) -> Vec<u8> {
    [word, b"\0"].concat()
}

/// Returns a packet of texts.
pub fn words(words: &[&[u8]]) -> Vec<u8> {
    let body: Vec<u8> = words
        .iter()
        .flat_map(|word| value(TEXT, &terminated(word)))
        .collect();
    wrapped(&body)
}

/// Returns a valid packet: a command and values of any type.
pub fn packet(chance: &mut Chance, commands: &[&str]) -> Vec<u8> {
    let command = chance.pick(commands).as_bytes().to_vec();
    let mut body = value(TEXT, &terminated(&command));
    for _ in 0..chance.below(8) {
        let record = record(chance, 0);
        body.extend(record);
    }
    body.truncate(60_000);
    wrapped(&body)
}

fn record(chance: &mut Chance, depth: usize) -> Vec<u8> {
    match chance.below(10) {
        0 | 1 => {
            let bytes = chance.number().to_be_bytes();
            value(INT, &bytes[4 + chance.below(5)..])
        }
        2 => value(DOUBLE, &chance.number().to_be_bytes()[4..]),
        3 if depth < 3 => {
            let mut out = vec![STRUCT];
            for _ in 0..chance.below(4) {
                out.extend(value(NAME, &terminated(&word(chance, 20))));
                out.extend(record(chance, depth + 1));
            }
            out.push(0x80 | STRUCT);
            out
        }
        4 if depth < 3 => {
            let mut out = vec![ARRAY];
            for _ in 0..chance.below(4) {
                out.extend(record(chance, depth + 1));
            }
            out.push(0x80 | ARRAY);
            out
        }
        5 => value(BYTES, &word(chance, 300)),
        _ => value(TEXT, &terminated(&word(chance, 5_000))),
    }
}

/// Returns an invalid packet.
pub fn broken(chance: &mut Chance, commands: &[&str]) -> Vec<u8> {
    let mut bytes = packet(chance, commands);
    match chance.below(6) {
        // Another magic, version, or sizes of lengths.
        0 => bytes[0] = chance.byte(),
        1 => bytes[1] = chance.byte(),
        // Another length.
        2 => {
            bytes[2] = chance.byte();
            bytes[3] = chance.byte();
        }
        3 => {
            let length = chance.length(3_000);
            bytes = chance.bytes(length);
        }
        _ => mutate(chance, &mut bytes),
    }
    bytes.truncate(60_000);
    bytes
}

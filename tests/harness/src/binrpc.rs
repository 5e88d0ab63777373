//! A client of ctl's binary protocol, for replies over the 128 kB that `kamcmd` takes.
//!
//! The format is in modules/ctl/binrpc.h of the server's sources.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{Fault, patience};

/// A piece of a reply, in the order of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// The name of what follows, inside a struct.
    Name(String),
    /// A struct or array begins.
    Open,
    /// It ends.
    Close,
}

const REPLY: u8 = 1;
const COOKIE: [u8; 4] = *b"test";

/// Runs a command; yields its whole reply.
pub fn binrpc(dir: &Path, command: &[&str]) -> Result<Vec<Piece>, Fault> {
    let lost = |error: std::io::Error| Fault {
        code: 0,
        text: format!("ctl: {error}"),
    };
    let mut stream = UnixStream::connect(dir.join("ctl")).map_err(lost)?;
    stream.set_read_timeout(Some(patience(20))).map_err(lost)?;
    let body: Vec<u8> = command.iter().flat_map(|word| text_record(word)).collect();
    let length = u16::try_from(body.len()).expect("a short command");
    let mut packet = vec![0xA1, 0x07];
    packet.extend(length.to_be_bytes());
    packet.extend(COOKIE);
    packet.extend(body);
    stream.write_all(&packet).map_err(lost)?;
    let (kind, body) = receive(&mut stream).map_err(lost)?;
    let pieces = decode(&body);
    match (kind, pieces.as_slice()) {
        (REPLY, _) => Ok(pieces),
        (_, [Piece::Int(code), Piece::Text(text), ..]) => Err(Fault {
            code: *code,
            text: text.clone(),
        }),
        _ => panic!("neither a reply nor a fault: {pieces:?}"),
    }
}

/// A text of a command, with its length in two bytes.
fn text_record(word: &str) -> Vec<u8> {
    let length = u16::try_from(word.len() + 1).expect("a short word");
    let mut record = vec![0xA1];
    record.extend(length.to_be_bytes());
    record.extend(word.as_bytes());
    record.push(0);
    record
}

/// One packet: its kind and body.
fn receive(stream: &mut UnixStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut start = [0; 2];
    stream.read_exact(&mut start)?;
    assert_eq!(start[0], 0xA1, "magic and version");
    let [lengths, cookies] = [(start[1] >> 2) & 3, start[1] & 3].map(|n| usize::from(n) + 1);
    let mut head = vec![0; lengths + cookies];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; number(&head[..lengths])];
    stream.read_exact(&mut body)?;
    Ok((start[1] >> 4, body))
}

/// A big-endian number.
fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |n, &byte| (n << 8) | usize::from(byte))
}

fn decode(mut body: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while let Some((&first, rest)) = body.split_first() {
        let (long, size, kind) = (first & 0x80 != 0, usize::from((first >> 4) & 7), first & 15);
        body = rest;
        let mut take = |length: usize| {
            let (taken, rest) = body.split_at(length);
            body = rest;
            taken
        };
        if matches!(kind, 3 | 4) {
            pieces.push(if long { Piece::Close } else { Piece::Open });
            continue;
        }
        let length = if long { number(take(size)) } else { size };
        let value = take(length);
        let text = || String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(value)).into();
        pieces.push(match kind {
            0 => Piece::Int(i64::try_from(number(value)).expect("a number")),
            5 => Piece::Name(text()),
            _ => Piece::Text(text()),
        });
    }
    pieces
}

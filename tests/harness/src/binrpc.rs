//! A client of ctl's binary protocol, for replies over the 128 kB that `kamcmd` takes.
//!
//! The format is in modules/ctl/binrpc.h of the server's sources.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Fault, patience};

/// A piece of a reply, in the order of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A number.
    Int(i64),
    /// A fraction, in thousandths, as the protocol has it.
    Double(i64),
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
    binrpc_within(dir, command, patience(20))
}

/// As [`binrpc`], but gives up after `limit`.
pub fn binrpc_within(dir: &Path, command: &[&str], limit: Duration) -> Result<Vec<Piece>, Fault> {
    let command: Vec<Vec<u8>> = command.iter().map(|word| text_record(word)).collect();
    let body = call(dir, &command.concat(), limit)?;
    Ok(records(&body).into_iter().map(Record::piece).collect())
}

/// Runs a command whose arguments are numbers where they look like one; yields its reply with the types and the bytes
/// that came, one record a line, indented by depth.
pub fn typed_binrpc(dir: &Path, command: &[&str]) -> Result<String, Fault> {
    let command: Vec<Vec<u8>> = command
        .iter()
        .map(|word| word.parse().map_or_else(|_| text_record(word), int_record))
        .collect();
    let body = call(dir, &command.concat(), patience(20))?;
    let (mut out, mut depth) = (String::new(), 0);
    for record in records(&body) {
        if record.piece() == Piece::Close {
            depth -= 1;
        }
        out += &format!("{}{}\n", "  ".repeat(depth), record.shown());
        if record.piece() == Piece::Open {
            depth += 1;
        }
    }
    Ok(out)
}

/// Sends a command; yields the body of the reply.
fn call(dir: &Path, body: &[u8], limit: Duration) -> Result<Vec<u8>, Fault> {
    let lost = |error: std::io::Error| Fault {
        code: 0,
        text: format!("ctl: {error}"),
    };
    let mut stream = UnixStream::connect(dir.join("ctl")).map_err(lost)?;
    stream.set_read_timeout(Some(limit)).map_err(lost)?;
    let length = u16::try_from(body.len()).expect("a short command");
    let mut packet = vec![0xA1, 0x07];
    packet.extend(length.to_be_bytes());
    packet.extend(COOKIE);
    packet.extend(body);
    stream.write_all(&packet).map_err(lost)?;
    let (kind, body) = receive(&mut stream).map_err(lost)?;
    if kind == REPLY {
        return Ok(body);
    }
    let pieces: Vec<Piece> = records(&body).into_iter().map(Record::piece).collect();
    match pieces.as_slice() {
        [Piece::Int(code), Piece::Text(text), ..] => Err(Fault {
            code: *code,
            text: text.clone(),
        }),
        _ => panic!("neither a reply nor a fault: {pieces:?}"),
    }
}

/// A number of a command, in four bytes.
fn int_record(number: i32) -> Vec<u8> {
    [&[0x40], &number.to_be_bytes()[..]].concat()
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

/// A record of a reply: its type, and its value or the mark of an end.
#[derive(Clone, Copy)]
struct Record<'b> {
    kind: u8,
    ends: bool,
    value: &'b [u8],
}

impl Record<'_> {
    fn number(self) -> i64 {
        // Numbers of four bytes have a sign, and lead with no zeroes.
        match self.value {
            &[a, b, c, d] => i32::from_be_bytes([a, b, c, d]).into(),
            value => i64::try_from(number(value)).expect("a number"),
        }
    }

    fn bytes(&self) -> &[u8] {
        self.value.strip_suffix(b"\0").unwrap_or(self.value)
    }

    fn piece(self) -> Piece {
        let text = || String::from_utf8_lossy(self.bytes()).into();
        match self.kind {
            0 => Piece::Int(self.number()),
            2 => Piece::Double(self.number()),
            3 | 4 if self.ends => Piece::Close,
            3 | 4 => Piece::Open,
            5 => Piece::Name(text()),
            _ => Piece::Text(text()),
        }
    }

    fn shown(self) -> String {
        let text = self.bytes().escape_ascii();
        match (self.kind, self.ends) {
            (0, _) => format!("int {}", self.number()),
            (1, _) => format!("text \"{text}\""),
            (2, _) => format!("double {}", self.number()),
            (3, false) => "struct".to_owned(),
            (4, false) => "array".to_owned(),
            (3 | 4, true) => "end".to_owned(),
            (5, _) => format!("{text}:"),
            (kind, _) => format!("type {kind} \"{text}\""),
        }
    }
}

fn records(mut body: &[u8]) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    while let Some((&first, rest)) = body.split_first() {
        let (long, size, kind) = (first & 0x80 != 0, usize::from((first >> 4) & 7), first & 15);
        body = rest;
        let mut take = |length: usize| {
            let (taken, rest) = body.split_at(length);
            body = rest;
            taken
        };
        let ends = long && matches!(kind, 3 | 4);
        let length = match (long, kind) {
            (_, 3 | 4) => 0,
            (true, _) => number(take(size)),
            (false, _) => size,
        };
        let value = take(length);
        records.push(Record { kind, ends, value });
    }
    records
}

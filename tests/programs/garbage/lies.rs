//! DNS answers that are wrong in content, form or time.

use std::time::Duration;

use super::chance::Chance;
use super::mutate::mutate;
use super::words::word;

/// Answers, each after a while.
pub type Answers = Vec<(Duration, Vec<u8>)>;

/// Types of records: A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, NAPTR, OPT, ANY, and an unknown one.
const TYPES: [u16; 12] = [1, 2, 5, 6, 12, 16, 28, 33, 35, 41, 255, 65_280];

/// The kinds of lies.
pub const KINDS: [&str; 14] = [
    "no answer",
    "a late answer",
    "no such name",
    "another code",
    "an answer that is cut",
    "an answer that is said to be cut",
    "a ring of aliases",
    "a name that points at itself",
    "thousands of addresses",
    "answers about other names",
    "services of any bytes",
    "any records",
    "any bytes",
    "mutated answers",
];

/// Answers a question with a lie of a kind. The question has at least a header and a name.
pub fn lie(chance: &mut Chance, kind: usize, query: &[u8]) -> Answers {
    let now = |bytes| vec![(Duration::ZERO, bytes)];
    let asked = query.get(12..).and_then(type_of).unwrap_or(1);
    match kind {
        0 => Vec::new(),
        1 => {
            let after = Duration::from_millis(u64::try_from(chance.below(2_500)).unwrap_or(0));
            vec![(after, reply(query, 0, &[address(chance)]))]
        }
        2 => now(reply(query, 3, &[])),
        3 => {
            let code = u8::try_from(chance.below(16)).unwrap_or(5);
            now(reply(query, code, &[address(chance)]))
        }
        4 => {
            let mut bytes = reply(query, 0, &[address(chance), alias(chance), service(chance)]);
            bytes.truncate(chance.below(bytes.len()));
            now(bytes)
        }
        5 => {
            let mut bytes = reply(query, 0, &[address(chance)]);
            bytes[2] |= 2;
            now(bytes)
        }
        6 => {
            let ring: Vec<Record> = (0..1 + chance.below(200)).map(|_| alias(chance)).collect();
            now(reply(query, 0, &ring))
        }
        7 => now(itself(query, asked)),
        8 => {
            let count = 1 + chance.below(3_900);
            let many: Vec<Record> = (0..count).map(|_| address(chance)).collect();
            now(reply(query, 0, &many))
        }
        9 => {
            let mut bytes = reply(query, 0, &[address(chance)]);
            let at = 12 + chance.below(bytes.len() - 12);
            bytes[at] ^= 0x20;
            now(bytes)
        }
        10 => {
            let services: Vec<Record> = (0..chance.below(40)).map(|_| service(chance)).collect();
            now(reply(query, 0, &services))
        }
        11 => {
            let count = chance.below(30);
            let records: Vec<Record> = (0..count)
                .map(|_| {
                    let length = chance.length(600);
                    (*chance.pick(&TYPES), chance.bytes(length))
                })
                .collect();
            now(reply(query, 0, &records))
        }
        12 => {
            let length = chance.length(4_000);
            let mut bytes = chance.bytes(length);
            if chance.once_in(2) {
                bytes.splice(0..0, query.iter().copied().take(12));
            }
            now(bytes)
        }
        _ => {
            let records = [
                address(chance),
                alias(chance),
                service(chance),
                pointer(chance),
            ];
            let count = 1 + chance.below(3);
            let mutated = (0..count).map(|_| {
                let mut bytes = reply(query, 0, &records);
                // Without the number of the question, the server would ignore the answer.
                let mut rest = bytes.split_off(2);
                mutate(chance, &mut rest);
                bytes.extend(rest);
                bytes.truncate(60_000);
                (Duration::ZERO, bytes)
            });
            mutated.collect()
        }
    }
}

/// Returns the type in a question that begins with a name.
fn type_of(question: &[u8]) -> Option<u16> {
    let end = question.iter().position(|&byte| byte == 0)?;
    let kind = question.get(end + 1..end + 3)?;
    Some(u16::from_be_bytes([kind[0], kind[1]]))
}

/// Type and content of a record.
type Record = (u16, Vec<u8>);

fn address(chance: &mut Chance) -> Record {
    let low = chance.bytes(3);
    (1, [&[127], &low[..]].concat())
}

/// Returns a name: that of the question, a pointer to anywhere, or any word.
fn name(chance: &mut Chance) -> Vec<u8> {
    match chance.below(4) {
        0 => vec![0xc0, 12],
        1 => vec![0xc0, chance.byte()],
        2 => b"\x01a\x07garbage\x04test\x00".to_vec(),
        _ => {
            let mut label = word(chance, 63);
            label.insert(0, u8::try_from(label.len()).unwrap_or(63));
            label.push(0);
            label
        }
    }
}

fn alias(chance: &mut Chance) -> Record {
    (5, name(chance))
}

fn service(chance: &mut Chance) -> Record {
    (33, [chance.bytes(6), name(chance)].concat())
}

fn pointer(chance: &mut Chance) -> Record {
    let mut content = chance.bytes(4);
    for _ in 0..3 {
        let text = word(chance, 255);
        content.push(u8::try_from(text.len()).unwrap_or(0));
        content.extend(text);
    }
    content.extend(name(chance));
    (35, content)
}

/// Returns an answer with a record whose name is a pointer to itself.
fn itself(query: &[u8], asked: u16) -> Vec<u8> {
    let mut bytes = reply(query, 0, &[(asked, vec![0xc0, 12])]);
    let at = query.len().min(bytes.len() - 2);
    let low = u8::try_from(at % 256).unwrap_or(0);
    let high = 0xc0 | u8::try_from(at / 256).unwrap_or(0);
    bytes[at] = high;
    bytes[at + 1] = low;
    bytes
}

/// Returns the answer to a question: its header, the question again, and records about the name in it (RFC 1035, 4.1).
fn reply(query: &[u8], code: u8, records: &[Record]) -> Vec<u8> {
    let question = query.get(12..).unwrap_or_default();
    let end = question.iter().position(|&byte| byte == 0);
    let end = end.map_or(question.len(), |end| (end + 5).min(question.len()));
    let count = u16::try_from(records.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let mut out = query.get(..2).unwrap_or(&[0, 0]).to_vec();
    out.extend([0x85, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
    out.extend(&question[..end]);
    for (kind, content) in records {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 1]);
        out.extend(u16::try_from(content.len()).unwrap_or(0).to_be_bytes());
        out.extend(content);
    }
    out.truncate(65_000);
    out
}

//! Changes to bytes that were correct.

use super::chance::Chance;

/// Bytes that mean something to parsers.
const SIGNS: &[u8] = b"\0\r\n \t:;,<>@=?&\"\\/[]()%{}*+-._~09azAZ\x7f\x80\xc3\xff";

/// Changes one to four bytes or pieces.
pub fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>) {
    for _ in 0..=chance.below(4) {
        change(chance, bytes);
    }
}

fn change(chance: &mut Chance, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        bytes.push(chance.byte());
        return;
    }
    let at = chance.below(bytes.len());
    let length = 1 + chance.below((bytes.len() - at).min(40));
    match chance.below(10) {
        0 => bytes[at] ^= 1 << chance.below(8),
        1 => bytes[at] = chance.byte(),
        2 => bytes[at] = *chance.pick(SIGNS),
        3 => bytes.insert(at, *chance.pick(SIGNS)),
        4 => drop(bytes.drain(at..at + length)),
        5 => {
            let piece = bytes[at..at + length].to_vec();
            let to = chance.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        6 => {
            let piece = bytes[at..at + length].to_vec();
            let times = 1 + chance.below(200);
            bytes.splice(at..at, piece.repeat(times));
        }
        7 => {
            let length = chance.length(2_000);
            let sign = *chance.pick(SIGNS);
            bytes.splice(at..at, vec![sign; length]);
        }
        8 => bytes.truncate(at),
        _ => swap_lines(chance, bytes),
    }
}

/// Swaps two lines, or repeats one.
fn swap_lines(chance: &mut Chance, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let (one, other) = (chance.below(lines.len()), chance.below(lines.len()));
    if chance.once_in(2) {
        lines.swap(one, other);
    } else {
        let line = lines[one].clone();
        lines.insert(other, line);
    }
    *bytes = lines.concat();
}

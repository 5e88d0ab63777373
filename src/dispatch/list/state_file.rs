//! The text of the file that keeps over restarts what operators have set.
//!
//! It has a line for each destination whose administrative state is not the one that its list asks for, and one if pings
//! are not switched as the config asks for. With a cluster it also has a line for each register.

use std::collections::BTreeMap;
use std::io::Write;

use super::destination::SetId;
use super::file::is_blank;
use crate::dispatch::cluster::state::clock::Stamp;
use crate::dispatch::cluster::state::key::{Key, NodeHash};
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::text::number;

/// The first lines of each file.
const HEAD: &[u8] =
    b"# States that operators have set. Written by Kamailio's dispatcher module, read at \
its start.\n# set, flags in the list, flags instead, URI, and its number where the set repeats it\n\
# pings, 1 if the config begins with pings, 1 if they are on instead\n";

/// What stands before the lines of registers.
const HEAD_OF_REGISTERS: &[u8] =
    b"# cluster, destination, stamp and node in hexadecimal, flags, flags in that node's list\n";

/// The first word of the line about pings.
const PINGS: &[u8] = b"pings";

/// The first word of the line of a register.
const CLUSTER: &[u8] = b"cluster";

/// What is kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The switch of the pings, if it is kept.
    pub pings: Option<KeptSwitch>,
    /// The states.
    pub states: Vec<KeptState>,
    /// The registers of the cluster.
    pub registers: Vec<(Key, Register)>,
}

/// A switch that a command has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSwitch {
    /// True if the config asked for "on" when the file was written.
    pub initial: bool,
    /// True if it is to be on instead.
    pub on: bool,
}

/// The state of one destination that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptState {
    /// The set.
    pub set: SetId,
    /// The state flags that the list asked for when the file was written.
    pub listed: u32,
    /// The state flags that the destination is to have instead.
    pub flags: u32,
    /// The URI.
    pub uri: Vec<u8>,
    /// The number among the destinations of the set that have this URI, in the order of the list, from 1.
    pub number: usize,
}

/// Leaves the newest registers, so many of them.
pub fn keep_newest(registers: &mut BTreeMap<Key, Register>, most: usize) {
    let Some(too_many) = registers.len().checked_sub(most).filter(|&many| many > 0) else {
        return;
    };
    let mut by_age: Vec<(Stamp, Key)> = registers
        .iter()
        .map(|(&key, one)| (one.stamp, key))
        .collect();
    by_age.sort_unstable();
    for (_, key) in by_age.iter().take(too_many) {
        registers.remove(key);
    }
}

/// Returns the text of a file.
#[must_use]
pub fn write(kept: &Kept) -> Vec<u8> {
    let mut text = HEAD.to_vec();
    if let Some(KeptSwitch { initial, on }) = kept.pings {
        text.extend_from_slice(PINGS);
        // Writing to a Vec cannot fail.
        let _ = writeln!(text, " {} {}", u8::from(initial), u8::from(on));
    }
    for one in &kept.states {
        // Writing to a Vec cannot fail.
        let _ = write!(text, "{} {} {} ", one.set, one.listed, one.flags);
        text.extend_from_slice(&one.uri);
        if one.number > 1 {
            let _ = write!(text, " {}", one.number);
        }
        text.push(b'\n');
    }
    if !kept.registers.is_empty() {
        text.extend_from_slice(HEAD_OF_REGISTERS);
    }
    for (key, one) in &kept.registers {
        text.extend_from_slice(CLUSTER);
        let (stamp, node) = (one.stamp.0, one.node.0);
        // Writing to a Vec cannot fail.
        let _ = writeln!(
            text,
            " {:016x} {stamp:016x} {node:016x} {} {}",
            key.0, one.bits, one.base
        );
    }
    text
}

/// Reads a file; returns also the numbers of the lines that cannot be read, from 1. Of several lines about pings the last
/// one counts.
#[must_use]
pub fn read(text: &[u8]) -> (Kept, Vec<usize>) {
    let (mut kept, mut bad) = (Kept::default(), Vec::new());
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let words = line.split(|&byte| is_blank(byte));
        let mut words = words.filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none_or(|word| word.starts_with(b"#")) {
            continue;
        }
        if words.next_if_eq(&PINGS).is_some() {
            match read_switch(words) {
                Some(pings) => kept.pings = Some(pings),
                None => bad.push(number),
            }
            continue;
        }
        if words.next_if_eq(&CLUSTER).is_some() {
            match read_register(words) {
                Some(one) => kept.registers.push(one),
                None => bad.push(number),
            }
            continue;
        }
        match read_state(words) {
            Some(one) => kept.states.push(one),
            None => bad.push(number),
        }
    }
    (kept, bad)
}

fn read_switch<'t>(mut words: impl Iterator<Item = &'t [u8]>) -> Option<KeptSwitch> {
    let mut one = || match words.next()? {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    };
    let (initial, on) = (one()?, one()?);
    words.next().is_none().then_some(KeptSwitch { initial, on })
}

fn read_register<'t>(mut words: impl Iterator<Item = &'t [u8]>) -> Option<(Key, Register)> {
    let mut hex = || {
        let word = core::str::from_utf8(words.next()?).ok()?;
        u64::from_str_radix(word, 16).ok()
    };
    let (key, stamp, node) = (Key(hex()?), Stamp(hex()?), NodeHash(hex()?));
    let register = Register {
        stamp,
        node,
        bits: number(words.next()?)?,
        base: number(words.next()?)?,
    };
    words.next().is_none().then_some((key, register))
}

fn read_state<'t>(mut words: impl Iterator<Item = &'t [u8]>) -> Option<KeptState> {
    let kept = KeptState {
        set: number(words.next()?)?,
        listed: number(words.next()?)?,
        flags: number(words.next()?)?,
        uri: words.next()?.to_vec(),
        number: match words.next() {
            Some(word) => number(word).filter(|&number| number > 0)?,
            None => 1,
        },
    };
    words.next().is_none().then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(set: SetId, flags: u32, uri: &[u8], number: usize) -> KeptState {
        KeptState {
            set,
            listed: 8,
            flags,
            uri: uri.to_vec(),
            number,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let all = [
            kept(1, 12, b"sip:192.0.2.1:5060;transport=tcp", 1),
            kept(-2, 72, b"sip:\xffname", 3),
            // A form feed is no blank in a list.
            kept(3, 4, b"sip:\x0cname\x0c", 1),
        ];
        let registers = [(1, 2, 3, 4, 0), (u64::MAX, u64::MAX, u64::MAX, u32::MAX, 9)];
        let registers = registers.map(|(key, stamp, node, bits, base)| {
            let (stamp, node) = (Stamp(stamp), NodeHash(node));
            let register = Register {
                stamp,
                node,
                bits,
                base,
            };
            (Key(key), register)
        });
        for (initial, on) in [(true, false), (false, true), (false, false)] {
            let kept = Kept {
                pings: Some(KeptSwitch { initial, on }),
                states: all.to_vec(),
                registers: registers.to_vec(),
            };
            assert_eq!(read(&write(&kept)), (kept, vec![]));
        }
        let none = Kept::default();
        assert_eq!(write(&none), HEAD);
        assert_eq!(read(&write(&none)), (none, vec![]));
    }

    #[test]
    fn the_newest_registers_are_kept() {
        let register = |stamp| Register {
            stamp: Stamp(stamp),
            ..Register::default()
        };
        let all = || BTreeMap::from([5, 2, 9, 4].map(|stamp| (Key(20 - stamp), register(stamp))));
        for (most, kept) in [(0, vec![]), (2, vec![9, 5]), (4, vec![9, 5, 4, 2])] {
            let mut left = all();
            keep_newest(&mut left, most);
            let stamps: Vec<u64> = left.values().map(|one| one.stamp.0).collect();
            assert_eq!(stamps, kept);
        }
    }

    #[test]
    fn a_register_has_a_line_of_its_own() {
        let register = Register {
            stamp: Stamp(0x0192_f3a4_b5c6_0001),
            node: NodeHash(0x9f2e_6a7b_8c0d_1e2f),
            bits: 4,
            base: 8,
        };
        let kept = Kept {
            registers: vec![(Key(0x83), register)],
            ..Kept::default()
        };
        let text = write(&kept);
        let line = b"cluster 0000000000000083 0192f3a4b5c60001 9f2e6a7b8c0d1e2f 4 8\n";
        assert!(text.ends_with(line));
        let bad = b"cluster 1 2 3 4\ncluster 1 2 3 4 5 6\ncluster g 2 3 4 5\ncluster 1 -2 3 4 5\n\
            cluster 1 2 3 4 99999999999\ncluster 1ffffffffffffffff 2 3 4 5\nCluster 1 2 3 4 5\n";
        let (kept, lines) = read(&[bad.as_slice(), line].concat());
        assert_eq!((kept.registers.len(), lines), (1, (1..=7).collect()));
    }

    #[test]
    fn a_line_that_cannot_be_read_spares_the_others() {
        let text = b"1 0 4 sip:a\nx 0 4 sip:b\n1 0 sip:c\n1 0 4 sip:d 2 5\n1 0 4\n \n\
            1 0 4 sip:f 0\n1  0\t64 sip:e 2 \r\npings 1\npings 1 2\npings 1 0 0\n\tpings  1 0\nPings 1 1";
        let (kept, bad) = read(text);
        let (initial, on) = (true, false);
        assert_eq!(kept.pings, Some(KeptSwitch { initial, on }));
        let uris: Vec<&[u8]> = kept.states.iter().map(|one| one.uri.as_slice()).collect();
        assert_eq!(
            (uris, bad),
            (
                vec![&b"sip:a"[..], b"sip:e"],
                vec![2, 3, 4, 5, 7, 9, 10, 11, 13]
            )
        );
    }
}

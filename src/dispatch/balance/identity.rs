//! The identity of a destination in its set: a number that neither the order of the list nor the other destinations nor
//! the past decide, so every server that has the line knows it.

use crate::dispatch::hash::xxh64;

/// The identity tells a destination from the others of its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// Its unique id; capital and small letters are alike.
    Duid(&'a [u8]),
    /// Without one, its URI and the local socket that the list gives it, both as they are listed.
    Uri(&'a [u8], &'a [u8]),
}

/// As [`identity_by`].
#[cfg(test)]
pub fn identity(name: Name<'_>, nth: usize) -> u64 {
    identity_by(&mut Vec::with_capacity(128), name, nth)
}

/// Returns the identity of a destination. `nth` counts those of the set with the same name, from 1. `text` is room for
/// what is hashed.
fn identity_by(text: &mut Vec<u8>, name: Name<'_>, nth: usize) -> u64 {
    text.clear();
    match name {
        Name::Duid(duid) => {
            text.extend_from_slice(b"d:");
            text.extend(duid.iter().map(u8::to_ascii_lowercase));
        }
        Name::Uri(uri, socket) => {
            text.extend_from_slice(b"u:");
            text.extend_from_slice(uri);
            text.push(b'\n');
            text.extend_from_slice(socket);
        }
    }
    if nth > 1 {
        text.extend_from_slice(format!("\n{nth}").as_bytes());
    }
    xxh64(text)
}

/// Writes the identities of a set's destinations in order. Of those with the same name, the one that stands first in
/// the list is the first; `line` gives the place of each in the list.
pub fn write<'a>(to: &mut [u64], name: impl Fn(usize) -> Name<'a>, line: impl Fn(usize) -> u32) {
    let mut text = Vec::with_capacity(128);
    for (at, to) in to.iter_mut().enumerate() {
        *to = identity_by(&mut text, name(at), 1);
    }
    let mut sorted = to.to_vec();
    sorted.sort_unstable();
    if sorted.is_sorted_by(|one, other| one < other) {
        return;
    }
    let order = to.iter().enumerate();
    let mut order: Vec<_> = order
        .map(|(at, &identity)| (identity, line(at), at))
        .collect();
    order.sort_unstable();
    for alike in order.chunk_by(|(one, ..), (other, ..)| one == other) {
        for (nth, &(.., at)) in (1..).zip(alike).skip(1) {
            if let Some(to) = to.get_mut(at) {
                *to = identity_by(&mut text, name(at), nth);
            }
        }
    }
}

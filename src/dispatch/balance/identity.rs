//! The identity of a destination in its set: a number that neither the order of the list nor the other destinations nor
//! the past decide, so every server that has the line knows it.

use crate::dispatch::hash::xxh64;

/// What tells a destination from the others of its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// Its unique id; capital and small letters are alike.
    Duid(&'a [u8]),
    /// Without one, its URI and the local socket that the list gives it, both as they are listed.
    Uri(&'a [u8], &'a [u8]),
}

/// Returns the identity of a destination. `nth` counts those of the set with the same name, from 1.
#[must_use]
pub fn identity(name: Name<'_>, nth: usize) -> u64 {
    let mut text = Vec::with_capacity(128);
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
    xxh64(&text)
}

/// Writes the identities of a set's destinations in order. Of those with the same name, the one that stands first in the
/// list is the first; `line` gives the place of each in the list.
pub fn write<'a>(to: &mut [u64], name: impl Fn(usize) -> Name<'a>, line: impl Fn(usize) -> u32) {
    let mut order = Vec::with_capacity(to.len());
    for (at, to) in to.iter_mut().enumerate() {
        *to = identity(name(at), 1);
        order.push((*to, line(at), at));
    }
    order.sort_unstable();
    let alike = order.chunk_by(|(one, ..), (other, ..)| one == other);
    for alike in alike.filter(|alike| alike.len() > 1) {
        for (nth, &(.., at)) in (1..).zip(alike) {
            if let Some(to) = to.get_mut(at) {
                *to = identity(name(at), nth);
            }
        }
    }
}

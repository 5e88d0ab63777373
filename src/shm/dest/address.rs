//! The index of addresses: which destinations have this IP address, or this address and port.
//!
//! It is built whole and never changes: an edit builds another one. Its entries, and so its chains, are
//! in the order of the table, by set as they are listed and then by position: the first match is the
//! answer.

use core::ptr::NonNull;

use crate::dispatch::hash::spread;
use crate::dispatch::list::destination::{Addr, Proto, SetId};

use super::destination::Dest;
use crate::shm::memory::arena::{Arena, Free, OutOfMemory, Owned, Plan, ShmSafe, ShmSlice, to_u32};

/// An address as it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// An IPv4 address, or the first half of an IPv6 one.
    low: u64,
    /// The second half of an IPv6 one.
    high: u64,
    is_v6: bool,
}

impl Key {
    /// Returns an IPv4 address.
    #[inline]
    pub fn v4(bytes: [u8; 4]) -> Self {
        Key {
            low: u32::from_ne_bytes(bytes).into(),
            high: 0,
            is_v6: false,
        }
    }

    /// Returns an IPv6 address.
    #[inline]
    pub fn v6([a, b, c, d, e, f, g, h, rest @ ..]: [u8; 16]) -> Self {
        Key {
            low: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            high: u64::from_ne_bytes(rest),
            is_v6: true,
        }
    }

    /// Returns the word that entries of this address and port have.
    #[inline]
    fn word(self, port: u16) -> u64 {
        let (short, v6) = match self.is_v6 {
            true => (spread(spread(self.low) ^ self.high) >> 32, V6),
            false => (self.low, 0),
        };
        v6 | (u64::from(port) << PORT_AT) | short
    }
}

/// The lower half of an entry's word is an IPv4 address or the hash of an IPv6 one; above it are the
/// port and this bit for IPv6.
const V6: u64 = 1 << 48;
const PORT_AT: u32 = 32;
const NO_PORT: u64 = !(0xffff << PORT_AT);

impl From<Addr> for Key {
    fn from(addr: Addr) -> Self {
        match addr {
            Addr::V4(bytes) => Key::v4(bytes),
            Addr::V6(bytes) => Key::v6(bytes),
        }
    }
}

/// Whom a request came from, or a URI points to.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its address.
    pub addr: Key,
    /// Its port; 0 without one.
    pub port: u16,
    /// Its transport.
    pub proto: Proto,
}

/// The parts that must agree for a source to be from a list.
#[derive(Clone, Copy, Debug)]
pub struct Match {
    /// The port, unless the destination names none.
    pub port: bool,
    /// The transport.
    pub proto: bool,
    /// Only this set.
    pub set: Option<SetId>,
}

impl Source {
    /// Returns true if one of these addresses, this port and this transport agree with it in all parts that must.
    pub fn agrees(
        &self,
        want: Match,
        mut addrs: impl Iterator<Item = Addr>,
        port: u16,
        proto: Proto,
    ) -> bool {
        (!want.port || port == 0 || port == self.port)
            && (!want.proto || proto == self.proto)
            && addrs.any(|addr| Key::from(addr) == self.addr)
    }
}

/// One address of one destination.
#[derive(Clone, Copy)]
pub(crate) struct AddrEntry {
    dest: *mut Dest,
    /// See [`Key::word`].
    word: u64,
    /// The next entry with this hash of address and port, and with this hash of the address: 1 + its
    /// position, which is greater than this one's, or 0.
    next_by_addr: u32,
    next_by_ip: u32,
}

// SAFETY: integers and an arena pointer; zeroed it is an address of nobody.
unsafe impl ShmSafe for AddrEntry {}

impl AddrEntry {
    /// Returns the entries of a destination.
    ///
    /// # Safety
    /// The destination is there.
    pub(crate) unsafe fn of(dest: NonNull<Dest>) -> impl Iterator<Item = AddrEntry> {
        // SAFETY: the caller's promise.
        let of = unsafe { dest.as_ref() };
        of.addrs().map(move |addr| AddrEntry {
            dest: dest.as_ptr(),
            word: Key::from(addr).word(of.port),
            next_by_addr: 0,
            next_by_ip: 0,
        })
    }

    /// Returns a pointer to its destination.
    pub(crate) fn raw_dest(&self) -> Option<NonNull<Dest>> {
        NonNull::new(self.dest)
    }
}

/// Returns the place of a word among the heads of chains.
#[inline]
fn place(word: u64, heads: usize) -> usize {
    // As a part of the whole: any number of heads will do.
    (((spread(word) >> 32) * heads as u64) >> 32) as usize
}

/// The index: two hash tables over the same entries.
pub struct AddrIndex {
    entries: ShmSlice<AddrEntry>,
    /// The first entry of each chain: 1 + its position, or 0.
    by_addr: ShmSlice<u32>,
    by_ip: ShmSlice<u32>,
    /// True when a destination names no port.
    any_portless: bool,
    /// Its size.
    bytes: usize,
}

// SAFETY: shared slices and a truth value; zeroed it is an index without addresses.
unsafe impl ShmSafe for AddrIndex {}

impl Free for AddrIndex {
    unsafe fn free(index: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { arena.free(index.cast()) };
    }
}

/// Where a chain goes on.
type Next = fn(&AddrEntry) -> u32;

impl AddrIndex {
    /// Builds the index of these entries, which are in the order of the table.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    ///
    /// # Safety
    /// The destinations of the entries live as long as the index.
    pub(crate) unsafe fn create<'a, A: Arena>(
        arena: &'a A,
        of: &[AddrEntry],
    ) -> Result<Owned<'a, A, Self>, OutOfMemory> {
        let heads = of.len().max(1);
        let mut plan = Plan::<Self>::of_header();
        let entries = plan.array(of.len());
        let (by_addr, by_ip) = (plan.array(heads), plan.array(heads));
        let bytes = plan.bytes();
        let mut block = plan.alloc(arena)?;
        let entries = block.slice(&entries);
        let (by_addr, by_ip) = (block.slice(&by_addr), block.slice(&by_ip));
        // SAFETY: the block is ours alone until it is published.
        let filled = unsafe { entries.fill() };
        filled.copy_from_slice(of);
        // SAFETY: the block is ours alone until it is published.
        let heads_by_addr: &mut [u32] = unsafe { by_addr.fill() };
        // SAFETY: the block is ours alone until it is published.
        let heads_by_ip: &mut [u32] = unsafe { by_ip.fill() };
        // From the last one to the first, so that positions go up along each chain.
        for (at, entry) in filled.iter_mut().enumerate().rev() {
            let number = to_u32(at + 1);
            if let Some(head) = heads_by_addr.get_mut(place(entry.word, heads)) {
                entry.next_by_addr = core::mem::replace(head, number);
            }
            if let Some(head) = heads_by_ip.get_mut(place(entry.word & NO_PORT, heads)) {
                entry.next_by_ip = core::mem::replace(head, number);
            }
        }
        let index = block.fill();
        index.bytes = bytes;
        (index.entries, index.by_addr, index.by_ip) = (entries, by_addr, by_ip);
        index.any_portless = of.iter().any(|entry| entry.word & !NO_PORT == 0);
        // SAFETY: just made.
        Ok(unsafe { Owned::new(block.header(), arena) })
    }

    /// Returns its size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns all entries, in the order of the table.
    pub(crate) fn entries(&self) -> &[AddrEntry] {
        self.entries.get()
    }

    /// Returns the first destination in the table's order that matches and that `accept` takes.
    #[inline]
    pub fn find(
        &self,
        source: Source,
        want: Match,
        accept: impl Fn(&Dest) -> bool,
    ) -> Option<&Dest> {
        let word = source.addr.word(source.port);
        let fits = |dest: &Dest| {
            (word & V6 == 0 || dest.has_addr(source.addr))
                && (!want.proto || dest.proto == source.proto)
                && want.set.is_none_or(|set| dest.set == set)
                && accept(dest)
        };
        if !want.port {
            let next: Next = |entry| entry.next_by_ip;
            return Some(
                self.first(&self.by_ip, next, word & NO_PORT, NO_PORT, fits)?
                    .1,
            );
        }
        let next: Next = |entry| entry.next_by_addr;
        let named = self.first(&self.by_addr, next, word, u64::MAX, fits);
        if !self.any_portless || source.port == 0 {
            return Some(named?.1);
        }
        let portless = self.first(&self.by_addr, next, word & NO_PORT, u64::MAX, fits);
        match (named, portless) {
            (Some((number, dest)), Some((before, _))) if number < before => Some(dest),
            (Some((_, dest)), None) | (_, Some((_, dest))) => Some(dest),
            (None, None) => None,
        }
    }

    /// Returns the first entry of the chain of a word that has the word, as far as `mask` says, and whose
    /// destination fits: its number, and the destination.
    #[inline(always)]
    fn first(
        &self,
        heads: &ShmSlice<u32>,
        next: Next,
        word: u64,
        mask: u64,
        fits: impl Fn(&Dest) -> bool,
    ) -> Option<(u32, &Dest)> {
        let (heads, entries) = (heads.get(), self.entries.get());
        let mut number = *heads.get(place(word, heads.len()))?;
        loop {
            let entry = entries.get(number.checked_sub(1)? as usize)?;
            if entry.word & mask == word {
                // SAFETY: by the contract of `create` it lives as long as the index.
                let dest = unsafe { entry.dest.as_ref() }?;
                if fits(dest) {
                    return Some((number, dest));
                }
            }
            number = next(entry);
        }
    }
}

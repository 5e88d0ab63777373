//! The index of addresses: which destinations have this IP address, or this address and port.
//!
//! It is built whole and never changes: an edit builds another one. Its entries are in the order of
//! the table, by set as they are listed and then by position, so the first match is the answer.

use core::ptr::NonNull;

use crate::dispatch::list::destination::{Addr, Proto, SetId};
use crate::dispatch::select::hash::spread;

use super::destination::Dest;
use crate::shm::memory::arena::{
    Arena, Block, Field, Free, OutOfMemory, Owned, Plan, ShmSafe, ShmSlice,
};

/// An address as it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// An IPv4 address in the upper half, or the first half of an IPv6 one.
    low: u64,
    /// The second half of an IPv6 one.
    high: u64,
    is_v6: bool,
}

impl Key {
    /// An IPv4 address.
    #[inline]
    pub fn v4(bytes: [u8; 4]) -> Self {
        Key {
            low: u64::from(u32::from_ne_bytes(bytes)) << 32,
            high: 0,
            is_v6: false,
        }
    }

    /// An IPv6 address.
    #[inline]
    pub fn v6([a, b, c, d, e, f, g, h, rest @ ..]: [u8; 16]) -> Self {
        Key {
            low: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            high: u64::from_ne_bytes(rest),
            is_v6: true,
        }
    }

    /// An IPv4 address itself, or what an IPv6 one is told from most others by.
    #[inline]
    fn short(self) -> u32 {
        let word = match self.is_v6 {
            true => spread(spread(self.low) ^ self.high),
            false => self.low,
        };
        (word >> 32) as u32
    }
}

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
    /// Its port; 0 when there is none.
    pub port: u16,
    /// Its transport.
    pub proto: Proto,
}

/// What must agree for a source to be from a list.
#[derive(Clone, Copy, Debug)]
pub struct Match {
    /// The port, unless the destination names none.
    pub port: bool,
    /// The transport.
    pub proto: bool,
    /// Only this set.
    pub set: Option<SetId>,
}

/// One address of one destination.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    dest: *mut Dest,
    /// See [`Key::short`].
    short: u32,
    port: u16,
    is_v6: bool,
}

// SAFETY: integers and an arena pointer; zeroed it is an address of nobody. It is never read before
// `AddrIndex::create` has written it.
unsafe impl ShmSafe for Entry {}

impl Entry {
    /// The entries of a destination.
    ///
    /// # Safety
    /// The destination is there.
    pub(crate) unsafe fn of(dest: NonNull<Dest>) -> impl Iterator<Item = Entry> {
        // SAFETY: the caller's promise.
        let at = unsafe { dest.as_ref() };
        at.addrs().map(move |addr| {
            let key = Key::from(addr);
            Entry {
                dest: dest.as_ptr(),
                short: key.short(),
                port: at.port,
                is_v6: key.is_v6,
            }
        })
    }

    /// A pointer to its destination.
    pub(crate) fn raw_dest(&self) -> Option<NonNull<Dest>> {
        NonNull::new(self.dest)
    }
}

/// The positions of entries by a hash of theirs: those of a bucket lie in a row and go up.
struct Buckets {
    /// Where each bucket begins in `members`; and at last where the last one ends.
    starts: ShmSlice<u32>,
    members: ShmSlice<u32>,
}

/// The planned arrays of some [`Buckets`].
struct BucketsPlan(Field<u32>, Field<u32>);

impl BucketsPlan {
    fn new<H: ShmSafe>(plan: &mut Plan<H>, entries: usize) -> Self {
        BucketsPlan(plan.array(entries + 2), plan.array(entries))
    }

    /// Puts the entries, whose hashes these are, into as many buckets as there are entries, and one
    /// more.
    fn place<H>(
        &self,
        block: &Block<H>,
        hashes: impl DoubleEndedIterator<Item = u32> + Clone,
    ) -> Buckets {
        let (starts, members) = (block.slice(&self.0), block.slice(&self.1));
        // SAFETY: the block is ours alone until it is published.
        let ends = unsafe { starts.fill() };
        let count = ends.len().saturating_sub(1);
        for hash in hashes.clone() {
            ends.get_mut(place(hash, count))
                .into_iter()
                .for_each(|end| *end += 1);
        }
        let mut end = 0;
        for count in ends.iter_mut() {
            end += *count;
            *count = end;
        }
        // SAFETY: the block is ours alone until it is published.
        let members = unsafe { members.fill() };
        // From the last one back, so that what was the end of a bucket becomes its start.
        for (position, hash) in (0..end).rev().zip(hashes.rev()) {
            let Some(start) = ends.get_mut(place(hash, count)) else {
                continue;
            };
            *start -= 1;
            members
                .get_mut(*start as usize)
                .into_iter()
                .for_each(|member| *member = position);
        }
        Buckets {
            starts,
            members: block.slice(&self.1),
        }
    }
}

/// The bucket of a hash.
#[inline]
fn place(hash: u32, buckets: usize) -> usize {
    // As a part of the whole: any number of buckets will do.
    ((u64::from(hash) * buckets as u64) >> 32) as usize
}

impl Buckets {
    /// Positions of the entries that may have this hash, going up.
    #[inline]
    fn of(&self, hash: u32) -> &[u32] {
        let starts = self.starts.get();
        let at = place(hash, starts.len().saturating_sub(1));
        let range = starts.get(at..at + 2).unwrap_or_default();
        let &[start, end] = range else { return &[] };
        self.members
            .get()
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }
}

/// The index.
pub struct AddrIndex {
    entries: ShmSlice<Entry>,
    by_addr: Buckets,
    by_ip: Buckets,
    /// Entries of destinations that name no port.
    portless: usize,
}

// SAFETY: shared slices and an integer; zeroed it is an index without addresses.
unsafe impl ShmSafe for AddrIndex {}

impl Free for AddrIndex {
    unsafe fn free(index: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { arena.free(index.cast()) };
    }
}

#[inline]
fn hash(short: u32, port: u16) -> u32 {
    (spread(u64::from(short) | (u64::from(port) << 32)) >> 32) as u32
}

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
        entries: &[Entry],
    ) -> Result<Owned<'a, A, Self>, OutOfMemory> {
        let mut plan = Plan::<Self>::of_header();
        let field = plan.array(entries.len());
        let by_addr = BucketsPlan::new(&mut plan, entries.len());
        let by_ip = BucketsPlan::new(&mut plan, entries.len());
        let mut block = plan.alloc(arena)?;
        let copy = block.slice(&field);
        // SAFETY: the block is ours alone until it is published.
        unsafe { copy.fill() }.copy_from_slice(entries);
        let by_addr = by_addr.place(&block, entries.iter().map(|one| hash(one.short, one.port)));
        let by_ip = by_ip.place(&block, entries.iter().map(|one| hash(one.short, 0)));
        let index = block.fill();
        (index.entries, index.by_addr, index.by_ip) = (copy, by_addr, by_ip);
        index.portless = entries.iter().filter(|one| one.port == 0).count();
        // SAFETY: just made.
        Ok(unsafe { Owned::new(block.header(), arena) })
    }

    /// All entries, in the order of the table.
    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.get()
    }

    /// The destination of an entry.
    #[inline]
    fn dest(&self, entry: &Entry) -> Option<&Dest> {
        // SAFETY: by the contract of `create` it lives as long as the index.
        unsafe { entry.dest.as_ref() }
    }

    /// The first destination in the table's order that matches and that `accept` takes.
    #[inline]
    pub fn find(
        &self,
        source: Source,
        want: Match,
        accept: impl Fn(&Dest) -> bool,
    ) -> Option<&Dest> {
        let Source { addr, port, proto } = source;
        let (short, is_v6) = (addr.short(), addr.is_v6);
        let fits = |at: u32, port: Option<u16>| {
            let entry = self.entries.get().get(at as usize)?;
            if entry.short != short
                || entry.is_v6 != is_v6
                || port.is_some_and(|port| entry.port != port)
            {
                return None;
            }
            let dest = self.dest(entry)?;
            let fits = (!is_v6 || dest.has_addr(addr))
                && (!want.proto || dest.proto == proto)
                && want.set.is_none_or(|set| dest.set == set)
                && accept(dest);
            fits.then_some((at, dest))
        };
        let first = |buckets: &Buckets, port: Option<u16>| {
            let members = buckets.of(hash(short, port.unwrap_or(0)));
            members.iter().find_map(|&at| fits(at, port))
        };
        if !want.port {
            return Some(first(&self.by_ip, None)?.1);
        }
        let named = first(&self.by_addr, Some(port));
        let portless = match port {
            1.. if self.portless > 0 => first(&self.by_addr, Some(0)),
            _ => None,
        };
        let found = named.into_iter().chain(portless).min_by_key(|&(at, _)| at);
        found.map(|(_, dest)| dest)
    }
}

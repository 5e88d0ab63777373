//! A table: all sets, with their index by number and by address.
//!
//! A change inside a set replaces the set's view in its slot, and the index of addresses. A set that
//! comes or goes replaces the table by another one over the same views.

use core::cmp::Reverse;
use core::ptr::NonNull;

use crate::dispatch::hash::spread;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::order;

use crate::shm::dest::address::{self, AddrIndex, Match, Source};
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Arena, Free, OutOfMemory, Owned, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::AtomicPtr;
use crate::shm::memory::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::shm::set::view::View;

/// One set of a table: its number and its published view.
pub(crate) struct SetSlot {
    pub(crate) id: SetId,
    /// The place in the order in which sets came: it decides the order of listing.
    pub(crate) born: u32,
    /// It is `SeqCst` where it is replaced while readers run, and where they load it: see `Writer::publish`.
    pub(crate) view: AtomicPtr<View>,
}

// SAFETY: integers and an arena pointer; zeroed it is set 0 without a view.
unsafe impl ShmSafe for SetSlot {}

/// All sets.
pub struct Table {
    /// In the order in which sets are listed.
    slots: ShmSlice<SetSlot>,
    /// By set number: 1 + position in `slots`, or 0.
    buckets: ShmSlice<u32>,
    /// Replaced when a destination of a set comes or goes.
    addrs: AtomicPtr<AddrIndex>,
    /// Its size, without its index of addresses.
    bytes: usize,
}

/// The parts of a slot that is to be made.
#[derive(Clone, Copy)]
pub(crate) struct SetEntry {
    pub(crate) id: SetId,
    pub(crate) born: u32,
    pub(crate) view: *mut View,
}

// SAFETY: shared slices and an arena pointer; zeroed it is a table without sets. It is never read
// before `Table::create` has set its index.
unsafe impl ShmSafe for Table {}

impl Table {
    /// Makes a table of sets with its index of addresses; the sets are put in the order of listing.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    ///
    /// # Safety
    /// The views of the entries are filled, and live as long as the table or until they are
    /// replaced in it.
    pub(crate) unsafe fn create(
        arena: &impl Arena,
        entries: &[SetEntry],
    ) -> Result<NonNull<Table>, OutOfMemory> {
        let listed: Vec<SetEntry> = in_listing_order(entries).collect();
        // SAFETY: the caller's promise.
        let views = listed
            .iter()
            .filter_map(|entry| unsafe { entry.view.as_ref() });
        // SAFETY: destinations of live views are there.
        let addrs = views
            .flat_map(View::raw_dests)
            .flat_map(|dest| unsafe { address::AddrEntry::of(dest) });
        let addrs: Vec<_> = addrs.collect();
        // SAFETY: destinations live as long as their views; an edit that drops one replaces both.
        let addrs = unsafe { AddrIndex::create(arena, &addrs) }?;
        let mut plan = Plan::<Table>::of_header();
        let slots = plan.array::<SetSlot>(listed.len());
        let buckets = plan.array::<u32>((listed.len() * 2).next_power_of_two());
        let bytes = plan.bytes();
        let mut block = plan.alloc(arena)?;
        let (slots, buckets) = (block.slice(&slots), block.slice(&buckets));
        // SAFETY: the block is ours alone until it is published.
        let filled = unsafe { slots.fill() };
        for (slot, entry) in filled.iter_mut().zip(listed) {
            (slot.id, slot.born) = (entry.id, entry.born);
            slot.view.store(entry.view, Relaxed);
        }
        // SAFETY: the block is ours alone until it is published.
        index_ids(filled, unsafe { buckets.fill() });
        let table = block.fill();
        (table.slots, table.buckets, table.bytes) = (slots, buckets, bytes);
        table.addrs.store(addrs.into_raw().as_ptr(), Relaxed);
        Ok(block.header())
    }

    /// Returns the number of destinations of all sets.
    pub fn dest_count(&self) -> usize {
        self.sets().map(|(_, view)| view.dest_count()).sum()
    }

    /// Returns the number of addresses of all destinations.
    pub fn address_count(&self) -> usize {
        self.addrs().entries().len()
    }

    /// Returns the index of addresses.
    fn addrs(&self) -> &AddrIndex {
        // SAFETY: `create` and `replace_addrs` were given one that is whole; it is freed with the
        // table, or retired like it when replaced.
        unsafe { &*self.addrs.load(Acquire) }
    }

    /// Returns the index of addresses after an edit inside a set.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    ///
    /// # Safety
    /// `added` are in the order of their set, and live for as long as they are listed.
    pub(crate) unsafe fn addrs_after<'a, A: Arena>(
        &self,
        arena: &'a A,
        mut dropped: Vec<NonNull<Dest>>,
        added: &[NonNull<Dest>],
    ) -> Result<Owned<'a, A, AddrIndex>, OutOfMemory> {
        let running = self.addrs().entries();
        dropped.sort_unstable();
        let stays = |entry: &&address::AddrEntry| {
            let dest = entry.raw_dest();
            dest.is_some_and(|dest| dropped.binary_search(&dest).is_err())
        };
        let kept: Vec<address::AddrEntry> = running.iter().filter(stays).copied().collect();
        // SAFETY: the caller's promise.
        let of = |dest: &NonNull<Dest>| unsafe { address::AddrEntry::of(*dest) };
        let added: Vec<address::AddrEntry> = added.iter().flat_map(of).collect();
        let entries = merge(&kept, &added, |entry| {
            // SAFETY: of the running index, so in a running view, or the caller's promise.
            let dest = entry.raw_dest().map(|dest| unsafe { dest.as_ref() });
            dest.map(|dest| self.place(dest))
        });
        // SAFETY: what is listed lives until an edit or a load replaces the index.
        unsafe { AddrIndex::create(arena, &entries) }
    }

    /// Replaces the index of addresses; returns the one before.
    ///
    /// # Safety
    /// The index stays until it was replaced and retired.
    pub(crate) unsafe fn replace_addrs(&self, addrs: NonNull<AddrIndex>) -> *mut AddrIndex {
        // What it returns is freed later: the writer lock, which everybody holds who replaces it, orders that.
        self.addrs.swap(addrs.as_ptr(), Release)
    }

    /// Returns what the slots were made from, with the views of this moment.
    pub(crate) fn entries(&self) -> Vec<SetEntry> {
        let entry = |slot: &SetSlot| SetEntry {
            id: slot.id,
            born: slot.born,
            view: slot.view.load(Relaxed),
        };
        self.slots.get().iter().map(entry).collect()
    }

    /// Returns its size in bytes with its index of addresses, without its views.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.addrs().bytes()
    }

    /// Returns its size in bytes, with its views and their destinations.
    pub fn bytes_of_all(&self) -> usize {
        let views = self
            .sets()
            .map(|(_, view)| view.bytes() + view.dest_bytes());
        self.bytes() + views.sum::<usize>()
    }

    /// Returns the slot of a set.
    #[inline(always)]
    pub(crate) fn slot(&self, id: SetId) -> Option<&SetSlot> {
        Some(self.find(id)?.1)
    }

    /// Returns the position of a set in the order of listing.
    fn rank(&self, id: SetId) -> Option<usize> {
        Some(self.find(id)?.0)
    }

    /// Returns the slot of a set, and its position in the order of listing.
    #[inline(always)]
    fn find(&self, id: SetId) -> Option<(usize, &SetSlot)> {
        let buckets = self.buckets.get();
        let mut at = home(id, buckets.len());
        loop {
            let place = buckets.get(at).copied()?.checked_sub(1)? as usize;
            let slot = self.slots.get().get(place)?;
            if slot.id == id {
                return Some((place, slot));
            }
            at = (at + 1) & buckets.len().wrapping_sub(1);
        }
    }

    /// Returns the view of a set, and how many sets are listed before it.
    pub(crate) fn ranked(&self, id: SetId) -> Option<(usize, &View)> {
        let (rank, slot) = self.find(id)?;
        Some((rank, slot.view()?))
    }

    /// Returns the view of a set.
    #[inline(always)]
    pub fn view(&self, id: SetId) -> Option<&View> {
        self.slot(id)?.view()
    }

    /// Returns all sets, in the order in which they are listed.
    pub fn sets(&self) -> impl Iterator<Item = (SetId, &View)> {
        self.slots
            .get()
            .iter()
            .filter_map(|slot| Some((slot.id, slot.view()?)))
    }

    /// Returns all destinations, by set as the sets came, and as a list would have them.
    pub fn dests_as_they_came(&self) -> Vec<&Dest> {
        let mut slots: Vec<&SetSlot> = self.slots.get().iter().collect();
        slots.sort_by_key(|slot| slot.born);
        let mut all = Vec::new();
        for view in slots.into_iter().filter_map(SetSlot::view) {
            let first = all.len();
            all.extend(view.dests());
            if let Some(of_set) = all.get_mut(first..) {
                of_set.sort_by_key(|dest: &&Dest| dest.line);
            }
        }
        all
    }

    /// Returns the number of sets.
    pub fn len(&self) -> usize {
        self.slots.get().len()
    }

    /// Returns true if there is no set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the first destination, in the order of listing, that a source is from.
    pub fn find_source(
        &self,
        source: Source,
        want: Match,
        accept: impl Fn(&Dest) -> bool,
    ) -> Option<&Dest> {
        self.addrs().find(source, want, accept)
    }

    /// Returns the place of a destination in the order of listing: the smaller, the earlier.
    fn place(&self, dest: &Dest) -> (Option<usize>, Reverse<i32>, Reverse<u32>) {
        (
            self.rank(dest.set),
            Reverse(dest.priority),
            Reverse(dest.line),
        )
    }

    /// Frees a table with its views and their destinations; records that others hold stay.
    ///
    /// # Safety
    /// The table came from `create` with this arena, and no reader can reach it any more.
    pub unsafe fn free_with_views(table: NonNull<Table>, arena: &impl Arena) {
        // SAFETY: it is given back last.
        for slot in unsafe { table.as_ref() }.slots.get() {
            if let Some(view) = NonNull::new(slot.view.load(Relaxed)) {
                // SAFETY: a published view belongs to its table alone.
                unsafe { View::free_with_dests(view, arena) };
            }
        }
        // SAFETY: the caller's promise.
        unsafe { Table::free(table, arena) };
    }
}

impl Free for Table {
    /// Frees its index with it; its views stay.
    unsafe fn free(table: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: it is given back last.
        let addrs = unsafe { table.as_ref() }.addrs.load(Relaxed);
        if let Some(addrs) = NonNull::new(addrs) {
            // SAFETY: the index belongs to its table alone.
            unsafe { AddrIndex::free(addrs, arena) };
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(table.cast()) };
    }
}

impl SetSlot {
    #[inline(always)]
    fn view(&self) -> Option<&View> {
        // SAFETY: views live as long as their table, or are retired like it when replaced.
        unsafe { self.view.load(SeqCst).as_ref() }
    }
}

/// Puts `added` into `all`; both are in the order of the key, and none of `added` has a key of `all`.
pub(super) fn merge<T: Copy, K: Ord>(all: &[T], added: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let mut merged = Vec::with_capacity(all.len() + added.len());
    let mut rest = all;
    for one in added {
        let place = key(one);
        let (before, after) = rest.split_at(rest.partition_point(|other| key(other) < place));
        merged.extend_from_slice(before);
        merged.push(*one);
        rest = after;
    }
    merged.extend_from_slice(rest);
    merged
}

/// Returns the first bucket to search for a set.
fn home(id: SetId, buckets: usize) -> usize {
    let spread = spread(u64::from(u32::from_ne_bytes(id.to_ne_bytes())));
    (spread >> 32) as usize & buckets.wrapping_sub(1)
}

/// Entries in the order in which their sets are listed.
fn in_listing_order(entries: &[SetEntry]) -> impl Iterator<Item = SetEntry> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.born);
    let ids: Vec<SetId> = entries.iter().map(|entry| entry.id).collect();
    let order = order::post_order(&ids).into_iter();
    order.filter_map(move |at| entries.get(at).copied())
}

/// Fills the buckets with the positions of the slots.
fn index_ids(slots: &[SetSlot], buckets: &mut [u32]) {
    for (number, slot) in (1u32..).zip(slots) {
        let mut at = home(slot.id, buckets.len());
        while buckets.get(at).is_some_and(|&taken| taken != 0) {
            at = (at + 1) & buckets.len().wrapping_sub(1);
        }
        if let Some(bucket) = buckets.get_mut(at) {
            *bucket = number;
        }
    }
}

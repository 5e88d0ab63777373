//! A table: all sets, with their index by number and by address.
//!
//! A change inside a set replaces the set's view in its slot. A set that comes or goes replaces
//! the table by a copy of its slots; views and the index of addresses go over to the copy.

use core::cmp::Reverse;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering::SeqCst};

use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::order;

use crate::shm::dest::address::{AddrIndex, Match, Source};
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::set::view::View;

/// One set of a table: its number and its published view.
pub(crate) struct SetSlot {
    pub(crate) id: SetId,
    /// The place in the order in which sets came: it decides the order of listing.
    pub(crate) born: u32,
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
    addrs: *mut AddrIndex,
    /// 1 when the chains of the index are in the order of listing.
    in_order: u32,
}

/// What a slot is made from.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: SetId,
    pub(crate) born: u32,
    pub(crate) view: *mut View,
}

// SAFETY: shared slices, an arena pointer and an integer; zeroed it is a table without sets. It is
// never read before `Table::create` has set its index.
unsafe impl ShmSafe for Table {}

impl Table {
    /// Makes a table of sets over an index of addresses; the sets are put in the order of listing.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub(crate) fn create(
        arena: &impl Arena,
        entries: &[Entry],
        addrs: NonNull<AddrIndex>,
        in_order: bool,
    ) -> Result<NonNull<Table>, OutOfMemory> {
        let mut plan = Plan::<Table>::of_header();
        let slots = plan.array::<SetSlot>(entries.len()).ok_or(OutOfMemory)?;
        let buckets = (entries.len() * 2).next_power_of_two();
        let buckets = plan.array::<u32>(buckets).ok_or(OutOfMemory)?;
        let mut block = plan.alloc(arena)?;
        let (slots, buckets) = (block.slice(&slots), block.slice(&buckets));
        // SAFETY: the block is ours alone until it is published.
        let filled = unsafe { slots.fill() };
        for (slot, entry) in filled.iter_mut().zip(in_listing_order(entries)) {
            (slot.id, slot.born) = (entry.id, entry.born);
            slot.view = AtomicPtr::new(entry.view);
        }
        // SAFETY: as above.
        index_ids(filled, unsafe { buckets.fill() });
        let table = block.fill();
        (table.slots, table.buckets) = (slots, buckets);
        table.addrs = addrs.as_ptr();
        table.in_order = in_order.into();
        Ok(block.header())
    }

    /// The index of addresses.
    pub(crate) fn addrs(&self) -> &AddrIndex {
        // SAFETY: `create` was given a live index, which is freed with the last table over it.
        unsafe { &*self.addrs }
    }

    /// The index of addresses, for another table over it.
    pub(crate) fn raw_addrs(&self) -> NonNull<AddrIndex> {
        // SAFETY: `create` was given an index.
        unsafe { NonNull::new_unchecked(self.addrs) }
    }

    /// What the slots were made from, with the views of this moment.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entry = |slot: &SetSlot| Entry {
            id: slot.id,
            born: slot.born,
            view: slot.view.load(SeqCst),
        };
        self.slots.get().iter().map(entry).collect()
    }

    /// The slot of a set.
    #[inline(always)]
    pub(crate) fn slot(&self, id: SetId) -> Option<&SetSlot> {
        Some(self.find(id)?.1)
    }

    /// Position of a set in the order of listing.
    fn rank(&self, id: SetId) -> Option<usize> {
        Some(self.find(id)?.0)
    }

    /// The slot of a set, and its position in the order of listing.
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

    /// The view of a set, and how many sets are listed before it.
    pub(crate) fn ranked(&self, id: SetId) -> Option<(usize, &View)> {
        let (rank, slot) = self.find(id)?;
        Some((rank, slot.view()?))
    }

    /// The view of a set.
    #[inline(always)]
    pub fn view(&self, id: SetId) -> Option<&View> {
        self.slot(id)?.view()
    }

    /// All sets, in the order in which they are listed.
    pub fn sets(&self) -> impl Iterator<Item = (SetId, &View)> {
        self.slots
            .get()
            .iter()
            .filter_map(|slot| Some((slot.id, slot.view()?)))
    }

    /// All destinations, by set as the sets came, and as a list would have them.
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

    /// Number of sets.
    pub fn len(&self) -> usize {
        self.slots.get().len()
    }

    /// True when there is no set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first destination, in the order of listing, that a source is from.
    pub fn find_source(
        &self,
        source: Source,
        want: Match,
        accept: impl Fn(&Dest) -> bool,
    ) -> Option<&Dest> {
        let before = |one: &Dest, other: &Dest| self.place(one) < self.place(other);
        // Within one set the chains stay in order, whatever sets come and go.
        let in_order = self.in_order != 0 || want.set.is_some();
        self.addrs().find(source, want, accept, before, in_order)
    }

    /// The place of a destination in the order of listing: the smaller, the earlier.
    pub(crate) fn place(&self, dest: &Dest) -> impl Ord + use<> {
        (
            self.rank(dest.set),
            Reverse(dest.priority),
            Reverse(dest.line),
        )
    }

    /// Frees a table with its index, its views and their destinations; records that others hold
    /// stay.
    ///
    /// # Safety
    /// The table came from `create` with this arena, no other table is over its index, and no
    /// reader can reach it any more.
    pub unsafe fn free(table: NonNull<Table>, arena: &impl Arena) {
        // SAFETY: still ours to read.
        let Table { slots, addrs, .. } = unsafe { table.as_ref() };
        for slot in slots.get() {
            if let Some(view) = NonNull::new(slot.view.load(SeqCst)) {
                // SAFETY: a published view belongs to its table alone.
                unsafe { View::free_with_dests(view, arena) };
            }
        }
        if let Some(addrs) = NonNull::new(*addrs) {
            // SAFETY: the caller's promise.
            unsafe { arena.free(addrs.cast()) };
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

/// The first bucket to look at for a set.
fn home(id: SetId, buckets: usize) -> usize {
    let mixed = u32::from_ne_bytes(id.to_ne_bytes()).wrapping_mul(0x9e37_79b1);
    (mixed ^ (mixed >> 15)) as usize & buckets.wrapping_sub(1)
}

/// Entries in the order in which their sets are listed.
fn in_listing_order(entries: &[Entry]) -> impl Iterator<Item = Entry> {
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

//! Set views: the destinations of one set in order, built whole and then published.
//!
//! A view never changes in its destinations. Its knowledge about their records, in bitmaps and
//! trees, follows the records, so that a change of state costs no new view.

use core::ptr::{self, NonNull};

use crate::dispatch::hash::fold_hash;
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::select::weight_slots::Slots;
use crate::dispatch::state::transition::State;

use super::maxima::Maxima;
use super::names_due::NamesDue;
use super::ranks::Ranks;
use super::set_record::SetRecord;
use super::uris::Uris;
use super::usable::Usable;
use crate::shm::balance::key_shares::KeyShares;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::{DestRecord, NOWHERE};
use crate::shm::memory::arena::{Arena, Free, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::{AtomicBool, Ordering::SeqCst};
use crate::shm::memory::refcount::Counted;
use crate::shm::observe::counters::{OwnShard, Selections};

/// The rules that all views are built by, fixed at the start.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// A destination with one of these state bits is not selected.
    pub unusable: State,
    /// The last destination of a set is the default destination (`use_default`).
    pub use_default: bool,
    /// Calls are counted: views know which destination has the fewest.
    pub call_load: bool,
    /// Destinations are pinged: each record has probing results from the start.
    pub watched: bool,
    /// Sets and destinations have counters (`counters` 2).
    pub counted: bool,
    /// States are shared in a cluster: each record has a register from the start.
    pub shared: bool,
    /// Calls a second are limited where a destination has the attribute `cps` (`ds_cps`).
    pub rates: bool,
    /// Those that ping say so in a cluster: each record has their words from the start.
    pub ping_words: bool,
}

impl Rules {
    /// Returns true if a destination in this state is selected.
    pub fn usable(&self, state: State) -> bool {
        !state.intersects(self.unusable)
    }

    /// Returns true if calls in progress are sent to a destination in this state.
    pub fn serves_calls(&self, state: State) -> bool {
        state.serves_calls(self.unusable)
    }
}

/// How often a search that found nothing is repeated while states change.
pub(super) const RETRIES: usize = 64;

/// One set, as selections use it.
pub struct View {
    pub(super) record: *mut Counted<SetRecord>,
    pub(super) dests: ShmSlice<*mut Dest>,
    pub(in crate::shm) usable: Usable,
    /// The draining ones that calls in progress may still be sent to.
    pub(in crate::shm) draining: Usable,
    /// Positions by URI.
    pub(super) uris: Uris,
    /// The weight slots of algorithm 9, if a destination has a weight.
    pub(super) weight_slots: ShmSlice<Slots>,
    names_due: NamesDue,
    /// True once another view, or none, has taken its place.
    replaced: AtomicBool,
    /// True if calls are counted, and a destination has no unique id.
    pub(super) lacks_duid: bool,
    /// The room of each destination, if calls are counted.
    pub(in crate::shm) rooms: Maxima,
    pub(in crate::shm) ranks: Ranks,
    /// What the cost of each destination for a key is made of.
    pub(super) shares: KeyShares,
    /// The counters of each destination's selections; empty if they are not counted.
    pub(super) selections: ShmSlice<Selections>,
    /// State bits of destinations that are not selected.
    pub(in crate::shm) unusable: State,
    /// Bits of their records, with that of traffic.
    pub(super) shut: u64,
    /// The number of candidates, which come first: all but the default destination.
    pub(super) candidates: u32,
    /// The size of the view, and of its destinations, in bytes.
    pub(super) bytes: usize,
    pub(super) dest_bytes: usize,
}

// SAFETY: integers, an arena pointer, shared slices, and parts that are `ShmSafe`; zeroed it is a set
// without destinations. It is never read before `View::create` has set its record.
unsafe impl ShmSafe for View {}

impl View {
    /// Returns the destination at a position.
    #[inline]
    pub fn dest(&self, at: usize) -> Option<&Dest> {
        let dest = *self.dests.get().get(at)?;
        // SAFETY: whoever called `View::create` promised live destinations that outlive the view.
        unsafe { dest.as_ref() }
    }

    /// Counts a selection of the destination at a position, if destinations have counters.
    #[inline(always)]
    pub fn count_selection(&self, at: usize, shard: &OwnShard) {
        if let Some(selections) = self.selections.at(at) {
            selections.count(shard);
        }
    }

    /// Returns all destinations, in order.
    pub fn dests(&self) -> impl Iterator<Item = &Dest> {
        (0..self.dest_count()).filter_map(|at| self.dest(at))
    }

    /// Returns true if a name is due to be resolved, see [`NamesDue::any`]. `asked_us` gives the time at which the name
    /// of a destination was asked for, and none for a destination without a name.
    pub fn any_name_due(
        &self,
        now_us: u64,
        ttl_us: u64,
        asked_us: impl Fn(&Dest) -> Option<u64>,
    ) -> bool {
        let asked_us = self.dests().filter_map(asked_us);
        self.names_due.any(now_us, ttl_us, asked_us)
    }

    /// Has names looked for that are due, see [`NamesDue::forget`].
    pub fn forget_names_due(&self) {
        self.names_due.forget();
    }

    /// Returns a destination that gets no calls because it has no unique id, where calls are counted.
    pub fn without_duid(&self) -> Option<&Dest> {
        let mut dests = self.lacks_duid.then(|| self.dests())?;
        dests.find(|dest| dest.duid().is_none())
    }

    /// Returns the number of destinations, usable or not.
    pub fn dest_count(&self) -> usize {
        self.dests.len()
    }

    /// Returns the destination at a position, as it came from the arena.
    pub(crate) fn raw_dest(&self, at: usize) -> Option<NonNull<Dest>> {
        NonNull::new(*self.dests.get().get(at)?)
    }

    /// Returns its size in bytes, without its destinations.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the size of its destinations in bytes.
    pub(crate) fn dest_bytes(&self) -> usize {
        self.dest_bytes
    }

    /// Returns the destinations in order, for another view of the set.
    pub(crate) fn raw_dests(&self) -> impl Iterator<Item = NonNull<Dest>> {
        (0..self.dest_count()).filter_map(|at| self.raw_dest(at))
    }

    /// Returns the record of the set.
    pub fn record(&self) -> &SetRecord {
        // SAFETY: `create` was given a live record and counted itself in, so the record lives at
        // least as long as this view.
        unsafe { &*self.record }
    }

    /// Says that another view, or none, has taken its place, so that bitmaps and trees follow no changes any more. It
    /// comes before the change of the set that the replacement is has ended.
    pub(crate) fn set_replaced(&self) {
        self.replaced.store(true, SeqCst);
    }

    /// Returns true if bitmaps and trees have agreed with the records since as many changes of the set had ended.
    #[inline]
    pub(super) fn agrees_since(&self, changes_ended: u32) -> bool {
        self.record().changes() == changes_ended && !self.replaced.load(SeqCst)
    }

    /// Returns true if bitmaps and trees agree with the records: no change is under way that they follow.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        self.agrees_since(self.record().changes_ended())
    }

    /// Returns the record of the set, for another holder (see [`Dest::counted`]).
    pub fn counted(&self) -> NonNull<Counted<SetRecord>> {
        // SAFETY: `create` was given a record.
        unsafe { NonNull::new_unchecked(self.record) }
    }

    /// Frees a view with its destinations.
    ///
    /// # Safety
    /// The view came from this arena, and no reader can reach it any more; its destinations are in no other view that
    /// lives on.
    pub unsafe fn free_with_dests(view: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller has it alone, and it is freed only below.
        for dest in unsafe { view.as_ref() }.raw_dests() {
            // SAFETY: no reader can reach the view, and the destination is in no other one.
            unsafe { Dest::free(dest, arena) };
        }
        // SAFETY: the caller promises what `free` asks for.
        unsafe { View::free(view, arena) };
    }

    /// Returns true if the destination at a position is selected, by its record.
    #[inline]
    pub fn is_usable(&self, at: usize) -> bool {
        self.usable_dest(at).is_some()
    }

    /// Returns the destination at a position, if it is selected.
    #[inline(always)]
    pub fn usable_dest(&self, at: usize) -> Option<&Dest> {
        let is_usable = |dest: &&Dest| !dest.record().is_shut(self.shut);
        self.dest(at).filter(is_usable)
    }

    /// Returns true if calls in progress are sent to the destination at a position.
    pub fn serves_calls(&self, at: usize) -> bool {
        let dest = self.dest(at);
        dest.is_some_and(|dest| dest.record().state().serves_calls(self.unusable))
    }

    /// Returns true if any destination drains, or may do so: while a change is under way, nobody knows better.
    pub fn any_draining(&self) -> bool {
        let ended = self.record().changes_ended();
        self.draining.any() || !self.agrees_since(ended)
    }

    /// Returns true if any destination is selected.
    pub fn any_usable(&self) -> bool {
        self.walk(0).is_some()
    }

    /// Returns how many destinations are selected. While states change it may be off by those, but never says that one
    /// is left when none is, or none when one is.
    pub fn usable_count(&self) -> usize {
        match self.usable.count() {
            0 | 1 => (0..self.dest_count())
                .filter(|&at| self.is_usable(at))
                .count(),
            count => count.min(self.dest_count()),
        }
    }

    /// Returns true for the position of the default destination, which is selected only when all others are out.
    pub(super) fn is_default(&self, at: usize) -> bool {
        at >= self.candidates as usize
    }

    /// Returns the positions whose URI equals `uri` but for letter case, in order.
    pub fn find_uri<'v>(&'v self, uri: &'v [u8]) -> impl Iterator<Item = usize> + 'v {
        let has_uri = |dest: &Dest| dest.uri().eq_ignore_ascii_case(uri);
        let found = self.uris.find(fold_hash(uri));
        found.filter(move |&at| self.dest(at).is_some_and(has_uri))
    }

    /// Returns the position of the destination over this record; `None` when it is not in this view.
    ///
    /// Records know their positions in the newest view. Where this one is older, the search goes on to both sides.
    pub fn position_of(&self, record: &DestRecord) -> Option<usize> {
        let told = record.position();
        if told == NOWHERE {
            return None;
        }
        let steps = 0..=self.dest_count().max(told);
        steps
            .flat_map(|steps| [Some(told + steps), told.checked_sub(steps)])
            .flatten()
            .find(|&at| self.is_at(at, record))
    }

    /// Returns true if the record's destination is in this view, which is the newest one.
    pub(crate) fn lists(&self, record: &DestRecord) -> bool {
        self.is_at(record.position(), record)
    }

    fn is_at(&self, at: usize, record: &DestRecord) -> bool {
        self.dest(at)
            .is_some_and(|dest| ptr::eq(dest.record(), record))
    }

    /// Makes bitmaps and trees follow the record of the destination at a position, after a change.
    pub fn sync(&self, at: usize) {
        self.usable.sync(at, || self.is_usable(at));
        self.draining.sync(at, || self.is_draining(at));
        self.sync_load(at);
        self.sync_rank(at);
    }

    /// Makes shares and ranks follow the record of the destination at a position.
    pub fn sync_rank(&self, at: usize) {
        self.ranks.sync(self, at);
    }

    /// Tells all records their positions, before publishing: whoever comes with a record finds it in this view.
    pub fn tell_positions(&self) {
        for (at, dest) in self.dests().enumerate() {
            dest.record().set_position(at);
        }
    }

    /// Brings bitmaps and trees up to the records, after publishing: records may have changed while the view was built.
    ///
    /// The publication is a change, which has begun before it and ends after this.
    pub fn settle(&self) {
        for at in 0..self.dest_count() {
            self.usable.sync(at, || self.is_usable(at));
            self.draining.sync(at, || self.is_draining(at));
            self.rooms.settle(at, || self.room(at));
            self.ranks.settle(self, at);
        }
    }

    /// Returns the first usable position from `from` on, by the bitmap alone.
    #[cfg(test)]
    pub fn next_bit(&self, from: usize) -> Option<usize> {
        self.usable.next(from)
    }

    /// Returns the first draining position from `from` on, by the bitmap alone.
    #[cfg(test)]
    pub fn next_draining_bit(&self, from: usize) -> Option<usize> {
        self.draining.next(from)
    }
}

impl Free for View {
    /// Lets the record go; the destinations stay.
    unsafe fn free(view: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller promises that nobody reads it any more, and it is given back only below.
        let record = unsafe { view.as_ref() }.counted();
        // SAFETY: `create` counted the view as a holder, and the view goes.
        unsafe { Counted::release(record, arena) };
        // SAFETY: the caller promises that it came from this arena and that nobody reads it any more.
        unsafe { arena.free(view.cast()) };
    }
}

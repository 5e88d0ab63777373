//! Set views: the destinations of one set in order, built whole and then published.
//!
//! A view does not change once it is published, but for its bitmap of usable destinations, which
//! follows the records (see [`super::usable`]): a mark costs no new view.

use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{
    AtomicPtr, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

use crate::dispatch::select::algorithm::{Candidates, Cursors};
use crate::dispatch::select::hash::fold_hash;
use crate::dispatch::select::ranked::Weights;
use crate::dispatch::select::weight::Wheel;
use crate::dispatch::state::transition::State;

use super::least::Least;
use super::ranks::{self, Ranks};
use super::set_record::SetRecord;
use super::uris::Uris;
use super::usable::Usable;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, Free, ShmSafe, ShmSlice};
use crate::shm::memory::refcount::Counted;

/// What all views of a table have in common, fixed at start-up.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// A destination with one of these state bits is not selected.
    pub unusable: State,
    /// The last destination of a set is the last resort (`use_default`).
    pub last_resort: bool,
    /// Calls are counted: views know which destination has the fewest.
    pub call_load: bool,
    /// Destinations are pinged: what pings find is kept of each from the start.
    pub watched: bool,
}

impl Rules {
    /// True when a destination in this state is selected.
    pub fn usable(&self, state: State) -> bool {
        !state.intersects(self.unusable)
    }

    /// True when calls in progress are sent to a destination in this state.
    pub fn serves_calls(&self, state: State) -> bool {
        state.serves_calls(self.unusable)
    }
}

/// How often a search that found nothing is repeated while states change under it.
pub(crate) const RETRIES: usize = 64;

/// One set, in order, ready to choose from.
pub struct View {
    pub(crate) record: *mut Counted<SetRecord>,
    pub(crate) dests: ShmSlice<*mut Dest>,
    pub(crate) usable: Usable,
    /// The draining ones that calls in progress may still be sent to.
    pub(crate) draining: Usable,
    /// 1 when the bitmap is known to agree with the records; before that they are asked.
    pub(crate) settled: AtomicU32,
    /// The last line of the list that a destination of the set has had.
    pub(crate) last_line: u32,
    /// Number of destinations that have a unique id.
    pub(crate) duids: u32,
    /// Where the next edit goes on telling records their positions.
    pub(crate) told_to: u32,
    /// Positions by URI.
    pub(crate) uris: Uris,
    /// The wheel of algorithm 9, where a destination has a weight.
    pub(crate) wheel: ShmSlice<Wheel>,
    /// Calls by destination, where they are counted.
    pub(crate) least: ShmSlice<Least>,
    /// What destinations are worth: weights, and priorities with latencies; null before an
    /// algorithm asks for it.
    pub(crate) ranks: AtomicPtr<Ranks>,
    pub(crate) rules: SharedRules,
}

/// [`Rules`] in shared memory.
pub(crate) struct SharedRules {
    pub(crate) unusable: State,
    /// Positions below it are chosen from: all but the last resort.
    pub(crate) ring: u32,
}

// SAFETY: integers, arena pointers and shared slices; zeroed it is a set without destinations.
// It is never read before `View::create` has set its record.
unsafe impl ShmSafe for View {}

impl View {
    /// The destination at a position.
    #[inline]
    pub fn dest(&self, at: usize) -> Option<&Dest> {
        let dest = *self.dests.get().get(at)?;
        // SAFETY: `create` was given live destinations that outlive the view.
        unsafe { dest.as_ref() }
    }

    /// All destinations, in order.
    pub fn dests(&self) -> impl Iterator<Item = &Dest> {
        (0..self.len()).filter_map(|at| self.dest(at))
    }

    /// Number of destinations, usable or not.
    pub fn dest_count(&self) -> usize {
        self.dests.get().len()
    }

    /// What the set keeps.
    pub fn record(&self) -> &SetRecord {
        // SAFETY: `create` was given a live record and counted itself in, so the record lives at
        // least as long as this view.
        unsafe { &*self.record }
    }

    /// What the set keeps, for another holder (see [`Dest::counted`]).
    pub fn counted(&self) -> NonNull<Counted<SetRecord>> {
        // SAFETY: `create` was given a record.
        unsafe { NonNull::new_unchecked(self.record) }
    }

    /// Frees a view with its destinations.
    ///
    /// # Safety
    /// The view came from this arena, and no reader can reach it any more; the destinations are in no other view that lives on.
    pub unsafe fn free_with_dests(view: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: still ours to read.
        for dest in unsafe { view.as_ref() }.raw_dests() {
            // SAFETY: the caller's promise.
            unsafe { Dest::free(dest, arena) };
        }
        // SAFETY: the caller's promise.
        unsafe { View::free(view, arena) };
    }

    /// The destination at a position, as it came from the arena.
    pub(crate) fn raw_dest(&self, at: usize) -> Option<NonNull<Dest>> {
        self.dests
            .get()
            .get(at)
            .and_then(|dest| NonNull::new(*dest))
    }

    /// The destinations in order, for another view of the set.
    pub(crate) fn raw_dests(&self) -> impl Iterator<Item = NonNull<Dest>> {
        self.dests
            .get()
            .iter()
            .filter_map(|dest| NonNull::new(*dest))
    }

    /// True when the destination at a position is selected, by its record.
    #[inline]
    pub fn is_usable(&self, at: usize) -> bool {
        self.dest(at)
            .is_some_and(|dest| !dest.record().state().intersects(self.rules.unusable))
    }

    /// The destination at a position, when it is selected.
    #[inline(always)]
    pub fn usable_dest(&self, at: usize) -> Option<&Dest> {
        let is_usable = |dest: &&Dest| !dest.record().state().intersects(self.rules.unusable);
        self.dest(at).filter(is_usable)
    }

    /// True when the destination at a position is selected, or calls in progress still go there.
    pub fn serves_calls(&self, at: usize) -> bool {
        self.dest(at)
            .is_some_and(|dest| dest.record().state().serves_calls(self.rules.unusable))
    }

    /// True when any destination drains.
    pub fn any_draining(&self) -> bool {
        self.draining.any()
    }

    /// The first draining position in `from..to`.
    fn next_draining(&self, from: usize, to: usize) -> Option<usize> {
        let mut from = from;
        while from < to {
            let at = self.draining.next(from).filter(|&at| at < to)?;
            if self.is_draining(at) {
                return Some(at);
            }
            from = at + 1;
        }
        None
    }

    /// True when any destination is selected.
    pub fn any_usable(&self) -> bool {
        self.walk(0, self.dest_count()).is_some()
    }

    /// Makes the bitmaps follow the record of the destination at a position, after a change.
    pub fn sync(&self, at: usize) {
        self.usable.sync(at, || self.is_usable(at));
        self.draining.repair(at, || self.is_draining(at));
        self.sync_load(at);
        self.sync_rank(at);
    }

    /// Makes weights and ranks follow the record of the destination at a position.
    pub fn sync_rank(&self, at: usize) {
        if let Some(ranks) = self.ranks() {
            ranks.sync(self, at);
        }
    }

    /// Weights and ranks, where they are kept.
    pub(crate) fn ranks(&self) -> Option<&Ranks> {
        // SAFETY: made whole before it was published here, and freed with the view.
        unsafe { self.ranks.load(SeqCst).as_ref() }
    }

    /// Keeps weights and ranks from now on, in this view of the set and in all later ones, for the
    /// algorithms 11, 13 and 15. Where memory is short they are worked out at each choice.
    pub fn need_ranks(&self, arena: &impl Arena) {
        if self.ranks().is_none() {
            self.make_ranks(arena);
        }
    }

    #[cold]
    fn make_ranks(&self, arena: &impl Arena) {
        self.record().want_ranks();
        let Ok(made) = Ranks::create(arena, self) else {
            return;
        };
        let swap = self
            .ranks
            .compare_exchange(ptr::null_mut(), made.as_ptr(), SeqCst, SeqCst);
        if swap.is_err() {
            // SAFETY: another process was faster; nobody has seen this one.
            unsafe { arena.free(made.cast()) };
            return;
        }
        // Who changed a record before that did not see them.
        (0..self.dest_count()).for_each(|at| self.sync_rank(at));
    }

    /// True for the destination that is taken only when all others are out.
    pub(crate) fn is_last_resort(&self, at: usize) -> bool {
        at >= self.rules.ring as usize && at < self.dest_count()
    }

    /// The position of the destination over this record; `None` when it is not in this view.
    pub fn position_of(&self, record: &DestRecord) -> Option<usize> {
        let told = record.position();
        let is_at = |at: usize| {
            let dest = self.dest(at);
            dest.is_some_and(|dest| ptr::eq(dest.record(), record))
        };
        if is_at(told) {
            return Some(told);
        }
        // Edits tell only some records that they have moved (`View::settle_edit`).
        let near = 1..=self.most_off();
        near.flat_map(|steps| [told.checked_sub(steps), told.checked_add(steps)])
            .flatten()
            .find(|&at| is_at(at))
    }

    /// The first usable position from `from` on, by the bitmap alone.
    #[cfg(test)]
    pub fn next_bit(&self, from: usize) -> Option<usize> {
        self.usable.next(from)
    }

    /// The first draining position from `from` on, by the bitmap alone.
    #[cfg(test)]
    pub fn next_draining_bit(&self, from: usize) -> Option<usize> {
        self.draining.next(from)
    }

    /// Repairs the bitmaps after publishing: records may have changed while the view was built.
    pub fn settle(&self) {
        for (at, dest) in self.dests().enumerate() {
            dest.record().set_position(at);
            self.usable.repair(at, || self.is_usable(at));
            self.draining.repair(at, || self.is_draining(at));
            self.sync_load(at);
            self.sync_rank(at);
        }
        self.set_settled();
    }

    /// True when the bitmaps are known to agree with the records.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(SeqCst) != 0
    }

    /// Says that the bitmaps agree with the records.
    pub(crate) fn set_settled(&self) {
        self.settled.store(1, SeqCst);
    }

    /// The first usable index in a range, by the records alone.
    fn scan(&self, range: Range<usize>) -> Option<usize> {
        range.into_iter().find(|&at| self.is_usable(at))
    }

    /// Positions whose URI equals `uri` but for letter case, in order.
    pub fn find_uri<'v>(&'v self, uri: &'v [u8]) -> impl Iterator<Item = usize> + 'v {
        self.uris.find(fold_hash(uri)).filter(move |&at| {
            self.dest(at)
                .is_some_and(|dest| dest.uri().eq_ignore_ascii_case(uri))
        })
    }

    /// The first usable position in `from..to`, by the bitmap.
    #[inline(never)]
    fn next_usable_bit(&self, from: usize, to: usize) -> Option<usize> {
        let mut from = from;
        while from < to {
            let at = self.usable.next(from).filter(|&at| at < to)?;
            if self.is_usable(at) {
                return Some(at);
            }
            from = at + 1;
        }
        None
    }

    /// A walk whose first step found nobody.
    #[inline(never)]
    fn walk_on(&self, at: usize, ring: usize) -> Option<usize> {
        // While one alone is in, all walks lead to it, whatever the size of the set.
        let only = self.usable.only().filter(|&only| only < ring);
        match only {
            Some(at) if self.is_usable(at) => only,
            _ => self.search(at, ring),
        }
    }

    /// The same by the bitmap.
    #[inline(never)]
    fn search(&self, at: usize, ring: usize) -> Option<usize> {
        let found = self.usable.next(at).filter(|&found| found < ring);
        let found = match found {
            Some(at) if self.is_usable(at) => found,
            _ => self.walk_around(at, ring),
        };
        found.inspect(|&at| self.usable.found(at))
    }

    /// A walk whose first steps found nobody.
    ///
    /// A search takes several steps, and one destination may come up behind it just before
    /// another goes down ahead of it. Nothing, or the last resort, is the answer only if it was
    /// true at one moment that the ring is out.
    #[inline(never)]
    fn walk_around(&self, at: usize, ring: usize) -> Option<usize> {
        let by_bitmap = || {
            self.next_usable(at, ring)
                .or_else(|| self.next_usable(0, at))
                .or_else(|| self.next_usable(ring, self.len()))
        };
        let by_records = || {
            self.scan(at..ring)
                .or_else(|| self.scan(0..at))
                .or_else(|| self.scan(ring..self.len()))
        };
        let mut found = by_bitmap();
        for _ in 0..RETRIES {
            if found.is_some_and(|at| at < ring) {
                break;
            }
            let changes = self.record().changes();
            let settled = self.settled.load(SeqCst) != 0;
            found = if settled { by_bitmap() } else { by_records() };
            if self.record().changes() == changes {
                break;
            }
        }
        found
    }
}

impl Free for View {
    /// Lets its record go; its destinations stay.
    unsafe fn free(view: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: still ours to read.
        let &View {
            record, ref ranks, ..
        } = unsafe { view.as_ref() };
        if let Some(ranks) = NonNull::new(ranks.load(Relaxed)) {
            // SAFETY: from this arena, and reached only through this view.
            unsafe { arena.free(ranks.cast()) };
        }
        if let Some(record) = NonNull::new(record) {
            // SAFETY: `create` counted it, and it goes with this view.
            unsafe { Counted::release(record, arena) };
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(view.cast()) };
    }
}

impl Candidates for View {
    #[inline]
    fn len(&self) -> usize {
        self.dest_count()
    }

    #[inline]
    fn ring(&self, _use_default: bool) -> usize {
        // Views are built by the same rule.
        self.rules.ring as usize
    }

    #[inline]
    fn next_usable(&self, from: usize, to: usize) -> Option<usize> {
        if from < to && self.is_usable(from) {
            return Some(from);
        }
        self.next_usable_bit(from, to)
    }

    fn next_with_room(&self, from: usize, to: usize) -> Option<usize> {
        self.first_room(from, to)
    }

    #[inline(always)]
    fn walk(&self, at: usize, ring: usize) -> Option<usize> {
        if at < ring && self.is_usable(at) {
            return Some(at);
        }
        self.walk_on(at, ring)
    }

    fn walk_ongoing(&self, at: usize, ring: usize) -> Option<usize> {
        let draining = self
            .next_draining(at, ring)
            .or_else(|| self.next_draining(0, at))
            .or_else(|| self.next_draining(ring, self.len()));
        // Steps of the walk to an index; what is behind the ring comes last.
        let steps = |&found: &usize| match found {
            found if found >= ring => found,
            found if found >= at => found - at,
            found => found + ring - at,
        };
        [self.walk(at, ring), draining]
            .into_iter()
            .flatten()
            .min_by_key(steps)
    }

    fn is_draining(&self, at: usize) -> bool {
        self.dest(at).is_some_and(|dest| {
            let state = dest.record().state();
            state.contains(State::DRAINING) && state.serves_calls(self.rules.unusable)
        })
    }

    fn cursors(&self) -> &Cursors {
        &self.record().cursors
    }

    fn wheel(&self) -> Option<&Wheel> {
        self.wheel.get().first()
    }

    fn pass_over(&self, at: usize, now_us: u64) -> bool {
        let overload = self.dest(at).and_then(|dest| dest.record().overload());
        overload.is_some_and(|overload| overload.pass_over(now_us))
    }

    fn weight_below(&self, by: Weights, to: usize) -> u32 {
        match self.ranks() {
            Some(ranks) => ranks.shares(by).below(to),
            None => ranks::weight_below(self, by, to),
        }
    }

    fn at_weight(&self, by: Weights, point: u32) -> Option<usize> {
        match self.ranks() {
            Some(ranks) => ranks.shares(by).find(point),
            None => ranks::at_weight(self, by, point),
        }
    }

    #[inline]
    fn share_wheel(&self) -> Option<&[u32]> {
        self.ranks()?.relative_wheel()
    }

    fn is_weighted(&self, by: Weights) -> bool {
        match self.ranks() {
            Some(ranks) => !ranks.shares(by).is_empty(),
            None => ranks::is_weighted(self, by),
        }
    }

    fn priority(&self, at: usize) -> i32 {
        self.dest(at).map_or(0, |dest| dest.priority)
    }

    fn priority_start(&self, at: usize) -> usize {
        match self.ranks() {
            Some(ranks) => ranks.priority_start(at),
            None => ranks::priority_start(self, at),
        }
    }

    fn last_usable(&self, to: usize) -> Option<usize> {
        let mut to = to;
        loop {
            let at = self.usable.last(to)?;
            if self.is_usable(at) {
                return Some(at);
            }
            to = at;
        }
    }

    fn rank(&self, at: usize) -> Option<u32> {
        Some(ranks::rank(self, at)).filter(|&rank| rank > 0)
    }

    fn best(&self, at: usize, ring: usize) -> Option<usize> {
        match self.ranks() {
            Some(ranks) => ranks.best_around(at, ring),
            None => ranks::best_around(self, at, ring),
        }
    }

    fn best_below(&self, rank: u32, _ring: usize) -> Option<u32> {
        // The last resort, behind the ring, has no rank.
        let best = match self.ranks() {
            Some(ranks) => ranks.best().best_below(rank),
            None => ranks::best_below(self, rank),
        };
        Some(best).filter(|&rank| rank > 0)
    }

    fn next_of_rank(&self, rank: u32, from: usize, to: usize) -> Option<usize> {
        match self.ranks() {
            Some(ranks) => ranks.next_of(rank, from, to),
            None => (from..to).find(|&at| ranks::rank(self, at) == rank),
        }
    }
}

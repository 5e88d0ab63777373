//! The view of a set after an edit: made from the view before, so that its cost is that of copying
//! a few arrays. No destination but the one that comes is looked at.

use core::cmp::Reverse;
use core::ptr::NonNull;

use rand::RngCore;

use crate::dispatch::select::algorithm::Candidates;
use crate::dispatch::select::hash::fold_hash;
use crate::dispatch::select::weight::{self, Wheel};

use super::least::FULL;
use super::shift::Shift;
use super::view::{Rules, View};
use super::view_build::Draft;
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Arena, OutOfMemory};

/// Each edit tells a 32nd part of the records where they are now, and at least so many.
const TOLD_AT_ONCE: usize = if cfg!(test) { 4 } else { 1_024 };
const PARTS: usize = 32;

/// How far a record's position may be off: so many edits there can be before it is told again.
const MOST_OFF: usize = PARTS + 8;

impl View {
    /// The view after an edit: without the destination at `dropped`, and with `added`.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    ///
    /// # Safety
    /// `added` is live and outlives the view, as all destinations of this one but the dropped do.
    pub(crate) unsafe fn edited(
        &self,
        arena: &impl Arena,
        rules: Rules,
        shift: Shift,
        added: Option<NonNull<Dest>>,
        random: &mut impl RngCore,
    ) -> Result<NonNull<View>, OutOfMemory> {
        let len = shift.len_after(self.dest_count());
        // SAFETY: the caller's promise.
        let new = added.map(|added| unsafe { added.as_ref() });
        let draft = Draft {
            rules,
            record: self.counted(),
            len,
            wheel: self.wheel_after(shift, new, random),
            like: Some(&self.uris),
        };
        let mut block = draft.lay_out(arena)?;
        let view = block.fill();
        // SAFETY: the block is ours alone until it is published.
        let dests = unsafe { view.dests.fill() };
        shift.copy(self.dests.get(), dests);
        if let Some((at, added)) = shift.added.zip(added) {
            dests
                .get_mut(at)
                .into_iter()
                .for_each(|slot| *slot = added.as_ptr());
        }
        let has_duid = |dest: Option<&Dest>| u32::from(dest.is_some_and(|d| d.duid().is_some()));
        let dropped = shift.dropped.and_then(|at| self.dest(at));
        view.duids = (self.duids + has_duid(new)).saturating_sub(has_duid(dropped));
        view.last_line = self.last_line.max(new.map_or(0, |dest| dest.line));
        view.told_to = u32::try_from(self.to_tell(len).1).unwrap_or(0);
        view.take_uris(self, shift);
        view.usable.fill(&self.usable_after(shift));
        view.draining.fill(&self.draining_after(shift));
        view.take_loads(self, shift);
        shift
            .added
            .into_iter()
            .for_each(|at| view.index_usable_at(at));
        View::finish(block, arena)
    }

    /// Takes over the URIs of the view before.
    fn take_uris(&mut self, before: &View, shift: Shift) {
        let hash = |view: &View, at| view.dest(at).map_or(0, |dest| fold_hash(dest.uri()));
        // SAFETY: not published yet, and empty.
        let taken = unsafe {
            self.uris
                .take_over(&before.uris, shift, |at| hash(before, at))
        };
        if !taken {
            // SAFETY: as above.
            unsafe {
                self.uris
                    .fill(self.dests().map(|dest| fold_hash(dest.uri())))
            };
            return;
        }
        let uri = |at| self.dest(at).map_or(&[][..], Dest::uri);
        let same = |one, other| uri(one).eq_ignore_ascii_case(uri(other));
        if let Some(at) = shift.added {
            // SAFETY: not published yet.
            unsafe { self.uris.insert(hash(self, at), at, same) };
        }
    }

    /// Takes over the calls of the view before, where they are counted.
    fn take_loads(&self, before: &View, shift: Shift) {
        if let (Some(least), Some(old)) = (self.least.get().first(), before.least.get().first()) {
            let mut loads = vec![FULL; self.dest_count()];
            shift.copy(&old.copy(), &mut loads);
            least.fill(&loads);
        }
    }

    fn usable_after(&self, shift: Shift) -> Vec<u64> {
        shift.copy_bits(&self.usable.copy(), self.dest_count())
    }

    fn draining_after(&self, shift: Shift) -> Vec<u64> {
        shift.copy_bits(&self.draining.copy(), self.dest_count())
    }

    /// The wheel after an edit; most sets have no weights, before and after.
    fn wheel_after(
        &self,
        shift: Shift,
        added: Option<&Dest>,
        random: &mut impl RngCore,
    ) -> Option<Wheel> {
        if self.wheel().is_none() && added.is_none_or(|dest| dest.weight() <= 0) {
            return None;
        }
        let mut weights = vec![0; shift.len_after(self.dest_count())];
        let old: Vec<i32> = self.dests().map(Dest::weight).collect();
        shift.copy(&old, &mut weights);
        if let Some(at) = shift.added {
            let weight = added.map_or(0, Dest::weight);
            weights
                .get_mut(at)
                .into_iter()
                .for_each(|slot| *slot = weight);
        }
        weight::wheel(weights.into_iter(), random)
    }

    /// Where a destination belongs in the order, among all that are there.
    pub(crate) fn place_for(&self, dest: &Dest) -> usize {
        let place = |dest: &Dest| (Reverse(dest.priority), Reverse(dest.line));
        self.dests.get().partition_point(|&other| {
            // SAFETY: as in `View::dest`.
            unsafe { other.as_ref() }.is_some_and(|other| place(other) < place(dest))
        })
    }

    /// The positions that an edit to `len` destinations tells to their records: from, and to.
    fn to_tell(&self, len: usize) -> (usize, usize) {
        let from = match self.told_to as usize {
            // One back: what was next may have moved to here.
            next if next < len => next.saturating_sub(1),
            _ => 0,
        };
        let count = TOLD_AT_ONCE.max(len / PARTS + 2);
        (from, from.saturating_add(count).min(len))
    }

    /// How far a record's position may be off in this view.
    pub(crate) fn most_off(&self) -> usize {
        MOST_OFF.min(self.dest_count())
    }

    /// Brings the view after an edit up to the records, after publishing. As [`View::settle`], but
    /// `before`, the view before, knows of each change that was over by then: only where the two
    /// differ there is something to look at.
    pub(crate) fn settle_edit(&self, before: &View, shift: Shift) {
        if self.ranks().is_some() || !before.is_settled() {
            return self.settle();
        }
        let expected = before.usable_after(shift);
        self.usable
            .differing(&expected)
            .for_each(|at| self.sync(at));
        let expected = before.draining_after(shift);
        self.draining
            .differing(&expected)
            .for_each(|at| self.sync(at));
        if let (Some(least), Some(old)) = (self.least.get().first(), before.least.get().first()) {
            let mut expected = vec![FULL; self.dest_count()];
            shift.copy(&old.copy(), &mut expected);
            let pairs = least.copy().into_iter().zip(expected).enumerate();
            pairs
                .filter(|(_, (is, expected))| is != expected)
                .for_each(|(at, _)| self.sync_load(at));
        }
        if let Some(at) = shift.added {
            self.tell_position(at);
            self.sync(at);
        }
        let (from, to) = before.to_tell(self.dest_count());
        (from..to).for_each(|at| self.tell_position(at));
        self.set_settled();
    }

    fn tell_position(&self, at: usize) {
        if let Some(dest) = self.dest(at) {
            dest.record().set_position(at);
        }
    }
}

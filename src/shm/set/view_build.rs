//! Building the view of a set from its destinations: all of it, where there is none to copy from.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

use rand::RngCore;

use crate::dispatch::select::algorithm;
use crate::dispatch::select::algorithm::Candidates;
use crate::dispatch::select::hash::fold_hash;
use crate::dispatch::select::weight::{self, Wheel};

use super::least::{Least, LeastPlan};
use super::ranks::Ranks;
use super::set_record::SetRecord;
use super::uris::{Uris, UrisPlan};
use super::usable::UsablePlan;
use super::view::{Rules, View};
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Arena, Block, OutOfMemory, Plan};
use crate::shm::memory::refcount::Counted;

impl View {
    /// Builds the view of a set from its destinations in order.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    ///
    /// # Safety
    /// `record` and `dests` are live and outlive the view.
    pub unsafe fn create(
        arena: &impl Arena,
        rules: Rules,
        record: NonNull<Counted<SetRecord>>,
        dests: &[NonNull<Dest>],
        random: &mut impl RngCore,
    ) -> Result<NonNull<Self>, OutOfMemory> {
        let weights = || {
            dests.iter().map(|dest| {
                // SAFETY: the caller's promise.
                unsafe { dest.as_ref() }.weight()
            })
        };
        let is_weighted = weights().any(|weight| weight > 0);
        let wheel = is_weighted.then(|| weight::wheel(weights(), random));
        let draft = Draft {
            rules,
            record,
            len: dests.len(),
            wheel: wheel.flatten(),
            like: None,
        };
        let mut block = draft.lay_out(arena)?;
        let view = block.fill();
        // SAFETY: the block is ours alone until it is published.
        for (slot, dest) in unsafe { view.dests.fill() }.iter_mut().zip(dests) {
            *slot = dest.as_ptr();
        }
        view.last_line = view.dests().map(|dest| dest.line).max().unwrap_or(0);
        let duids = view.dests().filter(|dest| dest.duid().is_some()).count();
        view.duids = u32::try_from(duids).unwrap_or(u32::MAX);
        // SAFETY: as above; the table is empty.
        unsafe {
            view.uris
                .fill(view.dests().map(|dest| fold_hash(dest.uri())))
        };
        view.index_usable();
        Self::finish(block, arena)
    }

    /// Takes what only some sets need, and counts the view as a holder of its record.
    pub(crate) fn finish(
        block: Block<View>,
        arena: &impl Arena,
    ) -> Result<NonNull<Self>, OutOfMemory> {
        // SAFETY: seen by nobody else yet.
        let view = unsafe { block.header().as_ref() };
        if view.record().wants_ranks() {
            match Ranks::create(arena, view) {
                Ok(ranks) => view.ranks.store(ranks.as_ptr(), Relaxed),
                Err(error) => {
                    // SAFETY: just made, and seen by nobody.
                    unsafe { arena.free(block.header().cast()) };
                    return Err(error);
                }
            }
        }
        // SAFETY: as above.
        unsafe { view.counted().as_ref() }.retain();
        Ok(block.header())
    }

    fn index_usable(&self) {
        for at in 0..self.len() {
            self.index_usable_at(at);
        }
    }

    /// Sets the bits of a position, before anybody else sees the view.
    pub(crate) fn index_usable_at(&self, at: usize) {
        if self.is_usable(at) {
            self.usable.set_first(at);
        }
        if self.is_draining(at) {
            self.draining.set_first(at);
        }
    }
}

/// What a view is laid out by.
pub(crate) struct Draft<'d> {
    pub(crate) rules: Rules,
    pub(crate) record: NonNull<Counted<SetRecord>>,
    /// Number of destinations.
    pub(crate) len: usize,
    pub(crate) wheel: Option<Wheel>,
    /// The URIs of the view before, where this one is to have as many slots.
    pub(crate) like: Option<&'d Uris>,
}

impl Draft<'_> {
    /// Takes the memory of a view; its destinations are not written yet.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub(crate) fn lay_out(&self, arena: &impl Arena) -> Result<Block<View>, OutOfMemory> {
        let len = self.len;
        let mut plan = Plan::<View>::of_header();
        let slots = plan.array(len);
        let usable = UsablePlan::new(&mut plan, len).ok_or(OutOfMemory)?;
        let draining = UsablePlan::new(&mut plan, len).ok_or(OutOfMemory)?;
        let uris = match self.like {
            Some(other) => UrisPlan::like(&mut plan, other, len),
            None => UrisPlan::new(&mut plan, len),
        };
        let uris = uris.ok_or(OutOfMemory)?;
        let wheels = usize::from(self.wheel.is_some());
        let wheels = plan.array(wheels);
        let counted = usize::from(self.rules.call_load);
        let least = plan.array::<Least>(counted);
        let loads = match counted {
            0 => None,
            _ => Some(LeastPlan::new(&mut plan, len).ok_or(OutOfMemory)?),
        };
        let mut block = plan.alloc(arena)?;
        let (usable, draining) = (usable.place(&block), draining.place(&block));
        let uris = uris.place(&block);
        let loads = loads.map(|loads| loads.place(&block));
        let (slots, wheels, least) = (
            block.slice(&slots),
            block.slice(&wheels),
            block.slice(&least),
        );
        let view = block.fill();
        view.record = self.record.as_ptr();
        (view.dests, view.wheel, view.least) = (slots, wheels, least);
        (view.usable, view.draining, view.uris) = (usable, draining, uris);
        view.rules.unusable = self.rules.unusable;
        let ring = algorithm::ring(len, self.rules.last_resort);
        view.rules.ring = u32::try_from(ring).unwrap_or(u32::MAX);
        if let Some(wheel) = self.wheel {
            // SAFETY: the block is ours alone until it is published.
            unsafe { view.wheel.fill() }.fill(wheel);
        }
        // SAFETY: as above.
        let least = unsafe { view.least.fill() }.first_mut();
        if let (Some(least), Some(loads)) = (least, loads) {
            *least = loads;
        }
        Ok(block)
    }
}

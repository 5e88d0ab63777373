//! Building the view of a set from its destinations.

use core::ptr::NonNull;

use rand::RngCore;

use crate::dispatch::hash::fold_hash;
use crate::dispatch::select::candidates::candidate_count;
use crate::dispatch::select::weight_slots;

use super::maxima::Maxima;
use super::ranks::Ranks;
use super::set_record::SetRecord;
use super::uris::Uris;
use super::usable::Usable;
use super::view::{Rules, View};
use crate::shm::balance::key_shares::KeyShares;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, Block, OutOfMemory, Plan, to_u32};
use crate::shm::memory::refcount::Counted;
use crate::shm::observe::counters::Selections;

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
        // SAFETY: the caller promises that the destinations are live.
        let all = dests.iter().map(|dest| unsafe { dest.as_ref() });
        let mut block = View::lay_out(arena, rules, all, random)?;
        let view = block.fill();
        view.record = record.as_ptr();
        // SAFETY: the block is ours alone until it is published.
        for (slot, dest) in unsafe { view.dests.fill() }.iter_mut().zip(dests) {
            *slot = dest.as_ptr();
        }
        view.index();
        // SAFETY: the caller promises that the record is live.
        let record = unsafe { record.as_ref() };
        view.point_to_counters(record);
        record.retain();
        Ok(block.header())
    }

    /// Takes the memory of a view for these destinations, which are not written yet.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    fn lay_out<'d>(
        arena: &impl Arena,
        rules: Rules,
        dests: impl ExactSizeIterator<Item = &'d Dest> + Clone,
        random: &mut impl RngCore,
    ) -> Result<Block<View>, OutOfMemory> {
        let len = dests.len();
        let slots = weight_slots::slots(dests.clone().map(Dest::weight), random);
        let candidates = to_u32(candidate_count(len, rules.use_default));
        let counted = if rules.call_load { len } else { 0 };
        let mut plan = Plan::<View>::of_header();
        let array = plan.array(len);
        let usable = Usable::plan(&mut plan, len);
        let draining = Usable::plan(&mut plan, len);
        let uris = Uris::plan(&mut plan, len);
        let weight_slots = plan.array(slots.iter().len());
        let selections = plan.array(if rules.counted { len } else { 0 });
        let rooms = Maxima::plan(&mut plan, counted);
        let lacks_duid = rules.call_load && dests.clone().any(|dest| dest.duid().is_none());
        let dest_bytes = dests.clone().map(Dest::bytes).sum();
        let shares = KeyShares::plan(&mut plan, dests.clone());
        let ranks = Ranks::plan(&mut plan, dests);
        let bytes = plan.bytes();
        let mut block = plan.alloc(arena)?;
        let (array, weight_slots) = (block.slice(&array), block.slice(&weight_slots));
        let (usable, draining, uris) = (usable(&block), draining(&block), uris(&block));
        let (rooms, ranks, shares) = (rooms(&block), ranks(&block), shares(&block));
        let selections = block.slice(&selections);
        let view = block.fill();
        (view.dests, view.weight_slots, view.selections) = (array, weight_slots, selections);
        (view.usable, view.draining, view.uris) = (usable, draining, uris);
        (view.rooms, view.ranks, view.shares) = (rooms, ranks, shares);
        view.unusable = rules.unusable;
        view.shut = DestRecord::shut_by(rules.unusable);
        view.lacks_duid = lacks_duid;
        (view.candidates, view.bytes, view.dest_bytes) = (candidates, bytes, dest_bytes);
        // SAFETY: the block is ours alone until it is published.
        let weight_slots = unsafe { view.weight_slots.fill() };
        if let (Some(to), Some(from)) = (weight_slots.first_mut(), slots) {
            *to = from;
        }
        Ok(block)
    }

    /// Fills bitmaps, trees and the URIs, before anybody else sees the view.
    fn index(&self) {
        let hashes = self.dests().map(|dest| fold_hash(dest.uri()));
        // SAFETY: `create` has the view alone.
        unsafe { self.uris.fill(hashes) };
        let all = 0..self.dest_count();
        self.usable
            .fill(all.clone().filter(|&at| self.is_usable(at)));
        self.draining.fill(all.filter(|&at| self.is_draining(at)));
        self.rooms.fill(|at| self.room(at));
        self.ranks.fill(self);
        // SAFETY: `create` has the view alone.
        unsafe { self.shares.fill(|at| self.dest(at)) };
    }
    /// Finds the counters of all selections, before anybody else sees the view.
    fn point_to_counters(&self, record: &SetRecord) {
        let Some(of_set) = record.counted() else {
            return;
        };
        let of_dests = self.dests().filter_map(|dest| dest.record().counted());
        // SAFETY: `create` has the view alone.
        for (to, of_dest) in unsafe { self.selections.fill() }.iter_mut().zip(of_dests) {
            *to = Selections::of(of_dest, of_set);
        }
    }
}

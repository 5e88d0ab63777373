//! What the destinations of a set are worth: shares by weight (algorithms 11 and 15) and ranks by
//! priority and latency (13). Part of the set's view, and follows the records as its bitmaps do.

use core::ptr::NonNull;

use crate::dispatch::ranked::{self, Weights};
use crate::dispatch::share::common_divisor;

use super::arena::{Block, Field, Plan, ShmSafe, ShmSlice};
use super::dest::Dest;
use super::tree::{Best, Shares, TreePlan};
use super::view::View;

/// The shares and ranks of one set. Lives in shared memory, inside the set's view.
pub struct Ranks {
    relative: Shares,
    service: Shares,
    best: Best,
    /// By position: where the destinations of the same priority begin.
    starts: ShmSlice<u32>,
    /// What all weights are divided by: shorter cycles are exact sooner.
    relative_unit: u32,
    service_unit: u32,
}

// SAFETY: trees and a shared slice; zeroed it is that of an empty set.
unsafe impl ShmSafe for Ranks {}

/// The planned arrays of [`Ranks`].
pub struct RanksPlan {
    relative: TreePlan,
    service: TreePlan,
    best: TreePlan,
    starts: Field<u32>,
    relative_unit: u32,
    service_unit: u32,
}

impl RanksPlan {
    /// Plans for these destinations; `None` when memory cannot be that large.
    pub fn new<H: ShmSafe>(plan: &mut Plan<H>, dests: &[NonNull<Dest>]) -> Option<Self> {
        let mut tree = |weight: fn(&Dest) -> i32| {
            // SAFETY: whoever builds the view gave live destinations (`View::create`).
            let mut weights = dests.iter().map(|dest| weight(unsafe { dest.as_ref() }));
            let len = if weights.any(|weight| weight > 0) {
                dests.len()
            } else {
                0
            };
            TreePlan::new(plan, len)
        };
        Some(RanksPlan {
            relative: tree(|dest| dest.rweight())?,
            service: tree(|dest| dest.weight())?,
            best: TreePlan::new(plan, dests.len())?,
            starts: plan.array(dests.len())?,
            relative_unit: unit(dests, |dest| if dest.cc() { 1 } else { dest.rweight() }),
            service_unit: unit(dests, |dest| dest.weight()),
        })
    }

    /// Places all over the block's memory.
    pub fn place<H>(&self, block: &Block<H>) -> Ranks {
        Ranks {
            relative: Shares::place(&self.relative, block),
            service: Shares::place(&self.service, block),
            best: Best::place(&self.best, block),
            starts: block.slice(&self.starts),
            relative_unit: self.relative_unit.max(1),
            service_unit: self.service_unit.max(1),
        }
    }
}

/// The greatest common divisor of the weights; that of weights that change on their own is 1.
fn unit(dests: &[NonNull<Dest>], weight: fn(&Dest) -> i32) -> u32 {
    // SAFETY: as in `RanksPlan::new`.
    let weights = dests.iter().map(|dest| weight(unsafe { dest.as_ref() }));
    let weights = weights.filter_map(|weight| u32::try_from(weight).ok());
    weights.fold(0, common_divisor).max(1)
}

impl Ranks {
    /// The shares by these weights.
    pub fn shares(&self, by: Weights) -> &Shares {
        match by {
            Weights::Relative => &self.relative,
            Weights::Srv => &self.service,
        }
    }

    /// The ranks by priority and latency.
    pub fn best(&self) -> &Best {
        &self.best
    }

    /// Where the destinations begin that have the priority of the one at a position.
    pub fn priority_start(&self, at: usize) -> usize {
        self.starts
            .get()
            .get(at)
            .map_or(at, |&start| start as usize)
    }

    /// The first destination of the best rank, at or after `at` and around the end of the ring.
    pub fn best_around(&self, at: usize, ring: usize) -> Option<usize> {
        let rank = Some(self.best.best()).filter(|&rank| rank > 0)?;
        self.best
            .next(rank, at, ring)
            .or_else(|| self.best.next(rank, 0, at))
    }

    /// Fills all from the records.
    ///
    /// # Safety
    /// `view`, which this is part of, is not published.
    pub unsafe fn fill(&self, view: &View) {
        self.relative
            .fill(|at| relative_weight(view, at) / self.relative_unit.max(1));
        self.service
            .fill(|at| service_weight(view, at) / self.service_unit.max(1));
        self.best.fill(|at| rank(view, at));
        let mut last = None;
        // SAFETY: by this function's contract; nothing else refers to the array.
        let starts = unsafe { self.starts.fill() };
        for ((position, start), dest) in (0u32..).zip(starts).zip(view.dests()) {
            let (_, first) = *last.get_or_insert((dest.priority, position));
            let first = if last.is_some_and(|(priority, _)| priority == dest.priority) {
                first
            } else {
                position
            };
            last = Some((dest.priority, first));
            *start = first;
        }
    }

    /// Makes all follow the record of the destination at a position.
    pub fn sync(&self, view: &View, at: usize) {
        self.relative
            .sync(at, || relative_weight(view, at) / self.relative_unit.max(1));
        self.service
            .sync(at, || service_weight(view, at) / self.service_unit.max(1));
        self.best.sync(at, || rank(view, at));
    }
}

/// The destination at a position, when it takes part in a choice.
fn in_ring(view: &View, at: usize) -> Option<&Dest> {
    view.dest(at)
        .filter(|_| view.is_usable(at) && !view.is_last_resort(at))
}

/// What algorithm 11 gives it now. With congestion control its share shrinks by 1 for each
/// millisecond that it takes longer than usual.
fn relative_weight(view: &View, at: usize) -> u32 {
    let weight = in_ring(view, at).map_or(0, |dest| {
        if !dest.cc() || dest.rweight() <= 0 {
            return dest.rweight();
        }
        let calm = if dest.weight() > 0 {
            dest.weight()
        } else {
            dest.rweight()
        };
        calm.saturating_sub(dest.record().latency().congestion_ms())
    });
    u32::try_from(weight).unwrap_or(0)
}

/// What algorithm 15 gives it within its priority.
fn service_weight(view: &View, at: usize) -> u32 {
    let weight = in_ring(view, at).map_or(0, |dest| dest.weight());
    u32::try_from(weight).unwrap_or(0)
}

/// Its rank by priority and latency; 0 when it is out.
pub fn rank(view: &View, at: usize) -> u32 {
    in_ring(view, at).map_or(0, |dest| {
        let latency = dest.record().latency();
        let latency_ms = if dest.cc() {
            latency.congestion_ms()
        } else {
            latency.estimate_ms()
        };
        ranked::rank(ranked::effective_priority(dest.priority, latency_ms))
    })
}

//! What the destinations of a set are worth: shares by weight (algorithms 11 and 15) and ranks by
//! priority and latency (13). Belongs to the set's view, and follows the records as its bitmaps do.

use core::ptr::NonNull;

use crate::dispatch::select::ranked::{self, Weights};
use crate::dispatch::select::share::{self, common_divisor};

use super::tree::{Best, Shares, TreePlan};
use super::view::View;
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};

/// The shares and ranks of one set. Lives in shared memory, beside the set's view, once an algorithm
/// has asked for it; before that, and where memory is short, the functions below work them out.
pub struct Ranks {
    relative: Shares,
    /// A cycle of the relative weights while all are usable; empty where there is none.
    relative_wheel: ShmSlice<u32>,
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

/// The longest cycle that is written out, for a set of so many destinations.
fn longest_wheel(dests: usize) -> usize {
    dests.saturating_mul(4).max(1_024)
}

/// The points of the relative weights while all are usable, one after the other; none where weights
/// change on their own, or there are too many.
fn relative_points(view: &View, unit: u32) -> Vec<u32> {
    let mut points = Vec::new();
    for (at, dest) in (0u32..).zip(view.dests()) {
        if view.is_last_resort(at as usize) {
            continue;
        }
        let weight = u32::try_from(dest.rweight()).unwrap_or(0) / unit.max(1);
        if dest.cc() || points.len() + weight as usize > longest_wheel(view.dest_count()) {
            return Vec::new();
        }
        points.extend((0..weight).map(|_| at));
    }
    points
}

/// The greatest common divisor of the weights; that of weights that change on their own is 1.
fn unit(view: &View, weight: fn(&Dest) -> i32) -> u32 {
    let weights = view.dests().map(weight);
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

    /// A cycle of the relative weights, where it is written out and all are usable: else the shares of
    /// a cycle would not be exact.
    #[inline]
    pub fn relative_wheel(&self) -> Option<&[u32]> {
        let wheel = self.relative_wheel.get();
        let is_whole = !wheel.is_empty() && wheel.len() == self.relative.whole() as usize;
        is_whole.then_some(wheel)
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
        self.best.around(at, ring)
    }

    /// Makes all for a view, from the records as they are.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub fn create(arena: &impl Arena, view: &View) -> Result<NonNull<Self>, OutOfMemory> {
        let mut plan = Plan::<Ranks>::of_header();
        let mut tree = |weight: fn(&Dest) -> i32| {
            let any = view.dests().map(weight).any(|weight| weight > 0);
            let len = if any { view.dest_count() } else { 0 };
            TreePlan::new(&mut plan, len).ok_or(OutOfMemory)
        };
        let (relative, service) = (tree(Dest::rweight)?, tree(Dest::weight)?);
        let best = TreePlan::new(&mut plan, view.dest_count()).ok_or(OutOfMemory)?;
        let starts = plan.array(view.dest_count());
        let relative_unit = unit(view, |dest| if dest.cc() { 1 } else { dest.rweight() });
        let points = relative_points(view, relative_unit);
        let wheel = plan.array(points.len());
        let mut block = plan.alloc(arena)?;
        let relative = Shares::place(&relative, &block);
        let (service, best) = (Shares::place(&service, &block), Best::place(&best, &block));
        let (starts, wheel) = (block.slice(&starts), block.slice(&wheel));
        // SAFETY: the block is ours alone until it is published.
        share::write_cycle(unsafe { wheel.fill() }, &points);
        let ranks = block.fill();
        (ranks.relative, ranks.service) = (relative, service);
        (ranks.best, ranks.starts) = (best, starts);
        (ranks.relative_wheel, ranks.relative_unit) = (wheel, relative_unit);
        ranks.service_unit = unit(view, Dest::weight);
        ranks.fill(view);
        Ok(block.header())
    }

    /// Fills all from the records, before anybody else sees it.
    fn fill(&mut self, view: &View) {
        self.relative
            .fill(|at| relative_weight(view, at) / self.relative_unit.max(1));
        self.service
            .fill(|at| service_weight(view, at) / self.service_unit.max(1));
        self.best.fill(|at| rank(view, at));
        let mut last = None;
        // SAFETY: nobody else sees it, and nothing else refers to the array.
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

    /// The first destination of exactly this rank in `from..to`.
    pub fn next_of(&self, rank: u32, from: usize, to: usize) -> Option<usize> {
        let mut from = from;
        loop {
            let at = self.best.next(rank, from, to)?;
            if self.best.rank(at) == rank {
                return Some(at);
            }
            from = at + 1;
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

fn weight(view: &View, by: Weights, at: usize) -> u32 {
    match by {
        Weights::Relative => relative_weight(view, at),
        Weights::Srv => service_weight(view, at),
    }
}

/// As [`Shares::below`], by the records.
pub fn weight_below(view: &View, by: Weights, to: usize) -> u32 {
    let weights = (0..to.min(view.dest_count())).map(|at| weight(view, by, at));
    weights.fold(0, u32::saturating_add)
}

/// As [`Shares::find`], by the records.
pub fn at_weight(view: &View, by: Weights, point: u32) -> Option<usize> {
    let mut point = point;
    (0..view.dest_count()).find(|&at| match point.checked_sub(weight(view, by, at)) {
        Some(rest) => {
            point = rest;
            false
        }
        None => true,
    })
}

/// True when any destination has such a weight.
pub fn is_weighted(view: &View, by: Weights) -> bool {
    view.dests().any(|dest| match by {
        Weights::Relative => dest.rweight() > 0,
        Weights::Srv => dest.weight() > 0,
    })
}

/// As [`Ranks::priority_start`].
pub fn priority_start(view: &View, at: usize) -> usize {
    let priority = view.dest(at).map(|dest| dest.priority);
    let mut dests = view.dests();
    dests
        .position(|dest| Some(dest.priority) == priority)
        .unwrap_or(at)
}

/// As [`Ranks::best_around`], by the records.
pub fn best_around(view: &View, at: usize, ring: usize) -> Option<usize> {
    let best = Some(best_below(view, u32::MAX)).filter(|&rank| rank > 0)?;
    let mut around = (at..ring).chain(0..at);
    around.find(|&at| rank(view, at) >= best)
}

/// As [`Best::best_below`], by the records.
pub fn best_below(view: &View, below: u32) -> u32 {
    let ranks = (0..view.dest_count()).map(|at| rank(view, at));
    ranks.filter(|&rank| rank < below).max().unwrap_or(0)
}

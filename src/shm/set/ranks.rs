//! The worth of the destinations of a set: shares by weight (algorithms 11 and 15), and ranks by priority and latency
//! (13). They are a part of the view of the set, and follow the records as its bitmaps do.

use crate::dispatch::select::ranks;
use crate::dispatch::select::turns::Weights;
use crate::dispatch::select::turns::common_divisor;

use super::maxima::Maxima;
use super::sums::Sums;
use super::view::View;
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Block, Plan, ShmSafe};

/// The shares and ranks of one set. Lives in shared memory, inside the set's view.
pub struct Ranks {
    relative: Shares,
    service: Shares,
    best: Maxima,
}

/// The weights of the usable destinations, of one kind.
struct Shares {
    weights: Sums,
    /// The greatest common divisor of all weights, so that cycles are short and soon exact; 0 if there is no weight.
    unit: u32,
}

// SAFETY: trees and integers; zeroed it is that of an empty set.
unsafe impl ShmSafe for Ranks {}

impl Shares {
    /// Plans the sums for destinations of these weights, and returns what places them. They are empty if there is no
    /// weight.
    fn plan<W: ExactSizeIterator<Item = i32>>(
        plan: &mut Plan<View>,
        weights: W,
    ) -> impl FnOnce(&Block<View>) -> Self + use<W> {
        let len = weights.len();
        let weights = weights.map(|weight| u32::try_from(weight).unwrap_or(0));
        let unit = weights.fold(0, common_divisor);
        let weights = Sums::plan(plan, if unit == 0 { 0 } else { len });
        move |block: &Block<View>| Shares {
            weights: weights(block),
            unit,
        }
    }

    /// Returns the share of a destination of this weight.
    fn share(&self, weight: i32) -> u32 {
        let weight = u32::try_from(weight).unwrap_or(0);
        weight.checked_div(self.unit).unwrap_or(0)
    }
}

impl Ranks {
    /// Plans the trees for these destinations, and returns what places them.
    pub fn plan<'d, D: ExactSizeIterator<Item = &'d Dest> + Clone>(
        plan: &mut Plan<View>,
        dests: D,
    ) -> impl FnOnce(&Block<View>) -> Self + use<'d, D> {
        // With congestion control a weight may become any number, so 1 alone divides it.
        let rweight = |dest: &Dest| {
            if dest.cc() {
                dest.rweight().min(1)
            } else {
                dest.rweight()
            }
        };
        let relative = Shares::plan(plan, dests.clone().map(rweight));
        let service = Shares::plan(plan, dests.clone().map(Dest::weight));
        let best = Maxima::plan(plan, dests.len());
        move |block: &Block<View>| Ranks {
            relative: relative(block),
            service: service(block),
            best: best(block),
        }
    }

    fn shares(&self, by: Weights) -> &Shares {
        match by {
            Weights::Relative => &self.relative,
            Weights::Service => &self.service,
        }
    }

    /// Returns the shares by these weights; they are empty if no destination has such a weight.
    pub fn weights(&self, by: Weights) -> &Sums {
        &self.shares(by).weights
    }

    /// Returns the ranks by priority and latency; 0 is the rank of a destination that is out.
    pub fn best(&self) -> &Maxima {
        &self.best
    }

    /// Fills all trees from the records, before anybody else sees them.
    pub fn fill(&self, view: &View) {
        self.relative
            .weights
            .fill(|at| self.relative_share(view, at));
        self.service.weights.fill(|at| self.service_share(view, at));
        self.best.fill(|at| rank(view, at));
    }

    /// Makes all trees follow the record of the destination at a position.
    pub fn sync(&self, view: &View, at: usize) {
        self.sync_shares(view, at);
        self.best.sync(at, || rank(view, at));
    }

    /// Does so in a view that was just built, see [`Maxima::settle`].
    pub fn settle(&self, view: &View, at: usize) {
        self.sync_shares(view, at);
        self.best.settle(at, || rank(view, at));
    }

    fn sync_shares(&self, view: &View, at: usize) {
        self.relative
            .weights
            .sync(at, || self.relative_share(view, at));
        self.service
            .weights
            .sync(at, || self.service_share(view, at));
    }

    /// Returns the share of a destination by these weights.
    pub fn share(&self, view: &View, by: Weights, at: usize) -> u32 {
        match by {
            Weights::Relative => self.relative_share(view, at),
            Weights::Service => self.service_share(view, at),
        }
    }

    /// Returns the share of a destination for algorithm 11.
    fn relative_share(&self, view: &View, at: usize) -> u32 {
        self.relative
            .share(candidate(view, at).map_or(0, relative_weight))
    }

    /// Returns the share of a destination for algorithm 15, within its priority.
    fn service_share(&self, view: &View, at: usize) -> u32 {
        self.service
            .share(candidate(view, at).map_or(0, Dest::weight))
    }
}

/// Returns the destination at a position, if it is a usable candidate.
fn candidate(view: &View, at: usize) -> Option<&Dest> {
    view.usable_dest(at).filter(|_| !view.is_default(at))
}

/// Returns the weight of a destination for algorithm 11. With congestion control it shrinks by 1 for
/// each millisecond that the destination takes longer than usual to answer.
fn relative_weight(dest: &Dest) -> i32 {
    if !dest.cc() || dest.rweight() <= 0 {
        return dest.rweight();
    }
    let calm = if dest.weight() > 0 {
        dest.weight()
    } else {
        dest.rweight()
    };
    calm.saturating_sub(dest.record().latency().congestion_ms())
}

/// Returns the rank of a destination by priority and latency; 0 when it is out.
pub fn rank(view: &View, at: usize) -> u32 {
    candidate(view, at).map_or(0, |dest| {
        let latency = dest.record().latency();
        let latency_ms = if dest.cc() {
            latency.congestion_ms()
        } else {
            latency.estimate_ms()
        };
        ranks::rank(ranks::effective_priority(dest.priority, latency_ms))
    })
}

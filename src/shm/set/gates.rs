//! The gates of a destination, which are asked before it takes a request that begins a call.

use super::view::View;
use crate::dispatch::admission::bound::Bound;
use crate::dispatch::admission::refusal::Refusal;
use crate::dispatch::select::candidates::Candidates;
use crate::shm::dest::record::DestRecord;

/// A request's question to the destinations of a set.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The clock that all processes share, in microseconds.
    pub now_us: fn() -> u64,
    /// Its call is counted, so `maxload` is a limit.
    pub counts: bool,
    /// The bound of the load, if there is one.
    pub bound: Option<Bound>,
}

impl View {
    /// Returns the calls of the set and the weights of its usable candidates, of which each may have its part.
    #[inline(never)]
    pub fn bound(&self, percent: u32) -> Bound {
        let mut bound = Bound {
            percent,
            calls: 0,
            weight: 0,
        };
        for (at, dest) in self.dests().enumerate() {
            bound.calls += u64::from(dest.record().load());
            if !self.is_default(at) && !dest.record().is_shut(self.shut) {
                bound.weight += u64::from(self.key_weight(at));
            }
        }
        bound
    }

    /// Returns the weight of the destination at a position for algorithms 100 to 107: 1 if no destination has one.
    fn key_weight(&self, at: usize) -> u8 {
        let weights = self.relative_weights();
        let weight = weights.get(at).copied().unwrap_or(0);
        if weights.is_empty() { 1 } else { weight }
    }

    /// Returns the most calls that the destination at a position may have by the bound of the load. The default
    /// destination has no part, and where no usable one has a weight there are none.
    fn most_by_bound(&self, at: usize, asked: &Asked) -> u32 {
        let bound = asked
            .bound
            .filter(|bound| bound.weight > 0 && !self.is_default(at));
        bound.map_or(u32::MAX, |bound| bound.most(self.key_weight(at)))
    }

    /// Returns why the destination at a position would refuse the request now, and takes nothing.
    pub fn refusal(&self, at: usize, asked: &Asked) -> Option<Refusal> {
        let dest = self.dest(at)?;
        if asked.counts && !dest.has_room() {
            return Some(Refusal::Full);
        }
        if asked.counts && dest.record().load() >= self.most_by_bound(at, asked) {
            return Some(Refusal::Bound);
        }
        let rate = dest.rate()?;
        (rate.recent((asked.now_us)()) >= rate.most()).then_some(Refusal::Rate)
    }

    /// Asks the gates of the destination at a position. A destination that admits the request has counted its call, if
    /// calls are counted, and its admission. `unload` takes a call back.
    ///
    /// # Errors
    /// The first gate that refuses: nothing is counted.
    pub fn admit(
        &self,
        at: usize,
        asked: &Asked,
        unload: impl FnOnce(&DestRecord),
    ) -> Result<(), Refusal> {
        let Some(dest) = self.dest(at) else {
            return Err(Refusal::Full);
        };
        if asked.counts {
            let most = self.most_by_bound(at, asked);
            let reserved = dest.record().reserve_below(dest.maxload, most);
            self.sync_load(at);
            if !reserved {
                let full = !dest.has_room();
                return Err(if full { Refusal::Full } else { Refusal::Bound });
            }
        }
        if self.admit_rate(at, asked.now_us) {
            return Ok(());
        }
        if asked.counts {
            unload(dest.record());
        }
        Err(Refusal::Rate)
    }

    /// Asks the last gate of the destination at a position: its calls a second.
    pub fn admit_rate(&self, at: usize, now_us: impl Fn() -> u64) -> bool {
        let rate = self.dest(at).and_then(|dest| dest.rate());
        rate.is_none_or(|rate| rate.admit(now_us))
    }
}

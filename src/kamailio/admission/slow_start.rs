//! Slow start (`ds_slow_start`): a destination that is back gets a growing part of the calls that fall on it.

use crate::dispatch::admission::ramp::{
    MOST_S, PassedOver, WHOLE, is_for, part, takes_key, takes_turn,
};
use crate::dispatch::admission::remarks::SLOW_START;
use crate::dispatch::select::algorithm::Choice;
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::text::number_within;
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::traffic::Traffic;
use crate::shm::set::view::View;

/// The turns that destinations in their slow start refuse to a request that begins a call.
#[derive(Clone, Copy)]
pub struct Ramps<'v> {
    /// The module.
    pub module: &'v Module,
    /// The set.
    pub view: &'v View,
    /// The algorithm's number.
    pub algorithm: i32,
    /// The number of a selection by hash.
    pub key: Option<u64>,
}

impl<'v> Ramps<'v> {
    /// Returns choices without those that refuse. `passed` has refused before them.
    pub fn pass_over(
        self,
        passed: Option<Choice>,
        choices: impl Iterator<Item = Choice> + 'v,
    ) -> impl Iterator<Item = Choice> + 'v {
        PassedOver::new(choices, move |at| self.refuses(at)).behind(passed)
    }

    /// Returns true if the destination at a position refuses a turn, because it has not been back for long.
    #[inline]
    pub fn refuses(&self, at: usize) -> bool {
        let dest = self.view.dest(at);
        let dest = dest.filter(|dest| is_slow(self.module, self.algorithm, dest));
        dest.is_some_and(|dest| self.refuses_now(at, dest))
    }

    #[cold]
    fn refuses_now(&self, at: usize, dest: &Dest) -> bool {
        let Some(part) = part_of(self.module, dest) else {
            return false;
        };
        match self.key {
            Some(key) => {
                let identity = self.view.identities().get(at).copied().unwrap_or(0);
                !takes_key(key, identity, part)
            }
            None => {
                let traffic = dest.record().traffic();
                traffic.is_some_and(|traffic| !takes_turn(traffic.take_ramp_turn(), part, WHOLE))
            }
        }
    }
}

/// Returns true if a destination may be in its slow start, and refuses turns of this algorithm then.
#[inline]
pub fn is_slow(module: &Module, algorithm: i32, dest: &Dest) -> bool {
    module.settings.slow_start_s > 0
        && is_for(algorithm)
        && dest.record().traffic().is_some_and(Traffic::has_ramp)
}

/// Returns true if the destination with the fewest calls, at a position, passes a call on (algorithm 10). While it has
/// fewer calls than all others each call falls on it, so in its slow start it takes the part of a fair share.
pub fn passes_call(module: &Module, view: &View, at: usize) -> bool {
    if module.settings.slow_start_s == 0 {
        return false;
    }
    let Some(dest) = view.dest(at) else {
        return false;
    };
    let Some(part) = part_of(module, dest) else {
        return false;
    };
    let traffic = dest.record().traffic();
    let usable = (0..view.candidate_count()).filter(|&at| view.is_usable(at));
    let all = WHOLE * usable.count().max(1) as u64;
    traffic.is_some_and(|traffic| !takes_turn(traffic.take_ramp_turn(), part, all))
}

/// Returns the part of its calls that a destination in its slow start gets, in thousandths; `None` for others.
fn part_of(module: &Module, dest: &Dest) -> Option<u64> {
    let traffic = dest.record().traffic().filter(|it| it.has_ramp())?;
    let own = dest.attribute(SLOW_START.as_bytes());
    let own = own.and_then(|own| number_within(own, MOST_S));
    let length_ms = u64::from(own.unwrap_or_else(|| cfg::slow_start_s(module))) * 1_000;
    let elapsed_ms = traffic.ramp_ms(now_ms(), length_ms)?;
    Some(part(elapsed_ms, length_ms))
}

/// Says which part of its calls a destination gets, if that is not all because it has not been back for long.
pub fn why(module: &Module, dest: &Dest) -> Option<String> {
    let shut = DestRecord::shut_by(module.settings.compat.unusable_bits());
    if module.settings.slow_start_s == 0 || dest.record().is_shut(shut) {
        return None;
    }
    let part = part_of(module, dest)?;
    Some(format!("slow start: {} % of its calls", part / 10))
}

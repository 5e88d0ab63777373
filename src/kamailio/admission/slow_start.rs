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
use crate::kamailio::server::message::Message;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::set::view::View;

/// Returns a choice, and those that follow it, without the turns that destinations in their slow start refuse. `key` is
/// that of a selection by hash.
pub fn pass_over<'v>(
    module: &'v Module,
    msg: &Message,
    algorithm: i32,
    view: &'v View,
    key: Option<u64>,
    first: Choice,
    others: impl Iterator<Item = Choice> + 'v,
) -> (Choice, impl Iterator<Item = Choice> + 'v) {
    let is_on = module.settings.slow_start_s > 0 && is_for(algorithm) && msg.begins_call();
    let (slow_ms, now_ms) = if is_on {
        (slow_ms(module), now_ms())
    } else {
        (0, 0)
    };
    let passes = move |at: usize| is_on && refuses(view, at, key, now_ms, slow_ms);
    let mut choices = PassedOver::new(core::iter::once(first).chain(others), passes);
    let chosen = choices.next().unwrap_or(first);
    (chosen, choices)
}

/// Returns the milliseconds of a slow start, as they are now.
fn slow_ms(module: &Module) -> u64 {
    u64::from(cfg::slow_start_s(module)) * 1_000
}

/// Returns true if the destination at a position refuses a turn, because it has not been back for long.
fn refuses(view: &View, at: usize, key: Option<u64>, now_ms: u64, slow_ms: u64) -> bool {
    let Some(dest) = view.dest(at) else {
        return false;
    };
    let Some(part) = part_of(dest, now_ms, slow_ms) else {
        return false;
    };
    match key {
        Some(key) => {
            let identity = view.identities().get(at).copied().unwrap_or(0);
            !takes_key(key, identity, part)
        }
        None => {
            let traffic = dest.record().traffic();
            traffic.is_some_and(|traffic| !takes_turn(traffic.take_ramp_turn(), part, WHOLE))
        }
    }
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
    let Some(part) = part_of(dest, now_ms(), slow_ms(module)) else {
        return false;
    };
    let traffic = dest.record().traffic();
    let usable = (0..view.candidate_count()).filter(|&at| view.is_usable(at));
    let all = usable.map(|_| WHOLE).sum::<u64>().max(WHOLE);
    traffic.is_some_and(|traffic| !takes_turn(traffic.take_ramp_turn(), part, all))
}

/// Returns the part of its calls that a destination in its slow start gets, in thousandths; `None` for others.
fn part_of(dest: &Dest, now_ms: u64, slow_ms: u64) -> Option<u64> {
    let traffic = dest.record().traffic()?;
    traffic.ramp_ms(now_ms, u64::MAX)?;
    let own = dest.attribute(SLOW_START.as_bytes());
    let own = own.and_then(|own| number_within(own, MOST_S));
    let length_ms = own.map_or(slow_ms, |own| u64::from(own) * 1_000);
    let elapsed_ms = traffic.ramp_ms(now_ms, length_ms)?;
    Some(part(elapsed_ms, length_ms))
}

/// Says which part of its calls a destination gets, if that is not all because it has not been back for long.
pub fn why(module: &Module, dest: &Dest) -> Option<String> {
    let shut = DestRecord::shut_by(module.settings.compat.unusable_bits());
    if module.settings.slow_start_s == 0 || dest.record().is_shut(shut) {
        return None;
    }
    let part = part_of(dest, now_ms(), slow_ms(module))?;
    Some(format!("slow start: {} % of its calls", part / 10))
}

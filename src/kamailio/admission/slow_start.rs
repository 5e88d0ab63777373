//! Slow start (`ds_slow_start`): a destination that is back gets a growing part of the calls that fall on it.

use super::ask::begins_call;
use crate::dispatch::admission::ramp::{PassedOver, is_for, part, takes_key, takes_turn};
use crate::dispatch::select::algorithm::Choice;
use crate::dispatch::select::candidates::Candidates;
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::time::now_ms;
use crate::shm::set::view::View;

/// The attribute of a destination that has a time of its own.
const SLOW_START: &[u8] = b"slowstart";

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
    let slow_ms = u64::from(cfg::slow_start_s(module)) * 1_000;
    let is_on = module.settings.slow_start_s > 0 && is_for(algorithm) && begins_call(msg);
    let now_ms = now_ms();
    let passes = move |at: usize| is_on && refuses(view, at, key, now_ms, slow_ms);
    let mut choices = PassedOver::new(core::iter::once(first).chain(others), passes);
    let chosen = choices.next().unwrap_or(first);
    (chosen, choices)
}

/// Returns true if the destination at a position refuses a turn, because it has not been back for long.
fn refuses(view: &View, at: usize, key: Option<u64>, now_ms: u64, slow_ms: u64) -> bool {
    let Some(dest) = view.dest(at) else {
        return false;
    };
    let Some(traffic) = dest.record().traffic() else {
        return false;
    };
    if traffic.ramp_ms(now_ms, u64::MAX).is_none() {
        return false;
    }
    let own = dest.attribute(SLOW_START);
    let own = own.and_then(|own| core::str::from_utf8(own).ok()?.trim().parse::<u32>().ok());
    let length_ms = own.map_or(slow_ms, |own| u64::from(own) * 1_000);
    let Some(elapsed_ms) = traffic.ramp_ms(now_ms, length_ms) else {
        return false;
    };
    let part = part(elapsed_ms, length_ms);
    match key {
        Some(key) => {
            let identity = view.identities().get(at).copied().unwrap_or(0);
            !takes_key(key, identity, part)
        }
        None => !takes_turn(traffic.take_ramp_turn(), part),
    }
}

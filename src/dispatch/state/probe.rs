//! Probing: which destinations are pinged, which replies are good, and the effect of a result.

use super::compat::Compat;
use super::transition::{Counted, Flip, MarkRules, Outcome, State};

mod codes;
mod unsent;

pub use codes::ReplyCodes;
pub use unsent::Unsent;

/// Returns true if a destination in this state is pinged, by `ds_probing_mode`.
///
/// Disabled destinations and those with flag 32 (no pings) are never pinged, nor from compat 6.0 on those with flag 16
/// (name not resolved). Draining makes no difference.
#[must_use]
pub fn is_pinged(state: State, rules: &MarkRules) -> bool {
    let never = match rules.compat {
        Compat::V3_2 | Compat::V5_6 => State::DISABLED.union(State::NOPING),
        Compat::V6_0 | Compat::V6_1 => State::DISABLED.union(State::NOPING).union(State::NODNS),
    };
    if state.intersects(never) {
        return false;
    }
    match rules.probing_mode {
        1 => true,
        2 => state.contains(State::PROBING.union(State::INACTIVE)),
        _ => state.contains(State::PROBING),
    }
}

/// Returns true if the state is one that the next good ping changes, though the destination is up: with
/// `ds_probing_mode` 1, a state without [`State::PROBING`] was set, and no ping has ended since.
#[must_use]
pub fn awaits_ping(state: State, rules: &MarkRules) -> bool {
    rules.probing_mode == 1 && !state.contains(State::PROBING)
}

/// The result of one ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ping {
    /// A reply that [`ReplyCodes::accepts`].
    Good,
    /// Any other reply, no reply, or a ping that could not be sent.
    Bad,
}

/// Returns the effect of a ping's result on a destination in state `old` with counter `failures`. Options and draining
/// stay as they are.
///
/// Returns `None` when the result comes too late to count: the destination was disabled meanwhile, or in mode 3 taken
/// out of probing.
#[must_use]
pub fn apply_ping(old: State, failures: u32, ping: Ping, rules: &MarkRules) -> Option<Outcome> {
    let probing = old.contains(State::PROBING);
    if old.contains(State::DISABLED) || rules.probing_mode == 3 && !probing {
        return None;
    }
    let (health, failures, in_row) = count_ping(old, failures, ping, rules);
    let state = old.without(State::HEALTH).union(health);
    Some(Outcome {
        state,
        failures,
        flip: Flip::between(old, state, rules.compat),
        in_row,
    })
}

/// Counts a result: a destination is inactive, or active again, once its threshold is reached.
fn count_ping(old: State, failures: u32, ping: Ping, rules: &MarkRules) -> Counted {
    let mode = rules.probing_mode;
    let inactive = old.contains(State::INACTIVE);
    let was_probing = old.contains(State::PROBING);
    let counted = failures.saturating_add(1);
    match ping {
        Ping::Good if inactive && counted < rules.inactive_threshold => {
            let kept = probing(was_probing || mode == 1);
            (State::INACTIVE.union(kept), counted, counted)
        }
        Ping::Good => {
            let pinged = probing(mode == 1 || mode == 3 && was_probing);
            (pinged, 0, if inactive { counted } else { 0 })
        }
        Ping::Bad if inactive || counted >= rules.probing_threshold => {
            let kept = inactive && was_probing && rules.compat.probes_until_good();
            let pinged = probing(mode != 0 || kept);
            let in_row = if inactive { 0 } else { counted };
            (State::INACTIVE.union(pinged), 0, in_row)
        }
        Ping::Bad => (State::TRYING.union(probing(mode != 0)), counted, counted),
    }
}

fn probing(on: bool) -> State {
    if on { State::PROBING } else { State::ACTIVE }
}

#[cfg(test)]
mod tests;

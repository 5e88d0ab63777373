//! How marks, pings and commands change the state of a destination.
//!
//! All functions are pure. They take the old values and return the new ones, so that a caller can run them in a
//! compare-and-swap loop.

use core::fmt;

use super::compat::Compat;
pub use super::flags::State;

impl State {
    /// Returns true if a destination in this state may be selected.
    #[must_use]
    pub const fn usable(self, compat: Compat) -> bool {
        !self.intersects(compat.unusable_bits())
    }

    /// Returns true if a destination in this state may get requests inside a dialog: it is usable, or it only drains.
    #[must_use]
    pub const fn serves_calls(self, unusable: State) -> bool {
        !self.intersects(unusable.without(State::DRAINING))
    }

    /// Returns the state that the flags field of a list asks for.
    #[must_use]
    pub const fn from_list_flags(flags: u32, compat: Compat) -> State {
        let asked = State::from_kept(flags, compat);
        if compat.flag_2_is_out() && asked.contains(State::TRYING) {
            asked.without(State::TRYING).union(State::OUT_AND_PINGED)
        } else {
            asked
        }
    }

    /// Returns the state that a number in a state file stands for: the bits of a state, with each number of draining.
    #[must_use]
    pub const fn from_kept(number: u32, compat: Compat) -> State {
        let (kept, draining) = (State(number), compat.draining_numbers());
        if kept.intersects(draining) {
            kept.without(draining).union(State::DRAINING)
        } else {
            kept
        }
    }

    /// Returns the list flags that bring a destination back as an operator left it: those of the list with the
    /// administrative flags of this state.
    ///
    /// Inactive is kept only if a command has set it. Otherwise it was measured, and will be measured again.
    #[must_use]
    pub const fn kept_as(self, listed: State, by_command: bool) -> State {
        let kept = if by_command {
            State::KEPT
        } else {
            State::ADMINISTRATIVE
        };
        listed.without(kept).union(State(self.0 & kept.0))
    }

    /// Returns true if a destination in this state drains: it is not also disabled, which is stronger.
    #[must_use]
    pub const fn drains(self) -> bool {
        self.contains(State::DRAINING) && !self.contains(State::DISABLED)
    }

    /// Returns the state in words, as `dispatcher.ping_status` says it.
    #[must_use]
    pub fn words(self, compat: Compat) -> String {
        let parts = [
            (self.drains(), "draining"),
            (self.contains(State::INACTIVE), "inactive"),
            (self.contains(State::DISABLED), "disabled"),
            (self.contains(State::TRYING), "trying"),
        ];
        let parts: Vec<&str> = parts
            .iter()
            .filter(|part| part.0)
            .map(|part| part.1)
            .collect();
        let effect = if parts.is_empty() {
            return "active".into();
        } else if self.usable(compat) {
            " (still used)"
        } else if !self.drains() {
            ""
        } else if self.serves_calls(compat.unusable_bits()) {
            " (no new calls)"
        } else {
            " (no calls at all)"
        };
        parts.join(" and ") + effect
    }

    /// Returns the two letters that `dispatcher.list` shows as `FLAGS`.
    #[must_use]
    pub const fn letters(self, compat: Compat) -> [u8; 2] {
        let health = if self.drains() {
            b'R'
        } else if self.contains(State::INACTIVE) {
            b'I'
        } else if self.contains(State::DISABLED) {
            b'D'
        } else if self.contains(State::TRYING) {
            b'T'
        } else {
            b'A'
        };
        let pinged = if self.contains(State::PROBING) {
            b'P'
        } else if compat.lists_overload() && self.contains(State::NOPING) {
            b'N'
        } else {
            b'X'
        };
        [health, pinged]
    }

    /// Reads the state argument of RPC `set_state` (doc/reference/rpc.md). Only the first two characters count, except
    /// in a word that begins with `drain`, which asks for the same as `r`.
    ///
    /// # Errors
    ///
    /// [`RpcStateError`], whose text is that of the RPC fault.
    pub fn parse_rpc(text: &[u8]) -> Result<State, RpcStateError> {
        let words = text.split_at_checked(DRAIN.len());
        let drain = words.filter(|(word, _)| word.eq_ignore_ascii_case(DRAIN));
        if let Some((_, rest)) = drain {
            return Ok(State::DRAINING.union(probing_letter(rest.first())));
        }
        let state = match text.first() {
            None => return Err(RpcStateError::Empty),
            Some(b'a' | b'A' | b'1') => State::ACTIVE,
            Some(b'i' | b'I' | b'0') => State::INACTIVE,
            Some(b'd' | b'D' | b'2') => return Ok(State::DISABLED),
            Some(b't' | b'T' | b'3') => State::TRYING,
            Some(b'r' | b'R') => State::DRAINING,
            Some(_) => return Err(RpcStateError::Unknown),
        };
        Ok(state.union(probing_letter(text.get(1))))
    }
}

/// The word for draining in RPC `set_state`.
const DRAIN: &[u8] = b"drain";

/// Returns the flag that the letter after a state of RPC `set_state` adds.
fn probing_letter(letter: Option<&u8>) -> State {
    probing(matches!(letter, Some(b'p' | b'P')))
}

/// Why RPC `set_state` cannot read its state argument. `Display` is the text of the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcStateError {
    /// The text is empty.
    Empty,
    /// The first character names no state.
    Unknown,
}

impl fmt::Display for RpcStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RpcStateError::Empty => "Invalid State Parameter",
            RpcStateError::Unknown => "Unknown State Value",
        })
    }
}

/// The change that `ds_mark_dst` asks for (doc/reference/functions.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Inactive, and probing too if all destinations are pinged: without an argument, or with an empty one.
    Default,
    /// The destination works again. With `true` it is to be pinged.
    Active(bool),
    /// The destination has failed once. With `true` it is to be pinged.
    Trying(bool),
    /// The destination does not work. With `true` it is to be pinged.
    Inactive(bool),
    /// The destination is out until somebody sets another state.
    Disabled,
    /// After enough failures the destination is out and pinged: `p` or `2` in compat 3.2.
    Probing,
}

impl Mark {
    /// Reads the argument of `ds_mark_dst`: letters `a i d t p` in any case, or one digit.
    ///
    /// `a` cancels the letters before it. Of the others `d` is stronger than `i`, and `i` than `t`. Returns `None` if
    /// any character is unknown.
    #[must_use]
    pub fn parse(text: &[u8], compat: Compat) -> Option<Mark> {
        let old_time = compat == Compat::V3_2;
        match text {
            b"" => return Some(Mark::Default),
            b"0" => return Some(Mark::Inactive(false)),
            b"1" => return Some(Mark::Active(false)),
            b"2" if old_time => return Some(Mark::Probing),
            b"2" => return Some(Mark::Trying(true)),
            b"p" | b"P" if old_time => return Some(Mark::Probing),
            _ => {}
        }
        let mut asked = State::ACTIVE;
        for letter in text {
            asked = match letter.to_ascii_lowercase() {
                b'a' => State::ACTIVE,
                b'i' => asked.union(State::INACTIVE),
                b't' => asked.union(State::TRYING),
                b'd' => asked.union(State::DISABLED),
                b'p' => asked.union(State::PROBING),
                _ => return None,
            };
        }
        Some(Mark::from_bits(asked))
    }

    /// Returns the mark for the state number that the C interface's `mark` takes: state flags, 0 for active.
    #[must_use]
    pub const fn from_bits(asked: State) -> Mark {
        let probing = asked.contains(State::PROBING);
        if asked.contains(State::DISABLED) {
            Mark::Disabled
        } else if asked.contains(State::INACTIVE) {
            Mark::Inactive(probing)
        } else if asked.contains(State::TRYING) {
            Mark::Trying(probing)
        } else {
            Mark::Active(probing)
        }
    }
}

/// The settings that decide what a mark does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkRules {
    /// The version whose meaning applies.
    pub compat: Compat,
    /// `ds_probing_threshold`: the failures in a row after which a destination is inactive.
    pub probing_threshold: u32,
    /// `ds_inactive_threshold`: the successes in a row after which it is active again.
    pub inactive_threshold: u32,
    /// `ds_probing_mode`: 1 means that all destinations are pinged.
    pub probing_mode: i32,
}

/// A change between usable and not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// The destination became usable.
    Up,
    /// The destination ceased to be usable.
    Down,
}

impl Flip {
    /// Returns what a change from `old` to `new` means.
    #[must_use]
    pub const fn between(old: State, new: State, compat: Compat) -> Option<Flip> {
        match (old.usable(compat), new.usable(compat)) {
            (true, false) => Some(Flip::Down),
            (false, true) => Some(Flip::Up),
            _ => None,
        }
    }
}

/// The values of a destination after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The new state.
    pub state: State,
    /// The new failure counter. It counts failures while the destination is used, and successes while it is inactive.
    pub failures: u32,
    /// Says if the destination began or ceased to be usable.
    pub flip: Option<Flip>,
    /// How many results in a row have been counted up to this one; 0 if it does not count towards a threshold.
    pub in_row: u32,
}

/// Returns the effect of `ds_mark_dst` on a destination in state `old` with counter `failures`.
///
/// The parity tests compare it with the C module; intended differences are in doc/differences.md.
#[must_use]
pub fn apply_mark(old: State, failures: u32, mark: Mark, rules: &MarkRules) -> Outcome {
    let (health, failures, in_row) = match mark {
        Mark::Default => {
            let pinged = probing(rules.probing_mode == 1);
            (State::INACTIVE.union(pinged), 0, 0)
        }
        Mark::Inactive(pinged) => (State::INACTIVE.union(probing(pinged)), 0, 0),
        Mark::Disabled => (State::DISABLED, 0, 0),
        Mark::Trying(pinged) => mark_trying(old, failures, pinged, rules),
        Mark::Active(pinged) => mark_active(old, failures, pinged, rules),
        Mark::Probing => mark_probing(old, failures, rules),
    };
    let state = old.without(State::HEALTH).union(health);
    Outcome {
        state,
        failures,
        flip: Flip::between(old, state, rules.compat),
        in_row,
    }
}

fn probing(on: bool) -> State {
    if on { State::PROBING } else { State::ACTIVE }
}

/// What a result leads to: the health, the failure counter, and [`Outcome::in_row`].
pub(super) type Counted = (State, u32, u32);

/// Counts one failure: the destination is inactive once the threshold is reached, and trying until then.
fn mark_trying(old: State, failures: u32, pinged: bool, rules: &MarkRules) -> Counted {
    let pinged = probing(pinged);
    if old.contains(State::INACTIVE) || !rules.compat.mark_counts() {
        return (State::INACTIVE.union(pinged), 0, 0);
    }
    let failures = failures.saturating_add(1);
    if failures >= rules.probing_threshold {
        (State::INACTIVE.union(pinged), 0, failures)
    } else {
        (State::TRYING.union(pinged), failures, failures)
    }
}

/// Counts one success: an inactive destination is active once the threshold is reached.
fn mark_active(old: State, failures: u32, pinged: bool, rules: &MarkRules) -> Counted {
    let pinged = probing(pinged);
    if !old.contains(State::INACTIVE) || !rules.compat.mark_counts() {
        return (pinged, 0, 0);
    }
    let successes = failures.saturating_add(1);
    if successes < rules.inactive_threshold {
        let kept = probing(old.contains(State::PROBING));
        return (
            State::INACTIVE.union(pinged).union(kept),
            successes,
            successes,
        );
    }
    (pinged, 0, successes)
}

/// Counts one failure as 3.2 does: the destination is out, and pinged, once the threshold is reached.
fn mark_probing(old: State, failures: u32, rules: &MarkRules) -> Counted {
    let kept = State(old.bits() & State::HEALTH.bits());
    let failures = failures.saturating_add(1);
    if old.contains(State::DISABLED) {
        (kept, 0, 0)
    } else if old.contains(State::INACTIVE) {
        (State::OUT_AND_PINGED, 0, 0)
    } else if failures >= rules.probing_threshold {
        (State::OUT_AND_PINGED, 0, failures)
    } else {
        (kept, failures, failures)
    }
}

/// Returns the effect of RPC `set_state` on a destination in state `old` with counter `failures`.
///
/// Draining replaces disabled, and leaves what marks and pings have found. Any other state replaces all of it, draining
/// included.
///
/// The counter stays. The options stay, too: the C module loses them here, and then resolves a name that it must not.
#[must_use]
pub fn apply_set(old: State, failures: u32, new: State, compat: Compat) -> Outcome {
    let (replaced, added) = if new.contains(State::DRAINING) {
        let added = State::DRAINING.union(State::PROBING);
        (State::DISABLED, added)
    } else {
        let health = compat.state_mask().without(State::OPTIONS);
        (health.union(State::DRAINING), health)
    };
    let state = old
        .without(replaced)
        .union(State(new.bits() & added.bits()));
    Outcome {
        state,
        failures,
        flip: Flip::between(old, state, compat),
        in_row: 0,
    }
}

#[cfg(test)]
mod tests;

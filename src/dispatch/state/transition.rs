//! State bits of a destination, and the functions that change them.
//!
//! All functions are pure: they take the old values and return the new ones, so that a caller
//! can run them in a compare-and-swap loop.

#![forbid(unsafe_code)]

use core::fmt;

use super::compat::Compat;
pub use super::flags::State;

impl State {
    /// Whether the selection may choose a destination in this state.
    #[must_use]
    pub const fn usable(self, compat: Compat) -> bool {
        !self.intersects(compat.unusable_bits())
    }

    /// Whether calls in progress may be sent to a destination in this state: a usable one, or one
    /// that only drains.
    #[must_use]
    pub const fn serves_calls(self, unusable: State) -> bool {
        !self.intersects(unusable.without(State::DRAINING))
    }

    /// The state that the flags field of a list asks for.
    ///
    /// Source: features 1.4.
    #[must_use]
    pub const fn from_list_flags(flags: u32, compat: Compat) -> State {
        let asked = State(flags);
        let probing = compat.probing_list_flags();
        if asked.intersects(probing) {
            asked.without(probing).union(State::PROBING)
        } else {
            asked
        }
    }

    /// The list flags that bring a destination back as an operator left it: those of the list,
    /// with this state's administrative bits.
    ///
    /// Inactive counts only where a command set it: otherwise it was measured, and will be again.
    #[must_use]
    pub const fn kept_as(self, listed: State, by_command: bool) -> State {
        let kept = if by_command {
            State::ADMINISTRATIVE.union(State::INACTIVE)
        } else {
            State::ADMINISTRATIVE
        };
        listed.without(kept).union(State(self.0 & kept.0))
    }

    /// The two letters that `dispatcher.list` shows as `FLAGS`.
    ///
    /// Source: features 3.4.2; `R`, draining, is ours.
    #[must_use]
    pub const fn letters(self, compat: Compat) -> [u8; 2] {
        let drains = self.contains(State::DRAINING) && !self.contains(State::DISABLED);
        let health = if drains {
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

    /// Reads the state argument of RPC `set_state`. Only its first two characters count, but for
    /// words that begin with `drain`, which ask for the same as `r`.
    ///
    /// The result has [`State::DRAINING`] when that is asked for.
    ///
    /// # Errors
    ///
    /// [`RpcStateError`], whose text is that of the RPC fault.
    ///
    /// Source: features 3.5; draining is ours.
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

/// What the letter after a state of RPC `set_state` adds.
fn probing_letter(letter: Option<&u8>) -> State {
    probing(matches!(letter, Some(b'p' | b'P')))
}

/// Why RPC `set_state` cannot read its state argument. `Display` is the text of the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcStateError {
    /// There is no text.
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

/// What `ds_mark_dst` asks for.
///
/// Source: features 1.2, 1.10, 3.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// No argument or an empty one: inactive, and probing too when all destinations are pinged.
    Default,
    /// Works again. With `true`, and is to be pinged.
    Active(bool),
    /// Has failed once. With `true`, and is to be pinged.
    Trying(bool),
    /// Does not work. With `true`, and is to be pinged.
    Inactive(bool),
    /// Out until somebody sets another state.
    Disabled,
    /// `p` or `2` in compat 3.2: out and pinged, after enough failures.
    Probing,
}

impl Mark {
    /// Reads the argument of `ds_mark_dst`: letters `a i d t p` in any case, or one digit.
    ///
    /// `a` forgets the letters before it. Of the others `d` is stronger than `i`, `i` than `t`.
    /// `None` when any character is not known.
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

    /// Reads the state number that the C API's `mark` takes: state bits, 0 for active.
    ///
    /// Source: features 5.
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
    /// Whose meaning.
    pub compat: Compat,
    /// `ds_probing_threshold`: failures in a row until a destination is inactive.
    pub probing_threshold: u32,
    /// `ds_inactive_threshold`: successes in a row until it is active again.
    pub inactive_threshold: u32,
    /// `ds_probing_mode`: 1 means that all destinations are pinged.
    pub probing_mode: i32,
}

/// A change between usable and not, for event routes and whoever else listens.
///
/// Source: features 3.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// Became usable.
    Up,
    /// Ceased to be usable.
    Down,
}

impl Flip {
    /// What a change from `old` to `new` means.
    #[must_use]
    pub const fn between(old: State, new: State, compat: Compat) -> Option<Flip> {
        match (old.usable(compat), new.usable(compat)) {
            (true, false) => Some(Flip::Down),
            (false, true) => Some(Flip::Up),
            _ => None,
        }
    }
}

/// What a destination's values are after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The new state.
    pub state: State,
    /// The new failure counter. One counter serves both directions: failures while the
    /// destination is used, successes while it is inactive.
    pub failures: u32,
    /// Whether it began or ceased to be usable.
    pub flip: Option<Flip>,
}

/// The effect of `ds_mark_dst` on a destination in state `old` with counter `failures`.
///
/// Source: features 3.5 and 3.11. Held against the C module 5.6.3 by running 1,200 sequences of
/// marks; where ours differs on purpose, `doc/differences.md` says so.
#[must_use]
pub fn apply_mark(old: State, failures: u32, mark: Mark, rules: &MarkRules) -> Outcome {
    let (health, failures) = match mark {
        Mark::Default => (State::INACTIVE.union(probing(pings_all(rules))), 0),
        Mark::Inactive(pinged) => (State::INACTIVE.union(probing(pinged)), 0),
        Mark::Disabled => (State::DISABLED, 0),
        Mark::Trying(pinged) => mark_trying(old, failures, pinged, rules),
        Mark::Active(pinged) => mark_active(old, failures, pinged, rules),
        Mark::Probing => mark_probing(old, failures, rules),
    };
    let state = old.without(State::HEALTH).union(health);
    Outcome {
        state,
        failures,
        flip: Flip::between(old, state, rules.compat),
    }
}

/// Whether a destination that is marked without an argument will be pinged.
///
/// In compat 3.2 the plain mark clears probing (features 1.2).
fn pings_all(rules: &MarkRules) -> bool {
    rules.probing_mode == 1 && rules.compat != Compat::V3_2
}

fn probing(on: bool) -> State {
    if on { State::PROBING } else { State::ACTIVE }
}

/// One failure: inactive once the threshold is reached, trying until then.
fn mark_trying(old: State, failures: u32, pinged: bool, rules: &MarkRules) -> (State, u32) {
    let pinged = probing(pinged);
    if old.contains(State::INACTIVE) {
        return (State::INACTIVE.union(pinged), 0);
    }
    let failures = failures.saturating_add(1);
    if !rules.compat.mark_counts() || failures >= rules.probing_threshold {
        (State::INACTIVE.union(pinged), 0)
    } else {
        (State::TRYING.union(pinged), failures)
    }
}

/// One success: an inactive destination is active once the threshold is reached.
fn mark_active(old: State, failures: u32, pinged: bool, rules: &MarkRules) -> (State, u32) {
    let pinged = probing(pinged);
    let successes = failures.saturating_add(1);
    let waits = rules.compat.mark_counts() && successes < rules.inactive_threshold;
    if old.contains(State::INACTIVE) && waits {
        let kept = probing(old.contains(State::PROBING));
        return (State::INACTIVE.union(pinged).union(kept), successes);
    }
    (pinged, 0)
}

/// One failure, as 3.2 counts it: probing, and so unused, once the threshold is reached.
fn mark_probing(old: State, failures: u32, rules: &MarkRules) -> (State, u32) {
    let kept = State(old.bits() & State::HEALTH.bits());
    let failures = failures.saturating_add(1);
    if failures >= rules.probing_threshold {
        (kept.without(State::TRYING).union(State::PROBING), 0)
    } else {
        (kept, failures)
    }
}

/// The effect of RPC `set_state` on a destination in state `old` with counter `failures`.
///
/// Draining is beside what marks and pings found out, which stays; it takes the place of disabled.
/// Any other state takes the place of all, draining included.
///
/// The counter stays. The option bits stay too: the C module loses them here, so that a
/// destination that must not be resolved suddenly is (field report W5).
///
/// Source: features 3.5.
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
    }
}

#[cfg(test)]
mod tests;

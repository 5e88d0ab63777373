//! The view of a destination: what a node that pings it has found.

use crate::dispatch::state::transition::State;

/// What a node that pings a destination has found, as it tells the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Failures in a row.
    pub failures: u32,
    /// The state of the destination on that node.
    pub bits: u32,
    /// When it pings: at this millisecond of its interval, by its clock that never goes back.
    pub phase_ms: u32,
}

impl View {
    /// Tells whether that is a good word: the destination is up, and did not fail last.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        is_good(State(self.bits), self.failures)
    }

    /// Returns how many failures in a row another node may count that finds the destination bad as well: all that it
    /// takes if it is down there.
    #[must_use]
    pub const fn row(&self) -> u32 {
        if State(self.bits).intersects(State::INACTIVE) {
            u32::MAX
        } else {
            self.failures
        }
    }
}

/// Tells whether a destination is up by its state, and did not fail last.
#[must_use]
pub const fn is_good(state: State, failures: u32) -> bool {
    !state.intersects(State::INACTIVE.union(State::TRYING)) && failures == 0
}

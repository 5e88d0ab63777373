//! The view that a node has of a destination which it pings.

use crate::dispatch::state::transition::State;

/// The findings of a node that pings a destination, as it tells the others.
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

/// The numbers of other nodes that ping a destination, by what they have found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoundElsewhere {
    /// Nodes that find it up.
    pub up: u8,
    /// Nodes that find it down.
    pub down: u8,
}

impl FoundElsewhere {
    /// Counts the view of one more node.
    pub const fn count(&mut self, view: View) {
        let count = if State(view.bits).intersects(State::INACTIVE) {
            &mut self.down
        } else {
            &mut self.up
        };
        *count = count.saturating_add(1);
    }

    /// Returns in words how many other nodes find the opposite of what this node has found; `None` if none does.
    #[must_use]
    pub fn difference(self, own: State) -> Option<String> {
        let (what, count) = if own.intersects(State::INACTIVE) {
            ("up", self.up)
        } else {
            ("down", self.down)
        };
        let servers = if count == 1 { "server" } else { "servers" };
        (count > 0).then(|| format!("{what} on {count} other {servers}"))
    }
}

/// Tells whether a destination is up by its state, and did not fail last.
#[must_use]
pub const fn is_good(state: State, failures: u32) -> bool {
    !state.intersects(State::INACTIVE.union(State::TRYING)) && failures == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_what_others_find_and_this_node_does_not() {
        let mut found = FoundElsewhere::default();
        let view = |state: State| View {
            bits: state.bits(),
            ..View::default()
        };
        assert_eq!(found.difference(State::INACTIVE), None);
        found.count(view(State::PROBING));
        found.count(view(State::TRYING));
        assert_eq!(found.difference(State::PROBING), None);
        let up = found.difference(State::INACTIVE.union(State::PROBING));
        assert_eq!(up.as_deref(), Some("up on 2 other servers"));
        found.count(view(State::INACTIVE));
        let down = found.difference(State::TRYING);
        assert_eq!(down.as_deref(), Some("down on 1 other server"));
    }
}

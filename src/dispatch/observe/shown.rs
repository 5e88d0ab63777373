//! The five states that people are shown.

use crate::dispatch::state::transition::State;

/// A state as people see it, in a word: what an operator has set is stronger than what was found. In order of concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// It does not work.
    Inactive,
    /// It has failed, and is still used.
    Trying,
    /// It gets no new calls.
    Draining,
    /// An operator has taken it out.
    Disabled,
    /// It works.
    Active,
}

impl Shown {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Shown::Inactive,
        Shown::Trying,
        Shown::Draining,
        Shown::Disabled,
        Shown::Active,
    ];

    /// Returns what is shown of a state.
    #[must_use]
    pub const fn of(state: State) -> Self {
        if state.contains(State::DISABLED) {
            Shown::Disabled
        } else if state.drains() {
            Shown::Draining
        } else if state.contains(State::INACTIVE) {
            Shown::Inactive
        } else if state.contains(State::TRYING) {
            Shown::Trying
        } else {
            Shown::Active
        }
    }

    /// Returns its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Shown::Inactive => "inactive",
            Shown::Trying => "trying",
            Shown::Draining => "draining",
            Shown::Disabled => "disabled",
            Shown::Active => "active",
        }
    }
}

/// How many destinations are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u32; Shown::ALL.len()]);

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, shown: Shown) {
        if let Some(number) = self.0.get_mut(shown as usize) {
            *number = number.saturating_add(1);
        }
    }

    /// Returns how many are in a state.
    #[must_use]
    pub fn of(&self, shown: Shown) -> u32 {
        self.0.get(shown as usize).copied().unwrap_or(0)
    }

    /// Returns how many there are.
    #[must_use]
    pub fn all(&self) -> u32 {
        self.0.iter().sum()
    }

    /// Returns the state of most concern that any is in.
    #[must_use]
    pub fn worst(&self) -> Shown {
        let mut worst = Shown::ALL.into_iter();
        worst
            .find(|&shown| self.of(shown) > 0)
            .unwrap_or(Shown::Active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_has_set_is_stronger_than_what_was_found() {
        let (disabled, draining) = (State::DISABLED, State::DRAINING);
        let (inactive, trying) = (State::INACTIVE, State::TRYING);
        for (state, shown) in [
            (State::ACTIVE, Shown::Active),
            (trying, Shown::Trying),
            (inactive.union(trying), Shown::Inactive),
            (draining.union(inactive), Shown::Draining),
            (disabled.union(draining), Shown::Disabled),
            (disabled.union(inactive), Shown::Disabled),
        ] {
            assert_eq!(Shown::of(state), shown, "{state:?}");
        }
    }

    #[test]
    fn a_tally_knows_its_worst() {
        let mut tally = Tally::default();
        assert_eq!((tally.worst(), tally.all()), (Shown::Active, 0));
        for (shown, worst) in [
            (Shown::Active, Shown::Active),
            (Shown::Disabled, Shown::Disabled),
            (Shown::Trying, Shown::Trying),
            (Shown::Active, Shown::Trying),
        ] {
            tally.count(shown);
            assert_eq!(tally.worst(), worst);
        }
        assert_eq!((tally.of(Shown::Active), tally.all()), (2, 4));
    }
}

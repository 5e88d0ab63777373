//! Which changes of states are news to whoever is on call, and the words for them.

use core::fmt;

use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::transition::{Flip, State};

/// A change that decides whether a destination gets new calls, or with which an operator's decision begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It gets new calls again.
    Up,
    /// It gets no new calls any more, because of this.
    Down(Why),
    /// It got none before, because of the first, and gets none after it, because of the second.
    StillDown(Why, Why),
}

/// Why a destination gets no new calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An operator has disabled it, whatever else is found.
    Disabled,
    /// It drains, whatever else is found.
    Draining,
    /// It was found dead, or a script or an operator said that it is.
    Inactive,
}

impl Why {
    const fn of(state: State) -> Self {
        if state.contains(State::DISABLED) {
            Why::Disabled
        } else if state.drains() {
            Why::Draining
        } else {
            Why::Inactive
        }
    }

    /// Returns the word of states.
    const fn word(self) -> &'static str {
        match self {
            Why::Disabled => "disabled",
            Why::Draining => "draining",
            Why::Inactive => "inactive",
        }
    }
}

impl News {
    /// Returns the news in a change from `old` to `new`, if there is any.
    #[must_use]
    pub fn of(old: State, new: State, compat: Compat) -> Option<Self> {
        match Flip::between(old, new, compat) {
            Some(Flip::Up) => Some(News::Up),
            Some(Flip::Down) => Some(News::Down(Why::of(new))),
            None if new.usable(compat) => None,
            None => {
                let (before, after) = (Why::of(old), Why::of(new));
                (before != after).then_some(News::StillDown(before, after))
            }
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Up => f.write_str("up"),
            News::Down(Why::Inactive) => f.write_str("down"),
            News::Down(why) => f.write_str(why.word()),
            News::StillDown(before, after) => {
                write!(f, "from {} to {}", before.word(), after.word())
            }
        }
    }
}

/// The destinations that are left of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Destinations that get new calls.
    pub usable: usize,
    /// All destinations.
    pub all: usize,
    /// True if only the default destination gets new calls.
    pub only_default: bool,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} left", self.usable, self.all)?;
        if self.only_default {
            f.write_str(": the default destination")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: u32 = State::DRAINING.bits();

    #[test]
    fn news_is_what_changes_new_calls_or_an_operators_decision() {
        let rows = [
            (0, 1, "down"),
            (8, 9, "down"),
            (2, 9, "down"),
            (0, 4, "disabled"),
            (8, D | 8, "draining"),
            (2, D | 2, "draining"),
            (0, D | 1, "draining"),
            (0, D | 4, "disabled"),
            (1, 0, "up"),
            (9, 2, "up"),
            (4, 8, "up"),
            (D | 2, 2, "up"),
            (1, 5, "from inactive to disabled"),
            (9, D | 9, "from inactive to draining"),
            (D, D | 4, "from draining to disabled"),
            (D | 4, D, "from disabled to draining"),
            (D | 1, 1, "from draining to inactive"),
            (4, 1, "from disabled to inactive"),
        ];
        for compat in [Compat::V3_2, Compat::V5_6, Compat::V6_0, Compat::V6_1] {
            for (old, new, words) in rows {
                let news = News::of(State(old), State(new), compat);
                let said = news.map(|news| news.to_string());
                assert_eq!(said.as_deref(), Some(words), "{old} to {new}, {compat:?}");
            }
        }
    }

    #[test]
    fn the_rest_is_no_news() {
        let rows = [
            (0, 0),
            (0, 8),
            (0, 2),
            (10, 8),
            (1, 9),
            (D, D | 8),
            (D, D | 1),
            (4, 12),
            (16, 48),
        ];
        for (old, new) in rows {
            let news = News::of(State(old), State(new), Compat::V6_1);
            assert_eq!(news, None, "{old} to {new}");
        }
    }

    #[test]
    fn what_is_left_is_counted() {
        let left = |usable, only_default| Left {
            usable,
            all: 8,
            only_default,
        };
        assert_eq!(left(7, false).to_string(), "7 of 8 left");
        assert_eq!(left(0, false).to_string(), "0 of 8 left");
        let default = "1 of 8 left: the default destination";
        assert_eq!(left(1, true).to_string(), default);
    }
}

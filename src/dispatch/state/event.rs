//! Which changes of a destination's state become events, and what events say of the cause.

use super::compat::Compat;
use super::transition::{Flip, State};

/// The causes of a change of state, with their numbers in the record of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The start of the server.
    Start = 0,
    /// A list that was loaded anew.
    Reload = 1,
    /// An RPC command: `set_state`, `set_duid_state`, `add`, `modify`.
    Rpc = 2,
    /// `ds_mark_dst` in a script.
    Script = 3,
    /// The result of a ping.
    Ping = 4,
}

impl Cause {
    /// Returns the number of the cause.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Returns the cause with this number; [`Cause::Start`] for a number that no cause has.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Cause::Reload,
            2 => Cause::Rpc,
            3 => Cause::Script,
            4 => Cause::Ping,
            _ => Cause::Start,
        }
    }

    /// Returns the name of the cause, as `$dsv(cause)` and the log have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Ping => "ping",
            Cause::Script => "script",
            Cause::Rpc => "rpc",
            Cause::Reload => "reload",
            Cause::Start => "start",
        }
    }
}

/// Which changes become events: the parameter `event_callback_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventMode {
    /// 0: changes by pings and by scripts.
    PingsAndScripts,
    /// 1: changes by pings.
    Pings,
    /// 2: as 0, and the first news of a destination about which nothing was known.
    FirstNews,
    /// 3: changes of every cause.
    All,
}

impl EventMode {
    /// Returns the mode with this number.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            0 => Some(EventMode::PingsAndScripts),
            1 => Some(EventMode::Pings),
            2 => Some(EventMode::FirstNews),
            3 => Some(EventMode::All),
            _ => None,
        }
    }

    /// Returns true if changes of this cause can become events.
    #[must_use]
    pub const fn hears(self, cause: Cause) -> bool {
        match self {
            EventMode::Pings => matches!(cause, Cause::Ping),
            EventMode::PingsAndScripts | EventMode::FirstNews => {
                matches!(cause, Cause::Ping | Cause::Script)
            }
            EventMode::All => true,
        }
    }

    /// Returns the event for a change from `old` to `new`, if there is one.
    ///
    /// For a destination that has just been listed, `old` is active.
    ///
    /// A state without any bit means that nothing is known about a destination yet. In mode 2 the news that such a
    /// destination works is the event [`Flip::Up`]. One failure that leaves it in use (trying) is not news.
    #[must_use]
    pub const fn event(self, cause: Cause, old: State, new: State, compat: Compat) -> Option<Flip> {
        if !self.hears(cause) {
            return None;
        }
        let flip = Flip::between(old, new, compat);
        let is_news = old.bits() == 0 && new.bits() != 0 && !new.contains(State::TRYING);
        match flip {
            None if matches!(self, EventMode::FirstNews) && is_news => Some(Flip::Up),
            flip => flip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Cause::{Ping, Reload, Rpc, Script, Start};

    const CAUSES: [Cause; 5] = [Ping, Script, Rpc, Reload, Start];

    #[test]
    fn each_mode_hears_its_causes() {
        let heard = |number| {
            let mode = EventMode::from_number(number).unwrap();
            CAUSES.map(|cause| mode.hears(cause))
        };
        assert_eq!(heard(0), [true, true, false, false, false]);
        assert_eq!(heard(1), [true, false, false, false, false]);
        assert_eq!(heard(2), [true, true, false, false, false]);
        assert_eq!(heard(3), [true; 5]);
        assert!([-1, 4, 100].map(EventMode::from_number) == [None; 3]);
    }

    #[test]
    fn changes_between_usable_and_not_are_events() {
        let states = [0, 1, 2, 4, 8, 9, 10, 12, 16, 17, 32, 36].map(State);
        for compat in [Compat::V3_2, Compat::V5_6, Compat::V6_1] {
            for (old, new) in states.iter().flat_map(|old| states.map(|new| (*old, new))) {
                let expected = match (old.usable(compat), new.usable(compat)) {
                    (true, false) => Some(Flip::Down),
                    (false, true) => Some(Flip::Up),
                    _ => None,
                };
                for mode in [0, 3].map(|mode| EventMode::from_number(mode).unwrap()) {
                    assert_eq!(mode.event(Ping, old, new, compat), expected);
                }
                let silent = EventMode::Pings.event(Script, old, new, compat);
                assert_eq!(silent, None);
            }
        }
    }

    #[test]
    fn mode_2_tells_of_the_first_news() {
        let event =
            |old, new| EventMode::FirstNews.event(Ping, State(old), State(new), Compat::V6_1);
        assert_eq!(event(0, 8), Some(Flip::Up), "AX to AP: the first good ping");
        assert_eq!(event(0, 0), None, "no change");
        assert_eq!(event(0, 2), None, "AX to TX: still used, but no good news");
        assert_eq!(event(0, 10), None, "AX to TP");
        assert_eq!(event(0, 9), Some(Flip::Down), "AX to IP");
        assert_eq!(event(8, 0), None, "AP to AX: it was known");
        assert_eq!(event(9, 8), Some(Flip::Up));
    }
}

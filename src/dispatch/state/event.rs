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
    /// An operator's command, or a script, on another node of the cluster.
    Cluster = 5,
    /// The ends of requests that were sent to the destination.
    Traffic = 6,
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
            5 => Cause::Cluster,
            6 => Cause::Traffic,
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
            Cause::Cluster => "cluster",
            Cause::Traffic => "traffic",
        }
    }

    /// Returns true if somebody has decided, here or on another node, and nobody has measured: then being inactive is
    /// kept over a restart.
    #[must_use]
    pub const fn is_command(self) -> bool {
        matches!(self, Cause::Rpc | Cause::Cluster)
    }
}

/// Which changes become events: the parameter `event_callback_mode`, a sum of bits.
///
/// Without any bit, changes by pings, by scripts and by other nodes of the cluster do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventMode(i32);

impl EventMode {
    /// Changes by pings only.
    const PINGS: i32 = 1;
    /// The first news of a destination about which nothing was known, too.
    const FIRST_NEWS: i32 = 2;
    /// Each destination that is inactive or disabled after a load, changed or not.
    const DOWN_AFTER_LOAD: i32 = 4;
    /// Changes of every cause, whatever the first bit says. The bit of this module, far above those of the C module.
    const ALL: i32 = 65_536;
    /// The bits that mean something.
    pub const KNOWN: i32 = Self::PINGS | Self::FIRST_NEWS | Self::DOWN_AFTER_LOAD | Self::ALL;

    /// Returns the mode with this number. Bits that mean nothing have no effect, nor has a number below 0.
    ///
    /// `summed` is true on servers whose C module takes a sum of bits. On others 3 is no sum: there it was the first
    /// number of the mode that reports every cause, and still is.
    #[must_use]
    pub const fn from_number(number: i32, summed: bool) -> Self {
        match number {
            ..0 => EventMode(0),
            3 if !summed => EventMode(Self::ALL),
            _ => EventMode(number & Self::KNOWN),
        }
    }

    const fn has(self, bit: i32) -> bool {
        self.0 & bit != 0
    }

    /// Returns true if changes of this cause can become events.
    #[must_use]
    pub const fn hears(self, cause: Cause) -> bool {
        match cause {
            Cause::Ping => true,
            _ if self.has(Self::ALL) => true,
            Cause::Script | Cause::Cluster | Cause::Traffic => !self.has(Self::PINGS),
            Cause::Rpc | Cause::Reload | Cause::Start => false,
        }
    }

    /// Returns true if each destination that is [`is_down`] is told of after the start and after a reload by command.
    #[must_use]
    pub const fn tells_after_load(self) -> bool {
        self.has(Self::DOWN_AFTER_LOAD)
    }

    /// Returns the event for a change from `old` to `new`, if there is one.
    ///
    /// For a destination that has just been listed, `old` is active.
    ///
    /// A state without any bit means that nothing is known about a destination yet. With bit 2 the news that such a
    /// destination works is the event [`Flip::Up`]. One failure that leaves it in use (trying) is not news.
    #[must_use]
    pub const fn event(self, cause: Cause, old: State, new: State, compat: Compat) -> Option<Flip> {
        if !self.hears(cause) {
            return None;
        }
        let flip = Flip::between(old, new, compat);
        let is_news = old.bits() == 0 && new.bits() != 0 && !new.contains(State::TRYING);
        match flip {
            None if self.has(Self::FIRST_NEWS) && is_news => Some(Flip::Up),
            flip => flip,
        }
    }
}

/// Returns true for the states that are told of after a load: inactive and disabled.
#[must_use]
pub const fn is_down(state: State) -> bool {
    state.intersects(State::INACTIVE.union(State::DISABLED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Cause::{Cluster, Ping, Reload, Rpc, Script, Start, Traffic};

    const CAUSES: [Cause; 7] = [Ping, Script, Cluster, Traffic, Rpc, Reload, Start];

    #[test]
    fn each_mode_hears_its_causes() {
        let heard = |number, summed| {
            let mode = EventMode::from_number(number, summed);
            CAUSES.map(|cause| mode.hears(cause))
        };
        let pings = [true, false, false, false, false, false, false];
        let default = [true, true, true, true, false, false, false];
        for summed in [true, false] {
            for (number, expected) in [
                (0, default),
                (1, pings),
                (2, default),
                (4, default),
                (5, pings),
                (6, default),
                (7, pings),
                (65_536, [true; 7]),
                (65_537, [true; 7]),
                (65_540, [true; 7]),
                (8, default),
                (-1, default),
                (i32::MIN, default),
            ] {
                assert_eq!(heard(number, summed), expected, "{number}");
            }
        }
        assert_eq!(heard(3, true), pings);
        assert_eq!(heard(3, false), [true; 7]);
    }

    #[test]
    fn causes_and_bits_are_documented() {
        let events = include_str!("../../../doc/reference/events.md");
        for number in 0..=7 {
            let cause = Cause::from_number(number);
            assert!(cause.number() == number || (number, cause) == (7, Start));
            assert!(
                events.contains(&format!("\n| `{}` | ", cause.name())),
                "{cause:?}"
            );
        }
        let parameters = include_str!("../../../doc/reference/parameters.md");
        let section = parameters
            .split("\n### event_callback_mode\n")
            .nth(1)
            .unwrap();
        let section = section.split("\n## ").next().unwrap();
        let cells = section
            .split("\n| ")
            .filter_map(|row| row.split(' ').next());
        let bits = cells.filter_map(|cell| cell.parse::<i32>().ok());
        assert_eq!(bits.sum::<i32>(), EventMode::KNOWN);
    }

    #[test]
    fn bit_4_tells_after_loads() {
        let tells = |number| EventMode::from_number(number, false).tells_after_load();
        assert_eq!([0, 1, 2, 3, 65_536, 8, -1].map(tells), [false; 7]);
        assert_eq!([4, 5, 6, 7, 65_540].map(tells), [true; 5]);
        let draining = State::DRAINING.bits();
        assert!(
            [1, 4, 5, 9, draining | 1]
                .map(State)
                .iter()
                .all(|&state| is_down(state))
        );
        assert!(
            ![0, 2, 8, 16, draining]
                .map(State)
                .iter()
                .any(|&state| is_down(state))
        );
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
                for mode in [0, 3, 65_536].map(|mode| EventMode::from_number(mode, false)) {
                    assert_eq!(mode.event(Ping, old, new, compat), expected);
                }
                let pings = EventMode::from_number(1, true);
                let silent = pings.event(Script, old, new, compat);
                assert_eq!(silent, None);
            }
        }
    }

    #[test]
    fn bit_2_tells_of_the_first_news() {
        let event = |old, new| {
            let seen = [2, 6, 65_538].map(|number| {
                let mode = EventMode::from_number(number, false);
                mode.event(Ping, State(old), State(new), Compat::V6_1)
            });
            assert_eq!(seen, [seen[0]; 3]);
            seen[0]
        };
        assert_eq!(event(0, 8), Some(Flip::Up), "AX to AP: the first good ping");
        assert_eq!(event(0, 0), None, "no change");
        assert_eq!(event(0, 2), None, "AX to TX: still used, but no good news");
        assert_eq!(event(0, 10), None, "AX to TP");
        assert_eq!(event(0, 9), Some(Flip::Down), "AX to IP");
        assert_eq!(event(8, 0), None, "AP to AX: it was known");
        assert_eq!(event(9, 8), Some(Flip::Up));
    }
}

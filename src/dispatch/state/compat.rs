//! Whose meaning applies where the versions of the C module disagree: the parameter `compat`
//! (doc/reference/parameters.md). There is one method for each such behaviour.

use super::flags::State;

/// The version whose configs and lists are read, in the order of release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compat {
    /// 3.1 and 3.2.
    V3_2,
    /// 4.x and 5.x.
    V5_6,
    /// 6.0, which behaves as 5.x and shows more.
    V6_0,
    /// 6.1 and later.
    V6_1,
}

impl Compat {
    /// Reads the value of modparam `compat`: `3.2`, `5.6`, `6.0` or `6.1`; `None` for any other text.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Compat> {
        let all = [Compat::V3_2, Compat::V5_6, Compat::V6_0, Compat::V6_1];
        all.into_iter()
            .find(|compat| compat.name().as_bytes() == text)
    }

    /// Returns the value that [`Compat::parse`] reads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Compat::V3_2 => "3.2",
            Compat::V5_6 => "5.6",
            Compat::V6_0 => "6.0",
            Compat::V6_1 => "6.1",
        }
    }

    /// Returns what an unset `compat` means on a server of version `major.minor`.
    ///
    /// The version never selects 3.2: only a config that uses names of that time asks for it.
    #[must_use]
    pub const fn for_core(major: u32, minor: u32) -> Compat {
        if major > 6 || (major == 6 && minor >= 1) {
            Compat::V6_1
        } else if major == 6 {
            Compat::V6_0
        } else {
            Compat::V5_6
        }
    }

    /// Returns true if list flag 2 takes a destination out until a ping is good. Since 3.2.0 it is trying.
    #[must_use]
    pub const fn flag_2_is_out(self) -> bool {
        matches!(self, Compat::V3_2)
    }

    /// Returns true if an inactive destination in probing stays so until a ping is good, whatever the probing mode is.
    /// Since 4.0 a bad one ends probing in mode 0.
    #[must_use]
    pub const fn probes_until_good(self) -> bool {
        matches!(self, Compat::V3_2)
    }

    /// Returns the numbers that mean draining in a list, a table or a state file: its own, and 64, which it had first.
    ///
    /// A release of Kamailio that gives 64 another meaning ends that for its own version.
    #[must_use]
    pub const fn draining_numbers(self) -> State {
        match self {
            Compat::V3_2 | Compat::V5_6 | Compat::V6_0 | Compat::V6_1 => {
                State::DRAINING.union(State(64))
            }
        }
    }

    /// Returns the flags with which a destination is not selected for new calls.
    #[must_use]
    pub const fn unusable_bits(self) -> State {
        State::INACTIVE
            .union(State::DISABLED)
            .union(State::DRAINING)
    }

    /// Returns the default of `ds_probing_threshold`: the number of failures after which a destination is out.
    #[must_use]
    pub const fn default_probing_threshold(self) -> u32 {
        match self {
            Compat::V3_2 => 3,
            Compat::V5_6 | Compat::V6_0 | Compat::V6_1 => 1,
        }
    }

    /// Returns true if `ds_mark_dst("t")` and `("a")` count up to the thresholds, and do not act at once.
    #[must_use]
    pub const fn mark_counts(self) -> bool {
        !matches!(self, Compat::V6_1)
    }

    /// Returns true if `ds_is_from_list` compares a URI without `transport` as one with the protocol of its scheme (UDP
    /// for `sip:` and so on), and not as one without a protocol.
    #[must_use]
    pub const fn default_proto_by_uri(self) -> bool {
        matches!(self, Compat::V6_1)
    }

    /// Returns true if `dispatcher.list` shows what 6.0 added: overload control, with attributes that no text has set,
    /// and the letter `N`.
    #[must_use]
    pub const fn lists_overload(self) -> bool {
        matches!(self, Compat::V6_0 | Compat::V6_1)
    }

    /// Returns true if `dispatcher.list` shows what 6.1 added.
    #[must_use]
    pub const fn lists_more(self) -> bool {
        matches!(self, Compat::V6_1)
    }

    /// Returns true if a destination whose `ping_socket` is not local is left out. Versions that do not know the
    /// attribute keep it.
    #[must_use]
    pub const fn needs_ping_sockets(self) -> bool {
        matches!(self, Compat::V6_1)
    }

    /// Returns true if the records of a selection have the index of each destination in its set.
    #[must_use]
    pub const fn writes_places(self) -> bool {
        matches!(self, Compat::V6_1)
    }

    /// Returns true if list flag 8 has no effect when destinations are not pinged.
    #[must_use]
    pub const fn drops_idle_probing(self) -> bool {
        matches!(self, Compat::V6_1)
    }

    /// Returns the flags that this version knows, and that its RPC `set_state` replaces.
    ///
    /// [`apply_set`](super::transition::apply_set) never replaces the options among them.
    #[must_use]
    pub const fn state_mask(self) -> State {
        match self {
            Compat::V3_2 | Compat::V5_6 => State(31),
            Compat::V6_0 | Compat::V6_1 => State(63),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Compat::{V3_2, V5_6, V6_0, V6_1};

    #[test]
    fn parses_the_names_only() {
        let cases: &[(&[u8], Option<Compat>)] = &[
            (b"3.2", Some(V3_2)),
            (b"5.6", Some(V5_6)),
            (b"6.1", Some(V6_1)),
            (b"", None),
            (b"6.0", Some(V6_0)),
            (b"5.6 ", None),
            (b"56", None),
        ];
        for (text, want) in cases {
            assert_eq!(Compat::parse(text), *want, "{text:?}");
        }
    }

    #[test]
    fn core_version_decides() {
        let cases = [
            ((4, 4), V5_6),
            ((5, 4), V5_6),
            ((5, 6), V5_6),
            ((5, 8), V5_6),
            ((6, 0), V6_0),
            ((6, 1), V6_1),
            ((6, 2), V6_1),
            ((7, 0), V6_1),
        ];
        for ((major, minor), want) in cases {
            assert_eq!(Compat::for_core(major, minor), want, "{major}.{minor}");
        }
        assert!(V3_2 < V5_6 && V5_6 < V6_0 && V6_0 < V6_1);
    }

    #[test]
    fn rows_of_the_table() {
        // (version, flag 2 is out, unusable, threshold, counts, proto by URI, mask)
        let rows = [
            (V3_2, true, 65_541, 3, true, false, 31),
            (V5_6, false, 65_541, 1, true, false, 31),
            (V6_0, false, 65_541, 1, true, false, 63),
            (V6_1, false, 65_541, 1, false, true, 63),
        ];
        for (compat, out, unusable, threshold, counts, proto, mask) in rows {
            assert_eq!(compat.flag_2_is_out(), out, "{compat:?}");
            assert_eq!(compat.unusable_bits(), State(unusable), "{compat:?}");
            assert_eq!(compat.draining_numbers(), State(65_600), "{compat:?}");
            assert_eq!(compat.default_probing_threshold(), threshold, "{compat:?}");
            assert_eq!(compat.mark_counts(), counts, "{compat:?}");
            assert_eq!(compat.default_proto_by_uri(), proto, "{compat:?}");
            assert_eq!(compat.state_mask(), State(mask), "{compat:?}");
        }
    }
}

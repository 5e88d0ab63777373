//! The state flags of a destination.

/// The state flags of a destination, with the numbers of the list's flags field.
///
/// 0 means active. Bits without a name are kept and mean nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State(pub u32);

impl State {
    /// Active: no bit set.
    pub const ACTIVE: State = State(0);
    /// Found dead, or taken out by a script or an operator; a good ping brings it back.
    pub const INACTIVE: State = State(1);
    /// Has failed, but less often than `ds_probing_threshold`; still used.
    pub const TRYING: State = State(2);
    /// Taken out by an operator; nothing but an operator or a script brings it back.
    pub const DISABLED: State = State(4);
    /// To be pinged.
    pub const PROBING: State = State(8);
    /// Option: the name is not resolved, so the destination never matches an address.
    pub const NODNS: State = State(16);
    /// Option: never pinged.
    pub const NOPING: State = State(32);
    /// Draining: gets no new calls, but requests inside a dialog still find it. An operator or the list sets it, beside
    /// whatever marks and pings find out. The number is far above those of the C module, which may grow.
    pub const DRAINING: State = State(65_536);

    /// The state that 3.2 calls probing: not selected until a ping is good.
    pub(crate) const OUT_AND_PINGED: State = State::INACTIVE.union(State::PROBING);
    /// The flags that the list sets for good; no change of state touches them.
    pub(crate) const OPTIONS: State = State::NODNS.union(State::NOPING);
    /// The flags that only operators and scripts set, and that no measurement undoes.
    pub const ADMINISTRATIVE: State = State::DISABLED.union(State::DRAINING);
    /// The flags that are kept over a restart.
    pub const KEPT: State = State::ADMINISTRATIVE.union(State::INACTIVE);
    /// The flags that a mark or a ping replaces.
    pub(crate) const HEALTH: State = State::INACTIVE
        .union(State::TRYING)
        .union(State::DISABLED)
        .union(State::PROBING);

    /// Returns the flags as a number.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns true if all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: State) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns true if any flag of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: State) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the flags of both.
    #[must_use]
    pub const fn union(self, other: State) -> State {
        State(self.0 | other.0)
    }

    /// Returns these flags without those of `other`.
    #[must_use]
    pub const fn without(self, other: State) -> State {
        State(self.0 & !other.0)
    }
}

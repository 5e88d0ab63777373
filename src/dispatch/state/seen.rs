//! Finds out whether somebody has set the state of a destination since the last look.
//!
//! Nobody tells of what he sets. Who has to know compares what he sees with what he saw, and that costs those nothing
//! who set states. State, cause and list flags are words of their own, which their writers change one after the other:
//! the state first, then the cause; a list first the cause. So who looks in between sees a change whose cause is yet to
//! come, and has to look again.

use super::event::Cause;
use super::flags::State;

/// A destination at one moment. The cause must have been read before the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The cause of the state, and its time in milliseconds.
    pub cause: (Cause, u64),
    /// The state.
    pub state: State,
    /// The state that the list asks for.
    pub listed: State,
    /// The flags of the list by which nodes tell whether they have the same list.
    pub base: u32,
}

/// The events between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Nothing, or nothing but a measurement.
    Nothing,
    /// Somebody has set these flags, by a command or in a script.
    Act(State),
    /// The list has set the state.
    Relisted,
    /// Somebody is at it: look again in a moment.
    Unsettled,
}

/// The knowledge of the observer besides the two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The last look found it [`Happened::Unsettled`]. Whoever was at it then has ended since.
    pub again: bool,
    /// A list was loaded since the last look that sets all states, whatever they were.
    pub list_sets_states: bool,
}

impl Seen {
    /// Returns what a list has just set.
    #[must_use]
    pub const fn as_listed(self) -> Seen {
        Seen {
            cause: (Cause::Reload, 0),
            state: self.listed,
            ..self
        }
    }

    /// Finds out what has happened since an earlier look.
    #[must_use]
    pub fn since(&self, before: &Seen, look: Look) -> Happened {
        let same_cause = self.cause == before.cause;
        let decided_otherwise = self.differs(before.state, State::ADMINISTRATIVE);
        match self.cause.0 {
            // Lists set all of the state, before they say which.
            Cause::Start | Cause::Reload if self.state != self.listed => {
                if look.again {
                    Happened::Nothing
                } else {
                    Happened::Unsettled
                }
            }
            Cause::Start | Cause::Reload if self == before => Happened::Nothing,
            Cause::Start | Cause::Reload => Happened::Relisted,
            Cause::Rpc if !same_cause => Happened::Act(self.set()),
            Cause::Rpc | Cause::Cluster if same_cause => {
                if !self.differs(before.state, State::KEPT) {
                    Happened::Nothing
                } else if !look.again {
                    Happened::Unsettled
                } else if decided_otherwise || self.cause.0 == Cause::Rpc {
                    // A command within the same millisecond as the one before it.
                    Happened::Act(self.set())
                } else {
                    Happened::Nothing
                }
            }
            Cause::Rpc | Cause::Cluster => Happened::Relisted,
            Cause::Script | Cause::Ping | Cause::Traffic => self.since_measured(before, look),
        }
    }

    /// Returns the flags that somebody has set since the flags `told` were, as far as this look alone tells: `None` if
    /// the state does not disable or drain otherwise than `told`, or if that may be the work of a list or of the cluster.
    #[must_use]
    pub fn untold(&self, told: State, lists_set_states: bool) -> Option<State> {
        let by_somebody = match self.cause.0 {
            Cause::Start | Cause::Reload | Cause::Cluster => false,
            Cause::Rpc => true,
            // A list may have set the state before this.
            Cause::Script | Cause::Ping | Cause::Traffic => {
                !lists_set_states || self.differs(self.listed, State::ADMINISTRATIVE)
            }
        };
        (by_somebody && self.differs(told, State::ADMINISTRATIVE)).then(|| self.set())
    }

    /// As [`Seen::since`], where a ping or a script was the last. Pings decide nothing, but may have come after somebody
    /// who did.
    fn since_measured(&self, before: &Seen, look: Look) -> Happened {
        let is_as_listed = !self.differs(self.listed, State::ADMINISTRATIVE);
        let may_be_relisted = look.list_sets_states || self.base != before.base;
        if is_as_listed && may_be_relisted {
            return Happened::Relisted;
        }
        if !self.differs(before.state, State::ADMINISTRATIVE) {
            return Happened::Nothing;
        }
        if self.cause == before.cause && !look.again {
            return Happened::Unsettled;
        }
        Happened::Act(self.set())
    }

    fn differs(&self, other: State, flags: State) -> bool {
        State(self.state.bits() ^ other.bits()).intersects(flags)
    }

    /// Returns the flags that were set: without those that were measured.
    const fn set(&self) -> State {
        let set = if self.cause.0.is_command() {
            State::HEALTH.union(State::DRAINING)
        } else {
            State::ADMINISTRATIVE.union(State::PROBING)
        };
        State(self.state.bits() & set.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Happened::{Act, Nothing, Relisted, Unsettled};

    const D: u32 = 4;
    const I: u32 = 1;
    const P: u32 = 8;
    const R: u32 = State::DRAINING.bits();

    const ONCE: Look = Look {
        again: false,
        list_sets_states: false,
    };
    const AGAIN: Look = Look {
        again: true,
        ..ONCE
    };
    const ALL_RELISTED: Look = Look {
        list_sets_states: true,
        ..ONCE
    };

    fn seen(cause: Cause, at_ms: u64, state: u32, listed: u32) -> Seen {
        Seen {
            cause: (cause, at_ms),
            state: State(state),
            listed: State(listed),
            base: listed,
        }
    }

    #[test]
    fn a_command_is_an_act_whatever_it_was_before() {
        let befores = [
            seen(Cause::Reload, 0, 0, 0),
            seen(Cause::Rpc, 5, D, 0),
            seen(Cause::Rpc, 5, 0, 0),
            seen(Cause::Ping, 9, I | P, 0),
            seen(Cause::Script, 9, D, 0),
            seen(Cause::Cluster, 9, R, 0),
        ];
        for before in befores {
            for state in [0, D, I, I | P, R, R | I | P, P, 2] {
                let now = seen(Cause::Rpc, 10, state, 0);
                assert_eq!(now.since(&before, ONCE), Act(State(state)), "{before:?}");
                assert_eq!(now.since(&now, ONCE), Nothing);
            }
        }
        // Options are the list's.
        let now = seen(Cause::Rpc, 10, D | 32 | 16, 48);
        let before = seen(Cause::Reload, 0, 48, 48);
        assert_eq!(now.since(&before, ONCE), Act(State(D)));
    }

    #[test]
    fn a_second_command_of_the_same_millisecond_is_an_act_once_it_has_settled() {
        let before = seen(Cause::Rpc, 10, D, 0);
        let now = seen(Cause::Rpc, 10, 0, 0);
        assert_eq!(now.since(&before, ONCE), Unsettled);
        assert_eq!(now.since(&before, AGAIN), Act(State(0)));
    }

    #[test]
    fn what_pings_find_is_no_act_and_hides_none() {
        for (state, found) in [
            (0, I | P),
            (I | P, P),
            (R, R | I | P),
            (R | I, R | P),
            (0, 2),
        ] {
            let before = seen(Cause::Rpc, 5, state, 0);
            // The state is changed, and the cause is yet to come.
            let halfway = seen(Cause::Rpc, 5, found, 0);
            let halfway = halfway.since(&before, ONCE);
            assert!(matches!(halfway, Unsettled | Nothing));
            let now = seen(Cause::Ping, 6, found, 0);
            assert_eq!(now.since(&before, ONCE), Nothing);
            assert_eq!(now.since(&before, AGAIN), Nothing);
        }
        // An operator drains it, and then a ping finds it dead: before anybody looks.
        let before = seen(Cause::Ping, 5, P, P);
        let now = seen(Cause::Ping, 7, R | I | P, P);
        assert_eq!(now.since(&before, ONCE), Act(State(R | P)));
        let before = seen(Cause::Rpc, 5, D, 0);
        let now = seen(Cause::Ping, 7, I | P, 0);
        assert_eq!(now.since(&before, ONCE), Act(State(P)));
    }

    #[test]
    fn marks_that_decide_are_acts_and_those_that_measure_are_not() {
        let before = seen(Cause::Ping, 5, P, P);
        let at = |state| seen(Cause::Script, 6, state, P);
        assert_eq!(at(I | P).since(&before, ONCE), Nothing);
        assert_eq!(at(2).since(&before, ONCE), Nothing);
        assert_eq!(at(D).since(&before, ONCE), Act(State(D)));
        assert_eq!(at(0).since(&at(D), AGAIN), Act(State(0)));
        // The mark is made, and the cause is yet to come.
        let halfway = seen(Cause::Ping, 5, D, P);
        assert_eq!(halfway.since(&before, ONCE), Unsettled);
        assert_eq!(halfway.since(&before, AGAIN), Act(State(D)));
    }

    #[test]
    fn a_list_writes_nothing_to_the_cluster() {
        let befores = [
            seen(Cause::Rpc, 5, D, 0),
            seen(Cause::Cluster, 5, D, 0),
            seen(Cause::Ping, 5, I | P, 0),
            seen(Cause::Reload, 0, 0, 0),
        ];
        for before in befores {
            for listed in [0, D, P, R] {
                let now = seen(Cause::Reload, 0, listed, listed);
                let expected = if now == before { Nothing } else { Relisted };
                assert_eq!(now.since(&before, ONCE), expected);
                // In the middle of it: the cause is there, the state is not yet.
                let halfway = seen(Cause::Reload, 0, 2, listed);
                assert_eq!(halfway.since(&before, ONCE), Unsettled);
                assert_eq!(halfway.since(&before, AGAIN), Nothing);
                // A ping has come after it.
                let later = seen(Cause::Ping, 6, listed | I, listed);
                let happened = later.since(&before, ALL_RELISTED);
                assert!(
                    !matches!(happened, Act(_)),
                    "{before:?} {listed} {happened:?}"
                );
            }
        }
    }

    #[test]
    fn a_command_after_a_reload_is_an_act_of_the_new_list() {
        let before = seen(Cause::Rpc, 5, D, 0);
        let now = seen(Cause::Rpc, 9, R, P);
        assert_eq!(now.since(&before, ONCE), Act(State(R)));
        // The command has set the state, and the cause is that of the list.
        let halfway = seen(Cause::Reload, 0, R, P);
        assert_eq!(halfway.since(&before, ONCE), Unsettled);
        // A ping has come after a reload with other flags: what the list says is no act, and more is one.
        let pinged = |state| seen(Cause::Ping, 9, state, P).since(&before, ONCE);
        assert_eq!(pinged(P | I), Relisted);
        assert_eq!(pinged(R | P), Act(State(R | P)));
    }

    #[test]
    fn a_command_in_the_middle_of_what_the_cluster_sets_is_not_taken_for_the_clusters() {
        let before = seen(Cause::Cluster, 5, D, 0);
        let halfway = seen(Cause::Cluster, 5, 0, 0);
        assert_eq!(halfway.since(&before, ONCE), Unsettled);
        assert_eq!(halfway.since(&before, AGAIN), Act(State(0)));
        let now = seen(Cause::Rpc, 6, 0, 0);
        assert_eq!(now.since(&before, AGAIN), Act(State(0)));
        // What only pings change is none of it.
        let pinged = seen(Cause::Cluster, 5, D | I, 0);
        assert_eq!(pinged.since(&before, ONCE), Unsettled);
        assert_eq!(pinged.since(&before, AGAIN), Nothing);
    }

    #[test]
    fn what_nobody_has_told_yet_is_found_by_one_look() {
        let told = |cause, state, told, lists_set_states| {
            seen(cause, 5, state, 0).untold(State(told), lists_set_states)
        };
        for lists_set_states in [false, true] {
            let by_command = |state, before| told(Cause::Rpc, state, before, lists_set_states);
            assert_eq!(by_command(D, 0), Some(State(D)));
            assert_eq!(by_command(R | P, D), Some(State(R | P)));
            assert_eq!(by_command(0, D), Some(State(0)));
            // It was told, and measured since.
            assert_eq!(by_command(D, D), None);
            assert_eq!(by_command(I | P, 0), None);
            for cause in [Cause::Start, Cause::Reload, Cause::Cluster] {
                assert_eq!(told(cause, D, 0, lists_set_states), None);
            }
            for cause in [Cause::Script, Cause::Ping] {
                assert_eq!(
                    told(cause, D | I | P, 0, lists_set_states),
                    Some(State(D | P))
                );
            }
        }
        // Pings come after a list that sets all states: that enables it again, and nobody has.
        assert_eq!(told(Cause::Ping, I, D, false), Some(State(0)));
        assert_eq!(told(Cause::Ping, I, D, true), None);
    }

    #[test]
    fn what_is_new_in_the_list_is_as_the_list_has_it_or_was_set() {
        let now = seen(Cause::Reload, 0, P, P);
        assert_eq!(now.since(&now.as_listed(), ONCE), Nothing);
        let now = seen(Cause::Rpc, 3, D, P);
        assert_eq!(now.since(&now.as_listed(), ONCE), Act(State(D)));
    }
}

//! Pings of nodes, as hellos tell of them.

/// For so long at least, and twice as long at most, a difference of clocks counts that a hello has shown.
const WINDOW_MS: u64 = 60_000;

/// How this node pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pings {
    /// By its steady clock: up to then it has pinged all that was due.
    pub ran_ms: u64,
    /// How often it pings each destination.
    pub interval_ms: u64,
}

/// The words of a hello on its sender's pings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// By the sender's steady clock: up to then it has pinged all that was due, and the receiver has all that it found.
    pub true_ms: u64,
    /// How often it pings each destination; 0 if it does not.
    pub interval_ms: u64,
}

/// The pings of a member, by its hellos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The least differences of clocks that hellos have shown in this window of time, and in the one before.
    least_ms: [i64; 2],
    /// Since when this window is.
    since_ms: u64,
    /// The words of the last hello.
    pub last: Told,
}

impl Heard {
    /// Returns what is known after a hello that has come now. A hello that says no later time than the last one tells
    /// nothing of the clocks: the process that pings may be stuck.
    #[must_use]
    pub fn after(before: Option<Self>, told: Told, now_ms: u64) -> Self {
        let [now, theirs] = [now_ms, told.true_ms].map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let shown_ms = now.saturating_sub(theirs);
        let new = Self {
            least_ms: [shown_ms; 2],
            since_ms: now_ms,
            last: told,
        };
        let Some(before) = before else { return new };
        let [this, earlier] = before.least_ms;
        if told.true_ms == before.last.true_ms {
            Self {
                last: told,
                ..before
            }
        } else if now_ms.saturating_sub(before.since_ms) < WINDOW_MS {
            Self {
                least_ms: [this.min(shown_ms), earlier],
                since_ms: before.since_ms,
                ..new
            }
        } else {
            Self {
                least_ms: [shown_ms, this],
                ..new
            }
        }
    }

    /// Returns what is to be added to a time of its clock for one of this node's. It is the least that a hello has shown:
    /// whatever is more was the way of that hello.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        let [this, earlier] = self.least_ms;
        this.min(earlier)
    }

    /// Returns up to when all is known of its pings, by this node's clock.
    #[must_use]
    pub fn true_ms(&self) -> u64 {
        self.last.true_ms.saturating_add_signed(self.offset_ms())
    }
}

/// A member on whose word a node relies, for whoever pings here. All times are of this node's steady clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relied {
    /// Until then its word is believed, if nothing more is heard of it.
    pub until_ms: u64,
    /// The least time at which a ping of it is missed that it sends at the beginning of its intervals.
    pub missed_ms: u64,
    /// Its interval.
    pub interval_ms: u64,
}

impl Relied {
    /// Tells whether its word is believed now.
    #[must_use]
    pub const fn is_fresh(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }

    /// Returns the next time after now at which a ping of a destination would be missed. If its word is still believed
    /// then, it has sent that ping.
    #[must_use]
    pub fn next_look(&self, phase_ms: u32, now_ms: u64) -> u64 {
        let interval_ms = self.interval_ms.max(1);
        let first = self.missed_ms.saturating_add(phase_ms.into()) % interval_ms;
        let into = (now_ms % interval_ms + interval_ms - first) % interval_ms;
        now_ms + interval_ms - into
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_a_hello_is_not_taken_for_a_difference_of_clocks() {
        let told = |true_ms| Told {
            true_ms,
            interval_ms: 10_000,
        };
        // Its clock is 1,000 ms behind, and the first hello was under way for 300 ms.
        let first = Heard::after(None, told(5_000), 6_300);
        assert_eq!(first.true_ms(), 6_300);
        let second = Heard::after(Some(first), told(6_000), 7_010);
        assert_eq!(second.true_ms(), 7_010);
        // A late one says no more than it did when it was sent.
        let third = Heard::after(Some(second), told(7_000), 9_800);
        assert_eq!(third.true_ms(), 8_010);
        // A node that does nothing is not taken for a clock that stands still.
        let still = (1..=600).fold(third, |heard, n| {
            Heard::after(Some(heard), told(7_000), 9_800 + n * 1_000)
        });
        assert_eq!(still.true_ms(), 8_010);
    }

    #[test]
    fn a_clock_that_was_stopped_and_one_that_was_wrong_once_are_followed_again() {
        let hellos = |first, shown_ms: u64| {
            (1..=130).fold(first, |heard: Option<Heard>, second| {
                let told = Told {
                    true_ms: 5_000_000 + second * 1_000,
                    interval_ms: 10_000,
                };
                Some(Heard::after(heard, told, told.true_ms + shown_ms))
            })
        };
        let told = |true_ms| Told {
            true_ms,
            interval_ms: 10_000,
        };
        // The machine of the other node was stopped for 30 s.
        let before = Heard::after(None, told(4_000_000), 4_001_000);
        let after = hellos(Some(before), 31_000).unwrap();
        assert_eq!(after.offset_ms(), 31_000);
        // One hello said a time that is far ahead.
        let wrong = Heard::after(None, told(u64::MAX), 4_999_000);
        let after = hellos(Some(wrong), 1_000).unwrap();
        assert_eq!(after.offset_ms(), 1_000);
    }

    #[test]
    fn looks_come_one_interval_after_the_other_behind_the_pings_of_the_watcher() {
        let relied = Relied {
            until_ms: 0,
            missed_ms: 3_500,
            interval_ms: 10_000,
        };
        assert_eq!(relied.next_look(2_000, 0), 5_500);
        assert_eq!(relied.next_look(2_000, 5_499), 5_500);
        assert_eq!(relied.next_look(2_000, 5_500), 15_500);
        assert_eq!(relied.next_look(9_000, 12_400), 12_500);
        assert!(Relied::default().next_look(7, 50) > 50);
    }
}

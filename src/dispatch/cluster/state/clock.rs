//! The time, and stamps that grow along everything that was seen: a hybrid logical clock.

/// The time as the machine's clocks have it, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since 1970. It may jump; only stamps are made of it.
    pub wall_ms: u64,
    /// Of a clock that never goes back. All intervals are measured with it.
    pub steady_ms: u64,
}

/// When something was set: 48 bits of milliseconds since 1970, and below them 16 bits that count.
///
/// 0 stands for a time that is not known: anything that has a stamp is later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Bits of the number below the milliseconds.
    const COUNT_BITS: u32 = 16;

    /// Returns the first stamp of a millisecond.
    #[must_use]
    pub const fn at(wall_ms: u64) -> Self {
        Self(wall_ms << Self::COUNT_BITS)
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub const fn wall_ms(self) -> u64 {
        self.0 >> Self::COUNT_BITS
    }
}

/// Gives each act of this node a stamp above all that it has given or seen.
///
/// So who has seen a state and then sets another one is the later of both, however far apart the clocks are. Only acts of
/// nodes that have not heard of each other's are ordered by their clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    last: Stamp,
}

impl Clock {
    /// How far ahead of this node's clock a stamp may be. One of a clock that is years ahead would win for ever.
    pub const MOST_AHEAD_MS: u64 = 24 * 60 * 60 * 1_000;

    /// Tells whether a stamp is believed now: it is not too far ahead.
    #[must_use]
    pub const fn believes(now: Now, stamp: Stamp) -> bool {
        stamp.wall_ms() <= now.wall_ms.saturating_add(Self::MOST_AHEAD_MS)
    }

    /// Tells whether a stamp was given or seen that is believed no longer, because the machine's clock was set back.
    #[must_use]
    pub fn is_ahead(&self, now: Now) -> bool {
        !Self::believes(now, self.last)
    }

    /// Returns the stamp of an act that happens now.
    pub fn next(&mut self, now: Now) -> Stamp {
        self.last = Stamp::at(now.wall_ms).max(Stamp(self.last.0.saturating_add(1)));
        self.last
    }

    /// Takes notice of a stamp. Returns false if it is too far ahead, and then it is as if it had not been seen.
    #[must_use]
    pub fn see(&mut self, now: Now, stamp: Stamp) -> bool {
        let believable = Self::believes(now, stamp);
        if believable {
            self.last = self.last.max(stamp);
        }
        believable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 60 * 60 * 1_000;

    fn at(wall_ms: u64) -> Now {
        Now {
            wall_ms,
            steady_ms: 0,
        }
    }

    #[test]
    fn stamps_grow_while_the_clock_stands_or_goes_back() {
        let mut clock = Clock::default();
        let times = [1_000, 1_000, 1_000, 999, 5, 1_001, 1_001];
        let stamps: Vec<Stamp> = times.iter().map(|&ms| clock.next(at(ms))).collect();
        assert!(stamps.is_sorted_by(|one, next| one < next), "{stamps:?}");
        assert_eq!(stamps[0], Stamp::at(1_000));
        assert_eq!(stamps[5], Stamp::at(1_001));
        assert_eq!(stamps[6].wall_ms(), 1_001);
    }

    #[test]
    fn a_count_that_is_full_goes_on_in_the_next_millisecond() {
        let mut clock = Clock::default();
        for _ in 0..=u16::MAX {
            assert_eq!(clock.next(at(7)).wall_ms(), 7);
        }
        assert_eq!(clock.next(at(7)), Stamp::at(8));
    }

    #[test]
    fn who_has_seen_a_stamp_writes_above_it_whatever_the_clocks_are() {
        let noon = 1_800_000_000_000;
        for (fast, slow) in [(noon + 3 * HOUR_MS, noon), (noon, noon - 3 * HOUR_MS)] {
            let (mut fast_clock, mut slow_clock) = (Clock::default(), Clock::default());
            let first = fast_clock.next(at(fast));
            assert!(slow_clock.see(at(slow), first));
            let second = slow_clock.next(at(slow + 50));
            assert!(second > first);
            assert!(fast_clock.see(at(fast + 100), second));
            assert!(fast_clock.next(at(fast + 150)) > second);
        }
    }

    #[test]
    fn a_stamp_from_the_day_after_tomorrow_is_refused_and_leaves_no_trace() {
        let noon = 1_800_000_000_000;
        let mut clock = Clock::default();
        assert!(!clock.see(at(noon), Stamp::at(noon + 48 * HOUR_MS)));
        assert_eq!(clock.next(at(noon)), Stamp::at(noon));
        assert!(clock.see(at(noon), Stamp::at(noon + Clock::MOST_AHEAD_MS)));
        assert!(!clock.see(at(noon), Stamp::at(noon + Clock::MOST_AHEAD_MS + 1)));
        assert!(clock.see(at(noon), Stamp::default()));
    }
}

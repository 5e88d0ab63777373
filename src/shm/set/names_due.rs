//! The time at which the first name of a set is due to be resolved: before it nobody walks over the set.

use crate::shm::memory::arena::ShmSafe;
use crate::shm::memory::atomic::{AtomicU64, Ordering::SeqCst};

/// When the first name is due.
pub struct NamesDue {
    /// The time in microseconds, as the last walk over the set found it; 0 if nobody knows. Above it, how often it was
    /// forgotten, modulo 4,096: one word, so that a process that is held up at the end of its walk brings back nothing
    /// forgotten. If it was forgotten exactly 4,096 times during that walk, or a multiple of that, the names that were
    /// set back are looked at when the time comes that the walk has found.
    word: AtomicU64,
}

// SAFETY: an atomic; zeroed it says that nobody knows.
unsafe impl ShmSafe for NamesDue {}

/// Bits of the time: enough for 142 years.
const TIME_BITS: u32 = 52;

/// The time in a set without names, which is the latest.
const NO_NAMES: u64 = (1 << TIME_BITS) - 1;

impl NamesDue {
    /// Returns true if a name is due: if it was asked for at least `ttl_us` ago, by a clock that may be set. The times
    /// at which the names of the set were asked for are looked at only if one may be due.
    pub fn any(&self, now_us: u64, ttl_us: u64, asked_us: impl Iterator<Item = u64>) -> bool {
        let word = self.word.load(SeqCst);
        let known = word & NO_NAMES;
        let is_ahead = |due: u64| {
            let left = due.checked_sub(now_us);
            left.is_some_and(|left| (1..=ttl_us).contains(&left))
        };
        if known == NO_NAMES || is_ahead(known) {
            return false;
        }
        let mut first = NO_NAMES;
        for asked in asked_us {
            let due = asked.saturating_add(ttl_us);
            if !is_ahead(due) {
                return true;
            }
            // A time that does not fit is not the one that says that there are no names.
            first = first.min(due.min(NO_NAMES - 1));
        }
        // If it was forgotten meanwhile, the walk may have seen times of before.
        let found = word & !NO_NAMES | first;
        let _ = self.word.compare_exchange(word, found, SeqCst, SeqCst);
        false
    }

    /// Has the next request walk over the set, after the time of a name was set back.
    pub fn forget(&self) {
        let forgotten = |word: u64| Some((word >> TIME_BITS).wrapping_add(1) << TIME_BITS);
        // It always has a next value.
        let _ = self.word.fetch_update(SeqCst, SeqCst, forgotten);
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    const TTL: u64 = 100;

    const COUNT: usize = if cfg!(miri) { 50 } else { 10_000 };

    fn new() -> NamesDue {
        NamesDue {
            word: AtomicU64::new(0),
        }
    }

    /// Asks about names with these times; yields the answer, and how many times were looked at.
    fn ask(due: &NamesDue, now: u64, asked: &[u64]) -> (bool, usize) {
        let looked = Cell::new(0);
        let asked = asked.iter().inspect(|_| looked.set(looked.get() + 1));
        let any = due.any(now, TTL, asked.copied());
        (any, looked.get())
    }

    #[test]
    fn nobody_looks_before_the_first_name_is_due() {
        let due = new();
        let mut asked = vec![1_000; COUNT];
        asked[7] = 950;
        assert_eq!(ask(&due, 1_000, &asked), (false, COUNT));
        for now in 1_000..1_050 {
            assert_eq!(ask(&due, now, &asked), (false, 0));
        }
        assert_eq!(ask(&due, 1_050, &asked), (true, 8), "up to the first");
        asked[7] = 1_050;
        assert_eq!(ask(&due, 1_050, &asked), (false, COUNT));
        assert_eq!(ask(&due, 1_099, &asked), (false, 0));
        assert_eq!(ask(&due, 1_100, &asked), (true, 1));
    }

    #[test]
    fn a_set_without_names_is_looked_at_once() {
        let due = new();
        assert_eq!(ask(&due, 5, &[]), (false, 0));
        assert_eq!(ask(&due, 5_000, &[1]), (false, 0));
    }

    #[test]
    fn a_time_that_is_set_back_during_a_walk_is_seen() {
        let due = new();
        let asked = [1_000, 1_000].into_iter();
        let walk = asked.inspect(|_| due.forget());
        assert!(!due.any(1_000, TTL, walk), "nobody has set it back yet");
        assert_eq!(ask(&due, 1_001, &[1_000, 0]), (true, 2));
        assert_eq!(ask(&due, 1_001, &[1_000]), (false, 1));
        due.forget();
        assert_eq!(ask(&due, 1_001, &[0]), (true, 1));
    }

    #[test]
    fn names_are_due_when_the_clock_is_set_back() {
        let due = new();
        assert_eq!(ask(&due, 1_000, &[1_000]), (false, 1));
        assert_eq!(ask(&due, 10, &[1_000]), (true, 1));
    }

    #[test]
    fn a_name_that_is_due_after_all_times_is_still_looked_at() {
        for now in [NO_NAMES - TTL / 2, NO_NAMES, NO_NAMES * 2] {
            let due = new();
            assert_eq!(ask(&due, now, &[now]), (false, 1), "{now}");
            assert_eq!(ask(&due, now + TTL, &[now]), (true, 1), "{now}");
        }
    }

    #[test]
    fn without_a_ttl_names_are_always_due() {
        let due = new();
        assert!(due.any(1_000, 0, [1_000].into_iter()));
        assert!(due.any(1_000, 0, [1_000].into_iter()));
    }
}

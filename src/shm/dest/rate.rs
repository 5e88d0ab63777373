//! Calls a second of one destination: at most so many within any second, whichever processes admit them.
//!
//! The times of the last N admissions lie in a ring. One more is admitted if the N-th last is a second old. Its time
//! takes that one's place in one exchange, so each place is taken once a round. The number of admissions is brought up
//! by the next one who finds it behind: a process that is stopped in between keeps nobody.

use core::ptr::NonNull;

use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use crate::shm::memory::refcount::{Counted, Hold, Kept};

/// The length of a second.
const SECOND_US: u64 = 1_000_000;

/// The bits of a place below its round: a time in microseconds, for nine years.
const TIME_BITS: u32 = 48;

/// The greatest number of a round. 0 follows it.
const ROUNDS: u64 = u64::MAX >> TIME_BITS;

/// The times of the last admissions of a destination. It goes on over loads that leave the limit as it is.
pub struct Rate {
    /// The destinations that have it: as the list describes them now, and as it did before.
    refs: AtomicU32,
    /// The number of admissions.
    admitted: AtomicU64,
    /// The time of each, and above it the round, from 1 on. 0 where none has been.
    ring: ShmSlice<AtomicU64>,
}

// SAFETY: atomics and a shared slice; zeroed it has no places, and admits nothing.
unsafe impl ShmSafe for Rate {}

impl Kept for Rate {
    fn refs(&self) -> &AtomicU32 {
        &self.refs
    }

    unsafe fn give_back(counted: NonNull<Counted<Self>>, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { arena.free(counted.cast()) };
    }
}

/// Returns the round and the time of a place.
fn unpack(place: u64) -> (u64, u64) {
    (place >> TIME_BITS, place & ((1 << TIME_BITS) - 1))
}

impl Rate {
    /// Makes a rate of at most so many admissions a second.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub(crate) fn create<A: Arena>(
        arena: &A,
        most: usize,
    ) -> Result<Hold<'_, A, Rate>, OutOfMemory> {
        let mut plan = Plan::<Rate>::of_header();
        let ring = plan.array(most);
        let mut block = plan.alloc(arena)?;
        let ring = block.slice(&ring);
        block.fill().ring = ring;
        // SAFETY: just made, of this arena.
        Ok(unsafe { Hold::new(block.header().cast(), arena) })
    }

    /// Returns the most admissions a second.
    pub fn most(&self) -> usize {
        self.ring.len()
    }

    /// Returns its size in bytes if one destination alone has it; 0 if it goes on with another one.
    pub(crate) fn bytes_of_last(&self) -> usize {
        if self.refs.load(SeqCst) > 1 {
            return 0;
        }
        size_of::<Self>() + size_of_val(self.ring.get())
    }

    /// Admits one more, unless there were too many within the last second. `now_us` is the clock: it is read for each
    /// place that is tried, so that a process which was held up does not come with an old time.
    pub fn admit(&self, now_us: impl Fn() -> u64) -> bool {
        loop {
            let number = self.admitted.load(SeqCst);
            let Some((place, round)) = self.place(number) else {
                return false;
            };
            let seen = place.load(SeqCst);
            let (of_seen, last_us) = unpack(seen);
            if of_seen == round {
                // Somebody has taken it, and has not said so yet.
                self.count(number);
                continue;
            }
            if of_seen != round.wrapping_sub(1) & ROUNDS {
                // Others have been around since the number was read.
                continue;
            }
            let now_us = now_us();
            if seen != 0 && now_us.saturating_sub(last_us) < SECOND_US {
                return false;
            }
            let taken = round << TIME_BITS | now_us & ((1 << TIME_BITS) - 1);
            if place.compare_exchange(seen, taken, SeqCst, SeqCst).is_ok() {
                self.count(number);
                return true;
            }
        }
    }

    /// Returns how many were admitted within the last second.
    pub fn recent(&self, now_us: u64) -> usize {
        let times = self.ring.get().iter().map(|place| place.load(SeqCst));
        times
            .filter(|&seen| seen != 0 && now_us.saturating_sub(unpack(seen).1) < SECOND_US)
            .count()
    }

    /// Returns the place of an admission, and its round.
    fn place(&self, number: u64) -> Option<(&AtomicU64, u64)> {
        let most = self.most() as u64;
        let at = usize::try_from(number.checked_rem(most)?).ok()?;
        let round = number.checked_div(most)? + 1;
        Some((self.ring.get().get(at)?, round & ROUNDS))
    }

    /// Counts an admission, unless somebody has done so.
    fn count(&self, number: u64) {
        // Another process may have been faster.
        let _ = self
            .admitted
            .compare_exchange(number, number + 1, SeqCst, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn no_second_has_more() {
        let mut random = StdRng::seed_from_u64(11);
        for most in [1, 2, 5, 20, 100] {
            let heap = Heap::default();
            let rate = Rate::create(&heap, most).unwrap();
            let (mut now, mut admitted, mut offered) = (7, Vec::new(), 0);
            let end = if cfg!(miri) { 3 } else { 30 } * SECOND_US;
            while now < end {
                offered += 1;
                let recent = admitted.iter().filter(|&&at| now - at < SECOND_US).count();
                assert_eq!(rate.recent(now), recent);
                assert_eq!(rate.admit(|| now), recent < most, "{most} at {now}");
                if recent < most {
                    admitted.push(now);
                }
                now += random.random_range(0..3 * SECOND_US / most as u64 / 2);
            }
            assert!(offered > admitted.len());
        }
    }

    /// A round number has 16 bits.
    #[test]
    fn it_goes_on_after_many_rounds() {
        let heap = Heap::default();
        let rate = Rate::create(&heap, 1).unwrap();
        let rounds: u64 = if cfg!(miri) { 10 } else { 200_000 };
        for second in 1..rounds {
            assert!(rate.admit(|| second * SECOND_US));
            assert!(!rate.admit(|| second * SECOND_US + SECOND_US - 1));
        }
    }

    #[test]
    fn a_slow_clock_reads_earlier_times() {
        let heap = Heap::default();
        let rate = Rate::create(&heap, 2).unwrap();
        assert!(rate.admit(|| 5 * SECOND_US));
        assert!(rate.admit(|| 5 * SECOND_US - 10));
        assert!(!rate.admit(|| 5 * SECOND_US - 20));
        assert!(rate.admit(|| 6 * SECOND_US));
        assert!(!rate.admit(|| 6 * SECOND_US - 11));
        assert!(rate.admit(|| 6 * SECOND_US - 10));
    }
}

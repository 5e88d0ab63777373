//! Overload control of one destination: which share of its turns it is passed over, and until when.

use crate::shm::memory::atomic::{
    AtomicI32, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

/// The load that a destination has reported. Zeroed, it has reported nothing yet.
pub struct Overload {
    /// Turns of a hundred that are passed over.
    rate: AtomicU32,
    /// Until when, in microseconds of the clock that all processes share.
    until_us: AtomicU64,
    /// Number of the last report.
    seq: AtomicI32,
    /// Turns since then, modulo what fits.
    turns: AtomicU32,
}

/// Returns true if this turn is one of the `rate` of a hundred that are passed over, evenly spread.
fn is_passed_over(turn: u32, rate: u32) -> bool {
    let at = turn % 100;
    (at + 1) * rate / 100 != at * rate / 100
}

impl Overload {
    /// Sets the rate to begin with, before anybody else sees the record.
    pub fn begin(&self, rate: u32) {
        self.rate.store(rate.min(100), Relaxed);
    }

    /// Takes a report; false when a newer one was taken already.
    ///
    /// Two processes that take reports at one moment may leave the rate of one with the time of the other. Such a
    /// mixture counts until the next report.
    pub fn report(&self, seq: i32, rate: u32, until_us: u64) -> bool {
        let newer = |last| (seq > last).then_some(seq);
        if self.seq.fetch_update(SeqCst, SeqCst, newer).is_err() {
            return false;
        }
        self.rate.store(rate.min(100), Relaxed);
        self.until_us.store(until_us, Relaxed);
        true
    }

    /// Takes a turn at this time; true when the destination is passed over.
    pub fn pass_over(&self, now_us: u64) -> bool {
        if self.until_us.load(Relaxed) <= now_us {
            return false;
        }
        let turn = self.turns.fetch_add(1, Relaxed);
        is_passed_over(turn, self.rate.load(Relaxed))
    }

    /// Turns of a hundred that are passed over.
    pub fn rate(&self) -> u32 {
        self.rate.load(Relaxed)
    }

    /// Until when, in microseconds; 0 for never.
    pub fn until_us(&self) -> u64 {
        self.until_us.load(Relaxed)
    }

    /// Returns the number of the last report.
    pub fn seq(&self) -> i32 {
        self.seq.load(SeqCst)
    }

    /// Returns the turn of a hundred that comes next.
    pub fn turn(&self) -> u32 {
        self.turns.load(Relaxed) % 100
    }
}

#[cfg(test)]
mod tests {
    use super::is_passed_over;

    #[test]
    fn so_many_of_a_hundred_are_passed_over() {
        for rate in 0..=100 {
            let passed = (7..107).filter(|&turn| is_passed_over(turn, rate)).count();
            assert_eq!(passed, rate as usize);
        }
    }
}

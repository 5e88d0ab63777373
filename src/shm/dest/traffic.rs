//! The standing of a destination by what its branches have said, and what was counted of them.

use crate::dispatch::passive::standing::{News, Phase, Standing};
use crate::shm::memory::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// A slow start that begins when somebody looks.
const RAMP_BEGINS: u64 = 1;

/// The standing and the counts of a destination by its traffic. Zeroed nothing is known.
pub struct Traffic {
    /// The [`Standing::word`].
    standing: AtomicU64,
    /// Branches that it has answered.
    good: AtomicU64,
    /// Branches that have failed.
    failed: AtomicU64,
    /// The number of its ejections.
    ejections: AtomicU64,
    /// The last status that counted as a failure.
    last_failure: AtomicU32,
    /// Not 0 while it is told as ejected.
    told_out: AtomicU32,
    /// When its slow start began, in milliseconds; 0 without one, [`RAMP_BEGINS`] until somebody looks.
    ramp_from_ms: AtomicU64,
    /// Turns of its slow start.
    ramp_turns: AtomicU64,
}

impl Traffic {
    /// Returns the standing.
    pub fn standing(&self) -> Standing {
        Standing::of_word(self.standing.load(SeqCst))
    }

    /// Returns true if it gets no requests but one that tries it.
    pub fn is_out(&self) -> bool {
        self.standing().phase != Phase::In
    }

    /// Changes the standing in one step, however many processes change it at once. Returns it as it was before and
    /// after that.
    pub fn change(&self, change: impl Fn(Standing) -> Standing) -> (Standing, Standing) {
        let mut seen = self.standing.load(SeqCst);
        loop {
            let before = Standing::of_word(seen);
            let after = change(before);
            if after == before {
                return (before, before);
            }
            match self
                .standing
                .compare_exchange(seen, after.word(), SeqCst, SeqCst)
            {
                Ok(_) => return (before, after),
                Err(newer) => seen = newer,
            }
        }
    }

    /// Forgets ejections and failures.
    pub fn forgive(&self) {
        self.standing.store(0, SeqCst);
    }

    /// Ends the trial by a request that was sent at this time, if it is still one: the request has said nothing.
    pub fn end_trial(&self, sent_ms: u64) {
        self.change(|standing| standing.untried(sent_ms));
    }

    /// Begins a slow start, when somebody next looks: the destination is back.
    pub fn begin_ramp(&self) {
        self.ramp_from_ms.store(RAMP_BEGINS, SeqCst);
    }

    /// Returns true if it is in a slow start, or was when somebody last looked.
    pub fn has_ramp(&self) -> bool {
        self.ramp_from_ms.load(SeqCst) != 0
    }

    /// Returns the milliseconds since its slow start began, which is of this length; `None` without one.
    pub fn ramp_ms(&self, now_ms: u64, length_ms: u64) -> Option<u64> {
        let from_ms = match self.ramp_from_ms.load(SeqCst) {
            0 => return None,
            RAMP_BEGINS => {
                self.ramp_from_ms.store(now_ms, SeqCst);
                now_ms
            }
            from_ms => from_ms,
        };
        let elapsed_ms = now_ms.saturating_sub(from_ms);
        if elapsed_ms < length_ms {
            return Some(elapsed_ms);
        }
        // Somebody may have begun another one meanwhile.
        let _ = self
            .ramp_from_ms
            .compare_exchange(from_ms, 0, SeqCst, SeqCst);
        None
    }

    /// Takes a turn of its slow start.
    pub fn take_ramp_turn(&self) -> u64 {
        self.ramp_turns.fetch_add(1, SeqCst)
    }

    /// Counts what a branch said, whose last status was this one.
    pub(in crate::shm) fn count(&self, news: News, status: u16) {
        let count = match news {
            News::Good => &self.good,
            News::Failure | News::RetryAfter(_) => {
                self.last_failure.store(status.into(), SeqCst);
                &self.failed
            }
        };
        count.fetch_add(1, SeqCst);
    }

    /// Counts an ejection.
    pub(in crate::shm) fn count_ejection(&self) {
        self.ejections.fetch_add(1, SeqCst);
    }

    /// Returns the branches that it has answered, and those that have failed.
    pub fn branches(&self) -> (u64, u64) {
        (self.good.load(SeqCst), self.failed.load(SeqCst))
    }

    /// Returns how often it was ejected.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(SeqCst)
    }

    /// Returns the last status that counted as a failure, 408 for silence; 0 before the first one.
    pub fn last_failure(&self) -> u16 {
        u16::try_from(self.last_failure.load(SeqCst)).unwrap_or(0)
    }

    /// Says whether it is told as ejected. Returns true if that is news.
    pub fn tell(&self, out: bool) -> bool {
        self.told_out.swap(out.into(), SeqCst) != u32::from(out)
    }
}

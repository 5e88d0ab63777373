//! The standing of a destination: how many of its branches failed in a row, and whether it is ejected for that.
//!
//! All functions are pure, and a standing is one word, so that a caller can run them in a compare-and-swap loop.

/// The times and numbers that ejections go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Failures in a row that eject; 0 for never.
    pub fails: u32,
    /// Milliseconds of the first ejection.
    pub eject_ms: u64,
    /// The most milliseconds of an ejection for failures.
    pub most_ms: u64,
    /// The most milliseconds that a `Retry-After` takes a destination out; 0 if that header is not looked at.
    pub retry_after_ms: u64,
}

/// Milliseconds after which a trial counts as lost whose end nobody has told: the request had no transaction.
pub const LOST_TRIAL_MS: u64 = 300_000;

/// The news that a branch has of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It has answered.
    Good,
    /// It has not answered, or it has refused to work.
    Failure,
    /// It asks to be left alone for so many seconds.
    RetryAfter(u32),
}

/// The phase of a destination: it is in, ejected, or tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It gets requests. The time is that of its return; 0 if it never was out.
    #[default]
    In = 0,
    /// It is out for failures until this time. Probation follows.
    Out = 1,
    /// It is out until this time, because it has asked for that.
    Asked = 2,
    /// It is back on probation since this time, and waits for the request that tries it.
    Probation = 3,
    /// One request tries it since this time.
    Trial = 4,
}

impl Phase {
    const fn from_number(number: u64) -> Self {
        match number {
            1 => Phase::Out,
            2 => Phase::Asked,
            3 => Phase::Probation,
            4 => Phase::Trial,
            _ => Phase::In,
        }
    }

    /// Returns true if the destination is ejected.
    #[must_use]
    pub const fn is_out(self) -> bool {
        matches!(self, Phase::Out | Phase::Asked)
    }

    /// Returns true while one request at most tries the destination.
    #[must_use]
    pub const fn is_on_probation(self) -> bool {
        matches!(self, Phase::Probation | Phase::Trial)
    }
}

/// The standing of a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The phase, which says whether it is ejected.
    pub phase: Phase,
    /// Failures in a row.
    pub row: u32,
    /// The length of its last ejection for failures, in lengths of the first.
    pub times: u32,
    /// The time of the phase, in milliseconds.
    pub at_ms: u64,
}

/// Bits of a word for each part; the time has the rest.
const PHASE_BITS: u32 = 3;
const ROW_BITS: u32 = 10;
const TIMES_BITS: u32 = 8;

/// The most failures in a row that are counted, which is the most that `fails` can ask for.
pub const MOST_FAILS: u32 = (1 << ROW_BITS) - 1;
const MOST_TIMES: u32 = (1 << TIMES_BITS) - 1;

/// Returns the lowest bits of a word, and takes them from it.
fn take(word: &mut u64, bits: u32) -> u64 {
    let taken = *word & ((1 << bits) - 1);
    *word >>= bits;
    taken
}

impl Standing {
    /// Returns the standing that [`Standing::word`] gave this word for. The word 0 is that of a destination of which
    /// nothing is known.
    #[must_use]
    pub fn of_word(mut word: u64) -> Self {
        let phase = Phase::from_number(take(&mut word, PHASE_BITS));
        let mut number = |bits| u32::try_from(take(&mut word, bits)).unwrap_or(0);
        let (row, times) = (number(ROW_BITS), number(TIMES_BITS));
        Standing {
            phase,
            row,
            times,
            at_ms: word,
        }
    }

    /// Returns the standing as one word.
    #[must_use]
    pub fn word(self) -> u64 {
        let row = u64::from(self.row.min(MOST_FAILS)) << PHASE_BITS;
        let times = u64::from(self.times.min(MOST_TIMES)) << (PHASE_BITS + ROW_BITS);
        let at = self.at_ms << (PHASE_BITS + ROW_BITS + TIMES_BITS);
        self.phase as u64 | row | times | at
    }

    fn turned(self, phase: Phase, at_ms: u64) -> Self {
        Standing {
            phase,
            at_ms,
            ..self
        }
    }

    /// Returns the standing after a branch that was sent at `sent_ms` has told something at `now_ms`.
    ///
    /// Out of the set, and on probation, only that counts which was sent since then. A time that the destination asks
    /// for holds always, but the branch of a trial that asks for one has failed.
    #[must_use]
    pub fn after(self, news: News, sent_ms: u64, now_ms: u64, rules: &Rules) -> Self {
        let is_late = self.phase != Phase::In && sent_ms < self.at_ms;
        let until_ms = match news {
            News::RetryAfter(seconds) if seconds > 0 && rules.retry_after_ms > 0 => {
                let asked_ms = u64::from(seconds) * 1_000;
                Some(now_ms + asked_ms.min(rules.retry_after_ms))
            }
            _ => None,
        };
        match (news, until_ms) {
            (_, Some(until_ms)) if !self.phase.is_on_probation() => self.asked(until_ms),
            _ if is_late => self,
            (News::Good, _) => self.after_good(now_ms),
            (_, None) => self.after_failure(now_ms, rules),
            (_, Some(until_ms)) => self.after_failure(now_ms, rules).asked(until_ms),
        }
    }

    /// A good one ends the row, and probation.
    fn after_good(self, now_ms: u64) -> Self {
        let good = Standing { row: 0, ..self };
        if self.phase.is_on_probation() {
            good.turned(Phase::In, now_ms)
        } else {
            good
        }
    }

    fn after_failure(self, now_ms: u64, rules: &Rules) -> Self {
        if rules.fails == 0 {
            // No number of failures ejects it any more.
            return self.after_good(now_ms);
        }
        let row = self.row.saturating_add(1).min(MOST_FAILS);
        let more = Standing { row, ..self };
        if row < rules.fails && !self.phase.is_on_probation() {
            return more;
        }
        let eject_ms = rules.eject_ms.max(1);
        // Each such time without an ejection has made the next one shorter by one of them.
        let quiet = match self.phase {
            Phase::In => now_ms.saturating_sub(self.at_ms) / eject_ms,
            _ => 0,
        };
        let quiet = u32::try_from(quiet).unwrap_or(u32::MAX);
        let most = u32::try_from(rules.most_ms.div_ceil(eject_ms)).unwrap_or(MOST_TIMES);
        let times = self.times.saturating_sub(quiet).saturating_add(1);
        let times = times.min(most.clamp(1, MOST_TIMES));
        let out_ms = (u64::from(times) * eject_ms).min(rules.most_ms.max(eject_ms));
        Standing { times, ..more }.turned(Phase::Out, now_ms + out_ms)
    }

    /// The later of two ends counts, and probation follows an ejection for failures in any case.
    fn asked(self, until_ms: u64) -> Self {
        match self.phase {
            Phase::Out | Phase::Asked => self.turned(self.phase, self.at_ms.max(until_ms)),
            Phase::In | Phase::Probation | Phase::Trial => self.turned(Phase::Asked, until_ms),
        }
    }

    /// Returns the standing at this time: an ejection may have come to its end.
    #[must_use]
    pub fn at(self, now_ms: u64) -> Self {
        match self.phase {
            Phase::Out if now_ms >= self.at_ms => self.turned(Phase::Probation, now_ms),
            Phase::Asked if now_ms >= self.at_ms => {
                Standing { row: 0, ..self }.turned(Phase::In, now_ms)
            }
            _ => self,
        }
    }

    /// Returns the standing with a request that tries the destination; `None` while another one does.
    #[must_use]
    pub fn tried(self, now_ms: u64) -> Option<Self> {
        let may_try = match self.phase {
            Phase::Probation => true,
            Phase::Trial => now_ms >= self.at_ms + LOST_TRIAL_MS,
            _ => false,
        };
        may_try.then(|| self.turned(Phase::Trial, now_ms))
    }

    /// Returns the standing after the request that tried the destination has ended and said nothing, which was sent at
    /// `sent_ms`: the next one tries it.
    #[must_use]
    pub fn untried(self, sent_ms: u64) -> Self {
        match self.phase {
            Phase::Trial if sent_ms >= self.at_ms => self.turned(Phase::Probation, self.at_ms),
            _ => self,
        }
    }

    /// Returns the standing of a destination that is called back before its time: only its row is forgotten.
    #[must_use]
    pub fn called_back(self) -> Self {
        Standing { row: 0, ..self }.turned(Phase::In, self.at_ms)
    }

    /// Returns the standing if an ejection is not to be, because too many others are ejected: the row stays, and the
    /// next failure asks again.
    #[must_use]
    pub fn spared(self, before: Self) -> Self {
        Standing {
            row: self.row,
            ..before
        }
    }
}

/// Returns how many of a set's destinations may be ejected at a time, at `percent` of them. The first one always may.
#[must_use]
pub fn most_ejected(percent: u32, dests: usize) -> usize {
    let percent = usize::try_from(percent).unwrap_or(100);
    (dests.saturating_mul(percent) / 100).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use News::{Failure, Good, RetryAfter};

    const RULES: Rules = Rules {
        fails: 5,
        eject_ms: 30_000,
        most_ms: 300_000,
        retry_after_ms: 60_000,
    };

    /// Returns the standing after so many failures at one time.
    fn failed(standing: Standing, count: u32, now_ms: u64) -> Standing {
        (0..count).fold(standing, |standing, _| {
            standing.after(Failure, now_ms, now_ms, &RULES)
        })
    }

    #[test]
    fn five_failures_in_a_row_eject_and_a_good_one_ends_the_row() {
        let four = failed(Standing::default(), 4, 1_000);
        assert_eq!((four.phase, four.row), (Phase::In, 4));
        let good = four.after(Good, 1_000, 1_000, &RULES);
        assert_eq!((good.phase, good.row), (Phase::In, 0));
        assert!(!failed(good, 4, 1_000).phase.is_out());
        let five = failed(four, 1, 2_000);
        assert_eq!(
            (five.phase, five.at_ms, five.times),
            (Phase::Out, 32_000, 1)
        );
        let late = failed(five, 9, 3_000).after(Good, 3_000, 3_000, &RULES);
        assert_eq!((late.phase, late.at_ms), (five.phase, five.at_ms));
    }

    #[test]
    fn a_destination_that_stays_dead_is_out_longer_each_time() {
        let mut standing = failed(Standing::default(), 5, 0);
        let mut lengths = vec![standing.at_ms];
        for _ in 0..11 {
            let now = standing.at_ms;
            assert_eq!(standing.at(now - 1), standing, "its time is not over");
            standing = standing.at(now);
            assert_eq!(standing.phase, Phase::Probation);
            standing = standing.tried(now).unwrap();
            assert_eq!(standing.tried(now + 29_999), None);
            standing = standing.after(Failure, now, now, &RULES);
            lengths.push(standing.at_ms - now);
        }
        let expected: Vec<u64> = (1..=12).map(|m| (m * 30_000).min(300_000)).collect();
        assert_eq!(lengths, expected);
    }

    #[test]
    fn quiet_times_make_the_next_ejection_shorter() {
        let out = Standing {
            times: 4,
            ..failed(Standing::default(), 5, 0)
        };
        let back = out.at(out.at_ms).tried(out.at_ms).unwrap();
        let back = back.after(Good, out.at_ms, out.at_ms, &RULES);
        assert_eq!((back.phase, back.row), (Phase::In, 0));
        for (quiet_ms, times) in [(0, 5), (29_999, 5), (30_000, 4), (90_000, 2), (1 << 40, 1)] {
            let again = failed(back, 5, back.at_ms + quiet_ms);
            assert_eq!(again.times, times, "{quiet_ms}");
        }
    }

    #[test]
    fn retry_after_is_obeyed_within_its_bound() {
        for (seconds, expected_ms) in [(7, 7_000), (60, 60_000), (300, 60_000), (u32::MAX, 60_000)]
        {
            let asked = Standing::default().after(RetryAfter(seconds), 1_000, 1_000, &RULES);
            assert_eq!(
                (asked.phase, asked.at_ms),
                (Phase::Asked, 1_000 + expected_ms)
            );
            assert_eq!(asked.times, 0, "it is no failure");
            let back = asked.at(asked.at_ms);
            assert_eq!((back.phase, back.row), (Phase::In, 0));
        }
        let not_asked = [
            (RetryAfter(0), RULES),
            (
                RetryAfter(9),
                Rules {
                    retry_after_ms: 0,
                    ..RULES
                },
            ),
        ];
        for (news, rules) in not_asked {
            let one = Standing::default().after(news, 0, 0, &rules);
            assert_eq!((one.phase, one.row), (Phase::In, 1), "one failure");
        }
    }

    #[test]
    fn the_later_of_two_ends_counts() {
        let out = failed(Standing::default(), 5, 0);
        let shorter = out.after(RetryAfter(7), 0, 0, &RULES);
        assert_eq!(shorter, out);
        let longer = out.after(RetryAfter(45), 0, 0, &RULES);
        assert_eq!((longer.phase, longer.at_ms), (Phase::Out, 45_000));
        let asked = Standing::default().after(RetryAfter(9), 0, 0, &RULES);
        let again = asked.after(RetryAfter(2), 0, 0, &RULES);
        assert_eq!(again.at_ms, 9_000);
    }

    /// Requests that were sent before an ejection or its end say nothing of what the destination is like since then.
    #[test]
    fn on_probation_only_requests_of_that_time_count() {
        let back = failed(Standing::default(), 5, 0).at(30_000);
        let trial = back.tried(31_000).unwrap();
        for standing in [back, trial] {
            for news in [Good, Failure, RetryAfter(9)] {
                assert_eq!(standing.after(news, 29_999, 32_000, &RULES), standing);
            }
        }
        let good = trial.after(Good, 31_000, 32_000, &RULES);
        assert_eq!((good.phase, good.at_ms), (Phase::In, 32_000));
        let again = trial.after(Failure, 31_000, 32_000, &RULES);
        assert_eq!((again.phase, again.at_ms), (Phase::Out, 92_000));
    }

    #[test]
    fn a_trial_that_asks_for_time_has_failed() {
        let trial = failed(Standing::default(), 5, 0).at(30_000);
        let trial = trial.tried(30_000).unwrap();
        let short = trial.after(RetryAfter(7), 30_000, 30_000, &RULES);
        let rules = Rules {
            retry_after_ms: 90_000,
            ..RULES
        };
        let long = trial.after(RetryAfter(90), 30_000, 30_000, &rules);
        for (standing, at_ms) in [(short, 90_000), (long, 120_000)] {
            let seen = (standing.phase, standing.times, standing.at_ms);
            assert_eq!(seen, (Phase::Out, 2, at_ms));
        }
    }

    #[test]
    fn a_trial_that_says_nothing_is_followed_by_another() {
        let back = failed(Standing::default(), 5, 0).at(30_000);
        let trial = back.tried(31_000).unwrap();
        assert_eq!(trial.untried(30_999), trial, "of an earlier trial");
        assert_eq!(trial.untried(31_000).phase, Phase::Probation);
        let good = trial.after(Good, 31_000, 31_000, &RULES);
        assert_eq!(good.untried(31_000), good);
    }

    #[test]
    fn one_that_is_called_back_is_out_longer_when_it_fails_again() {
        let out = failed(Standing::default(), 5, 0);
        let back = out.called_back();
        assert_eq!((back.phase, back.row, back.times), (Phase::In, 0, 1));
        assert_eq!(failed(back, 5, 1_000).times, 2);
    }

    #[test]
    fn a_lost_trial_is_tried_again() {
        let back = failed(Standing::default(), 5, 0).at(30_000);
        let trial = back.tried(30_000).unwrap();
        let lost = 30_000 + LOST_TRIAL_MS;
        assert_eq!(trial.tried(lost - 1), None);
        assert_eq!(trial.tried(lost).unwrap().at_ms, lost);
        assert_eq!(Standing::default().tried(0), None);
    }

    #[test]
    fn a_destination_that_never_fails_by_attribute_stays_in() {
        let never = Rules { fails: 0, ..RULES };
        let failed = (0..99).fold(Standing::default(), |standing, _| {
            standing.after(Failure, 0, 0, &never)
        });
        assert_eq!(failed, Standing::default());
    }

    #[test]
    fn a_spared_one_keeps_its_row() {
        let four = failed(Standing::default(), 4, 0);
        let spared = failed(four, 1, 0).spared(four);
        assert_eq!((spared.phase, spared.row), (Phase::In, 5));
        assert!(failed(spared, 1, 0).phase.is_out(), "it asks again");
    }

    #[test]
    fn a_word_holds_a_standing() {
        let phases = [
            Phase::In,
            Phase::Out,
            Phase::Asked,
            Phase::Probation,
            Phase::Trial,
        ];
        for phase in phases {
            let standing = Standing {
                phase,
                row: 1_000,
                times: 200,
                at_ms: 1 << 42,
            };
            assert_eq!(Standing::of_word(standing.word()), standing);
        }
        assert_eq!(Standing::of_word(0), Standing::default());
        assert_eq!(Standing::default().word(), 0);
    }

    #[test]
    fn so_many_may_be_ejected() {
        let rows = [
            (30, 10, 3),
            (30, 2, 1),
            (30, 1, 1),
            (0, 50, 1),
            (100, 4, 4),
            (30, 0, 1),
        ];
        for (percent, dests, most) in rows {
            assert_eq!(most_ejected(percent, dests), most, "{percent} % of {dests}");
        }
    }
}

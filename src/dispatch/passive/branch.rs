//! The news that a branch of a transaction has of its destination.

use super::standing::News;
use crate::dispatch::state::probe::ReplyCodes;

/// Milliseconds of silence after which an end counts as a failure whoever brought it about: by then four copies of a
/// request over UDP have had no answer.
pub const SILENCE_MS: u64 = 4_000;

/// A reply that only says that the request has come: it decides nothing.
const TRYING: u16 = 100;
/// A reply to a request that was cancelled: it decides nothing.
const CANCELLED: u16 = 487;

/// Returns the news in a reply; `None` if it decides nothing. `retry_after` is asked of a 503 alone.
///
/// A branch counts once, so the first reply that decides is the one that counts: a failure after ringing is none.
#[must_use]
pub fn of_reply(
    status: u16,
    codes: &ReplyCodes,
    retry_after: impl FnOnce() -> Option<u32>,
) -> Option<News> {
    match status {
        TRYING | CANCELLED => None,
        status if status >= 200 && codes.has(status) => {
            let asked = (status == 503).then(retry_after).flatten();
            Some(asked.map_or(News::Failure, News::RetryAfter))
        }
        _ => Some(News::Good),
    }
}

/// The state of a branch when its transaction fails, or goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The request could not be sent.
    pub unsent: bool,
    /// The time for a reply is over.
    pub timed_out: bool,
    /// Anything was received.
    pub heard: bool,
    /// Milliseconds since the request was sent.
    pub age_ms: u64,
}

/// Returns the news in the end of a branch that no reply has decided; `None` if it says nothing.
#[must_use]
pub fn of_end(end: End) -> Option<News> {
    let silent = !end.heard && (end.timed_out || end.age_ms >= SILENCE_MS);
    (end.unsent || silent).then_some(News::Failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(status: u16, retry_after: Option<u32>) -> Option<News> {
        let codes = ReplyCodes::parse(b"code=503;code=404");
        of_reply(status, &codes, || retry_after)
    }

    #[test]
    fn a_reply_is_good_unless_its_code_is_listed() {
        let rows = [
            (100, None),
            (101, Some(News::Good)),
            (183, Some(News::Good)),
            (200, Some(News::Good)),
            (401, Some(News::Good)),
            (404, Some(News::Failure)),
            (486, Some(News::Good)),
            (487, None),
            (500, Some(News::Good)),
            (503, Some(News::Failure)),
            (603, Some(News::Good)),
        ];
        for (status, expected) in rows {
            assert_eq!(news(status, None), expected, "{status}");
        }
        assert_eq!(news(503, Some(7)), Some(News::RetryAfter(7)));
        assert_eq!(news(404, Some(7)), Some(News::Failure));
        assert_eq!(news(500, Some(7)), Some(News::Good));
    }

    #[test]
    fn silence_counts_when_the_time_is_over_or_after_four_seconds() {
        let end = End::default();
        let aged = |age_ms| End { age_ms, ..end };
        let rows = [
            (end, false),
            (aged(SILENCE_MS - 1), false),
            (aged(SILENCE_MS), true),
            (
                End {
                    timed_out: true,
                    ..end
                },
                true,
            ),
            (
                End {
                    unsent: true,
                    ..end
                },
                true,
            ),
            (
                End {
                    heard: true,
                    ..aged(9_000)
                },
                false,
            ),
            (
                End {
                    heard: true,
                    timed_out: true,
                    ..end
                },
                false,
            ),
        ];
        for (end, fails) in rows {
            let expected = fails.then_some(News::Failure);
            assert_eq!(of_end(end), expected, "{end:?}");
        }
    }
}

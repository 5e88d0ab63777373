//! A list of the places to which nothing is sent for a while, because sending there takes long or fails.

use std::collections::HashMap;

use super::settings::Settings;

/// A peer that is no member and that nothing can be sent to has peace for at least so long.
const UNREACHED_MS: u64 = 10_000;

/// A peer has peace for at least so many times as long as sending to it took. So one slow name costs a twentieth of the time
/// of the process.
const TIMES: u64 = 20;

/// Sending that takes less than this is not slow.
const SLOW_MS: u64 = 100;

/// The URIs where nothing is sent for a while. Looking for a name may take long, and nothing else is done meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Peace(HashMap<String, Until>);

#[derive(Clone, Copy, Debug)]
struct Until {
    ms: u64,
    failed: bool,
}

/// An attempt to send something: when it began and ended, by the clock that never goes back, and whether it succeeded.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// When it began.
    pub began_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// True if the message was sent.
    pub sent: bool,
    /// True if the peer is a member.
    pub to_member: bool,
}

impl Peace {
    /// Tells whether nothing is to be sent to a URI now.
    #[must_use]
    pub fn has(&self, uri: &str, now_ms: u64) -> bool {
        self.0.get(uri).is_some_and(|until| now_ms < until.ms)
    }

    /// Takes notice of an attempt. Returns true if it is the first one in a row that has failed.
    ///
    /// A member has never so long a peace after a message that was sent that it would take this node for dead, and after a
    /// failure that took no time it is tried again at the next hello.
    pub fn after(&mut self, uri: &str, attempt: Attempt, settings: &Settings) -> bool {
        let Attempt {
            began_ms, ended_ms, ..
        } = attempt;
        let took_ms = ended_ms.saturating_sub(began_ms);
        let in_proportion = took_ms.saturating_mul(TIMES);
        let for_ms = match (attempt.sent, attempt.to_member) {
            (true, _) if took_ms < SLOW_MS => {
                self.0.remove(uri);
                return false;
            }
            (true, _) => in_proportion.min(settings.dead_ms / 2),
            (false, true) => in_proportion.max(settings.hello_ms),
            (false, false) => in_proportion.max(UNREACHED_MS),
        };
        // Peers that were forgotten are tried no more.
        self.0
            .retain(|_, until| until.ms + 2 * UNREACHED_MS > ended_ms);
        let until = Until {
            ms: ended_ms.saturating_add(for_ms),
            failed: !attempt.sent,
        };
        let before = self.0.insert(uri.to_owned(), until);
        until.failed && !before.is_some_and(|before| before.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        cluster: String::new(),
        node: String::new(),
        uri: String::new(),
        peers: Vec::new(),
        hello_ms: 1_000,
        dead_ms: 5_000,
        join_wait_ms: 0,
        key: None,
        dead_hold_ms: 10_000,
        share_states: true,
    };

    /// Returns for how long there is peace after an attempt that began at 1,000.
    fn for_ms(took_ms: u64, sent: bool, to_member: bool) -> u64 {
        let mut peace = Peace::default();
        let attempt = Attempt {
            began_ms: 1_000,
            ended_ms: 1_000 + took_ms,
            sent,
            to_member,
        };
        assert_eq!(peace.after("sip:a", attempt, &SETTINGS), !sent);
        let ended_ms = attempt.ended_ms;
        assert!(!peace.has("sip:b", ended_ms));
        let mut times = (ended_ms..).step_by(100);
        let end_ms = times.find(|&ms| !peace.has("sip:a", ms)).unwrap();
        assert!(end_ms == ended_ms || peace.has("sip:a", end_ms - 1));
        end_ms - ended_ms
    }

    #[test]
    fn peace_follows_from_how_long_it_took() {
        assert_eq!(for_ms(5, true, true), 0);
        // A slow name that has an address: not as long as a member would bear.
        assert_eq!(for_ms(110, true, true), 2_200);
        assert_eq!(for_ms(4_000, true, true), 2_500);
        // The memory was full for a moment.
        assert_eq!(for_ms(1, false, true), 1_000);
        assert_eq!(for_ms(1, false, false), 10_000);
        // A name server that does not answer: the lookup itself is no part of the peace.
        assert_eq!(for_ms(10_000, false, true), 200_000);
        assert_eq!(for_ms(10_000, false, false), 200_000);
    }

    #[test]
    fn the_first_failure_in_a_row_is_told() {
        let mut peace = Peace::default();
        let mut after = |began_ms, sent| {
            let attempt = Attempt {
                began_ms,
                ended_ms: began_ms,
                sent,
                to_member: true,
            };
            peace.after("sip:a", attempt, &SETTINGS)
        };
        assert!(after(1_000, false));
        assert!(!after(2_000, false));
        assert!(!after(3_000, true));
        assert!(after(4_000, false));
    }
}

//! Lines of the server's log that a fault explains.

use std::time::Duration;

use super::scene::{Kind, Weather};

/// A part of a log line, and the faults of which one explains it.
const EXCUSES: &[(&str, &[Kind])] = &[
    (
        "no dispatching list loaded from file",
        &[Kind::File, Kind::Heap],
    ),
    ("refuse(): ", &[Kind::File]),
    ("the list has no destination left", &[Kind::File]),
    (" destinations not loaded: another process ", &[Kind::Stop]),
    (" is changing the lists", &[Kind::Stop]),
    (" bytes of replaced lists cannot be freed", &[Kind::Stop]),
    ("out of shared memory", &[Kind::Pool, Kind::Stop]),
    ("no memory for the results of set ", &[Kind::Pool]),
    ("events are dropped", &[Kind::Pool, Kind::Heap]),
    ("events were dropped", &[Kind::Pool, Kind::Heap]),
    ("no shared memory to ping ", &[Kind::Pool]),
    (" pings cannot be sent: ", &[Kind::Pool]),
    ("out of memory", &[Kind::Heap]),
    // The transaction of a ping had lived too long before the ping was sent.
    ("failed to start retr.", &[Kind::Clock, Kind::Stop]),
    (
        "states of destinations are not kept, trying again",
        &[Kind::Keep],
    ),
    // The client has gone while the process was stopped.
    ("tsend_datagram_ev: failed to send", &[Kind::Stop]),
    ("rpc_send: send failed", &[Kind::Stop]),
    ("failed to send the response", &[Kind::Stop]),
];

/// The time that a process may hold something on a busy machine without being stopped.
const BUSY: Duration = Duration::from_secs(3);

/// Returns the lines of a log that are errors, or warnings of ours, and that no fault of this life explains.
pub fn unexplained<'l>(log: &'l str, weather: &Weather) -> Vec<&'l str> {
    let is_bad = |line: &&str| {
        [
            " ERROR: ",
            " BUG: ",
            " CRITICAL: ",
            " ALERT: ",
            " WARNING: dispatcher ",
        ]
        .iter()
        .any(|level| line.contains(level))
    };
    let is_explained = |line: &&str| {
        // Each module has its own line for a lack of memory.
        let of_others = line.contains(" ERROR: ") && !line.contains(": dispatcher ");
        // Changes of states are no faults.
        line.contains(harness::CHANGES)
            || of_others && weather.ever(Kind::Pool)
            || was_held(line, weather)
            || EXCUSES.iter().any(|(part, kinds)| {
                line.contains(part)
                    && (kinds.is_empty() || kinds.iter().any(|kind| weather.ever(*kind)))
            })
    };
    log.lines()
        .filter(is_bad)
        .filter(|line| !is_explained(line))
        .collect()
}

/// Returns true for a line that names a process that has held something for some time, if it was stopped for about that
/// time, or another one that nobody could do without.
fn was_held(line: &str, weather: &Weather) -> bool {
    let held = || {
        let (before, after) = [" has been reading ", " has been changing "]
            .iter()
            .find_map(|words| line.split_once(words))?;
        let pid = before.rsplit(' ').next()?.parse().ok()?;
        let time = after
            .split_once(" for ")?
            .1
            .split(' ')
            .next()?
            .parse()
            .ok()?;
        Some(weather.stood_in_all(pid) + BUSY >= Duration::from_secs(time))
    };
    held() == Some(true)
}

//! How long a process waits for its turn to change the lists.

use crate::kamailio::server::time::now_ms;
use crate::shm::table::lock::Patience;

/// Milliseconds that a process waits in a route: it has requests to serve.
const ROUTE_MS: u64 = 1_000;
/// Milliseconds that a command waits, and a process that does nothing else.
const COMMAND_MS: u64 = 10_000;

/// Returns the seconds of the clock by which locks and pins are watched.
pub fn watch_s() -> u64 {
    now_ms() / 1_000
}

/// Tries once: for what can be done with the next request as well.
pub fn none() -> Patience {
    of(0)
}

/// Waits as long as a route may.
pub fn of_route() -> Patience {
    of(ROUTE_MS)
}

/// Waits as long as a command may, or a process of the module's own.
pub fn of_command() -> Patience {
    of(COMMAND_MS)
}

fn of(wait_ms: u64) -> Patience {
    let now_s = watch_s();
    Patience { wait_ms, now_s }
}

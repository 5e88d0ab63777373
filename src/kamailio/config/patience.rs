//! How long a process waits for its turn to change the lists.

use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use crate::kamailio::server::time::now_ms;
use crate::shm::table::lock::Patience;

/// Milliseconds that a process waits that has requests to serve.
const ROUTE_MS: u64 = 1_000;
/// Milliseconds that a process waits that has none.
const COMMAND_MS: u64 = 10_000;

/// The rank of this process, once it has started; 0 before.
static RANK: AtomicI32 = AtomicI32::new(0);

/// Keeps the rank of this process: more than 0 if it serves requests, by UDP, TCP or any other transport.
pub fn set_rank(rank: c_int) {
    RANK.store(rank, Relaxed);
}

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

/// Waits as long as a command may in this process, or a process of the module's own. A command that a route runs, or
/// that comes by HTTP, runs in a process that serves requests.
pub fn of_command() -> Patience {
    of(if RANK.load(Relaxed) > 0 {
        ROUTE_MS
    } else {
        COMMAND_MS
    })
}

fn of(wait_ms: u64) -> Patience {
    Patience {
        wait_ms,
        now_s: watch_s,
    }
}

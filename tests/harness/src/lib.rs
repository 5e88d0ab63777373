//! Server test harness: runs the real Kamailio with the module under test on loopback.
//!
//! Environment: `DISPATCHER_SO` names our module (default `target/release/dispatcher.so`),
//! `KAMAILIO`, `KAMCMD` and `KAMAILIO_MODULES` override what `PATH` and the server itself say,
//! `VALGRIND=1` runs every server under memcheck, `SANITIZER` names the runtime of a module that
//! was built with sanitizers, `KEEP=1` keeps the working directories, `KEEP_LISTS` names a directory that
//! gets a copy of each list.
mod binrpc;
mod browser;
mod c_module;
mod cast;
mod certificate;
mod clock;
pub mod cluster;
mod config;
mod crowd;
pub mod database;
mod dns;
mod door;
pub mod fifo;
pub mod http;
mod kamailio;
mod kamcli;
pub mod lab;
mod listing;
mod lists;
pub mod live;
mod log;
pub mod manual;
pub mod module;
pub mod namespace;
pub mod network;
pub mod packaged;
mod ports;
mod probe;
mod rpc;
pub mod sanitizer;
mod service;
mod sip;
pub mod switch;
mod tempdir;
pub mod this_machine;
pub mod this_server;
pub mod transports;
mod trial;
mod uac;
mod uas;
mod valgrind;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use binrpc::{Piece, binrpc, binrpc_within, typed_binrpc};
pub use browser::{Browser, axe};
pub use c_module::c_module;
pub use cast::{Cast, STARTS};
pub use certificate::certificate;
pub use clock::Clock;
pub use config::{Config, Value};
pub use crowd::{Crowd, Ping, Step};
pub use dns::{Dns, Name};
pub use door::{Door, Way};
pub use kamailio::{Kamailio, check_config, check_config_as_it_is, fails_to_start, refuses};
pub use kamcli::kamcli;
pub use listing::Lister;
pub use log::CHANGES;
pub use module::{Module, kamailio};
pub use ports::free_port;
pub use probe::{MARKS, Probe};
pub use rpc::Fault;
pub use sip::{Message, Request};
pub use tempdir::TempDir;
pub use trial::{Trial, setting};
pub use uac::{Call, TcpUac, Uac};
pub use uas::{Answer, Uas};

/// Root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/harness").to_owned()
}

/// True when the servers run under valgrind.
pub fn under_valgrind() -> bool {
    std::env::var_os("VALGRIND").is_some_and(|v| v != "0" && !v.is_empty())
}

/// `seconds` as a deadline, stretched when the servers run under valgrind or with sanitizers.
pub fn patience(seconds: u64) -> Duration {
    let slowness = match () {
        () if under_valgrind() => 12,
        () if sanitizer::is_on() => 3,
        () => 1,
    };
    Duration::from_secs(seconds * slowness)
}

/// Calls `probe` every few milliseconds until it yields a value; panics after `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, probe: impl FnMut() -> Option<T>) -> T {
    let found = poll(Duration::from_millis(5), limit, probe, Option::is_some);
    found.unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// Calls `probe` in steps of `step` until its value is `good`, or until `limit`; returns the last value.
pub fn poll<T>(
    step: Duration,
    limit: Duration,
    mut probe: impl FnMut() -> T,
    good: impl Fn(&T) -> bool,
) -> T {
    let end = Instant::now() + limit;
    loop {
        let value = probe();
        if good(&value) || Instant::now() >= end {
            return value;
        }
        std::thread::sleep(step);
    }
}

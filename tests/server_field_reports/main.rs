//! What users of the C module have reported, and what its authors have repaired, as far as no other
//! test has it. `doc/field-reports.md` says which test covers which report.
#![cfg(feature = "server-tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../server/mod.rs"]
mod server;

mod lists;
mod matching;
mod probing;
mod selection;
mod sockets;

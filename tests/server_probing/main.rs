//! Probing through tm: traces of states, and what the field reports ask for.
#![cfg(feature = "server-tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failure here is a failed test"
)]

#[path = "../server/mod.rs"]
mod server;

mod fields;
mod flags;
mod latency;
mod live;
mod names;
mod pace;
mod request;
mod runtime;
mod stage;
mod startup;
mod status;
mod table;
mod traces;

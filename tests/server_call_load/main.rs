//! Call-load dispatching (algorithm 10) on the real server.
#![cfg(feature = "server-tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bursts;
mod desk;
mod lifetime;
mod live;
mod model;
mod retry;
mod routes;
mod rpc;
mod rules;
#[path = "../server/mod.rs"]
mod server;

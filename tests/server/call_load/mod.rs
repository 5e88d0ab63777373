//! Call-load dispatching (algorithm 10) on the real server.

pub use bursts::number;

mod answered;
mod bursts;
mod desk;
mod every_algorithm;
mod hostile;
mod lifetime;
mod live;
mod model;
mod retry;
mod routes;
mod rpc;
mod rules;

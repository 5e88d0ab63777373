//! Probing through tm: traces of states, and what the field reports ask for.
#![cfg(test)]
#![cfg(feature = "server-tests")]

use harness as server;

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

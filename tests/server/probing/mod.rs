//! Probing through tm: traces of states, and what the field reports ask for.

mod fields;
mod flags;
mod latency;
mod live;
mod names;
mod pace;
mod request;
mod runtime;
pub mod stage;
mod startup;
mod status;
mod table;
mod traces;
mod unsent;

//! Commands of every day: names of sets, states of hosts.

mod names;
mod states;

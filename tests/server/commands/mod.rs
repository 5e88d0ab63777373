//! Commands of every day: names of sets, states of hosts, single attributes.

mod attributes;
mod names;
mod states;

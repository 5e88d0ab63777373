//! Commands of every day: names of sets, states of hosts, single attributes, the switch of pings.

mod attributes;
mod names;
mod pings;
mod states;

//! The module in the real Kamailio: a module per topic, one program for all.
#![cfg(test)]

mod admission;
mod algorithms;
mod balance;
mod call_load;
mod cluster;
mod commands;
mod configs;
mod counters;
mod database;
mod dns;
mod drain;
mod events;
mod field_reports;
mod held;
mod kemi;
mod lazy_failover;
mod limits;
mod list;
mod live;
mod module;
mod observe;
mod package;
mod passive;
mod probing;
mod releases;
mod rpc;
mod start_and_stop;
mod states;

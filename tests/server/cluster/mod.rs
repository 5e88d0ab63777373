//! Several servers as one.

mod bus;
mod pings;
mod reload;
mod states;

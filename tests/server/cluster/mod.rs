//! Several servers as one.

mod bus;
mod reload;
mod states;

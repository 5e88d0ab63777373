//! Several servers as one.

mod bus;
mod states;

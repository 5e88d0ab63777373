//! Several servers as one.

mod bus;

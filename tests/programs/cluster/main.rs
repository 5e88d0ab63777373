//! `make cluster`: several servers as one dispatcher, with faults of the network between them.
#[cfg(test)]
mod net;
#[cfg(test)]
mod switch;

fn main() {}

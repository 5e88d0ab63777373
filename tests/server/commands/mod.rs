//! Commands of every day: names of sets.

mod names;

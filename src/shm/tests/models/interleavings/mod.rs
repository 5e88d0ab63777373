//! Models of interleavings: the product's own functions in processes that take turns, one step each, as a scheduler
//! of shuttle says. What must hold is asserted at each step at which it must. A process that does not get its turn is
//! one that is held up.
//!
//! A step is an operation on an atomic, or a lock that is taken. The schedules say nothing about orders of memory:
//! those are loom's.
//!
//! | module | contents |
//! | --- | --- |
//! | [`calls`] | Calls that are placed, moved and ended. |
//! | [`ejections`] | Ejections by traffic, and trials. |
//! | [`explore`] | Schedules, and faults that are made on purpose. |
//! | [`farm`] | The store of a model, and what is asked about it at each step. |
//! | [`found`] | The tests: that all models hold, and which one finds what is left out where. |
//! | [`reloads`] | Lists that are loaded and edited. |
//! | [`small`] | The event queue, epochs, and other structures of a few atomics. |
//! | [`states`] | States, weights and latencies. |
//! | [`world`] | Turns, moments, locks. |

mod calls;
mod ejections;
mod explore;
mod farm;
mod found;
mod reloads;
mod small;
mod states;
pub mod world;

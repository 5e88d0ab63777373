//! Models: the product's own functions with every interleaving, or every ordering, that a model explores.
//!
//! With the feature `models` the atomics of this layer are [`atomic`]'s. Inside a model they are those of its explorer,
//! loom or shuttle, and outside of one they are core's: so all other tests run as they do without the feature.
//!
//! | module | contents |
//! | --- | --- |
//! | [`atomic`] | Atomics that ask the running model what they do. |
//! | `interleavings` | Models of what processes do in turn, with shuttle. |
//! | [`memory`] | Shared memory of a model: its pieces, its arena, its lock. |
//! | [`orderings`] | Models of orderings, with loom. |
//! | [`place`] | Places of operations in the source, and what a model changes there. |
//! | [`run`] | Runs of a model, and what they report. |

pub mod atomic;
pub(super) mod interleavings;
pub mod memory;
mod orderings;
pub mod place;
pub mod run;

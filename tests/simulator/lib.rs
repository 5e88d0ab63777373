//! A simulator of a cluster: some nodes, each the product's own state machine, and a network between them. A seed says
//! what happens. At each quiet end the rules of `judge` must hold.
//!
//! | module | contents |
//! | --- | --- |
//! | [`faults`] | Wrong rules, which the simulator must find. |
//! | [`figures`] | What is counted over many runs. |
//! | [`judge`] | What must hold. |
//! | [`many`] | Many seeds, on all processors. |
//! | [`network`] | Messages on their way: lost, doubled, late, cut off. |
//! | [`plan`] | What a seed says: nodes, lists, weather, and what happens. |
//! | [`server`] | A server: a node, its list, and what it has applied. |
//! | [`world`] | Time: one thing after the other. |

pub mod faults;
pub mod figures;
pub mod judge;
pub mod many;
pub mod network;
pub mod plan;
pub mod server;
pub mod world;

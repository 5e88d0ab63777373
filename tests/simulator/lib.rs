//! A simulator of a cluster: some nodes, each the product's own state machine, and a network between them. A seed says
//! what happens. At each quiet end the rules of `judge` must hold.
//!
//! | module | contents |
//! | --- | --- |
//! | [`calls`] | Calls that servers count, and ends that come to another server than their calls did. |
//! | [`calm`] | What a cluster sends to which nothing happens. |
//! | [`faults`] | Wrong rules, which the simulator must find. |
//! | [`figures`] | What is counted over many runs. |
//! | [`incidents`] | What happens to servers. |
//! | [`judge`] | What must hold. |
//! | [`many`] | Many seeds, on all processors. |
//! | [`network`] | Messages on their way: lost, doubled, late, cut off. |
//! | [`pings`] | Pings: each server has a process that pings. |
//! | [`plan`] | What a seed says: nodes, lists, weather, and what happens. |
//! | [`server`] | A server: a node, its list, and what it has applied. |
//! | [`transport`] | What nodes send: from one to the other, and its answer back. |
//! | [`world`] | Time: one thing after the other. |

pub mod calls;
pub mod calm;
pub mod faults;
pub mod figures;
mod incidents;
pub mod judge;
pub mod many;
pub mod network;
pub mod pings;
pub mod plan;
pub mod server;
mod transport;
pub mod world;

//! Several servers as one dispatcher: members find each other and agree on what operators have set.
//!
//! A node is a state machine: what happens and the time go in, actions come out. So the simulator in `tests/simulator` runs
//! this very code. `doc/dev/cluster.md` explains the format, the rules, and why all nodes agree.
//!
//! | module | contents |
//! | --- | --- |
//! | [`state`] | What nodes agree on: registers, the clock of their stamps, and the keys of destinations. |
//! | [`text`] | Messages as texts. |
//! | [`node`] | A node: members, and the exchange of registers with them. |

pub mod node;
pub mod state;
pub mod text;

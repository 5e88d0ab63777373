//! A node: members, and the exchange of registers with them.
//!
//! | module | contents |
//! | --- | --- |
//! | [`action`] | The things that a node is to do: send, apply, log. |
//! | [`asked`] | The reloads that were asked for. |
//! | [`calls`] | Calls that other nodes count, and ends of calls that one of them may have counted. |
//! | [`cursor`] | The place up to which a peer has the registers of this node. |
//! | [`hello`] | Hellos: who is a member, who hears whom, and who has a name. |
//! | [`machine`] | A node: everything that can happen to it. |
//! | [`orphaned`] | Calls of other nodes' lives that are over. |
//! | [`peace`] | The places to which nothing is sent for a while, because sending there takes long or fails. |
//! | [`peer`] | One other node, as this one knows it. |
//! | [`peers`] | All other nodes that are known. |
//! | [`reload`] | A reload of the lists on all nodes. |
//! | [`pinging`] | The rule by which the good word of another node spares this one a ping. |
//! | [`settings`] | The settings of the cluster, and limits. |
//! | [`shown`] | The nodes as operators see them. |
//! | [`stream`] | The registers and figures that one node sends to another. |

pub mod action;
pub mod asked;
pub mod calls;
pub mod cursor;
pub mod hello;
pub mod machine;
pub mod orphaned;
pub mod peace;
pub mod peer;
pub mod peers;
pub mod pinging;
pub mod reload;
pub mod settings;
pub mod shown;
pub mod stream;

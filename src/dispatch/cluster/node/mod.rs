//! A node: members, and the exchange of registers with them.
//!
//! | module | contents |
//! | --- | --- |
//! | [`action`] | What a node is to do: send, apply, log. |
//! | [`asked`] | The reloads that were asked for. |
//! | [`calls`] | Calls that other nodes count, and ends of calls that one of them may have counted. |
//! | [`cursor`] | How far a peer has come with the registers of this node. |
//! | [`hello`] | Hellos: who is a member, who hears whom, and who has a name. |
//! | [`machine`] | A node: everything that can happen to it. |
//! | [`orphaned`] | Calls of other nodes' lives that are over. |
//! | [`peace`] | Where nothing is sent for a while, because sending there takes long or fails. |
//! | [`peer`] | One other node, as this one knows it. |
//! | [`peers`] | All other nodes that are known. |
//! | [`reload`] | A reload of the lists on all nodes. |
//! | [`pinging`] | Who pings for whom: whose good word spares this node a ping. |
//! | [`settings`] | What the config says of the cluster, and limits. |
//! | [`shown`] | What operators see of the nodes. |
//! | [`stream`] | What one node sends of its registers to another. |

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

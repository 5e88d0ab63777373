//! RPC and MI commands.
//!
//! | module | contents |
//! | --- | --- |
//! | [`commands`] | The entry points of all commands. |
//! | [`listing`] | `dispatcher.list`. |
//! | [`reload`] | `dispatcher.reload` and `dispatcher.check`. |
//! | [`edits`] | `dispatcher.add`, `dispatcher.remove` and `dispatcher.modify`. |
//! | [`keys`] | `dispatcher.hash` and `dispatcher.route`. |
//! | [`states`] | `dispatcher.set_state` and `dispatcher.set_duid_state`. |
//! | [`calls`] | `dispatcher.calls` and `dispatcher.release`. |
//! | [`cluster`] | `dispatcher.cluster`. |
//! | [`drain_status`] | `dispatcher.drain_status`. |
//! | [`ping`] | `dispatcher.ping_active` and `dispatcher.ping_status`. |
//! | [`stats`] | `dispatcher.stats`. |
//! | [`history`] | `dispatcher.history`. |
//! | [`overload`] | `dispatcher.oclist`. |
//! | [`http_limit`] | The size of a reply over HTTP. |
//! | [`rpc_reply`] | A call of an RPC command: its arguments and its reply. |
//! | `mi` | MI commands of Kamailio 4.x. |

pub mod calls;
pub mod cluster;
pub mod commands;
pub mod drain_status;
pub mod edits;
pub mod history;
mod http_limit;
pub mod keys;
pub mod listing;
#[cfg(server_has = "mi")]
pub mod mi;
pub mod overload;
pub mod ping;
pub mod reload;
pub mod rpc_reply;
pub mod states;
pub mod stats;

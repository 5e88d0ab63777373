//! The seam: every function that the server calls, and every call into the server.
//!
//! | module | contents |
//! | --- | --- |
//! | [`server`] | The server's facilities, wrapped. Nothing in it knows the dispatcher. |
//! | [`admission`] | Limits: asks destinations before one takes a request. |
//! | [`cluster`] | Several servers as one dispatcher, over the bus between them. |
//! | [`config`] | What the operator set: parameters, and values that change at run time. |
//! | [`events`] | State changes told to scripts and to C listeners. |
//! | [`list`] | The list on its way in, operators' states on their way out. |
//! | [`probing`] | Pings and the resolver. |
//! | [`select`] | `ds_select_*`, `ds_next_*`, `ds_mark_dst`, `ds_is_from_list`. |
//! | [`passive`] | Passive health: requests on their way to destinations, and ejections because of them. |
//! | [`rpc`] | RPC and MI commands. |
//! | [`observe`] | What the module shows of its work. |
//! | [`script`] | Entry points for scripts: functions, KEMI, pseudo-variables, the C interface. |
//! | [`module`] | The export table, start and stop, processes. |

pub mod admission;
pub mod cluster;
pub mod config;
pub mod events;
pub mod list;
pub mod module;
pub mod observe;
pub mod passive;
pub mod probing;
pub mod rpc;
pub mod script;
pub mod select;
pub mod server;

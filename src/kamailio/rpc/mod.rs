//! RPC and MI commands.
//!
//! | module | contents |
//! | --- | --- |
//! | [`commands`] | The entry points of all commands. |
//! | [`listing`] | `dispatcher.list`. |
//! | [`calls`] | `dispatcher.calls` and `dispatcher.release`. |
//! | [`ping`] | `dispatcher.ping_active` and `dispatcher.ping_status`. |
//! | [`overload`] | Overload control: `dispatcher.oclist`. |
//! | [`reply`] | RPC replies. |
//! | `mi` | MI commands of Kamailio 4.x. |

pub mod calls;
pub mod commands;
pub mod listing;
#[cfg(server_has = "mi")]
pub mod mi;
pub mod overload;
pub mod ping;
pub mod reply;

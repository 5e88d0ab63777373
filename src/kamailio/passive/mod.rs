//! Passive health (`ds_passive`): what becomes of requests that are on their way to destinations.
//!
//! | module | contents |
//! | --- | --- |
//! | [`watch`] | A request that a selection has sent to a destination, from the choice to the end of its transaction. |
//! | [`ejected`] | Ejections: their rules, their end, and who is told of them. |

pub mod ejected;
pub mod watch;

//! Passive health (`ds_passive`): requests on their way to destinations, and ejections because of them.
//!
//! | module | contents |
//! | --- | --- |
//! | [`watch`] | A request that a selection has sent to a destination, from the choice to the end of its transaction. |
//! | [`ejected`] | Ejections: their rules, their end, and who is told of them. |

pub mod ejected;
pub mod watch;

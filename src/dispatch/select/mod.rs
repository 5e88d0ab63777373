//! Which destination is selected, and in which order the others follow.
//!
//! | module | contents |
//! | --- | --- |
//! | [`candidates`] | A set as a selection sees it. |
//! | [`algorithm`] | The algorithms by number, and the selection of the first destination. |
//! | [`shares`] | Algorithms 11 and 15: shares by weight. |
//! | [`ranks`] | Algorithm 13: ranks by priority and latency. |
//! | [`turns`] | The cursors of a set: whose turn it is, and exact shares. |
//! | [`weight_slots`] | The weight slots of algorithm 9. |
//! | [`rendezvous`] | Algorithms 100 to 107: the cheapest destination for a key, and the order of the others. |
//! | [`remarks`] | Remarks of a check on weights. |
//! | [`failover`] | The failover order. |
//! | [`cursor`] | The failover cursor: the text that failover on demand keeps in a record. |
//! | [`routes`] | The rules of `ds_select_routes`. |

pub mod algorithm;
pub mod candidates;
pub mod cursor;
pub mod failover;
pub mod ranks;
pub mod remarks;
pub mod rendezvous;
pub mod routes;
pub mod shares;
pub mod turns;
pub mod weight_slots;

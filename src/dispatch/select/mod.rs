//! Which destination is selected, and in which order the others follow.
//!
//! | module | contents |
//! | --- | --- |
//! | [`candidates`] | A set as a selection sees it. |
//! | [`algorithm`] | The algorithms by number, and the selection of the first destination. |
//! | [`ranked`] | Algorithms that compare destinations: 11, 13 and 15. |
//! | [`turns`] | The cursors of a set: whose turn it is, and exact shares. |
//! | [`weight`] | The weight slots of algorithm 9. |
//! | [`failover`] | The failover order. |
//! | [`cursor`] | The failover cursor: the text that failover on demand keeps in a record. |
//! | [`routes`] | The rules of `ds_select_routes`. |

pub mod algorithm;
pub mod candidates;
pub mod cursor;
pub mod failover;
pub mod ranked;
pub mod routes;
pub mod turns;
pub mod weight;

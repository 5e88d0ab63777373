//! Which destination is selected, and in which order the others follow.
//!
//! | module | contents |
//! | --- | --- |
//! | [`algorithm`] | The algorithms by number, and the selection of the first destination. |
//! | [`ranked`] | Algorithms that compare destinations: 11, 13 and 15. |
//! | [`share`] | Exact shares in proportion to weights. |
//! | [`weight`] | The weight slots of algorithm 9. |
//! | [`hash`] | Hash values, bit for bit those of the C module. |
//! | [`failover`] | The failover order, resumed from a failover cursor. |
//! | [`cursor`] | The failover cursor: the text that failover on demand keeps in a record. |
//! | [`routes`] | The rules of `ds_select_routes`. |

pub mod algorithm;
pub mod cursor;
pub mod failover;
pub mod hash;
pub mod ranked;
pub mod routes;
pub mod share;
pub mod weight;

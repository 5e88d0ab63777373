//! `ds_select_*`, `ds_next_*`, `ds_mark_dst` and `ds_is_from_list`.
//!
//! | module | contents |
//! | --- | --- |
//! | [`select_dst`] | `ds_select_dst` and its relatives, `ds_next_dst`, `ds_mark_dst`. |
//! | [`plain`] | A selection that writes the destination URI alone. |
//! | [`on_demand`] | Failover on demand. |
//! | [`call_load`] | Algorithm 10: counted calls. |
//! | [`parallel`] | Algorithm 12: parallel forking. |
//! | [`drain`] | In-dialog requests of draining destinations. |
//! | [`routes`] | `ds_select_routes`. |
//! | [`records`] | Destination records: the XAVPs and AVPs that a selection writes. |
//! | [`overload`] | Reports of load by destinations. |
//! | [`from_list`] | `ds_is_from_list`. |

pub mod call_load;
pub mod drain;
pub mod from_list;
pub mod on_demand;
pub mod overload;
pub mod parallel;
pub mod plain;
pub mod records;
pub mod routes;
pub mod select_dst;

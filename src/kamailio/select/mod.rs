//! `ds_select_*`, `ds_next_*`, `ds_mark_dst` and `ds_is_from_list`.
//!
//! | module | contents |
//! | --- | --- |
//! | [`select_dst`] | `ds_select_dst`, `ds_select_domain` and `ds_select`. |
//! | [`routes`] | `ds_select_routes`. |
//! | [`next_dst`] | `ds_next_*` and `ds_set_*`. |
//! | [`mark`] | `ds_mark_dst` and `ds_mark_addr`. |
//! | [`from_list`] | `ds_is_from_list`. |
//! | [`call_load`] | Algorithm 10: counted calls. |
//! | [`parallel`] | Algorithm 12: parallel forking. |
//! | [`drain`] | In-dialog requests of draining destinations. |
//! | [`deliver`] | From the choice of a selection to its records and to the message. |
//! | [`send`] | Sending a message to the destination that was chosen for it, or to the first one that takes it. |
//! | [`by_key`] | Algorithms 100 to 107: by the key of a message. |
//! | [`records`] | Destination records: the XAVPs and AVPs that a selection writes. |
//! | [`request`] | The arguments of a selection, and its return code. |
//! | [`trace`] | Traces of selections in the log. |
//! | [`overload`] | `ds_oc_set_attrs`: reports of load, for algorithm 64. |

pub mod by_key;
pub mod call_load;
pub mod deliver;
pub mod drain;
pub mod from_list;
pub mod mark;
pub mod next_dst;
pub mod overload;
pub mod parallel;
pub mod records;
pub mod request;
pub mod routes;
pub mod select_dst;
pub mod send;
pub mod trace;

//! Calls that are remembered.
//!
//! | module | contents |
//! | --- | --- |
//! | [`call_table`] | Counted calls by Call-ID. |
//! | [`chains`] | The chains of the call table. |
//! | [`sticky`] | Calls that were placed beside a draining destination. |

pub mod call_table;
pub mod chains;
pub mod sticky;

//! Calls that are remembered.
//!
//! | module | contents |
//! | --- | --- |
//! | [`call`] | A counted call. |
//! | [`call_table`] | Counted calls by Call-ID and caller. |
//! | [`chains`] | The chains of the call table. |
//! | [`fingerprint`] | Fingerprints of Call-IDs and tags. |
//! | [`placed`] | Placing a call, and what is taken back if its request is not sent. |
//! | [`queue`] | The calls that make room when the table is full. |
//! | [`sticky`] | Calls that were placed beside a draining destination. |

pub mod call;
pub mod call_table;
pub mod chains;
pub mod fingerprint;
pub mod placed;
pub mod queue;
pub mod sticky;

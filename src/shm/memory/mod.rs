//! Shared memory: allocation, epochs, reference counts.
//!
//! | module | contents |
//! | --- | --- |
//! | [`arena`] | Allocation of one piece with its arrays behind it. |
//! | [`atomic`] | The atomics of shared memory. |
//! | [`epoch`] | Pins of readers, and when a retired piece may be freed. |
//! | [`list`] | Lists whose links lie in their items. |
//! | [`refcount`] | Values that several tables and calls point to. |
//! | [`watch`] | For how long something has been as it is. |

pub mod arena;
pub mod atomic;
pub mod epoch;
pub(crate) mod list;
pub mod refcount;
pub mod watch;

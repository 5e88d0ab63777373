//! What operators see of the past: counters, and the history of changes.
//!
//! | module | contents |
//! | --- | --- |
//! | [`counters`] | Counters of each set and of each destination (`counters` 2). |
//! | [`changes`] | The last changes of states. |

pub mod changes;
pub mod counters;

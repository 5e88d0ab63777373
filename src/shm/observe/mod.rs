//! What operators see of the past: counters.
//!
//! | module | contents |
//! | --- | --- |
//! | [`counters`] | Counters of each set and of each destination (`counters` 2). |

pub mod counters;

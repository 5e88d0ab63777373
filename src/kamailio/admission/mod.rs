//! Limits of calls at a time and of calls a second, with every algorithm.
//!
//! | module | contents |
//! | --- | --- |
//! | [`ask`] | What a request asks of destinations, and the count of refusals. |

pub mod ask;

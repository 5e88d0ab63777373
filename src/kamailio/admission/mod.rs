//! Limits of calls at a time and of calls a second, with every algorithm.
//!
//! | module | contents |
//! | --- | --- |
//! | [`slow_start`] | The growing part of a destination that is back. |
//! | [`ask`] | Asks destinations for a request, and counts refusals. |

pub mod ask;
pub mod slow_start;

//! One set in shared memory.
//!
//! | module | contents |
//! | --- | --- |
//! | [`view`] | The destinations of a set in order. |
//! | [`candidates`] | The set as choosing sees it. |
//! | [`view_build`] | Building a view from its destinations. |
//! | [`view_load`] | The destination with the fewest calls. |
//! | [`set_record`] | The cursors of a set, and its number of state changes. |
//! | [`usable`] | The bitmap of usable destinations. |
//! | [`gates`] | What a destination is asked before it takes a request that begins a call. |
//! | [`maxima`] | The greatest of a value over a set. |
//! | [`sums`] | The sums of a value over a set. |
//! | [`ranks`] | Weights and priorities of the usable destinations. |
//! | [`uris`] | The index from URIs to positions. |
//! | [`names_due`] | The time at which the first name is due to be resolved. |

mod candidates;
pub mod gates;
pub mod maxima;
pub mod names_due;
pub mod ranks;
pub mod set_record;
pub mod sums;
pub mod uris;
pub mod usable;
pub mod view;
pub mod view_build;
pub mod view_load;

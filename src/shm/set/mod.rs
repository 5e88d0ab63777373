//! One set in shared memory.
//!
//! | module | contents |
//! | --- | --- |
//! | [`view`] | The destinations of a set in order, as a selection sees them. |
//! | [`view_build`] | Building a view from a list. |
//! | [`view_edit`] | Building a view from another one. |
//! | [`view_load`] | The part of a view that counts calls. |
//! | [`set_record`] | The cursors of a set, and its number of state changes. |
//! | [`usable`] | The bitmap of usable destinations. |
//! | [`least`] | The destination with the fewest calls. |
//! | [`tree`] | Sums and minima over a set, kept up to date. |
//! | [`ranks`] | Weights and priorities of the usable destinations. |
//! | [`uris`] | The index from URIs to positions. |
//! | [`shift`] | How positions move when a destination comes or goes. |

pub mod least;
pub mod ranks;
pub mod set_record;
pub mod shift;
pub mod tree;
pub mod uris;
pub mod usable;
pub mod view;
pub mod view_build;
pub mod view_edit;
pub mod view_load;

//! Changes of states, as they happen: told to whoever is on call.
//!
//! | module | contents |
//! | --- | --- |
//! | [`author`] | Who changes states, and why. |
//! | [`history`] | The last changes, for whoever asks for them. |
//! | [`line`] | A line in the log for each change that is news. |

pub mod author;
pub mod history;
pub mod line;

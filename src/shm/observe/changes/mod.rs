//! The last changes of states.
//!
//! | module | contents |
//! | --- | --- |
//! | [`history`] | The history: a ring of changes. |
//! | [`ring`] | The last entries that processes have written, without a lock. |

pub mod history;
pub mod ring;

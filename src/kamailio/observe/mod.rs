//! What the module shows of its work to people and to other programs.
//!
//! | module | contents |
//! | --- | --- |
//! | [`names`] | The names of sets. |
//! | [`why`] | Why a destination is in its state, in words. |

pub mod names;
pub mod why;

//! What the module shows of its work to people and to other programs.
//!
//! | module | contents |
//! | --- | --- |
//! | [`why`] | Why a destination is in its state, in words. |

pub mod why;

//! Passive health: a destination is out for a while because of what requests to it have said.
//!
//! | module | contents |
//! | --- | --- |
//! | [`branch`] | The news that a branch of a transaction has of its destination. |
//! | [`standing`] | The standing of a destination by its branches: a row of failures, an ejection, its end. |

pub mod branch;
pub mod standing;

//! Passive health: what the requests that go to a destination say of it, and when it is out for that.
//!
//! | module | contents |
//! | --- | --- |
//! | [`branch`] | What a branch of a transaction says of its destination. |
//! | [`standing`] | What a destination's branches have led to: a row of failures, an ejection, its end. |

pub mod branch;
pub mod standing;

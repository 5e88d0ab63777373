//! Admission: whether a destination that was chosen takes the request, and which ones are asked after it.
//!
//! A destination is asked one gate after the other, in the order of [`refusal::Refusal`]. One that refuses is passed
//! over as if it were out, and keeps its state.
//!
//! | module | contents |
//! | --- | --- |
//! | [`refusal`] | The reasons to refuse a request. |
//! | [`bound`] | Bounded load: how many calls a destination may have beside the others. |
//! | [`ramp`] | Slow start: which turns a destination that is back takes. |
//! | [`others`] | The choices that follow one that was refused. |
//! | [`remarks`] | Remarks of a check on attributes that a parameter turns on. |

pub mod bound;
pub mod others;
pub mod ramp;
pub mod refusal;
pub mod remarks;

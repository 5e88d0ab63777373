//! The state on which nodes agree.
//!
//! | module | contents |
//! | --- | --- |
//! | [`clock`] | The time, and stamps that grow along everything that was seen. |
//! | [`key`] | Names as numbers: destinations and nodes. |
//! | [`register`] | What an operator has set of one destination, and which of two such values counts. |
//! | [`registers`] | All registers of a node, in the order in which they changed here. |
//! | [`rules`] | The decisions on which agreement rests. |

pub mod clock;
pub mod key;
pub mod register;
pub mod registers;
pub mod rules;

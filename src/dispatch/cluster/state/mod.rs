//! The state on which nodes agree.
//!
//! | module | contents |
//! | --- | --- |
//! | [`clock`] | The time, and stamps that grow along everything that was seen. |
//! | [`ends`] | Ends of calls that this node does not know: another one may have counted them. |
//! | [`figures`] | Values of destinations that one node alone writes, and the others only hear. |
//! | [`key`] | Names as numbers: destinations and nodes. |
//! | [`numbered`] | Values by destination, numbered in the order in which they changed here. |
//! | [`pings`] | Pings of nodes, as hellos tell of them. |
//! | [`register`] | What an operator has set of one destination, and which of two such values counts. |
//! | [`registers`] | All registers of a node, in the order in which they changed here. |
//! | [`rules`] | The decisions on which agreement rests. |
//! | [`view`] | The view of a destination: what a node that pings it has found. |

pub mod clock;
pub mod ends;
pub mod figures;
pub mod key;
pub mod numbered;
pub mod pings;
pub mod register;
pub mod registers;
pub mod rules;
pub mod view;

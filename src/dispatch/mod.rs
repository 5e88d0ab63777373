//! The domain of the dispatcher: what a list means, which destination is selected, how states change.
//!
//! The words are the operator's: a *destination* is one SIP URI with its settings, a *set* is a
//! numbered group of destinations, a *duid* is a destination's unique id.
//!
//! | module | contents |
//! | --- | --- |
//! | [`list`] | List lines and table rows, parsed into destinations. |
//! | [`select`] | The algorithms, and the failover order behind the selected destination. |
//! | [`admission`] | Whether a chosen destination takes a request: limits, and who is asked next. |
//! | [`balance`] | Algorithms 100 to 107: a definition on which all servers agree. |
//! | [`state`] | States of a destination, and what changes them: marks, commands and pings. |
//! | [`passive`] | Passive health: ejection by what the requests themselves show. |
//! | [`observe`] | What operators see of the module while it runs: its texts. |
//! | [`cluster`] | Several servers as one: members, and what operators have set. |
//! | [`hash`] | Hash values: those of the C module, bit for bit, one on which servers agree, and one for tables. |
//! | [`text`] | Small texts: what messages show of a text, white space, and the parts of parameters. |

// Holds for all files of the domain.
#![forbid(unsafe_code)]

pub mod admission;
pub mod balance;
// The seam does not use all of it yet.
#[allow(dead_code)]
pub mod cluster;
pub mod hash;
pub mod list;
pub mod observe;
pub mod passive;
pub mod select;
pub mod state;
pub mod text;

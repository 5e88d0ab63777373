//! Several servers as one dispatcher, over the bus between them (the server's module dmq).
//!
//! The domain ([`crate::dispatch::cluster`]) has the states on which the servers agree, and the rules.
//!
//! | module | contents |
//! | --- | --- |
//! | [`bus`] | Messages out and in. |
//! | [`pings`] | Pings between this server and the cluster. |
//! | [`process`] | The process that has the state of the cluster. |
//! | [`notes`] | What it says in the log. |
//! | [`show`] | What it shows to the other processes. |
//! | [`states`] | The states of destinations between this server and the cluster. |
//! | [`loads`] | Calls that are counted, between this server and the cluster. |
//! | [`lists`] | The destinations of the lists by their keys. |

pub mod bus;
pub mod lists;
pub mod loads;
pub mod notes;
pub mod pings;
pub mod process;
pub mod show;
pub mod states;

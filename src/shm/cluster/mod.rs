//! Memory that the process which speaks with the other servers of the cluster shares with the rest of the server.
//!
//! That process alone has the state of the cluster, in its own heap. So nothing here is locked: others leave what came
//! for it in a queue, and read what it shows.
//!
//! | module | contents |
//! | --- | --- |
//! | [`memory`] | All of it together. |
//! | [`inbox`] | What came for the process: messages, answers, commands. |
//! | [`answers`] | The outcome of a reload of all servers. |
//! | [`board`] | The members of the cluster, as the process knows them. |
//! | [`relied`] | The members on whose word this server relies, for the process that pings. |
//! | [`news`] | Members that came and went, until routes are run for that. |

pub mod answers;
pub mod board;
pub mod inbox;
pub mod memory;
pub mod news;
pub mod relied;

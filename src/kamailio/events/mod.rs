//! State changes, told to scripts and to C listeners.
//!
//! | module | contents |
//! | --- | --- |
//! | [`feed`] | The one place that hears of state changes. |
//! | [`routes`] | Event routes, and how one runs. |
//! | [`faked_msg`] | The faked message that an event route gets. |
//! | [`environment`] | The environment that is saved around an event route. |
//! | [`tm`] | The transaction that is saved around an event route. |

pub mod environment;
pub mod faked_msg;
pub mod feed;
pub mod routes;
pub mod tm;

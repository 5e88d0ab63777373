//! Pings and the resolver.
//!
//! | module | contents |
//! | --- | --- |
//! | [`timer`] | The process that sends pings. |
//! | [`ping`] | One ping: request, reply, result. |
//! | [`names`] | The processes that resolve names for pings. |
//! | [`dns`] | The resolver of list entries and its cache. |

pub mod dns;
pub mod names;
pub mod ping;
pub mod timer;

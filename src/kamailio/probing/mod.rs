//! Pings and the resolver.
//!
//! | module | contents |
//! | --- | --- |
//! | [`timer`] | The process that sends pings. |
//! | [`ping`] | One ping: request, reply, result. |
//! | [`resolver`] | The DNS: the names of destinations, for pings and for `ds_dns_mode`. |

pub mod ping;
pub mod resolver;
pub mod timer;

//! Pings and the resolver.
//!
//! | module | contents |
//! | --- | --- |
//! | [`spared`] | Pings that another server of the cluster spares this one. |
//! | [`timer`] | The process that sends pings. |
//! | [`ping`] | One ping: what is sent, where to, and from which socket. |
//! | [`ping_result`] | The end of a ping, and what it means for the destination. |
//! | [`resolver`] | The DNS: the names of destinations, for pings and for `ds_dns_mode`. |

pub mod ping;
pub mod ping_result;
pub mod resolver;
pub mod spared;
pub mod timer;

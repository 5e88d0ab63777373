//! Kamailio's `dispatcher` module: a SIP load balancer.
//!
//! Three layers, knowledge flows downwards only:
//!
//! - `kamailio`: the seam; every call into and out of the server (feature `kamailio`).
//! - [`shm`]: what the server's processes share: records, views, the published table.
//! - [`dispatch`]: the domain: parse lists, choose destinations, change states. No I/O, no
//!   clock, no globals, no unsafe code.
//!
//! `doc/dev/design.md` explains how they work together.

pub mod dispatch;
pub mod shm;

#[cfg(feature = "kamailio")]
pub mod kamailio;

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

// Without the seam nobody but the tests uses most of the inner layers.
#![cfg_attr(not(feature = "kamailio"), allow(dead_code, unused_imports))]

// The crate has no public interface but the symbols of `kamailio::module::exports`, so that the compiler sees
// what nobody uses. Programs that measure the inner layers ask for the feature `internals`.
#[cfg(feature = "internals")]
pub mod dispatch;
#[cfg(not(feature = "internals"))]
mod dispatch;
#[cfg(feature = "internals")]
pub mod shm;
#[cfg(not(feature = "internals"))]
mod shm;

#[cfg(feature = "kamailio")]
mod kamailio;

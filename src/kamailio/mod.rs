//! The seam: every function that the server calls, and every call into the server.
//!
//! | module | what crosses there |
//! | --- | --- |
//! | [`exports`] | the five symbols that the loader looks up |
//! | [`init`] | start, fork, stop |
//! | [`guard`] | no panic leaves Rust |
//! | [`log`] | the server's log |
//! | [`text`] | the server's strings |
//! | [`mem`], [`lock`] | its shared memory and its lock between processes |
//! | [`sys`] | its declarations, generated |

pub mod exports;
pub mod guard;
pub mod init;
pub mod lock;
pub mod log;
pub mod mem;
#[cfg(feature = "panic-probe")]
pub mod panic_probe;
pub mod sys;
pub mod text;

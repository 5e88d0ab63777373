//! The export table, start and stop, processes.
//!
//! | module | contents |
//! | --- | --- |
//! | [`exports`] | The symbols that the loader looks up. |
//! | [`init`] | Start, fork and stop. |
//! | [`metrics_file`] | The process that writes the page of metrics to a file. |
//! | [`processes`] | Helper processes and timers. |
//! | `fault_probe` | A script function that makes mistakes on purpose, for a test. |
//! | `panic_probe` | A script function that panics on purpose, for a test. |

pub mod exports;
#[cfg(feature = "sanitizers")]
pub mod fault_probe;
pub mod init;
pub mod metrics_file;
#[cfg(feature = "panic-probe")]
pub mod panic_probe;
pub mod processes;

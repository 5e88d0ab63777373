//! What the module shows of its work to people and to other programs.

mod metrics;
mod metrics_file;
mod prometheus;

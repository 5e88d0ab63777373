//! What the module shows of its work to people and to other programs.

mod exporters;
mod metrics;
mod metrics_file;
mod prometheus;

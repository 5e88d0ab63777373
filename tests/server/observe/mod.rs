//! What the module shows of its work to people and to other programs.

mod browser;
mod exporters;
mod metrics;
mod metrics_file;
mod page;
mod prometheus;

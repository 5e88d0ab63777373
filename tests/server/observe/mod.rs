//! What the module shows of its work to people and to other programs.

mod agree;
mod beside;
mod browser;
mod changes;
mod exporters;
mod history;
mod metrics;
mod metrics_file;
mod page;
mod prometheus;
mod trace;

//! The module as the server sees it: symbols, parameters, processes, other modules.

mod c_api;
mod exports;
mod panic;
mod parameters;
mod processes;
mod promises;
#[cfg(feature = "sanitizers")]
mod sanitizers;
mod surface;

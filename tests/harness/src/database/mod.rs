//! Databases that a test makes: files, or servers that it starts in a directory and on a port of their own.

mod daemon;
mod kind;
pub mod text;

pub use daemon::{Daemon, postgres_account};
pub use kind::{Database, Kind, PASSWORD, Row};

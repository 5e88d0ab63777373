//! Calls of other nodes' lives that are over.

use std::collections::HashMap;

use crate::dispatch::cluster::state::key::Key;

/// The calls of a life that is over. They go on at the gateways, and nobody counts them any more.
#[derive(Clone, Debug)]
pub struct Orphaned {
    /// The name of the node.
    pub name: String,
    /// The calls for each destination.
    pub calls: HashMap<Key, u32>,
    /// When the life ended.
    pub since_ms: u64,
}

/// The last messages that were taken of a life that was forgotten.
#[derive(Clone, Debug)]
pub struct Forgotten {
    /// The name of the node.
    pub name: String,
    /// Which life of it.
    pub incarnation: u64,
    /// The number of the last hello.
    pub hello_number: u64,
    /// The number of the last message with data.
    pub taken_number: u64,
}

//! The reloads that were asked for.

use super::action::PeerId;

/// The reloads of other nodes that operators wait for.
#[derive(Clone, Debug, Default)]
pub struct Reloads {
    /// The ticket of the operator who has asked here last.
    pub ticket: u64,
    /// The messages to which no answer has come yet.
    pub asked: Vec<(PeerId, u64)>,
    /// The number of the last request of another node.
    pub last_request: u64,
    /// Requests of other nodes that wait for the outcome.
    pub requests: Vec<Request>,
}

/// A request of another node.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its number.
    pub number: u64,
    /// The node.
    pub peer: PeerId,
    /// The life of that node.
    pub incarnation: u64,
    /// The number of its message.
    pub message: u64,
}

//! The settings of the cluster, and its limits.

use crate::dispatch::cluster::text::hmac::HmacKey;

/// The settings of the cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the cluster.
    pub cluster: String,
    /// The name of this node.
    pub node: String,
    /// Where this node is reached.
    pub uri: String,
    /// Other nodes' URIs. If there is none, the first hellos go to all that the bus knows.
    pub peers: Vec<String>,
    /// How often each peer gets a hello.
    pub hello_ms: u64,
    /// After how long without a sign of life a peer is dead.
    pub dead_ms: u64,
    /// How long the start waits for others.
    pub join_wait_ms: u64,
    /// The key that messages are protected with.
    pub key: Option<HmacKey>,
    /// How long calls count that a node has counted which is dead.
    pub dead_hold_ms: u64,
    /// True if states that operators set are shared.
    pub share_states: bool,
}

/// The most nodes of a cluster, this one included.
pub const MOST_NODES: usize = 128;

/// How often peers get a hello from a node that joins.
pub const JOIN_HELLO_MS: u64 = 200;

/// A peer is suspect after this many hellos that should have come.
pub const SUSPECT_HELLOS: u64 = 3;

/// How often all that the bus knows are asked, while nobody is there.
pub const BROADCAST_MS: u64 = 5_000;

/// How often all that the bus knows are asked, while somebody is.
pub const SELDOM_BROADCAST_MS: u64 = 30_000;

/// How long a peer that does not know the module has peace before it is asked again.
pub const UNKNOWN_THERE_MS: u64 = 30_000;

/// How long a dead peer is remembered.
pub const REMEMBERED_MS: u64 = 60 * 60 * 1_000;

/// How long an answer to registers is waited for.
pub const ANSWER_MS: u64 = 2_000;

/// So many registers that a peer has not acknowledged are counted.
pub const MOST_BEHIND: usize = 10_000;

/// A node that is not called for longer than this was stopped: nothing is concluded from what it did not hear meanwhile.
pub const MOST_LATE_MS: u64 = 1_000;

/// A node that joins is ready after this many times the wait, even if no peer has sent it all.
pub const MOST_WAITS: u64 = 10;

/// The longest period of hellos, and the longest time until death, that are believed of a peer.
pub const MOST_PERIOD_MS: u64 = 10 * 60 * 1_000;

/// In how many steps calls of a dead node become fewer.
pub const FADE_STEPS: u64 = 100;

/// The shortest time between two of these steps. Each one is a walk over all destinations.
pub const LEAST_FADE_MS: u64 = 100;

/// How often the log says the same of the same peer.
pub const NOTE_MS: u64 = 60_000;

//! Actions of a node: sending, applying, logging.

use crate::dispatch::cluster::state::clock::Stamp;
use crate::dispatch::cluster::state::ends::CallEnd;
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::register::Register;

/// The place of a peer in the table of peers. After a peer is forgotten, another one may get its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub usize);

/// Something that a node is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message to a peer. The answer, if there is one, comes back with peer and number.
    Send {
        /// The peer.
        peer: PeerId,
        /// Where the peer is reached.
        uri: String,
        /// The number of the message; no two messages of a process have the same.
        number: u64,
        /// The message.
        body: Vec<u8>,
    },
    /// Send a message to all that the bus knows.
    Broadcast {
        /// The message.
        body: Vec<u8>,
    },
    /// Apply a register that has come from a peer: the destination may be in the list, and its state may differ.
    Changed {
        /// The destination.
        key: Key,
        /// The register that counts now.
        register: Register,
    },
    /// A node has sent its view of a destination.
    Viewed {
        /// The destination.
        key: Key,
    },
    /// Other nodes than before are believed if they say that a destination is up.
    Believed,
    /// A node has sent how many calls it counts for a destination.
    Counted {
        /// The destination.
        key: Key,
    },
    /// How many calls others count may have changed for any destination.
    CountedAll,
    /// A node tells what has become of a call.
    CallEnded(CallEnd),
    /// A node has come, or has come back.
    NodeUp {
        /// Its name.
        name: String,
        /// Where it is reached.
        uri: String,
    },
    /// A node has left or is dead.
    NodeDown {
        /// Its name.
        name: String,
        /// Where it was reached.
        uri: String,
    },
    /// Load the lists anew, because another node asks for it. The outcome comes back with this number; it is also that of
    /// all requests with a lower one.
    Reload {
        /// The number of the request, from 1.
        request: u64,
        /// The name of the node that asks.
        name: String,
    },
    /// Tell the operator who reloads the lists everywhere of one node.
    Told(Told),
    /// Write something to the log.
    Log(Note),
}

/// Something for the log. Each comes at most once a minute for each peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// This node has what the others have; INFO.
    Ready(Ready),
    /// A node has started again within the time after which it would have been dead; INFO.
    Restarted(String),
    /// A node has left; INFO.
    Left(String),
    /// Another node has this node's name; CRITICAL.
    NameTwice {
        /// Where it is reached.
        uri: String,
        /// True if this node is the younger one, and shares nothing while both are there.
        stopped: bool,
    },
    /// Two other nodes have this name; ERROR.
    OthersNameTwice {
        /// The name.
        node: String,
        /// Where the one is reached that came second, and is not listened to.
        uri: String,
    },
    /// A register was refused, because its stamp is more than a day ahead of this node's clock; ERROR.
    StampAhead {
        /// The node that sent it.
        node: String,
        /// The stamp.
        stamp: Stamp,
    },
    /// A message has come from another address than the hellos of that node, and was refused; ERROR.
    WrongSource {
        /// The node.
        node: String,
        /// The address.
        source: Vec<u8>,
    },
    /// A peer has refused a message; WARN.
    Refused {
        /// Where the peer is reached.
        uri: String,
        /// The code of its answer.
        code: u16,
    },
    /// A node is not asked, because without a key no name is looked for that only a message has; WARN.
    NotAsked {
        /// Where it would be reached.
        uri: String,
    },
    /// A hello was not taken, because there are too many nodes; ERROR.
    TooManyNodes,
    /// Registers of destinations that are not in the list were dropped, because there are too many; WARN.
    TooManyOrphans,
}

/// How a node has become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It has what a node that was ready before has.
    Synced,
    /// No node that is ready has answered.
    Alone,
    /// There is a node that is ready, but it has not sent all within a long time.
    Unsynced,
}

/// Something that an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Exchange all registers with all peers. A node that has left comes back.
    Sync,
    /// Tell the others that this node goes, and be silent from now on.
    Leave,
    /// Forget a peer by its name. It comes back with its next hello.
    Forget(&'a str),
    /// Have all members that are ready load their lists anew. Their answers come back with this ticket.
    Reload(u64),
}

/// An answer for the operator, of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The ticket of the operator.
    pub ticket: u64,
    /// How many more of these come.
    pub left: u32,
    /// The name of the node, or where it should be if nothing was ever heard from there.
    pub name: String,
    /// The answer.
    pub answer: Answer,
}

/// The answer of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was asked, and its answer is still to come.
    Asked,
    /// It was not asked, because it is no member that is ready: its state.
    NotAsked(String),
    /// It did not take the message: the code.
    NotTaken(u16),
    /// It has loaded its lists, which have so many destinations; or why it has not.
    Ended(Result<u64, String>),
}

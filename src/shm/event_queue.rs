//! Events on their way: changes of states that wait until a process can run routes for them.
//!
//! A process that may not run routes itself, such as one that executes an RPC command, posts what it changed.

use super::queue::{Item, Queue};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::memory::arena::ShmSafe;

/// Bytes of shared memory that the events that wait may take.
pub const MOST_BYTES: usize = 8 << 20;

/// The queue of events.
pub type EventQueue<A> = Queue<A, QueuedEvent>;

/// A change of a state for which routes are to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedEvent {
    /// The destination's set.
    pub set: SetId,
    /// Its URI.
    pub uri: Vec<u8>,
    /// State before.
    pub old: State,
    /// State after the change.
    pub new: State,
    /// The event that it is.
    pub flip: Flip,
    /// The cause of the change.
    pub cause: Cause,
    /// The name of the node that decided it, if the cause is [`Cause::Cluster`]; else empty.
    pub node: Vec<u8>,
}

/// An event without its texts.
#[derive(Clone, Copy)]
pub struct Fixed {
    set: SetId,
    old: State,
    new: State,
    is_up: u32,
    cause: u32,
}

// SAFETY: numbers; zeroed it is an event of set 0.
unsafe impl ShmSafe for Fixed {}

impl Item for QueuedEvent {
    type Fixed = Fixed;

    const MOST_BYTES: usize = MOST_BYTES;

    fn fixed(&self) -> Fixed {
        Fixed {
            set: self.set,
            old: self.old,
            new: self.new,
            is_up: (self.flip == Flip::Up).into(),
            cause: self.cause.number(),
        }
    }

    fn texts(&self) -> [&[u8]; 2] {
        [&self.uri, &self.node]
    }

    fn from_parts(fixed: Fixed, [uri, node]: [&[u8]; 2]) -> Self {
        QueuedEvent {
            set: fixed.set,
            uri: uri.to_vec(),
            old: fixed.old,
            new: fixed.new,
            flip: if fixed.is_up != 0 {
                Flip::Up
            } else {
                Flip::Down
            },
            cause: Cause::from_number(fixed.cause),
            node: node.to_vec(),
        }
    }
}

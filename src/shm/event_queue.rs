//! The event queue: changes of states that wait in shared memory until a process can run routes for
//! them.
//!
//! A process that may not run routes itself, such as one that executes an RPC command, posts what it
//! changed; another process takes all that waits. Neither ever waits for the other: the queue is a
//! stack that is pushed, and taken whole, by one atomic step each. Numbers of bytes and events are only counted.

use core::ptr::{self, NonNull};

use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::memory::arena::{Arena, Free, OutOfMemory, Owned, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::shm::memory::atomic::{AtomicPtr, AtomicUsize};

/// Bytes of shared memory that the events that wait may take.
pub const MOST_BYTES: usize = 8 << 20;

/// Bytes that the server's allocator may take for a piece besides (100 with its default, qm).
const PIECE: usize = 100;

/// Returns the bytes that count for an event with texts of these lengths.
const fn cost(uri_len: usize, node_len: usize) -> usize {
    size_of::<Posted>() + uri_len + node_len + PIECE
}

/// An event that waits.
struct Posted {
    next: *mut Posted,
    set: SetId,
    old: State,
    new: State,
    is_up: bool,
    cause: u32,
    uri: ShmSlice<u8>,
    node: ShmSlice<u8>,
}

// SAFETY: numbers, a pointer into the arena and shared slices; zeroed it is an event of set 0.
unsafe impl ShmSafe for Posted {}

impl Free for Posted {
    unsafe fn free(posted: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { arena.free(posted.cast()) };
    }
}

/// The queue in shared memory.
struct Root {
    /// The events that wait, newest first.
    newest: AtomicPtr<Posted>,
    /// What they cost.
    bytes: AtomicUsize,
    /// Events that were not taken since the number was last asked for.
    dropped: AtomicUsize,
}

// SAFETY: atomics; zeroed it is an empty queue.
unsafe impl ShmSafe for Root {}

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

/// One process's way to the queue. Made before the server forks, then copied by the fork.
pub struct EventQueue<A: Arena> {
    arena: A,
    root: NonNull<Root>,
}

// SAFETY: the root is made of atomics, and what waits belongs to whoever took it.
unsafe impl<A: Arena + Sync> Sync for EventQueue<A> {}
// SAFETY: the root is made of atomics and belongs to no process.
unsafe impl<A: Arena + Send> Send for EventQueue<A> {}

/// The reason why an event is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Shared memory is full.
    Memory(OutOfMemory),
    /// Too many wait.
    TooMany,
}

impl From<OutOfMemory> for Refused {
    fn from(error: OutOfMemory) -> Self {
        Refused::Memory(error)
    }
}

impl<A: Arena> EventQueue<A> {
    /// Makes an empty queue.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: A) -> Result<Self, OutOfMemory> {
        let root = Plan::<Root>::of_header().alloc(&arena)?.header();
        Ok(EventQueue { arena, root })
    }

    fn root(&self) -> &Root {
        // SAFETY: made by `create`, given back by nobody but `destroy`, the last use.
        unsafe { self.root.as_ref() }
    }

    /// Posts an event. Never waits.
    ///
    /// # Errors
    /// [`Refused`]: it is not posted.
    pub fn post(&self, event: &QueuedEvent) -> Result<(), Refused> {
        let root = self.root();
        let cost = cost(event.uri.len(), event.node.len());
        let posted = if root.bytes.fetch_add(cost, Relaxed) + cost <= MOST_BYTES {
            write(&self.arena, event).map_err(Refused::from)
        } else {
            Err(Refused::TooMany)
        };
        let mut posted = posted.inspect_err(|_| _ = root.bytes.fetch_sub(cost, Relaxed))?;
        posted.next = root.newest.load(Relaxed);
        let raw = posted.as_ptr().as_ptr();
        let swap = |next| root.newest.compare_exchange(next, raw, Release, Relaxed);
        while let Err(newer) = swap(posted.next) {
            posted.next = newer;
        }
        posted.into_raw();
        Ok(())
    }

    /// Takes all events that wait, oldest first.
    pub fn take(&self) -> Vec<QueuedEvent> {
        let root = self.root();
        if root.newest.load(Relaxed).is_null() {
            return Vec::new();
        }
        let mut at = root.newest.swap(ptr::null_mut(), Acquire);
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(posted) = NonNull::new(at) {
            // SAFETY: taken with the whole list, so ours alone, and it came from this arena.
            let posted = unsafe { Owned::new(posted, &self.arena) };
            bytes += cost(posted.uri.get().len(), posted.node.get().len());
            events.push(read(&posted));
            at = posted.next;
        }
        root.bytes.fetch_sub(bytes, Relaxed);
        events.reverse();
        events
    }

    /// Returns what the events that wait cost, in bytes.
    pub fn bytes(&self) -> usize {
        self.root().bytes.load(Relaxed)
    }

    /// Counts events that were not posted. Returns true if they are the first since [`EventQueue::take_dropped`].
    pub fn count_dropped(&self, events: usize) -> bool {
        self.root().dropped.fetch_add(events, Relaxed) == 0
    }

    /// Returns the number of events that were not posted since the last call.
    pub fn take_dropped(&self) -> usize {
        self.root().dropped.swap(0, Relaxed)
    }

    /// Gives everything back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, and the queue is not used again.
    pub unsafe fn destroy(&self) {
        self.take();
        // SAFETY: made by `create`; no other process is left.
        unsafe { self.arena.free(self.root.cast()) };
    }
}

/// Writes an event into shared memory.
fn write<'a, A: Arena>(
    arena: &'a A,
    event: &QueuedEvent,
) -> Result<Owned<'a, A, Posted>, OutOfMemory> {
    let mut plan = Plan::<Posted>::of_header();
    let uri = plan.array::<u8>(event.uri.len());
    let node = plan.array::<u8>(event.node.len());
    let mut block = plan.alloc(arena)?;
    let (uri, node) = (block.slice(&uri), block.slice(&node));
    // SAFETY: just made; nobody else has it.
    unsafe { uri.fill() }.copy_from_slice(&event.uri);
    // SAFETY: just made; nobody else has it.
    unsafe { node.fill() }.copy_from_slice(&event.node);
    let posted = block.fill();
    (posted.set, posted.uri, posted.node) = (event.set, uri, node);
    (posted.old, posted.new) = (event.old, event.new);
    posted.is_up = event.flip == Flip::Up;
    posted.cause = event.cause.number();
    // SAFETY: just made.
    Ok(unsafe { Owned::new(block.header(), arena) })
}

fn read(posted: &Posted) -> QueuedEvent {
    QueuedEvent {
        set: posted.set,
        uri: posted.uri.get().to_vec(),
        old: posted.old,
        new: posted.new,
        flip: if posted.is_up { Flip::Up } else { Flip::Down },
        cause: Cause::from_number(posted.cause),
        node: posted.node.get().to_vec(),
    }
}

//! Changes that wait in shared memory until a process can run routes for them.
//!
//! What may not run routes itself, such as an RPC command, posts what it changed; another process
//! takes all out that waits. Neither ever waits for the other: it is a stack that is pushed, and
//! taken whole, by one atomic step each.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};

/// Changes that may wait.
pub const MOST: usize = 100_000;

/// What can post.
const CAUSES: [Cause; 3] = [Cause::Rpc, Cause::Reload, Cause::Start];

/// A change that waits.
struct Posted {
    next: *mut Posted,
    set: SetId,
    old: u32,
    new: u32,
    is_up: bool,
    /// Place in [`CAUSES`].
    cause: u8,
    uri: ShmSlice<u8>,
}

// SAFETY: numbers, a pointer into the arena and a shared slice; zeroed it is an empty change.
unsafe impl ShmSafe for Posted {}

/// The box itself.
struct Slot {
    /// What waits, newest first.
    newest: AtomicPtr<Posted>,
    count: AtomicUsize,
}

// SAFETY: atomics; zeroed it is an empty box.
unsafe impl ShmSafe for Slot {}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
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
    /// What changed it.
    pub cause: Cause,
}

/// One process's way to the box. Made before the server forks, then copied by the fork.
pub struct Mailbox<A: Arena> {
    arena: A,
    slot: NonNull<Slot>,
}

// SAFETY: the box is made of atomics, and what is in it belongs to one process at a time.
unsafe impl<A: Arena + Sync> Sync for Mailbox<A> {}
// SAFETY: as above; it belongs to no process.
unsafe impl<A: Arena + Send> Send for Mailbox<A> {}

/// Why a change is not taken.
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

impl<A: Arena> Mailbox<A> {
    /// An empty box.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: A) -> Result<Self, OutOfMemory> {
        let slot = Plan::<Slot>::of_header().alloc(&arena)?.header();
        Ok(Mailbox { arena, slot })
    }

    fn slot(&self) -> &Slot {
        // SAFETY: made by `create`, given back by nobody but `destroy`, the last use.
        unsafe { self.slot.as_ref() }
    }

    /// Puts a change in. Never waits.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn post(&self, letter: &Letter) -> Result<(), Refused> {
        let slot = self.slot();
        if slot.count.fetch_add(1, SeqCst) >= MOST {
            slot.count.fetch_sub(1, SeqCst);
            return Err(Refused::TooMany);
        }
        let posted = write(&self.arena, letter).inspect_err(|_| {
            slot.count.fetch_sub(1, SeqCst);
        })?;
        let mut newest = slot.newest.load(SeqCst);
        loop {
            // SAFETY: ours until it is in the list.
            unsafe { (*posted.as_ptr()).next = newest };
            let put = slot
                .newest
                .compare_exchange(newest, posted.as_ptr(), SeqCst, SeqCst);
            match put {
                Ok(_) => return Ok(()),
                Err(newer) => newest = newer,
            }
        }
    }

    /// Takes all out that waits, oldest first.
    pub fn take(&self) -> Vec<Letter> {
        let slot = self.slot();
        if slot.newest.load(SeqCst).is_null() {
            return Vec::new();
        }
        let mut at = slot.newest.swap(ptr::null_mut(), SeqCst);
        let mut letters = Vec::new();
        while let Some(posted) = NonNull::new(at) {
            // SAFETY: taken out of the list as a whole, so ours alone.
            let (letter, next) = read(unsafe { posted.as_ref() });
            at = next;
            letters.push(letter);
            // SAFETY: as above, and read.
            unsafe { self.arena.free(posted.cast()) };
        }
        slot.count.fetch_sub(letters.len(), SeqCst);
        letters.reverse();
        letters
    }

    /// Gives everything back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, and the box is not used again.
    pub unsafe fn destroy(&self) {
        self.take();
        // SAFETY: made by `create`; no other process is left.
        unsafe { self.arena.free(self.slot.cast()) };
    }
}

/// Writes a change into shared memory.
fn write(arena: &impl Arena, letter: &Letter) -> Result<NonNull<Posted>, OutOfMemory> {
    let mut plan = Plan::<Posted>::of_header();
    let uri = plan.array::<u8>(letter.uri.len());
    let block = plan.alloc(arena)?;
    let text = block.slice(&uri);
    // SAFETY: just made; nobody else has it.
    unsafe { text.fill() }.copy_from_slice(&letter.uri);
    let header = block.header();
    // SAFETY: as above.
    let posted = unsafe { &mut *header.as_ptr() };
    posted.set = letter.set;
    posted.old = letter.old.bits();
    posted.new = letter.new.bits();
    posted.is_up = letter.flip == Flip::Up;
    let cause = (0..).zip(CAUSES).find(|&(_, cause)| cause == letter.cause);
    posted.cause = cause.map_or(0, |(at, _)| at);
    posted.uri = text;
    Ok(header)
}

fn read(posted: &Posted) -> (Letter, *mut Posted) {
    let letter = Letter {
        set: posted.set,
        uri: posted.uri.get().to_vec(),
        old: State(posted.old),
        new: State(posted.new),
        flip: if posted.is_up { Flip::Up } else { Flip::Down },
        cause: CAUSES
            .get(usize::from(posted.cause))
            .copied()
            .unwrap_or(Cause::Rpc),
    };
    (letter, posted.next)
}

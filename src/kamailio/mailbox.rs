//! Changes that wait in shared memory until a process can run routes for them.
//!
//! An RPC command may not run routes itself: jsonrpcs keeps the reply that it builds in one place of
//! the process, which a `jsonrpc_exec` of the route would overwrite. Nor may the start, before
//! the processes are there. So both post what they changed, and the timer process tells of it.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

use super::mem::ShmArena;
use crate::dispatch::dest::SetId;
use crate::dispatch::event::Cause;
use crate::dispatch::state::{Flip, State};
use crate::shm::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};

/// Changes that may wait.
const MOST: usize = 100_000;

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
pub struct Slot {
    /// What waits, newest first.
    newest: AtomicPtr<Posted>,
    count: AtomicUsize,
}

// SAFETY: atomics; zeroed it is an empty box.
unsafe impl ShmSafe for Slot {}

/// A change, taken out.
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

/// One process's way to the box.
pub struct Mailbox(&'static Slot);

/// Why a change is not told of.
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

impl Mailbox {
    /// An empty box, which lives until the server ends.
    ///
    /// # Errors
    /// [`OutOfMemory`] when shared memory is full.
    pub fn create() -> Result<Self, OutOfMemory> {
        let slot = Plan::<Slot>::of_header().alloc(&ShmArena)?.header();
        // SAFETY: zeroed shared memory that is never given back: it ends with the server.
        Ok(Mailbox(unsafe { slot.as_ref() }))
    }

    /// Puts a change in. Never waits.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn post(&self, letter: &Letter) -> Result<(), Refused> {
        if self.0.count.fetch_add(1, SeqCst) >= MOST {
            self.0.count.fetch_sub(1, SeqCst);
            return Err(Refused::TooMany);
        }
        let posted = write(letter).inspect_err(|_| {
            self.0.count.fetch_sub(1, SeqCst);
        })?;
        let mut newest = self.0.newest.load(SeqCst);
        loop {
            // SAFETY: ours until it is in the list.
            unsafe { (*posted.as_ptr()).next = newest };
            let put = self
                .0
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
        if self.0.newest.load(SeqCst).is_null() {
            return Vec::new();
        }
        let mut at = self.0.newest.swap(ptr::null_mut(), SeqCst);
        let mut letters = Vec::new();
        while let Some(posted) = NonNull::new(at) {
            // SAFETY: taken out of the list as a whole, so ours alone.
            let (letter, next) = read(unsafe { posted.as_ref() });
            at = next;
            letters.push(letter);
            // SAFETY: as above, and read.
            unsafe { ShmArena.free(posted.cast()) };
        }
        self.0.count.fetch_sub(letters.len(), SeqCst);
        letters.reverse();
        letters
    }
}

/// Writes a change into shared memory.
fn write(letter: &Letter) -> Result<NonNull<Posted>, OutOfMemory> {
    let mut plan = Plan::<Posted>::of_header();
    let uri = plan.array::<u8>(letter.uri.len()).ok_or(OutOfMemory)?;
    let block = plan.alloc(&ShmArena)?;
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

//! A queue: what processes leave for another one waits in shared memory.
//!
//! Any process posts; another process takes all that waits. Neither ever waits for the other: the queue is a
//! stack that is pushed, and taken whole, by one atomic step each. Numbers of bytes and items are only counted.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use crate::shm::memory::arena::{Arena, Free, OutOfMemory, Owned, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::shm::memory::atomic::{AtomicPtr, AtomicUsize};

/// Bytes that the server's allocator may take for a piece besides (100 with its default, qm).
const PIECE: usize = 100;

/// What can wait in a queue: a part of fixed size, and two texts.
pub trait Item: Sized {
    /// The part of fixed size. It has no padding, which would bring bytes of this process's stack along.
    type Fixed: ShmSafe + Copy;

    /// Bytes of shared memory that the items that wait may take.
    const MOST_BYTES: usize;

    /// Returns the part of fixed size.
    fn fixed(&self) -> Self::Fixed;

    /// Returns the texts; empty where there is none.
    fn texts(&self) -> [&[u8]; 2];

    /// Makes the item again of its parts.
    fn from_parts(fixed: Self::Fixed, texts: [&[u8]; 2]) -> Self;
}

/// Returns the bytes that count for an item with these texts.
const fn cost<F>([first, second]: [&[u8]; 2]) -> usize {
    size_of::<Posted<F>>() + first.len() + second.len() + PIECE
}

/// An item that waits.
struct Posted<F> {
    next: *mut Posted<F>,
    fixed: F,
    texts: [ShmSlice<u8>; 2],
}

// SAFETY: a pointer into the arena, shared slices, and a part that is `ShmSafe` itself.
unsafe impl<F: ShmSafe> ShmSafe for Posted<F> {}

impl<F> Free for Posted<F> {
    unsafe fn free(posted: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { arena.free(posted.cast()) };
    }
}

/// The queue in shared memory.
struct Root<F> {
    /// The items that wait, newest first.
    newest: AtomicPtr<Posted<F>>,
    /// What they cost.
    bytes: AtomicUsize,
    /// Items that were not taken since the number was last asked for.
    dropped: AtomicUsize,
}

// SAFETY: atomics; zeroed it is an empty queue.
unsafe impl<F> ShmSafe for Root<F> {}

/// One process's way to the queue. Made before the server forks, then copied by the fork.
pub struct Queue<A: Arena, I: Item> {
    arena: A,
    root: NonNull<Root<I::Fixed>>,
    items: PhantomData<fn(I) -> I>,
}

// SAFETY: the root is made of atomics, and what waits belongs to whoever took it.
unsafe impl<A: Arena + Sync, I: Item> Sync for Queue<A, I> {}
// SAFETY: the root is made of atomics and belongs to no process.
unsafe impl<A: Arena + Send, I: Item> Send for Queue<A, I> {}

/// The reason why an item is not taken.
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

impl<A: Arena, I: Item> Queue<A, I> {
    /// Makes an empty queue.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: A) -> Result<Self, OutOfMemory> {
        let root = Plan::<Root<I::Fixed>>::of_header().alloc(&arena)?.header();
        let items = PhantomData;
        Ok(Queue { arena, root, items })
    }

    fn root(&self) -> &Root<I::Fixed> {
        // SAFETY: made by `create`, given back by nobody but `destroy`, the last use.
        unsafe { self.root.as_ref() }
    }

    /// Posts an item. Never waits.
    ///
    /// # Errors
    /// [`Refused`]: it is not posted.
    pub fn post(&self, item: &I) -> Result<(), Refused> {
        let root = self.root();
        let cost = cost::<I::Fixed>(item.texts());
        let posted = if root.bytes.fetch_add(cost, Relaxed) + cost <= I::MOST_BYTES {
            write(&self.arena, item).map_err(Refused::from)
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

    /// Takes all items that wait, oldest first.
    pub fn take(&self) -> Vec<I> {
        let root = self.root();
        if root.newest.load(Relaxed).is_null() {
            return Vec::new();
        }
        let mut at = root.newest.swap(ptr::null_mut(), Acquire);
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some(posted) = NonNull::new(at) {
            // SAFETY: taken with the whole list, so ours alone, and it came from this arena.
            let posted = unsafe { Owned::new(posted, &self.arena) };
            let texts = posted.texts.each_ref().map(ShmSlice::get);
            bytes += cost::<I::Fixed>(texts);
            items.push(I::from_parts(posted.fixed, texts));
            at = posted.next;
        }
        root.bytes.fetch_sub(bytes, Relaxed);
        items.reverse();
        items
    }

    /// Returns what the items that wait cost, in bytes.
    pub fn bytes(&self) -> usize {
        self.root().bytes.load(Relaxed)
    }

    /// Counts items that were not posted. Returns true if they are the first since [`Queue::take_dropped`].
    pub fn count_dropped(&self, items: usize) -> bool {
        self.root().dropped.fetch_add(items, Relaxed) == 0
    }

    /// Returns the number of items that were not posted since the last call.
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

/// Writes an item into shared memory.
fn write<'a, A: Arena, I: Item>(
    arena: &'a A,
    item: &I,
) -> Result<Owned<'a, A, Posted<I::Fixed>>, OutOfMemory> {
    let mut plan = Plan::<Posted<I::Fixed>>::of_header();
    let fields = item.texts().map(|text| plan.array::<u8>(text.len()));
    let mut block = plan.alloc(arena)?;
    let texts = fields.map(|field| block.slice(&field));
    for (to, from) in texts.iter().zip(item.texts()) {
        // SAFETY: just made; nobody else has it.
        unsafe { to.fill() }.copy_from_slice(from);
    }
    let posted = block.fill();
    (posted.fixed, posted.texts) = (item.fixed(), texts);
    // SAFETY: just made.
    Ok(unsafe { Owned::new(block.header(), arena) })
}

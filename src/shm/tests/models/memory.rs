//! Shared memory of a model: pieces whose atomics are the explorer's, an arena over them, and a lock.
//!
//! Atomics in shared memory are found by their address and begin as zeroes. So each piece gets the explorer's objects
//! for its words when it is taken, by the thread that takes it: whoever reaches a piece over a link that does not order
//! that before what he does there is found, as is whoever frees a piece that others may still use.
//!
//! Which words of a piece are atomics shows when they are first used. What is learned is kept by the piece's size, and
//! the model begins anew.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;
use std::alloc;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::thread;

use lock_api::{GuardSend, RawMutex};

use super::atomic::{Operations, Word};
use super::interleavings;
use crate::shm::memory::arena::{Arena, ShmSafe};

/// Who explores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explorer {
    Loom,
    Shuttle,
}

/// A word of a piece.
pub struct Modelled {
    /// One of loom's atomics.
    atomic: Box<dyn Operations>,
    /// The value that its last operation has left in memory.
    pub last: Cell<u64>,
    /// A contended word has it, see [`Modelled::in_any_order`].
    gate: Option<loom::sync::atomic::AtomicBool>,
    /// The threads that have read it.
    readers: RefCell<Vec<loom::thread::ThreadId>>,
}

impl Modelled {
    /// Does an operation of the word.
    ///
    /// Loom remembers one last access of a word. It misses that a write may as well come before an earlier read, if the
    /// writer or a third thread has read the word in between. A word to which that happens is contended, and has a
    /// gate: a second object, on which the thread does an exchange before each operation of the word. Loom tries all
    /// orders of these exchanges. They fail, so that they order nothing else.
    pub fn in_any_order<R>(&self, writes: bool, operate: impl FnOnce(&dyn Operations) -> R) -> R {
        let Some(gate) = &self.gate else {
            return operate(&*self.atomic);
        };
        let _ = gate.compare_exchange(true, true, Relaxed, Relaxed);
        if !writes {
            // Loom tries all values that it may read.
            return operate(&*self.atomic);
        }
        loom::stop_exploring();
        let done = operate(&*self.atomic);
        loom::explore();
        done
    }

    /// Notes who operates on it. Returns true if it is contended, and that is not known yet.
    fn is_newly_contended(&self, writes: bool) -> bool {
        if self.gate.is_some() {
            return false;
        }
        let me = loom::thread::current().id();
        let mut readers = self.readers.borrow_mut();
        if writes {
            let others = readers.iter().filter(|reader| **reader != me).count();
            return others > 1 || others == 1 && readers.contains(&me);
        }
        if !readers.contains(&me) {
            readers.push(me);
        }
        false
    }
}

/// How an operation takes place.
pub enum Mode {
    /// As core's.
    Plain,
    /// As loom's.
    Loom(Rc<Modelled>),
}

/// A piece of shared memory.
struct Piece {
    layout: Layout,
    freed: Cell<bool>,
    /// Taking and freeing write it, all else reads it.
    access: Option<loom::cell::UnsafeCell<()>>,
    words: BTreeMap<Key, Rc<Modelled>>,
}

/// Offset and size of a word.
type Key = (usize, usize);

/// The words of a piece that are atomics, and whether they are contended.
type Learned = BTreeMap<Key, bool>;

/// A lock of the explorer, and its guard while it is held.
enum Lock {
    Loom(
        &'static loom::sync::Mutex<()>,
        Cell<Option<loom::sync::MutexGuard<'static, ()>>>,
    ),
    Shuttle(
        &'static shuttle::sync::Mutex<()>,
        Cell<Option<shuttle::sync::MutexGuard<'static, ()>>>,
    ),
}

/// The memory of one execution.
struct Execution {
    explorer: Explorer,
    /// All pieces that it has had: none is taken from under those that still look at it.
    pieces: RefCell<BTreeMap<usize, Rc<Piece>>>,
    locks: RefCell<BTreeMap<usize, Rc<Lock>>>,
    /// Allocations that still succeed; `None` is no limit.
    left: Cell<Option<usize>>,
}

thread_local! {
    static EXECUTION: RefCell<Option<Rc<Execution>>> = const { RefCell::new(None) };
    /// What is known of words, by the size of their piece.
    static LEARNED: RefCell<BTreeMap<usize, Learned>> = const { RefCell::new(BTreeMap::new()) };
    /// True when something was learned since it was last asked.
    static NEWS: Cell<bool> = const { Cell::new(false) };
}

/// Begins an execution.
pub fn begin(explorer: Explorer) {
    let execution = Execution {
        explorer,
        pieces: RefCell::default(),
        locks: RefCell::default(),
        left: Cell::new(None),
    };
    EXECUTION.set(Some(Rc::new(execution)));
}

/// Ends an execution in which all went well: nothing is taken any more.
pub fn end() {
    let Some(execution) = EXECUTION.take() else {
        return;
    };
    let pieces = execution.pieces.take();
    let taken = pieces.values().filter(|piece| !piece.freed.get()).count();
    for (start, piece) in pieces {
        // SAFETY: taken with this layout, and the execution is over.
        unsafe { alloc::dealloc(core::ptr::with_exposed_provenance_mut(start), piece.layout) };
    }
    for lock in execution.locks.take().into_values() {
        match &*lock {
            // SAFETY: made by a box that was leaked, and nobody holds it.
            Lock::Loom(lock, _) => {
                drop(unsafe { Box::from_raw(core::ptr::from_ref(*lock).cast_mut()) })
            }
            // SAFETY: made by a box that was leaked, and nobody holds it.
            Lock::Shuttle(lock, _) => {
                drop(unsafe { Box::from_raw(core::ptr::from_ref(*lock).cast_mut()) });
            }
        }
    }
    assert!(
        NEWS.get() || taken == 0,
        "{taken} pieces were not given back"
    );
}

/// Forgets an execution that has failed: its objects cannot be dropped outside of it.
pub fn abandon() {
    core::mem::forget(EXECUTION.take());
}

/// Returns true if words were found to be atomics, and that is not yet acknowledged by [`has_learned`].
pub fn has_news() -> bool {
    NEWS.get()
}

/// Returns true if words were found to be atomics since the last call.
pub fn has_learned() -> bool {
    NEWS.replace(false)
}

fn execution() -> Option<Rc<Execution>> {
    // What destructors do while a failed model unwinds is no part of the model.
    if thread::panicking() {
        return None;
    }
    EXECUTION.with_borrow(Clone::clone)
}

/// Returns true if loom explores.
pub fn is_loom() -> bool {
    execution().is_some_and(|execution| execution.explorer == Explorer::Loom)
}

/// Lets other threads of the model go first, where the explorer is shuttle.
fn shuttle_point() {
    if shuttle::current::try_get_current_task().is_some() {
        interleavings::world::wait_for_turn();
    }
}

impl Execution {
    fn piece(&self, addr: usize) -> Option<(usize, Rc<Piece>)> {
        let pieces = self.pieces.borrow();
        let (start, piece) = pieces.range(..=addr).next_back()?;
        (addr < start + piece.layout.size()).then(|| (*start, piece.clone()))
    }

    /// Notes that a piece is read, or written by whoever has it alone.
    #[track_caller]
    fn touch(&self, addr: usize, alone: bool) -> Option<(usize, Rc<Piece>)> {
        let (start, piece) = self.piece(addr)?;
        assert!(!piece.freed.get(), "used after it was freed");
        match &piece.access {
            Some(access) if alone => access.with_mut(|_| ()),
            Some(access) => access.with(|_| ()),
            None => {}
        }
        Some((start, piece))
    }
}

/// Notes that something of a piece is read that is not atomic.
#[track_caller]
pub fn reads<T>(start: *const T) {
    if let Some(execution) = execution() {
        execution.touch(start.addr(), false);
    }
}

/// Notes that something of a piece is written that is not atomic.
#[track_caller]
pub fn writes<T>(start: *const T) {
    if let Some(execution) = execution() {
        execution.touch(start.addr(), true);
    }
}

fn learn(piece: &Piece, key: Key, contended: bool) {
    LEARNED.with_borrow_mut(|learned| {
        let known = learned.entry(piece.layout.size()).or_default();
        *known.entry(key).or_default() |= contended;
    });
    NEWS.set(true);
}

/// Returns how an operation on this word takes place.
#[track_caller]
pub fn mode(word: Word<'_>, writes: bool) -> Mode {
    let Some(execution) = execution() else {
        return Mode::Plain;
    };
    if execution.explorer == Explorer::Shuttle {
        shuttle_point();
    }
    // What is on a stack belongs to one thread.
    let Some((start, piece)) = execution.touch(word.addr(), false) else {
        return Mode::Plain;
    };
    if execution.explorer == Explorer::Shuttle {
        return Mode::Plain;
    }
    let key = (word.addr() - start, word.size);
    let Some(modelled) = piece.words.get(&key) else {
        learn(&piece, key, false);
        return Mode::Plain;
    };
    if modelled.is_newly_contended(writes) {
        learn(&piece, key, true);
    }
    assert_eq!(
        word.there(),
        modelled.last.get(),
        "an atomic was written over"
    );
    Mode::Loom(modelled.clone())
}

/// Asserts that nobody takes a `&mut` to an atomic in shared memory.
#[track_caller]
pub fn assert_private(word: Word<'_>) {
    if let Some(execution) = execution() {
        assert!(
            execution.piece(word.addr()).is_none(),
            "a `&mut` to an atomic in shared memory"
        );
    }
}

/// The arena of a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pieces;

impl Pieces {
    /// Panics if what is there was freed.
    pub fn assert_there<T>(self, what: &T) {
        reads(what);
    }

    /// Returns the number of pieces that are taken.
    pub fn taken(self) -> usize {
        let execution = execution().unwrap();
        let pieces = execution.pieces.borrow();
        pieces.values().filter(|piece| !piece.freed.get()).count()
    }

    /// From now on only `left` more allocations succeed.
    pub fn limit(self, left: Option<usize>) {
        execution().unwrap().left.set(left);
    }
}

// SAFETY: pieces are of the heap, and stay until the execution ends.
unsafe impl Arena for Pieces {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        let execution = execution()?;
        if let Some(left) = execution.left.get() {
            execution.left.set(Some(left.checked_sub(1)?));
        }
        let layout = Layout::from_size_align(layout.size().max(1), 8).unwrap();
        // SAFETY: its size is not 0.
        let start = NonNull::new(unsafe { alloc::alloc_zeroed(layout) })?;
        let is_loom = execution.explorer == Explorer::Loom;
        let object = |(&(offset, size), &contended): (&Key, &bool)| {
            let atomic: Box<dyn Operations> = match size {
                1 => Box::new(loom::sync::atomic::AtomicU8::new(0)),
                4 => Box::new(loom::sync::atomic::AtomicU32::new(0)),
                _ => Box::new(loom::sync::atomic::AtomicU64::new(0)),
            };
            let modelled = Modelled {
                atomic,
                last: Cell::new(0),
                gate: contended.then(|| loom::sync::atomic::AtomicBool::new(false)),
                readers: RefCell::default(),
            };
            ((offset, size), Rc::new(modelled))
        };
        let learned = LEARNED.with_borrow(|learned| learned.get(&layout.size()).cloned());
        let learned = learned.unwrap_or_default();
        let words = if is_loom {
            learned.iter().map(object).collect()
        } else {
            BTreeMap::new()
        };
        let piece = Piece {
            layout,
            freed: Cell::new(false),
            access: is_loom.then(|| loom::cell::UnsafeCell::new(())),
            words,
        };
        if let Some(access) = &piece.access {
            access.with_mut(|_| ());
        }
        let mut pieces = execution.pieces.borrow_mut();
        pieces.insert(start.as_ptr().expose_provenance(), Rc::new(piece));
        Some(start)
    }

    unsafe fn free(&self, ptr: NonNull<u8>) {
        let Some(execution) = execution() else {
            return;
        };
        let Some((start, piece)) = execution.touch(ptr.as_ptr().addr(), true) else {
            panic!("freed what was not taken");
        };
        assert_eq!(start, ptr.as_ptr().addr(), "freed in its middle");
        piece.freed.set(true);
    }
}

/// A lock in shared memory, which is the explorer's.
pub struct ModelLock(core::sync::atomic::AtomicBool);

// SAFETY: zeroed it is free.
unsafe impl ShmSafe for ModelLock {}

impl ModelLock {
    /// Returns the explorer's lock; `None` outside of a model.
    #[track_caller]
    fn lock_of(&self) -> Option<Rc<Lock>> {
        let execution = execution()?;
        let addr = core::ptr::from_ref(self).addr();
        execution.touch(addr, false);
        let mut locks = execution.locks.borrow_mut();
        let make = || {
            Rc::new(match execution.explorer {
                Explorer::Loom => Lock::Loom(Box::leak(Box::default()), Cell::default()),
                Explorer::Shuttle => Lock::Shuttle(
                    Box::leak(Box::new(shuttle::sync::Mutex::new(()))),
                    Cell::default(),
                ),
            })
        };
        Some(locks.entry(addr).or_insert_with(make).clone())
    }
}

// SAFETY: it is the explorer's mutex; outside of a model nobody but its thread is there.
unsafe impl RawMutex for ModelLock {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = ModelLock(core::sync::atomic::AtomicBool::new(false));

    type GuardMarker = GuardSend;

    fn lock(&self) {
        match self.lock_of().as_deref() {
            Some(Lock::Loom(lock, guard)) => {
                let held = lock.lock().unwrap();
                guard.set(Some(held));
            }
            Some(Lock::Shuttle(lock, guard)) => {
                let held = lock.lock().unwrap();
                guard.set(Some(held));
            }
            None => {}
        }
    }

    fn try_lock(&self) -> bool {
        match self.lock_of().as_deref() {
            Some(Lock::Loom(lock, guard)) => match lock.try_lock() {
                Ok(held) => guard.set(Some(held)),
                Err(_) => return false,
            },
            Some(Lock::Shuttle(lock, guard)) => match lock.try_lock() {
                Ok(held) => guard.set(Some(held)),
                Err(_) => return false,
            },
            None => {}
        }
        true
    }

    unsafe fn unlock(&self) {
        match self.lock_of().as_deref() {
            Some(Lock::Loom(_, guard)) => drop(guard.take()),
            Some(Lock::Shuttle(_, guard)) => drop(guard.take()),
            None => {}
        }
    }
}

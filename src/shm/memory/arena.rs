//! Where shared memory comes from, and how one piece of it is laid out.
//!
//! A piece is one allocation: a header and the arrays that belong to it, one behind the other. Its
//! size is computed from the types alone ([`Plan`]); its memory is zeroed before anyone sees it.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use super::atomic::{self, AtomicPtr, AtomicU32, AtomicU64};

/// A source of memory that all processes of the server see at the same address.
///
/// # Safety
/// `alloc` returns memory of at least `layout.size()` bytes, aligned to `min(layout.align(), 8)`,
/// that nobody else uses until it is given to `free`, and that is mapped at one address in every
/// process that uses the table.
pub unsafe trait Arena {
    /// Takes memory; `None` when the arena is full.
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>>;

    /// Gives memory back.
    ///
    /// # Safety
    /// `ptr` came from `alloc` of the same arena, is given back once, and nobody reads it again.
    unsafe fn free(&self, ptr: NonNull<u8>);
}

/// The arena had no room. What was published before stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of shared memory (see the server's -m option)")
    }
}

/// Types whose all-zero bytes are a value, and that mean the same in every process.
///
/// # Safety
/// A zeroed value is valid, and a value holds nothing of one process: no heap pointer, no
/// reference, no function. Pointers into the arena are fine: all processes map it at one address.
pub unsafe trait ShmSafe {}

macro_rules! shm_safe {
    ($($plain:ty),*) => { $(
        // SAFETY: an integer or atomic; zero is a value, and it points nowhere.
        unsafe impl ShmSafe for $plain {}
    )* };
}
shm_safe!(u8, u16, u32, u64, usize, i32);
shm_safe!(AtomicU32, AtomicU64);

// SAFETY: null is a value, the arena's addresses are the same in every process, and what is there
// is safe to share.
unsafe impl<T: ShmSafe> ShmSafe for *mut T {}
// SAFETY: null is a value, the arena's addresses are the same in every process, and what is there
// is safe to share.
unsafe impl<T: ShmSafe> ShmSafe for AtomicPtr<T> {}
// SAFETY: an array of values that are safe one by one.
unsafe impl<T: ShmSafe, const N: usize> ShmSafe for [T; N] {}

/// Narrows a length or position whose caller knows that it fits: what shared memory holds of one
/// kind is fewer than 2^32.
pub(crate) fn to_u32(number: usize) -> u32 {
    debug_assert!(u32::try_from(number).is_ok(), "{number}");
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A place in a [`Plan`]: an array of `len` values of `T`.
pub struct Field<T> {
    offset: usize,
    len: usize,
    of: PhantomData<T>,
}

impl<T> Field<T> {
    /// Returns where it begins, in bytes from the start of the piece.
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

/// The layout of a piece: a header `H` and then its arrays.
pub struct Plan<H> {
    /// `None` when the piece would be larger than memory can be: no arena has room for it.
    layout: Option<Layout>,
    header: PhantomData<H>,
}

impl<H: ShmSafe> Plan<H> {
    /// Makes a piece with only its header so far.
    pub const fn of_header() -> Self {
        const { assert!(align_of::<H>() <= 8, "an arena aligns to 8") };
        Plan {
            layout: Some(Layout::new::<H>()),
            header: PhantomData,
        }
    }

    /// Adds an array.
    pub fn array<T: ShmSafe>(&mut self, len: usize) -> Field<T> {
        const { assert!(align_of::<T>() <= 8, "an arena aligns to 8") };
        let array = Layout::array::<T>(len).ok();
        let extended = self.layout.zip(array);
        let extended = extended.and_then(|(layout, array)| layout.extend(array).ok());
        self.layout = extended.map(|(layout, _)| layout);
        Field {
            offset: extended.map_or(0, |(_, offset)| offset),
            len,
            of: PhantomData,
        }
    }

    /// Returns the size of the piece in bytes.
    pub fn bytes(&self) -> usize {
        self.layout.map_or(usize::MAX, |layout| layout.size())
    }

    /// Takes the memory, zeroed.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn alloc(self, arena: &impl Arena) -> Result<Block<H>, OutOfMemory> {
        let layout = self.layout.ok_or(OutOfMemory)?;
        let base = arena.alloc(layout).ok_or(OutOfMemory)?;
        // SAFETY: `Arena::alloc` gave at least this many bytes to us alone.
        unsafe { base.write_bytes(0, layout.size()) };
        Ok(Block {
            base,
            header: PhantomData,
        })
    }
}

/// A piece that nobody else sees yet.
pub struct Block<H> {
    base: NonNull<u8>,
    header: PhantomData<H>,
}

impl<H> Block<H> {
    /// Returns the piece itself; also what `Arena::free` wants back.
    pub fn header(&self) -> NonNull<H> {
        self.base.cast()
    }

    /// Returns the header for filling, field by field: a whole value would bring along its padding, whose
    /// bytes are undefined.
    pub fn fill(&mut self) -> &mut H
    where
        H: ShmSafe,
    {
        atomic::writes(self.base.as_ptr());
        // SAFETY: zeroed by `Plan::alloc`, which is a value of `H`; nobody else sees the piece.
        unsafe { self.base.cast().as_mut() }
    }

    /// Returns one of the arrays that the piece was planned with.
    pub fn slice<T>(&self, field: &Field<T>) -> ShmSlice<T> {
        // SAFETY: the plan that made the field also made the block's size.
        let start = unsafe { self.base.add(field.offset) };
        ShmSlice {
            start: start.as_ptr().cast(),
            len: field.len,
        }
    }
}

/// An array inside a piece. Empty when zeroed.
///
/// It is part of the piece's header, so that a borrow of the header bounds every borrow of the
/// array: the array lives as long as its piece.
pub struct ShmSlice<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: zeroed it is the empty array; its pointer stays inside the arena, and what is there is
// safe to share.
unsafe impl<T: ShmSafe> ShmSafe for ShmSlice<T> {}

impl<T: ShmSafe> ShmSlice<T> {
    /// Makes a zeroed array as a piece of its own.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub fn create(arena: &impl Arena, len: usize) -> Result<Self, OutOfMemory> {
        let mut plan = Plan::<[u64; 0]>::of_header();
        let field = plan.array(len);
        Ok(plan.alloc(arena)?.slice(&field))
    }

    /// Gives back an array that is a piece of its own; nothing where it is empty.
    ///
    /// # Safety
    /// It came from `create` with this arena, and nobody uses it again.
    pub unsafe fn free(&self, arena: &impl Arena) {
        if let Some(start) = self.start() {
            // SAFETY: the caller's promise; the array begins where its piece does.
            unsafe { arena.free(start.cast()) };
        }
    }
}

impl<T> ShmSlice<T> {
    /// The empty array.
    pub const EMPTY: Self = ShmSlice {
        start: core::ptr::null_mut(),
        len: 0,
    };

    /// Returns a pointer to its first value; `None` if it is empty.
    pub fn start(&self) -> Option<NonNull<T>> {
        NonNull::new(self.start).filter(|_| self.len > 0)
    }

    /// Returns the number of values.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns the array.
    pub fn get(&self) -> &[T] {
        if self.len == 0 {
            return &[];
        }
        atomic::reads(self.start);
        // SAFETY: `Block::slice` made it over zeroed memory of this type, which lives as long as
        // the header that holds `self`.
        unsafe { core::slice::from_raw_parts(self.start, self.len) }
    }

    /// Returns the value at a place: as `get().get(at)`, in fewer steps.
    #[inline(always)]
    pub fn at(&self, at: usize) -> Option<&T> {
        if at >= self.len {
            return None;
        }
        atomic::reads(self.start);
        // SAFETY: within the array.
        let value = unsafe { self.start.add(at) };
        // SAFETY: `Block::slice` made the array over zeroed memory of this type, which lives as long as the header that
        // holds `self`.
        Some(unsafe { &*value })
    }

    /// Returns the array for filling, before its piece is published.
    ///
    /// # Safety
    /// Nobody else has a reference into the array while the result lives.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn fill(&self) -> &mut [T] {
        if self.len == 0 {
            return &mut [];
        }
        atomic::writes(self.start);
        // SAFETY: `Block::slice` made it over zeroed memory of this type, which lives as long as the
        // header that holds `self`; that it is ours alone is the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

/// A value in shared memory that can be given back with what belongs to it alone.
pub trait Free {
    /// Gives it back.
    ///
    /// # Safety
    /// It came from this arena, and nobody reads it any more.
    unsafe fn free(piece: NonNull<Self>, arena: &impl Arena)
    where
        Self: Sized;
}

/// A value that nobody else sees yet: given back when dropped.
pub struct Owned<'a, A: Arena, T: Free> {
    piece: NonNull<T>,
    arena: &'a A,
}

impl<'a, A: Arena, T: Free> Owned<'a, A, T> {
    /// Takes charge of a value.
    ///
    /// # Safety
    /// `piece` is filled, came from this arena, and nobody else has it.
    pub unsafe fn new(piece: NonNull<T>, arena: &'a A) -> Self {
        Owned { piece, arena }
    }

    /// Returns the bare pointer, for what is published together with it.
    pub fn as_ptr(&self) -> NonNull<T> {
        self.piece
    }

    /// Returns the bare pointer, for a publication.
    pub fn into_raw(self) -> NonNull<T> {
        let piece = self.piece;
        core::mem::forget(self);
        piece
    }
}

impl<A: Arena, T: Free> Deref for Owned<'_, A, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` was given a value that is there, and it is given back by the drop alone.
        unsafe { self.piece.as_ref() }
    }
}

impl<A: Arena, T: Free> DerefMut for Owned<'_, A, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `new` was given a value that is there and that nobody else has.
        unsafe { self.piece.as_mut() }
    }
}

impl<A: Arena, T: Free> Drop for Owned<'_, A, T> {
    fn drop(&mut self) {
        // SAFETY: `new` was given a value of this arena that nobody else has.
        unsafe { T::free(self.piece, self.arena) };
    }
}

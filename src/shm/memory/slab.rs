//! Things are made many in one piece: each piece of shared memory costs the server's allocator up
//! to a hundred bytes, which is more than a record.
//!
//! A piece counts who is left in it, and is given back with the last one.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::arena::{Arena, OutOfMemory, ShmSlice};
use super::refcount::{Counted, Hold, Kept};

/// Most things of one piece: what one that stays keeps with it is small.
pub(crate) const MOST: usize = 64;

/// A piece of counted things.
pub(crate) trait Piece: Sized {
    /// What it is a piece of.
    type Of: Kept;

    /// A piece of so many, that its maker holds: `live` is 1.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    fn create(arena: &impl Arena, len: usize) -> Result<NonNull<Self>, OutOfMemory>;

    /// How many of them somebody holds; one more while there may be new ones.
    fn live(&self) -> &AtomicU32;

    /// All of them.
    fn all(&self) -> &ShmSlice<Counted<Self::Of>>;

    /// Where one of them has the piece that it is in.
    fn home(one: &Self::Of) -> &AtomicPtr<Self>;

    /// Gives back the piece.
    ///
    /// # Safety
    /// It came from `create` with this arena, and nobody holds one of them or reads it any more.
    unsafe fn free(piece: NonNull<Self>, arena: &impl Arena);
}

/// Gives up a place in a piece; with the last one, gives back the piece.
///
/// # Safety
/// The caller has that place, `arena` is the piece's, and nobody reads what is there any more.
pub(crate) unsafe fn leave<P: Piece>(piece: NonNull<P>, arena: &impl Arena) {
    // SAFETY: the caller's place keeps it.
    let live = unsafe { piece.as_ref() }.live();
    if live.fetch_sub(1, Ordering::AcqRel) == 1 {
        // SAFETY: that was the last place.
        unsafe { P::free(piece, arena) };
    }
}

/// Gives up the place of one that a [`Maker`] made.
///
/// # Safety
/// It is still there, nobody holds or reads it any more, and `arena` is the one that it came from.
pub(crate) unsafe fn leave_home<P: Piece>(one: NonNull<Counted<P::Of>>, arena: &impl Arena) {
    // SAFETY: the caller's promise: it is still there.
    let home = P::home(unsafe { one.as_ref() }).load(Ordering::Relaxed);
    if let Some(home) = NonNull::new(home) {
        // SAFETY: it was counted in when it was made.
        unsafe { leave(home, arena) };
    }
}

/// Makes things, a piece of them at a time.
pub(crate) struct Maker<'a, A: Arena, P: Piece> {
    arena: &'a A,
    /// Those that are still to be made, as far as is known.
    wanted: usize,
    piece: Option<NonNull<P>>,
    /// Those of that piece that were given out.
    taken: usize,
}

impl<'a, A: Arena, P: Piece> Maker<'a, A, P> {
    /// Takes memory for about `wanted` of them, as they are made.
    pub(crate) fn new(arena: &'a A, wanted: usize) -> Self {
        Maker {
            arena,
            wanted,
            piece: None,
            taken: 0,
        }
    }

    /// A new one.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full.
    pub(crate) fn make(&mut self) -> Result<Hold<'a, A, P::Of>, OutOfMemory> {
        let one = match self.next() {
            Some(one) => one,
            None => {
                self.open()?;
                self.next().ok_or(OutOfMemory)?
            }
        };
        let piece = self.piece.ok_or(OutOfMemory)?;
        self.taken += 1;
        self.wanted = self.wanted.saturating_sub(1);
        // SAFETY: held by `self`.
        let live = unsafe { piece.as_ref() }.live();
        live.fetch_add(1, Ordering::Relaxed);
        // SAFETY: in a piece that is there, and seen by nobody.
        let home = P::home(unsafe { one.as_ref() });
        home.store(piece.as_ptr(), Ordering::Relaxed);
        // SAFETY: it is in the piece that `self` holds, which came from this arena.
        Ok(unsafe { Hold::new(one, self.arena) })
    }

    /// The next free place of the piece.
    fn next(&self) -> Option<NonNull<Counted<P::Of>>> {
        // SAFETY: held by `self`.
        let all = unsafe { self.piece?.as_ref() }.all();
        if self.taken >= all.len() {
            return None;
        }
        // SAFETY: within the array.
        Some(unsafe { all.start()?.add(self.taken) })
    }

    /// Takes memory for more of them.
    fn open(&mut self) -> Result<(), OutOfMemory> {
        let piece = P::create(self.arena, self.wanted.clamp(1, MOST))?;
        self.close();
        (self.piece, self.taken) = (Some(piece), 0);
        Ok(())
    }

    fn close(&mut self) {
        if let Some(piece) = self.piece.take() {
            // SAFETY: gives up the place that it was made with.
            unsafe { leave(piece, self.arena) };
        }
    }
}

impl<A: Arena, P: Piece> Drop for Maker<'_, A, P> {
    fn drop(&mut self) {
        self.close();
    }
}

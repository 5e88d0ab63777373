//! Lists in shared memory whose links lie in their items.

use core::iter;
use core::ptr::{self, NonNull};

use super::arena::{Arena, Free, Owned, ShmSafe};

/// A value that can be in a list.
pub(crate) trait Linked: Free + Sized {
    /// Returns the rest of the list, behind this item.
    fn next(&self) -> &List<Self>;

    /// Returns the rest of the list, behind this item.
    fn next_mut(&mut self) -> &mut List<Self>;
}

/// A list, which owns its items. Zeroed it is empty.
pub(crate) struct List<T> {
    first: *mut T,
}

// SAFETY: null is a value, the arena's addresses are the same in every process, and the items are
// safe to share.
unsafe impl<T: ShmSafe> ShmSafe for List<T> {}

impl<T> List<T> {
    /// The empty list.
    pub(crate) const EMPTY: Self = List {
        first: ptr::null_mut(),
    };
}

/// A list whose items come out in the order in which they were put in. Zeroed it is empty.
pub(crate) struct Fifo<T> {
    items: List<T>,
    last: *mut T,
}

// SAFETY: null is a value, the arena's addresses are the same in every process, and the items are
// safe to share.
unsafe impl<T: ShmSafe> ShmSafe for Fifo<T> {}

impl<T> Fifo<T> {
    /// The empty queue.
    pub(crate) const EMPTY: Self = Fifo {
        items: List::EMPTY,
        last: ptr::null_mut(),
    };
}

impl<T: Linked> Fifo<T> {
    /// Returns the items, the first that was put in first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// Returns the item that has waited longest.
    pub(crate) fn first(&self) -> Option<&T> {
        self.items.first()
    }

    /// Puts an item, which is in no list, at the end.
    pub(crate) fn push<A: Arena>(&mut self, item: Owned<'_, A, T>) {
        let item = item.into_raw().as_ptr();
        // SAFETY: the last item of the queue, which is borrowed; no other reference to it is live.
        match unsafe { self.last.as_mut() } {
            Some(last) => last.next_mut().first = item,
            None => self.items.first = item,
        }
        self.last = item;
    }

    /// Takes the item out that has waited longest.
    ///
    /// # Safety
    /// The items came from this arena.
    pub(crate) unsafe fn pop<'a, A: Arena>(&mut self, arena: &'a A) -> Option<Owned<'a, A, T>> {
        // SAFETY: the caller's promise.
        let item = unsafe { self.items.pop(arena) };
        if self.items.first.is_null() {
            self.last = ptr::null_mut();
        }
        item
    }

    /// Gives all items back.
    ///
    /// # Safety
    /// The items came from this arena, and nobody reads them any more.
    pub(crate) unsafe fn free(self, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        unsafe { self.items.free(arena) };
    }
}

impl<T: Linked> List<T> {
    fn first(&self) -> Option<&T> {
        // SAFETY: only `push` puts items in, each whole and the list's alone.
        unsafe { self.first.as_ref() }
    }

    /// Returns the items, the last that was pushed first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        iter::successors(self.first(), |item| item.next().first())
    }

    /// Puts an item at the front.
    pub(crate) fn push<A: Arena>(&mut self, mut item: Owned<'_, A, T>) {
        *item.next_mut() = core::mem::replace(self, List::EMPTY);
        self.first = item.into_raw().as_ptr();
    }

    /// Takes the first item out.
    ///
    /// # Safety
    /// The items came from this arena.
    pub(crate) unsafe fn pop<'a, A: Arena>(&mut self, arena: &'a A) -> Option<Owned<'a, A, T>> {
        let first = NonNull::new(self.first)?;
        // SAFETY: the list owned it and gives it up here; that it is of the arena is the caller's
        // promise.
        let mut item = unsafe { Owned::new(first, arena) };
        *self = core::mem::replace(item.next_mut(), List::EMPTY);
        Some(item)
    }

    /// Moves the items that `which` accepts to the front of another list. Returns their number.
    pub(crate) fn move_to(&mut self, to: &mut Self, which: impl Fn(&T) -> bool) -> usize {
        let mut moved = 0;
        let mut link: *mut List<T> = self;
        loop {
            // SAFETY: this list, which is borrowed, or the link of an item in it.
            let here = unsafe { &mut *link };
            // SAFETY: an item of the list, which is borrowed; no other reference to it is live.
            let Some(item) = (unsafe { here.first.as_mut() }) else {
                return moved;
            };
            if which(item) {
                let rest = core::mem::replace(item.next_mut(), List::EMPTY);
                let first = core::mem::replace(here, rest);
                *item.next_mut() = core::mem::replace(to, first);
                moved += 1;
            } else {
                link = item.next_mut();
            }
        }
    }

    /// Gives all items back.
    ///
    /// # Safety
    /// The items came from this arena, and nobody reads them any more.
    pub(crate) unsafe fn free(mut self, arena: &impl Arena) {
        // SAFETY: the caller's promise.
        while let Some(item) = unsafe { self.pop(arena) } {
            drop(item);
        }
    }
}

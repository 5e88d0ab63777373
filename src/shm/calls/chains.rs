//! The calls of one slot of the call table: one chain, or several, as many as its calls need.
//!
//! They lie behind the slot's lock: `&Chains` comes from its guard, and bounds all that it yields.

use core::iter;
use core::ptr::{self, NonNull};
use core::slice;

use super::call::{Call, Link};
use super::fingerprint::{CallKey, CallName};
use crate::dispatch::list::destination::SetId;
use crate::shm::memory::arena::{Arena, Owned, ShmSlice};
use crate::shm::memory::atomic::Ordering::Relaxed;

/// Calls for each chain before there are more chains.
const LONG: usize = 4;

/// By how many chains become more, or fewer.
const MORE: usize = 4;

/// The calls of a slot.
pub(super) struct Chains {
    /// The only chain, while there are not many.
    one: Link,
    /// Chains by the keys of their calls, a power of two of them; empty before they are needed.
    many: ShmSlice<Link>,
    calls: usize,
}

/// Calls that were taken out of their chains.
pub(super) struct Ended {
    first: Link,
}

impl Ended {
    /// Returns a list without calls.
    pub(super) const fn empty() -> Self {
        let first = Link::new(ptr::null_mut());
        Ended { first }
    }

    /// Puts a call in.
    pub(super) fn push<A: Arena>(&mut self, call: Owned<'_, A, Call>) {
        call.next.store(self.first.load(Relaxed), Relaxed);
        self.first.store(call.into_raw().as_ptr(), Relaxed);
    }

    /// Returns true if there is no call.
    pub(super) fn is_empty(&self) -> bool {
        self.first.load(Relaxed).is_null()
    }

    /// Returns the calls.
    pub(super) fn all(&self) -> impl Iterator<Item = &Call> {
        walk(&self.first)
    }

    /// Takes the first call out.
    fn pop_raw(&mut self) -> Option<NonNull<Call>> {
        let first = NonNull::new(self.first.load(Relaxed))?;
        // SAFETY: a whole call, which `push` or `Chains::take` has put here and nobody has given back.
        let rest = unsafe { first.as_ref() }.next.load(Relaxed);
        self.first.store(rest, Relaxed);
        Some(first)
    }

    /// Takes the first call out.
    ///
    /// # Safety
    /// The calls came from this arena.
    pub(super) unsafe fn pop<'a, A: Arena>(&mut self, arena: &'a A) -> Option<Owned<'a, A, Call>> {
        let first = self.pop_raw()?;
        // SAFETY: no chain leads to it any more; that it is of this arena is the caller's promise.
        Some(unsafe { Owned::new(first, arena) })
    }
}

/// Returns the call that a link leads to.
fn follow(link: &Link) -> Option<&Call> {
    // SAFETY: links of a chain lead to calls that are in it, and these are given back only after they have been taken
    // out behind the slot's lock, which the caller holds as long as it has the link. Calls in `Ended` belong to it
    // alone, and leave it by `Ended::pop`, which needs it mutably.
    unsafe { link.load(Relaxed).as_ref() }
}

/// Returns the calls of the chain that begins at a link.
fn walk(head: &Link) -> impl Iterator<Item = &Call> {
    iter::successors(follow(head), |call| follow(&call.next))
}

impl Chains {
    /// Returns one without calls.
    pub(super) const fn empty() -> Self {
        Chains {
            one: Link::new(ptr::null_mut()),
            many: ShmSlice::EMPTY,
            calls: 0,
        }
    }

    /// Returns the heads of all chains.
    fn heads(&self) -> &[Link] {
        match self.many.len() {
            0 => slice::from_ref(&self.one),
            _ => self.many.get(),
        }
    }

    /// Returns the head of the chain of a key.
    fn head(&self, key: CallKey) -> Option<&Link> {
        let heads = self.heads();
        heads.get(key.chain() & heads.len().wrapping_sub(1))
    }

    /// Returns all calls.
    pub(super) fn all(&self) -> impl Iterator<Item = &Call> {
        self.heads().iter().flat_map(walk)
    }

    /// Returns the calls with a key: one in each set.
    pub(super) fn with_key(&self, key: CallKey) -> impl Iterator<Item = &Call> {
        let first = self.head(key).and_then(follow);
        let chain = iter::successors(first, |call| follow(&call.next));
        chain.filter(move |call| call.key == key)
    }

    /// Returns the call of a set that a message with this name belongs to.
    pub(super) fn find(&self, name: &CallName, set: SetId) -> Option<&Call> {
        let find = |key| self.with_key(key).find(|call| call.is_in(set));
        find(name.new_key()).or_else(|| find(name.other_key()?))
    }

    /// Puts a call in. If there are many calls for each chain, memory is taken for more chains, if there is any.
    pub(super) fn put<A: Arena>(&mut self, call: Owned<'_, A, Call>, arena: &A) {
        let chains = self.heads().len();
        if self.calls >= LONG * chains {
            self.resize(chains * MORE, arena);
        }
        self.push(call.into_raw());
    }

    /// Puts a call at the start of its chain.
    fn push(&mut self, call: NonNull<Call>) {
        // SAFETY: a whole call that is in no chain.
        let there = unsafe { call.as_ref() };
        if let Some(head) = self.head(there.key) {
            there.next.store(head.load(Relaxed), Relaxed);
            head.store(call.as_ptr(), Relaxed);
            self.calls += 1;
        }
    }

    /// Makes so many chains of the calls, if there is memory for them.
    #[cold]
    fn resize(&mut self, wanted: usize, arena: &impl Arena) {
        let many = match wanted {
            1 => ShmSlice::EMPTY,
            _ => match ShmSlice::create(arena, wanted) {
                Ok(many) => many,
                Err(_) => return,
            },
        };
        let mut all = self.take(None, |_| true);
        // SAFETY: an earlier call of this function took them from this arena; they lead to no call any more.
        unsafe { self.many.free(arena) };
        self.many = many;
        while let Some(call) = all.pop_raw() {
            self.push(call);
        }
    }

    /// Takes those calls out that `which` accepts: of the chain of a key, or of all chains.
    pub(super) fn take(&mut self, key: Option<CallKey>, which: impl Fn(&Call) -> bool) -> Ended {
        let heads = match key {
            Some(key) => self.head(key).map(slice::from_ref).unwrap_or_default(),
            None => self.heads(),
        };
        let (mut ended, mut count) = (ptr::null_mut(), 0);
        for head in heads {
            let mut link = head;
            while let Some(call) = follow(link) {
                if which(call) {
                    let here = link.load(Relaxed);
                    link.store(call.next.load(Relaxed), Relaxed);
                    call.next.store(ended, Relaxed);
                    (ended, count) = (here, count + 1);
                } else {
                    link = &call.next;
                }
            }
        }
        self.calls -= count;
        Ended {
            first: Link::new(ended),
        }
    }

    /// Returns the number of calls in the longest chain.
    #[cfg(test)]
    pub(super) fn longest(&self) -> usize {
        let lengths = self.heads().iter().map(|head| walk(head).count());
        lengths.max().unwrap_or_default()
    }

    /// Gives memory back where there are many more chains than calls.
    pub(super) fn tidy(&mut self, arena: &impl Arena) {
        let chains = self.heads().len();
        let needed = if self.calls == 0 { 1 } else { chains / MORE };
        if chains > 1 && self.calls * 2 * MORE < chains {
            self.resize(needed, arena);
        }
    }
}

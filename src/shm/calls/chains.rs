//! The calls of one slot of the call table: one chain, or many short ones once it has become long.
//!
//! They lie behind the slot's lock: `&Chains` comes from its guard, and bounds all that it yields.

use core::iter;
use core::ptr::{self, NonNull};
use core::slice;

use crate::dispatch::hash::fold_hash;
use crate::dispatch::list::destination::SetId;

use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, Free, Owned, ShmSafe, ShmSlice};
use crate::shm::memory::refcount::Counted;

/// A call that is counted.
pub(crate) struct Call {
    next: *mut Call,
    /// The record of its destination, which it holds; null before it is in a chain.
    pub(crate) record: *mut Counted<DestRecord>,
    pub(crate) set: SetId,
    /// The second in which it ends by itself.
    pub(crate) expires: u32,
    /// The second in which it ends when it is not confirmed by then; `u32::MAX` when it is.
    pub(crate) init_expires: u32,
    pub(crate) call_id: ShmSlice<u8>,
}

// SAFETY: integers, arena pointers and a shared slice; zeroed it is a call of nobody.
unsafe impl ShmSafe for Call {}

impl Free for Call {
    /// Lets its record go as well.
    unsafe fn free(call: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: it is given back last.
        if let Some(record) = NonNull::new(unsafe { call.as_ref() }.record) {
            // SAFETY: the call holds it, and both came from this arena.
            unsafe { Counted::release(record, arena) };
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(call.cast()) };
    }
}

impl Call {
    /// True for the call with this Call-ID in this set.
    pub(crate) fn is(&self, set: SetId, call_id: &[u8]) -> bool {
        self.set == set && self.call_id.get() == call_id
    }

    /// What runs of its destination.
    pub(crate) fn record(&self) -> Option<&DestRecord> {
        // SAFETY: a call holds its record.
        Some(unsafe { self.record.as_ref() }?)
    }
}

/// Calls of a chain before it is made into several.
const LONG: usize = 8;

/// Chains that a long one is made into, and by how many they become more.
const FIRST: usize = 16;
const MORE: usize = 4;

/// The calls of a slot.
pub(crate) struct Chains {
    /// The only chain, while there are not many.
    one: *mut Call,
    /// Chains by the hash of their calls, a power of two of them; empty before they are needed.
    many: ShmSlice<*mut Call>,
    calls: usize,
}

/// The hash of a call within its slot: the bits of the whole above the slot's number.
#[derive(Clone, Copy)]
pub(crate) struct SlotHash {
    hash: u32,
    /// Bits of the slot's number.
    bits: u32,
}

impl SlotHash {
    /// The hash of a Call-ID in a table with two to the power of `bits` slots.
    pub(crate) fn new(hash: u32, bits: u32) -> Self {
        SlotHash { hash, bits }
    }

    fn of(self, call: &Call) -> Self {
        SlotHash::new(fold_hash(call.call_id.get()), self.bits)
    }

    fn place(self, chains: usize) -> usize {
        self.hash.checked_shr(self.bits).unwrap_or(0) as usize & chains.wrapping_sub(1)
    }
}

impl Chains {
    /// No calls.
    pub(crate) const EMPTY: Self = Chains {
        one: ptr::null_mut(),
        many: ShmSlice::EMPTY,
        calls: 0,
    };

    /// Number of calls.
    pub(crate) const fn len(&self) -> usize {
        self.calls
    }

    /// The heads of all chains.
    fn heads(&self) -> &[*mut Call] {
        match self.many.len() {
            0 => slice::from_ref(&self.one),
            _ => self.many.get(),
        }
    }

    fn heads_mut(&mut self) -> &mut [*mut Call] {
        match self.many.len() {
            0 => slice::from_mut(&mut self.one),
            // SAFETY: reached only through this value, which is borrowed for as long.
            _ => unsafe { self.many.fill() },
        }
    }

    /// The head of the chain of a hash.
    fn head_mut(&mut self, hash: SlotHash) -> Option<&mut *mut Call> {
        let heads = self.heads_mut();
        heads.get_mut(hash.place(heads.len()))
    }

    /// All calls.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Call> {
        self.heads().iter().flat_map(chain)
    }

    /// The calls with this hash, among others of their chain.
    fn with_hash(&self, hash: SlotHash) -> impl Iterator<Item = &Call> {
        let heads = self.heads();
        heads
            .get(hash.place(heads.len()))
            .into_iter()
            .flat_map(chain)
    }

    /// The call with this Call-ID in this set.
    pub(crate) fn find(&self, hash: SlotHash, set: SetId, call_id: &[u8]) -> Option<&Call> {
        self.with_hash(hash).find(|call| call.is(set, call_id))
    }

    /// Shows each call of the chain of a hash to `change`.
    pub(crate) fn change(&mut self, hash: SlotHash, mut change: impl FnMut(&mut Call)) {
        let mut at = self.head_mut(hash).map_or(ptr::null_mut(), |head| *head);
        // SAFETY: calls in a chain are reached only through it, which is borrowed.
        while let Some(call) = unsafe { at.as_mut() } {
            change(call);
            at = call.next;
        }
    }

    /// Puts a call in. Where its chain has become long, memory is taken for more of them, if there
    /// is any.
    pub(crate) fn put<A: Arena>(&mut self, hash: SlotHash, call: Owned<'_, A, Call>, arena: &A) {
        if self.with_hash(hash).nth(LONG).is_some() {
            self.grow(hash, arena);
        }
        // SAFETY: it was given away, so it is in no chain.
        unsafe { self.push(hash, call.into_raw()) };
    }

    /// Puts a call at the start of its chain.
    ///
    /// # Safety
    /// The call is in no chain, and nobody else has it.
    unsafe fn push(&mut self, hash: SlotHash, call: NonNull<Call>) {
        let Some(head) = self.head_mut(hash) else {
            return;
        };
        // SAFETY: the caller's promise.
        unsafe { (*call.as_ptr()).next = *head };
        *head = call.as_ptr();
        self.calls += 1;
    }

    /// Makes more chains, where there are calls for them: calls with one and the same hash stay in
    /// one chain, however many there are.
    #[cold]
    fn grow(&mut self, hash: SlotHash, arena: &impl Arena) {
        let chains = self.heads().len();
        if self.calls < chains {
            return;
        }
        let wanted = if chains < FIRST { FIRST } else { chains * MORE };
        let Ok(many) = ShmSlice::create(arena, wanted) else {
            return;
        };
        let all = self.take(None, |_| true);
        self.tidy(arena);
        self.many = many;
        for call in all {
            // SAFETY: taken out, and not yet put in again.
            let of_call = hash.of(unsafe { call.as_ref() });
            // SAFETY: taken out, so it is in no chain.
            unsafe { self.push(of_call, call) };
        }
    }

    /// Takes those calls out of one chain, or of all, that `which` takes.
    pub(crate) fn take(&mut self, hash: Option<SlotHash>, which: impl Fn(&Call) -> bool) -> Taken {
        let mut taken = Taken(ptr::null_mut());
        let mut count = 0;
        let heads = match hash {
            Some(hash) => self.head_mut(hash).map(slice::from_mut).unwrap_or_default(),
            None => self.heads_mut(),
        };
        for head in heads {
            let mut link: *mut *mut Call = head;
            // SAFETY: the chain's head, or the `next` of a call in it; the chain is borrowed.
            while let Some(mut call) = NonNull::new(unsafe { *link }) {
                // SAFETY: calls in a chain are reached only through it, which is borrowed.
                let call = unsafe { call.as_mut() };
                if which(call) {
                    // SAFETY: the link that leads to the call.
                    unsafe { *link = call.next };
                    call.next = taken.0;
                    taken.0 = call;
                    count += 1;
                } else {
                    link = &raw mut call.next;
                }
            }
        }
        self.calls -= count;
        taken
    }

    /// Gives back the memory for more chains than one, where no call is left.
    pub(crate) fn tidy(&mut self, arena: &impl Arena) {
        if self.calls == 0 {
            // SAFETY: `grow` took them from this arena; they lead to no call.
            unsafe { self.many.free(arena) };
            *self = Chains::EMPTY;
        }
    }
}

/// The calls of a chain.
fn chain(head: &*mut Call) -> impl Iterator<Item = &Call> {
    // SAFETY: calls in a chain are there for as long as it is borrowed.
    let first = unsafe { head.as_ref() };
    // SAFETY: calls in a chain are there for as long as it is borrowed.
    iter::successors(first, |call| unsafe { call.next.as_ref() })
}

/// Calls that are in no chain any more, and belong to whoever took them.
pub(crate) struct Taken(*mut Call);

impl Iterator for Taken {
    type Item = NonNull<Call>;

    fn next(&mut self) -> Option<NonNull<Call>> {
        let call = NonNull::new(self.0)?;
        // SAFETY: in no chain, so ours alone, and not yet handed on.
        self.0 = unsafe { call.as_ref() }.next;
        Some(call)
    }
}

//! The calls of one slot of the call table: one chain, or many short ones once it has become long.
//!
//! They lie behind the slot's lock: `&Chains` comes from its guard, and bounds all that it yields.

use core::ptr::NonNull;
use core::slice;

use crate::dispatch::hash::fold_hash;
use crate::dispatch::list::destination::SetId;

use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, Free, Owned, ShmSafe, ShmSlice};
use crate::shm::memory::list::{Linked, List};
use crate::shm::memory::refcount::Counted;

/// A call that is counted.
pub(crate) struct Call {
    next: List<Call>,
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

impl Linked for Call {
    fn next(&self) -> &List<Self> {
        &self.next
    }

    fn next_mut(&mut self) -> &mut List<Self> {
        &mut self.next
    }
}

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

    /// Returns the record of its destination.
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
    one: List<Call>,
    /// Chains by the hash of their calls, a power of two of them; empty before they are needed.
    many: ShmSlice<List<Call>>,
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
    /// Makes the hash of a Call-ID in a table with two to the power of `bits` slots.
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
        one: List::EMPTY,
        many: ShmSlice::EMPTY,
        calls: 0,
    };

    /// Returns the number of calls.
    pub(crate) const fn len(&self) -> usize {
        self.calls
    }

    /// Returns the heads of all chains.
    fn heads(&self) -> &[List<Call>] {
        match self.many.len() {
            0 => slice::from_ref(&self.one),
            _ => self.many.get(),
        }
    }

    fn heads_mut(&mut self) -> &mut [List<Call>] {
        match self.many.len() {
            0 => slice::from_mut(&mut self.one),
            // SAFETY: reached only through this value, which is borrowed for as long.
            _ => unsafe { self.many.fill() },
        }
    }

    /// Returns the head of the chain of a hash.
    fn head_mut(&mut self, hash: SlotHash) -> Option<&mut List<Call>> {
        let heads = self.heads_mut();
        heads.get_mut(hash.place(heads.len()))
    }

    /// Returns all calls.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Call> {
        self.heads().iter().flat_map(List::iter)
    }

    /// Returns the calls with this hash, among others of their chain.
    fn with_hash(&self, hash: SlotHash) -> impl Iterator<Item = &Call> {
        let heads = self.heads();
        heads
            .get(hash.place(heads.len()))
            .into_iter()
            .flat_map(List::iter)
    }

    /// Returns the call with this Call-ID in this set.
    pub(crate) fn find(&self, hash: SlotHash, set: SetId, call_id: &[u8]) -> Option<&Call> {
        self.with_hash(hash).find(|call| call.is(set, call_id))
    }

    /// Shows each call of the chain of a hash to `change`.
    pub(crate) fn change(&mut self, hash: SlotHash, change: impl FnMut(&mut Call)) {
        if let Some(head) = self.head_mut(hash) {
            head.change_each(change);
        }
    }

    /// Puts a call in. Where its chain has become long, memory is taken for more of them, if there
    /// is any.
    pub(crate) fn put<A: Arena>(&mut self, hash: SlotHash, call: Owned<'_, A, Call>, arena: &A) {
        if self.with_hash(hash).nth(LONG).is_some() {
            self.grow(hash, arena);
        }
        self.push(hash, call);
    }

    /// Puts a call at the start of its chain.
    fn push<A: Arena>(&mut self, hash: SlotHash, call: Owned<'_, A, Call>) {
        if let Some(head) = self.head_mut(hash) {
            head.push(call);
            self.calls += 1;
        }
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
        let mut all = self.take(None, |_| true);
        self.tidy(arena);
        self.many = many;
        // SAFETY: calls are of the table's arena.
        while let Some(call) = unsafe { all.pop(arena) } {
            self.push(hash.of(&call), call);
        }
    }

    /// Takes those calls out of one chain, or of all, that `which` takes.
    pub(crate) fn take(
        &mut self,
        hash: Option<SlotHash>,
        which: impl Fn(&Call) -> bool,
    ) -> List<Call> {
        let mut taken = List::EMPTY;
        let heads = match hash {
            Some(hash) => self.head_mut(hash).map(slice::from_mut).unwrap_or_default(),
            None => self.heads_mut(),
        };
        let count = heads
            .iter_mut()
            .map(|head| head.move_to(&mut taken, &which));
        let count: usize = count.sum();
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

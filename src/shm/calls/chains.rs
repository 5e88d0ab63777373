//! Calls that have fallen together in the table of calls: one chain, or many short ones in its
//! place once it has become long.
//!
//! All of it belongs to a slot of the table, and is touched by the holder of the slot's lock only.

use core::ptr::{self, NonNull};

use crate::dispatch::list::destination::SetId;
use crate::dispatch::select::hash::fold_hash;

use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::refcount::Counted;

/// A call that is counted.
pub(crate) struct Call {
    pub(crate) next: *mut Call,
    pub(crate) record: *mut Counted<DestRecord>,
    pub(crate) set: SetId,
    /// The second in which it ends by itself.
    pub(crate) expires: u32,
    /// The second in which it ends when it is not confirmed by then; `u32::MAX` when it is.
    pub(crate) init_expires: u32,
    pub(crate) call_id: ShmSlice<u8>,
}

// SAFETY: integers, arena pointers and shared slices; zeroed it is a call of nobody. It is never
// linked before `Calls::make` has written it and `Calls::link` has set its record.
unsafe impl ShmSafe for Call {}

impl Call {
    /// True for the call with this Call-ID in this set.
    pub(crate) fn is(&self, set: SetId, call_id: &[u8]) -> bool {
        self.set == set && self.call_id.get() == call_id
    }
}

/// Calls of a chain before it is made into several.
const LONG: usize = 8;

/// Chains that a long one is made into, and by how many they become more.
const FIRST: usize = 16;
const MORE: usize = 4;

/// The calls of a slot: a chain; or, with [`MANY`] in its address, the [`Heads`] of many.
pub(crate) struct Chains(*mut Call);

/// The bit of an address that says so: calls and heads lie at multiples of 8.
const MANY: usize = 1;

/// Chains by the hash of their calls, a power of two of them.
struct Heads {
    chains: ShmSlice<*mut Call>,
}

// SAFETY: a shared slice; zeroed it has no chains.
unsafe impl ShmSafe for Heads {}

/// The hash of a call within its slot: what is left of the whole above the slot's number.
#[derive(Clone, Copy)]
pub(crate) struct Rest {
    /// The whole.
    hash: u32,
    /// Bits of the slot's number.
    bits: u32,
}

impl Rest {
    /// Of the hash of a Call-ID, in a table with two to the power of `bits` slots.
    pub(crate) fn new(hash: u32, bits: u32) -> Self {
        Rest { hash, bits }
    }

    fn of(self, call: &Call) -> Self {
        Rest::new(fold_hash(call.call_id.get()), self.bits)
    }

    fn place(self, chains: usize) -> usize {
        self.hash.checked_shr(self.bits).unwrap_or(0) as usize & chains.wrapping_sub(1)
    }
}

impl Chains {
    /// No calls.
    pub(crate) const EMPTY: Self = Chains(ptr::null_mut());

    fn heads(&self) -> Option<NonNull<Heads>> {
        let is_many = self.0.addr() & MANY != 0;
        let heads = self.0.map_addr(|addr| addr & !MANY).cast();
        NonNull::new(heads).filter(|_| is_many)
    }

    /// The first of the chains where they are many, and their number.
    fn many(&self) -> Option<(*mut *mut Call, usize)> {
        // SAFETY: made by `grow`, and freed by nobody but `tidy`, which needs the slot's lock.
        let chains = unsafe { &(*self.heads()?.as_ptr()).chains };
        Some((chains.start()?.as_ptr(), chains.len()))
    }

    /// Where each of the chains begins.
    fn links(&mut self) -> impl Iterator<Item = *mut *mut Call> + use<> {
        let (first, count) = match self.many() {
            Some(many) => many,
            None => (&raw mut self.0, 1),
        };
        (0..count).map(move |at| first.wrapping_add(at))
    }

    /// Where the chain of a hash begins.
    fn link(&mut self, rest: Rest) -> *mut *mut Call {
        match self.many() {
            Some((first, count)) => first.wrapping_add(rest.place(count)),
            None => &raw mut self.0,
        }
    }

    /// The calls of the chain of a hash.
    pub(crate) fn of(&mut self, rest: Rest) -> impl Iterator<Item = NonNull<Call>> + use<> {
        chain(self.link(rest))
    }

    /// All calls.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = NonNull<Call>> + use<> {
        self.links().flat_map(chain)
    }

    /// The call with this Call-ID in this set.
    pub(crate) fn find(&mut self, rest: Rest, set: SetId, call_id: &[u8]) -> Option<NonNull<Call>> {
        self.of(rest).find(|call| {
            // SAFETY: calls in a chain are live while its lock is held.
            unsafe { call.as_ref() }.is(set, call_id)
        })
    }

    /// Puts a call in, which is in no chain. Where its chain has become long, memory is taken for
    /// more of them, if there is any.
    pub(crate) fn put(&mut self, rest: Rest, call: NonNull<Call>, arena: &impl Arena) {
        if self.of(rest).nth(LONG).is_some() {
            self.grow(rest, arena);
        }
        // SAFETY: a chain of this slot, and a call that is in none.
        unsafe { push(self.link(rest), call) };
    }

    /// Makes more chains, where there are calls for them: with one and the same hash there may
    /// be long ones among few.
    #[cold]
    fn grow(&mut self, rest: Rest, arena: &impl Arena) {
        let (calls, chains) = (self.all().count(), self.links().count());
        if calls < chains {
            return;
        }
        let wanted = if chains < FIRST { FIRST } else { chains * MORE };
        let mut plan = Plan::<Heads>::of_header();
        let field = plan.array(wanted);
        let Ok(mut block) = plan.alloc(arena) else {
            return;
        };
        block.fill().chains = block.slice(&field);
        let many = block.header().as_ptr().cast::<Call>();
        let mut more = Chains(many.map_addr(|addr| addr | MANY));
        let mut all = ptr::null_mut();
        self.links().for_each(|link| take(link, &mut all, |_| true));
        while let Some(call) = NonNull::new(all) {
            // SAFETY: in no chain now.
            all = unsafe { call.as_ref() }.next;
            // SAFETY: as above.
            let link = more.link(rest.of(unsafe { call.as_ref() }));
            // SAFETY: as above; the chain is of the new heads.
            unsafe { push(link, call) };
        }
        self.tidy(arena);
        *self = more;
    }

    /// Takes the calls of one chain, or of all, that `which` takes; yields them as a chain.
    pub(crate) fn take(&mut self, rest: Option<Rest>, which: impl Fn(&Call) -> bool) -> *mut Call {
        let mut taken = ptr::null_mut();
        match rest {
            Some(rest) => take(self.link(rest), &mut taken, which),
            None => self.links().for_each(|link| take(link, &mut taken, &which)),
        }
        taken
    }

    /// Gives back the memory for more chains than one, where no call is left.
    pub(crate) fn tidy(&mut self, arena: &impl Arena) {
        let Some(heads) = self.heads() else { return };
        if self.all().next().is_none() {
            *self = Chains::EMPTY;
            // SAFETY: made by `grow`, and nobody else has it.
            unsafe { arena.free(heads.cast()) };
        }
    }
}

/// The calls from a link on.
///
/// The slot's lock is held while it is used.
pub(crate) fn chain(link: *mut *mut Call) -> impl Iterator<Item = NonNull<Call>> {
    // SAFETY: a link of a slot whose lock is held.
    let mut at = unsafe { *link };
    core::iter::from_fn(move || {
        let call = NonNull::new(at)?;
        // SAFETY: calls in a chain are live while its lock is held.
        at = unsafe { call.as_ref() }.next;
        Some(call)
    })
}

/// Puts a call at the start of a chain.
///
/// # Safety
/// `link` is of a slot whose lock is held, and the call is in no chain.
unsafe fn push(link: *mut *mut Call, call: NonNull<Call>) {
    // SAFETY: the caller's promise.
    let first = unsafe { *link };
    // SAFETY: as above.
    unsafe { (*call.as_ptr()).next = first };
    // SAFETY: as above.
    unsafe { *link = call.as_ptr() };
}

/// Moves the calls of a chain that `which` takes, to the chain `taken`.
fn take(link: *mut *mut Call, taken: &mut *mut Call, which: impl Fn(&Call) -> bool) {
    let mut link = link;
    // SAFETY: the chain's head, or the `next` of a call in it; the slot's lock is held.
    while let Some(call) = NonNull::new(unsafe { *link }) {
        // SAFETY: calls in a chain are live while its lock is held.
        if which(unsafe { call.as_ref() }) {
            // SAFETY: as above.
            let next = unsafe { call.as_ref() }.next;
            // SAFETY: as above.
            unsafe { *link = next };
            // SAFETY: in no chain now.
            unsafe { (*call.as_ptr()).next = *taken };
            *taken = call.as_ptr();
        } else {
            // SAFETY: as above.
            link = unsafe { &raw mut (*call.as_ptr()).next };
        }
    }
}

//! The calls that are up, by Call-ID: what call-load dispatching counts.
//!
//! A hash table with a lock a slot, never one for all. A call holds its destination's record
//! itself, not a place in a table, so that a reload or a removal neither breaks it nor loses its
//! count; the record lives until its last call has ended. One dialog may be counted once in each
//! set.

use core::ptr::{self, NonNull};

use parking_lot::lock_api::{Mutex, RawMutex};

use crate::dispatch::hash::fold_hash;
use crate::dispatch::list::destination::SetId;

use super::chains::{Call, Chains, SlotHash};
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Arena, OutOfMemory, Owned, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::list::List;
use crate::shm::set::view::View;
use crate::shm::table::store::{Pinned, Store};

/// How long calls count, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// All of a call, where nothing ends it.
    pub expire_s: u32,
    /// Until it is confirmed.
    pub init_expire_s: u32,
}

/// One slot of the table: calls under a lock.
struct Slot<L>(Mutex<L, Chains>);

// SAFETY: a lock and a pointer of which zeroes are values; zeroed it has no calls.
unsafe impl<L: ShmSafe> ShmSafe for Slot<L> {}

/// The table in shared memory.
struct Root<L> {
    slots: ShmSlice<Slot<L>>,
}

// SAFETY: a shared slice; zeroed it is a table without slots.
unsafe impl<L: ShmSafe> ShmSafe for Root<L> {}

/// One process's way to the calls. Made before the server forks, then copied by the fork.
pub struct Calls<L: 'static> {
    root: NonNull<Root<L>>,
    lifetimes: Lifetimes,
}

// SAFETY: what the root points to is made for several processes: atomics, and chains under locks.
unsafe impl<L: Sync> Sync for Calls<L> {}
// SAFETY: the root is made for several processes, and belongs to none.
unsafe impl<L: Sync> Send for Calls<L> {}

/// A call as a caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallInfo {
    /// Its Call-ID.
    pub call_id: Vec<u8>,
    /// The set in which it is counted.
    pub set: SetId,
    /// Unique id of its destination; empty when that has left the lists.
    pub duid: Vec<u8>,
    /// True if a 2xx has confirmed it.
    pub confirmed: bool,
    /// The second in which it ends by itself.
    pub expires: u32,
}

/// Where a call is to be counted: what is known of it, and the set as it is now.
pub struct Counting<'p, A: Arena, L: 'static> {
    /// The table.
    pub store: &'p Store<A, L>,
    /// The caller's process.
    pub process: usize,
    /// The set.
    pub set: SetId,
    /// Its view, which is pinned.
    pub view: &'p View,
    /// The call.
    pub call_id: &'p [u8],
    /// The second that it is now.
    pub now: u32,
}

/// The outcome of [`Calls::place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The call is counted for the destination at this position from now on.
    New(usize),
    /// The call was counted for the destination at this position already.
    Known(usize),
    /// No destination takes it.
    Full,
}

impl<L: RawMutex> Calls<L> {
    /// Makes a table with two to the power of `size` slots.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub fn create(arena: &impl Arena, size: u32, lifetimes: Lifetimes) -> Result<Self, OutOfMemory>
    where
        L: ShmSafe,
    {
        let mut plan = Plan::<Root<L>>::of_header();
        // As many as no memory has, where there are more than can be counted.
        let slots = plan.array::<Slot<L>>(1usize.checked_shl(size).unwrap_or(usize::MAX));
        let mut block = plan.alloc(arena)?;
        let slots = block.slice(&slots);
        // SAFETY: the block is ours alone until the server forks.
        for slot in unsafe { slots.fill() } {
            let lock = Slot(Mutex::from_raw(L::INIT, Chains::EMPTY));
            // SAFETY: what is there is zeroes, which need no drop.
            unsafe { ptr::write(slot, lock) };
        }
        block.fill().slots = slots;
        let root = block.header();
        Ok(Calls { root, lifetimes })
    }

    fn slots(&self) -> &[Slot<L>] {
        // SAFETY: made by `create`, given back by nobody but `destroy`.
        unsafe { self.root.as_ref() }.slots.get()
    }

    /// Returns the number of calls that are counted.
    pub fn up(&self) -> usize {
        self.slots().iter().map(|slot| slot.0.lock().len()).sum()
    }

    /// Returns the slot of a Call-ID, and its hash there.
    fn slot(&self, call_id: &[u8]) -> Option<(&Mutex<L, Chains>, SlotHash)> {
        let slots = self.slots();
        let hash = fold_hash(call_id);
        let at = hash as usize & slots.len().wrapping_sub(1);
        let hash = SlotHash::new(hash, slots.len().trailing_zeros());
        slots.get(at).map(|slot| (&slot.0, hash))
    }

    /// Finds the call's destination in `view`, or chooses the one with the fewest calls and counts
    /// the call there. A call whose destination is gone or out moves to another one.
    ///
    /// Both are done under the lock of the call's slot, so that a call is never counted twice, not
    /// even for a moment, however many copies of it come at once.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing is counted.
    pub fn place<A: Arena>(&self, at: &Counting<'_, A, L>) -> Result<Placed, OutOfMemory> {
        if let Some(known) = self.known(at) {
            return Ok(Placed::Known(known));
        }
        self.link(at, |there| {
            match there.and_then(|call| position(at.view, call)) {
                Some(known) => Placed::Known(known),
                None => at.view.reserve_least().map_or(Placed::Full, Placed::New),
            }
        })
    }

    /// Moves a call to the destination at a position, if that takes it; false when the call is not
    /// counted in the set, or the destination takes no more: nothing has changed then.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing has changed.
    pub fn move_to<A: Arena>(
        &self,
        at: &Counting<'_, A, L>,
        position: usize,
    ) -> Result<bool, OutOfMemory> {
        let placed = self.link(at, |there| match there {
            Some(_) if at.view.reserve(position) => Placed::New(position),
            _ => Placed::Full,
        })?;
        Ok(placed == Placed::New(position))
    }

    /// Returns the position of the destination that a call is counted for, if it still takes messages.
    fn known<A: Arena>(&self, at: &Counting<'_, A, L>) -> Option<usize> {
        let (slot, hash) = self.slot(at.call_id)?;
        let chains = slot.lock();
        position(at.view, chains.find(hash, at.set, at.call_id)?)
    }

    /// Links a call to the destination that `choose` reserves for it (`New`), instead of the call
    /// that is there. `choose` is asked under the lock.
    fn link<A: Arena>(
        &self,
        at: &Counting<'_, A, L>,
        choose: impl FnOnce(Option<&Call>) -> Placed,
    ) -> Result<Placed, OutOfMemory> {
        let Some((slot, hash)) = self.slot(at.call_id) else {
            return Ok(Placed::Full);
        };
        let mut call = self.make(at)?;
        let mut chains = slot.lock();
        let placed = choose(chains.find(hash, at.set, at.call_id));
        let dest = match placed {
            Placed::New(position) => at.view.dest(position),
            _ => None,
        };
        if let Some(dest) = dest {
            call.record = at.store.hold(dest).into_raw().as_ptr();
            let old = chains.take(Some(hash), |call| call.is(at.set, at.call_id));
            chains.put(hash, call, at.store.arena());
            drop(chains);
            finish(at.store, at.process, old);
        }
        Ok(placed)
    }

    /// Makes a call that holds no record yet.
    fn make<'a, A: Arena>(
        &self,
        at: &Counting<'a, A, L>,
    ) -> Result<Owned<'a, A, Call>, OutOfMemory> {
        let arena = at.store.arena();
        let mut plan = Plan::<Call>::of_header();
        let text = plan.array(at.call_id.len());
        let mut block = plan.alloc(arena)?;
        let text = block.slice(&text);
        // SAFETY: the block is ours alone until the call is linked.
        unsafe { text.fill() }.copy_from_slice(at.call_id);
        let call = block.fill();
        call.set = at.set;
        call.expires = at.now.saturating_add(self.lifetimes.expire_s);
        call.init_expires = at.now.saturating_add(self.lifetimes.init_expire_s);
        call.call_id = text;
        // SAFETY: just made.
        Ok(unsafe { Owned::new(block.header(), arena) })
    }

    /// Returns true if the call is counted in the set.
    pub fn is_counted(&self, set: SetId, call_id: &[u8]) -> bool {
        self.slot(call_id)
            .is_some_and(|(slot, hash)| slot.lock().find(hash, set, call_id).is_some())
    }

    /// Ends a call in one set, or in all; returns in how many it was counted.
    pub fn end_in<A: Arena>(
        &self,
        store: &Store<A, L>,
        process: usize,
        set: Option<SetId>,
        call_id: &[u8],
    ) -> usize {
        let Some((slot, hash)) = self.slot(call_id) else {
            return 0;
        };
        let ended = slot.lock().take(Some(hash), |call| {
            call.call_id.get() == call_id && set.is_none_or(|set| call.set == set)
        });
        finish(store, process, ended)
    }

    /// Notes that a call is answered: it counts until it ends or expires.
    pub fn confirm(&self, call_id: &[u8]) -> bool {
        let mut confirmed = false;
        if let Some((slot, hash)) = self.slot(call_id) {
            slot.lock().change(hash, |call| {
                if call.call_id.get() == call_id {
                    call.init_expires = u32::MAX;
                    confirmed = true;
                }
            });
        }
        confirmed
    }

    /// Ends the calls whose time is over, in a part of the table: slots `part` of `parts`.
    /// Returns how many there were.
    pub fn expire<A: Arena>(
        &self,
        store: &Store<A, L>,
        process: usize,
        now: u32,
        part: usize,
        parts: usize,
    ) -> usize {
        let over = |call: &Call| call.expires <= now || call.init_expires <= now;
        let slots = self.slots().iter().skip(part).step_by(parts.max(1));
        let expire = |slot: &Slot<L>| {
            let mut chains = slot.0.lock();
            let ended = chains.take(None, over);
            chains.tidy(store.arena());
            drop(chains);
            finish(store, process, ended)
        };
        slots.map(expire).sum()
    }

    /// Returns the calls that `which` takes, `offset` left out, at most `count`, in no order.
    pub fn list<A: Arena>(
        &self,
        store: &Store<A, L>,
        process: usize,
        which: impl Fn(&CallInfo) -> bool,
        offset: usize,
        count: usize,
    ) -> Vec<CallInfo> {
        let pinned = store.pin(process);
        let slots = self.slots().iter();
        let infos = slots.flat_map(|slot| infos(&slot.0, &pinned));
        infos.filter(which).skip(offset).take(count).collect()
    }

    /// Gives everything back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, and the table is not used again.
    pub unsafe fn destroy(&self, arena: &impl Arena) {
        for slot in self.slots() {
            // The lock is not asked for: a process that was ended meanwhile left it locked.
            // SAFETY: by this function's contract nobody else looks at the calls.
            let chains = unsafe { &mut *slot.0.data_ptr() };
            // SAFETY: taken out, of this arena, and nobody is left to read them.
            unsafe { chains.take(None, |_| true).free(arena) };
            chains.tidy(arena);
        }
        // SAFETY: made by `create`; nobody uses it again.
        unsafe { arena.free(self.root.cast()) };
    }
}

/// Takes calls from their destinations' counts, and gives them back; returns how many there were.
fn finish<A: Arena, L: RawMutex>(
    store: &Store<A, L>,
    process: usize,
    mut ended: List<Call>,
) -> usize {
    let mut count = 0;
    // SAFETY: `make` took calls from this arena.
    while let Some(call) = unsafe { ended.pop(store.arena()) } {
        if let Some(record) = call.record() {
            record.unload();
            store.sync_load(process, call.set, record);
        }
        count += 1;
    }
    count
}

/// Returns the position of the destination that a call is counted for, if it still takes messages: also
/// when it drains.
fn position(view: &View, call: &Call) -> Option<usize> {
    let at = view.position_of(call.record()?)?;
    view.serves_calls(at).then_some(at)
}

/// Returns the calls of a slot.
fn infos<L: RawMutex>(slot: &Mutex<L, Chains>, pinned: &Pinned<'_>) -> Vec<CallInfo> {
    let info = |call: &Call| {
        let view = pinned.view(call.set);
        let dest = view.and_then(|view| view.dest(view.position_of(call.record()?)?));
        CallInfo {
            call_id: call.call_id.get().to_vec(),
            set: call.set,
            duid: dest.and_then(Dest::duid).unwrap_or_default().to_vec(),
            confirmed: call.init_expires == u32::MAX,
            expires: call.expires,
        }
    };
    slot.lock().all().map(info).collect()
}

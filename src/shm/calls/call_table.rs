//! The calls that are up, by Call-ID and caller: what call-load dispatching counts.
//!
//! A hash table with a lock for each slot, never one for all. A call holds its destination's record itself, not a
//! place in a table, so that a reload or a removal neither breaks it nor loses its count; the record lives until its
//! last call has ended. One call may be counted once in each set.

use core::cell::Cell;
use core::ops::ControlFlow;
use core::ptr::{self, NonNull};

use lock_api::{Mutex, RawMutex};

use crate::dispatch::cluster::state::ends::Fate;
use crate::dispatch::list::destination::SetId;

use super::call::{Call, CallIdText};
use super::chains::{Chains, Ended};
use super::fingerprint::{CallIdPrint, CallKey, CallName, FingerprintKey};
use super::queue::Queue;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, OutOfMemory, Owned, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::Ordering::Relaxed;
use crate::shm::memory::atomic::{AtomicU64, AtomicUsize};
use crate::shm::memory::refcount::Hold;
use crate::shm::table::store::{Pinned, Store};

/// Shared memory of a call, with what the chains and the server's default allocator, the most wasteful, take for it.
/// Unit: bytes.
pub const CALL_BYTES: usize = 256;

/// How long calls count, and how many.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Seconds of a call that nothing ends.
    pub expire_s: u32,
    /// Seconds of a call that nobody confirms.
    pub init_expire_s: u32,
    /// Calls that are counted at once. Destinations with `maxload` may have as many again.
    pub most: usize,
}

/// Seconds from one warning that the table is full to the next.
const WARN_EVERY_S: u64 = 60;

/// Calls that have ended and are kept for new ones: the server's default allocator takes thousands of steps to find
/// memory for one.
const MOST_SPARE: usize = 1_024;

/// How many calls are looked at for one that makes room.
const TRIES: usize = 16;

/// One slot of the table: calls under a lock.
struct Slot<L>(Mutex<L, Chains>);

// SAFETY: a lock and a pointer of which zeroes are values; zeroed it has no calls.
unsafe impl<L: ShmSafe> ShmSafe for Slot<L> {}

/// The table in shared memory.
pub(super) struct Root<L> {
    slots: ShmSlice<Slot<L>>,
    /// Calls that are counted.
    pub(super) up: AtomicUsize,
    /// The second after which the next warning is due that the table is full.
    warned_s: AtomicU64,
    /// The calls that make room.
    pub(super) queue: Mutex<L, Queue>,
    /// Calls that have ended and hold nothing any more.
    spare: Mutex<L, Spare>,
}

// SAFETY: a shared slice, atomics, a lock and pointers; zeroed it is a table without slots.
unsafe impl<L: ShmSafe> ShmSafe for Root<L> {}

/// Calls that wait to be used again.
struct Spare {
    calls: Ended,
    count: usize,
}

/// One process's way to the calls. Made before the server forks, then copied by the fork.
pub struct Calls<L: 'static> {
    root: NonNull<Root<L>>,
    key: FingerprintKey,
    limits: CallLimits,
}

// SAFETY: what the root points to is made for several processes: atomics, and chains under locks.
unsafe impl<L: Sync> Sync for Calls<L> {}
// SAFETY: the root is made for several processes, and belongs to none.
unsafe impl<L: Sync> Send for Calls<L> {}

/// A call as a caller sees it. It takes no memory of its own, as it is made under the lock of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallInfo<'p> {
    /// Its Call-ID.
    pub call_id: CallIdText,
    /// The set in which it is counted.
    pub set: SetId,
    /// Which destination it is counted for; `None` when that has left the lists.
    pub dest: Option<*const Dest>,
    /// Unique id of its destination; empty when that has left the lists.
    pub duid: &'p [u8],
    /// True if a 2xx has confirmed it.
    pub confirmed: bool,
    /// The second in which it was counted for its destination.
    pub begun_s: u64,
    /// The second in which it ends by itself.
    pub expires_s: u64,
}

impl<L: RawMutex> Calls<L> {
    /// Makes a table with two to the power of `size` slots.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub fn create(
        arena: &impl Arena,
        size: u32,
        key: FingerprintKey,
        limits: CallLimits,
    ) -> Result<Self, OutOfMemory>
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
            let lock = Slot(Mutex::from_raw(L::INIT, Chains::empty()));
            // SAFETY: what is there is zeroes, which need no drop.
            unsafe { ptr::write(slot, lock) };
        }
        let root = block.fill();
        root.slots = slots;
        root.queue = Mutex::from_raw(L::INIT, Queue::empty());
        let (calls, count) = (Ended::empty(), 0);
        root.spare = Mutex::from_raw(L::INIT, Spare { calls, count });
        let root = block.header();
        Ok(Calls { root, key, limits })
    }

    pub(super) fn root(&self) -> &Root<L> {
        // SAFETY: made by `create`, given back by nobody but `destroy`.
        unsafe { self.root.as_ref() }
    }

    fn slots(&self) -> &[Slot<L>] {
        self.root().slots.get()
    }

    /// Returns the slot of a Call-ID.
    pub(super) fn slot(&self, id: CallIdPrint) -> Option<&Mutex<L, Chains>> {
        Some(&self.slots().get(self.slot_number(id))?.0)
    }

    fn slot_number(&self, id: CallIdPrint) -> usize {
        id.slot & self.slots().len().wrapping_sub(1)
    }

    /// Returns the key of the fingerprints.
    pub fn key(&self) -> FingerprintKey {
        self.key
    }

    /// Returns the number of calls that are counted.
    pub fn up(&self) -> usize {
        self.root().up.load(Relaxed)
    }

    /// Returns the bytes of the slots and of the calls that are counted.
    pub fn bytes(&self) -> usize {
        size_of_val(self.slots()) + self.up() * size_of::<Call>()
    }

    /// Returns the most calls that are counted at once.
    pub fn most(&self) -> usize {
        self.limits.most
    }

    /// Returns true if the table is full and nobody has been told so for a minute. Then the caller tells.
    pub fn is_full_anew(&self, now_s: u64) -> bool {
        let due = |next: u64| (next <= now_s).then_some(now_s.saturating_add(WARN_EVERY_S));
        let warned = &self.root().warned_s;
        self.up() >= self.limits.most && warned.fetch_update(Relaxed, Relaxed, due).is_ok()
    }

    /// Returns true if there is room for one more call of a destination with a limit.
    pub fn takes_limited(&self) -> bool {
        self.up() < self.limits.most.saturating_mul(2)
    }

    /// Takes the room of one more call; false if the table is full.
    pub(super) fn take_room(&self, limited: bool) -> bool {
        let most = self.limits.most;
        let most = if limited {
            most.saturating_mul(2)
        } else {
            most
        };
        let more = |up| (up < most).then_some(up + 1);
        self.root().up.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Ends the oldest call that nobody has confirmed, of a destination without `maxload`.
    #[cold]
    pub(super) fn evict<A: Arena>(&self, store: &Store<A, L>, process: usize) {
        let pinned = store.pin(process);
        for _ in 0..TRIES {
            let Some(key) = self.root().queue.lock().pop() else {
                return;
            };
            let may_go = |call: &Call| {
                let confirmed = call.confirmed.load(Relaxed);
                !confirmed && !is_limited(&pinned, call)
            };
            if self.take(store, process, key, may_go) > 0 {
                return;
            }
        }
    }

    /// Returns true if the call is counted in the set.
    pub fn is_counted(&self, set: SetId, name: &CallName) -> bool {
        let slot = self.slot(name.id);
        slot.is_some_and(|slot| slot.lock().find(name, set).is_some())
    }

    /// Ends a call in all sets, confirmed or not; returns in how many it was counted.
    pub fn end<A: Arena>(&self, store: &Store<A, L>, process: usize, name: &CallName) -> usize {
        let take = |key| self.take(store, process, key, |_| true);
        take(name.new_key()) + name.other_key().map_or(0, take)
    }

    /// Ends what nobody has confirmed of a call, in one set or in all; returns true if the call was counted there.
    pub fn end_unconfirmed<A: Arena>(
        &self,
        store: &Store<A, L>,
        process: usize,
        name: &CallName,
        set: Option<SetId>,
    ) -> bool {
        let counted = Cell::new(false);
        let which = |call: &Call| {
            let is_there = set.is_none_or(|set| call.is_in(set));
            counted.set(counted.get() || is_there);
            is_there && !call.confirmed.load(Relaxed)
        };
        self.take(store, process, name.new_key(), which);
        if let Some(key) = name.other_key() {
            self.take(store, process, key, which);
        }
        counted.get()
    }

    /// Tells whether somebody holds a lock at this moment that [`Calls::meet`] takes.
    pub fn is_busy(&self, name: &CallName) -> bool {
        let slot = self.slot(name.id);
        slot.is_some_and(Mutex::is_locked) || self.root().queue.is_locked()
    }

    /// Does with a call what has become of it. Returns false if it is not counted.
    pub fn meet<A: Arena>(
        &self,
        store: &Store<A, L>,
        process: usize,
        name: &CallName,
        fate: Fate,
    ) -> bool {
        match fate {
            Fate::Over => self.end(store, process, name) > 0,
            Fate::Cancelled => self.end_unconfirmed(store, process, name, None),
            Fate::Answered => self.confirm(name),
        }
    }

    /// Ends all calls of a Call-ID, whoever the caller is; returns how many there were.
    pub fn release<A: Arena>(&self, store: &Store<A, L>, process: usize, call_id: &[u8]) -> usize {
        let id = self.key.call_id(call_id);
        let Some(slot) = self.slot(id) else { return 0 };
        let ended = slot.lock().take(None, |call| call.key.id == id);
        self.finish(store, process, ended)
    }

    /// Ends those calls with a key that `which` accepts, one in each set; returns how many there were.
    pub(super) fn take<A: Arena>(
        &self,
        store: &Store<A, L>,
        process: usize,
        key: CallKey,
        which: impl Fn(&Call) -> bool,
    ) -> usize {
        let Some(slot) = self.slot(key.id) else {
            return 0;
        };
        let which = |call: &Call| call.key == key && which(call);
        let ended = slot.lock().take(Some(key), which);
        self.finish(store, process, ended)
    }

    /// Notes that a call is answered: it counts until it ends or expires. Returns true if it is counted.
    pub fn confirm(&self, name: &CallName) -> bool {
        let Some(slot) = self.slot(name.id) else {
            return false;
        };
        let chains = slot.lock();
        let mut confirmed = false;
        for key in [Some(name.new_key()), name.other_key()]
            .into_iter()
            .flatten()
        {
            for call in chains.with_key(key) {
                call.confirmed.store(true, Relaxed);
                self.root().queue.lock().remove(call);
                confirmed = true;
            }
        }
        confirmed
    }

    /// Ends the calls whose time is over, in a part of the table: slots `part` of `parts`. Returns how many there were.
    pub fn expire<A: Arena>(
        &self,
        store: &Store<A, L>,
        process: usize,
        now_s: u64,
        part: usize,
        parts: usize,
    ) -> usize {
        let over = |call: &Call| {
            let age_s = now_s.saturating_sub(call.begun_s.load(Relaxed));
            let unanswered = age_s >= u64::from(self.limits.init_expire_s);
            age_s >= u64::from(self.limits.expire_s) || unanswered && !call.confirmed.load(Relaxed)
        };
        if self.up() == 0 {
            self.free_spare(store.arena());
        }
        let slots = self.slots().iter().skip(part).step_by(parts.max(1));
        let expire = |slot: &Slot<L>| {
            let mut chains = slot.0.lock();
            let ended = chains.take(None, over);
            chains.tidy(store.arena());
            drop(chains);
            self.finish(store, process, ended)
        };
        slots.map(expire).sum()
    }

    /// Makes a call that holds no record yet.
    pub(super) fn make<'a, A: Arena>(
        &self,
        arena: &'a A,
    ) -> Result<Owned<'a, A, Call>, OutOfMemory> {
        let mut spare = self.root().spare.lock();
        // SAFETY: calls are of the one arena that this function is always called with.
        if let Some(call) = unsafe { spare.calls.pop(arena) } {
            spare.count -= 1;
            return Ok(call);
        }
        drop(spare);
        let block = Plan::<Call>::of_header().alloc(arena)?;
        // SAFETY: just made, and zeroes are a call.
        Ok(unsafe { Owned::new(block.header(), arena) })
    }

    /// Keeps a call that holds no record for a new one, or gives it back if there are enough.
    pub(super) fn reuse<A: Arena>(&self, call: Owned<'_, A, Call>) {
        let mut spare = self.root().spare.lock();
        if spare.count < MOST_SPARE {
            spare.calls.push(call);
            spare.count += 1;
        }
    }

    /// Gives the calls back that wait to be used again.
    fn free_spare(&self, arena: &impl Arena) {
        let mut spare = self.root().spare.lock();
        // SAFETY: calls are of the one arena that this function is always called with.
        while let Some(call) = unsafe { spare.calls.pop(arena) } {
            drop(call);
        }
        spare.count = 0;
    }

    /// Takes calls from their destinations' counts, and gives them back; returns how many there were.
    fn finish<A: Arena>(&self, store: &Store<A, L>, process: usize, mut ended: Ended) -> usize {
        if ended.is_empty() {
            return 0;
        }
        // From then on nobody else reaches them.
        let mut queue = self.root().queue.lock();
        ended.all().for_each(|call| queue.remove(call));
        drop(queue);
        let mut count = 0;
        // SAFETY: `Calls::make` took all calls from this arena.
        while let Some(call) = unsafe { ended.pop(store.arena()) } {
            if let Some(record) = NonNull::new(call.record.swap(ptr::null_mut(), Relaxed)) {
                // SAFETY: `hold` gave it when the call was counted there, and the call holds it no more.
                let record = unsafe { Hold::from_raw(record, store.arena()) };
                unload(store, process, &record);
            }
            self.reuse(call);
            count += 1;
        }
        self.root().up.fetch_sub(count, Relaxed);
        count
    }

    /// Shows the calls to `see`, in no order, until it breaks; with a Call-ID only its calls. The lock of a call's slot
    /// is held meanwhile.
    pub fn visit<'p, B>(
        &self,
        pinned: &'p Pinned<'_>,
        call_id: Option<&[u8]>,
        mut see: impl FnMut(CallInfo<'p>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let id = call_id.map(|call_id| self.key.call_id(call_id));
        let slots = match id.map(|id| self.slot_number(id)) {
            Some(slot) => self.slots().get(slot..=slot),
            None => Some(self.slots()),
        };
        for slot in slots.unwrap_or_default() {
            let chains = slot.0.lock();
            let is_asked_for = |call: &&Call| id.is_none_or(|id| call.key.id == id);
            let mut calls = chains.all().filter(is_asked_for);
            calls.try_for_each(|call| see(self.info(call, pinned)))?;
        }
        ControlFlow::Continue(())
    }

    fn info<'p>(&self, call: &Call, pinned: &'p Pinned<'_>) -> CallInfo<'p> {
        let dest = dest_of(pinned, call);
        let begun_s = call.begun_s.load(Relaxed);
        CallInfo {
            dest: dest.map(ptr::from_ref),
            begun_s,
            call_id: call.text(),
            set: call.record().map_or(0, DestRecord::set),
            duid: dest.and_then(Dest::duid).unwrap_or_default(),
            confirmed: call.confirmed.load(Relaxed),
            expires_s: begun_s.saturating_add(self.limits.expire_s.into()),
        }
    }

    /// Returns the number of calls in the longest chain.
    #[cfg(test)]
    pub fn longest_chain(&self) -> usize {
        let lengths = self.slots().iter().map(|slot| slot.0.lock().longest());
        lengths.max().unwrap_or_default()
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
            let mut all = chains.take(None, |_| true);
            // SAFETY: taken out, of this arena, and nobody is left to read them.
            while let Some(call) = unsafe { all.pop(arena) } {
                drop(call);
            }
            chains.tidy(arena);
        }
        // SAFETY: nobody else looks at them, as above.
        let spare = unsafe { &mut *self.root().spare.data_ptr() };
        // SAFETY: of this arena, and nobody is left to use them.
        while let Some(call) = unsafe { spare.calls.pop(arena) } {
            drop(call);
        }
        // SAFETY: made by `create`; nobody uses it again.
        unsafe { arena.free(self.root.cast()) };
    }
}

/// Takes a call from the count of a destination.
pub fn unload<A: Arena, L: RawMutex>(store: &Store<A, L>, process: usize, record: &DestRecord) {
    record.unload();
    store.sync_load(process, record.set(), record);
}

/// Returns the destination of a call; `None` if it has left the lists.
fn dest_of<'p>(pinned: &'p Pinned<'_>, call: &Call) -> Option<&'p Dest> {
    let record = call.record()?;
    let view = pinned.view(record.set())?;
    view.dest(view.position_of(record)?)
}

/// Returns true if the destination of a call has a limit.
fn is_limited(pinned: &Pinned<'_>, call: &Call) -> bool {
    dest_of(pinned, call).is_some_and(|dest| dest.maxload != 0)
}

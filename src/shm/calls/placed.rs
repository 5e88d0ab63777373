//! Placing a call: finding or choosing its destination, and what is taken back if its request is not sent.

use core::ptr::NonNull;

use lock_api::{Mutex, RawMutex};

use super::call::{Call, NOBODY};
use super::call_table::{Calls, unload};
use super::chains::Chains;
use super::fingerprint::CallName;
use crate::dispatch::list::destination::SetId;
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Arena, OutOfMemory, Owned, to_u32};
use crate::shm::memory::atomic::Ordering::Relaxed;
use crate::shm::memory::refcount::Hold;
use crate::shm::set::view::View;
use crate::shm::table::store::Store;

/// Where a call is to be counted: its name, and the set as it is now.
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
    pub call: CallName,
    /// The second that it is now.
    pub now_s: u64,
}

impl<A: Arena, L: RawMutex> Counting<'_, A, L> {
    /// Returns the process as calls name it.
    fn maker(&self) -> u32 {
        to_u32(self.process & 0xFFFF)
    }

    /// Takes back what was counted for the destination at a position.
    fn unreserve(&self, at: usize) {
        if let Some(dest) = self.view.dest(at) {
            unload(self.store, self.process, dest.record());
        }
    }
}

/// How a call came to its destination, and so what is taken back if the request is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was counted there before: nothing is taken back.
    Known,
    /// It is counted from now on. It is taken back unless another selection has found it meanwhile.
    New,
    /// It is counted elsewhere, and moves here when the request is sent.
    Moves,
    /// The table is full: it is not counted.
    Uncounted,
}

/// Why a call is not counted anew.
enum NotNew {
    /// It is counted already, for the destination at this position, if that takes messages.
    Known(Option<usize>),
    /// The table is full, and the destination at this position takes it uncounted.
    Uncounted(usize),
    /// No destination takes it.
    Refused,
}

/// Says where a call goes that is counted already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It stays where it is counted, if that destination takes messages.
    Stays,
    /// It moves to the destination that is reserved for it.
    Moves,
}

impl Counted {
    /// Returns where it stays.
    fn place(self, at: Option<usize>) -> Option<usize> {
        at.filter(|_| self == Self::Stays)
    }
}

/// A destination for a call. What was counted for it is taken back when this is dropped, unless it is kept.
#[must_use]
pub struct Placed<'p, A: Arena, L: RawMutex + 'static> {
    calls: &'p Calls<L>,
    counting: Counting<'p, A, L>,
    at: usize,
    how: How,
}

impl<A: Arena, L: RawMutex> Placed<'_, A, L> {
    /// Returns the position of the destination.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Returns how the call came there.
    pub fn how(&self) -> How {
        self.how
    }

    /// Keeps what was counted, because the request is sent.
    pub fn keep(mut self) {
        if self.how == How::Moves {
            self.calls.finish_move(&self.counting, self.at);
        }
        self.how = How::Known;
    }
}

impl<A: Arena, L: RawMutex> Drop for Placed<'_, A, L> {
    fn drop(&mut self) {
        match self.how {
            How::New => self.calls.take_back(&self.counting),
            How::Moves => self.counting.unreserve(self.at),
            How::Known | How::Uncounted => {}
        }
    }
}

impl<L: RawMutex> Calls<L> {
    /// Finds the call's destination, or counts the call at the destination with the fewest calls. See [`Calls::place_where`].
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing is counted.
    #[cfg(any(test, feature = "internals"))]
    pub fn place<'p, A: Arena>(
        &'p self,
        counting: Counting<'p, A, L>,
        call_id: &[u8],
    ) -> Result<Option<Placed<'p, A, L>>, OutOfMemory> {
        self.place_where(counting, call_id, Counted::Stays, View::reserve_least)
    }

    /// Finds the call's destination in the view, or counts the call at the one that `reserve` has reserved for it. A
    /// call whose destination is gone or out moves to another one, and so does one that is to move. Returns `None` if
    /// no destination takes the call.
    ///
    /// A new call is found and counted under the lock of its slot, so that it is never counted twice, not even for a
    /// moment, however many copies of it come at once. Only while another call makes room in a full table may copies of
    /// it hold a reservation each.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing is counted.
    pub fn place_where<'p, A: Arena>(
        &'p self,
        counting: Counting<'p, A, L>,
        call_id: &[u8],
        counted: Counted,
        mut reserve: impl FnMut(&View) -> Option<usize>,
    ) -> Result<Option<Placed<'p, A, L>>, OutOfMemory> {
        let Some(slot) = self.slot(counting.call.id) else {
            return Ok(None);
        };
        let there = find(&slot.lock(), &counting);
        if let Some(at) = there {
            return Ok(self.placed_before(counting, counted.place(at), reserve));
        }
        let mut call = self.make(counting.store.arena())?;
        let key = counting.call.new_key();
        call.fill(key, call_id, counting.now_s, counting.maker());
        let (call, why) = match self.count(&counting, slot, call, &mut reserve) {
            Ok(at) => return Ok(Some(self.placed(counting, at, How::New))),
            Err(refused) => refused,
        };
        self.reuse(call);
        Ok(match why {
            NotNew::Known(at) => self.placed_before(counting, counted.place(at), reserve),
            NotNew::Uncounted(at) => Some(self.placed(counting, at, How::Uncounted)),
            NotNew::Refused => None,
        })
    }

    /// Returns the position of the destination that the call is counted for, if that takes messages.
    pub fn find<A: Arena>(&self, counting: &Counting<'_, A, L>) -> Option<usize> {
        let slot = self.slot(counting.call.id)?;
        find(&slot.lock(), counting).flatten()
    }

    /// Counts a call for the destination at a position, whatever its limit: it was chosen otherwise, and the request is
    /// sent. A call that is counted for another destination of the set moves. Where there is no room or no memory, the
    /// call is not counted.
    pub fn count_at<A: Arena>(&self, counting: Counting<'_, A, L>, call_id: &[u8], at: usize) {
        let Some(slot) = self.slot(counting.call.id) else {
            return;
        };
        let there = find(&slot.lock(), &counting);
        let there = match there {
            Some(there) => there,
            None => {
                let Ok(mut call) = self.make(counting.store.arena()) else {
                    return;
                };
                let key = counting.call.new_key();
                call.fill(key, call_id, counting.now_s, NOBODY);
                let here = |view: &View| view.load_at(at).then_some(at);
                let Err((call, why)) = self.count(&counting, slot, call, here) else {
                    return;
                };
                self.reuse(call);
                let NotNew::Known(there) = why else { return };
                there
            }
        };
        if there != Some(at) && counting.view.load_at(at) {
            self.placed(counting, at, How::Moves).keep();
        }
    }

    /// Counts a call for the destination that `reserve` has reserved, and returns its position; or gives the call back,
    /// and says why.
    fn count<'a, A: Arena>(
        &self,
        counting: &Counting<'a, A, L>,
        slot: &Mutex<L, Chains>,
        call: Owned<'a, A, Call>,
        reserve: impl FnOnce(&View) -> Option<usize>,
    ) -> Result<usize, (Owned<'a, A, Call>, NotNew)> {
        let mut chains = slot.lock();
        if let Some(at) = find(&chains, counting) {
            // Another process was faster.
            return Err((call, NotNew::Known(at)));
        }
        let reserved = reserve(counting.view);
        let dest = reserved.and_then(|at| Some((at, counting.view.dest(at)?)));
        let Some((at, dest)) = dest else {
            return Err((call, NotNew::Refused));
        };
        if self.up() == self.most() {
            // The call that makes room may lie in this slot.
            drop(chains);
            self.evict(counting.store, counting.process);
            chains = slot.lock();
            if let Some(there) = find(&chains, counting) {
                counting.unreserve(at);
                return Err((call, NotNew::Known(there)));
            }
        }
        let limited = dest.maxload != 0;
        if self.take_room(limited) {
            self.put(counting, &mut chains, call, dest);
            return Ok(at);
        }
        counting.unreserve(at);
        // What cannot be counted cannot be limited.
        let why = if limited {
            NotNew::Refused
        } else {
            NotNew::Uncounted(at)
        };
        Err((call, why))
    }

    /// Returns the place of a call that is counted already, by the position of its destination.
    fn placed_before<'p, A: Arena>(
        &'p self,
        counting: Counting<'p, A, L>,
        at: Option<usize>,
        reserve: impl FnOnce(&View) -> Option<usize>,
    ) -> Option<Placed<'p, A, L>> {
        match at {
            Some(at) => Some(self.placed(counting, at, How::Known)),
            None => {
                let at = reserve(counting.view)?;
                Some(self.placed(counting, at, How::Moves))
            }
        }
    }

    fn placed<'p, A: Arena>(
        &'p self,
        counting: Counting<'p, A, L>,
        at: usize,
        how: How,
    ) -> Placed<'p, A, L> {
        Placed {
            calls: self,
            counting,
            at,
            how,
        }
    }

    /// Reserves the destination at a position for a call that is counted at another one; `None` if it takes no more.
    pub fn move_to<'p, A: Arena>(
        &'p self,
        counting: Counting<'p, A, L>,
        at: usize,
    ) -> Option<Placed<'p, A, L>> {
        let reserved = counting.view.reserve(at);
        reserved.then(|| self.placed(counting, at, How::Moves))
    }

    /// Counts a call for a destination that was reserved for it, in the room that was taken for it.
    fn put<A: Arena>(
        &self,
        counting: &Counting<'_, A, L>,
        chains: &mut Chains,
        call: Owned<'_, A, Call>,
        dest: &Dest,
    ) {
        let record = counting.store.hold(dest).into_raw();
        call.record.store(record.as_ptr(), Relaxed);
        if dest.maxload == 0 {
            self.root().queue.lock().push(&call);
        }
        chains.put(call, counting.store.arena());
    }

    /// Takes a new call back, unless another selection has found it meanwhile.
    fn take_back<A: Arena>(&self, counting: &Counting<'_, A, L>) {
        let maker = counting.maker();
        let key = counting.call.new_key();
        self.take(counting.store, counting.process, key, |call| {
            call.is_in(counting.set) && call.maker.load(Relaxed) == maker
        });
    }

    /// Counts a call for the destination that was reserved for it, and no longer for the one before. There its time
    /// begins anew. A call that has ended meanwhile is not counted again, and one that is confirmed stays where it is:
    /// it goes on there, whatever becomes of this request.
    fn finish_move<A: Arena>(&self, counting: &Counting<'_, A, L>, at: usize) {
        let Counting { store, process, .. } = *counting;
        let (Some(dest), Some(slot)) = (counting.view.dest(at), self.slot(counting.call.id)) else {
            return;
        };
        let mut record = store.hold(dest).into_raw();
        let chains = slot.lock();
        let call = chains.find(&counting.call, counting.set);
        let call = call.filter(|call| !call.confirmed.load(Relaxed));
        if let Some(call) = call {
            let old = call.record.swap(record.as_ptr(), Relaxed);
            // It was not null: `is_in` has looked at it.
            record = NonNull::new(old).unwrap_or(record);
            call.begun_s.store(counting.now_s, Relaxed);
            call.maker.store(NOBODY, Relaxed);
            let mut queue = self.root().queue.lock();
            queue.remove(call);
            if dest.maxload == 0 {
                queue.push(call);
            }
        }
        drop(chains);
        // SAFETY: `hold` gave it just now, or when the call was counted there, and nobody else has it.
        let left = unsafe { Hold::from_raw(record, store.arena()) };
        unload(store, process, &left);
    }
}

/// Finds a call among those of its slot: the position of its destination, if that still takes messages. Then the
/// call is not its maker's alone any more.
fn find<A: Arena, L: RawMutex>(
    chains: &Chains,
    counting: &Counting<'_, A, L>,
) -> Option<Option<usize>> {
    let call = chains.find(&counting.call, counting.set)?;
    call.maker.store(NOBODY, Relaxed);
    Some(position(counting.view, call))
}

/// Returns the position of the destination that a call is counted for, if it still takes messages: also
/// when it drains.
fn position(view: &View, call: &Call) -> Option<usize> {
    let at = view.position_of(call.record()?)?;
    view.serves_calls(at).then_some(at)
}

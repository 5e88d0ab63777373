//! Records: the states and counters of destinations, kept over reloads.
//!
//! A record outlives the tables that point to it. All of it is atomic: any process may change it
//! at any time without a lock.

use core::ptr::NonNull;

use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::latency::Latency;
use crate::dispatch::state::transition::{Outcome, State};

use super::next_hop::Resolved;
use super::overload::Overload;
use super::ping_word::PingWord;
use super::probing::Health;
use super::record_slab::{RecordSlab, Vitals};
use super::register::RegisterCell;
use super::traffic::Traffic;
use crate::shm::memory::arena::{Arena, OutOfMemory, ShmSafe, to_u32};
use crate::shm::memory::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::shm::memory::refcount::{Counted, Kept};
use crate::shm::observe::counters::DestCounts;

/// The state and the counters of one destination.
///
/// Records lie in slabs; what only some of them need lies beside those ([`RecordSlab`]).
pub struct DestRecord {
    /// The slab that it is in.
    pub(crate) home: AtomicPtr<RecordSlab>,
    /// State bits below, failures in a row above, and the bit [`OUT`]: one word, so that a change is one step, and a
    /// selection looks at one.
    status: AtomicU64,
    /// The cause of the last change of the state, and above it the time in milliseconds.
    cause: AtomicU64,
    /// When the listed bits were last written to where the list is, as a ticket; 0 for never.
    written: AtomicU64,
    /// Tables and calls that point to it.
    refs: AtomicU32,
    /// State bits that the list asked for when it was last loaded.
    listed: AtomicU32,
    /// Calls that are up through this destination.
    load: AtomicU32,
    /// Calls that other servers of the cluster count for it. One process alone writes it.
    elsewhere: AtomicU32,
    /// The position in the newest settled view of the set.
    position: AtomicU32,
    /// The set that it belongs to.
    set: AtomicI32,
    /// Its number among all that there have been; 0 before somebody asks for it.
    number: AtomicU32,
}

impl Kept for DestRecord {
    fn refs(&self) -> &AtomicU32 {
        &self.refs
    }

    unsafe fn give_back(counted: NonNull<Counted<Self>>, arena: &impl Arena) {
        // SAFETY: it is still there.
        let home = unsafe { counted.as_ref() }.home.load(Ordering::Relaxed);
        if let Some(home) = NonNull::new(home) {
            // SAFETY: it was counted in when it was made, and nobody holds it any more.
            unsafe { RecordSlab::leave(home, arena) };
        }
    }
}

// SAFETY: atomics only; zeroed it is an active destination.
unsafe impl ShmSafe for DestRecord {}

/// The bytes of a record, and of what lies beside it.
pub struct RecordBytes {
    /// Its state, with the register of the cluster.
    pub state: usize,
    /// The results of its pings, and its reports.
    pub vitals: usize,
    /// Its counters.
    pub counts: usize,
}

/// The position of a destination that has left the lists.
pub const NOWHERE: usize = u32::MAX as usize;

/// Bits of a [`Cause`] below its time.
const CAUSE_BITS: u32 = 8;

/// The bit of a destination that its traffic keeps out of selections. No list and no state has it.
const OUT: u64 = 1 << 63;

fn pack_cause(cause: Cause, now_ms: u64) -> u64 {
    (now_ms << CAUSE_BITS) | u64::from(cause.number())
}

fn pack(state: State, failures: u32) -> u64 {
    (u64::from(failures) << 32) | u64::from(state.0)
}

fn unpack(status: u64) -> (State, u32) {
    let [a, b, c, d, ..] = status.to_le_bytes();
    (
        State(u32::from_le_bytes([a, b, c, d])),
        ((status & !OUT) >> 32) as u32,
    )
}

/// Returns true if a destination with that many calls may take one more.
fn within(load: u32, maxload: i32) -> bool {
    maxload == 0 || u32::try_from(maxload).is_ok_and(|maxload| load < maxload)
}

impl DestRecord {
    /// Returns the number that tells it from all others, drawn from `next` when it is first asked for.
    pub fn number(&self, next: impl FnOnce() -> u32) -> u32 {
        match self.number.load(Ordering::SeqCst) {
            0 => {
                let drawn = next();
                let kept =
                    self.number
                        .compare_exchange(0, drawn, Ordering::SeqCst, Ordering::SeqCst);
                kept.err().unwrap_or(drawn)
            }
            number => number,
        }
    }

    /// Returns that number; 0 if nobody has asked for it yet.
    pub fn drawn_number(&self) -> u32 {
        self.number.load(Ordering::SeqCst)
    }

    /// Returns what pings found, if there was a reason to keep it.
    pub fn health(&self) -> Option<&Health> {
        self.vitals().map(|vitals| &vitals.health)
    }

    /// Returns what it reported of its load, if it ever reported.
    pub fn overload(&self) -> Option<&Overload> {
        self.vitals().map(|vitals| &vitals.overload)
    }

    /// Returns what was counted of it, if destinations have counters (`counters` 2).
    pub fn counted(&self) -> Option<&DestCounts> {
        self.home()?.counts(self)
    }

    /// Returns what the cluster has decided on it, if states are shared in a cluster.
    pub fn register(&self) -> Option<&RegisterCell> {
        self.home()?.register(self)
    }

    /// Returns what those that ping it tell each other, if that is shared in a cluster.
    pub fn ping_word(&self) -> Option<&PingWord> {
        self.home()?.ping_word(self)
    }

    /// Returns how long it takes to answer, as far as that was measured.
    pub fn latency(&self) -> Latency {
        self.health().map(Health::latency).unwrap_or_default()
    }

    /// Forgets that the name in its URI was asked for.
    pub fn forget_question(&self) {
        if let Some(health) = self.health() {
            health.set_asked_us(0);
        }
    }

    /// Returns the next hop of this URI, as far as it was resolved.
    pub fn next_hop(&self, target: &[u8]) -> Resolved {
        self.health()
            .map_or(Resolved::Unknown, |health| health.hop.get(target))
    }

    /// Returns its slab.
    fn home(&self) -> Option<&RecordSlab> {
        // SAFETY: a slab is there for as long as one of its records is.
        unsafe { self.home.load(Ordering::Relaxed).as_ref() }
    }

    fn vitals(&self) -> Option<&Vitals> {
        self.home()?.vitals(self)
    }

    /// Returns its size in bytes, with all that is known of the destination.
    pub(crate) fn bytes(&self) -> usize {
        let RecordBytes {
            state,
            vitals,
            counts,
        } = self.bytes_by_kind();
        state + vitals + counts
    }

    /// Returns the bytes of all that is known of the destination.
    pub fn bytes_by_kind(&self) -> RecordBytes {
        RecordBytes {
            state: size_of::<Self>() + self.register().map_or(0, size_of_val),
            vitals: self.vitals().map_or(0, size_of_val),
            counts: self.counted().map_or(0, |_| DestCounts::bytes()),
        }
    }

    /// Returns its vitals, and allocates them first if they are missing.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn need_vitals(&self, arena: &impl Arena) -> Result<&Vitals, OutOfMemory> {
        if let Some(home) = self.home() {
            home.make_vitals(arena)?;
        }
        self.vitals().ok_or(OutOfMemory)
    }

    /// Returns the state bits, and the number of failures in a row.
    pub fn status(&self) -> (State, u32) {
        unpack(self.status.load(Ordering::SeqCst))
    }

    /// Returns the state bits.
    pub fn state(&self) -> State {
        self.status().0
    }

    /// Returns the bits of which a destination that is selected has none: those of states, and that of traffic.
    pub fn shut_by(unusable: State) -> u64 {
        u64::from(unusable.0) | OUT
    }

    /// Returns true if it has any of the bits of [`DestRecord::shut_by`].
    #[inline(always)]
    pub fn is_shut(&self, shut: u64) -> bool {
        self.status.load(Ordering::SeqCst) & shut != 0
    }

    /// Returns true if its traffic keeps it out of selections.
    pub fn is_out(&self) -> bool {
        self.is_shut(OUT)
    }

    /// Returns the state as people see it: one that its traffic keeps out is inactive.
    pub fn shown_state(&self) -> State {
        let (state, out) = (self.state(), self.is_out());
        if out {
            state.union(State::INACTIVE)
        } else {
            state
        }
    }

    /// Returns what its requests say of it, if there was a reason to keep it.
    pub fn traffic(&self) -> Option<&Traffic> {
        self.vitals().map(|vitals| &vitals.traffic)
    }

    /// Begins a slow start, if there is a reason to keep one.
    pub(in crate::shm) fn begin_ramp(&self) {
        if let Some(traffic) = self.traffic() {
            traffic.begin_ramp();
        }
    }

    /// Begins a slow start if this change of its state has made the destination usable.
    pub(in crate::shm) fn begin_ramp_if_back(&self, before: State, after: State, unusable: State) {
        if before.intersects(unusable) && !after.intersects(unusable) {
            self.begin_ramp();
        }
    }

    /// Makes the bit of traffic follow what is known of that, until both agree: the last of several wins.
    pub(in crate::shm) fn follow_traffic(&self) {
        let out = || self.traffic().is_some_and(Traffic::is_out);
        while self.is_out() != out() {
            if out() {
                self.status.fetch_or(OUT, Ordering::SeqCst);
            } else {
                self.status.fetch_and(!OUT, Ordering::SeqCst);
            }
        }
    }

    /// Calls that are up through this server.
    pub fn load(&self) -> u32 {
        self.load.load(Ordering::SeqCst)
    }

    /// Returns the calls that other servers of the cluster count for it.
    pub fn elsewhere(&self) -> u32 {
        self.elsewhere.load(Ordering::SeqCst)
    }

    /// Says how many calls other servers of the cluster count for it. The view follows by `Store::sync_load`.
    pub fn set_elsewhere(&self, calls: u32) {
        self.elsewhere.store(calls, Ordering::SeqCst);
    }

    /// Returns the calls that are up through all servers of the cluster, as selections see them.
    pub fn whole_load(&self) -> u32 {
        self.load().saturating_add(self.elsewhere())
    }

    /// Returns true if one more call is within `maxload`: 0 is no limit, less than 0 no call at all.
    pub fn has_room(&self, maxload: i32) -> bool {
        within(self.whole_load(), maxload)
    }

    /// Counts one more call if it is within `maxload`; false when it is not.
    pub fn reserve(&self, maxload: i32) -> bool {
        self.reserve_below(maxload, u32::MAX)
    }

    /// Counts one more call if it is within `maxload`, and there are fewer than `most`; false when it is not.
    pub fn reserve_below(&self, maxload: i32, most: u32) -> bool {
        let whole = |load: u32| load.saturating_add(self.elsewhere());
        let fits = |load| load < most && within(whole(load), maxload);
        let more = |load| fits(load).then(|| load + 1);
        self.load
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .is_ok()
    }

    /// Counts one call less; never below 0.
    pub fn unload(&self) {
        let less = |load: u32| load.checked_sub(1);
        // Nothing to take away is what is wanted already.
        let _ = self
            .load
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// Returns the position in the newest view of the set, see `View::position_of`; [`NOWHERE`] once it has
    /// left the lists.
    pub fn position(&self) -> usize {
        self.position.load(Ordering::SeqCst) as usize
    }

    /// Says where it is in the newest view of the set, or that it is [`NOWHERE`]. Writers only.
    pub fn set_position(&self, at: usize) {
        let at = to_u32(at);
        // Most stay where they are: then other processes keep what they have of the record.
        if self.position.load(Ordering::SeqCst) != at {
            self.position.store(at, Ordering::SeqCst);
        }
    }

    /// Returns the set that it belongs to.
    pub fn set(&self) -> SetId {
        self.set.load(Ordering::Relaxed)
    }

    /// Says which set it belongs to, before anyone else sees it.
    pub fn set_home(&self, set: SetId) {
        self.set.store(set, Ordering::Relaxed);
    }

    /// Returns who set the state last, and when in milliseconds; 0 for the load that made it.
    pub fn cause(&self) -> (Cause, u64) {
        let word = self.cause.load(Ordering::SeqCst);
        let [cause, ..] = word.to_le_bytes();
        (Cause::from_number(cause.into()), word >> CAUSE_BITS)
    }

    /// Says who set the state, after a change.
    pub fn set_cause(&self, cause: Cause, now_ms: u64) {
        let word = pack_cause(cause, now_ms);
        self.cause.store(word, Ordering::SeqCst);
    }

    /// Says who set the state, after a change, unless somebody else has said so since `seen` was.
    pub fn replace_cause(&self, seen: (Cause, u64), (cause, now_ms): (Cause, u64)) {
        let (seen, word) = (pack_cause(seen.0, seen.1), pack_cause(cause, now_ms));
        // Whoever was faster has changed the state after this change, and is the one to be named.
        let _ = self
            .cause
            .compare_exchange(seen, word, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Applies a change in one step, however many processes change it at once.
    ///
    /// `change` is asked again with the newer state when another process was faster. Returns the
    /// old [`DestRecord::status`] and what came of it.
    pub fn change(&self, change: impl Fn(State, u32) -> Outcome) -> ((State, u32), Outcome) {
        let mut seen = self.status.load(Ordering::SeqCst);
        loop {
            let (state, failures) = unpack(seen);
            let outcome = change(state, failures);
            let wanted = pack(outcome.state, outcome.failures) | seen & OUT;
            let swap =
                self.status
                    .compare_exchange(seen, wanted, Ordering::SeqCst, Ordering::SeqCst);
            match swap {
                Ok(_) => return ((state, failures), outcome),
                Err(newer) => seen = newer,
            }
        }
    }

    /// Applies a change in one step if the state bits stay as they are; `None`, and nothing has
    /// changed, when they do not. Returns the old [`DestRecord::status`] and what came of it.
    pub fn change_count(
        &self,
        change: impl Fn(State, u32) -> Outcome,
    ) -> Option<((State, u32), Outcome)> {
        let mut seen = self.status.load(Ordering::SeqCst);
        loop {
            let (state, failures) = unpack(seen);
            let outcome = change(state, failures);
            let wanted = pack(outcome.state, outcome.failures) | seen & OUT;
            if outcome.state != state {
                return None;
            }
            if wanted == seen {
                return Some(((state, failures), outcome));
            }
            let swap =
                self.status
                    .compare_exchange(seen, wanted, Ordering::SeqCst, Ordering::SeqCst);
            match swap {
                Ok(_) => return Some(((state, failures), outcome)),
                Err(newer) => seen = newer,
            }
        }
    }

    /// Returns true if the list asks for other state bits than at its last load.
    pub fn listed_otherwise(&self, listed: State) -> bool {
        self.listed.load(Ordering::SeqCst) != listed.0
    }

    /// Returns the state bits that the list asks for, as far as is known.
    pub fn listed(&self) -> State {
        State(self.listed.load(Ordering::Relaxed))
    }

    /// Says that the list asks for these bits now, because they were written there; lists that
    /// were read before that, by their tickets, do not know it.
    pub fn set_written(&self, listed: State, ticket: u64) {
        self.written.store(ticket, Ordering::SeqCst);
        // Second, so that a reader of these bits also finds the ticket, and does not take an older list for a change.
        self.listed.store(listed.0, Ordering::SeqCst);
    }

    /// Returns true if a list with this ticket was read after the bits were last written there.
    pub fn is_known_to(&self, ticket: u64) -> bool {
        self.written.load(Ordering::SeqCst) < ticket
    }

    /// Sets the state that the list asks for, with no failure counted, and forgets what traffic said. Returns the old
    /// state.
    pub fn relist(&self, listed: State) -> State {
        self.set_cause(Cause::Reload, 0);
        self.listed.store(listed.0, Ordering::Relaxed);
        // If it is ejected meanwhile, the next tick makes the bit right again.
        if let Some(traffic) = self.traffic() {
            traffic.forgive();
        }
        unpack(self.status.swap(pack(listed, 0), Ordering::SeqCst)).0
    }
}

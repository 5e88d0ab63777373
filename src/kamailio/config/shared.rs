//! Words in shared memory that all processes read and write.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::dispatch::admission::refusal::Refusal;
use crate::kamailio::server::memory::ShmArena;
use crate::shm::memory::arena::{OutOfMemory, Plan, ShmSafe};

/// The words; all are 0 when they are made.
pub struct Shared {
    /// Not 0 while no pings are sent (`dispatcher.ping_active`).
    pub pings_off: AtomicU32,
    /// Not 0 if `probing_threshhold`, the old name, was set after the new one.
    pub old_threshold: AtomicU32,
    /// Counts changes of states that are decided here and kept over restarts.
    pub state_changes: AtomicU32,
    /// Counts what is kept over restarts of the decisions of the cluster.
    pub cluster_changes: AtomicU32,
    /// Not 0 while the states that operators set are to be kept but cannot be written.
    pub states_not_kept: AtomicU32,
    /// Not 0 while the lists do not take the answers for names.
    pub answers_not_taken: AtomicU32,
    /// Not 0 once the time of a question for a name could not be kept.
    pub questions_not_kept: AtomicU32,
    /// When the lists were last changed, for `reload_delta`: seconds of `server::time`, plus 1; 0 before the first
    /// change.
    pub lists_changed_s: AtomicU64,
    /// Not 0 while selections are traced in the log, or counted for their destinations (`select::trace`).
    pub watched: AtomicU32,
    /// Lines of changes that were written in this second (`dispatch::observe::line_budget`).
    pub line_budget: AtomicU64,
    /// Changes without a line since their number was last said.
    pub lines_left_out: AtomicU32,
    /// Not 0 once this server has what the other servers of its cluster have.
    pub cluster_ready: AtomicU32,
    /// The servers of the cluster that are alive, with this one.
    pub cluster_nodes: AtomicU32,
    /// When the process of the cluster last did its work, in seconds of `server::time`; 0 before that.
    pub cluster_seen_s: AtomicU64,
    /// Ends of calls not known here that were left for the process of the cluster in this second
    /// (`dispatch::observe::line_budget`).
    pub ends_budget: AtomicU64,
    /// The number of the last request of another server to load the lists.
    pub reload_asked: AtomicU64,
    /// Until when an operator waits for a reload of all servers, in milliseconds of `server::time`; 0 if nobody does.
    pub reload_until_ms: AtomicU64,
    /// Counts what this server has found by pings that others are to know.
    pub ping_words: AtomicU32,
    /// Counts destinations that are to be pinged at once, because another server has found them bad.
    pub looks: AtomicU32,
    /// The number of the last question to the process of the cluster.
    pub last_question: AtomicU64,
    /// Up to when the process that pings has sent what was due, in milliseconds of `server::time`.
    pub pinged_ms: AtomicU64,
    /// The last number that was given to a destination.
    pub last_number: AtomicU32,
    /// Not 0 while a destination is ejected by its traffic, or was until the last tick.
    pub ejected: AtomicU32,
    /// The outcomes of loads, edits and calls.
    pub outcomes: Outcomes,
}

/// The outcomes of loads, edits and calls since the start.
pub struct Outcomes {
    /// Loads that took the list.
    pub loads: AtomicU64,
    /// Loads that refused it.
    pub loads_refused: AtomicU64,
    /// Not 0 if the last load refused it.
    pub last_refused: AtomicU32,
    /// Destinations that the last load that took the list has left out.
    pub rejected: AtomicU32,
    /// When a list was last taken, in seconds since 1970.
    pub taken_s: AtomicU64,
    /// Destinations that commands have added.
    pub added: AtomicU64,
    /// Commands that have removed destinations.
    pub removed: AtomicU64,
    /// Destinations that commands have changed.
    pub modified: AtomicU64,
    /// Counted calls that were ended because their time was over.
    pub calls_expired: AtomicU64,
    /// Requests that a destination has refused, by reason (`Refusal::ALL`).
    pub refused: [AtomicU64; Refusal::ALL.len()],
}

impl Outcomes {
    /// Notes that a list was taken at this time, in seconds since 1970, without so many destinations; `None` for a list
    /// that was refused.
    pub fn note_load(&self, rejected: Option<usize>, now_s: u64) {
        let refused = rejected.is_none();
        if let Some(rejected) = rejected {
            let rejected = u32::try_from(rejected).unwrap_or(u32::MAX);
            self.rejected.store(rejected, Relaxed);
            self.taken_s.store(now_s, Relaxed);
        }
        let count = if refused {
            &self.loads_refused
        } else {
            &self.loads
        };
        count.fetch_add(1, Relaxed);
        self.last_refused.store(refused.into(), Relaxed);
    }

    /// Returns how many loads took the list while the server ran: all but the one of the start.
    pub fn reloads(&self) -> u64 {
        self.loads.load(Relaxed).saturating_sub(1)
    }

    /// Returns how many edits commands have made.
    pub fn edits(&self) -> u64 {
        let kinds = [&self.added, &self.removed, &self.modified];
        kinds.map(|kind| kind.load(Relaxed)).iter().sum()
    }
}

// SAFETY: atomics only; zeroed memory is a value of each.
unsafe impl ShmSafe for Shared {}

impl Shared {
    /// Makes the words, which end with the server.
    ///
    /// # Errors
    /// [`OutOfMemory`] if shared memory is full.
    pub fn create() -> Result<&'static Self, OutOfMemory> {
        let made = Plan::<Shared>::of_header().alloc(&ShmArena)?.header();
        // SAFETY: zeroed shared memory, which `ShmSafe` allows to read, and which is never freed.
        Ok(unsafe { made.as_ref() })
    }
}

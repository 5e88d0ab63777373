//! `reload_delta`: the least time between two changes of the lists, for configs that ask for one.
//!
//! Nothing here needs it: lists may change at any time, from any process.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::sys;
use crate::shm::memory::arena::{OutOfMemory, Plan};

/// When the lists were last changed, for all processes.
pub struct Throttle {
    delta_s: u32,
    /// Seconds since the start of the server, plus 1; 0 before the first change.
    last: &'static AtomicU32,
}

impl Throttle {
    /// A throttle that lets a change through every `delta_s` seconds; 0 lets all through.
    ///
    /// # Errors
    /// [`OutOfMemory`] when shared memory is full.
    pub fn create(delta_s: u32) -> Result<Self, OutOfMemory> {
        let last = Plan::<AtomicU32>::of_header().alloc(&ShmArena)?.header();
        // SAFETY: zeroed shared memory that is never given back: it ends with the server.
        let last = unsafe { last.as_ref() };
        Ok(Throttle { delta_s, last })
    }

    /// True when a change may be made now; it counts, whatever comes of it.
    pub fn let_through(&self) -> bool {
        // SAFETY: reads the server's clock (core/timer.c).
        let now = unsafe { sys::get_ticks() }.saturating_add(1);
        let due = |last: u32| {
            let waited = last == 0 || now >= last.saturating_add(self.delta_s);
            waited.then_some(now)
        };
        self.delta_s == 0
            || self
                .last
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, due)
                .is_ok()
    }
}

//! The process that pings: each destination once an interval, spread evenly over it.
//!
//! It never waits: names are resolved by other processes ([`super::names`]), and tm's answers come
//! to whatever process receives them ([`super::ping`]).

use core::cell::RefCell;
use core::ffi::{c_uint, c_void};
use std::collections::BTreeSet;

use super::ping::{self, Due};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::schedule::Schedule;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::ping_params::PingSettings;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::probing::Health;
use crate::shm::table::slots::Table;

/// Microseconds between two looks at what is due.
pub const TICK_US: i32 = 20_000;

/// Milliseconds between two looks at whether names are resolved by now.
const RETRY_MS: u64 = 200;

/// A destination: its set, and its place there.
type Place = (SetId, usize);

/// What the process remembers from one tick to the next.
#[derive(Default)]
struct Prober {
    schedule: Schedule<Place>,
    /// Destinations whose names were not resolved when their pings were due. A set: they may be due
    /// again while they wait.
    waiting: BTreeSet<Place>,
    /// When they are looked at again, in milliseconds.
    retry_ms: u64,
    /// The version of the lists that the schedule is of.
    version: Option<u64>,
}

thread_local! {
    static PROBER: RefCell<Prober> = RefCell::default();
}

/// Sends the pings that are due.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_prober_tick(_ticks: c_uint, _param: *mut c_void) {
    guard(|| {
        let Some(module) = Module::get() else { return };
        let Some(pings) = &module.settings.pings else {
            return;
        };
        PROBER.with_borrow_mut(|prober| prober.tick(module, pings));
    });
}

impl Prober {
    fn tick(&mut self, module: &'static Module, pings: &PingSettings) {
        let now = now_ms();
        self.follow_lists(module, pings, now);
        if now >= self.retry_ms {
            self.retry_ms = now + RETRY_MS;
            for (set, at) in core::mem::take(&mut self.waiting) {
                self.ping(module, pings, set, at);
            }
        }
        while let Some(((set, at), next)) = self.schedule.pop_due(now) {
            {
                let pinned = module.pin();
                let dest = pinned.view(set).and_then(|view| view.dest(at));
                if let Some(health) = dest.and_then(|dest| dest.record().health()) {
                    health.set_due_ms(next);
                }
            }
            self.ping(module, pings, set, at);
        }
    }

    fn ping(&mut self, module: &'static Module, pings: &PingSettings, set: SetId, at: usize) {
        if module.switches.pings_on() && ping::ping(module, pings, set, at) == Due::Again {
            self.waiting.insert((set, at));
        }
    }

    /// Makes the schedule anew when lists were replaced or edited. Destinations keep their times.
    fn follow_lists(&mut self, module: &Module, pings: &PingSettings, now: u64) {
        let version = module.store.version();
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        self.waiting.clear();
        let pinned = module.pin();
        let sets = pinned.table().into_iter().flat_map(Table::sets);
        let places = sets.flat_map(|(set, view)| {
            let dests = view.dests().enumerate();
            dests.map(move |(at, dest)| {
                let health = dest.record().health();
                ((set, at), health.and_then(Health::due_ms))
            })
        });
        self.schedule.rebuild(now, pings.interval_ms, places);
        for ((set, at), due) in self.schedule.iter() {
            let dest = pinned.view(set).and_then(|view| view.dest(at));
            if let Some(health) = dest.and_then(|dest| dest.record().health()) {
                health.set_due_ms(due);
            }
        }
    }
}

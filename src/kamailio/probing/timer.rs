//! The ping timer process: each destination once an interval, spread evenly over it.
//!
//! It never waits: other processes resolve names ([`super::resolver`]), and whatever process
//! receives a reply handles it ([`super::ping`]).

use core::cell::RefCell;
use core::ffi::{c_uint, c_void};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::collections::{BTreeSet, HashSet};

use super::ping::{self, Due};
use super::spared;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::schedule::Schedule;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::ping_params::PingSettings;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::time::Pace;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::probing::Health;
use crate::shm::table::sets::Table;
use crate::shm::table::store::Pinned;

/// Microseconds between two ticks.
pub const TICK_US: i32 = 20_000;

/// Milliseconds between two looks at whether names are resolved by now.
const RETRY_MS: u64 = 200;

/// The most destinations that are pinged at once in a tick.
const MOST_LOOKS: usize = 50;

/// A destination: its set, and its position there.
type Place = (SetId, usize);

/// The memory of the process between two ticks.
#[derive(Default)]
struct PingTimer {
    schedule: Schedule<Place>,
    /// Destinations whose names were not resolved when their pings were due. A set, because they
    /// may be due again while they wait.
    waiting: BTreeSet<Place>,
    /// When `waiting` is looked at again, in milliseconds.
    retry_ms: u64,
    pace: Pace<u64>,
    /// Follows the count of destinations that are to be pinged at once.
    looks: Pace<u32>,
}

thread_local! {
    static TIMER: RefCell<PingTimer> = RefCell::default();
}

/// Sends the pings that are due.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_ping_tick(_ticks: c_uint, _param: *mut c_void) {
    guard(|| {
        let Some(module) = Module::get() else { return };
        let Some(pings) = &module.settings.pings else {
            return;
        };
        TIMER.with_borrow_mut(|timer| timer.tick(module, pings));
    });
}

impl PingTimer {
    fn tick(&mut self, module: &'static Module, pings: &PingSettings) {
        let now = now_ms();
        self.follow_lists(module, pings, now);
        // Places of older lists may be those of others by now.
        if !self.pace.has_seen(&module.store.version()) {
            return;
        }
        if now >= self.retry_ms {
            self.retry_ms = now + RETRY_MS;
            for (set, at) in core::mem::take(&mut self.waiting) {
                self.ping(module, pings, set, at);
            }
        }
        self.look(module, pings, now);
        while let Some(((set, at), next)) = self.schedule.pop_due(now) {
            let spared = spared_until(module, (set, at), now);
            if let Some(until) = spared {
                self.schedule.put_off((set, at), next, until);
            }
            if let Some(health) = health(&module.pin(), (set, at)) {
                health.set_due_ms(spared.unwrap_or(next));
            }
            if spared.is_none() {
                self.ping(module, pings, set, at);
            }
        }
        module.shared.pinged_ms.store(now, Relaxed);
    }

    /// Pings those that another server has found bad, and that are up here. Each is due again an interval later, so that
    /// no failure is counted sooner than by the threshold.
    fn look(&mut self, module: &'static Module, pings: &PingSettings, now: u64) {
        let Some(walk) = self.looks.begin(module.shared.looks.load(SeqCst)) else {
            return;
        };
        let wanted = wanted(module);
        for &(set, at) in &wanted {
            if let Some(health) = health(&module.pin(), (set, at)) {
                let next = now + pings.interval_ms;
                if let Some(due) = health.due_ms() {
                    self.schedule.put_off((set, at), due, next);
                    health.set_due_ms(next);
                }
            }
            self.ping(module, pings, set, at);
        }
        if wanted.len() < MOST_LOOKS {
            self.looks.end(walk);
        }
    }

    fn ping(&mut self, module: &'static Module, pings: &PingSettings, set: SetId, at: usize) {
        if ping::pings_on(module) && ping::ping(module, pings, set, at) == Due::Again {
            self.waiting.insert((set, at));
            // Nobody may rely on a ping that cannot be sent.
            let pinned = module.pin();
            if let Some(dest) = pinned.view(set).and_then(|view| view.dest(at)) {
                spared::leave(module, dest.record());
            }
        }
    }

    /// Makes the schedule anew after lists were replaced or edited. Destinations keep their times.
    fn follow_lists(&mut self, module: &Module, pings: &PingSettings, now: u64) {
        let Some(walk) = self.pace.begin(module.store.version()) else {
            return;
        };
        self.waiting.clear();
        let pinned = module.pin();
        let sets = pinned.table().into_iter().flat_map(Table::sets);
        let dests = sets.flat_map(|(set, view)| {
            let dests = view.dests().enumerate();
            dests.map(move |(at, dest)| ((set, at), dest))
        });
        let mut new = HashSet::new();
        let places = dests.map(|(place, dest)| {
            let due = dest.record().health().and_then(Health::due_ms);
            if due.is_none() {
                new.insert(place);
            }
            (place, due)
        });
        self.schedule.rebuild(now, pings.interval_ms, places);
        for (place, due) in self
            .schedule
            .iter()
            .filter(|(place, _)| new.contains(place))
        {
            if let Some(health) = health(&pinned, place) {
                health.set_due_ms(due);
            }
        }
        self.pace.end(walk);
    }
}

/// Returns until when the ping of the destination at a place is spared, if it is.
fn spared_until(module: &Module, (set, at): Place, now: u64) -> Option<u64> {
    let pinned = module.pin();
    spared::until(module, pinned.view(set)?.dest(at)?.record(), now)
}

/// Takes the places of the destinations that are to be pinged at once.
fn wanted(module: &Module) -> Vec<Place> {
    let pinned = module.pin();
    let sets = pinned.table().into_iter().flat_map(Table::sets);
    let dests = sets.flat_map(|(set, view)| {
        let dests = view.dests().enumerate();
        dests.map(move |(at, dest)| ((set, at), dest.record()))
    });
    let wanted = dests.filter(|(_, record)| {
        let (state, failures) = record.status();
        let word = record.ping_word();
        word.is_some_and(|word| word.take_look(state, failures))
    });
    wanted.map(|(place, _)| place).take(MOST_LOOKS).collect()
}

/// Returns what pings found of the destination at a place.
fn health<'p>(pinned: &'p Pinned<'_>, (set, at): Place) -> Option<&'p Health> {
    pinned.view(set)?.dest(at)?.record().health()
}

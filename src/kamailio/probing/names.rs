//! The processes that resolve the names that pings go to.
//!
//! There are two lanes: one for names that led somewhere last time, one for those that did not. A
//! name that makes the resolver wait holds up others at most once, and holds up no ping at all:
//! pings go on to the last known addresses.

use core::cell::RefCell;
use core::ffi::{c_uint, c_void};
use std::collections::HashMap;

use super::ping::target;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::schedule::Schedule;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::ping_params::PingSettings;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::net::{self, Uri};
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::next_hop::{Found, fingerprint};
use crate::shm::dest::record_slab::Vitals;
use crate::shm::table::slots::Table;

/// Microseconds between two looks at what is due.
pub const TICK_US: i32 = 50_000;

/// Number of lanes.
pub const LANES: usize = 2;

/// Which names a process resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Those that led somewhere, or that a list has just brought with an address.
    Steady,
    /// Those that led nowhere, or that nobody has resolved yet.
    Doubtful,
}

/// A name of a destination, over changes of lists: the address of the destination's record, and
/// the fingerprint of the URI.
type Mark = (usize, u64);

/// A destination with a name: its set, its place there, and a mark of identity.
type Place = (SetId, usize, Mark);

/// What the process remembers from one tick to the next.
#[derive(Default)]
struct Names {
    schedule: Schedule<Place>,
    /// The version of the lists that the schedule is of.
    version: Option<u64>,
}

thread_local! {
    static NAMES: RefCell<Names> = RefCell::default();
}

/// Resolves the names that are due in the lane whose number is `param`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_names_tick(_ticks: c_uint, param: *mut c_void) {
    guard(|| {
        let Some(module) = Module::get() else { return };
        let Some(pings) = &module.settings.pings else {
            return;
        };
        let lane = match param as usize {
            0 => Lane::Steady,
            _ => Lane::Doubtful,
        };
        NAMES.with_borrow_mut(|names| names.tick(module, pings, lane));
    });
}

impl Names {
    fn tick(&mut self, module: &Module, pings: &PingSettings, lane: Lane) {
        self.follow_lists(module, pings);
        while let Some(((set, at, _), _)) = self.schedule.pop_due(now_ms()) {
            resolve(module, pings, lane, set, at);
        }
    }

    /// Makes the schedule anew when lists were replaced or edited. Names keep their times.
    fn follow_lists(&mut self, module: &Module, pings: &PingSettings) {
        let version = module.store.version();
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        let known: HashMap<Mark, u64> = self
            .schedule
            .iter()
            .map(|((.., mark), due)| (mark, due))
            .collect();
        let now = now_ms();
        let pinned = module.pin();
        let sets = pinned.table().into_iter().flat_map(Table::sets);
        let places = sets.flat_map(|(set, view)| {
            let named = move |(at, dest): (usize, &Dest)| Some((set, at, mark(pings, dest)?));
            view.dests().enumerate().filter_map(named)
        });
        // A new name is due at once: its pings wait for it.
        let places = places.map(|place| (place, Some(known.get(&place.2).copied().unwrap_or(now))));
        self.schedule.rebuild(now, pings.interval_ms, places);
    }
}

/// The mark of a destination's name; `None` where its pings go to an address.
fn mark(pings: &PingSettings, dest: &Dest) -> Option<Mark> {
    let target = target(pings, dest, dest.attrs().obproxy);
    let uri = Uri::parse(target)?;
    // SAFETY: `target` is still there.
    let is_name = net::literal(unsafe { uri.host() }).is_none();
    let record = core::ptr::from_ref(dest.record()) as usize;
    is_name.then(|| (record, fingerprint(target)))
}

/// Resolves a destination's name, if it is of this lane, and keeps what was found.
fn resolve(module: &Module, pings: &PingSettings, lane: Lane, set: SetId, at: usize) {
    let Some((record, target)) = ({
        let pinned = module.pin();
        let dest = pinned.view(set).and_then(|view| view.dest(at));
        dest.and_then(|dest| {
            let target = target(pings, dest, dest.attrs().obproxy);
            let ours = lane_of(dest, target) == lane;
            ours.then(|| (module.store.hold(dest), target.to_vec()))
        })
    }) else {
        return;
    };
    let Ok(Vitals { health, .. }) = record.need_vitals(&ShmArena) else {
        return;
    };
    let stamp = health.hop.stamp();
    let found = Uri::parse(&target).and_then(|uri| {
        // SAFETY: `target` is still there.
        let host = unsafe { uri.host() };
        net::resolve_sip(host, uri.port(), net::proto_of(&uri))
    });
    let found = found.map_or(Found::Nowhere, Found::At);
    health.hop.set(stamp, &target, found);
}

fn lane_of(dest: &Dest, target: &[u8]) -> Lane {
    match dest.record().next_hop(target) {
        Found::At(_) => Lane::Steady,
        Found::Unknown if dest.addrs().next().is_some() => Lane::Steady,
        Found::Unknown | Found::Nowhere => Lane::Doubtful,
    }
}

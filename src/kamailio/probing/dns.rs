//! The addresses of destinations with names: `ds_dns_mode`, and what follows from it.
//!
//! Asking may wait, so nothing is pinned or locked meanwhile. Where an answer is another one than
//! before, the destination gets its addresses under the writer lock, in its set's view; no list is
//! read again. A name that stops to resolve keeps the addresses that it had.

use core::cell::RefCell;
use core::ffi::{c_uint, c_void};
use std::collections::HashMap;

use crate::dispatch::list::destination::{Addr, SetId};
use crate::dispatch::state::transition::State;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::{log_dbg, log_err, log_info};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::net::{self, Uri};
use crate::kamailio::server::rand::ServerRandom;
use crate::kamailio::server::text::Escaped;
use crate::kamailio::server::time::{now_ms, wall_us};
use crate::shm::dest::destination::Dest;
use crate::shm::table::edit::Revision;
use crate::shm::table::slots::Table;

/// Microseconds between two looks at whether names are due.
pub const TICK_US: i32 = 200_000;

/// Most addresses of one destination.
const MAX_ADDRS: usize = 32;

/// Which names are asked for, and when.
#[derive(Clone, Copy, Debug)]
pub struct DnsSettings {
    /// When a list is read.
    pub at_load: bool,
    /// In each `ds_is_from_list`.
    pub at_match: bool,
    /// Milliseconds between two questions for each name by a process of its own; 0 for never.
    pub every_ms: u64,
    /// By the rules of SIP: NAPTR and SRV.
    pub by_sip: bool,
    /// Milliseconds that an answer is good for in `ds_is_from_list`; 0 asks the server each time.
    pub ttl_ms: u64,
    /// All addresses of a name count, not the first alone.
    pub all: bool,
}

impl DnsSettings {
    /// Most addresses that a destination may have.
    fn most(&self) -> usize {
        if self.all { MAX_ADDRS } else { 1 }
    }
}

/// All addresses of a URI's host; none when it leads nowhere.
fn addresses(settings: &DnsSettings, uri: &Uri, host: &[u8]) -> Vec<Addr> {
    let literal = net::literal(host);
    if let Some(ip @ Addr::V4(_)) = literal {
        return vec![ip];
    }
    if settings.by_sip && literal.is_none() {
        let hop = net::resolve_sip(host, uri.port(), net::proto_of(uri));
        return hop.map(|hop| hop.addr).into_iter().collect();
    }
    net::resolve_all(host, MAX_ADDRS)
}

/// The same for a destination that a list brings: names are left for later where the settings say
/// so. `None` for a host that leads nowhere.
pub fn at_load(settings: &DnsSettings, uri: &Uri, host: &[u8]) -> Option<Vec<Addr>> {
    if !settings.at_load && net::literal(host).is_none() {
        return Some(Vec::new());
    }
    let mut addrs = addresses(settings, uri, host);
    addrs.truncate(settings.most());
    Some(addrs).filter(|addrs| !addrs.is_empty())
}

/// A destination with a name: its set, the address of its record, its URI.
struct Named {
    set: SetId,
    record: usize,
    uri: Vec<u8>,
    addrs: Vec<Addr>,
}

/// Those of a set, or of all, whose addresses are wanted.
fn named(module: &Module, set: Option<SetId>, wanted: impl Fn(&Dest) -> bool) -> Vec<Named> {
    let pinned = module.pin();
    let sets = pinned.table().into_iter().flat_map(Table::sets);
    let of_sets = sets.filter(|(id, _)| set.is_none_or(|set| set == *id));
    let dests = of_sets.flat_map(|(set, view)| view.dests().map(move |dest| (set, dest)));
    let found = dests.filter(|(_, dest)| {
        !dest.listed.contains(State::NODNS)
            && !dest.host().is_empty()
            && net::literal(dest.host()).is_none()
            && wanted(dest)
    });
    let copy = found.map(|(set, dest)| Named {
        set,
        record: identity(dest),
        uri: dest.uri().to_vec(),
        addrs: dest.addrs().collect(),
    });
    copy.collect()
}

fn identity(dest: &Dest) -> usize {
    core::ptr::from_ref(dest.record()).addr()
}

/// Keeps when a name is asked for, for `dispatcher.list full`.
fn note_asked(module: &Module, named: &Named) {
    let pinned = module.pin();
    let Some(view) = pinned.view(named.set) else {
        return;
    };
    let dests = view.find_uri(&named.uri).filter_map(|at| view.dest(at));
    for dest in dests.filter(|dest| identity(dest) == named.record) {
        if let Ok(vitals) = dest.record().need_vitals(&ShmArena) {
            vitals.health.set_asked_us(wall_us());
        }
    }
}

/// Asks for a name, and gives the destination its addresses where they are others.
fn refresh(module: &Module, named: &Named, ask: impl Fn(&Uri, &[u8]) -> Vec<Addr>) {
    let Some(uri) = Uri::parse(&named.uri) else {
        return;
    };
    // SAFETY: the URI's text is still there.
    let mut addrs = ask(&uri, unsafe { uri.host() });
    if addrs.is_empty() {
        log_dbg!("{} does not resolve", Escaped(&named.uri));
        return;
    }
    // Names give their addresses in turns: what is still among them stays.
    let most = module.settings.dns.most();
    let stays = named.addrs.len() == addrs.len().min(most)
        && named.addrs.iter().all(|addr| addrs.contains(addr));
    if stays {
        return;
    }
    addrs.truncate(most);
    let revision = Revision {
        addrs: Some(&addrs),
        ..Revision::default()
    };
    // The same place in memory may be another destination's by now: its URI tells.
    let wanted = |dest: &Dest| identity(dest) == named.record && dest.uri() == named.uri;
    let uri = Some(named.uri.as_slice());
    let changed = module
        .store
        .modify(named.set, uri, wanted, revision, &mut ServerRandom);
    match changed {
        Ok(()) => log_info!(
            "set {}, {}: the name has another address",
            named.set,
            Escaped(&named.uri)
        ),
        Err(error) => log_dbg!("{} keeps its address: {error}", Escaped(&named.uri)),
    }
}

/// When answers end, and what they were, by URI.
type Answers = HashMap<Vec<u8>, (u64, Vec<Addr>)>;

thread_local! {
    static ANSWERS: RefCell<Answers> = RefCell::default();
    static KEEPER: RefCell<Keeper> = RefCell::default();
}

/// Before a source is looked for: asks for the names of a set, or of all, where that is wanted.
#[inline]
pub fn before_match(module: &Module, set: Option<SetId>) {
    if module.settings.dns.at_match {
        ask_before_match(module, set);
    }
}

#[inline(never)]
fn ask_before_match(module: &Module, set: Option<SetId>) {
    let settings = &module.settings.dns;
    for named in named(module, set, |_| true) {
        refresh(module, &named, |uri, host| {
            remembered(settings, &named.uri, || {
                note_asked(module, &named);
                addresses(settings, uri, host)
            })
        });
    }
}

/// An answer that is good for a while.
fn remembered(settings: &DnsSettings, uri: &[u8], ask: impl FnOnce() -> Vec<Addr>) -> Vec<Addr> {
    if settings.ttl_ms == 0 {
        return ask();
    }
    let now = now_ms();
    let known = ANSWERS.with_borrow_mut(|answers| {
        answers.retain(|_, (ends, _)| *ends > now);
        answers.get(uri).map(|(_, addrs)| addrs.clone())
    });
    known.unwrap_or_else(|| {
        let addrs = ask();
        let answer = (now + settings.ttl_ms, addrs.clone());
        ANSWERS.with_borrow_mut(|answers| answers.insert(uri.to_vec(), answer));
        addrs
    })
}

/// What the process that asks remembers from one tick to the next.
#[derive(Default)]
struct Keeper {
    due_ms: Option<u64>,
    version: Option<u64>,
}

/// Asks for all names when they are due, and at once for new ones without an address.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dns_tick(_ticks: c_uint, _param: *mut c_void) {
    guard(|| {
        if let Some(module) = Module::get() {
            KEEPER.with_borrow_mut(|keeper| keeper.tick(module));
        } else {
            log_err!("no module in the process that asks for names");
        }
    });
}

impl Keeper {
    fn tick(&mut self, module: &Module) {
        let settings = &module.settings.dns;
        let (now, version) = (now_ms(), module.store.version());
        let due_ms = *self.due_ms.get_or_insert(now + settings.every_ms);
        let is_due = now >= due_ms;
        if !is_due && self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        if is_due {
            self.due_ms = Some(now + settings.every_ms);
        }
        for named in named(module, None, |dest| is_due || dest.addrs().next().is_none()) {
            refresh(module, &named, |uri, host| {
                note_asked(module, &named);
                addresses(settings, uri, host)
            });
        }
    }
}

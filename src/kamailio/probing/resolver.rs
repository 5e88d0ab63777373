//! Resolves the names of destinations: where their pings go, and the addresses that their requests
//! come from (`ds_dns_mode`).
//!
//! The DNS may be slow, so nothing is pinned or locked while it is asked. A name that no longer
//! resolves keeps its last known addresses.
//!
//! Names for pings are resolved by two processes: one for names that resolved last time, one for
//! the others. A name without an answer therefore delays other names at most once, and it delays
//! no ping: pings go on to the last known addresses. `ds_dns_mode` 4 has a third process.

use core::cell::RefCell;
use core::ffi::{c_uint, c_void};
use core::fmt;
use core::sync::atomic::Ordering::SeqCst;
use std::collections::{HashMap, HashSet};

use super::ping::target;
use crate::dispatch::list::destination::{Addr, Proto, SetId};
use crate::dispatch::state::schedule::Schedule;
use crate::dispatch::state::transition::State;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::dns_params::DnsSettings;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::Settings;
use crate::kamailio::config::patience;
use crate::kamailio::config::ping_params::PingSettings;
use crate::kamailio::config::room::room_for_edit;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::{log_dbg, log_err, log_info};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::net::{self, Uri};
use crate::kamailio::server::rand::ServerRandom;
use crate::kamailio::server::time::Pace;
use crate::kamailio::server::time::{now_ms, wall_us};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::next_hop::{Resolved, fingerprint};
use crate::shm::dest::probing::Health;
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record_slab::Vitals;
use crate::shm::memory::refcount::Hold;
use crate::shm::set::view::View;
use crate::shm::table::edit::{EditError, Revision};
use crate::shm::table::lock::{Patience, Refusal};
use crate::shm::table::readdress::Answer;
use crate::shm::table::sets::Table;

/// Microseconds between two ticks of a resolver process.
pub const TICK_US: i32 = 50_000;

/// Milliseconds after which the answers that the process has are published, though others are still to come.
const PUBLISH_MS: u64 = 100;

/// Milliseconds after which a name is asked for again whose answer could not be published.
const AGAIN_MS: u64 = 1_000;

/// Most addresses of one destination.
const MAX_ADDRS: usize = 32;

/// The names that a resolver process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Next hops of pings: names that resolved last time, or that come with an address.
    Steady,
    /// Next hops of pings: names that did not resolve, or that nobody has asked for yet.
    Doubtful,
    /// Addresses of destinations, with `ds_dns_mode` 4.
    Addresses,
}

/// A destination whose addresses are asked for, copied out of the table.
struct Named<'m> {
    set: SetId,
    record: Hold<'m, ShmArena, DestRecord>,
    uri: Vec<u8>,
    peer: Peer,
    /// The version of the lists that it is from, or an earlier one.
    version: u64,
}

impl<'m> Named<'m> {
    fn of(module: &'m Module, dest: &Dest, version: u64) -> Self {
        Named {
            set: dest.set,
            record: module.store.hold(dest),
            uri: dest.uri().to_vec(),
            peer: Peer {
                addrs: dest.addrs().collect(),
                port: dest.port,
                proto: dest.proto,
            },
            version,
        }
    }

    fn key(&self) -> NameKey {
        key(&self.record, &self.uri)
    }

    /// Has the name asked for again if lists came meanwhile that have no answer for it.
    fn ask_again_if_lost(&self, module: &Module) {
        if module.store.version() == self.version {
            return;
        }
        let pinned = module.pin();
        let Some(view) = pinned.view(self.set) else {
            return;
        };
        let running = view.position_of(&self.record).and_then(|at| view.dest(at));
        if running.is_some_and(|dest| dest.uri() != self.uri || dest.addrs().next().is_none()) {
            self.record.forget_question();
            view.forget_names_due();
        }
    }
}

/// The parts of a URI that `ds_is_from_list` compares: addresses of its host (none if not resolved), port and
/// transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// All addresses that are known.
    pub addrs: Vec<Addr>,
    /// The port; 0 without one.
    pub port: u16,
    /// The transport.
    pub proto: Proto,
}

impl Peer {
    /// Returns what a URI says without asking anybody.
    pub fn unresolved(settings: &Settings, uri: &Uri) -> Self {
        Peer {
            addrs: Vec::new(),
            port: uri.port(),
            proto: proto(settings, uri),
        }
    }

    /// Returns what a URI resolves to: with `ds_dns_mode` 8 its next hop by the rules of SIP, else all addresses of its
    /// host. The server's resolver may wait for an answer.
    pub fn resolved(settings: &Settings, uri: &Uri) -> Self {
        let host = uri.host();
        let unresolved = Peer::unresolved(settings, uri);
        if settings.dns.by_sip {
            let hop = net::resolve_sip(host, uri.port(), Proto(uri.proto()));
            return hop.map_or(unresolved, |hop| Peer {
                addrs: vec![hop.addr],
                port: hop.port,
                proto: hop.proto,
            });
        }
        let addrs = match net::literal(host) {
            Some(ip @ Addr::V4(_)) => vec![ip],
            _ => net::resolve_all(host, MAX_ADDRS),
        };
        Peer {
            addrs,
            ..unresolved
        }
    }
}

/// Returns the transport of a URI that is compared unless it is resolved by the rules of SIP.
fn proto(settings: &Settings, uri: &Uri) -> Proto {
    let named = Proto(uri.proto());
    if named != Proto::NONE || !settings.compat.default_proto_by_uri() {
        return named;
    }
    let numeric = net::literal(uri.host()).is_some();
    if numeric || (uri.names_port() && !uri.is_secure()) {
        Proto::UDP
    } else if uri.names_port() {
        Proto::TCP
    } else {
        Proto::NONE
    }
}

/// Returns the most addresses that a destination may have.
fn most(settings: &DnsSettings) -> usize {
    if settings.all { MAX_ADDRS } else { 1 }
}

/// Resolves the host of a listed destination, unless the settings leave names for later. Returns
/// `None` if it does not resolve.
pub fn at_load(settings: &Settings, uri: &Uri) -> Option<Peer> {
    if !settings.dns.at_load && net::literal(uri.host()).is_none() {
        return Some(Peer::unresolved(settings, uri));
    }
    let mut peer = Peer::resolved(settings, uri);
    peer.addrs.truncate(most(&settings.dns));
    Some(peer).filter(|peer| !peer.addrs.is_empty())
}

/// Resolves names of a set, or of all sets, before a source is looked for in them, if `ds_dns_mode` 2 asks for that:
/// those in the order of listing up to the first destination that `is_found` takes with a current answer. `agrees` says
/// if a destination with this answer may be that one.
#[inline]
pub fn before_match(
    module: &Module,
    set: Option<SetId>,
    is_found: impl Fn(&Dest) -> bool,
    agrees: impl Fn(&Peer) -> bool,
) {
    if module.settings.dns.at_match {
        refresh_until(module, set, is_found, agrees);
    }
}

/// The name server may be slow, so nothing is pinned while it is asked. The walk over the destinations goes on where it
/// was, each time for twice as many names.
#[inline(never)]
fn refresh_until(
    module: &Module,
    set: Option<SetId>,
    is_found: impl Fn(&Dest) -> bool,
    agrees: impl Fn(&Peer) -> bool,
) {
    let start_us = wall_us();
    if !any_due(module, set, start_us) {
        return;
    }
    let mut walk = Walk::default();
    for doubled in 3..usize::BITS {
        let due = due_names(module, set, start_us, &mut walk, 1 << doubled, &is_found);
        if due.is_empty() {
            return;
        }
        let mut answers = Vec::new();
        for (at, named) in due {
            walk.asked = at + 1;
            let Some(peer) = ask(module, &named) else {
                continue;
            };
            let may_be = agrees(&peer);
            answers.push((named, peer));
            if may_be {
                break;
            }
        }
        publish(module, answers, patience::none);
    }
}

/// A request's walk over the destinations, by places in the order of listing.
#[derive(Default)]
struct Walk {
    /// The place where it goes on.
    from: usize,
    /// The place behind the last name that it has asked for. It asks for no name twice, whatever became of the answer.
    asked: usize,
}

/// Returns the set with this number, or all sets, in the order of listing.
fn wanted(table: Option<&Table>, set: Option<SetId>) -> impl Iterator<Item = &View> {
    let sets = table.into_iter().flat_map(Table::sets);
    let sets = sets.filter(move |(id, _)| set.is_none_or(|set| set == *id));
    sets.map(|(_, view)| view)
}

fn any_due(module: &Module, set: Option<SetId>, now_us: u64) -> bool {
    let ttl_us = module.settings.dns.ttl_ms * 1_000;
    let asked_us = |dest: &Dest| is_named(dest).then(|| asked_us(dest));
    let pinned = module.pin();
    wanted(pinned.table(), set).any(|view| view.any_name_due(now_us, ttl_us, asked_us))
}

/// Returns the next names without an answer that was good at the start of the request or came later, with their places:
/// at most `most` of them, and none behind a destination that is found. Moves the walk to the first of them.
fn due_names<'m>(
    module: &'m Module,
    set: Option<SetId>,
    start_us: u64,
    walk: &mut Walk,
    most: usize,
    is_found: impl Fn(&Dest) -> bool,
) -> Vec<(usize, Named<'m>)> {
    let mut due = Vec::new();
    let version = module.store.version();
    let pinned = module.pin();
    let dests = wanted(pinned.table(), set).flat_map(View::dests);
    for (at, dest) in dests.enumerate().skip(walk.from) {
        let is_unknown = asked_us(dest) < start_us && !has_answer(module, dest, start_us);
        if at >= walk.asked && is_unknown && is_named(dest) {
            if due.is_empty() {
                walk.from = at;
            }
            due.push((at, Named::of(module, dest, version)));
            if due.len() == most {
                break;
            }
        } else if is_found(dest) {
            break;
        }
    }
    due
}

/// Returns true if a destination's addresses are resolved from a name.
fn is_named(dest: &Dest) -> bool {
    !dest.listed.contains(State::NODNS) && is_name(dest.host())
}

fn is_name(host: &[u8]) -> bool {
    !host.is_empty() && net::literal(host).is_none()
}

/// Returns true if a destination's addresses were asked for less than `ds_dns_ttl` ago, whatever the answer was.
fn has_answer(module: &Module, dest: &Dest, now_us: u64) -> bool {
    let age_us = now_us.checked_sub(asked_us(dest));
    age_us.is_some_and(|age| age < module.settings.dns.ttl_ms * 1_000)
}

/// Returns the time at which a destination's name was last asked for; 0 if it never was.
fn asked_us(dest: &Dest) -> u64 {
    dest.record().health().map_or(0, Health::asked_us)
}

/// Asks for the addresses of a name. Returns what they are now: what is known if none is new.
fn ask(module: &Module, named: &Named<'_>) -> Option<Peer> {
    let most = most(&module.settings.dns);
    match named.record.need_vitals(&ShmArena) {
        Ok(vitals) => vitals.health.set_asked_us(wall_us()),
        Err(error) => {
            if module.shared.questions_not_kept.swap(1, SeqCst) == 0 {
                log_err!("names are asked for too often: {error}");
            }
        }
    }
    let uri = Uri::parse(&named.uri)?;
    let mut peer = Peer::resolved(&module.settings, &uri);
    named.ask_again_if_lost(module);
    if peer.addrs.is_empty() {
        log_dbg!("{} does not resolve", Escaped(&named.uri));
        return None;
    }
    // Names give their addresses in turns: an address that is still among them stays.
    let known = &named.peer;
    let stays = known.addrs.len() == peer.addrs.len().min(most)
        && known.addrs.iter().all(|addr| peer.addrs.contains(addr))
        && (known.port, known.proto) == (peer.port, peer.proto);
    if stays {
        return Some(known.clone());
    }
    peer.addrs.truncate(most);
    Some(peer)
}

/// Publishes the answers for names that differ from what is known, those for one set at a time. Returns the names whose
/// answers could not be published now.
fn publish(
    module: &Module,
    mut answers: Vec<(Named<'_>, Peer)>,
    patience: impl Fn() -> Patience,
) -> Vec<NameKey> {
    answers.retain(|(named, peer)| named.peer != *peer);
    answers.sort_by_key(|(named, _)| named.set);
    let mut lost = Vec::new();
    for of_set in answers.chunk_by(|(one, _), (other, _)| one.set == other.set) {
        if let Err(NotNow) = readdress(module, of_set, patience()) {
            for (named, _) in of_set {
                ask_again_soon(module, named);
                lost.push(named.key());
            }
        }
    }
    lost
}

/// The lists cannot be changed now.
struct NotNow;

/// Gives the destinations of one set their addresses; passes over what has left the lists.
fn readdress(
    module: &Module,
    answers: &[(Named<'_>, Peer)],
    patience: Patience,
) -> Result<(), NotNow> {
    let Some((Named { set, .. }, _)) = answers.first() else {
        return Ok(());
    };
    if let Err(error) = room_for_edit(module) {
        not_taken(module, &error);
        return Err(NotNow);
    }
    let revised = answers.iter().map(|(named, peer)| Answer {
        record: &named.record,
        uri: &named.uri,
        now: Revision {
            peer: Some((&peer.addrs, peer.port, peer.proto)),
            ..Revision::default()
        },
    });
    let revised: Vec<_> = revised.collect();
    let uris = answers.iter().map(|(named, _)| Escaped(&named.uri));
    let store = &module.store;
    match store.readdress(patience, *set, &revised, &mut ServerRandom) {
        Ok(()) => {
            module.shared.answers_not_taken.store(0, SeqCst);
            uris.for_each(|uri| log_info!("set {set}, {uri}: the name has another address"));
        }
        Err(EditError::Refused(Refusal::Busy(_))) => return Err(NotNow),
        Err(EditError::Refused(why)) => {
            not_taken(module, &why);
            return Err(NotNow);
        }
        Err(error) => uris.for_each(|uri| log_dbg!("{uri} keeps its address: {error}")),
    }
    Ok(())
}

/// Says, once until it works again, that names keep their old addresses.
fn not_taken(module: &Module, why: &dyn fmt::Display) {
    if module.shared.answers_not_taken.swap(1, SeqCst) == 0 {
        log_err!("names keep their old addresses, trying again: {why}");
    }
}

/// Has the next request ask again, in a second.
fn ask_again_soon(module: &Module, named: &Named<'_>) {
    if let Some(health) = named.record.health() {
        let ttl_us = module.settings.dns.ttl_ms * 1_000;
        health.set_asked_us((wall_us() + 1_000 * AGAIN_MS).saturating_sub(ttl_us));
    }
    let pinned = module.pin();
    let view = pinned.view(named.set);
    view.into_iter().for_each(View::forget_names_due);
}

/// Identifies a destination's name across changes of the lists: the address of the record, and the
/// fingerprint of the URI that is resolved.
type NameKey = (usize, u64);

/// A destination with a name: its set, its position there, and its mark.
type NamePlace = (SetId, usize, NameKey);

/// The names of one process, and when each is due.
#[derive(Default)]
struct Resolver {
    schedule: Schedule<NamePlace>,
    pace: Pace<u64>,
    /// The names whose answers could not be published. They are asked for again.
    lost: HashSet<NameKey>,
    /// The time of that.
    again_ms: u64,
}

thread_local! {
    static RESOLVER: RefCell<Resolver> = RefCell::default();
}

/// Resolves the names that are due, of the [`Task`] whose number is `param`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_names_tick(_ticks: c_uint, param: *mut c_void) {
    guard(|| {
        let Some(module) = Module::get() else { return };
        let tasks = [Task::Steady, Task::Doubtful, Task::Addresses];
        let task = tasks
            .into_iter()
            .find(|&task| task as usize == param.addr());
        RESOLVER.with_borrow_mut(|resolver| match (task, &module.settings.pings) {
            (Some(Task::Addresses), _) => resolver.refresh_due(module),
            (Some(task), Some(pings)) => resolver.find_due_hops(module, pings, task),
            _ => {}
        });
    });
}

impl Resolver {
    fn refresh_due(&mut self, module: &Module) {
        // A name without an address is asked for at once, whenever lists change.
        let next = |dest: &Dest, known: Option<u64>, now| {
            let waits = dest.addrs().next().is_none();
            if waits { Some(now) } else { known }
        };
        let name = |dest: &Dest| is_named(dest).then(|| mark(dest, dest.uri()));
        self.follow_lists(module, module.settings.dns.every_ms, name, next);
        let mut again = self.take_lost(module);
        let (mut answers, mut since) = (Vec::new(), now_ms());
        while let Some((set, at, known)) = again.pop().or_else(|| self.next_due()) {
            let named = {
                let version = module.store.version();
                let pinned = module.pin();
                let dest = pinned.view(set).and_then(|view| view.dest(at));
                // Lists that have changed since may have another destination here.
                dest.filter(|dest| name(dest) == Some(known))
                    .map(|dest| Named::of(module, dest, version))
            };
            let answer = named.and_then(|named| {
                let peer = ask(module, &named)?;
                Some((named, peer))
            });
            answers.extend(answer);
            // A slow name must not keep the answers for others back.
            if now_ms() - since >= PUBLISH_MS {
                self.publish(module, core::mem::take(&mut answers));
                since = now_ms();
            }
        }
        self.publish(module, answers);
    }

    fn next_due(&mut self) -> Option<NamePlace> {
        self.schedule.pop_due(now_ms()).map(|(place, _)| place)
    }

    fn publish(&mut self, module: &Module, answers: Vec<(Named<'_>, Peer)>) {
        let lost = publish(module, answers, patience::of_command);
        if !lost.is_empty() {
            self.lost.extend(lost);
            self.again_ms = now_ms() + AGAIN_MS;
        }
    }

    /// Takes the places of the names whose answers could not be published, once it is time to ask again.
    fn take_lost(&mut self, module: &Module) -> Vec<NamePlace> {
        // Places of older lists may be those of other names by now.
        let is_time = now_ms() >= self.again_ms && self.pace.has_seen(&module.store.version());
        if self.lost.is_empty() || !is_time {
            return Vec::new();
        }
        let lost = core::mem::take(&mut self.lost);
        let places = self.schedule.iter().map(|(place, _)| place);
        places.filter(|(.., mark)| lost.contains(mark)).collect()
    }

    fn find_due_hops(&mut self, module: &Module, pings: &PingSettings, task: Task) {
        // A new name is due at once: its pings wait for it.
        let next = |_: &Dest, known: Option<u64>, now| Some(known.unwrap_or(now));
        let name = |dest: &Dest| ping_name(pings, dest);
        self.follow_lists(module, pings.interval_ms, name, next);
        // Places of older lists may be those of other names by now.
        while self.pace.has_seen(&module.store.version()) {
            let Some(((set, at, _), _)) = self.schedule.pop_due(now_ms()) else {
                return;
            };
            find_hop(module, pings, task, set, at);
        }
    }

    /// Makes the schedule anew after lists were replaced or edited. `name` gives the mark of a
    /// destination's name, and `next` the time when it is due, from the time that was known.
    fn follow_lists(
        &mut self,
        module: &Module,
        period_ms: u64,
        name: impl Fn(&Dest) -> Option<NameKey>,
        next: impl Fn(&Dest, Option<u64>, u64) -> Option<u64>,
    ) {
        let Some(walk) = self.pace.begin(module.store.version()) else {
            return;
        };
        let known = self.schedule.iter();
        let known: HashMap<NameKey, u64> = known.map(|((.., mark), due)| (mark, due)).collect();
        let now = now_ms();
        let pinned = module.pin();
        let sets = pinned.table().into_iter().flat_map(Table::sets);
        let dests = sets.flat_map(|(set, view)| {
            let dests = view.dests().enumerate();
            dests.map(move |(at, dest)| (set, at, dest))
        });
        let places = dests.filter_map(|(set, at, dest)| {
            let mark = name(dest)?;
            Some(((set, at, mark), next(dest, known.get(&mark).copied(), now)))
        });
        self.schedule.rebuild(now, period_ms, places);
        self.pace.end(walk);
    }
}

fn mark(dest: &Dest, target: &[u8]) -> NameKey {
    key(dest.record(), target)
}

fn key(record: &DestRecord, target: &[u8]) -> NameKey {
    (core::ptr::from_ref(record).addr(), fingerprint(target))
}

/// Returns the mark of the name that a destination's pings go to; `None` if they go to an address.
fn ping_name(pings: &PingSettings, dest: &Dest) -> Option<NameKey> {
    let obproxy = dest.attrs().obproxy;
    if obproxy.or(pings.outbound_proxy).is_none() {
        return is_name(dest.host()).then(|| mark(dest, dest.uri()));
    }
    let target = target(pings, dest, obproxy);
    let uri = Uri::parse(target)?;
    is_name(uri.host()).then(|| mark(dest, target))
}

/// Resolves the name that a destination's pings go to, if it belongs to this task, and keeps the
/// answer in the destination's record.
fn find_hop(module: &Module, pings: &PingSettings, task: Task, set: SetId, at: usize) {
    let Some((record, target)) = ({
        let pinned = module.pin();
        let dest = pinned.view(set).and_then(|view| view.dest(at));
        dest.and_then(|dest| {
            let target = target(pings, dest, dest.attrs().obproxy);
            let ours = task_of(dest, target) == task;
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
        let host = uri.host();
        net::resolve_sip(host, uri.port(), net::proto_of(&uri))
    });
    let found = found.map_or(Resolved::Nowhere, Resolved::At);
    health.hop.set(stamp, &target, found);
}

fn task_of(dest: &Dest, target: &[u8]) -> Task {
    match dest.record().next_hop(target) {
        Resolved::At(_) => Task::Steady,
        Resolved::Unknown if dest.addrs().next().is_some() => Task::Steady,
        Resolved::Unknown | Resolved::Nowhere => Task::Doubtful,
    }
}

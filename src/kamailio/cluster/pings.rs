//! Pings between this server and the cluster: what is found here is told to the others, and whose good word spares a ping
//! is told to the process that pings.

use core::cell::OnceCell;
use core::sync::atomic::Ordering::Relaxed;
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use super::{bus, show};
use crate::dispatch::cluster::node::machine::Cluster;
use crate::dispatch::cluster::node::pinging::Watcher;
use crate::dispatch::cluster::node::settings::MOST_NODES;
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::pings::{Pings, Relied};
use crate::dispatch::cluster::state::view::{FoundElsewhere, View};
use crate::dispatch::state::probe::is_pinged;
use crate::dispatch::state::transition::{MarkRules, State};
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::probing::ping::pings_on;
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::time::now_ms;
use crate::shm::cluster::inbox::{Command, Received};
use crate::shm::cluster::memory::ClusterMemory;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::ping_word::{PingWord, WatchedBy};
use crate::shm::dest::probing::Health;
use crate::shm::dest::record::DestRecord;

/// By how much the time of a ping may be another one than the others know.
const NEAR_MS: u32 = 200;

/// Returns how this server pings; `None` if it does not.
pub fn own(module: &Module) -> Option<Pings> {
    let pings = module.settings.pings.as_ref();
    let pings = pings.filter(|_| pings_on(module))?;
    Some(Pings {
        ran_ms: module.shared.pinged_ms.load(Relaxed),
        interval_ms: pings.interval_ms,
    })
}

/// Looks at what is pinged here.
pub struct Pinging {
    rules: MarkRules,
    interval_ms: u64,
}

impl Pinging {
    /// Returns what there is to look at; `None` if nothing is pinged.
    pub fn now(module: &Module) -> Option<Self> {
        let Pings { interval_ms, .. } = own(module).filter(|_| module.settings.tells_pings())?;
        let rules = cfg::mark_rules(module);
        Some(Pinging { rules, interval_ms })
    }

    /// Returns what the others are to know of a destination; `None` if it is not pinged here. `told` is what they know.
    pub fn view(&self, record: &DestRecord, told: Option<View>) -> Option<View> {
        let (state, failures) = record.status();
        if !record.ping_word()?.is_pinged() || !is_pinged(state, &self.rules) {
            return None;
        }
        let due_ms = record.health().and_then(Health::due_ms)?;
        let interval_ms = self.interval_ms.max(1);
        let phase_ms = u32::try_from(due_ms % interval_ms).unwrap_or(0);
        let is_near = |told: &View| {
            let apart = u64::from(told.phase_ms.abs_diff(phase_ms));
            apart.min(interval_ms.saturating_sub(apart)) < NEAR_MS.into()
        };
        Some(View {
            failures,
            bits: state.bits(),
            phase_ms: told.filter(is_near).map_or(phase_ms, |told| told.phase_ms),
        })
    }
}

/// Tells the process that pings who watches a destination for this server, and whoever asks what others find. Returns true
/// if it is to be pinged at once.
pub fn set_watcher(dest: &Dest, watcher: Option<&Watcher>, found: FoundElsewhere) -> bool {
    let Some(word) = dest.record().ping_word() else {
        return false;
    };
    let good = watcher.filter(|watcher| watcher.view.is_good());
    let by = good.and_then(|watcher| {
        let peer = u8::try_from(watcher.peer.0).ok()?;
        let phase_ms = watcher.view.phase_ms;
        Some(WatchedBy { peer, phase_ms })
    });
    word.set_watcher(by, watcher.map_or(0, Watcher::row), found)
}

/// Tells the process that pings how long the word of each member is believed.
pub fn show_relied(module: &Module, memory: &ClusterMemory<ShmArena>, cluster: &Cluster) {
    if !module.settings.shares_pings() {
        return;
    }
    let mut all = [Relied::default(); MOST_NODES];
    for (id, relied) in cluster.relied() {
        if let Some(place) = all.get_mut(id.0) {
            *place = relied;
        }
    }
    for (peer, relied) in all.iter().enumerate() {
        if memory.relied.get(peer) != *relied {
            memory.relied.set(peer, relied);
        }
    }
}

/// A destination on one server, as the process of the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnServer {
    /// The name of the server.
    pub name: String,
    /// The calls that it counts there.
    pub calls: u32,
    /// Its view, if it pings the destination.
    pub view: Option<Viewed>,
}

/// The view of a destination that a server has which pings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewed {
    /// The state there.
    pub state: State,
    /// Failures in a row there.
    pub failures: u32,
    /// True if this server relies on it.
    pub watches: bool,
}

const SEPARATOR: char = '\t';

impl OnServer {
    fn new(name: &str) -> Self {
        OnServer {
            name: name.to_owned(),
            calls: 0,
            view: None,
        }
    }

    fn write(&self, ticket: u64) -> String {
        let (name, calls) = (&self.name, self.calls);
        let first = format!("{ticket}{SEPARATOR}{name}{SEPARATOR}{calls}");
        let Some(view) = &self.view else { return first };
        let (bits, failures, watches) = (view.state.bits(), view.failures, u8::from(view.watches));
        format!("{first}{SEPARATOR}{bits}{SEPARATOR}{failures}{SEPARATOR}{watches}")
    }

    fn read(text: &str) -> Option<Self> {
        let mut fields = text.split(SEPARATOR).skip(1);
        let mut field = || fields.next();
        let (name, calls) = (field()?.to_owned(), field()?.parse().ok()?);
        let mut view = || {
            Some(Viewed {
                state: State(field()?.parse().ok()?),
                failures: field()?.parse().ok()?,
                watches: field()? == "1",
            })
        };
        let view = view();
        Some(OnServer { name, calls, view })
    }
}

/// Answers what each server counts and finds of a destination, this one first. The first row only says for whom the answer
/// is.
pub fn answer(memory: &ClusterMemory<ShmArena>, cluster: &Cluster, ticket: u64, key: Key) {
    let watcher = cluster
        .watcher(key)
        .filter(|watcher| watcher.view.is_good());
    let viewed = |view: View, watches| Viewed {
        state: State(view.bits),
        failures: view.failures,
        watches,
    };
    let mut all = vec![OnServer {
        calls: cluster.own_calls(key),
        view: (cluster.own_view(key)).map(|view| viewed(view, watcher.is_none())),
        ..OnServer::new(&cluster.settings().node)
    }];
    all.extend(cluster.views_of(key).map(|(peer, name, view)| {
        let watches = watcher.is_some_and(|watcher| watcher.peer == peer);
        OnServer {
            view: Some(viewed(view, watches)),
            ..OnServer::new(name)
        }
    }));
    for (name, calls) in cluster.calls_by_node(key) {
        if let Some(one) = all.iter_mut().find(|one| one.name == name) {
            one.calls = one.calls.saturating_add(calls);
        } else {
            let new = OnServer::new(name);
            all.push(OnServer { calls, ..new });
        }
    }
    let rows = all.iter().map(|one| one.write(ticket));
    let rows: Vec<String> = core::iter::once(ticket.to_string()).chain(rows).collect();
    memory.views.show(ticket, &rows);
}

/// How long an answer of the process of the cluster is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns what each server counts and finds of a destination; `None` if the process of the cluster does not answer.
pub fn on_servers(module: &Module, key: Key) -> Option<Vec<OnServer>> {
    let memory = module.cluster.as_ref()?;
    let end = Instant::now() + PATIENCE;
    loop {
        let ticket = module.shared.last_question.fetch_add(1, Relaxed) + 1;
        let asked = Command::Views { ticket, key };
        if !bus::post(&Received::Command(asked)) {
            return None;
        }
        // A call at the same time may get the answer that comes after this one.
        for _ in 0..20 {
            let rows = memory.views.rows();
            let answered = rows.first().and_then(|first| first.parse().ok());
            if answered == Some(ticket) {
                let servers = rows.iter().skip(1);
                return Some(servers.filter_map(|row| OnServer::read(row)).collect());
            }
            if Instant::now() >= end {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The names of those that ping destinations. They are read when one is first asked for, and not again.
pub struct Watchers<'m> {
    module: &'m Module,
    names: OnceCell<HashMap<usize, String>>,
}

impl<'m> Watchers<'m> {
    /// Returns those of now; `None` if this server is alone, or pings nothing.
    pub fn now(module: &'m Module) -> Option<Self> {
        let names = OnceCell::new();
        (module.settings.tells_pings()).then_some(Watchers { module, names })
    }

    /// Returns how many other servers that ping a destination find it up, and how many down.
    pub fn found_elsewhere(dest: &Dest) -> FoundElsewhere {
        let word = dest.record().ping_word();
        word.map(PingWord::found_elsewhere).unwrap_or_default()
    }

    /// Returns the name of the server on which this one relies for a destination, or of this server if it pings it.
    pub fn of(&self, dest: &Dest) -> Option<String> {
        let cluster = self.module.settings.cluster.as_ref()?;
        let memory = self.module.cluster.as_ref()?;
        let word = dest.record().ping_word()?;
        let watcher = word.watcher().map(|watcher| usize::from(watcher.peer));
        let fresh = watcher.filter(|peer| memory.relied.get(*peer).is_fresh(now_ms()));
        let own = || word.is_pinged().then(|| cluster.cluster.node.clone());
        match fresh.filter(|_| !word.is_pinged()) {
            Some(peer) => {
                let names = self.names.get_or_init(|| {
                    let rows = show::rows(memory).into_iter();
                    rows.filter_map(|row| Some((row.peer?, row.name?)))
                        .collect()
                });
                names.get(&peer).cloned()
            }
            None => own(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::cluster::board::MOST_TEXT;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let viewed = Viewed {
            state: State(u32::MAX),
            failures: u32::MAX,
            watches: true,
        };
        for view in [Some(viewed), None] {
            let row = OnServer {
                name: "n".repeat(64),
                calls: u32::MAX,
                view,
            };
            let text = row.write(u64::MAX);
            assert!(text.len() <= MOST_TEXT);
            assert_eq!(OnServer::read(&text), Some(row));
        }
        assert_eq!(OnServer::read("7"), None);
    }
}

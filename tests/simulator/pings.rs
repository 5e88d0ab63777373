//! Pings: each server has a process that pings, and gateways can be reached from some servers and not from others.
//!
//! A ping and its answer take no time. What is done here is what the processes of a server do around the state machine.

use std::collections::{BTreeMap, BTreeSet};

use dispatcher::dispatch::balance::cost::mix;
use dispatcher::dispatch::cluster::node::machine::Cluster;
use dispatcher::dispatch::cluster::node::pinging::Watcher;
use dispatcher::dispatch::cluster::state::key::{Key, NodeHash};
use dispatcher::dispatch::cluster::state::pings::{Pings, Relied};
use dispatcher::dispatch::cluster::state::rules::Rules;
use dispatcher::dispatch::cluster::state::view::{View, is_good};
use dispatcher::dispatch::state::transition::State;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::server::Server;
use crate::world::World;

/// The state of a destination that is pinged, and up; down; and failing.
const UP: State = State::PROBING;
const DOWN: State = State::PROBING.union(State::INACTIVE);
const FAILING: State = State::PROBING.union(State::TRYING);

/// How late a process that pings may be.
const LATE_MS: u64 = 400;

/// How late a hello may be that is all that is known of a clock.
const LATE_HELLO_MS: u64 = 1_000;

/// The gateways, and how they are pinged.
#[derive(Debug)]
pub struct Gateways {
    pub interval_ms: u64,
    threshold: u32,
    /// Those that do not answer.
    pub dead: BTreeSet<Key>,
    /// Those that a server does not reach.
    pub cut: BTreeSet<(usize, Key)>,
    /// When any server pinged one last.
    last_ms: BTreeMap<Key, u64>,
}

impl Gateways {
    /// Returns those of a seed: not every one has some.
    #[must_use]
    pub fn of(seed: u64) -> Option<Self> {
        let mut random = SmallRng::seed_from_u64(seed ^ 0x7069_6e67);
        random.random_bool(0.4).then(|| Self {
            interval_ms: random.random_range(1_000..=3_000),
            threshold: random.random_range(1..=3),
            dead: BTreeSet::new(),
            cut: BTreeSet::new(),
            last_ms: BTreeMap::new(),
        })
    }

    fn answers(&self, server: usize, key: Key) -> bool {
        !self.dead.contains(&key) && !self.cut.contains(&(server, key))
    }
}

/// A destination of a server.
#[derive(Clone, Debug)]
struct Dest {
    state: State,
    failures: u32,
    due_ms: u64,
    /// Since when it is to be pinged here, and this server ran all the time.
    since_ms: u64,
    /// This server pings it.
    pinged: bool,
    told: Option<View>,
    /// Who watches it with a good word, and when in its interval it pings; and failures by a bad word.
    watcher: Option<(usize, u32)>,
    row: u32,
    look: bool,
}

/// The process of a server that pings, and what it shares with the process of the cluster.
#[derive(Debug, Default)]
pub struct Pinger {
    dests: BTreeMap<Key, Dest>,
    ran_ms: u64,
    last_tick_ms: u64,
    /// Until when this process alone is stopped.
    pub stuck_until_ms: u64,
    relied: BTreeMap<usize, Relied>,
    pub viewed: BTreeSet<Key>,
    pub all_viewed: bool,
}

impl Pinger {
    /// Tells whether nothing is pinged.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.dests.is_empty()
    }

    /// Follows the list of its server.
    fn follow<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k Key>,
        steady_ms: u64,
        time_ms: u64,
        gateways: &Gateways,
    ) {
        let keys: BTreeSet<Key> = keys.copied().collect();
        self.dests.retain(|key, _| keys.contains(key));
        for key in keys {
            self.dests.entry(key).or_insert_with(|| {
                self.all_viewed = true;
                Dest {
                    state: UP,
                    failures: 0,
                    due_ms: steady_ms + key.0 % gateways.interval_ms,
                    since_ms: time_ms,
                    pinged: false,
                    told: None,
                    watcher: None,
                    row: 0,
                    look: false,
                }
            });
        }
    }

    /// Tells the node what was found, and takes over who watches what.
    fn tell<R: Rules>(&mut self, node: &mut Cluster<R>, gateways: &Gateways) {
        let interval_ms = gateways.interval_ms;
        node.set_pings(Some(Pings {
            ran_ms: self.ran_ms,
            interval_ms,
        }));
        for (key, dest) in &mut self.dests {
            let view = dest.pinged.then(|| View {
                failures: dest.failures,
                bits: dest.state.bits(),
                phase_ms: u32::try_from(dest.due_ms % interval_ms).unwrap(),
            });
            if view != dest.told {
                dest.told = view;
                node.set_view(*key, view);
            }
        }
        let gone: Vec<Key> = node
            .viewed()
            .filter(|key| !self.dests.contains_key(key))
            .collect();
        gone.into_iter().for_each(|key| node.set_view(key, None));
        let viewed = std::mem::take(&mut self.viewed);
        if std::mem::take(&mut self.all_viewed) {
            let watchers = node.watchers();
            for (key, dest) in &mut self.dests {
                dest.watch(watchers.get(key));
            }
        } else {
            for key in viewed {
                if let Some(dest) = self.dests.get_mut(&key) {
                    dest.watch(node.watcher(key).as_ref());
                }
            }
        }
    }
}

impl Dest {
    fn is_good(&self) -> bool {
        is_good(self.state, self.failures)
    }

    fn watch(&mut self, watcher: Option<&Watcher>) {
        let good = watcher.filter(|watcher| watcher.view.is_good());
        self.watcher = good.map(|watcher| (watcher.peer.0, watcher.view.phase_ms));
        let bad = watcher.filter(|_| good.is_none());
        let row = bad.map_or(0, |watcher| watcher.view.row().max(1));
        self.look |= self.row == 0 && row > 0;
        self.row = row;
    }

    fn ping(&mut self, answers: bool, threshold: u32) {
        (self.state, self.failures) = if answers {
            (UP, 0)
        } else {
            let row = self.row.saturating_sub(1).min(threshold - 1);
            let failures = self.failures.max(row) + 1;
            if self.state == DOWN || failures >= threshold {
                (DOWN, 0)
            } else {
                (FAILING, failures)
            }
        };
        self.pinged = true;
    }
}

impl<R: Rules> World<R> {
    /// The process of the cluster takes what was found by pings.
    pub(crate) fn tell_pings(&mut self, server: usize) {
        let (Some(gateways), time_ms) = (&self.gateways, self.time_ms) else {
            return;
        };
        let one = &mut self.servers[server];
        let steady_ms = one.now(time_ms).steady_ms;
        one.pinger
            .follow(one.list.keys(), steady_ms, time_ms, gateways);
        if let Some(node) = &mut one.node {
            one.pinger.tell(node, gateways);
        }
    }

    /// The process of the cluster says whom to rely on.
    pub(crate) fn show_relied(&mut self, server: usize) {
        let one = &mut self.servers[server];
        if let Some(node) = &one.node {
            one.pinger.relied = node
                .relied()
                .map(|(peer, relied)| (peer.0, relied))
                .collect();
        }
    }

    /// The process that pings does what is due.
    pub(crate) fn ping(&mut self, server: usize) {
        let time_ms = self.time_ms;
        let Some(gateways) = &mut self.gateways else {
            return;
        };
        let one = &mut self.servers[server];
        let now_ms = one.now(time_ms).steady_ms;
        let pinger = &mut one.pinger;
        if pinger.stuck_until_ms > time_ms {
            return;
        }
        let was_late = time_ms.saturating_sub(pinger.last_tick_ms) > LATE_MS;
        pinger.last_tick_ms = time_ms;
        pinger.ran_ms = now_ms;
        let window_ms = 3 * one.settings.hello_ms;
        let most_ms = gateways.interval_ms + window_ms + 500 + LATE_MS + LATE_HELLO_MS;
        for (key, dest) in &mut pinger.dests {
            if was_late {
                dest.since_ms = time_ms;
            }
            let is_due = dest.due_ms <= now_ms;
            let looks = std::mem::take(&mut dest.look) && dest.is_good();
            let relied = dest
                .watcher
                .and_then(|(peer, phase)| Some((pinger.relied.get(&peer)?, phase)));
            let believed = relied.filter(|(relied, _)| R::believes(relied.is_fresh(now_ms)));
            if is_due {
                dest.due_ms += (now_ms - dest.due_ms) / gateways.interval_ms * gateways.interval_ms;
                dest.due_ms += gateways.interval_ms;
            }
            match believed.filter(|_| dest.is_good()) {
                Some((relied, phase_ms)) if is_due => {
                    dest.pinged = false;
                    dest.due_ms = relied.next_look(phase_ms, now_ms);
                    self.figures.spared += 1;
                }
                _ if is_due || looks => {
                    if self.trace {
                        let name = &one.settings.node;
                        println!(
                            "{time_ms:>7} {name} pings {key:x?}: {dest:x?}, relies on {relied:?}"
                        );
                    }
                    dest.ping(gateways.answers(server, *key), gateways.threshold);
                    gateways.last_ms.insert(*key, time_ms);
                    self.figures.pings += 1;
                }
                _ => {}
            }
            let last_ms = gateways.last_ms.get(key).copied().unwrap_or(0);
            let gap_ms = time_ms - last_ms.max(dest.since_ms);
            if gap_ms > most_ms {
                let name = &one.settings.node;
                self.wrong = Some(format!(
                    "nobody has pinged {key:x?} for {gap_ms} ms, of {name}"
                ));
            }
            self.figures.longest_gap_ms = self
                .figures
                .longest_gap_ms
                .max(gap_ms.saturating_sub(gateways.interval_ms));
        }
    }

    /// Returns what does not hold of pings at a quiet end.
    pub(crate) fn judge_pings(&self) -> Result<(), String> {
        let Some(gateways) = &self.gateways else {
            return Ok(());
        };
        let running = || {
            (0..)
                .zip(&self.servers)
                .filter(|(_, one)| one.node.is_some())
        };
        let keys: BTreeSet<Key> = running()
            .flat_map(|(_, one)| one.list.keys().copied())
            .collect();
        for key in keys {
            let dests =
                || running().filter_map(|(at, one)| Some((at, one, one.pinger.dests.get(&key)?)));
            let mut all_answer = true;
            for (at, one, dest) in dests() {
                let answers = gateways.answers(at, key);
                all_answer &= answers;
                let name = &one.settings.node;
                if answers && !dest.is_good() {
                    return Err(format!("{name} takes {key:x?} for bad, which answers it"));
                }
                let watcher = watcher_of(one, dest);
                let watches =
                    watcher.and_then(|name| running().find(|(_, one)| one.settings.node == name));
                let is_watched = watches.is_some_and(|(at, _)| gateways.answers(at, key));
                if !answers && dest.is_good() && !is_watched {
                    return Err(format!(
                        "{name} takes {key:x?} for good, which nobody reaches for it"
                    ));
                }
            }
            let weight = |one: &Server<R>| mix(key.0 ^ NodeHash::of(&one.settings.node).0);
            let right = dests()
                .max_by_key(|(_, one, _)| weight(one))
                .map(|(at, ..)| at);
            let pinging = dests().filter(|(_, _, dest)| dest.pinged);
            let pinging: Vec<usize> = pinging.map(|(at, ..)| at).collect();
            if all_answer && pinging != Vec::from_iter(right) {
                return Err(format!(
                    "{pinging:?} ping {key:x?}, and not {right:?} alone"
                ));
            }
            let right = right.map(|at| self.servers[at].settings.node.as_str());
            for (_, one, dest) in dests().filter(|_| all_answer) {
                let name = &one.settings.node;
                let watcher = watcher_of(one, dest);
                if !dest.pinged && watcher != right {
                    return Err(format!(
                        "{name} relies on {watcher:?} for {key:x?}, and not on {right:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Returns the name of the server that watches a destination for another one.
fn watcher_of<'s, R: Rules>(server: &'s Server<R>, dest: &Dest) -> Option<&'s str> {
    let (peer, _) = dest.watcher?;
    let mut members = server.node.as_ref()?.members();
    members
        .find(|member| member.peer.is_some_and(|id| id.0 == peer))?
        .name
}

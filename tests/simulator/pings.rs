//! Pings: each server has a process that pings, and gateways can be reached from some servers and not from others.
//!
//! A ping and its answer take no time. The rest is done here as the processes of a server do it around the state machine.

use std::collections::{BTreeMap, BTreeSet};

use dispatcher::dispatch::balance::cost::mix;
use dispatcher::dispatch::cluster::node::machine::Cluster;
use dispatcher::dispatch::cluster::node::pinging::{Doubt, Watcher, spared_until};
use dispatcher::dispatch::cluster::state::key::{Key, NodeHash};
use dispatcher::dispatch::cluster::state::pings::{Pings, Relied};
use dispatcher::dispatch::cluster::state::rules::Rules;
use dispatcher::dispatch::cluster::state::view::{View, is_good};
use dispatcher::dispatch::state::compat::Compat;
use dispatcher::dispatch::state::probe::{Ping, apply_ping};
use dispatcher::dispatch::state::transition::{MarkRules, State};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::server::Server;
use crate::world::World;

/// The state of a destination that is pinged, and up.
const UP: State = State::PROBING;

/// How late a process that pings may be.
const LATE_MS: u64 = 400;

/// How late a hello may be that is all that is known of a clock.
const LATE_HELLO_MS: u64 = 3_000;

/// The gateways, and how they are pinged.
#[derive(Debug)]
pub struct Gateways {
    /// How often each server pings.
    intervals_ms: Vec<u64>,
    threshold: u32,
    /// Those that do not answer.
    pub dead: BTreeSet<Key>,
    /// Those that a server does not reach.
    pub cut: BTreeSet<(usize, Key)>,
    /// When each server pinged one last.
    last_ms: BTreeMap<(usize, Key), u64>,
}

impl Gateways {
    /// Returns those of a seed: not every one has some.
    #[must_use]
    pub fn of(seed: u64) -> Option<Self> {
        let mut random = SmallRng::seed_from_u64(seed ^ 0x7069_6e67);
        random.random_bool(0.4).then(|| {
            let interval_ms = random.random_range(1_000..=3_000);
            let threshold = random.random_range(1..=3);
            let mut intervals_ms = vec![interval_ms; 8];
            if random.random_bool(0.3) {
                intervals_ms.fill_with(|| random.random_range(1_000..=3_000));
            }
            Self {
                intervals_ms,
                threshold,
                dead: BTreeSet::new(),
                cut: BTreeSet::new(),
                last_ms: BTreeMap::new(),
            }
        })
    }

    fn interval_ms(&self, server: usize) -> u64 {
        self.intervals_ms[server % self.intervals_ms.len()]
    }

    fn rules(&self) -> MarkRules {
        MarkRules {
            compat: Compat::V5_6,
            probing_threshold: self.threshold,
            inactive_threshold: 1,
            probing_mode: 1,
        }
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
    /// Who watches it with a good word, and when in its interval it pings; and what follows from a bad word.
    watcher: Option<(usize, u32)>,
    doubt: Doubt,
    /// What is known of it beside that, to judge: failures of this server in a row, and when the first of them was; when this
    /// server found it good last; since when the word of its watcher is bad.
    in_row: u32,
    in_row_since_ms: u64,
    good_ms: u64,
    bad_word_since_ms: Option<u64>,
    /// Failures of a watcher may have been counted in this row.
    counts_of_watcher: bool,
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
        interval_ms: u64,
    ) {
        let keys: BTreeSet<Key> = keys.copied().collect();
        self.dests.retain(|key, _| keys.contains(key));
        for key in keys {
            self.dests.entry(key).or_insert_with(|| {
                self.all_viewed = true;
                Dest {
                    state: UP,
                    failures: 0,
                    due_ms: steady_ms + key.0 % interval_ms,
                    since_ms: time_ms,
                    pinged: false,
                    told: None,
                    watcher: None,
                    doubt: Doubt::default(),
                    in_row: 0,
                    in_row_since_ms: 0,
                    good_ms: 0,
                    bad_word_since_ms: None,
                    counts_of_watcher: false,
                }
            });
        }
    }

    /// Tells the node what was found, and takes over who watches what.
    fn tell<R: Rules>(&mut self, node: &mut Cluster<R>, interval_ms: u64, time_ms: u64) {
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
                dest.watch(watchers.get(key), time_ms);
            }
        } else {
            for key in viewed {
                if let Some(dest) = self.dests.get_mut(&key) {
                    dest.watch(node.watcher(key).as_ref(), time_ms);
                }
            }
        }
    }
}

impl Dest {
    fn is_good(&self) -> bool {
        is_good(self.state, self.failures)
    }

    fn watch(&mut self, watcher: Option<&Watcher>, time_ms: u64) {
        let good = watcher.filter(|watcher| watcher.view.is_good());
        self.watcher = good.map(|watcher| (watcher.peer.0, watcher.view.phase_ms));
        let row = watcher.map_or(0, Watcher::row);
        self.doubt = self.doubt.told(row);
        let since_ms = self.bad_word_since_ms.unwrap_or(time_ms);
        self.bad_word_since_ms = (row > 0).then_some(since_ms);
    }

    /// Pings it. Returns what is wrong if that makes it down too soon.
    fn ping<R: Rules>(
        &mut self,
        answers: bool,
        rules: &MarkRules,
        interval_ms: u64,
        time_ms: u64,
    ) -> Option<String> {
        let threshold = rules.probing_threshold;
        let (ping, failures) = if answers {
            (Ping::Good, self.failures)
        } else {
            let failures = self.doubt.failures_before::<R>(self.failures, threshold);
            (Ping::Bad, failures)
        };
        let outcome = apply_ping(self.state, failures, ping, rules)?;
        let was_up = !self.state.intersects(State::INACTIVE);
        (self.state, self.failures) = (outcome.state, outcome.failures);
        self.pinged = true;
        if answers {
            self.in_row = 0;
            self.counts_of_watcher = false;
            self.good_ms = time_ms;
            if is_good(self.state, self.failures) {
                self.doubt = self.doubt.found_good();
            }
            return None;
        }
        if self.in_row == 0 {
            self.in_row_since_ms = time_ms;
        }
        self.in_row += 1;
        let is_down = was_up && self.state.intersects(State::INACTIVE);
        let told = self.bad_word_since_ms;
        self.counts_of_watcher |= told.is_some_and(|told_ms| self.good_ms < told_ms);
        let least_ms = u64::from(threshold - 1) * interval_ms;
        let in_row_ms = time_ms - self.in_row_since_ms + LATE_MS;
        // After a process was late, the next ping is at its place again.
        let was_late = self.since_ms >= self.in_row_since_ms;
        let too_soon = self.in_row < threshold || in_row_ms < least_ms && !was_late;
        (is_down && too_soon && !self.counts_of_watcher)
            .then(|| format!("down too soon: {self:x?}"))
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
        let interval_ms = gateways.interval_ms(server);
        one.pinger
            .follow(one.list.keys(), steady_ms, time_ms, interval_ms);
        if let Some(node) = &mut one.node {
            one.pinger.tell(node, interval_ms, time_ms);
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
        let interval_ms = gateways.interval_ms(server);
        let hellos_ms = self.servers.iter().map(|one| one.settings.hello_ms);
        let window_ms = 3 * hellos_ms.max().unwrap_or(0);
        let nodes: Vec<NodeHash> = (self.servers.iter())
            .map(|one| NodeHash::of(&one.settings.node))
            .collect();
        let one = &mut self.servers[server];
        let now_ms = one.now(time_ms).steady_ms;
        let pinger = &mut one.pinger;
        if pinger.stuck_until_ms > time_ms {
            return;
        }
        let was_late = time_ms.saturating_sub(pinger.last_tick_ms) > LATE_MS;
        pinger.last_tick_ms = time_ms;
        pinger.ran_ms = now_ms;
        let most_ms = interval_ms + window_ms + 500 + LATE_MS + LATE_HELLO_MS;
        for (key, dest) in &mut pinger.dests {
            if was_late {
                dest.since_ms = time_ms;
            }
            let is_due = dest.due_ms <= now_ms;
            let looks = dest.doubt.looks(dest.state, dest.failures);
            dest.doubt = dest.doubt.seen();
            let relied = dest
                .watcher
                .and_then(|(peer, phase)| Some((pinger.relied.get(&peer)?, phase)));
            let spared = relied.and_then(|(relied, phase_ms)| {
                spared_until::<R>((dest.state, dest.failures), relied, phase_ms, now_ms)
            });
            if looks {
                dest.due_ms = now_ms + interval_ms;
            } else if is_due {
                dest.due_ms += (now_ms - dest.due_ms) / interval_ms * interval_ms;
                dest.due_ms += interval_ms;
            }
            match spared {
                Some(until_ms) if is_due && !looks => {
                    dest.pinged = false;
                    dest.due_ms = until_ms;
                    self.figures.spared += 1;
                }
                _ if is_due || looks => {
                    if self.trace {
                        let name = &one.settings.node;
                        println!(
                            "{time_ms:>7} {name} pings {key:x?}: {dest:x?}, relies on {relied:?}"
                        );
                    }
                    let answers = gateways.answers(server, *key);
                    let rules = gateways.rules();
                    if let Some(wrong) = dest.ping::<R>(answers, &rules, interval_ms, time_ms) {
                        let name = &one.settings.node;
                        self.wrong = Some(format!("{name} takes {key:x?} for {wrong}"));
                    }
                    gateways.last_ms.insert((server, *key), time_ms);
                    self.figures.pings += 1;
                }
                _ => {}
            }
            // Only those count on which this server may rely.
            let weight = |other: usize| mix(key.0 ^ nodes[other].0);
            let may_ping = |other: &usize| {
                *other == server
                    || weight(*other) > weight(server)
                        && gateways.interval_ms(*other) <= interval_ms
            };
            let last_ms = (0..nodes.len()).filter(may_ping);
            let last_ms = last_ms.filter_map(|other| gateways.last_ms.get(&(other, *key)));
            let last_ms = last_ms.max().copied().unwrap_or(0);
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
                .max(gap_ms.saturating_sub(interval_ms));
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
            for (at, one, dest) in dests().filter(|_| all_answer) {
                let name = &one.settings.node;
                let interval_ms = gateways.interval_ms(at);
                let as_often = dests().filter(|(at, ..)| gateways.interval_ms(*at) <= interval_ms);
                let right = as_often.max_by_key(|(_, one, _)| weight(one));
                let right = right.map(|(_, one, _)| one.settings.node.as_str());
                let relies_on = if dest.pinged {
                    Some(name.as_str())
                } else {
                    watcher_of(one, dest)
                };
                if relies_on != right {
                    return Err(format!(
                        "{name} relies on {relies_on:?} for {key:x?}, and not on {right:?}"
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

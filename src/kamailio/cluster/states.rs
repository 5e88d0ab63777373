//! The states of destinations between this server and the cluster: what operators set here is told to the cluster, and
//! what they set elsewhere is done here.
//!
//! Nobody tells this process of what he sets: it looks at the count of changes, and compares. Nor does it take a lock
//! when it changes a state: it does so only if the state still is the one that it has seen. Else somebody was faster,
//! and the next look finds out who.

use core::cell::{OnceCell, RefCell};
use core::sync::atomic::Ordering::SeqCst;
use std::collections::HashMap;

use super::lists::{Found, Lists, Walked, look_at};
use super::pings::{Pinging, set_watcher};
use super::show;
use crate::dispatch::cluster::node::action::Action;
use crate::dispatch::cluster::node::machine::Cluster;
use crate::dispatch::cluster::state::clock::Now;
use crate::dispatch::cluster::state::key::{Key, NodeHash};
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::cluster::state::rules::{Rules, Sound};
use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::seen::{Happened, Look, Seen};
use crate::dispatch::state::transition::{Flip, Outcome, State, apply_set};
use crate::kamailio::config::instance::Module;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::observe::changes::author::STATE_FILE;
use crate::kamailio::probing::ping::would_be_pinged;
use crate::kamailio::server::log::{log_err, log_info};
use crate::kamailio::server::time::{Pace, now_ms};
use crate::shm::dest::destination::Dest;
use crate::shm::table::store::Pinned;

/// Microseconds until lists that found no memory are gone through again.
const RETRY_US: u64 = 2_000_000;

/// How often a register is tried at once while somebody changes the state.
const TRIES: usize = 8;

/// The states as this process knows them.
#[derive(Default)]
struct States {
    lists: Lists,
    /// The registers of the last life, until the cluster has them.
    kept: Vec<(Key, Register)>,
    /// Follows the counts of changes and of what pings have found, the version of the lists, and the number of walks that
    /// are to be repeated.
    pace: Pace<(u32, u32, u64, u32)>,
    unsettled: u32,
    /// Registers that destinations are to follow.
    due: Vec<(Key, Why)>,
    /// Destinations of which other servers have told what they found, and whether to look at all.
    viewed: Vec<Key>,
    all_viewed: bool,
    /// The cluster was ready at the end of the last tick.
    was_ready: bool,
}

/// Why a destination is to follow its register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// Somebody has just set it.
    Set,
    /// It is new here, or this server is new in the cluster. What the register says may have been measured away elsewhere
    /// since then.
    New,
}

thread_local! {
    static STATES: RefCell<States> = RefCell::default();
}

/// Takes the lists as they are after the first load, with the registers of the last life, for the process that is forked
/// from this one. Destinations follow those that a state file cannot keep in other words.
pub fn begin(module: &Module, kept: Vec<(Key, Register)>, feed: &mut Feed<'_>) {
    match Lists::known(module) {
        Ok(lists) => STATES.with_borrow_mut(|states| {
            states.lists = lists;
            states.kept = kept;
            states.restore(module, feed);
        }),
        Err(error) => {
            log_err!("states that were restored are shared as if they were set now: {error}")
        }
    }
}

/// Returns the destinations of the lists, and the registers of the last life, once: for the cluster to begin with.
pub fn beginning() -> (Vec<Key>, Vec<(Key, Register)>) {
    STATES.with_borrow_mut(|states| {
        let kept = core::mem::take(&mut states.kept);
        (states.lists.keys().collect(), kept)
    })
}

/// Tells the cluster what operators have set here, and does what they have set elsewhere: takes these actions out.
pub fn tick(module: &Module, cluster: &mut Cluster, now: Now, actions: &mut Vec<Action>) {
    let settings = &module.settings;
    if !settings.shares_states() && !settings.shares_load() && !settings.tells_pings() {
        return;
    }
    STATES.with_borrow_mut(|states| {
        // The message that makes this server ready may have brought registers as well.
        let why = if states.was_ready { Why::Set } else { Why::New };
        actions.retain(|action| match action {
            Action::Changed { key, .. } => {
                states.due.push((*key, why));
                false
            }
            Action::Viewed { key } => {
                states.viewed.push(*key);
                false
            }
            // At once, because the place of a member that was forgotten may have another one.
            Action::Believed => {
                states.all_viewed = true;
                false
            }
            _ => true,
        });
        states.was_ready = cluster.is_ready();
        states.look(module, cluster, now, actions);
        states.settle(module, cluster, now);
        states.set_watchers(module, cluster);
    });
}

/// Lets `with` use the lists; `None` if they have just changed.
pub fn with_lists<T>(
    module: &Module,
    with: impl FnOnce(&mut Lists, &Pinned<'_>) -> T,
) -> Option<T> {
    STATES.with_borrow_mut(|states| {
        let version = module.store.version();
        let pinned = module.pin();
        let lists = &mut states.lists;
        lists.are(&pinned, version).then(|| with(lists, &pinned))
    })
}

/// Has the next tick look anew at who watches each destination.
pub fn look_at_watchers() {
    STATES.with_borrow_mut(|states| states.all_viewed = true);
}

/// Returns the number that registers have for this server; `None` if it is alone.
pub fn own_node(module: &Module) -> Option<NodeHash> {
    let settings = module.settings.cluster.as_ref()?;
    Some(NodeHash::of(&settings.cluster.node))
}

/// The names of the nodes. They are read when one is first asked for, and not again.
pub struct Names<'m> {
    module: &'m Module,
    read: OnceCell<HashMap<NodeHash, String>>,
}

impl<'m> Names<'m> {
    /// Returns the names that are known now.
    pub fn new(module: &'m Module) -> Self {
        let read = OnceCell::new();
        Names { module, read }
    }

    /// Returns the name of a node, or its number if nobody of that name has been heard of since the start.
    pub fn of(&self, node: NodeHash) -> String {
        let names = self.read.get_or_init(|| {
            let memory = self.module.cluster.as_ref();
            let rows = memory.map(show::rows).unwrap_or_default();
            let names = rows.into_iter().filter_map(|row| row.name);
            names.map(|name| (NodeHash::of(&name), name)).collect()
        });
        let number = || format!("{:016x}", node.0);
        names.get(&node).cloned().unwrap_or_else(number)
    }
}

impl States {
    /// Has destinations follow the registers of the last life, as far as the state file has left something to do.
    fn restore(&mut self, module: &Module, feed: &mut Feed<'_>) {
        feed.set_author(STATE_FILE);
        let pinned = module.pin();
        let mut followed = 0;
        for (key, register) in &self.kept {
            let Some((entry, dest)) = self.lists.find(&pinned, *key) else {
                continue;
            };
            keep(dest, *key, *register);
            // Being inactive may have been measured away since, and what is measured is not kept.
            let decides = State(register.bits).union(entry.seen.state);
            if !Sound::applies(register, entry.seen.base)
                || !decides.intersects(State::ADMINISTRATIVE)
            {
                continue;
            }
            if let Some(seen) = follow(module, dest, register, &entry.seen, feed) {
                followed += usize::from(seen.state != entry.seen.state);
                entry.seen = seen;
            }
        }
        if followed > 0 {
            log_info!("{followed} states of destinations restored as the cluster had them");
        }
    }

    /// Finds what operators have set here since the last look. Where nothing has changed, that is two loads.
    fn look(
        &mut self,
        module: &Module,
        cluster: &mut Cluster,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let version = (
            module.shared.state_changes.load(SeqCst),
            module.shared.ping_words.load(SeqCst),
            module.store.version(),
            self.unsettled,
        );
        let Some(walk) = self.pace.begin(version) else {
            return;
        };
        let mut acts = 0;
        let shares_states = module.settings.shares_states();
        let pinging = Pinging::now(module);
        let walked = self
            .lists
            .walk(module, pinging.as_ref(), |key, dest, found| match found {
                Found::Act { flags, base } if shares_states => {
                    let register = cluster.local_act(now, key, flags.bits(), base);
                    keep(dest, key, register);
                    acts += 1;
                }
                Found::Act { .. } => {}
                Found::View(view) => cluster.set_view(key, view),
            });
        if acts > 0 {
            module.shared.cluster_changes.fetch_add(1, SeqCst);
        }
        match walked {
            Ok(Walked {
                are_new,
                relisted,
                is_unsettled,
            }) => {
                self.pace.end(walk);
                if are_new {
                    cluster.set_list(self.lists.keys(), actions);
                    let gone = cluster.viewed().filter(|key| !self.lists.has(*key));
                    for key in gone.collect::<Vec<_>>() {
                        cluster.set_view(key, None);
                    }
                    self.all_viewed = true;
                }
                self.due
                    .extend(relisted.into_iter().map(|key| (key, Why::New)));
                self.unsettled = self.unsettled.wrapping_add(is_unsettled.into());
            }
            Err(error) => {
                self.pace.retry_in(RETRY_US);
                log_err!("states are not shared, trying again: {error}");
            }
        }
    }

    /// Tells the process that pings who watches destinations for this server, where that may have changed.
    fn set_watchers(&mut self, module: &Module, cluster: &Cluster) {
        if !self.all_viewed && self.viewed.is_empty() {
            return;
        }
        let version = module.store.version();
        let pinned = module.pin();
        if !self.lists.are(&pinned, version) {
            // The next walk takes them over.
            return;
        }
        let mut viewed = core::mem::take(&mut self.viewed);
        let shares = module.settings.shares_pings();
        let mut look = false;
        if core::mem::take(&mut self.all_viewed) {
            let watchers = if shares {
                cluster.watchers()
            } else {
                HashMap::new()
            };
            let found = cluster.all_found_elsewhere();
            let set = |key, dest: &Dest| {
                let found = found.get(&key).copied().unwrap_or_default();
                look |= set_watcher(dest, watchers.get(&key), found);
            };
            self.lists.each(&pinned, set);
        } else {
            viewed.sort_unstable();
            viewed.dedup();
            for key in viewed {
                if let Some((_, dest)) = self.lists.find(&pinned, key) {
                    let watcher = cluster.watcher(key).filter(|_| shares);
                    look |= set_watcher(dest, watcher.as_ref(), cluster.found_elsewhere(key));
                }
            }
        }
        if look {
            module.shared.looks.fetch_add(1, SeqCst);
        }
    }

    /// Has destinations follow the registers that are due.
    fn settle(&mut self, module: &Module, cluster: &mut Cluster, now: Now) {
        if self.due.is_empty() {
            return;
        }
        let mut feed = Feed::new(module, Cause::Cluster);
        let mut are_kept = false;
        {
            let version = module.store.version();
            let pinned = module.pin();
            if !self.lists.are(&pinned, version) {
                // The next walk takes them over.
                return;
            }
            let mut due = core::mem::take(&mut self.due);
            due.sort_unstable();
            due.dedup_by_key(|(key, _)| *key);
            for (key, why) in due {
                if let Some(register) = cluster.register(key) {
                    are_kept = true;
                    let one = (key, register, why);
                    if !self.settle_one(module, &pinned, one, cluster, now, &mut feed) {
                        self.due.push((key, why));
                    }
                }
            }
        }
        if are_kept {
            module.shared.cluster_changes.fetch_add(1, SeqCst);
        }
        feed.post();
    }

    /// Has a destination follow a register, unless somebody has set another state here meanwhile. Returns false if that
    /// is to be tried again.
    fn settle_one(
        &mut self,
        module: &Module,
        pinned: &Pinned<'_>,
        (key, register, why): (Key, Register, Why),
        cluster: &mut Cluster,
        now: Now,
        feed: &mut Feed<'_>,
    ) -> bool {
        let Some((entry, dest)) = self.lists.find(pinned, key) else {
            // It waits until a list has the destination.
            return true;
        };
        for _ in 0..TRIES {
            let seen = look_at(module, dest.record());
            let look = Look {
                again: core::mem::take(&mut entry.again),
                ..Look::default()
            };
            match seen.since(&entry.seen, look) {
                Happened::Unsettled => {
                    entry.again = true;
                    return false;
                }
                Happened::Act(flags) => {
                    let register = cluster.local_act(now, key, flags.bits(), seen.base);
                    keep(dest, key, register);
                    entry.seen = seen;
                    return true;
                }
                Happened::Nothing | Happened::Relisted => entry.seen = seen,
            }
            if why == Why::New && is_measured(module, &register, &seen) {
                keep(dest, key, register);
                return true;
            }
            match cluster.name_of(register.node) {
                Some(name) => feed.set_node(name),
                None => feed.set_node(&format!("{:016x}", register.node.0)),
            }
            if let Some(seen) = follow(module, dest, &register, &entry.seen, feed) {
                entry.seen = seen;
                // Only now: a state that is not yet the one of its register would look like a later act.
                keep(dest, key, register);
                return true;
            }
        }
        false
    }
}

/// Keeps a register with the record of its destination, for whoever looks.
fn keep(dest: &Dest, key: Key, register: Register) {
    if let Some(cell) = dest.record().register() {
        if cell.get() != Some((key, register)) {
            cell.set(key, register);
        }
    }
}

/// Returns true if a register says only what pings find out here as well.
fn is_measured(module: &Module, register: &Register, seen: &Seen) -> bool {
    let decides = State(register.bits).union(seen.state);
    let after = apply_set(seen.state, 0, State(register.bits), module.settings.compat);
    Sound::applies(register, seen.base)
        && !decides.intersects(State::ADMINISTRATIVE)
        && would_be_pinged(module, after.state)
}

/// Has a destination follow a register if its state is the one that was seen. Returns what is seen after that; `None`,
/// and nothing has changed, if the state is another one.
fn follow(
    module: &Module,
    dest: &Dest,
    register: &Register,
    seen: &Seen,
    feed: &mut Feed<'_>,
) -> Option<Seen> {
    let compat = module.settings.compat;
    let is_of_this_list = Sound::applies(register, seen.base);
    let change = |old, failures| {
        if is_of_this_list {
            apply_set(old, failures, State(register.bits), compat)
        } else {
            as_listed(old, failures, seen.listed, compat)
        }
    };
    let mut after = None;
    let told = |dest: &Dest, (old, _), outcome: Outcome| {
        let mut cause = seen.cause;
        if is_of_this_list || old != outcome.state {
            cause = (Cause::Cluster, now_ms());
            // A command that came after this has set the cause already, or will.
            dest.record().replace_cause(seen.cause, cause);
            feed.note(dest.set, dest.uri(), old, outcome.state);
        }
        after = Some(Seen {
            cause,
            state: outcome.state,
            ..*seen
        });
    };
    let (store, process) = (&module.store, Module::process());
    store.change_seen(process, dest.record(), seen.state, change, told);
    after
}

/// Returns the state of a destination for which no register counts: what the list says, and what was measured.
fn as_listed(old: State, failures: u32, listed: State, compat: Compat) -> Outcome {
    let differing = State(old.bits() ^ listed.bits());
    let state = if differing.intersects(State::ADMINISTRATIVE) {
        old.without(State::KEPT)
            .union(State(listed.bits() & State::KEPT.bits()))
    } else {
        old
    };
    Outcome {
        state,
        failures,
        flip: Flip::between(old, state, compat),
        in_row: 0,
    }
}

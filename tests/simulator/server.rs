//! A server: a node, its list, and what it has applied.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::pings::Pinger;
use dispatcher::dispatch::cluster::node::action::{Action, Note, Ready};
use dispatcher::dispatch::cluster::node::machine::Cluster;
use dispatcher::dispatch::cluster::node::settings::Settings;
use dispatcher::dispatch::cluster::state::clock::Now;
use dispatcher::dispatch::cluster::state::key::Key;
use dispatcher::dispatch::cluster::state::register::Register;
use dispatcher::dispatch::cluster::state::rules::Rules;

use crate::calls::Calls;

/// The flags that a list asks for, of each destination in it.
pub type List = BTreeMap<Key, u32>;

/// All registers of a node.
pub type Registers = BTreeMap<Key, Register>;

/// When the simulation begins, in milliseconds since 1970.
const BEGIN_MS: u64 = 1_800_000_000_000;

/// A server, which runs or not.
#[derive(Debug)]
pub struct Server<R: Rules> {
    pub settings: Settings,
    /// The address of its URI.
    pub address: Rc<str>,
    pub list: List,
    /// How far its clock is ahead.
    pub skew_ms: i64,
    /// The node, while it runs.
    pub node: Option<Cluster<R>>,
    /// Which life it is, from 1.
    pub life: u64,
    /// The state of each destination in the list.
    pub applied: BTreeMap<Key, u32>,
    /// The calls that it counts.
    pub calls: Calls,
    /// What its file has: registers as they were some time ago.
    pub kept: Registers,
    /// The process that pings.
    pub pinger: Pinger,
    /// Until when it is stopped, and whether only its process is.
    pub stopped_until_ms: u64,
    pub only_process: bool,
    /// How often it has got another address.
    pub moves: u64,
    /// True if the node was ready when it was last looked at.
    pub was_ready: bool,
    /// What nodes that were ready had since this node began to join: one of them it must have once it is ready.
    pub teachers: Vec<Registers>,
    /// The greatest number of hellos and of other messages that were taken in this life, by sender and its incarnation.
    pub taken: BTreeMap<(String, u64, bool), u64>,
}

impl<R: Rules> Server<R> {
    #[must_use]
    pub fn now(&self, time_ms: u64) -> Now {
        Now {
            wall_ms: (BEGIN_MS + time_ms).saturating_add_signed(self.skew_ms),
            // Each machine's clock began some time ago.
            steady_ms: time_ms + 1_000 * self.life,
        }
    }

    /// Starts with these registers in its file.
    pub fn start(&mut self, time_ms: u64, kept: Registers) {
        self.life += 1;
        let now = self.now(time_ms);
        let listed = self.list.keys().copied();
        let node = Cluster::with_rules(self.settings.clone(), now.wall_ms, now, listed, kept);
        self.node = Some(node);
        self.stopped_until_ms = 0;
        self.pinger = Pinger::default();
        self.taken.clear();
        self.calls = Calls::default();
        self.reload(self.list.clone());
    }

    /// Ends at once.
    pub fn kill(&mut self) {
        self.node = None;
    }

    /// An operator sets a state here. Returns `None` if the destination is not in the list.
    pub fn act(&mut self, time_ms: u64, key: Key, bits: u32) -> Option<Register> {
        let (now, base) = (self.now(time_ms), *self.list.get(&key)?);
        let register = self.node.as_mut()?.local_act(now, key, bits, base);
        self.applied.insert(key, bits);
        Some(register)
    }

    /// Loads a list.
    pub fn reload(&mut self, list: List) {
        self.list = list;
        let Some(node) = &mut self.node else { return };
        node.set_list(self.list.keys().copied(), &mut Vec::new());
        let state = |(&key, &listed): (&Key, &u32)| {
            let register = node.register(key).filter(|one| R::applies(one, listed));
            (key, register.map_or(listed, |one| one.bits))
        };
        self.applied = self.list.iter().map(state).collect();
        self.count_calls();
    }

    /// A register has arrived that counts.
    pub fn apply(&mut self, key: Key, register: Register) {
        if let Some(&listed) = self.list.get(&key) {
            if R::applies(&register, listed) {
                self.applied.insert(key, register.bits);
            } else {
                self.applied.insert(key, listed);
            }
        }
    }

    #[must_use]
    pub fn registers(&self) -> Registers {
        let node = self.node.iter();
        node.flat_map(Cluster::registers).collect()
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.node.as_ref().is_some_and(Cluster::is_ready)
    }

    /// Tells whether an action says that the node has what another one has.
    #[must_use]
    pub fn is_synced(action: &Action) -> bool {
        matches!(action, Action::Log(Note::Ready(Ready::Synced)))
    }
}

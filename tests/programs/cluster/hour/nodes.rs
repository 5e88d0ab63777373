//! The three nodes, and what they are at.

use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Plan};
use harness::{Config, patience};
use serde_json::{Value, json};

use super::super::scene::{SET, dest};
use super::log::Log;
use super::memory::Memory;
use super::model::{DESTS, LATE};

/// Nodes, and gateways that are called and pinged.
const NODES: usize = 3;
const GATEWAYS: usize = 4;

/// The condition of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It runs.
    Runs,
    /// All its processes are stopped, until then.
    Stopped(Instant),
    /// It does not run, until then.
    Dead(Instant),
}

/// A node.
pub struct Node {
    /// Its condition.
    pub doing: Doing,
    /// Since when it runs.
    pub since: Instant,
    /// It has said that it leaves.
    pub has_left: bool,
    /// Its list has the late destinations.
    pub is_whole: bool,
    /// The lines that it writes to its log.
    pub log: Log,
    /// The memory that it takes.
    pub memory: Memory,
}

/// The nodes, their lines and their gateways.
pub struct Nodes {
    /// The servers.
    pub cluster: Cluster,
    /// The nodes themselves, in the same order.
    pub all: Vec<Node>,
    /// The gateway that does not answer, since when, and until when.
    pub dead_gateway: Option<(usize, Instant, Instant)>,
}

impl Nodes {
    /// Starts all of them.
    pub fn start(seed: u64) -> Self {
        let cluster = Plan::of(NODES).gateways(GATEWAYS).seed(seed).make();
        let node = || Node {
            doing: Doing::Dead(Instant::now()),
            since: Instant::now(),
            has_left: false,
            is_whole: true,
            log: Log::default(),
            memory: Memory::default(),
        };
        let mut nodes = Self {
            cluster,
            all: (0..NODES).map(|_| node()).collect(),
            dead_gateway: None,
        };
        (0..NODES).for_each(|node| nodes.start_one(node));
        nodes.cluster.wait_ready(patience(20));
        nodes
    }

    /// A list, with or without the late destinations.
    pub fn list(&self, is_whole: bool) -> String {
        let gateways = self.cluster.gateways.iter().enumerate();
        let gateways = gateways.map(|(n, gateway)| format!("1 {} 0 0 duid=g{n}\n", gateway.uri()));
        // Nobody pings what operators set.
        let dests = (0..DESTS).filter(|n| is_whole || *n < DESTS - LATE);
        let dests = dests.map(|n| format!("{SET} {} 32\n", dest(n)));
        gateways.chain(dests).collect()
    }

    fn config(&self, node: usize) -> Config {
        let cluster = &self.cluster;
        let file = cluster.dir().join(format!("{}.states", cluster.name(node)));
        cluster
            .config(node, "")
            .list(self.list(true))
            .define("ALGORITHM", 10)
            .define("BYE", "if (is_method(\"BYE\")) { ds_load_unset(); }")
            .more_routes("onreply_route { if (status =~ \"2[0-9][0-9]\") { ds_load_update(); } }\n")
            .modparam("tm", "fr_timer", 1_000)
            .param("ds_dmq_key", "secret")
            .param("state_file", file.display().to_string())
            .param("ds_hash_size", 6)
            .param("ds_hash_initexpire", 6)
            .param("ds_hash_expire", 10)
            .param("ds_hash_check_interval", 1)
            .param("ds_dmq_dead_hold", 5)
            .param("ds_ping_interval", 1)
            .param("ds_probing_mode", 1)
    }

    /// Starts a node.
    pub fn start_one(&mut self, node: usize) {
        let config = self.config(node);
        self.cluster.start(node, config);
        let pid = self.cluster.server(node).pid();
        let one = &mut self.all[node];
        one.doing = Doing::Runs;
        one.since = Instant::now();
        (one.has_left, one.is_whole) = (false, true);
        one.log.begin(&self.cluster.server(node).log());
        one.memory.begin(pid);
    }

    /// Ends a node at once, or as an operator does; yields the last faults of its log.
    pub fn end_one(&mut self, node: usize, at_once: bool, until: Instant) -> Vec<String> {
        let log = if at_once {
            self.cluster.kill(node)
        } else {
            let log = self.cluster.server(node).log();
            self.cluster.stop(node);
            log
        };
        self.all[node].doing = Doing::Dead(until);
        self.all[node].log.look(&log)
    }

    /// The nodes that answer.
    pub fn running(&self) -> Vec<usize> {
        let runs = |node: &usize| self.all[*node].doing == Doing::Runs;
        (0..NODES).filter(runs).collect()
    }

    /// Returns the answer of a node.
    pub fn ask(&self, node: usize, method: &str, params: Value) -> Result<Value, String> {
        let limit = patience(20);
        let answer = self
            .cluster
            .server(node)
            .jsonrpc_within(method, params, limit);
        answer.map_err(|fault| format!("{method} on lb{}: {fault}", node + 1))
    }

    /// The destinations of a set: URI, state, calls.
    pub fn dests(&self, node: usize, set: i64) -> Vec<(String, String, i64)> {
        let list = self.ask(node, "dispatcher.list", json!(["full", set]));
        let list = list.unwrap_or_default();
        let targets = list["RECORDS"][0]["SET"]["TARGETS"].as_array().cloned();
        let shown = |target: Value| {
            let dest = &target["DEST"];
            let text = |key: &str| dest[key].as_str().unwrap_or_default().to_owned();
            let load = dest["RUNTIME"]["DLGLOAD"].as_i64().unwrap_or(-1);
            (text("URI"), text("FLAGS"), load)
        };
        targets.into_iter().flatten().map(shown).collect()
    }

    /// Figures for the table.
    pub fn figures(&self) -> Vec<String> {
        let most = |figure: fn(&Node) -> i64| self.all.iter().map(figure).max().unwrap_or(0);
        vec![
            format!(
                "at most {} lines of the log a minute and node",
                most(|node| node.log.most)
            ),
            format!(
                "shared memory {:+} kB, heap of one process {:+} kB at most within the life of a node",
                most(|node| node.memory.most_shared) / 1_000,
                most(|node| node.memory.most_heap) / 1_000
            ),
        ]
    }

    /// How long anything may take that takes a moment.
    pub fn limit() -> Duration {
        patience(30)
    }
}

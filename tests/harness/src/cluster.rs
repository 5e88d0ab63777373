//! Several servers that are nodes of one cluster, each in a network of its own at a [`Switch`], with the gateways and the
//! callers in one more; or all of them on loopback, where there can be no switch.
//!
//! Node 0 is called `lb1`, and so on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::switch::line::Condition;
use super::switch::{Place, Switch};
use super::{Answer, Config, Fault, Kamailio, Module, TempDir, Uac, Uas, free_port, patience};
use super::{this_machine, wait_for};

/// The port of every server and gateway that has an address of its own.
const PORT: u16 = 5060;

/// What every server and gateway of a cluster is.
pub struct Plan {
    nodes: usize,
    gateways: usize,
    seed: u64,
    loopback: bool,
}

impl Plan {
    /// So many servers, and two gateways.
    pub fn of(nodes: usize) -> Self {
        Self {
            nodes,
            gateways: 2,
            seed: 1,
            loopback: this_machine::has_no_switch(),
        }
    }

    /// So many gateways.
    pub fn gateways(mut self, gateways: usize) -> Self {
        self.gateways = gateways;
        self
    }

    /// Everything is on loopback, also where there can be a switch.
    pub fn on_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// The seed of the switch.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Makes the networks and the gateways. No server runs yet.
    pub fn make(self) -> Cluster {
        let net = (!self.loopback).then(|| Switch::start(self.seed));
        let address = |net, host| Ipv4Addr::new(10, 99, net, host);
        let hosts = 1..=u8::try_from(self.nodes.max(self.gateways)).expect("a few");
        let nodes = hosts.clone().take(self.nodes).map(|host| {
            let address = address(0, host);
            let place = net.as_ref().map(|net| net.place(&[address]));
            let addr = match place {
                Some(_) => SocketAddr::from((address, PORT)),
                None => SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            };
            let server = None;
            Node {
                place,
                addr,
                server,
            }
        });
        let nodes: Vec<Node> = nodes.collect();
        let addresses: Vec<Ipv4Addr> = hosts.map(|host| address(1, host)).collect();
        let outside = net.as_ref().map(|net| net.place(&addresses));
        let mut cluster = Cluster {
            nodes,
            gateways: Vec::new(),
            outside,
            net,
            dir: TempDir::new(),
        };
        for address in &addresses[..self.gateways] {
            let addr = match cluster.outside {
                Some(_) => SocketAddr::from((*address, PORT)),
                None => SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            };
            let gateway = cluster.outside(|| Uas::start_at(addr, Answer::Code(200)));
            cluster.gateways.push(gateway);
        }
        cluster
    }
}

struct Node {
    place: Option<Place>,
    addr: SocketAddr,
    server: Option<Kamailio>,
}

/// The servers, their gateways, and what is between them. It must be dropped by the thread that started the servers.
pub struct Cluster {
    nodes: Vec<Node>,
    /// The gateways, which answer 200.
    pub gateways: Vec<Uas>,
    outside: Option<Place>,
    net: Option<Switch>,
    dir: TempDir,
}

/// The set whose calls are counted: those to the user `count`, which are answered and not sent on.
pub const COUNTED: i64 = 9;

/// The routes of a node: a message of the bus goes to its module, and a call to a gateway of set 1.
pub const ROUTES: &str = r#"
request_route {
    if (is_method("KDMQ")) {
        if ($rU == "dscluster") { dmq_process_message(); } else { dmq_handle_message(); }
        exit;
    }
    if ($rU == "count") {
        if (!is_method("INVITE")) { ds_load_update(); }
        else if (!ds_select_dst("9", "10")) { sl_send_reply("503", "Full"); exit; }
        sl_send_reply("200", "$du");
        exit;
    }
    if (has_totag()) {
        {{BYE}}
        if (!is_method("ACK") && !loose_route()) { sl_send_reply("481", "No dialog"); exit; }
        if (is_method("ACK")) { loose_route(); }
        t_relay();
        exit;
    }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    if (!ds_select_dst("1", "{{ALGORITHM}}")) { sl_send_reply("503", "No destination"); exit; }
    record_route();
    t_on_failure("NEXT");
    t_relay();
}
failure_route[NEXT] {
    if (t_branch_timeout() && ds_next_dst()) { t_on_failure("NEXT"); t_relay(); }
}
"#;

impl Cluster {
    /// The number of nodes, whether they run or not.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The name of a node.
    pub fn name(&self, node: usize) -> String {
        format!("lb{}", node + 1)
    }

    /// The address of a node.
    pub fn addr(&self, node: usize) -> SocketAddr {
        self.nodes[node].addr
    }

    /// The URI of a node on the bus.
    pub fn uri(&self, node: usize) -> String {
        format!("sip:{}", self.addr(node))
    }

    /// A directory that outlives the servers.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The switch. Panics on loopback.
    pub fn switch(&self) -> &Switch {
        self.net.as_ref().expect("a cluster at a switch")
    }

    /// The place of a node at the switch. Panics on loopback.
    pub fn place(&self, node: usize) -> &Place {
        self.nodes[node]
            .place
            .as_ref()
            .expect("a cluster at a switch")
    }

    /// Runs something where gateways and callers are, on this thread.
    pub fn outside<T>(&self, run: impl FnOnce() -> T) -> T {
        match &self.outside {
            Some(place) => place.namespace.enter(run),
            None => run(),
        }
    }

    /// Where gateways and callers are, at the switch. Panics on loopback.
    pub fn outer_place(&self) -> &Place {
        self.outside.as_ref().expect("a cluster at a switch")
    }

    /// A caller.
    pub fn caller(&self) -> Uac {
        let ip = match &self.outside {
            Some(_) => IpAddr::from([10, 99, 1, 1]),
            None => IpAddr::from(Ipv4Addr::LOCALHOST),
        };
        self.outside(|| Uac::at(ip, 0))
    }

    /// The config of a node that has no cluster: two workers, little memory, the bus, and the gateways as set 1. `list`
    /// has further sets.
    pub fn bus_config(&self, node: usize, list: &str) -> Config {
        let other = self.uri((node + 1) % self.size());
        self.bus_config_at(node, &self.uri(node), &other, list)
    }

    /// As [`Cluster::bus_config`], with other URIs on the bus, of the node and of another one.
    pub fn bus_config_at(&self, node: usize, own: &str, other: &str, list: &str) -> Config {
        let gateways = self.gateways.iter();
        let gateways = gateways.map(|gateway| format!("1 {}\n", gateway.uri()));
        let gateways = gateways.collect::<Vec<_>>().concat();
        Config::routes(ROUTES)
            .at(self.addr(node))
            .children(2)
            .shm_mb(32)
            .define("ALGORITHM", 4)
            .define("BYE", "")
            .list(gateways + list)
            .load("dmq.so")
            .modparam("dmq", "server_address", own)
            .modparam("dmq", "notification_address", other)
            .modparam("dmq", "num_workers", 1)
            .modparam("jsonrpcs", "pretty_format", 0)
            .modparam("tm", "failure_reply_mode", 3)
            .param("flags", 2)
            .param("reload_delta", 0)
            .param("xavp_dst_mode", 0)
            .only_critical()
    }

    /// The config of a node of the cluster.
    pub fn config(&self, node: usize, list: &str) -> Config {
        let mut config = self
            .bus_config(node, list)
            .param("enable_dmq", 1)
            .param("ds_dmq_node", self.name(node));
        for other in (0..self.size()).filter(|&other| other != node) {
            config = config.param("ds_dmq_peer", self.uri(other));
        }
        config
    }

    /// Starts a node.
    pub fn start(&mut self, node: usize, config: Config) {
        self.start_with(node, Module::Rust, config);
    }

    /// Starts a node with any module.
    pub fn start_with(&mut self, node: usize, module: Module, config: Config) {
        let run = || Kamailio::start(module, config);
        let place = self.nodes[node].place.clone();
        let server = match place {
            Some(place) => place.namespace.enter(run),
            None => run(),
        };
        self.nodes[node].server = Some(server);
    }

    /// Starts every node with the same list, and waits until each is ready.
    pub fn start_all(&mut self, list: &str) {
        for node in 0..self.size() {
            let config = self.config(node, list);
            self.start(node, config);
        }
        self.wait_ready(patience(20));
    }

    /// A node that runs.
    pub fn server(&self, node: usize) -> &Kamailio {
        let server = self.nodes[node].server.as_ref();
        server.unwrap_or_else(|| panic!("{} does not run", self.name(node)))
    }

    /// The nodes that run.
    pub fn running(&self) -> impl Iterator<Item = usize> {
        let runs = |&node: &usize| self.nodes[node].server.is_some();
        (0..self.size()).filter(runs)
    }

    /// Stops a node, as an operator does.
    pub fn stop(&mut self, node: usize) {
        self.nodes[node].server.take().expect("a server").stop();
    }

    /// Kills all processes of a node at once; yields its log.
    pub fn kill(&mut self, node: usize) -> String {
        let server = self.nodes[node].server.take().expect("a server");
        let log = server.log();
        server.abandon();
        log
    }

    /// Cuts both directions between two nodes.
    pub fn cut(&self, one: usize, other: usize) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Cuts the direction from one node to another.
    pub fn cut_one_way(&self, from: usize, to: usize) {
        let (from, to) = (self.place(from), self.place(to));
        self.switch().set(from, to, Condition::CUT);
    }

    /// Gives all directions between nodes this condition.
    pub fn weather(&self, condition: Condition) {
        for one in 0..self.size() {
            for other in (0..self.size()).filter(|&other| other != one) {
                let (one, other) = (self.place(one), self.place(other));
                self.switch().set(one, other, condition);
            }
        }
    }

    /// Makes all directions between nodes good again.
    pub fn heal(&self) {
        self.weather(Condition::default());
    }

    /// Sets a state on a node, as an operator does.
    pub fn set_state(&self, node: usize, state: &str, set: i64, uri: &str) -> Result<Value, Fault> {
        let params = json!([state, set, uri]);
        self.server(node).jsonrpc("dispatcher.set_state", params)
    }

    /// The members that a node sees: NAME, STATE and the other fields of `dispatcher.cluster`.
    pub fn members(&self, node: usize) -> Vec<Value> {
        let answer = self.server(node).jsonrpc("dispatcher.cluster", json!([]));
        let answer = answer.unwrap_or_else(|fault| panic!("dispatcher.cluster: {fault}"));
        let members = answer["NODES"].as_array();
        let member = |node: &Value| node.get("NODE").cloned().unwrap_or_else(|| node.clone());
        members.into_iter().flatten().map(member).collect()
    }

    /// The state that a node gives to another, or to itself; empty where it does not know it.
    pub fn state_of(&self, seer: usize, node: usize) -> String {
        let name = self.name(node);
        let members = self.members(seer);
        let found = members.iter().find(|member| member["NAME"] == name);
        let state = found.and_then(|member| member["STATE"].as_str());
        state.unwrap_or_default().to_owned()
    }

    /// Waits until each node that runs sees each other that runs, and itself, as ready.
    pub fn wait_ready(&self, limit: Duration) {
        let all: Vec<usize> = self.running().collect();
        for &seer in &all {
            for &node in &all {
                let what = format!("{} sees {} ready", self.name(seer), self.name(node));
                wait_for(&what, limit, || {
                    (self.state_of(seer, node) == "ready").then_some(())
                });
            }
        }
    }
}

impl Drop for Cluster {
    /// The servers end before the gateways and the switch do.
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.server = None;
        }
    }
}

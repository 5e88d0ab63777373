//! The server that garbage goes to, with every function in its script, and what must hold in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::database::{Database, Kind};
use harness::{
    Answer, Config, Dns, Door, Fault, Kamailio, Module, Uas, free_port, namespace, patience, poll,
    this_machine, this_server,
};
use serde_json::{Value, json};

use super::database::Base;
use super::peers::Peers;

/// Numbers of things that were done, by kind.
pub type Counts = BTreeMap<String, u64>;

/// The set of the canaries.
pub const CANARIES: i64 = 4711;

/// Names in the list, in set 5.
pub const NAMES: [&str; 4] = [
    "gw1.garbage.test",
    "gw2.garbage.test",
    "gw3.garbage.test",
    "gw4.garbage.test",
];

/// The growth that is allowed to a process and to the pool that all share. Unit: bytes.
const SLACK: i64 = 65_536;

/// The most transactions of pings at any time.
const PINGS: i64 = 10;

/// The longest log line of ours, which has at most two texts of others in it. Unit: bytes.
const LINE: usize = 500;

/// Texts that the server's core and tm log at the levels for faults: about garbage, such as a reply with the code 4, and
/// about more of it than the TCP workers read in time.
const EXPECTED: [&str; 7] = [
    "set_core_dump(): core limits increased only",
    "parse_uri(): BUG: bad  state",
    "get_send_socket2(): unsupported proto",
    "srv_sip_resolvehost(): unknown proto",
    "udp_send(): invalid sendtoparameters",
    "send2child(): tcp child",
    "t_should_relay_response(): error - unable to decide whether to relay",
];

/// The settings in which servers differ.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// The parameter of this name.
    pub xavp_dst_mode: i64,
    /// The server's memory manager.
    pub memory_manager: &'static str,
    /// True if AVPs are written beside the XAVPs.
    pub avps: bool,
    /// The parameter of this name; 0 for a list without names.
    pub ds_dns_mode: i64,
    /// The log level. Below -1 the server logs nothing about garbage, and so can take more of it.
    pub debug: i64,
}

/// The variants that a run goes through.
pub const VARIANTS: [Variant; 6] = [
    variant(0, "qm", false, -1),
    variant(65_536, "qm", false, -2),
    variant(7, "fm", true, -2),
    variant(65_543, "tlsf", true, -2),
    variant(0, "tlsf", false, 3),
    variant(7, "qm", true, -2),
];

const fn variant(
    xavp_dst_mode: i64,
    memory_manager: &'static str,
    avps: bool,
    debug: i64,
) -> Variant {
    Variant {
        xavp_dst_mode,
        memory_manager,
        avps,
        ds_dns_mode: 0,
        debug,
    }
}

/// The variants for names.
pub const NAMED: [Variant; 4] = [named(1), named(5), named(13), named(15)];

const fn named(ds_dns_mode: i64) -> Variant {
    Variant {
        ds_dns_mode,
        ..variant(0, "qm", false, -2)
    }
}

/// A server and the services that it talks to.
pub struct Stage {
    /// The server.
    pub server: Kamailio,
    /// The destination of the canaries.
    pub canary: Uas,
    /// The server's name server.
    pub dns: Dns,
    /// The port of ctl's UDP socket.
    pub ctl_port: u16,
    _peers: Peers,
    before: Memory,
}

/// Bytes in use.
#[derive(Debug, Default)]
struct Memory {
    shared: i64,
    /// By process.
    private: BTreeMap<i64, (String, i64)>,
}

impl Stage {
    /// Starts the server of a variant, in a network of its own: garbage names addresses anywhere. `seed` is that of the
    /// peers.
    pub fn start(variant: Variant, seed: u64) -> Self {
        namespace::leave();
        Self::start_on(variant, seed, |list, config| config.list(list))
    }

    /// Returns true, after saying so, if this machine or server lacks something that a stage needs.
    pub fn is_impossible() -> bool {
        let modules = [
            "app_lua.so",
            "app_python3.so",
            "jsonrpcs.so",
            "xhttp.so",
            "db_mysql.so",
        ];
        this_machine::lacks_name_servers() || this_server::lacks(&modules)
    }

    /// Starts a server as [`Stage::start`] does, with a list from MariaDB behind a door.
    pub fn start_on_database(variant: Variant, seed: u64) -> (Self, Base) {
        namespace::leave();
        let database = Database::start(Kind::MariaDb);
        let daemon = database.daemon.as_ref().expect("a server");
        let door = Door::before(daemon.port);
        let mut base = Base {
            list: Vec::new(),
            database,
            door,
        };
        let stage = Self::start_on(variant, seed, |list, config| {
            base.list = list.lines().map(fields).collect();
            base.fill();
            let url = base.database.url_through(&base.door);
            let config = base.database.config(config).param("db_url", url);
            config.modparam("db_mysql", "timeout_interval", 1)
        });
        (stage, base)
    }

    fn start_on(
        variant: Variant,
        seed: u64,
        with_list: impl FnOnce(&str, Config) -> Config,
    ) -> Self {
        let (canary, peers) = (Uas::start(Answer::Code(200)), Peers::start(seed));
        let dns = Dns::start();
        let ctl_port = free_port();
        let list = list(variant, &canary, &peers);
        let config = with_list(&list, config(variant, &peers, ctl_port));
        let server = Kamailio::start(Module::Rust, config.resolver(&dns));
        Self {
            before: Memory::default(),
            server,
            canary,
            dns,
            ctl_port,
            _peers: peers,
        }
    }

    /// Notes the memory that is in use at rest, for the comparison at the end. What a process takes once is no leak.
    pub fn measure(&mut self) {
        let at_rest = || {
            let stats = self.server.jsonrpc("tm.stats", json!([]));
            let transactions = stats.map_or(0, |stats| number(&stats["current"]));
            transactions <= PINGS && self.up() == Ok(json!(0))
        };
        poll(Duration::from_millis(200), patience(30), at_rest, |rest| {
            *rest
        });
        self.before = self.memory();
    }

    /// Returns the number of counted calls.
    fn up(&self) -> Result<Value, Fault> {
        let calls = self.server.jsonrpc("dispatcher.calls", json!([]));
        calls.map(|calls| calls["UP"].clone())
    }

    fn memory(&self) -> Memory {
        let ask = |command: &str| self.server.jsonrpc(command, json!([])).expect(command);
        let processes = ask("pkg.stats");
        let processes = processes.as_array().expect("the processes").iter();
        Memory {
            shared: number(&ask("core.shmmem")["used"]),
            private: processes
                .map(|process| {
                    let what = process["desc"].as_str().unwrap_or_default().to_owned();
                    (number(&process["pid"]), (what, number(&process["used"])))
                })
                .collect(),
        }
    }

    /// Ends the server. Returns the counts, or the faults if something is not as before.
    pub fn end(mut self, counts: Counts) -> Result<Counts, Vec<String>> {
        // `said` reads the log.
        self.server.ignore_log();
        match self.faults() {
            faults if faults.is_empty() => Ok(counts),
            faults => Err(faults),
        }
    }

    /// Ends a server after a fault. Returns that fault and all others.
    pub fn end_with(&mut self, why: String) -> Vec<String> {
        self.server.ignore_log();
        let mut faults = vec![why];
        if !self.server.is_running() {
            let log = self.server.log();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            faults.extend(last.into_iter().rev().map(|line| format!("{line:.400}")));
        }
        faults.extend(self.faults());
        faults
    }

    /// Waits until all is as before. Returns what is not.
    fn faults(&mut self) -> Vec<String> {
        if !self.server.is_running() {
            return vec!["the server ended".to_owned()];
        }
        let step = Duration::from_millis(200);
        let mut faults = poll(step, patience(30), || self.leftovers(), Vec::is_empty);
        faults.extend(self.said());
        faults
    }

    /// Returns what garbage has left behind: calls, states, memory.
    fn leftovers(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let up = self.up();
        if up != Ok(json!(0)) {
            faults.push(format!("calls that are up: {up:?}"));
        }
        let flags = self.server.flags(CANARIES, &self.canary.uri());
        if !flags.starts_with('A') {
            faults.push(format!("the canaries' destination is {flags}"));
        }
        let now = self.memory();
        let more = now.shared - self.before.shared;
        if more > SLACK {
            faults.push(format!("shared memory: {more} bytes more"));
        }
        for (pid, (what, used)) in &now.private {
            match self.before.private.get(pid) {
                Some((_, before)) if used - before <= SLACK => {}
                Some((_, before)) => {
                    faults.push(format!(
                        "{what}: {} bytes more than {before}",
                        used - before
                    ));
                }
                None => faults.push(format!("{what}: a new process, {pid}")),
            }
        }
        if now.private.len() != self.before.private.len() {
            faults.push("a process is gone".to_owned());
        }
        faults
    }

    /// Returns the faults in the log.
    fn said(&self) -> Vec<String> {
        let log = self.server.log();
        // A log line of the core may quote such a text, but not at its beginning.
        let is_ours = |line: &&str| line.find("dispatcher [src/").is_some_and(|at| at < 40);
        let ours = || log.lines().filter(is_ours);
        let mut faults: Vec<String> = log
            .lines()
            .filter(|line| line.contains(" BUG: ") || line.contains(" CRITICAL: "))
            .filter(|line| !EXPECTED.iter().any(|text| line.contains(text)))
            .chain(ours().filter(|line| line.contains("panic")))
            .map(|line| format!("{line:.400}"))
            .collect();
        let longest = ours().max_by_key(|line| line.len()).unwrap_or_default();
        if longest.len() > LINE {
            faults.push(format!("a line of {} bytes: {longest:.600}", longest.len()));
        }
        faults
    }
}

/// Returns a number that is written as one or as text.
fn number(value: &Value) -> i64 {
    let text = value.to_string();
    text.trim_matches('"').parse().expect("a number")
}

/// Returns the five fields of a line of the list.
fn fields(line: &str) -> [String; 5] {
    let mut words = line.split(' ');
    ["0", "", "0", "0", ""].map(|default| words.next().unwrap_or(default).to_owned())
}

fn list(variant: Variant, canary: &Uas, peers: &Peers) -> String {
    let [peer, other] = peers.uris();
    let list = format!(
        "{CANARIES} {} 0 0 duid=canary\n\
         1 {peer} 0 10 duid=a;weight=50;rweight=10;maxload=500\n\
         1 {other} 8 5 duid=b;weight=30;rweight=20\n\
         1 {peer};n=3 0 0 duid=c;weight=20;rweight=1;cc=1\n\
         2 {other};n=1 8 0 duid=d;latency=20\n\
         2 {peer} 0 0 duid=e;obproxy={peer}\n\
         2 sip:[::1]:9;transport=tcp 0 0 duid=f\n\
         3 {peer} 0 0 duid=g;ocmin=5;ocmax=90\n\
         3 {other} 0 0 duid=h;weight=1\n\
         4 {peer};n=5\n\
         4 {other};n=5 2 7 weight=7\n",
        canary.uri()
    );
    let names: String = match variant.ds_dns_mode {
        0 => String::new(),
        _ => NAMES.map(|name| format!("5 sip:{name} 8\n")).concat(),
    };
    list + &names
}

fn config(variant: Variant, peers: &Peers, ctl_port: u16) -> Config {
    let [peer, _] = peers.uris();
    let mut config = Config::routes(include_str!("routes.cfg"))
        .define("PEER", peer)
        .children(4)
        .all_transports()
        .global("tcp_connection_lifetime=5")
        .memory_manager(variant.memory_manager)
        .shm_mb(64)
        .pkg_mb(16)
        .global(&format!("debug={}", variant.debug))
        // The DNS cache is in the memory that is measured.
        .global("dns_cache_max_ttl=1")
        .global("dns_cache_negative_ttl=1")
        .global("dns_cache_gc_interval=1")
        .modparam("ctl", "binrpc", "unixd:{{DIR}}/ctl-datagram")
        .modparam("ctl", "binrpc", format!("udp:127.0.0.1:{ctl_port}"))
        .modparam("ctl", "binrpc", format!("tcp:127.0.0.1:{ctl_port}"))
        .modparam("tm", "fr_timer", 700)
        .modparam("tm", "fr_inv_timer", 1_500)
        .modparam("tm", "wt_timer", 500)
        .modparam("tm", "max_inv_lifetime", 4_000)
        .modparam("tm", "max_noninv_lifetime", 4_000)
        .load("app_lua.so")
        .modparam("app_lua", "load", "{{DIR}}/script.lua")
        .file("script.lua", include_str!("script.lua"))
        .load("app_python3.so")
        .modparam("app_python3", "load", "{{DIR}}/script.py")
        .file("script.py", include_str!("script.py"))
        .param("compat", "5.6")
        .param("flags", 2)
        .param("use_default", 0)
        .param("xavp_dst_mode", variant.xavp_dst_mode)
        .param("hash_pvar", "$hdr(X-A)")
        .param("setid_pvname", "$var(setid)")
        .param("attrs_pvname", "$var(attrs)")
        .param("reload_delta", 0)
        .param("ds_hash_size", 6)
        .param("ds_hash_expire", 3)
        .param("ds_hash_initexpire", 2)
        .param("ds_hash_check_interval", 1)
        .param("ds_ping_interval", 1)
        .param("ds_ping_fr_timeout", 3_000)
        .param("ds_probing_mode", 1)
        .param("ds_ping_latency_stats", 1)
        .only_critical();
    if variant.ds_dns_mode > 0 {
        config = config
            .param("ds_dns_mode", variant.ds_dns_mode)
            .param("ds_dns_interval", 1)
            .param("ds_dns_match_all", 1);
    }
    if variant.avps {
        for (name, avp) in [
            ("dst_avp", "$avp(dst)"),
            ("grp_avp", "$avp(grp)"),
            ("cnt_avp", "$avp(cnt)"),
            ("dstid_avp", "$avp(dstid)"),
            ("attrs_avp", "$avp(attrs)"),
            ("sock_avp", "$avp(sock)"),
        ] {
            config = config.param(name, avp);
        }
    }
    config
}

//! Instructions per call: a server under callgrind whose script repeats one call in a loop.
//!
//! Callgrind collects only inside `receive_msg` and writes one profile per message, so the
//! difference of two messages with a different number of turns is the cost of the turns.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::cases::{ADDED, Age, BEGINS_SLOWLY, CALLS, Case, List, Sender, Setting, Usable};
use super::machine::{self, Floor};
use harness::{Config, Dns, Kamailio, Module, Name, Request, Uac};

/// Longest time that one message may take under callgrind.
const LIMIT: Duration = Duration::from_secs(120);

/// A little more than the slow start of [`BEGINS_SLOWLY`].
const SLOW: Duration = Duration::from_millis(1_200);

const ROUTES: &str = r#"request_route {
    $var(n) = $(rd{s.int});
    $var(rc) = 0;
{{CASES}}
    append_to_reply("X-Rc: $var(rc)\r\n");
    sl_send_reply("200", "OK");
}
"#;

/// A server under callgrind and the callers that ask it.
struct Counter<'a> {
    server: Kamailio,
    setting: Setting,
    cases: &'a [Case],
    callers: [Uac; 3],
    messages: u32,
    /// The name server of [`Setting::Names`].
    dns: Option<Dns>,
    _floor: Floor,
}

/// A caller; at the same port in each run where that is free, because a URI decides how many slots are
/// looked at before its own.
fn caller_at(ip: IpAddr) -> Uac {
    let port = 50_600;
    let is_free = UdpSocket::bind((ip, port)).is_ok();
    Uac::at(ip, if is_free { port } else { 0 })
}

/// Why a figure is missing.
pub type Figure = Result<f64, String>;

impl<'a> Counter<'a> {
    /// Starts it with one destination; [`Counter::load`] gives it a list.
    fn start(module: Module, setting: Setting, cases: &'a [Case]) -> Result<Self, String> {
        let list = "1 sip:127.0.0.1:5060\n";
        Self::start_with(module, setting, cases, &machine::allocator(), list)
    }

    /// Starts it with an allocator and a list.
    fn start_with(
        module: Module,
        setting: Setting,
        cases: &'a [Case],
        allocator: &str,
        list: &str,
    ) -> Result<Self, String> {
        let program = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file={{DIR}}/cg.%p",
            "--toggle-collect=receive_msg",
            "--dump-after=receive_msg",
        ];
        let floor = Floor::new();
        let flags = matches!(
            setting,
            Setting::Failover | Setting::OnDemand | Setting::CallLoad | Setting::SharedLoad
        );
        let bare = matches!(
            setting,
            Setting::Bare | Setting::CallLoad | Setting::SharedLoad | Setting::With(_)
        );
        let mut config = floor
            .config(ROUTES)
            .load("textopsx.so")
            .define("CASES", script(cases))
            .list(list)
            .param("flags", if flags { 2 } else { 0 })
            .param("xavp_ctx_mode", i64::from(bare))
            .param("hash_pvar", "$fU@$ci")
            .memory_manager(allocator)
            .shm_mb(256)
            .under(&program);
        if setting == Setting::OnDemand {
            config = config.param("xavp_dst_mode", 65_536);
        }
        if matches!(setting, Setting::CallLoad | Setting::SharedLoad) {
            config = config.param("ds_hash_size", 16);
        }
        if (setting, module) == (Setting::SharedLoad, Module::Rust) {
            config = config
                .load("tm.so")
                .load("dmq.so")
                .modparam("dmq", "server_address", "sip:127.0.0.1:{{PORT}}")
                .param("enable_dmq", 1)
                .param("ds_dmq_node", "lb1")
                .param("ds_dmq_peer", "sip:127.0.0.1:9");
        }
        if let (Setting::With(added), Module::Rust) = (setting, module) {
            let added = ADDED.get(added).copied().unwrap_or_default();
            config = added
                .iter()
                .fold(config.load("tm.so"), |config, (name, value)| {
                    config.param(name, *value)
                });
        }
        let mut dns = None;
        if setting == Setting::NamesKept {
            config = config.param("ds_dns_ttl", 3_600);
        }
        if matches!(setting, Setting::NamesAsked | Setting::NamesKept) {
            let cache = ["dns_cache_min_ttl=3600", "dns_cache_mem=100000"];
            config = cache.into_iter().fold(config, Config::global);
            config = config.param("ds_dns_mode", 3);
        }
        if matches!(
            setting,
            Setting::Names | Setting::NamesAsked | Setting::NamesKept
        ) {
            let allowed = Command::new("unshare").args(["-m", "true"]).status();
            if !allowed.is_ok_and(|status| status.success()) {
                return Err("a name server of its own needs root".to_owned());
            }
            config = config.resolver(dns.insert(Dns::start()));
            if module == Module::Rust {
                config = config.param("ds_dns_match_all", 1);
            }
        }
        let server = machine::start(module, config)?;
        // Both modules are measured at the same time.
        let third = if module == Module::C { 100 } else { 101 };
        let caller = |last| caller_at(IpAddr::from([127, 100, third, last]));
        Ok(Self {
            server,
            setting,
            cases,
            callers: [101, 102, 103].map(caller),
            messages: 0,
            dns,
            _floor: floor,
        })
    }

    fn caller(&self, sender: Sender) -> &Uac {
        match sender {
            Sender::First => &self.callers[0],
            Sender::Last => &self.callers[1],
            Sender::Stranger => &self.callers[2],
        }
    }

    /// Loads a list with `size` destinations, all usable.
    fn load(&self, list: List, size: usize) -> Result<(), String> {
        let (first, last) = (self.caller(Sender::First), self.caller(Sender::Last));
        let attributes = |n: usize| match (list, size) {
            (List::Weights, ..100) => format!(" weight={0};rweight={0}", 100 / size),
            (List::Weights, _) => " weight=1;rweight=1".to_owned(),
            (List::Ids, _) => format!(" duid=d{n}"),
            (List::Limits, _) => " cps=10000;maxload=10000".to_owned(),
            _ => String::new(),
        };
        let sets = if list == List::ManySets { 100 } else { 1 };
        let mut text = format!("1 sip:{} 0 9{}\n", first.local(), attributes(0));
        for n in 1..size - 1 {
            let uri = self.uri(list, size, n);
            text += &format!("{} {uri} 0 5{}\n", n % sets + 1, attributes(n));
        }
        let last = match list {
            List::Names => self.named("last", last.local()),
            _ => self.last_uri(),
        };
        text += &format!("{sets} {last} 0 1{}\n", attributes(size));
        self.server.write_list(text);
        self.rpc(&["dispatcher.reload"])?;
        self.rpc(&["dispatcher.set_state", "a", "1", "all"])?;
        if (self.setting, self.server.module()) == (BEGINS_SLOWLY, Module::Rust) {
            // A slow start begins and ends when somebody looks.
            self.rpc(&["dispatcher.ping_status", "1"])?;
            std::thread::sleep(SLOW);
            self.rpc(&["dispatcher.ping_status", "1"])?;
        }
        Ok(())
    }

    /// Takes all but the last destination out of use.
    fn only_last(&self) -> Result<(), String> {
        self.rpc(&["dispatcher.set_state", "i", "1", "all"])?;
        self.rpc(&["dispatcher.set_state", "a", "1", &self.last_uri()])
    }

    /// The URI of a destination; other sizes have others. As long as those of the callers.
    fn uri(&self, list: List, size: usize, n: usize) -> String {
        let host = 110 + size.to_string().len();
        let (a, b, c) = (100 + n / 22_500, 100 + n / 150 % 150, 100 + n % 150);
        match list {
            List::Mixed => {
                let (b, c) = (n / 250, n % 250 + 1);
                format!("sip:{host}.{}.{b}.{c}:5060", a - 100)
            }
            List::Names => {
                let octet = |n: usize| u8::try_from(n).unwrap_or(0);
                let ip = Ipv4Addr::new(octet(host), octet(a), octet(b), octet(c));
                self.named(&format!("d{n}"), SocketAddr::from((ip, 50_600)))
            }
            _ => format!("sip:{host}.{a}.{b}.{c}:50600"),
        }
    }

    /// The URI of a name that has this address after another one.
    fn named(&self, name: &str, second: SocketAddr) -> String {
        let name = format!("{name}.bench.test");
        if let (Some(dns), IpAddr::V4(ip)) = (&self.dns, second.ip()) {
            let [_, b, c, d] = ip.octets();
            dns.set(&name, Name::Both(Ipv4Addr::new(99, b, c, d), ip));
        }
        format!("sip:{name}:{}", second.port())
    }

    fn last_uri(&self) -> String {
        format!("sip:{}", self.caller(Sender::Last).local())
    }

    fn rpc(&self, command: &[&str]) -> Result<(), String> {
        let result = self.server.kamcmd(command);
        result
            .map(drop)
            .map_err(|fault| format!("{command:?}: {fault}"))
    }

    /// Instructions of one call. `index` is that of the case.
    fn cost(&mut self, index: usize) -> Figure {
        let case = &self.cases[index];
        let (few, many) = case.turns;
        // Twice, so that what calls remember for the next ones is there before any is counted.
        self.message(&format!("c{index}"), 0, case)?;
        let (_, code) = self.message(&format!("c{index}"), 0, case)?;
        if code != case.wanted {
            return Err(format!("returns {code}"));
        }
        let mut slope = |name: &str| -> Figure {
            let (few_count, _) = self.message(name, few, case)?;
            let (many_count, _) = self.message(name, many, case)?;
            Ok((many_count as f64 - few_count as f64) / (many - few) as f64)
        };
        let body = slope(&format!("c{index}"))?;
        let floor = slope(&loop_name(case.floor))?;
        Ok((body - floor) / f64::from(case.calls))
    }

    /// Instructions of one message that makes `turns` turns of the loop `name`, and what the last
    /// call returned in a message of no turns.
    fn message(&mut self, name: &str, turns: u64, case: &Case) -> Result<(u64, i32), String> {
        self.messages += 1;
        let request = Request::new(case.method, format!("sip:{name}@{turns}"))
            .call_id(format!("{:032}", self.messages))
            .header(
                "Proxy-Authorization",
                "Digest username=\"caller\", realm=\"bench.test\", nonce=\"1\", \
                 uri=\"sip:bench.test\", response=\"0123456789abcdef0123456789abcdef\"",
            );
        let caller = self.caller(case.sender);
        caller.send(self.server.addr(), &request);
        let reply = caller.receive(LIMIT);
        let reply = reply.filter(|reply| reply.status() == Some(200));
        let reply = reply.ok_or_else(|| format!("no answer to {turns} turns"))?;
        let code = reply.text("X-Rc").parse().unwrap_or(0);
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(count) = self.profile() {
                return Ok((count, code));
            }
            if Instant::now() > end {
                return Err("no profile".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The instruction count of the last message, once callgrind has written it.
    fn profile(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.profile_path()?).ok()?;
        let total = text.lines().find_map(|l| l.strip_prefix("totals: "))?;
        total.trim().parse().ok()
    }

    fn profile_path(&self) -> Option<PathBuf> {
        let end = format!(".{}", self.messages);
        let files = std::fs::read_dir(self.server.dir()).ok()?.flatten();
        files.map(|file| file.path()).find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("cg.") && name.ends_with(&end) && name.matches('.').count() == 2
        })
    }

    /// Brings the server to an age, and measures all cases.
    fn at(&mut self, age: Age) -> Result<Vec<Figure>, String> {
        match age {
            Age::Fresh => {}
            Age::Used => drop(self.message("c0", CALLS, &self.cases[0])?),
            Age::Reloaded => {
                self.rpc(&["dispatcher.reload"])?;
                machine::settle(&self.server);
            }
        }
        Ok((0..self.cases.len())
            .map(|index| self.cost(index))
            .collect())
    }

    /// Measures all cases of one list in one state into `figures`.
    fn group(&mut self, list: List, size: usize, usable: Usable, figures: &mut [Vec<Figure>]) {
        let cases = self.cases;
        for (index, case) in cases.iter().enumerate() {
            let now = case.setting == self.setting && case.list == list && case.usable == usable;
            let Some(place) = case.sizes.iter().position(|&s| s == size) else {
                continue;
            };
            if !now || (self.server.module() == Module::C && size > case.c_most) {
                continue;
            }
            let figure = self.cost(index);
            if let Err(why) = &figure {
                let module = self.server.module();
                eprintln!("{module:?}, {}, {size}: {why}", case.key);
            }
            figures[index][place] = figure;
        }
    }
}

/// Figures of one module: for each case, one per size.
pub fn measure(module: Module, cases: &[Case]) -> Vec<Vec<Figure>> {
    let missing = |case: &Case| vec![Err("not asked".to_owned()); case.sizes.len()];
    let mut figures: Vec<Vec<Figure>> = cases.iter().map(missing).collect();
    for setting in Setting::ALL {
        if !cases.iter().any(|case| case.setting == setting) {
            continue;
        }
        let (mut counter, mut loaded) = (None, None);
        for (list, size, usable) in groups(cases, setting) {
            // A server that died is replaced, so that the other cases get their figures.
            if counter
                .as_mut()
                .is_none_or(|c: &mut Counter| !c.server.is_running())
            {
                if let Some(dead) = counter.take() {
                    dead.server.abandon();
                }
                loaded = None;
                counter = Counter::start(module, setting, cases)
                    .inspect_err(|why| eprintln!("{module:?}: {why}"))
                    .ok();
            }
            let Some(counter) = counter.as_mut() else {
                continue;
            };
            let there = if loaded == Some((list, size)) {
                Ok(())
            } else {
                counter.load(list, size)
            };
            loaded = there.is_ok().then_some((list, size));
            let ready = there.and_then(|()| match usable {
                Usable::All => Ok(()),
                Usable::Last => counter.only_last(),
            });
            match ready {
                Ok(()) => counter.group(list, size, usable, &mut figures),
                Err(why) => eprintln!("{module:?}, {list:?}, {size}: {why}"),
            }
        }
        if let Some(counter) = counter {
            counter.server.abandon();
        }
    }
    figures
}

/// Figures of calls of one setting with an allocator: for each age of the server, one for each case.
pub fn at_ages(
    module: Module,
    setting: Setting,
    allocator: &str,
    cases: &[Case],
) -> Result<Vec<Vec<Figure>>, String> {
    let with_ids = cases.iter().any(|case| case.list == List::Ids);
    let line = |n: usize| {
        let id = with_ids.then(|| format!(" 0 0 duid=d{n}"));
        let set = if n < 10 { 1 } else { 2 };
        format!("{set} {}{}\n", machine::uri(n), id.unwrap_or_default())
    };
    let list: String = (0..110).map(line).collect();
    let mut counter = Counter::start_with(module, setting, cases, allocator, &list)?;
    let figures = Age::ALL.map(|age| counter.at(age)).into_iter().collect();
    counter.server.abandon();
    figures
}

/// Which lists in which state the cases of a setting need.
fn groups(cases: &[Case], setting: Setting) -> Vec<(List, usize, Usable)> {
    let mut groups = Vec::new();
    for case in cases.iter().filter(|case| case.setting == setting) {
        for &size in case.sizes {
            let group = (case.list, size, case.usable);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
    }
    // A list that is loaded serves all its states, the one without dead destinations first.
    groups.sort_unstable_by_key(|&(list, size, usable)| (list as u8, size, usable == Usable::Last));
    groups
}

/// One loop for each case, and one for each floor.
fn script(cases: &[Case]) -> String {
    let mut script = String::new();
    for (index, case) in cases.iter().enumerate() {
        script += &turns(&format!("c{index}"), case.setup, case.body);
    }
    let mut floors: Vec<&str> = cases.iter().map(|case| case.floor).collect();
    floors.sort_unstable();
    floors.dedup();
    for floor in floors {
        script += &turns(&loop_name(floor), "", floor);
    }
    script
}

/// The user part of the R-URI that runs the loop with this body.
fn loop_name(body: &str) -> String {
    let letters: String = body.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("f{letters}")
}

/// The loop; a message of no turns makes the body once and keeps what its first call returned.
fn turns(name: &str, setup: &str, body: &str) -> String {
    let once = match body.split_once(';') {
        Some((call, rest)) if !call.starts_with('$') => {
            format!("{call}; $var(rc) = $rc; {rest}")
        }
        _ => format!("$var(rc) = 1; {body}"),
    };
    format!(
        "    if ($rU == \"{name}\") {{ {setup}\n\
         \x20       if ($var(n) == 0) {{ {once} }}\n\
         \x20       while ($var(n) > 0) {{ $var(n) = $var(n) - 1; {body} }}\n    }}\n"
    )
}

//! Instructions per call: a server under callgrind whose script repeats one call in a loop.
//!
//! Callgrind collects only inside `receive_msg` and writes one profile per message, so the
//! difference of two messages with a different number of turns is the cost of the turns.

use std::path::PathBuf;
use std::time::Duration;

use super::cases::{CASES, SIZES, Sender, Setting, Usable};
use super::server::{Config, Kamailio, Module, Request, Uac, wait_for};

/// Turns of the loop in the two messages.
const TURNS: (u64, u64) = (20, 60);
/// Longest time that one message may take under callgrind.
const LIMIT: Duration = Duration::from_secs(120);

const CONFIG: &str = r#"#!KAMAILIO
debug=0
log_stderror=yes
children=1
auto_aliases=no
{{LISTEN}}
max_while_loops=1000000
mpath="{{MPATH}}"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "ctl.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
{{PARAMS}}
request_route {
    $var(n) = $(rd{s.int});
{{CASES}}
    sl_send_reply("200", "OK");
}
"#;

/// A server under callgrind and the callers that ask it.
pub struct Counter {
    server: Kamailio,
    first: Uac,
    last: Uac,
    stranger: Uac,
    messages: u32,
}

impl Counter {
    /// Starts it with one destination; [`Counter::load`] gives it a list.
    pub fn start(module: Module, setting: Setting) -> Self {
        let program = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file={{DIR}}/cg.%p",
            "--toggle-collect=receive_msg",
            "--dump-after=receive_msg",
        ];
        let mut config = Config::raw(CONFIG)
            .define("CASES", script())
            .list("1 sip:127.0.0.1:5060\n")
            .param("flags", if setting == Setting::Failover { 2 } else { 0 })
            .param("xavp_ctx_mode", i64::from(setting == Setting::Bare))
            .memory_manager("tlsf")
            .shm_mb(256)
            .under(&program);
        if module == Module::C {
            config = config.param("reload_delta", 0);
        }
        let server = Kamailio::start(module, config);
        if module == Module::C {
            server.ignore_log();
        }
        Self {
            server,
            first: Uac::new(),
            last: Uac::new(),
            stranger: Uac::new(),
            messages: 0,
        }
    }

    /// Loads a list of one set with `size` destinations, all usable.
    pub fn load(&self, size: usize, weights: bool) {
        let weight = match (weights, size) {
            (false, _) => String::new(),
            (true, ..100) => format!(" weight={0};rweight={0}", 100 / size),
            (true, _) => " weight=1;rweight=1".to_owned(),
        };
        let mut list = format!("1 sip:{} 0 9{weight}\n", self.first.local());
        for n in 0..size - 2 {
            let (a, b, c) = (size % 251, n / 250, n % 250 + 1);
            list += &format!("1 sip:10.{a}.{b}.{c}:5060 0 5{weight}\n");
        }
        list += &format!("1 {} 0 1{weight}\n", self.last_uri());
        self.server.write_list(list);
        self.rpc(&["dispatcher.reload"]);
        self.rpc(&["dispatcher.set_state", "a", "1", "all"]);
    }

    /// Takes all but the last destination out of use.
    pub fn only_last(&self) {
        self.rpc(&["dispatcher.set_state", "i", "1", "all"]);
        self.rpc(&["dispatcher.set_state", "a", "1", &self.last_uri()]);
    }

    fn last_uri(&self) -> String {
        format!("sip:{}", self.last.local())
    }

    fn rpc(&self, command: &[&str]) {
        self.server
            .kamcmd(command)
            .unwrap_or_else(|fault| panic!("{command:?}: {fault}\n{}", self.server.log()));
    }

    /// Instructions of one call. `index` is that of the case in [`CASES`].
    pub fn cost(&mut self, index: usize) -> f64 {
        let case = &CASES[index];
        let body = self.slope(&format!("c{index}"), case.sender);
        let floor = self.slope(&loop_name(case.floor), case.sender);
        (body - floor) / f64::from(case.calls)
    }

    /// Instructions of one turn of a loop.
    fn slope(&mut self, name: &str, sender: Sender) -> f64 {
        let few = self.message(name, TURNS.0, sender);
        let many = self.message(name, TURNS.1, sender);
        (many as f64 - few as f64) / (TURNS.1 - TURNS.0) as f64
    }

    /// Instructions of one message that makes `turns` turns of the loop `name`.
    fn message(&mut self, name: &str, turns: u64, sender: Sender) -> u64 {
        let caller = match sender {
            Sender::First => &self.first,
            Sender::Last => &self.last,
            Sender::Stranger => &self.stranger,
        };
        self.messages += 1;
        let request = Request::new("OPTIONS", format!("sip:{name}@{turns}"))
            .call_id(format!("{:032}", self.messages));
        caller.send(self.server.addr(), &request);
        let reply = caller.receive(LIMIT);
        let ok = reply.is_some_and(|reply| reply.status() == Some(200));
        assert!(ok, "no 200 for {name}\n{}", self.server.log());
        wait_for("the profile of the message", LIMIT, || self.profile())
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
}

/// All measured figures of one module: for each case, one per size.
pub fn measure(module: Module) -> Vec<Vec<f64>> {
    let mut figures = vec![Vec::new(); CASES.len()];
    for setting in [Setting::Bare, Setting::Default, Setting::Failover] {
        let mut counter = Counter::start(module, setting);
        for &size in SIZES {
            counter.load(size, setting != Setting::Failover);
            for usable in [Usable::All, Usable::Last] {
                if usable == Usable::Last {
                    counter.only_last();
                }
                for (index, case) in CASES.iter().enumerate() {
                    let now = case.setting == setting && case.usable == usable;
                    if now && case.sizes.contains(&size) {
                        figures[index].push(counter.cost(index));
                    }
                }
            }
        }
    }
    figures
}

/// One loop for each case, and one for each floor.
fn script() -> String {
    let mut script = String::new();
    for (index, case) in CASES.iter().enumerate() {
        script += &turns(&format!("c{index}"), case.setup, case.body);
    }
    let mut floors: Vec<&str> = CASES.iter().map(|case| case.floor).collect();
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

fn turns(name: &str, setup: &str, body: &str) -> String {
    format!(
        "    if ($rU == \"{name}\") {{ {setup} \
         while ($var(n) > 0) {{ $var(n) = $var(n) - 1; {body} }} }}\n"
    )
}

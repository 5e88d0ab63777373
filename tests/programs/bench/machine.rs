//! Time on the processor of a server's processes, shared memory, and lists that benches share.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::{Config, Kamailio, Module, TempDir, c_module, wait_for};

/// The server's allocators, its default first.
pub const ALLOCATORS: [&str; 3] = ["qm", "fm", "tlsf"];

/// The allocator of a part that measures with one only: `ALLOCATOR`, else tlsf.
pub fn allocator() -> String {
    std::env::var("ALLOCATOR").unwrap_or_else(|_| USUAL_ALLOCATOR.to_owned())
}

/// The allocator of the page's figures where a row names none.
pub const USUAL_ALLOCATOR: &str = "tlsf";

/// False where only ours is measured, with `WITHOUT_C`: to compare two builds of it.
pub fn c_too() -> bool {
    std::env::var_os("WITHOUT_C").is_none()
}

/// The modules that are measured.
pub fn modules() -> &'static [Module] {
    const BOTH: &[Module] = &[Module::C, Module::Rust];
    if c_too() { BOTH } else { &BOTH[1..] }
}

/// A process of a server.
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// What the server calls it.
    pub name: String,
}

impl Process {
    /// Time on the processor so far. Unit: nanoseconds (Linux, scheduler/sched-stats.rst).
    pub fn cpu(&self) -> u64 {
        let path = format!("/proc/{}/schedstat", self.pid);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let first = text.split_whitespace().next();
        first.and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

/// All processes of a server.
pub fn processes(server: &Kamailio) -> Vec<Process> {
    let text = server.kamcmd(&["core.psx"]).expect("core.psx");
    let (mut found, mut pid) = (Vec::new(), 0);
    for line in text.lines().map(str::trim) {
        if let Some(number) = line.strip_prefix("PID: ") {
            pid = number.parse().expect("a process id");
        } else if let Some(name) = line.strip_prefix("DSC: ") {
            let name = name.to_owned();
            found.push(Process { pid, name });
        }
    }
    assert!(!found.is_empty(), "core.psx: {text}");
    found
}

/// The processes that receive messages.
pub fn workers(server: &Kamailio) -> Vec<Process> {
    let mut all = processes(server);
    all.retain(|process| process.name.contains("udp receiver"));
    all
}

/// Time on the processor of all these together. Unit: nanoseconds.
pub fn cpu(processes: &[Process]) -> u64 {
    processes.iter().map(Process::cpu).sum()
}

/// Shared memory in use, the allocator's overhead included. Unit: bytes.
pub fn shm_used(server: &Kamailio) -> f64 {
    shm_field(server, "real_used: ")
}

fn shm_field(server: &Kamailio, name: &str) -> f64 {
    let text = server.kamcmd(&["core.shmmem", "b"]).expect("core.shmmem");
    let mut lines = text.lines();
    let line = lines.find_map(|l| l.trim().strip_prefix(name));
    line.and_then(|n| n.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {name}in {text}"))
}

/// Shared memory that is left. Unit: bytes.
pub fn shm_free(server: &Kamailio) -> f64 {
    shm_field(server, "free: ")
}

/// Waits until what was replaced is given back: ours does so within a few seconds.
pub fn settle(server: &Kamailio) {
    let (mut least, mut since) = (f64::MAX, Instant::now());
    wait_for("memory to be given back", Duration::from_secs(30), || {
        let used = shm_used(server);
        if used < least {
            (least, since) = (used, Instant::now());
        }
        (since.elapsed() > Duration::from_secs(3)).then_some(())
    });
}

/// A destination's URI; all are equally long. Up to 3.3 million.
pub fn uri(n: usize) -> String {
    let (a, b, c) = (100 + n / 22_500, 100 + n / 150 % 150, 100 + n % 150);
    format!("sip:110.{a}.{b}.{c}:50600")
}

/// `count` destinations in `sets` sets; `attributes` is what stands behind each URI.
pub fn list(count: usize, sets: usize, attributes: fn(usize) -> String) -> String {
    let line = |n: usize| format!("{} {}{}\n", n % sets + 1, uri(n), attributes(n));
    (0..count).map(line).collect()
}

/// What stands before the routes of a server that does nothing but count turns of a loop.
const HEAD: &str = r#"#!KAMAILIO
debug=0
log_stderror=yes
children={{CHILDREN}}
auto_aliases=no
{{LISTEN}}
max_while_loops=10000000
mpath="{{MPATH}}"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "ctl.so"
{{MODULES}}
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
{{PARAMS}}
"#;

/// The compiled module of the floor, `floor.c`. Its file is there as long as this.
pub struct Floor {
    file: PathBuf,
    _dir: TempDir,
}

impl Floor {
    /// Compiles it.
    pub fn new() -> Self {
        let dir = TempDir::new();
        Self {
            file: c_module("tests/programs/bench/floor.c", dir.path()),
            _dir: dir,
        }
    }

    /// A config with it, and with what loops of these routes need.
    pub fn config(&self, routes: &str) -> Config {
        Config::raw(&format!("{HEAD}{routes}")).load(&self.file.display().to_string())
    }
}

/// The variable of the environment that has a parameter of our module for a measurement: `name=number`.
pub const PARAMETER: &str = "PARAMETER";

/// Returns that parameter.
pub fn parameter() -> Option<(String, i64)> {
    let text = std::env::var(PARAMETER)
        .ok()
        .filter(|text| !text.is_empty())?;
    let (name, value) = text.split_once('=').expect("PARAMETER=name=number");
    Some((name.to_owned(), value.parse().expect("a number")))
}

/// Starts a server whose log is not the matter.
pub fn start(module: Module, config: Config) -> Result<Kamailio, String> {
    let config = match module {
        Module::C => config.param("reload_delta", 0),
        _ => match parameter() {
            Some((name, value)) => config.param(&name, value),
            None => config,
        },
    };
    let server = Kamailio::try_start(module, config)?;
    server.ignore_log();
    Ok(server)
}

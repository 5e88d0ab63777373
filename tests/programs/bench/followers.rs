//! The table of the part "Lists" that says what an edit causes in the processes that follow the lists.

use std::time::Duration;

use serde_json::{Value, json};

use super::machine::{self, ALLOCATORS, Process};
use super::report::{self, Table};
use harness::lab::lab;
use harness::{Kamailio, Module};

/// Destinations in one set.
const SIZES: [usize; 2] = [10_000, 100_000];
/// How many edits come one after the other before the processes are watched, and how often that is done.
const ROWS: [(usize, usize); 2] = [(1, 5), (100, 1)];
/// How long the processes are watched after that; each of them looks at least once a second.
const WATCH: Duration = Duration::from_millis(1_500);
/// How often they are watched without an edit.
const IDLE: usize = 3;
/// So rare that hardly a ping or a question falls into the time that is watched. Unit: seconds.
const RARELY: i64 = 86_400;

/// An edit: its name in the table and its command.
type Edit = (&'static str, fn(usize) -> (&'static str, Value));

const EDITS: [Edit; 3] = [
    ("add", |n| ("dispatcher.add", json!([1, new(n)]))),
    ("modify", |n| {
        ("dispatcher.modify", json!([1, new(n), "attrs", "weight=1"]))
    }),
    ("remove", |n| ("dispatcher.remove", json!([1, new(n)]))),
];

/// The table.
pub fn table() -> Table {
    let texts = ["what an edit causes", "destinations"];
    let numbers = ["of its caller, ms", "of all, ms", "all / caller"];
    let mut table = Table::new(&texts, &numbers);
    for count in SIZES {
        let server = start(count);
        let processes = machine::processes(&server);
        let caller = |process: &Process| process.name.contains("JSON");
        assert!(
            processes.iter().any(caller),
            "a process that serves JSON-RPC"
        );
        let idle = watched(&processes, IDLE, |_| ());
        for (in_row, runs) in ROWS {
            for (name, command) in EDITS {
                let edit = |n| {
                    let (method, params) = command(n);
                    let result = server.jsonrpc(method, params);
                    result.unwrap_or_else(|fault| panic!("{method}: {fault}"));
                };
                let spent = watched(&processes, runs, |run| {
                    (run * in_row..(run + 1) * in_row).for_each(edit);
                });
                let net = |of: &dyn Fn(&Process) -> bool| {
                    let all = processes.iter().zip(spent.iter().zip(&idle));
                    let net = all.filter(|(process, _)| of(process));
                    let net: f64 = net.map(|(_, (spent, idle))| spent - idle).sum();
                    net / in_row as f64
                };
                let (own, all) = (net(&caller), net(&|_| true));
                let edits = match in_row {
                    1 => format!("one {name}"),
                    _ => format!("one {name} of {in_row} in a row"),
                };
                table.row([
                    edits,
                    format!("{} in 1 set", report::number(count as f64, 0)),
                    report::number(own, 3),
                    report::number(all, 3),
                    report::number(all / own, 2),
                ]);
            }
        }
    }
    table
}

/// A server in which all processes that follow the lists run.
fn start(count: usize) -> Kamailio {
    let line = |n| format!("1 {}\n", loopback(n));
    let list: String = (0..count).map(line).collect();
    let config = lab()
        .children(2)
        .list(list)
        .memory_manager(ALLOCATORS[0])
        .shm_mb(1_024)
        .pkg_mb(64)
        .global("debug=0")
        .param("ds_probing_mode", 1)
        .param("ds_ping_interval", RARELY)
        .param("ds_dns_mode", 4)
        .param("ds_dns_interval", RARELY)
        .param("state_file", "{{DIR}}/states");
    let server = Kamailio::start(Module::Rust, config);
    server.ignore_log();
    machine::settle(&server);
    server
}

/// Pings go to these, so they stay on this machine.
fn loopback(n: usize) -> String {
    machine::uri(n).replacen("110.", "127.", 1)
}

fn new(n: usize) -> String {
    format!("sip:127.0.0.1:{}", 60_000 + n)
}

/// Milliseconds on the processor of each process for one run of `act` and the time after it, the mean of
/// `runs`.
fn watched(processes: &[Process], runs: usize, act: impl Fn(usize)) -> Vec<f64> {
    let now = || processes.iter().map(Process::cpu);
    let before: Vec<u64> = now().collect();
    for run in 0..runs {
        act(run);
        std::thread::sleep(WATCH);
    }
    let spent = now().zip(before).map(|(now, before)| now - before);
    spent.map(|ns| ns as f64 / 1e6 / runs as f64).collect()
}

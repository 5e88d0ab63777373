//! What call load costs: a call that is counted and ended again, with many others up.

use std::time::{Duration, Instant};

use super::server::{Config, Kamailio, Module, Request, Uac};

/// Heading of this part of the page.
pub const HEAD: &str = super::page::PARTS[3];

const METHOD: &str = "\
Written by `make bench-calls`. One worker, `-x tlsf -X tlsf`, `ds_hash_size` 16, all destinations in one
set. One turn is `ds_select_dst(\"1\", \"10\", \"1\")`, which counts the call, `ds_load_unset()`, which ends it,
and dropping the result; a script loop makes 2,000 of them in one message. Each figure is the fastest of
25, wall clock, so take it as a size. The turn with algorithm 8 counts nothing. Bytes: `real_used` of
`core.shmmem` for each call that is up.";

/// Destinations of the set.
const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Calls that are up.
const UP: [usize; 3] = [0, 100_000, 1_000_000];
/// Turns of the loop in one message.
const TURNS: u32 = 2_000;
/// Messages of which the fastest counts.
const RUNS: u32 = 25;
/// INVITEs without an answer at a time.
const WINDOW: usize = 100;

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
    if ($rU == "up") {
        ds_select_dst("1", "10", "1");
    } else if ($rU == "turn") {
        while ($var(n) > 0) {
            $var(n) = $var(n) - 1;
            ds_select_dst("1", "10", "1");
            ds_load_unset();
            $xavp(_dsdst_[*]) = $null;
        }
    } else if ($rU == "first") {
        while ($var(n) > 0) {
            $var(n) = $var(n) - 1;
            ds_select_dst("1", "8", "1");
            $xavp(_dsdst_[*]) = $null;
        }
    }
    sl_send_reply("200", "OK");
}
"#;

/// Figures of one module and one size.
struct Figures {
    /// Nanoseconds of the turn with algorithm 8.
    first: f64,
    /// Nanoseconds of a turn for each number of calls up.
    turns: Vec<f64>,
    /// Bytes of one call.
    bytes: f64,
}

/// The part of the page; with `most` calls up in the last rows.
pub fn table(most: usize) -> String {
    let up: Vec<usize> = UP.into_iter().filter(|&up| up <= most).collect();
    let mut out = format!("{HEAD}\n\n{METHOD}\n\n");
    out += "|  | destinations | calls up | C | ours |\n| --- | ---: | ---: | ---: | ---: |\n";
    for size in SIZES {
        let c = measure(Module::C, size, &up);
        let ours = measure(Module::Rust, size, &up);
        out += &format!(
            "| a turn with algorithm 8, ns | {size} | 0 | {:.0} | {:.0} |\n",
            c.first, ours.first
        );
        for ((up, c), ours) in up.iter().zip(&c.turns).zip(&ours.turns) {
            out +=
                &format!("| a turn with algorithm 10, ns | {size} | {up} | {c:.0} | {ours:.0} |\n");
        }
        let up = up.last().copied().unwrap_or_default();
        out += &format!(
            "| shared memory of a call, bytes | {size} | {up} | {:.0} | {:.0} |\n",
            c.bytes, ours.bytes
        );
    }
    out
}

fn measure(module: Module, size: usize, up: &[usize]) -> Figures {
    let server = start(module, size);
    let uac = Uac::new();
    let empty = used(&server);
    let first = turn(&server, &uac, "first");
    let mut turns = Vec::new();
    let mut there = 0;
    for &wanted in up {
        raise(&server, &uac, there..wanted);
        there = wanted;
        turns.push(turn(&server, &uac, "turn"));
    }
    let bytes = (used(&server) - empty) / there as f64;
    Figures {
        first,
        turns,
        bytes,
    }
}

fn start(module: Module, size: usize) -> Kamailio {
    let line = |n: usize| {
        let (a, b) = (n / 250, n % 250 + 1);
        format!("1 sip:10.0.{a}.{b}:5060 0 0 duid=d{n}\n")
    };
    let list: String = (0..size).map(line).collect();
    let config = Config::raw(CONFIG)
        .list(list)
        .param("flags", 2)
        .param("xavp_ctx_mode", 1)
        .param("ds_hash_size", 16)
        .memory_manager("tlsf")
        .shm_mb(1024);
    let server = Kamailio::start(module, config);
    if module == Module::C {
        server.ignore_log();
    }
    server
}

/// Makes the calls with these numbers.
fn raise(server: &Kamailio, uac: &Uac, calls: std::ops::Range<usize>) {
    let calls: Vec<usize> = calls.collect();
    for part in calls.chunks(10_000) {
        let invite = |n: &usize| Request::new("INVITE", "sip:up@1").call_id(format!("{n:08}@up"));
        let requests: Vec<Request> = part.iter().map(invite).collect();
        uac.batch(server.addr(), &requests, WINDOW);
    }
}

/// Nanoseconds of one turn of a loop.
fn turn(server: &Kamailio, uac: &Uac, name: &str) -> f64 {
    let run = |turns: u32| {
        let request = Request::new("INVITE", format!("sip:{name}@{turns}"));
        let begin = Instant::now();
        let reply = uac.try_request(server.addr(), &request, Duration::from_secs(60));
        assert!(reply.is_some_and(|reply| reply.status() == Some(200)));
        begin.elapsed()
    };
    let fastest = |turns| (0..RUNS).map(|_| run(turns)).min().unwrap_or_default();
    let (all, none) = (fastest(TURNS), fastest(0));
    all.saturating_sub(none).as_secs_f64() * 1e9 / f64::from(TURNS)
}

/// Shared memory in use, the allocator's overhead included. Unit: bytes.
fn used(server: &Kamailio) -> f64 {
    let text = server.kamcmd(&["core.shmmem", "b"]).expect("core.shmmem");
    let mut lines = text.lines();
    let line = lines.find_map(|l| l.trim().strip_prefix("real_used: "));
    line.and_then(|n| n.trim().parse().ok())
        .unwrap_or_else(|| panic!("no real_used in {text}"))
}

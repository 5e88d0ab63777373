//! The part "live": what changes of large lists cost, and whether a selecting worker feels them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::lab::{ask, code, lab};
use super::server::{Kamailio, Module, Request, Uac};

/// Destinations of the large lists.
const LARGE: usize = 100_000;
/// Destinations that the C module loads in about a second when they are in one set.
const SMALL: usize = 10_000;
/// Changes of which the fastest counts.
const RUNS: usize = 5;
/// How long a worker's gaps are watched, with and without reloads.
const WATCH: Duration = Duration::from_secs(10);

/// Heading of this part of the page.
pub const HEAD: &str = super::page::PARTS[1];

const METHOD: &str = "\
Written by `make bench-live`. One worker, `-x tlsf -X tlsf`, 1 GB of shared memory; commands through a
datagram socket of jsonrpcs. The C module is not asked for 100,000 destinations in one set: its reload
grows with the square of the set. Each figure is the fastest of five, less the time of a command that
does nothing. The gap is the longest time between two answers of the one worker that selects
(`ds_select_dst`, algorithm 4) for ten seconds, as its client sees it; the machine's own pauses are in
both columns.";

/// One line of the table: what, with which list, the C module's figure, ours.
type Line = (String, String, Option<f64>, Option<f64>);

/// Takes all figures; yields the table in Markdown.
pub fn table() -> String {
    let mut lines = Vec::new();
    for (count, sets) in [(SMALL, 1), (SMALL, 1_000), (LARGE, 1), (LARGE, 1_000)] {
        let list = format!("{count} in {sets} set{}", if sets == 1 { "" } else { "s" });
        let c = (count == SMALL || sets > 1).then(|| figures(Module::C, count, sets));
        let ours = figures(Module::Rust, count, sets);
        for (n, what) in ["reload, ms", "one add, ms", "one remove, ms"]
            .iter()
            .enumerate()
        {
            lines.push((
                (*what).to_owned(),
                list.clone(),
                c.map(|c| c[n]),
                Some(ours[n]),
            ));
        }
        let what = "shared memory per destination, bytes".to_owned();
        lines.push((what, list, c.map(|c| c[3]), Some(ours[3])));
    }
    let other = format!("{LARGE} in one other set");
    let small_set = add_beside_large_set();
    lines.push((
        "one add to a set of 10, ms".to_owned(),
        other,
        None,
        Some(small_set),
    ));
    lines.extend(gaps());
    markdown(&lines)
}

fn config(list: &str) -> super::server::Config {
    lab()
        .children(1)
        .list(list)
        .memory_manager("tlsf")
        .shm_mb(1_024)
        .global("debug=0")
}

fn start(module: Module, list: &str) -> Kamailio {
    let server = Kamailio::start(module, config(list));
    if module == Module::C {
        server.ignore_log();
    }
    server
}

fn list(count: usize, sets: usize) -> String {
    let uri = |n: usize| {
        format!(
            "sip:10.{}.{}.{}:5060",
            n / 62_500,
            n / 250 % 250,
            n % 250 + 1
        )
    };
    let line = |n: usize| format!("{} {}\n", n % sets + 1, uri(n));
    (0..count).map(line).collect()
}

/// Milliseconds of a reload, an add, a remove; bytes for each destination.
fn figures(module: Module, count: usize, sets: usize) -> [f64; 4] {
    let text = list(count, sets);
    let server = start(module, &text);
    let reload = cost(&server, |_| ("dispatcher.reload", json!([])));
    let uri = |n: usize| format!("sip:11.0.0.{n}:5060");
    let add = cost(&server, |n| ("dispatcher.add", json!([1, uri(n)])));
    let remove = cost(&server, |n| ("dispatcher.remove", json!([1, uri(n)])));
    let small = start(module, "1 sip:10.0.0.1:5060\n");
    // Without what was replaced: ours gives it back within a second.
    let fresh = start(module, &text);
    let bytes = (used(&fresh) - used(&small)) / (count - 1) as f64;
    [reload, add, remove, bytes]
}

/// One add to a set of ten, with a large set beside it. Unit: milliseconds.
fn add_beside_large_set() -> f64 {
    let line = |n| format!("2 sip:12.0.0.{n}:5060\n");
    let text = list(LARGE, 1) + &(0..10).map(line).collect::<String>();
    let server = start(Module::Rust, &text);
    cost(&server, |n| {
        ("dispatcher.add", json!([2, format!("sip:11.0.0.{n}:5060")]))
    })
}

/// The fastest of some commands, less a command that does nothing. Unit: milliseconds.
fn cost(server: &Kamailio, command: impl Fn(usize) -> (&'static str, Value)) -> f64 {
    let fastest = |command: &dyn Fn(usize) -> (&'static str, Value)| {
        let run = |n: usize| {
            let (method, params) = command(n);
            let begin = Instant::now();
            let limit = Duration::from_secs(120);
            let result = server.jsonrpc_within(method, params, limit);
            result.unwrap_or_else(|fault| panic!("{method}: {fault}"));
            begin.elapsed()
        };
        (0..RUNS).map(run).min().unwrap_or_default()
    };
    let idle = fastest(&|_| ("core.version", json!([])));
    fastest(&command).saturating_sub(idle).as_secs_f64() * 1e3
}

/// Shared memory in use, the allocator's overhead included. Unit: bytes.
fn used(server: &Kamailio) -> f64 {
    let stats = server
        .jsonrpc("core.shmmem", json!([]))
        .expect("core.shmmem");
    let used = stats["real_used"].to_string();
    used.trim_matches('"')
        .parse()
        .expect("real_used is a number")
}

/// The longest gap of a selecting worker, with and without reloads of a large list.
fn gaps() -> Vec<Line> {
    let server = start(Module::Rust, &list(LARGE, 1_000));
    let (reloads, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let quiet = longest_gap(&server);
    let busy = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let reloaded = server.jsonrpc("dispatcher.reload", json!([]));
                reloaded.unwrap_or_else(|fault| panic!("reload: {fault}"));
                reloads.fetch_add(1, Ordering::Relaxed);
            }
        });
        let busy = longest_gap(&server);
        stop.store(true, Ordering::Relaxed);
        busy
    });
    let list = format!("{LARGE} in 1000 sets");
    let during = format!("{list}, {} reloads", reloads.into_inner());
    let what = |(selections, _): (usize, f64)| format!("longest gap, ms ({selections} selections)");
    vec![
        (what(quiet), list, None, Some(quiet.1)),
        (what(busy), during, None, Some(busy.1)),
    ]
}

/// Selections made in [`WATCH`], and the longest time between two answers. Unit: milliseconds.
fn longest_gap(server: &Kamailio) -> (usize, f64) {
    let (uac, end) = (Uac::new(), Instant::now() + WATCH);
    let request: Request = ask("sel4");
    let (mut last, mut longest, mut selections) = (Instant::now(), Duration::ZERO, 0);
    while Instant::now() < end {
        let reply = uac.request(server.addr(), &request);
        assert_eq!(code(&reply), Some(1), "no selection fails");
        longest = longest.max(last.elapsed());
        last = Instant::now();
        selections += 1;
    }
    (selections, longest.as_secs_f64() * 1e3)
}

fn markdown(lines: &[Line]) -> String {
    let figure = |value: &Option<f64>| match value {
        Some(value) if *value >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
        None => "-".to_owned(),
    };
    let mut out = format!(
        "{HEAD}\n\n{METHOD}\n\n|  | destinations | C | ours |\n| --- | --- | ---: | ---: |\n"
    );
    for (what, list, c, ours) in lines {
        out += &format!("| {what} | {list} | {} | {} |\n", figure(c), figure(ours));
    }
    out
}

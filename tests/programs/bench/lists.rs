//! The part "Lists": start, reload, edits, memory, list output; and how much a selecting worker feels
//! reloads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::followers;
use super::machine::{self, USUAL_ALLOCATOR, uri};
use super::report::{self, Table};
use harness::lab::{ask, code, lab};
use harness::{Config, Fault, Kamailio, Module, Piece, Request, Uac, binrpc};

/// Allocator, destinations, sets, and whether the C module is asked.
const SHAPES: [(&str, usize, usize, bool); 13] = [
    (USUAL_ALLOCATOR, 1_000, 1, true),
    (USUAL_ALLOCATOR, 10_000, 1, true),
    (USUAL_ALLOCATOR, 10_000, 1_000, true),
    (USUAL_ALLOCATOR, 10_000, 10_000, true),
    (USUAL_ALLOCATOR, 100_000, 1, false),
    (USUAL_ALLOCATOR, 100_000, 1_000, true),
    ("qm", 10_000, 1, true),
    ("qm", 10_000, 1_000, true),
    ("qm", 10_000, 10_000, true),
    ("qm", 100_000, 1, false),
    ("qm", 100_000, 1_000, true),
    ("fm", 10_000, 1, true),
    ("fm", 10_000, 1_000, true),
];
/// Destinations of the large list.
const LARGE: usize = 100_000;
/// The size of list that is measured with attributes as well.
const WITH_ATTRIBUTES: usize = 10_000;
/// Changes of which the fastest counts.
const RUNS: usize = 5;
/// Destinations of a page of `dispatcher.list`: more do not fit into kamcmd.
const PAGE: usize = 400;
/// How long a worker's gaps are watched, with and without reloads.
const WATCH: Duration = Duration::from_secs(8);

const METHOD: &str = "\
URIs of equal length; the allocator is that of shared and of private memory. Commands go through a datagram
socket of jsonrpcs, each the fastest of five, less a command that does nothing. *On the processor* is the time
of all processes of the server; it includes giving back what was replaced. Start is the time until the first
answer, less that of a list of one. Memory is `real_used` of `core.shmmem`, with the list and with a list of
one, fresh from the start. The C module is not asked for 100,000 destinations in one set: it needs about a
minute for each start and each change (issue 9 has 69 s for a reload).

`dispatcher.list`: time and size of the whole output. kamcmd takes 128 kB at most, so it gets ours in pages
of 400; the C module has no pages. ctl is one reply through its binary protocol.

The gap is the longest time between two answers of the workers to one client that selects
(`ds_select_dst`, algorithm 4) for eight seconds; the machine's own pauses are in all figures. The gap and
what is beside a large set are of tlsf.

*What an edit causes*: a server with qm, pings, names asked by a process of its own, and states kept in a file.
Time on the processor of the process that serves the command, and of all processes of the server together
until a second and a half after the command, or after the last of a row, less that without a command. An edit
alone is the mean of five.";

/// The figures of one module and one list, by name.
type Figures = Vec<(&'static str, usize, Result<f64, String>)>;

/// The part of the page.
pub fn part() -> String {
    let texts = ["what", "destinations", "allocator"];
    let mut table = Table::new(&texts, &["C", "ours", "ours / C"]);
    for (allocator, count, sets, c_too) in SHAPES {
        let s = if sets == 1 { "" } else { "s" };
        let (n, m) = (
            report::number(count as f64, 0),
            report::number(sets as f64, 0),
        );
        let list = format!("{n} in {m} set{s}");
        let figures = |module| figures(module, allocator, count, sets);
        let c = if c_too && machine::c_too() {
            figures(Module::C)
        } else {
            Vec::new()
        };
        for (n, (what, digits, ours)) in figures(Module::Rust).into_iter().enumerate() {
            let c = c.get(n).map(|(_, _, figure)| figure.clone());
            let number = |figure: &Result<f64, String>| match figure {
                Ok(figure) => report::number(*figure, digits),
                Err(why) => why.clone(),
            };
            table.row([
                what.to_owned(),
                list.clone(),
                allocator.to_owned(),
                c.as_ref().map_or_else(|| "-".to_owned(), number),
                number(&ours),
                report::ratio(c.and_then(Result::ok), ours.ok()),
            ]);
        }
    }
    let (mut gaps, beside) = (gaps(), add_beside_large_set());
    gaps.row([
        "one add to a set of 10, ms".to_owned(),
        "100,000 in one other set".to_owned(),
        report::number(beside, 2),
    ]);
    let head = super::page::PARTS[1];
    let followers = followers::table();
    report::part(head, "bench-live", METHOD, &[&table, &gaps, &followers])
}

fn config(allocator: &str, list: &str) -> Config {
    lab()
        .children(2)
        .list(list)
        .memory_manager(allocator)
        .shm_mb(1_024)
        .pkg_mb(64)
        .global("debug=0")
}

fn start(module: Module, allocator: &str, list: &str) -> Result<Kamailio, String> {
    let server = Kamailio::try_start(module, config(allocator, list))?;
    server.ignore_log();
    Ok(server)
}

fn list(count: usize, sets: usize) -> String {
    machine::list(count, sets, |_| String::new())
}

/// Starts a server twice; yields it, and the time of the faster start. Unit: seconds.
fn timed_start(module: Module, allocator: &str, list: &str) -> Result<(Kamailio, f64), String> {
    let mut fastest = f64::MAX;
    let mut server = None;
    for _ in 0..2 {
        drop(server.take());
        let begin = Instant::now();
        server = Some(start(module, allocator, list)?);
        fastest = fastest.min(begin.elapsed().as_secs_f64());
    }
    Ok((server.ok_or("no server")?, fastest))
}

/// All figures of a list; one that cannot be had says why.
fn figures(module: Module, allocator: &str, count: usize, sets: usize) -> Figures {
    let text = list(count, sets);
    let timed_start = |list: &str| timed_start(module, allocator, list);
    let servers =
        timed_start("1 sip:10.0.0.1:5060\n").and_then(|small| Ok((small, timed_start(&text)?)));
    let ((small, idle), (server, time)) = match servers {
        Ok(servers) => servers,
        Err(why) => {
            eprintln!("{module:?}: {why}");
            return vec![("start, ms", 0, Err("fails".to_owned()))];
        }
    };
    let empty = machine::shm_used(&small);
    drop(small);
    let bytes = |server: &Kamailio| (machine::shm_used(server) - empty) / (count - 1) as f64;
    let fresh = bytes(&server);
    let reload = cost(&server, |_| ("dispatcher.reload", json!([])));
    let new = |n: usize| uri(3_000_000 + n);
    let add = cost(&server, |n| ("dispatcher.add", json!([1, new(n)])));
    let state = cost(&server, |n| {
        let state = ["ip", "ap"][n % 2];
        ("dispatcher.set_state", json!([state, 1, uri(0)]))
    });
    let modify = cost(&server, |n| {
        let weight = format!("weight={}", n + 1);
        ("dispatcher.modify", json!([1, new(n), "attrs", weight]))
    });
    let modify = modify.map_err(|why| match module {
        Module::C => "-".to_owned(),
        _ => why,
    });
    let remove = cost(&server, |n| ("dispatcher.remove", json!([1, new(n)])));
    let mut figures: Figures = vec![("start, ms", 0, Ok((time - idle) * 1e3))];
    for (wall, on_cpu, cost) in [
        ("reload, ms", "reload, ms on the processor", reload),
        ("one add, ms", "one add, ms on the processor", add),
        ("one modify, ms", "one modify, ms on the processor", modify),
        ("one remove, ms", "one remove, ms on the processor", remove),
        (
            "one set_state, ms",
            "one set_state, ms on the processor",
            state,
        ),
    ] {
        figures.push((wall, 3, cost.clone().map(|cost| cost[0])));
        figures.push((on_cpu, 3, cost.map(|cost| cost[1])));
    }
    figures.push(("shared memory per destination, bytes", 0, Ok(fresh)));
    machine::settle(&server);
    figures.push(("same after reloads and edits, bytes", 0, Ok(bytes(&server))));
    if count == WITH_ATTRIBUTES {
        let attributes = |n: usize| format!(" 0 0 duid=d{n};weight=1;rweight=1");
        let server = start(module, allocator, &machine::list(count, sets, attributes));
        let full = server.map(|full| (machine::shm_used(&full) - empty) / (count - 1) as f64);
        figures.push(("same with duid, weight, rweight, bytes", 0, full));
    }
    if allocator == USUAL_ALLOCATOR {
        figures.extend(output(&server, count));
    }
    figures
}

/// Time and size of `dispatcher.list`.
fn output(server: &Kamailio, count: usize) -> Figures {
    let begin = Instant::now();
    let text = if server.module() == Module::C {
        server.kamcmd(&["dispatcher.list"]).map(|text| text.len())
    } else {
        pages(server, count)
    };
    let text = text.map(|size| (begin.elapsed(), size));
    let begin = Instant::now();
    let whole = binrpc(server.dir(), &["dispatcher.list"]);
    let whole = whole.map(|pieces| (begin.elapsed(), pieces.iter().map(size).sum::<usize>()));
    let mut figures = Vec::new();
    for (time, bytes, result) in [
        ("list through kamcmd, ms", "list through kamcmd, kB", text),
        ("list through ctl, ms", "list through ctl, kB", whole),
    ] {
        match result {
            Ok((duration, size)) => {
                figures.push((time, 1, Ok(duration.as_secs_f64() * 1e3)));
                figures.push((bytes, 0, Ok(size as f64 / 1e3)));
            }
            Err(fault) => {
                // What fits into a cell.
                let text = fault.text.trim_start_matches("ERROR: ");
                let text = text.split([':', '\n']).next().unwrap_or_default();
                figures.push((time, 1, Err(format!("fails: {text}"))));
                figures.push((bytes, 0, Err("-".to_owned())));
            }
        }
    }
    figures
}

/// Bytes of the list in pages.
fn pages(server: &Kamailio, count: usize) -> Result<usize, Fault> {
    let mut size = 0;
    for offset in (0..count).step_by(PAGE) {
        let (offset, most) = (offset.to_string(), PAGE.to_string());
        let page = server.kamcmd(&["dispatcher.list", "all", &offset, &most])?;
        size += page.len();
    }
    Ok(size)
}

/// Bytes of a piece in ctl's protocol, about.
fn size(piece: &Piece) -> usize {
    match piece {
        Piece::Int(_) | Piece::Double(_) => 3,
        Piece::Text(text) | Piece::Name(text) => text.len() + 3,
        Piece::Open | Piece::Close => 1,
    }
}

/// Milliseconds of the fastest of some commands, by the clock and on the processor, less a command
/// that does nothing.
fn cost(
    server: &Kamailio,
    command: impl Fn(usize) -> (&'static str, Value),
) -> Result<[f64; 2], String> {
    let processes = machine::processes(server);
    let fastest = |command: &dyn Fn(usize) -> (&'static str, Value)| {
        let mut least = [f64::MAX; 2];
        for n in 0..RUNS {
            let (method, params) = command(n);
            let (begin, before) = (Instant::now(), machine::cpu(&processes));
            let limit = Duration::from_secs(120);
            let result = server.jsonrpc_within(method, params, limit);
            let wall = begin.elapsed().as_secs_f64() * 1e3;
            result.map_err(|fault| format!("fails: {}", fault.text))?;
            let spent = (machine::cpu(&processes) - before) as f64 / 1e6;
            least = [least[0].min(wall), least[1].min(spent)];
        }
        Ok::<_, String>(least)
    };
    let idle = fastest(&|_| ("core.version", json!([])))?;
    let all = fastest(&command)?;
    Ok([0, 1].map(|n| (all[n] - idle[n]).max(0.0)))
}

/// One add to a set of ten, with a large set beside it. Unit: milliseconds.
fn add_beside_large_set() -> f64 {
    let line = |n| format!("2 sip:12.0.0.{n}:5060\n");
    let text = list(LARGE, 1) + &(0..10).map(line).collect::<String>();
    let server = start(Module::Rust, USUAL_ALLOCATOR, &text).unwrap_or_else(|why| panic!("{why}"));
    let add = cost(&server, |n| {
        ("dispatcher.add", json!([2, uri(3_000_000 + n)]))
    });
    add.unwrap_or_else(|why| panic!("{why}"))[0]
}

/// The longest gap of a selecting worker, with and without reloads of a large list.
fn gaps() -> Table {
    let server = start(Module::Rust, USUAL_ALLOCATOR, &list(LARGE, 1_000));
    let server = server.unwrap_or_else(|why| panic!("{why}"));
    let (reloads, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let quiet = longest_gap(&server);
    let busy = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let limit = Duration::from_secs(30);
                let reloaded = server.jsonrpc_within("dispatcher.reload", json!([]), limit);
                reloaded.unwrap_or_else(|fault| panic!("reload: {fault}"));
                reloads.fetch_add(1, Ordering::Relaxed);
            }
        });
        let busy = longest_gap(&server);
        stop.store(true, Ordering::Relaxed);
        busy
    });
    let mut table = Table::new(&["while calls are selected", "destinations"], &["ours"]);
    let list = "100,000 in 1,000 sets".to_owned();
    let during = format!("{list}, {} reloads", reloads.into_inner());
    for ((selections, gap), list) in [(quiet, list), (busy, during)] {
        let what = format!("longest gap, ms ({selections} selections)");
        table.row([what, list, report::number(gap, 1)]);
    }
    table
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

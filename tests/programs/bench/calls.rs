//! What call load costs: a call that is counted and ended again, with many others up.

use std::time::{Duration, Instant};

use super::machine::{self, Floor, Process};
use super::report::{self, Table};
use harness::{Kamailio, Module, Request, Uac};

const METHOD: &str = "\
One worker, `-x tlsf -X tlsf`, all destinations in one set. One turn is `ds_select_dst(\"1\", \"10\", \"1\")`,
which counts the call, `ds_load_unset()`, which ends it, and dropping the result; a script loop makes
thousands of them in one message. Nanoseconds are the worker's time on the processor, the least of fifteen
messages, less the loop without it. The turn with algorithm 8 counts nothing. Each turn is of another call, as
each call that is up: `tests/programs/bench/floor.c` writes another Call-ID into the message. Bytes:
`real_used` of `core.shmmem` for each call that is up. The scan for expired calls runs every two seconds
here: the most time on the processor that one process, not a worker, took within any 200 ms, less the same
without calls.";

/// Destinations of the set, and `ds_hash_size`.
const LISTS: [(usize, i64); 4] = [(10, 16), (1_000, 16), (10_000, 16), (10, 9)];
/// Calls that are up.
const UP: [usize; 3] = [0, 100_000, 1_000_000];
/// The most of them with less than this `ds_hash_size`: with more, chains take minutes.
const SHORT: (i64, usize) = (16, 100_000);
/// Calls that one message makes.
const CHUNK: usize = 10_000;
/// Messages of which the fastest counts.
const RUNS: u32 = 15;
/// Longest time that one message may take.
const LIMIT: Duration = Duration::from_secs(60);

const ROUTES: &str = r#"request_route {
    $var(n) = $(rd{s.int});
    if ($rU == "up") {
        while ($var(n) > 0) {
            $var(n) = $var(n) - 1;
            next_call_id();
            ds_select_dst("1", "10", "1");
            $xavp(_dsdst_[*]) = $null;
        }
    } else if ($rU == "turn") {
        while ($var(n) > 0) {
            $var(n) = $var(n) - 1;
            next_call_id();
            ds_select_dst("1", "10", "1");
            ds_load_unset();
            $xavp(_dsdst_[*]) = $null;
        }
    } else if ($rU == "first") {
        while ($var(n) > 0) {
            $var(n) = $var(n) - 1;
            next_call_id();
            ds_select_dst("1", "8", "1");
            $xavp(_dsdst_[*]) = $null;
        }
    } else {
        while ($var(n) > 0) {
            $var(n) = $var(n) - 1;
            next_call_id();
        }
    }
    sl_send_reply("200", "OK");
}
"#;

/// Figures of one module and one list.
struct Figures {
    /// Nanoseconds of the turn with algorithm 8.
    first: f64,
    /// Nanoseconds of a turn for each number of calls up.
    turns: Vec<f64>,
    /// Bytes of one call.
    bytes: f64,
    /// Milliseconds of the scan with the most calls up.
    scan: f64,
}

/// The part of the page; with `most` calls up in the last rows.
pub fn part(most: usize) -> String {
    let up: Vec<usize> = UP.into_iter().filter(|&up| up <= most).collect();
    let mut table = Table::new(
        &["what"],
        &["`ds_hash_size`", "n", "calls up", "C", "ours", "ours / C"],
    );
    for (size, hash) in LISTS {
        let mut up = up.clone();
        up.retain(|&up| hash >= SHORT.0 || up <= SHORT.1);
        let figures = |module| {
            eprintln!("{module:?}: {size} destinations, ds_hash_size {hash}");
            measure(module, size, hash, &up)
                .inspect_err(|why| eprintln!("{module:?}, {size}, {hash}: {why}"))
                .ok()
        };
        let (c, ours) = (figures(Module::C), figures(Module::Rust));
        let mut row = |what: &str, up: usize, figure: &dyn Fn(&Figures) -> f64, digits| {
            let (c, ours) = (c.as_ref().map(figure), ours.as_ref().map(figure));
            table.row([
                what.to_owned(),
                hash.to_string(),
                report::number(size as f64, 0),
                report::number(up as f64, 0),
                report::figure(c, digits),
                report::figure(ours, digits),
                report::ratio(c, ours),
            ]);
        };
        row("a turn with algorithm 8, ns", 0, &|f| f.first, 0);
        for (n, &up) in up.iter().enumerate() {
            row("a turn with algorithm 10, ns", up, &|f| f.turns[n], 0);
        }
        let last = up.last().copied().unwrap_or_default();
        row("shared memory of a call, bytes", last, &|f| f.bytes, 0);
        row("scan for expired calls, ms", last, &|f| f.scan, 1);
    }
    let target = if most == 1_000_000 {
        "bench-calls CALLS=million"
    } else {
        "bench-calls"
    };
    report::part(super::page::PARTS[3], target, METHOD, &[&table])
}

fn measure(module: Module, size: usize, hash: i64, up: &[usize]) -> Result<Figures, String> {
    let floor = Floor::new();
    let attributes = |n| format!(" 0 0 duid=d{n}");
    let config = floor
        .config(ROUTES)
        .list(machine::list(size, 1, attributes))
        .param("flags", 2)
        .param("xavp_ctx_mode", 1)
        .param("ds_hash_size", hash)
        .param("ds_hash_check_interval", 2)
        .memory_manager(&machine::allocator())
        .shm_mb(1024);
    let server = machine::start(module, config)?;
    let lab = Lab {
        workers: machine::workers(&server),
        uac: Uac::new(),
        server,
    };
    let figures = lab.measure(up);
    // It may be in the middle of a scan.
    lab.server.abandon();
    figures
}

struct Lab {
    server: Kamailio,
    workers: Vec<Process>,
    uac: Uac,
}

impl Lab {
    fn measure(&self, up: &[usize]) -> Result<Figures, String> {
        let empty = machine::shm_used(&self.server);
        let first = self.turn("first")?;
        let idle = self.busiest();
        let (mut turns, mut bytes) = (Vec::new(), 0.0);
        let mut there = 0;
        for &wanted in up {
            while there < wanted {
                let count = CHUNK.min(wanted - there);
                let request = Request::new("INVITE", format!("sip:up@{count}"));
                self.ask(&request)?;
                there += count;
            }
            if there > 0 {
                bytes = (machine::shm_used(&self.server) - empty) / there as f64;
            }
            turns.push(self.turn("turn")?);
        }
        Ok(Figures {
            first,
            turns,
            bytes,
            scan: self.busiest() - idle,
        })
    }

    fn ask(&self, request: &Request) -> Result<(), String> {
        let reply = self.uac.try_request(self.server.addr(), request, LIMIT);
        match reply.and_then(|reply| reply.status()) {
            Some(200) => Ok(()),
            other => Err(format!("answers {other:?}")),
        }
    }

    /// Nanoseconds of one turn of a loop, less the empty one.
    fn turn(&self, name: &str) -> Result<f64, String> {
        let least = |name: &str, turns: u32| -> Result<f64, String> {
            let mut least = u64::MAX;
            for _ in 0..RUNS {
                let before = machine::cpu(&self.workers);
                self.ask(&Request::new("INVITE", format!("sip:{name}@{turns}")))?;
                least = least.min(machine::cpu(&self.workers) - before);
            }
            Ok(least as f64)
        };
        // A slow turn needs fewer of them: 40 ms in all will do.
        let slope = |name: &str| -> Result<f64, String> {
            let probe = least(name, 100)? / 100.0;
            let turns = (4e7 / probe).clamp(200.0, 50_000.0).round();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let count = turns as u32;
            Ok((least(name, count)? - least(name, 0)?) / turns)
        };
        Ok(slope(name)? - slope("none")?)
    }

    /// The most that one process other than the workers took within 200 ms. Unit: ms.
    fn busiest(&self) -> f64 {
        let mut others = machine::processes(&self.server);
        others.retain(|process| !process.name.contains("udp receiver"));
        let (begin, mut samples) = (Instant::now(), Vec::new());
        while begin.elapsed() < Duration::from_secs(5) {
            let times: Vec<u64> = others.iter().map(Process::cpu).collect();
            samples.push((begin.elapsed(), times));
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut most = 0;
        for (n, (begin, before)) in samples.iter().enumerate() {
            let window = Duration::from_millis(200);
            let within = |(at, _): &&(Duration, Vec<u64>)| *at <= *begin + window;
            let Some((_, after)) = samples[n..].iter().take_while(within).last() else {
                continue;
            };
            let spent = after
                .iter()
                .zip(before)
                .map(|(after, before)| after - before);
            most = most.max(spent.max().unwrap_or(0));
        }
        most as f64 / 1e6
    }
}

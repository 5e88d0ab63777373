//! The part "Traffic": what a call through a proxy costs all processes of the server.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::machine;
use super::report::{self, Table};
use harness::{Config, Kamailio, Message, Module, Request, Uac};

const METHOD: &str = "\
Microseconds on the processor of all processes of the server (`/proc/PID/schedstat`) for one call: the
least of nine runs of 1,000 calls each, in which the servers take turns, 20 at a time, two workers,
`-x tlsf -X tlsf`, `flags` 2. Calls and destinations are on the same machine, so calls per second, which is of
the fastest run, says little. The rows without dispatcher set the destination by hand: what lies above them is
the module's, and what differs between their columns is noise. *On demand* is ours with `xavp_dst_mode` 65536,
which writes one destination and makes the next when it is asked for.

- stateless: OPTIONS, `ds_select_dst` with algorithm 4 and limit 1, `forward()`.
- t_relay: INVITE with a 200, algorithm 4; *no limit* writes all destinations of the set.
- failover: the first destination answers 503, the failure route calls `ds_next_dst()`; algorithm 8.
- call load: INVITE with algorithm 10 and limit 2, `ds_load_update()` at the 200, BYE with
  `ds_load_unset()`.";

/// Calls of one run.
const CALLS: usize = 1_000;
/// Runs of which the one with the least time on the processor counts.
const RUNS: usize = 9;
/// The C module, ours, and ours that makes failover destinations on demand.
const SERVERS: [(Module, Option<i64>); 3] = [
    (Module::C, None),
    (Module::Rust, None),
    (Module::Rust, Some(65_536)),
];
/// Calls without an answer at a time.
const WINDOW: usize = 20;
/// After this time without an answer the rest is lost.
const LOST: Duration = Duration::from_secs(3);

const ROUTES: &str = r#"
request_route {
    if ($hdr(X-Set) != $null) $var(set) = $(hdr(X-Set){s.int});
    switch ($rU) {
    case "hand-stateless":
        $du = "{{FIRST}}";
        forward();
        exit;
    case "stateless":
        ds_select_dst("$var(set)", "4", "1");
        forward();
        exit;
    case "hand-relay":
        $du = "{{FIRST}}";
        t_relay();
        exit;
    case "relay":
        ds_select_dst("$var(set)", "4", "3");
        t_relay();
        exit;
    case "relay-all":
        ds_select_dst("$var(set)", "4");
        t_relay();
        exit;
    case "failover":
        ds_select_dst("$var(set)", "8", "3");
        t_on_failure("NEXT");
        t_relay();
        exit;
    case "failover-all":
        ds_select_dst("$var(set)", "8");
        t_on_failure("NEXT");
        t_relay();
        exit;
    case "load":
        if (is_method("BYE")) {
            ds_load_unset();
            $du = "{{FIRST}}";
            t_relay();
            exit;
        }
        ds_select_dst("$var(set)", "10", "2");
        t_on_reply("ANSWER");
        t_relay();
        exit;
    }
}
onreply_route[ANSWER] {
    if (status =~ "2[0-9][0-9]") ds_load_update();
}
failure_route[NEXT] {
    if (t_check_status("503") && ds_next_dst()) {
        t_relay();
    }
}
"#;

/// A kind of call: name, user part of the R-URI, set, methods.
type Kind = (&'static str, &'static str, usize, &'static [&'static str]);

const KINDS: [Kind; 15] = [
    (
        "stateless, without dispatcher",
        "hand-stateless",
        10,
        &["OPTIONS"],
    ),
    ("stateless", "stateless", 10, &["OPTIONS"]),
    ("stateless", "stateless", 1_000, &["OPTIONS"]),
    ("t_relay, without dispatcher", "hand-relay", 10, &["INVITE"]),
    ("t_relay, limit 3", "relay", 10, &["INVITE"]),
    ("t_relay, limit 3", "relay", 1_000, &["INVITE"]),
    ("t_relay, no limit", "relay-all", 10, &["INVITE"]),
    ("t_relay, no limit", "relay-all", 100, &["INVITE"]),
    ("failover, limit 3", "failover", 10, &["INVITE"]),
    ("failover, limit 3", "failover", 1_000, &["INVITE"]),
    ("failover, no limit", "failover-all", 10, &["INVITE"]),
    ("failover, no limit", "failover-all", 100, &["INVITE"]),
    ("call load, INVITE and BYE", "load", 10, &["INVITE", "BYE"]),
    (
        "call load, INVITE and BYE",
        "load",
        1_000,
        &["INVITE", "BYE"],
    ),
    // Last: it fills the shared memory.
    ("t_relay, no limit", "relay-all", 1_000, &["INVITE"]),
];

/// The part of the page.
pub fn part() -> String {
    let mut table = Table::new(
        &["call"],
        &[
            "n",
            "C, us",
            "ours, us",
            "ours / C",
            "on demand, us",
            "on demand / C",
            "C, calls/s",
            "ours, calls/s",
            "C, lost",
            "ours, lost",
        ],
    );
    let (good, bad) = (Callee::start(200), Callee::start(503));
    let start = |(module, mode): (Module, Option<i64>)| {
        let config = config(&good, &bad);
        let config = match mode {
            Some(mode) => config.param("xavp_dst_mode", mode),
            None => config,
        };
        let server = machine::start(module, config);
        server
            .inspect_err(|why| eprintln!("{module:?}: {why}"))
            .ok()
    };
    let servers = SERVERS.map(start);
    for kind in &KINDS {
        let [c, ours, demand] = measure(&servers, kind);
        let of = |figure: &Option<Figure>, part: fn(&Figure) -> f64| figure.as_ref().map(part);
        let cost = |figure| of(figure, |f| f.cost);
        let (c_cost, our_cost, demand_cost) = (cost(&c), cost(&ours), cost(&demand));
        table.row([
            kind.0.to_owned(),
            report::number(kind.2 as f64, 0),
            report::figure(c_cost, 1),
            report::figure(our_cost, 1),
            report::ratio(c_cost, our_cost),
            report::figure(demand_cost, 1),
            report::ratio(c_cost, demand_cost),
            report::figure(of(&c, |f| f.rate), 0),
            report::figure(of(&ours, |f| f.rate), 0),
            report::figure(of(&c, |f| f.lost as f64), 0),
            report::figure(of(&ours, |f| f.lost as f64), 0),
        ]);
    }
    // They may be busy with transactions of lost calls.
    servers.into_iter().flatten().for_each(Kamailio::abandon);
    report::part(super::page::PARTS[4], "bench-traffic", METHOD, &[&table])
}

fn config(good: &Callee, bad: &Callee) -> Config {
    let mut list = String::new();
    for size in [10, 100, 1_000] {
        // Sets of failover have a first destination that answers 503.
        for (set, first) in [(size, good), (size + 1, bad)] {
            list += &format!("{set} {} 0 9 duid=d0\n", first.uri(0));
            for n in 1..size {
                list += &format!("{set} {} 0 5 duid=d{n}\n", good.uri(n));
            }
        }
    }
    Config::routes(ROUTES)
        .children(2)
        .global("debug=0")
        .define("FIRST", good.uri(0))
        .list(list)
        .param("flags", 2)
        .param("ds_hash_size", 12)
        .memory_manager(&machine::allocator())
        .shm_mb(1_024)
}

/// What one kind of call costs.
#[derive(Clone)]
struct Figure {
    /// Microseconds on the processor for each call.
    cost: f64,
    /// Calls each second in the fastest run.
    rate: f64,
    /// Calls without an answer, in all runs.
    lost: usize,
}

/// The figures of the servers, which take turns.
fn measure<const N: usize>(servers: &[Option<Kamailio>; N], kind: &Kind) -> [Option<Figure>; N] {
    let none = Figure {
        cost: f64::MAX,
        rate: 0.0,
        lost: 0,
    };
    let mut figures = std::array::from_fn(|_| none.clone());
    for run in 0..RUNS {
        // Who is first changes, too.
        for turn in 0..N {
            let who = (run + turn) % N;
            if let Some(server) = &servers[who] {
                figures[who].add(server, kind, run);
            }
        }
    }
    figures.map(|figure: Figure| (figure.rate > 0.0).then_some(figure))
}

impl Figure {
    /// Makes the calls of one run.
    fn add(&mut self, server: &Kamailio, kind: &Kind, run: usize) {
        let &(_, user, size, methods) = kind;
        let processes = machine::processes(server);
        let uac = Uac::new();
        let set = size + usize::from(user.starts_with("failover"));
        let request = |method: &str, n: usize| {
            Request::new(method, format!("sip:{user}@bench.test"))
                .call_id(format!("{user}-{size}-{run}-{n}"))
                .header("X-Set", set.to_string())
        };
        let batch = |method: &&str| (0..CALLS).map(|n| request(method, n)).collect();
        let batches: Vec<Vec<Request>> = methods.iter().map(batch).collect();
        let (begin, before) = (Instant::now(), machine::cpu(&processes));
        let mut answered = CALLS;
        for batch in &batches {
            answered = answered.min(drive(&uac, server.addr(), batch));
        }
        let time = begin.elapsed().as_secs_f64();
        let spent = (machine::cpu(&processes) - before) as f64 / 1e3;
        self.lost += CALLS - answered;
        if answered > 0 {
            self.cost = self.cost.min(spent / answered as f64);
            self.rate = self.rate.max(answered as f64 / time);
        }
    }
}

/// Sends each request once; yields how many got a 200.
fn drive(uac: &Uac, dest: SocketAddr, requests: &[Request]) -> usize {
    let (mut sent, mut finals, mut good) = (0, 0, 0);
    while finals < requests.len() {
        while sent < requests.len() && sent - finals < WINDOW {
            uac.send(dest, &requests[sent]);
            sent += 1;
        }
        let Some(reply) = uac.receive(LOST) else {
            break;
        };
        if let Some(code) = reply.status().filter(|&code| code >= 200) {
            finals += 1;
            good += usize::from(code < 300);
        }
    }
    good
}

/// A destination at all addresses of loopback, which answers all requests but ACK with one code.
struct Callee {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Callee {
    fn start(code: u16) -> Self {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
        let port = socket.local_addr().expect("its address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let limit = Some(Duration::from_millis(100));
        socket.set_read_timeout(limit).expect("a read timeout");
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_535];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let request = Message::parse(&buffer[..length]);
                let Some(request) = request.filter(|request| request.method() != "ACK") else {
                    continue;
                };
                let _ = socket.send_to(&request.reply(code, "callee", ""), peer);
            }
        });
        Self {
            port,
            stop,
            thread: Some(thread),
        }
    }

    /// The URI of one of its addresses; all are equally long.
    fn uri(&self, n: usize) -> String {
        let (b, c) = (100 + n / 150, 100 + n % 150);
        format!("sip:127.100.{b}.{c}:{}", self.port)
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

//! `make race`: the field reports' C1, C2 and C3 with the packaged C module and with ours, in one
//! run: how long each lives, and what it did.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::lab::{ask, ask_rpc, code, lab};
use harness::{Kamailio, Module, Request, Uac, setting};
use serde_json::json;

/// Clients, each with one request under way.
const CLIENTS: usize = 16;
/// Runs of the C module: each dies another way.
const C_RUNS: usize = 3;
/// Longest wait for an answer; a longer one counts as lost.
const LIMIT: Duration = Duration::from_secs(5);
/// A server that has not answered anything for so long hangs.
const HANG: Duration = Duration::from_secs(4);
/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What the clients do.
#[derive(Clone, Copy)]
enum Scenario {
    /// All add and remove 50 URIs at random.
    Edits,
    /// One reloads, the others select.
    ReloadAndSelect,
    /// All do both: one in five reloads.
    Mixed,
    /// All reload.
    Reloads,
}

const SCENARIOS: [(&str, Scenario); 4] = [
    ("C1: 16 add and remove 50 URIs", Scenario::Edits),
    ("C2: 1 reloads, 15 select", Scenario::ReloadAndSelect),
    ("C2: 16, one in five reloads", Scenario::Mixed),
    ("C3: 16 reload", Scenario::Reloads),
];

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Change,
    Select,
    Ask,
}

/// How a run ended; with the time of the last answer.
enum End {
    Alive,
    /// A process died, or all went.
    Dead(Duration),
    /// Nothing more came.
    Hung(Duration),
}

impl End {
    fn text(&self, seconds: u64) -> String {
        match self {
            End::Dead(last) => format!("dead after {:.2} s", last.as_secs_f64()),
            End::Hung(last) => format!("hangs after {:.2} s", last.as_secs_f64()),
            End::Alive => format!("alive after {seconds} s"),
        }
    }
}

/// What came of one run.
#[derive(Default)]
struct Count {
    /// The clients are to end.
    stop: AtomicBool,
    /// When the last answer came. Unit: microseconds after the start.
    last: AtomicU64,
    changes: AtomicUsize,
    selections: AtomicUsize,
    /// Selections that found nothing, though all destinations are active.
    failed: AtomicUsize,
    /// Requests without an answer while the server lived.
    lost: AtomicUsize,
}

fn main() {
    let seconds = setting("RACE_SECONDS").unwrap_or(60);
    let limit = Duration::from_secs(seconds);
    println!(
        "8 workers, 16 clients, 4 sets of 100, reload_delta 0; at most {seconds} s each.\n\
         The C module skips a reload that meets another, and says Ok.\n"
    );
    println!(
        "{:<30} {:<6} {:>22} {:>12} {:>12} {:>8} {:>6}",
        "", "module", "life", "changes", "selections", "failed", "lost"
    );
    let mut good = true;
    for (name, scenario) in SCENARIOS {
        let row = |who: &str, end: &End, counts: [usize; 4]| {
            println!(
                "{name:<30} {who:<6} {:>22} {:>12} {:>12} {:>8} {:>6}",
                end.text(seconds),
                counts[0],
                counts[1],
                counts[2],
                counts[3]
            );
        };
        for _ in 0..C_RUNS {
            let (end, counts) = run(Module::C, scenario, limit);
            row("C", &end, counts);
        }
        let (end, counts) = run(Module::Rust, scenario, limit);
        row("ours", &end, counts);
        good &= matches!(end, End::Alive) && counts[2] == 0 && counts[3] == 0;
    }
    assert!(good, "ours died, lost a request or failed a selection");
}

/// Runs a scenario; yields how it ended, and the counts in the order of the table.
fn run(module: Module, scenario: Scenario, limit: Duration) -> (End, [usize; 4]) {
    let sets = (1..=4).flat_map(|set| (0..100).map(move |n| (set, n)));
    let line = |(set, n)| format!("{set} sip:127.0.{set}.{n}:7001\n");
    let list: String = sets.map(line).collect();
    // Writing a core file takes seconds, in which the other workers go on.
    let config = lab().list(list).shm_mb(128);
    let config = config.global("debug=0").global("disable_core_dump=yes");
    let mut server = Kamailio::start(module, config);
    let (count, addr, begin) = (Count::default(), server.addr(), Instant::now());
    let end = std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let count = &count;
            scope.spawn(move || ask_on(scenario, client, addr, begin, count));
        }
        let end = watch(&mut server, &count, begin, limit);
        count.stop.store(true, Ordering::Relaxed);
        end
    });
    match module {
        Module::C => server.abandon(),
        _ => server.stop(),
    }
    let counts = [count.changes, count.selections, count.failed, count.lost];
    (end, counts.map(AtomicUsize::into_inner))
}

/// One client: asks until all stop.
fn ask_on(scenario: Scenario, client: usize, addr: SocketAddr, begin: Instant, count: &Count) {
    let (uac, mut turn) = (Uac::new(), client);
    while !count.stop.load(Ordering::Relaxed) {
        turn = turn
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(12_345);
        one(scenario, client, turn >> 20, count, |request| {
            let reply = uac.try_request(addr, request, LIMIT)?;
            let now = begin.elapsed().as_micros().try_into().unwrap();
            count.last.fetch_max(now, Ordering::Relaxed);
            Some(reply)
        });
    }
}

/// Waits for the end of the server or of the time.
fn watch(server: &mut Kamailio, count: &Count, begin: Instant, limit: Duration) -> End {
    while begin.elapsed() < limit {
        let last = Duration::from_micros(count.last.load(Ordering::Relaxed));
        if !server.is_running() || server.log().contains("exited by a signal") {
            return End::Dead(last);
        }
        if begin.elapsed() > last + HANG {
            return End::Hung(last);
        }
        std::thread::sleep(LOOK);
    }
    End::Alive
}

/// One request of a client.
fn one(
    scenario: Scenario,
    client: usize,
    chance: usize,
    count: &Count,
    send: impl Fn(&Request) -> Option<harness::Message>,
) {
    let edit = |method: &str| {
        let uri = format!("sip:127.0.9.{}:7001", chance / 2 % 50);
        ask_rpc(method, json!([1, uri]))
    };
    let (what, kind) = match scenario {
        Scenario::Edits => ("", Kind::Change),
        Scenario::ReloadAndSelect if client == 0 => ("reload", Kind::Change),
        Scenario::ReloadAndSelect => [
            ("sel4", Kind::Select),
            ("sel0", Kind::Select),
            ("islist", Kind::Ask),
        ][chance % 3],
        Scenario::Mixed => match chance % 5 {
            0 => ("reload", Kind::Change),
            1 => ("islist", Kind::Ask),
            _ => ("sel4", Kind::Select),
        },
        Scenario::Reloads => ("reload", Kind::Change),
    };
    let request = match scenario {
        Scenario::Edits => edit(["dispatcher.add", "dispatcher.remove"][chance % 2]),
        _ => ask(what),
    };
    let reply = send(&request);
    let tell = |counter: &AtomicUsize| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    match reply {
        None if !count.stop.load(Ordering::Relaxed) => tell(&count.lost),
        None => {}
        Some(_) if kind == Kind::Change => tell(&count.changes),
        Some(reply) => {
            tell(&count.selections);
            if kind == Kind::Select && code(&reply) != Some(1) {
                tell(&count.failed);
            }
        }
    }
}

//! Random events from eight callers and an operator, beside a model.
//!
//! The events of one call come one after the other, those of different calls at the same time. At
//! each stop every destination's count and every call is compared with the model. Environment:
//! `CALL_LOAD_EVENTS`, `CALL_LOAD_SEED`, and `CALL_LOAD_CALLS` for the test of the distribution.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::bursts::number;
use super::desk::{Desk, Said, config, dests, loads, loads_of, up, uri};
use harness::{Kamailio, Module, patience, sanitizer, wait_for};

/// Callers at the same time; as many workers.
const CALLERS: usize = 8;
/// Call-IDs of a caller.
const CALLS: usize = 12;
/// Stops at which everything is compared.
const STOPS: usize = 20;
/// How far shared memory may be from its start: the server's allocator leaves a rest that is too
/// small for a block to its neighbour. A leak of one call in a hundred events is more. Unit: bytes.
const ROUNDING: i64 = 2_048;
/// Destinations that nobody touches, then those that come and go.
const IDS: [&str; 8] = [
    "a",
    "b",
    "c",
    "d",
    "w;maxload=5",
    "x;maxload=5",
    "y;maxload=5",
    "z;maxload=5",
];
const STEADY: usize = 4;

/// The place where a call is counted: unique id, and whether it is confirmed.
type Counted = (String, bool);

/// One caller, and what it knows of its calls.
struct Caller<'s> {
    desk: Desk<'s>,
    name: usize,
    random: StdRng,
    calls: BTreeMap<String, Counted>,
}

impl Caller<'_> {
    fn event(&mut self) {
        let call = format!("{}-{}", self.name, self.random.random_range(0..CALLS));
        match self.random.random_range(0..100) {
            0..40 => self.sent(&call, |desk| desk.select(&call)),
            40..55 => {
                let times = self.random.random_range(1..5);
                self.failover(&call, times);
            }
            55..68 => {
                self.desk.answer(200, &call);
                if let Some(counted) = self.calls.get_mut(&call) {
                    counted.1 = true;
                }
            }
            68..78 => self.refused(&call, |desk| desk.answer(486, &call)),
            78..84 => self.refused(&call, |desk| {
                assert_eq!(desk.ask("CANCEL", "update", &call).rc, 1);
            }),
            84..97 => self.ended(&call, |desk| assert_eq!(desk.bye(&call).rc, 1)),
            _ => {
                let expected = if self.calls.contains_key(&call) {
                    1
                } else {
                    -1
                };
                self.ended(&call, |desk| {
                    assert_eq!(desk.ask("INFO", "unset", &call).rc, expected, "{call}");
                });
            }
        }
    }

    /// What ends a call unless it is answered.
    fn refused(&mut self, call: &str, how: impl FnOnce(&Desk<'_>)) {
        how(&self.desk);
        self.calls
            .retain(|id, (_, answered)| id != call || *answered);
    }

    fn ended(&mut self, call: &str, how: impl FnOnce(&Desk<'_>)) {
        how(&self.desk);
        self.calls.remove(call);
    }

    /// An INVITE without failover.
    fn sent(&mut self, call: &str, how: impl FnOnce(&Desk<'_>) -> Said) {
        let said = how(&self.desk);
        let there = self.calls.get(call);
        if said.rc != 1 {
            assert!(there.is_none_or(|(id, _)| !steady(id)), "{call}: {said:?}");
            return;
        }
        let id = said.id.unwrap_or_default();
        match there {
            Some((old, _)) if *old == id => {}
            Some((old, _)) if steady(old) => panic!("{call} was at {old}, is sent to {id}"),
            Some((_, true)) => {}
            _ => {
                self.calls.insert(call.to_owned(), (id, false));
            }
        }
    }

    /// An INVITE that fails over up to so many times.
    fn failover(&mut self, call: &str, times: usize) {
        let said = self.desk.failover(call, times);
        let Some(id) = said.id else { return };
        let moved = said.moves > 0;
        match self.calls.get(call) {
            Some((old, _)) if *old == id && !moved => {}
            Some((_, true)) => {}
            _ => {
                self.calls.insert(call.to_owned(), (id, false));
            }
        }
    }
}

fn steady(id: &str) -> bool {
    IDS[..STEADY].contains(&id)
}

/// Changes the list until the callers are done.
fn operate(server: &Kamailio, random: &mut StdRng, done: &AtomicBool) {
    while !done.load(Relaxed) {
        let n = random.random_range(STEADY..IDS.len());
        let attrs = format!("duid={}", IDS[n]);
        let priority = (99 - n).to_string();
        let state = ["a", "i", "d"][random.random_range(0..3)];
        // What is there already, or is not, is refused: that is part of the mix.
        let _ = match random.random_range(0..6) {
            0 => server.kamcmd(&["dispatcher.reload"]),
            1 => server.kamcmd(&["dispatcher.remove", "1", &uri(n)]),
            2 | 3 => server.kamcmd(&["dispatcher.add", "1", &uri(n), "0", &priority, &attrs]),
            _ => server.kamcmd(&["dispatcher.set_state", state, "1", &uri(n)]),
        };
    }
}

/// All callers make `events` events, while the list changes.
fn run(server: &Kamailio, callers: &mut [Caller<'_>], random: &mut StdRng, events: usize) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| operate(server, random, &done));
        let run = |caller| scope.spawn(move || make(caller, events / CALLERS));
        let running: Vec<_> = callers.iter_mut().map(run).collect();
        let ended: Vec<_> = running.into_iter().map(|caller| caller.join()).collect();
        done.store(true, Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a caller has failed");
    });
}

fn make(caller: &mut Caller<'_>, events: usize) {
    (0..events).for_each(|_| caller.event());
}

/// Compares the server with the model, all destinations being in the list.
fn compare(server: &Kamailio, callers: &[Caller<'_>]) {
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    let known = callers.iter().flat_map(|caller| &caller.calls);
    let known: BTreeMap<String, Counted> = known.map(|(c, to)| (c.clone(), to.clone())).collect();
    assert_eq!(calls(server), known);
    let expected = IDS.map(|id| {
        let id = id.split(';').next().unwrap_or_default().to_owned();
        let count = known.values().filter(|(to, _)| *to == id).count();
        (id, i64::try_from(count).unwrap())
    });
    assert_eq!(loads_of(server, 1), expected);
    let limited = &expected[STEADY..];
    assert!(limited.iter().all(|(_, load)| *load <= 5), "{expected:?}");
}

/// The calls that the server counts.
fn calls(server: &Kamailio) -> BTreeMap<String, Counted> {
    let reply = server.jsonrpc("dispatcher.calls", json!(["set=1", 0, CALLERS * CALLS + 1]));
    let reply = reply.unwrap();
    let calls = reply["CALLS"].as_array().expect("CALLS is an array");
    let call = |call: &Value| {
        let text = |name: &str| call["CALL"][name].as_str().unwrap_or_default().to_owned();
        (text("CALLID"), (text("DUID"), text("STATE") == "confirmed"))
    };
    calls.iter().map(call).collect()
}

/// Ends all calls.
fn hang_up(server: &Kamailio, callers: &mut [Caller<'_>]) {
    for caller in callers {
        for call in core::mem::take(&mut caller.calls).into_keys() {
            caller.desk.bye(&call);
        }
    }
    assert_eq!(up(server), 0);
}

/// Shared memory in use, without the allocator's overhead. Unit: bytes.
fn used(server: &Kamailio) -> i64 {
    let text = server.kamcmd(&["core.shmmem", "b"]).unwrap();
    let line = text.lines().find_map(|l| l.trim().strip_prefix("used: "));
    line.and_then(|n| n.trim().parse().ok()).expect("used")
}

/// Shared memory in use once calls that ended are given back, with the tick behind the last one.
fn settled(server: &Kamailio) -> i64 {
    let (mut least, mut since) = (i64::MAX, Instant::now());
    wait_for("shared memory to be given back", patience(30), || {
        let now = used(server);
        if now < least {
            (least, since) = (now, Instant::now());
        }
        (since.elapsed() > patience(2)).then_some(least)
    })
}

/// A server with as many workers as callers.
fn start() -> Kamailio {
    let config = config(&dests(&IDS))
        .children(u32::try_from(CALLERS).unwrap())
        .param("ds_hash_size", 4)
        .param("reload_delta", 0)
        .allow_log("is not counted in set 1");
    Kamailio::start(Module::Rust, config)
}

/// Waits until the server uses as much shared memory as at the start.
fn wait_memory(server: &Kamailio, start: i64) {
    wait_for("shared memory as at the start", patience(10), || {
        server.kamcmd(&["dispatcher.reload"]).unwrap();
        let now = used(server);
        if (now - start).abs() > ROUNDING + sanitizer::kept() {
            return None;
        }
        println!("shared memory in use: {now}, at the start {start}");
        Some(())
    });
}

#[test]
fn random_events_leave_every_count_right() {
    let seed = number("CALL_LOAD_SEED", 40) as u64;
    let events = number("CALL_LOAD_EVENTS", 5_000);
    println!("CALL_LOAD_SEED={seed} CALL_LOAD_EVENTS={events}");
    let mut random = StdRng::seed_from_u64(seed);
    let server = start();
    let caller = |name| Caller {
        desk: Desk::new(&server),
        name,
        random: StdRng::seed_from_u64(seed * 1_000 + name as u64),
        calls: BTreeMap::new(),
    };
    let mut callers: Vec<Caller<'_>> = (0..CALLERS).map(caller).collect();
    // Everything has happened once before memory is measured.
    run(&server, &mut callers, &mut random, 400);
    hang_up(&server, &mut callers);
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    let start = settled(&server);
    for _ in 0..=STOPS {
        run(&server, &mut callers, &mut random, events / (STOPS + 1));
        compare(&server, &callers);
    }
    hang_up(&server, &mut callers);
    assert!(loads_of(&server, 1).iter().all(|(_, load)| *load == 0));
    wait_memory(&server, start);
}

/// Ends the calls that are due, in the model and at the server.
fn end_due(desk: &Desk<'_>, ends: &mut Ends, model: &mut [usize], now: usize) {
    while let Some(&Reverse((end, call, at))) = ends.peek() {
        if end > now {
            return;
        }
        ends.pop();
        desk.bye(&format!("call{call}"));
        model[at] -= 1;
    }
}

/// Calls that are up, the first one to end on top: when it ends, its number, its destination.
type Ends = BinaryHeap<Reverse<(usize, usize, usize)>>;

#[test]
fn picks_of_calls_of_random_length_follow_a_plain_scan() {
    const DESTS: usize = 20;
    let ids: Vec<String> = (0..DESTS).map(|n| format!("d{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let server = Kamailio::start(Module::Rust, config(&dests(&ids)));
    let desk = Desk::new(&server);
    let mut random = StdRng::seed_from_u64(7);
    let mut model = vec![0_usize; DESTS];
    let mut ends = Ends::new();
    let calls = number("CALL_LOAD_CALLS", 2_000);
    let (mut widest, mut sum, mut samples) = (0, 0, 0);
    for n in 0..calls {
        end_due(&desk, &mut ends, &mut model, n);
        let least = (0..DESTS).min_by_key(|&at| model[at]).unwrap();
        let picked = desk.pick(&format!("call{n}"));
        assert_eq!(picked.as_deref(), Some(ids[least]), "call {n}: {model:?}");
        model[least] += 1;
        ends.push(Reverse((n + random.random_range(1..1_000), n, least)));
        if n % 100 == 99 {
            let all = model
                .iter()
                .zip(&ids)
                .map(|(load, id)| format!("{id}={load}"));
            assert_eq!(loads(&server), all.collect::<Vec<_>>().join(" "));
            let spread = model.iter().max().unwrap() - model.iter().min().unwrap();
            (widest, sum, samples) = (widest.max(spread), sum + spread, samples + 1);
        }
    }
    let up = ends.len();
    println!(
        "{calls} calls, {up} up at the end; largest minus smallest count at {samples} samples: at most {widest}, {sum} in all"
    );
}

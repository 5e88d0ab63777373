//! `make soak`: eight workers, calls, and every change of the lists at once, for `SOAK_SECONDS`.
//!
//! In the end the server must live, have logged no BUG or CRITICAL, have failed no selection, hold
//! as much shared memory as in the beginning, and have the list and the states that a model says.

mod load;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::lab::lab;
use harness::{Answer, Kamailio, Module, Uas};
use load::Soak;
use serde_json::json;
use world::{Chance, EDITED, LASTING, good, lasting, order, replace};

/// What the server's own pieces may differ by. Unit: bytes. One version of the list takes 40,000.
const SLACK: i64 = 16_384;
/// Run before the memory is measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// Transactions end by timers, and replaced lists go with the next tick.
const SETTLING: Duration = Duration::from_secs(15);

fn main() {
    let seconds = std::env::var("SOAK_SECONDS").ok();
    let seconds = seconds.map_or(600, |text| text.parse().expect("SOAK_SECONDS is a number"));
    let targets = [Uas::start(Answer::Code(200)), Uas::start(Answer::Code(200))];
    let called: Vec<String> = targets.iter().map(Uas::uri).collect();
    let last = good(&mut Chance(1), &called);
    let server = start(&last);
    let soak = |stop| Soak {
        server: &server,
        called: &called,
        stop,
        counts: Mutex::default(),
        faults: Mutex::default(),
    };
    // What the server takes once, at its first calls and commands, is no leak.
    let stops = [AtomicBool::new(false), AtomicBool::new(false)];
    run(&soak(&stops[0]), WARM_UP);
    load_last(&server, &last);
    let base = settled(&server, 0);
    for set in EDITED {
        let all = json!(["a", set, "all"]);
        server
            .jsonrpc("dispatcher.set_state", all)
            .expect("the set is there");
    }
    let soak = soak(&stops[1]);
    let states = run(&soak, Duration::from_secs(seconds));
    load_last(&server, &last);
    let wrong = compare(&server, &last, &states);
    let end = settled(&server, base + SLACK);
    let (counts, faults) = (
        soak.counts.into_inner().unwrap(),
        soak.faults.into_inner().unwrap(),
    );
    let ok = faults.is_empty() && wrong.is_empty() && end <= base + SLACK;
    let failed = counts.get("failed selections").copied().unwrap_or(0);
    let counts: Vec<String> = counts
        .iter()
        .map(|(what, n)| format!("{n} {what}"))
        .collect();
    println!(
        "soak: {seconds} s, 8 workers: {}; {failed} failed selections; shared memory {base} -> \
         {end} bytes; final list and states {}; {}",
        counts.join(", "),
        if wrong.is_empty() {
            "as the model says"
        } else {
            "WRONG"
        },
        if ok { "OK" } else { "FAILED" }
    );
    faults
        .iter()
        .chain(&wrong)
        .for_each(|fault| println!("  {fault}"));
    server.stop();
    assert!(ok, "the soak failed");
}

/// A server with the allocator that checks most.
fn start(list: &str) -> Kamailio {
    let config = lab()
        .list(list)
        .memory_manager("qm")
        .shm_mb(128)
        .global("debug=-1")
        // It keeps names that do not resolve, in the memory that is measured.
        .global("use_dns_cache=off")
        .modparam("tm", "wt_timer", 500)
        .only_critical();
    Kamailio::start(Module::Rust, config)
}

/// Loads the list that is there in the end.
fn load_last(server: &Kamailio, last: &str) {
    replace(&server.list_path(), last.as_bytes());
    server
        .jsonrpc("dispatcher.reload", json!([]))
        .expect("the last list is good");
}

/// Runs all threads; yields the states of the lasting destinations, by set.
fn run(soak: &Soak<'_>, time: Duration) -> BTreeMap<i64, Vec<&'static str>> {
    std::thread::scope(|scope| {
        (1..=3).for_each(|seed| {
            scope.spawn(move || soak.select(seed));
        });
        (0..2).for_each(|_| {
            scope.spawn(|| soak.call());
        });
        scope.spawn(|| soak.reload(&soak.server.list_path()));
        scope.spawn(|| soak.reload_by_script());
        scope.spawn(|| soak.read());
        let editors = EDITED.map(|set| (set, scope.spawn(move || soak.edit(set))));
        // The one place that waits for time to pass: time is what a soak is about.
        let end = Instant::now() + time;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
        }
        soak.stop.store(true, Ordering::Relaxed);
        let joined = editors.map(|(set, editor)| (set, editor.join().expect("an editor")));
        joined.into_iter().collect()
    })
}

/// Compares the running list with a file and the model's states; yields the differences.
fn compare(
    server: &Kamailio,
    list: &str,
    states: &BTreeMap<i64, Vec<&'static str>>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (set, expected) in order(list) {
        let uris: Vec<String> = server.dests(set).into_iter().map(|(uri, _)| uri).collect();
        if uris != expected {
            wrong.push(format!("set {set} is {uris:?}, not {expected:?}"));
        }
    }
    let sets = server
        .jsonrpc("dispatcher.list", json!(["short"]))
        .expect("a list");
    if sets["NRSETS"] != order(list).len() {
        wrong.push(format!(
            "{} sets, not {}",
            sets["NRSETS"],
            order(list).len()
        ));
    }
    for (set, states) in states {
        for (n, state) in (0..LASTING).zip(states) {
            let flags = server.flags(*set, &lasting(*set, n));
            if flags != *state {
                wrong.push(format!(
                    "{} of set {set} is {flags}, not {state}",
                    lasting(*set, n)
                ));
            }
        }
    }
    wrong
}

/// Shared memory in use once it is at most `limit`, or else after a while. Unit: bytes.
fn settled(server: &Kamailio, limit: i64) -> i64 {
    let end = Instant::now() + SETTLING;
    loop {
        let stats = server
            .jsonrpc("core.shmmem", json!([]))
            .expect("core.shmmem");
        let used = stats["used"].to_string();
        let used = used.trim_matches('"').parse().expect("used is a number");
        if used <= limit || Instant::now() > end {
            return used;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

//! Scrapes beside reloads and calls: no selection fails, and no memory is lost.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use harness::http::Http;
use harness::{Config, Kamailio, Module, Request, Uac, patience, poll, sanitizer, this_server};
use harness::{under_valgrind, wait_for};
use serde_json::{Value, json};

const ROUTES: &str = r#"
request_route {
    if (ds_select_dst("1", "4")) { sl_send_reply("200", "OK"); } else { sl_send_reply("500", "No"); }
}
event_route[xhttp:request] { ds_metrics(); }
"#;

/// The number of scrapes.
fn times() -> usize {
    if under_valgrind() { 50 } else { 1_000 }
}

/// Bytes by which shared memory, and private memory of all processes together, may differ: each scrape, reload or call
/// that lost a piece would show.
const SLACK: i64 = 8_192;

/// The same for the heaps of processes: a page has 70 kB.
const HEAP_SLACK: i64 = 4_000_000;

fn number(value: &Value) -> i64 {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| value.to_string()).parse().unwrap()
}

fn shared(server: &Kamailio) -> i64 {
    number(&server.jsonrpc("core.shmmem", json!([])).unwrap()["used"])
}

/// Private memory in use, of all processes.
fn private(server: &Kamailio) -> i64 {
    let stats = server.jsonrpc("pkg.stats", json!([])).unwrap();
    let of_all = stats.as_array().unwrap().iter();
    of_all.map(|of_one| number(&of_one["used"])).sum()
}

/// The resident memory of each process of the server.
fn resident(server: &Kamailio) -> BTreeMap<u32, i64> {
    let stats = server.jsonrpc("core.psx", json!([])).unwrap();
    let pids = stats.as_array().unwrap().iter();
    let pids = pids.map(|of_one| u32::try_from(number(&of_one["PID"])).unwrap());
    pids.map(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb = line.unwrap().trim().trim_end_matches(" kB");
        (pid, kb.parse::<i64>().unwrap() * 1_024)
    })
    .collect()
}

/// Scrapes so often over one connection, beside reloads and calls; yields the numbers of those.
fn run(server: &Kamailio, scrapes: usize) -> (usize, usize) {
    let (done, reloads, calls) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                server.jsonrpc("dispatcher.reload", json!([])).unwrap();
                reloads.fetch_add(1, SeqCst);
            }
        });
        scope.spawn(|| {
            let caller = Uac::new();
            while !done.load(SeqCst) {
                let request = Request::new("OPTIONS", "sip:x@service.test");
                let reply = caller.request(server.addr(), &request);
                assert_eq!(reply.status(), Some(200), "a selection failed");
                calls.fetch_add(1, SeqCst);
            }
        });
        let mut http = Http::to(server.addr());
        for at in 0..scrapes {
            let headers: &[&str] = if at % 2 == 0 {
                &[]
            } else {
                &["Accept-Encoding: gzip"]
            };
            let page = http.get("/metrics", headers);
            assert_eq!(page.status, 200);
            // The list is whole on each page.
            if at % 2 == 0 {
                let text = page.text();
                let shown = text.matches("kamailio_dispatcher_destination_up{").count();
                assert_eq!(shown, 150);
                assert!(text.contains("\nkamailio_dispatcher_list_destinations 150\n"));
            }
        }
        done.store(true, SeqCst);
    });
    (reloads.into_inner(), calls.into_inner())
}

#[test]
fn a_thousand_scrapes_beside_reloads_and_calls_break_nothing_and_lose_no_memory() {
    if this_server::lacks(&["xhttp.so", "kex.so"]) {
        return;
    }
    let list: String = (0..150)
        .map(|n| format!("1 sip:127.0.0.1:{}\n", 7_000 + n))
        .collect();
    let config = Config::routes(ROUTES)
        .tcp()
        .global("tcp_accept_no_cl=yes")
        .load("xhttp.so")
        .list(list)
        .param("counters", 2);
    let server = Kamailio::start(Module::Rust, config);
    run(&server, times() / 5);
    wait_for("what was replaced", patience(10), || {
        let stats = server.jsonrpc("dispatcher.stats", json!([])).unwrap();
        (number(&stats["MEMORY"]["REPLACED_PIECES"]) == 0).then_some(())
    });
    let before = (shared(&server), private(&server), resident(&server));
    let (reloads, calls) = run(&server, times());
    println!(
        "{} scrapes beside {reloads} reloads and {calls} calls",
        times()
    );
    assert!(
        reloads > 10 && calls > 10,
        "{reloads} reloads, {calls} calls"
    );
    let step = std::time::Duration::from_millis(20);
    let used = poll(
        step,
        patience(10),
        || shared(&server),
        |used| *used <= before.0 + SLACK,
    );
    assert!(
        used <= before.0 + SLACK + sanitizer::kept(),
        "shared: {} to {used}",
        before.0
    );
    let used = private(&server);
    assert!(used <= before.1 + SLACK, "private: {} to {used}", before.1);
    // Memcheck's own notes grow with each place of a leak and of a stack that it sees.
    let watched = resident(&server).into_iter();
    for (pid, now) in watched.filter(|_| !under_valgrind()) {
        let then = before.2[&pid];
        assert!(
            now <= then + HEAP_SLACK,
            "process {pid}: {then} to {now} bytes"
        );
    }
}

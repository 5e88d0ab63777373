//! Reloads while everything else goes on: nothing dies, nothing fails, nothing leaks, states stay.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use harness::{Config, Kamailio, Module, Probe, Request, Uac, patience, under_valgrind, wait_for};
use serde_json::json;

/// Four sets of 100 destinations each, all usable, with weights.
fn big_list() -> String {
    let mut list = String::new();
    for set in 1..=4 {
        for n in 0..100 {
            list += &format!(
                "{set} sip:127.0.{set}.{n}:7001 0 {} duid=d{n};weight=1\n",
                n % 3
            );
        }
    }
    list
}

fn busy() -> Config {
    Probe::new()
        .config()
        .list(big_list())
        .param("flags", 2)
        .children(8)
}

/// Selects until the time is over; counts selections, panics on the first that fails.
fn select_all_the_while(addr: SocketAddr, until: Instant, done: &AtomicUsize) {
    let uac = Uac::new();
    let kinds = [
        "dst3,1,4,3",
        "dst3,2,0,3",
        "dst3,3,8,3",
        "dst3,4,9,3",
        "from|active,1|exist,2",
    ];
    while Instant::now() < until {
        let requests: Vec<Request> = kinds.iter().map(|kind| Probe::request(kind)).collect();
        for reply in uac.batch(addr, &requests, 5) {
            let lines = Probe::lines(&reply);
            let failed = lines
                .iter()
                .any(|l| l.contains("rc=-1") && !l.contains("= from"));
            assert!(!failed && !lines.is_empty(), "{lines:?}");
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Bytes of shared memory in use.
fn shared_memory(server: &Kamailio) -> i64 {
    let stats = server.jsonrpc("core.shmmem", json!([])).unwrap();
    let used = &stats["used"];
    used.as_i64()
        .or_else(|| used.as_str().and_then(|text| text.parse().ok()))
        .unwrap_or_else(|| panic!("no used in {stats}"))
}

/// The amount by which the server's own pieces may differ. Unit: bytes. One of these lists takes 300,000.
const SLACK: i64 = 16_384;

/// Waits until the memory in use is at most `limit`: replaced lists go with the next timer tick.
fn falls_to(server: &Kamailio, limit: i64) {
    let what = format!("shared memory at most {limit} bytes");
    wait_for(&what, patience(10), || {
        (shared_memory(server) <= limit).then_some(())
    });
}

#[test]
fn no_selection_fails_while_several_processes_reload() {
    let server = Kamailio::start(Module::Rust, busy());
    for _ in 0..3 {
        server.kamcmd(&["dispatcher.reload"]).unwrap();
    }
    let (selected, reloads) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let until = Instant::now() + patience(5);
    let server = &server;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| select_all_the_while(server.addr(), until, &selected));
        }
        let reloads = &reloads;
        let reload_by = |by: fn(&Kamailio)| {
            scope.spawn(move || {
                while Instant::now() < until {
                    by(server);
                    reloads.fetch_add(1, Ordering::Relaxed);
                }
            });
        };
        reload_by(|server| {
            let said = server.kamcmd(&["dispatcher.reload"]).unwrap();
            assert!(
                said.ends_with("Ok. Dispatcher successfully reloaded."),
                "{said}"
            );
        });
        reload_by(|server| {
            server.jsonrpc("ds_reload", json!([])).unwrap();
        });
    });
    let (selected, reloads) = (selected.into_inner(), reloads.into_inner());
    println!("{selected} selections, {reloads} reloads");
    let (some, few) = if under_valgrind() { (50, 5) } else { (500, 50) };
    assert!(
        selected > some && reloads > few,
        "{selected} selections, {reloads} reloads"
    );
    assert_eq!(server.dests(4).len(), 100);
}

#[test]
fn shared_memory_is_flat_over_reloads() {
    let server = Kamailio::start(Module::Rust, busy());
    let reload = |times: u32| {
        (0..times).for_each(|_| {
            server.jsonrpc("dispatcher.reload", json!([])).unwrap();
        })
    };
    reload(5);
    let base = shared_memory(&server);
    reload(if under_valgrind() { 20 } else { 200 });
    falls_to(&server, base + SLACK);
    server.write_list("1 sip:127.0.0.1:7001\n");
    reload(1);
    falls_to(&server, base - 50_000);
    server.write_list(big_list());
    reload(1);
    falls_to(&server, base + SLACK);
    server.write_list("x\n");
    server.allow_log("expected a set id");
    for _ in 0..5 {
        server.jsonrpc("dispatcher.reload", json!([])).unwrap_err();
    }
    falls_to(&server, base + SLACK);
}

/// Does something while another client reloads over and over.
fn while_reloading(server: &Kamailio, work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                server.jsonrpc("dispatcher.reload", json!([])).unwrap();
            }
        });
        work();
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn states_set_while_others_reload_are_never_lost() {
    let server = Kamailio::start(Module::Rust, busy());
    while_reloading(&server, || {
        for n in 0..100 {
            let uri = format!("sip:127.0.2.{n}:7001");
            let state = ["d", "ip", "tp", "i"][n % 4];
            server
                .kamcmd(&["dispatcher.set_state", state, "2", &uri])
                .unwrap();
        }
    });
    for n in 0..100 {
        let letters = ["DX", "IP", "TP", "IX"][n % 4];
        assert_eq!(
            server.flags(2, &format!("sip:127.0.2.{n}:7001")),
            letters,
            "{n}"
        );
    }
    assert!(server.dests(1).iter().all(|(_, flags)| flags == "AX"));
}

const SMALL: &str = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002 1\n1 sip:127.0.0.1:7003\n";

fn small() -> Config {
    Probe::new()
        .config()
        .list(SMALL)
        .param("flags", 2)
        .param("ds_probing_threshold", 3)
}

/// Flags of 7001, 7002, 7003.
fn letters(server: &Kamailio) -> [String; 3] {
    [1, 2, 3].map(|n| server.flags(1, &format!("sip:127.0.0.1:700{n}")))
}

fn set_state(server: &Kamailio, state: &str, port: u16) {
    let uri = format!("sip:127.0.0.1:{port}");
    server
        .kamcmd(&["dispatcher.set_state", state, "1", &uri])
        .unwrap();
}

#[test]
fn states_and_counters_survive_a_reload() {
    let server = Kamailio::start(Module::Rust, small());
    let uac = Uac::new();
    set_state(&server, "d", 7001);
    set_state(&server, "a", 7002);
    Probe::run(&uac, server.addr(), "dst,1,8|mark_t|mark_t");
    assert_eq!(letters(&server), ["DX", "AX", "TX"]);
    server.write_list(format!(
        "1 sip:127.0.0.1:7009\n{SMALL}2 sip:127.0.0.1:7001\n"
    ));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(letters(&server), ["DX", "AX", "TX"]);
    assert_eq!(server.flags(1, "sip:127.0.0.1:7009"), "AX");
    assert_eq!(server.flags(2, "sip:127.0.0.1:7001"), "AX", "another set's");
    Probe::run(&uac, server.addr(), "dst,1,8|mark_t");
    assert_eq!(letters(&server)[2], "IX", "the third failure in a row");
}

#[test]
fn where_the_list_changes_its_flags_the_list_wins() {
    let server = Kamailio::start(Module::Rust, small());
    set_state(&server, "d", 7001);
    set_state(&server, "d", 7003);
    server.write_list(SMALL.replace("7003", "7003 8"));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(letters(&server), ["DX", "IX", "AP"]);
    set_state(&server, "i", 7003);
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(letters(&server)[2], "IX", "the flags did not change again");
}

#[test]
fn with_reload_state_file_the_list_always_wins() {
    let server = Kamailio::start(Module::Rust, small().param("reload_state", "file"));
    let uac = Uac::new();
    set_state(&server, "d", 7001);
    set_state(&server, "a", 7002);
    Probe::run(&uac, server.addr(), "dst,1,8|mark_t|mark_t");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(letters(&server), ["AX", "IX", "AX"]);
    Probe::run(&uac, server.addr(), "dst,1,8|mark_t|mark_t");
    assert_eq!(letters(&server)[2], "TX", "the counter began again");
}

#[test]
fn a_duid_keeps_the_state_of_a_destination_that_moves() {
    let list = |port: u16| format!("1 sip:127.0.0.1:{port} 0 0 duid=gw\n1 sip:127.0.0.1:7100\n");
    let server = Kamailio::start(Module::Rust, small().list(list(7001)));
    set_state(&server, "d", 7001);
    server.write_list(list(7002));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(server.flags(1, "sip:127.0.0.1:7002"), "DX");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7100"), "AX");
}

#[test]
fn round_robin_goes_on_over_a_reload() {
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n1 sip:127.0.0.1:7003\n";
    let server = Kamailio::start(Module::Rust, small().list(list));
    let uac = Uac::new();
    let picks = (0..6).map(|_| {
        server.kamcmd(&["dispatcher.reload"]).unwrap();
        let line = Probe::run(&uac, server.addr(), "dst,1,4").remove(0);
        line.split_once("du=sip:127.0.0.1:").unwrap().1[..4].to_owned()
    });
    let picks: Vec<String> = picks.collect();
    assert_eq!(picks, ["7003", "7002", "7001", "7003", "7002", "7001"]);
}

#[test]
fn every_reload_that_said_ok_took_the_file_as_it_was_then() {
    let server = Kamailio::start(Module::Rust, small());
    while_reloading(&server, || {
        for n in 0..40 {
            // As an operator does it: a whole new file takes the place of the old one.
            let fresh = server.dir().join("fresh.list");
            std::fs::write(&fresh, format!("1 sip:127.0.0.1:{}\n", 8000 + n)).unwrap();
            std::fs::rename(&fresh, server.list_path()).unwrap();
            server.kamcmd(&["dispatcher.reload"]).unwrap();
            let list = server.kamcmd(&["dispatcher.list", "short"]).unwrap();
            assert!(
                list.contains(&format!("127.0.0.1:{}", 8000 + n)),
                "{n}: {list}"
            );
        }
    });
}

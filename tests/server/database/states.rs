//! States that operators have set are written into the flags column, and are there after a restart.

use serde_json::json;

use super::faults::config;
use super::kind::{Database, Kind, Row};
use harness::{Kamailio, Module, patience, wait_for};

/// Waits until the server has written so many flags, at once or one after the other.
fn wait_for_written(server: &Kamailio, rows: usize) {
    wait_for("flags in the table", patience(10), || {
        let log = server.log();
        let counts = log.lines().filter_map(|line| {
            let (head, _) = line.split_once(" destinations written to the table")?;
            head.rsplit(' ').next()?.parse::<usize>().ok()
        });
        (counts.sum::<usize>() == rows).then_some(())
    });
}

fn set(server: &Kamailio, state: &str, uri: &str) {
    let args = json!([state, 1, uri]);
    server.jsonrpc("dispatcher.set_state", args).expect("set");
}

fn flags(server: &Kamailio) -> [String; 3] {
    [
        "sip:127.0.0.1:7001",
        "sip:127.0.0.1:7002",
        "sip:127.0.0.1:7003",
    ]
    .map(|uri| server.flags(1, uri))
}

pub fn states_survive_a_restart(database: &Database) {
    database.create();
    database.fill(&[
        Row::new(1, "sip:127.0.0.1:7001", 8, 0, ""),
        // Without its scheme, as tables may have it.
        Row::new(1, "127.0.0.1:7002", 0, 0, ""),
        Row::new(1, "sip:127.0.0.1:7003", 4, 0, ""),
    ]);
    let config = || config(database).param("db_state_mode", 1);
    let server = Kamailio::start(Module::Rust, config());
    set(&server, "d", "sip:127.0.0.1:7001");
    set(&server, "drain", "sip:127.0.0.1:7002");
    set(&server, "a", "sip:127.0.0.1:7003");
    wait_for_written(&server, 3);
    // A reload finds what was written: nothing new.
    let said = server.jsonrpc("dispatcher.check", json!([])).unwrap();
    assert_eq!((&said["CHANGED"], &said["KEPT"]), (&json!(0), &json!(3)));
    server
        .jsonrpc("dispatcher.reload", json!([]))
        .expect("reloads");
    assert_eq!(flags(&server), ["DX", "RX", "AX"], "{:?}", database.kind);
    if database.kind == Kind::Text {
        // The driver writes its files when it ends.
        server.stop();
    } else {
        server.abandon();
    }
    let server = Kamailio::start(Module::Rust, config());
    assert_eq!(flags(&server), ["DP", "RX", "AX"], "{:?}", database.kind);
    // A row that is gone is said once, and not tried for ever.
    server.expect_log("sip:127.0.0.1:7003: no such row: its state is not kept");
    database.clear();
    set(&server, "d", "sip:127.0.0.1:7003");
    server.wait_log("no such row");
}

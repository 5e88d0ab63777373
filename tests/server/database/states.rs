//! States that operators have set are written into the flags column, and are there after a restart.

use serde_json::json;

use super::faults::config;
use harness::database::{Database, Kind, Row};
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

/// 64, which was the number of draining, means the same, and goes when draining ends.
fn the_old_number_drains_until_it_ends(database: &Database, server: &Kamailio) {
    let uri = "sip:127.0.0.1:7002";
    let reload = || {
        let reply = server.jsonrpc("dispatcher.reload", json!([]));
        reply.expect("reloads");
        server.flags(1, uri)
    };
    database.clear();
    database.fill(&[Row::new(1, uri, 64 + 8, 0, "")]);
    assert_eq!(reload(), "RP", "{:?}", database.kind);
    set(server, "a", uri);
    wait_for_written(server, 1);
    database.fill(&[Row::new(1, "sip:127.0.0.1:7003", 4, 0, "")]);
    assert_eq!(reload(), "AX", "{:?}", database.kind);
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
    // The processes of the text driver do not see what others have not yet saved.
    if database.kind != Kind::Text {
        the_old_number_drains_until_it_ends(database, &server);
    }
    // A row that is gone is said once, and not tried for ever.
    server.expect_log("sip:127.0.0.1:7003: no such row: its state is not kept");
    database.clear();
    set(&server, "i", "sip:127.0.0.1:7003");
    server.wait_log("no such row");
}

/// A column that holds small numbers only, in a database that takes the nearest one without a word.
pub fn a_small_column_keeps_its_number(database: &Database) {
    if database.kind != Kind::Sqlite {
        return;
    }
    database.create();
    database.sql(
        "CREATE TRIGGER small AFTER UPDATE ON dispatcher WHEN new.flags > 32767
         BEGIN UPDATE dispatcher SET flags = 32767 WHERE id = new.id; END;",
    );
    database.fill(&[
        Row::new(1, "sip:127.0.0.1:7001", 8, 0, ""),
        Row::new(1, "sip:127.0.0.1:7002", 8, 0, ""),
    ]);
    let server = Kamailio::start(Module::Rust, config(database).param("db_state_mode", 1));
    server.expect_log(
        "sip:127.0.0.1:7001: its row holds 32767 after a write of other flags: its state is not kept",
    );
    set(&server, "drain", "sip:127.0.0.1:7001");
    set(&server, "d", "sip:127.0.0.1:7002");
    wait_for_written(&server, 1);
    server.wait_log("its row holds 32767");
    server.stop();
    let server = Kamailio::start(Module::Rust, config(database));
    let found = ["sip:127.0.0.1:7001", "sip:127.0.0.1:7002"].map(|uri| server.flags(1, uri));
    assert_eq!(found, ["AP", "DP"]);
}

/// Waits until the row with this port has these flags, in SQLite.
fn wait_for_flags(database: &Database, port: u16, flags: u32) {
    let asked = format!("SELECT flags FROM dispatcher WHERE destination = 'sip:127.0.0.1:{port}'");
    wait_for("flags in a row", patience(10), || {
        let answer = database.client().arg(&asked).output().unwrap();
        (answer.stdout.trim_ascii() == flags.to_string().as_bytes()).then_some(())
    });
}

/// A row that the database refuses keeps back no other, whatever their order.
pub fn a_row_that_is_refused_keeps_no_other_back(database: &Database) {
    if database.kind != Kind::Sqlite {
        return;
    }
    database.create();
    database.sql(
        "CREATE TRIGGER refuses BEFORE UPDATE ON dispatcher WHEN old.destination = 'sip:127.0.0.1:7002'
         BEGIN SELECT RAISE(ABORT, 'no'); END;",
    );
    let row = |port: u16| Row::new(1, &format!("sip:127.0.0.1:{port}"), 8, 0, "");
    database.fill(&[7001, 7002, 7003].map(row));
    let config = config(database)
        .param("db_state_mode", 1)
        .expect_log("the database refuses to write flags")
        .allow_log("db_sqlite");
    let server = Kamailio::start(Module::Rust, config);
    set(&server, "d", "all");
    wait_for_written(&server, 2);
    server.wait_log("states of destinations are not kept, trying again:");
    for (port, flags) in [(7001, 12), (7002, 8), (7003, 12)] {
        wait_for_flags(database, port, flags);
    }
    database.sql("PRAGMA busy_timeout = 5000; DROP TRIGGER refuses;");
    wait_for_flags(database, 7002, 12);
    server.wait_log("states of destinations are kept again");
}

/// A row that has taken other flags than it was given gets its old ones back, however often the database refuses.
pub fn old_flags_are_written_back(database: &Database) {
    if database.kind != Kind::Sqlite {
        return;
    }
    database.create();
    database.sql(
        "CREATE TRIGGER small AFTER UPDATE ON dispatcher WHEN new.flags > 32767
         BEGIN UPDATE dispatcher SET flags = 32767 WHERE id = new.id; END;
         CREATE TRIGGER refuses BEFORE UPDATE ON dispatcher WHEN old.flags = 32767
         BEGIN SELECT RAISE(ABORT, 'no'); END;",
    );
    database.fill(&[Row::new(1, "sip:127.0.0.1:7001", 8, 0, "")]);
    let config = config(database)
        .param("db_state_mode", 1)
        .expect_log("its row holds 32767 after a write of other flags")
        .expect_log("the database refuses to write flags")
        .allow_log("db_sqlite");
    let server = Kamailio::start(Module::Rust, config);
    set(&server, "drain", "sip:127.0.0.1:7001");
    server.wait_log("states of destinations are not kept, trying again:");
    wait_for_flags(database, 7001, 32767);
    set(&server, "d", "sip:127.0.0.1:7001");
    database.sql("PRAGMA busy_timeout = 5000; DROP TRIGGER refuses; DROP TRIGGER small;");
    wait_for_flags(database, 7001, 12);
    server.wait_log("states of destinations are kept again");
}

//! Tables that cannot be read, at start and at a reload: what is said, and that calls go on.

use serde_json::json;

use harness::database::{Database, PASSWORD, Row};
use harness::{Config, Kamailio, Module, Probe, Uac, fails_to_start, refuses};

pub fn config(database: &Database) -> Config {
    let probe = Probe::new().op("reload", "ds_reload();");
    database.config(probe.config())
}

pub fn rows() -> Vec<Row> {
    (7001..7004)
        .map(|port| Row::new(1, &format!("sip:127.0.0.1:{port}"), 0, 0, ""))
        .collect()
}

/// One call, which must find the destinations of [`rows`].
pub fn call(server: &Kamailio, uac: &Uac) {
    let lines = Probe::run(uac, server.addr(), "dst,1,4");
    let found = lines.first().map(String::as_str).unwrap_or_default();
    assert!(found.contains("rc=1 du=sip:127.0.0.1:700"), "{lines:?}");
}

/// Spoils the table, and what is said of it after its name.
type Case = (&'static str, fn(&Database));
const CASES: [Case; 5] = [
    ("expected table version 1 to 4, found 9", |database| {
        database.set_version(Some(9));
    }),
    ("the table of versions has no row for it", |database| {
        database.set_version(None);
    }),
    (
        "cannot query columns setid,destination,flags,priority,attrs",
        |database| database.rename_column("flags", "bits"),
    ),
    (
        "cannot query columns setid,destination,flags,priority,attrs",
        Database::drop_list,
    ),
    ("has no destination left", Database::clear),
];

pub fn a_failed_reload_leaves_the_list(database: &Database) {
    database.create();
    database.fill(&rows());
    let server = Kamailio::start(
        Module::Rust,
        config(database)
            .expect_log("no dispatching list loaded from table dispatcher of ")
            .expect_log("the list has no destination left")
            .expect_log(": no row"),
    );
    let before = server.kamcmd(&["dispatcher.list"]).expect("a list");
    let uac = Uac::new();
    for (reason, spoil) in CASES {
        spoil(database);
        for (method, head) in [
            ("dispatcher.reload", "Reload"),
            ("dispatcher.check", "Check"),
        ] {
            let shown = database.shown();
            match server.kamcmd(&[method]) {
                Err(fault) => {
                    let head = format!("{head} Failed: ");
                    assert!(fault.text.starts_with(&head), "{}", fault.text);
                    let table = format!("table dispatcher of {shown}");
                    assert!(fault.text.contains(&table), "{}", fault.text);
                    assert!(fault.text.contains(reason), "{reason}: {}", fault.text);
                }
                Ok(said) => assert!(
                    method.ends_with("check") && said.contains(reason),
                    "{reason}: {said}"
                ),
            }
            call(&server, &uac);
        }
        let script = Probe::run(&uac, server.addr(), "reload");
        assert!(script[0].contains("rc=-1"), "{script:?}");
        let after = server.kamcmd(&["dispatcher.list"]).expect("a list");
        assert_eq!(after, before, "{reason}");
        database.create();
        database.fill(&rows());
    }
    let said = server.kamcmd(&["dispatcher.reload"]).expect("good again");
    assert!(said.contains("KEPT: 3"), "{said}");
    let script = Probe::run(&uac, server.addr(), "reload");
    assert!(script[0].contains("rc=1"), "{script:?}");
    let log = server.log();
    let ours = log.lines().filter(|line| line.contains("dispatcher ["));
    for line in ours {
        assert!(!line.contains(PASSWORD), "{line}");
    }
}

/// Reloads of each kind, and what the worker's own pieces may differ by: 20 bytes a reload. Unit of
/// the second: bytes.
const TIMES: usize = 200;
const SLACK: i64 = 8_000;

/// Bytes of private memory in use in the worker.
fn private_memory(server: &Kamailio, uac: &Uac) -> i64 {
    call(server, uac);
    let stats = server.jsonrpc("pkg.stats", json!([])).expect("pkg.stats");
    let worker = stats
        .as_array()
        .and_then(|all| all.iter().find(|one| one["rank"] == 1))
        .unwrap_or_else(|| panic!("no worker in {stats}"));
    worker["used"].as_i64().expect("a number")
}

pub fn reloads_leak_nothing(database: &Database) {
    database.create();
    database.fill(&rows());
    let server = Kamailio::start(Module::Rust, config(database).only_critical());
    let uac = Uac::new();
    let reload = |times: usize, code: &str| {
        for _ in 0..times {
            let said = Probe::run(&uac, server.addr(), "reload");
            assert!(said[0].contains(code), "{said:?}");
        }
    };
    reload(5, "rc=1");
    let before = private_memory(&server, &uac);
    reload(TIMES, "rc=1");
    database.rename_column("flags", "bits");
    reload(TIMES, "rc=-1");
    database.set_version(None);
    reload(TIMES, "rc=-1");
    let after = private_memory(&server, &uac);
    println!("{:?}: private memory {before}, then {after}", database.kind);
    assert!(after - before < SLACK, "{before} {after}");
}

pub fn a_start_needs_a_good_table(database: &Database) {
    for (reason, spoil) in &CASES[..4] {
        database.create();
        spoil(database);
        let log = fails_to_start(Module::Rust, config(database));
        let shown = database.shown();
        let expected =
            format!("no dispatching list loaded from table dispatcher of {shown}: {reason}");
        assert!(log.contains(&expected), "{expected}\n{log}");
    }
    // As in the C module: an empty table is fine at start.
    database.create();
    let empty =
        config(database).expect_log(&format!("table dispatcher of {}: no row", database.shown()));
    let server = Kamailio::start(Module::Rust, empty);
    database.fill(&rows());
    let said = server.kamcmd(&["dispatcher.reload"]).expect("rows now");
    assert!(said.contains("ADDED: 3"), "{said}");
    call(&server, &Uac::new());
    drop(server);
    let other = Probe::new()
        .config()
        .param("db_url", "nosuch://u:s3cr3t@h/d");
    let expected = "table dispatcher of nosuch://u@h/d: no driver for nosuch: load db_nosuch.so";
    refuses(other, expected);
}

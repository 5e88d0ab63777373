//! A database that is gone, slow or locked at a reload: the list stays and calls go on.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::faults::{call, config, rows};
use harness::database::{Database, Kind, text};
use harness::{Door, Fault, Kamailio, Module, Uac, Way, patience};

pub fn a_lost_database_leaves_the_list(database: &mut Database) {
    database.create();
    database.fill(&rows());
    let config = config(database).expect_log("no dispatching list loaded from");
    let server = Kamailio::start(Module::Rust, config);
    match database.kind {
        Kind::Text => spoilt(database, &server),
        Kind::Sqlite => locked(database, &server),
        Kind::MariaDb | Kind::Postgres => {
            slow(database, &server);
            killed(database, &server);
            cut(database);
        }
    }
    let said = server.kamcmd(&["dispatcher.reload"]).expect("good again");
    assert!(said.contains("KEPT: 3"), "{said}");
}

/// A reload, and calls before and after it; yields what it said.
fn reload(server: &Kamailio) -> Result<String, Fault> {
    let uac = Uac::new();
    call(server, &uac);
    let said = server.kamcmd(&["dispatcher.reload"]);
    call(server, &uac);
    said
}

fn refused(database: &Database, server: &Kamailio, reason: &str) {
    let fault = reload(server).expect_err("no list");
    let shown = database.shown();
    let expected = format!("Reload Failed: cannot read table dispatcher of {shown}: {reason}");
    assert_eq!(fault.text, expected);
    assert_eq!(server.dests(1).len(), 3);
}

/// The driver keeps a table whose file is gone, but not one whose file is no table.
fn spoilt(database: &Database, server: &Kamailio) {
    text::spoil(database.dir.path(), "version");
    refused(database, server, "cannot read the table's version");
    database.create();
    database.fill(&rows());
}

/// SQLite does not wait for a lock.
fn locked(database: &Database, server: &Kamailio) {
    let (mut holder, mut input) = holder(database);
    refused(database, server, "cannot read the table's version");
    use std::io::Write;
    writeln!(input, "ROLLBACK;").expect("the lock's holder");
    drop(input);
    holder.wait().expect("its end");
}

/// A client that keeps the whole database locked.
fn holder(database: &Database) -> (Child, std::process::ChildStdin) {
    use std::io::{BufRead, BufReader, Write};
    let mut client = database.client();
    client.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().expect("the client");
    let mut input = client.stdin.take().expect("its input");
    writeln!(input, "BEGIN EXCLUSIVE; SELECT 'locked';").expect("the lock");
    let mut line = String::new();
    let output = client.stdout.take().expect("its output");
    BufReader::new(output)
        .read_line(&mut line)
        .expect("the lock");
    assert_eq!(line.trim(), "locked");
    (client, input)
}

/// While the database does not answer, the reload waits and calls do not.
fn slow(database: &Database, server: &Kamailio) {
    let daemon = database.daemon.as_ref().expect("a server");
    daemon.pause(true);
    std::thread::scope(|scope| {
        let reload =
            scope.spawn(|| server.jsonrpc_within("dispatcher.reload", json!([]), patience(30)));
        let (uac, end) = (Uac::new(), Instant::now() + Duration::from_millis(500));
        let mut slowest = Duration::ZERO;
        while Instant::now() < end {
            let start = Instant::now();
            call(server, &uac);
            slowest = slowest.max(start.elapsed());
        }
        daemon.pause(false);
        println!("{:?}: slowest call {slowest:?}", database.kind);
        assert!(slowest < patience(1), "a call took {slowest:?}");
        // The driver has waited, or has given up in time.
        if let Err(fault) = reload.join().expect("an end") {
            let text = fault.text;
            assert!(text.contains("cannot connect to the database"), "{text}");
        }
    });
}

/// A connection that ends anywhere in the answers is not an empty list.
fn cut(database: &Database) {
    let door = Door::before(database.daemon.as_ref().expect("a server").port);
    let url = database.url_through(&door);
    let server = Kamailio::start(
        Module::Rust,
        config(database).param("db_url", url).only_critical(),
    );
    let mut taken = 0;
    for bytes in (0..2_500).step_by(20) {
        door.set(Way::BreaksAfter(bytes));
        let said = server.kamcmd(&["dispatcher.reload", "empty"]);
        assert_eq!(server.dests(1).len(), 3, "after {bytes} bytes: {said:?}");
        taken += i32::from(said.is_ok());
    }
    assert!(
        (1..125).contains(&taken),
        "{taken} of 125 answers came whole"
    );
}

fn killed(database: &mut Database, server: &Kamailio) {
    database.daemon.as_mut().expect("a server").kill();
    refused(database, server, "cannot connect to the database");
    database.daemon.as_mut().expect("a server").restart();
}

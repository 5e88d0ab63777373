//! The same 2,000 destinations from a file and from a database: the same list and the same picks.

use harness::database::{Database, Kind, Row};
use harness::{Config, Kamailio, Module, Probe, Request, Uac};

const SETS: usize = 20;
const ROWS: usize = 2000;

/// Rows of all kinds, in no order: negative priorities, flags, attributes, a long one.
fn rows() -> Vec<Row> {
    let row = |n: usize| {
        let number = |n: usize| i64::try_from(n).expect("small");
        let set = number(n * 7 % SETS);
        let uri = format!("sip:127.0.{}.{}:{}", n % 5, 1 + n % 200, 7000 + n);
        let flags = [0, 0, 0, 8, 1, 2][n % 6];
        let attrs = match n % 4 {
            0 => format!("duid=d{n};weight={}", 1 + n % 50),
            1 => format!("rweight={};my=x{n}", 1 + n % 99),
            2 if n % 100 == 2 => format!("duid=d{n};long={}", "y".repeat(900)),
            _ => String::new(),
        };
        Row::new(set, &uri, flags, number(n % 5) - 2, &attrs)
    };
    (0..ROWS).map(row).collect()
}

fn as_list(rows: &[Row]) -> String {
    let line = |row: &Row| {
        format!(
            "{} {} {} {} {}\n",
            row.set.expect("a set"),
            row.uri.as_deref().expect("a URI"),
            row.flags.expect("flags"),
            row.priority.expect("a priority"),
            row.attrs.as_deref().expect("attributes")
        )
    };
    rows.iter().map(line).collect()
}

/// The destinations of many calls, by algorithms that have one right answer.
fn picks(server: &Kamailio) -> Vec<String> {
    let ask = |n: usize| {
        let set = n % SETS;
        let operations: Vec<String> = [0, 4, 7, 8]
            .iter()
            .map(|alg| format!("dst3,{set},{alg},3|dump|clean"))
            .collect();
        Probe::request(&operations.join("|"))
            .call_id(format!("call-{n}@test"))
            .header("X-Key", format!("key-{n}"))
    };
    let requests: Vec<Request> = (0..200).map(ask).collect();
    let replies = Uac::new().batch(server.addr(), &requests, 8);
    replies
        .iter()
        .map(|reply| Probe::lines(reply).join("\n"))
        .collect()
}

fn config() -> Config {
    let config = Probe::new().config();
    config.param("flags", 2).param("hash_pvar", "$hdr(X-Key)")
}

pub fn list_and_picks_are_those_of_the_file(database: &Database) {
    let rows = rows();
    database.create();
    database.fill(&rows);
    let file = Kamailio::start(Module::Rust, config().list(as_list(&rows)));
    let mut config = database.config(config());
    if database.kind == Kind::Postgres {
        // Puts rows where there is room.
        config = config.param("order_col", "id");
    }
    let table = Kamailio::start(Module::Rust, config);
    // The whole list is more than one reply can hold.
    let list = |server: &Kamailio| -> String {
        let set = |n: usize| server.kamcmd(&["dispatcher.list", &n.to_string()]);
        (0..SETS).map(|n| set(n).expect("a set")).collect()
    };
    let expected = list(&file);
    assert_eq!(expected.matches("URI: ").count(), ROWS);
    for (found, expected) in list(&table).lines().zip(expected.lines()) {
        assert_eq!(found, expected, "{:?}", database.kind);
    }
    assert_eq!(list(&table).len(), expected.len());
    let reloaded = table.kamcmd(&["dispatcher.reload"]).expect("reloaded");
    assert!(reloaded.contains(&format!("KEPT: {ROWS}")), "{reloaded}");
    let (expected, found) = (picks(&file), picks(&table));
    assert!(expected.iter().all(|lines| lines.contains("rc=1")));
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found, expected, "{:?}", database.kind);
    }
    let checked = table.kamcmd(&["dispatcher.check"]).expect("checked");
    assert!(checked.contains("RESULT: ok"), "{checked}");
}

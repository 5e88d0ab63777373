//! Generated tables in SQLite and in text files: both modules load the same.

use std::io::Write;
use std::process::{Command, Stdio};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

use crate::compare_lists;
use crate::pair::{against_itself, answer, neutral};
use crate::report::Report;
use harness::{Config, Kamailio, Module, TempDir};

/// Tables of each version.
const TABLES: usize = 3;

/// The columns in the order of the versions, with those of `ds_db_extra_attrs`.
const COLUMNS: [&str; 7] = [
    "setid",
    "destination",
    "flags",
    "priority",
    "attrs",
    "c1",
    "c2",
];

/// A row's values, in the order of [`COLUMNS`]; `None` is NULL.
type Row = [Option<String>; COLUMNS.len()];

#[test]
fn sqlite_tables() {
    compare_lists(|report, rng| {
        tables(rng, |what, version, rows| {
            let sqlite = TempDir::new();
            make_sqlite(&sqlite, version, rows);
            let url = format!("sqlite:///{}/list.db", sqlite.path().display());
            let config = config().load("db_sqlite.so").param("db_url", url);
            load(report, what, config);
        });
    });
}

#[test]
fn text_tables() {
    compare_lists(|report, rng| {
        tables(rng, |what, version, rows| {
            let (versions, table) = text_files(version, rows);
            let config = config()
                .load("db_text.so")
                .param("db_url", "text://{{DIR}}")
                .file("version", &versions)
                .file("dispatcher", &table);
            load(report, what, config);
        });
    });
}

/// Calls `load` with the description, the version and the rows of each table.
fn tables(rng: &mut StdRng, mut load: impl FnMut(&str, usize, &[Row])) {
    for version in [1, 2, 3, 4, 4] {
        for n in 0..TABLES {
            let rows: Vec<Row> = (0..[0, 4, 30][n]).map(|_| row(rng)).collect();
            let what = format!("table of version {version} #{n}: {rows:?}");
            load(&what, version, &rows);
        }
    }
}

fn config() -> Config {
    Config::routes("request_route { exit; }")
        .param("ds_db_extra_attrs", "xa=c1;xb=c2")
        .only_critical()
}

/// Starts both modules; compares whether they start and what they then list.
fn load(report: &mut Report, what: &str, config: Config) {
    let [c, ours] = [Module::C, Module::Rust].map(|module| {
        let Ok(server) = Kamailio::try_start(module, config.clone().native()) else {
            return "refuses to start".to_owned();
        };
        if module == Module::C || against_itself() {
            server.ignore_log();
        }
        let list = server.jsonrpc_text("dispatcher.list", json!(["full"]));
        neutral(&server, &answer(&server, list))
    });
    report.compare(what, &c, &ours);
}

/// A row that the C module survives: its set and its destination are there.
fn row(rng: &mut StdRng) -> Row {
    let port = 7000 + rng.random_range(0..40);
    let uri = match rng.random_range(0..8) {
        0 => format!("127.0.0.1:{port}"),
        1 => format!("sip:user@127.0.0.1:{port};transport=tcp"),
        2 => "sip:nohost.invalid".to_owned(),
        3 => "sip:".to_owned(),
        _ => format!("sip:127.0.0.1:{port}"),
    };
    let mut pick = |values: &[&str]| {
        let value = *values.choose(rng).unwrap_or(&"");
        (value != "NULL").then(|| value.to_owned())
    };
    [
        pick(&["0", "1", "1", "2", "3", "7"]),
        Some(uri),
        pick(&["0", "0", "0", "1", "2", "4", "8", "16", "31"]),
        pick(&["0", "0", "1", "5", "-1", "-7", "100"]),
        pick(&[
            "NULL",
            "",
            ";",
            "duid=a",
            "duid=b;",
            "weight=50;my=x",
            "=x",
            "x",
        ]),
        pick(&["NULL", "", "one", "y", "5"]),
        pick(&["NULL", "", "two", "z;w=1"]),
    ]
}

/// How many columns a table of this version has.
fn width(version: usize) -> usize {
    if version == 4 {
        COLUMNS.len()
    } else {
        version + 1
    }
}

fn make_sqlite(dir: &TempDir, version: usize, rows: &[Row]) {
    let columns = &COLUMNS[..width(version)];
    let kind = |name: &str| match name {
        "setid" | "flags" | "priority" => "INTEGER",
        _ => "VARCHAR(200)",
    };
    let typed: Vec<String> = columns.iter().map(|c| format!("{c} {}", kind(c))).collect();
    let mut sql = format!(
        "CREATE TABLE version (table_name VARCHAR(32), table_version INTEGER);
         INSERT INTO version VALUES ('dispatcher', {version});
         CREATE TABLE dispatcher ({});\n",
        typed.join(", ")
    );
    for row in rows {
        let values = row[..columns.len()].iter().map(|value| match value {
            Some(value) => format!("'{value}'"),
            None => "NULL".to_owned(),
        });
        let values: Vec<String> = values.collect();
        sql += &format!("INSERT INTO dispatcher VALUES ({});\n", values.join(", "));
    }
    let mut client = Command::new("sqlite3")
        .arg("-bail")
        .arg(dir.path().join("list.db"))
        .stdin(Stdio::piped())
        .spawn()
        .expect("sqlite3 runs");
    let mut input = client.stdin.take().expect("its input");
    input.write_all(sql.as_bytes()).expect("the table");
    drop(input);
    assert!(client.wait().expect("its end").success());
}

/// The tables `version` and `dispatcher`.
fn text_files(version: usize, rows: &[Row]) -> (String, String) {
    let columns = &COLUMNS[..width(version)];
    let kind = |name: &str| match name {
        "setid" | "flags" | "priority" => "int",
        _ => "string",
    };
    let typed: Vec<String> = columns
        .iter()
        .map(|c| format!("{c}({},null)", kind(c)))
        .collect();
    let mut table = typed.join(" ") + "\n";
    for row in rows {
        let values = row[..columns.len()].iter();
        let values: Vec<String> = values
            .map(|value| value.as_deref().unwrap_or("").replace(':', "\\:"))
            .collect();
        table += &(values.join(":") + "\n");
    }
    let versions = format!("table_name(string) table_version(int)\ndispatcher:{version}\n");
    (versions, table)
}

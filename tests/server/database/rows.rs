//! The meaning of rows: NULLs, bad ones, versions, other names of columns, columns with attributes.

use serde_json::json;

use harness::database::{Database, Kind, Row, text};
use harness::{Config, Kamailio, Module, fails_to_start};

fn config(database: &Database) -> Config {
    database.config(Config::routes("request_route { exit; }"))
}

fn start(database: &Database) -> Kamailio {
    Kamailio::start(Module::Rust, config(database))
}

fn good(set: i64, port: u16) -> Row {
    Row::new(set, &format!("sip:127.0.0.1:{port}"), 0, 0, "")
}

/// Rows that give no destination, each with what is said of it after `row N: `.
fn bad(kind: Kind) -> Vec<(Row, &'static str)> {
    let row = good(2, 7009);
    let mut rows = vec![
        (
            Row {
                set: None,
                ..row.clone()
            },
            "sip:127.0.0.1:7009: expected a set id (a number from 0 to 2147483647), found NULL",
        ),
        (
            Row {
                set: Some(-3),
                ..row.clone()
            },
            "sip:127.0.0.1:7009: expected a set id (a number from 0 to 2147483647), found -3",
        ),
        (
            Row {
                uri: None,
                ..row.clone()
            },
            "set 2: expected a SIP URI, found nothing",
        ),
        (
            Row {
                uri: Some("sip:a b".into()),
                ..row.clone()
            },
            "set 2, sip:a b: expected a SIP URI, found white space or a NUL byte in it",
        ),
        (
            Row {
                flags: Some(-1),
                ..row.clone()
            },
            "set 2, sip:127.0.0.1:7009: expected flags (a number from 0 to 4294967295), found -1",
        ),
        (
            Row {
                attrs: Some("socket=udp:192.0.2.9:5".into()),
                ..row.clone()
            },
            "set 2, sip:127.0.0.1:7009: not a local socket: \"udp:192.0.2.9:5\"",
        ),
        (
            Row {
                uri: Some("sip:nohost.invalid".into()),
                ..row.clone()
            },
            "set 2, sip:nohost.invalid: cannot resolve host \"nohost.invalid\"",
        ),
    ];
    if kind != Kind::Text {
        // In a text file an empty field is NULL where that may be.
        let empty = Row {
            uri: Some(String::new()),
            ..row
        };
        rows.insert(2, (empty, "set 2: expected a SIP URI, found nothing"));
    }
    rows
}

pub fn bad_rows_are_named_and_left_out(database: &Database) {
    database.create_loose(4);
    let bad = bad(database.kind);
    let nulls = Row {
        flags: None,
        priority: None,
        attrs: None,
        ..good(1, 7001)
    };
    let low = Row::new(1, "sip:127.0.0.1:7002", 0, -5, "duid=low;weight=101");
    let mut rows = vec![nulls, low];
    rows.extend(bad.iter().map(|(row, _)| row.clone()));
    rows.push(good(1, 7003));
    database.fill(&rows);
    let warning = "row 2: set 1, sip:127.0.0.1:7002: weight: expected a number from 1 to 100";
    let mut config = config(database).expect_log(warning);
    for (n, (_, reason)) in bad.iter().enumerate() {
        let shown = database.shown();
        let row = n + 3;
        config = config.expect_log(&format!(
            "table dispatcher of {shown}: row {row}: {reason}: destination left out"
        ));
    }
    let server = Kamailio::start(Module::Rust, config.allow_log("could not resolve"));
    let dests: Vec<String> = server.dests(1).into_iter().map(|(uri, _)| uri).collect();
    let expected = [
        "sip:127.0.0.1:7003",
        "sip:127.0.0.1:7001",
        "sip:127.0.0.1:7002",
    ];
    assert_eq!(dests, expected);
    assert_eq!(server.dest(1, 2)["PRIORITY"], -5);
    let reloaded = server.kamcmd(&["dispatcher.reload"]).expect("reloaded");
    let rejected = format!("REJECTED: {}", bad.len());
    assert!(
        reloaded.contains("KEPT: 3") && reloaded.contains(&rejected),
        "{reloaded}"
    );
    let checked = server
        .jsonrpc("dispatcher.check", json!([]))
        .expect("checked");
    let reasons = checked["REASONS"].as_array().expect("reasons");
    let reasons: Vec<_> = reasons
        .iter()
        .filter(|reason| !reason.as_str().expect("a text").contains(warning))
        .collect();
    assert_eq!(reasons.len(), bad.len(), "{checked}");
    for (reason, (_, expected)) in reasons.iter().zip(&bad) {
        assert!(
            reason.as_str().expect("a text").contains(expected),
            "{reason}"
        );
    }
}

pub fn a_strict_load_refuses_bad_rows(database: &Database) {
    database.create_loose(4);
    let no_uri = Row {
        uri: None,
        ..good(1, 7002)
    };
    database.fill(&[good(1, 7001), no_uri]);
    let strict = || config(database).param("ds_load_mode", 1);
    let log = fails_to_start(Module::Rust, strict());
    let shown = database.shown();
    let reason = "row 2: set 1: expected a SIP URI, found nothing";
    let expected = "ERROR: dispatcher [src/kamailio/list/reload.rs:";
    let line = log.lines().find(|line| line.contains(reason));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(expected) && line.contains(&shown), "{line}");

    database.clear();
    database.fill(&[good(1, 7001)]);
    let server = Kamailio::start(Module::Rust, strict().expect_log(reason));
    database.fill(&[Row {
        uri: None,
        ..good(1, 7002)
    }]);
    let fault = server.kamcmd(&["dispatcher.reload"]).expect_err("refused");
    let expected = format!("Reload Failed: table dispatcher of {shown}: {reason}");
    assert_eq!(fault.text, expected);
    assert_eq!(server.dests(1).len(), 1);
}

pub fn each_version_has_its_columns(database: &Database) {
    for version in 1..=4_u8 {
        let mut columns = text::COLUMNS[..=usize::from(version)].to_vec();
        if version == 4 {
            columns.push(("extra", "int"));
        }
        database.create_with("dispatcher", version.into(), &columns);
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let values = ["1", "'sip:127.0.0.1:7001'", "8", "3", "'duid=a'", "6"];
        let row = |n: &str| -> Vec<String> {
            let values = values[..names.len()].iter();
            values.map(|value| value.replace("7001", n)).collect()
        };
        database.insert("dispatcher", &names, &[row("7001"), row("7002")]);
        let mut config = config(database).param("ds_db_extra_attrs", "xa=extra");
        if version < 4 {
            config = config.expect_log("ds_db_extra_attrs needs table version 4: not read");
        }
        let server = Kamailio::start(Module::Rust, config);
        let dest = server.dest(1, 0);
        let flags = if version >= 2 { "AP" } else { "AX" };
        assert_eq!(dest["URI"], "sip:127.0.0.1:7002");
        assert_eq!(dest["FLAGS"], flags, "version {version}");
        assert_eq!(dest["PRIORITY"], if version >= 3 { 3 } else { 0 });
        let body = dest["ATTRS"]["BODY"].as_str();
        assert_eq!(body, (version == 4).then_some("duid=a;xa=6"));
    }
}

pub fn columns_and_table_have_other_names(database: &Database) {
    let columns = [
        ("prio", "int"),
        ("uri", "text"),
        ("group_id", "int"),
        ("opts", "text"),
        ("bits", "int"),
    ];
    database.create_with("gateways", 4, &columns);
    let names = columns.map(|(name, _)| name);
    let rows = [
        ["7", "'sip:127.0.0.1:7001'", "3", "'duid=z'", "1"],
        ["7", "'sip:127.0.0.1:7002'", "3", "'duid=y'", "0"],
        ["8", "'sip:127.0.0.1:7003'", "3", "'duid=x'", "2"],
    ];
    let rows = rows.map(|row| row.map(str::to_owned).to_vec());
    database.insert("gateways", &names, &rows);
    let config = config(database)
        .param("table_name", "gateways")
        .param("setid_col", "group_id")
        .param("destination_col", "uri")
        .param("flags_col", "bits")
        .param("priority_col", "prio")
        .param("attrs_col", "opts")
        .param("order_col", "bits");
    let server = Kamailio::start(Module::Rust, config);
    let dests: Vec<String> = server.dests(3).into_iter().map(|(uri, _)| uri).collect();
    // By priority; of equals the last one first.
    let expected = [
        "sip:127.0.0.1:7003",
        "sip:127.0.0.1:7001",
        "sip:127.0.0.1:7002",
    ];
    assert_eq!(dests, expected);
    let dest = server.dest(3, 1);
    assert_eq!(
        (&dest["FLAGS"], &dest["PRIORITY"]),
        (&json!("IX"), &json!(7))
    );
    assert_eq!(dest["ATTRS"]["DUID"], "z");
}

pub fn extra_columns_become_attributes(database: &Database) {
    let mut columns = text::COLUMNS.to_vec();
    columns.extend([("c1", "text"), ("c2", "int")]);
    database.create_with("dispatcher", 4, &columns);
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let row = |port: u16, rest: [&str; 3]| {
        let mut row = vec![
            "1".into(),
            format!("'sip:127.0.0.1:{port}'"),
            "0".into(),
            "0".into(),
        ];
        row.extend(rest.map(str::to_owned));
        row
    };
    // Long ones end the server with the C module.
    let long = format!("'{}'", "y".repeat(1500));
    let rows = [
        row(
            7001,
            ["'ping_reply_codes=\"class=2;code=404\";'", "'x'", "50"],
        ),
        row(7002, ["'duid=b'", &long, "60"]),
        row(7003, ["NULL", "NULL", "NULL"]),
    ];
    database.insert("dispatcher", &names, &rows);
    let config = config(database).param("ds_db_extra_attrs", "xa=c1;weight=c2");
    let server = Kamailio::start(Module::Rust, config);
    let body = |at| server.dest(1, at)["ATTRS"]["BODY"].clone();
    assert_eq!(body(0), json!(null));
    let long = format!("duid=b;weight=60;xa={}", "y".repeat(1500));
    assert_eq!(body(1), long.as_str());
    let quoted = "ping_reply_codes=\"class=2;code=404\";weight=50;xa=x";
    assert_eq!(body(2), quoted);
    assert_eq!(server.dest(1, 2)["ATTRS"]["WEIGHT"], 50);
    drop(server);
    let config = self::config(database).param("ds_db_extra_attrs", "weight=c2;xa");
    let skipped = "found \"weight=c2;xa\", expected attribute=column;attribute=column: what is no such pair is not read";
    let server = Kamailio::start(Module::Rust, config.expect_log(skipped));
    assert_eq!(server.dest(1, 2)["ATTRS"]["WEIGHT"], 50);
}

/// Latin 1, for instance; the databases of the others keep it out.
pub fn text_that_is_not_utf_8_is_taken_with_a_warning(database: &Database) {
    if database.kind != Kind::Sqlite {
        return;
    }
    database.create();
    database.sql(
        "INSERT INTO dispatcher (setid, destination, flags, priority, attrs) \
         VALUES (1, 'sip:127.0.0.1:7001', 0, 0, CAST(X'6E6F74653DE9' AS TEXT));",
    );
    let server = start(database);
    let text = r#"row 1: set 1, sip:127.0.0.1:7001: expected text in UTF-8, found "note=\xe9""#;
    server.expect_log(text);
    assert_eq!(server.log().matches(text).count(), 1);
    assert_eq!(server.ports(1), ["7001"]);
    // The last row can be deleted.
    database.clear();
    server.expect_log("the running list stays");
    server.allow_log("no row");
    server.kamcmd(&["dispatcher.reload"]).unwrap_err();
    server.kamcmd(&["dispatcher.reload", "empty"]).unwrap();
    assert!(server.dests(1).is_empty());
}

/// For the other files: a server with the plain config.
pub fn plain(database: &Database) -> Kamailio {
    start(database)
}

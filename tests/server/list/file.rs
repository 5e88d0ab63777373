//! The list file inside the server: what is said about bad lines, what loads, what a reload refuses.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use harness::{Config, Kamailio, Module, Probe, Uac, fails_to_start, refuses};
use serde_json::json;

fn plain() -> Config {
    Config::routes("request_route { sl_send_reply(\"200\", \"OK\"); }")
}

fn start(config: Config) -> Kamailio {
    Kamailio::start(Module::Rust, config)
}

/// One destination as `dispatcher.list` shows it: URI, flags, priority, attributes.
fn listed(server: &Kamailio) -> Vec<(i64, String, String, i64, String)> {
    let list = server.jsonrpc("dispatcher.list", json!([])).unwrap();
    let mut found = Vec::new();
    for set in list["RECORDS"].as_array().unwrap() {
        for target in set["SET"]["TARGETS"].as_array().unwrap() {
            let dest = &target["DEST"];
            let text = |value: &serde_json::Value| value.as_str().unwrap_or("").to_owned();
            found.push((
                set["SET"]["ID"].as_i64().unwrap(),
                text(&dest["URI"]),
                text(&dest["FLAGS"]),
                dest["PRIORITY"].as_i64().unwrap(),
                text(&dest["ATTRS"]["BODY"]),
            ));
        }
    }
    found
}

fn row(
    set: i64,
    uri: &str,
    flags: &str,
    priority: i64,
    attrs: &str,
) -> (i64, String, String, i64, String) {
    (set, uri.into(), flags.into(), priority, attrs.into())
}

#[test]
fn hexadecimal_flags_and_negative_priorities_mean_what_they_say() {
    let list = "1 sip:127.0.0.1:7001 0x08 0 duid=a\n\
                1 sip:127.0.0.1:7002 0X9 -1\n\
                1 sip:127.0.0.1:7003 0 -2147483648 duid=c\n\
                1 sip:127.0.0.1:7004 4294967295 2147483647\n";
    let server = start(plain().list(list));
    let rows = [
        row(1, "sip:127.0.0.1:7004", "IP", 2_147_483_647, ""),
        row(1, "sip:127.0.0.1:7001", "AP", 0, "duid=a"),
        row(1, "sip:127.0.0.1:7002", "IP", -1, ""),
        row(1, "sip:127.0.0.1:7003", "AX", -2_147_483_648, "duid=c"),
    ];
    assert_eq!(listed(&server), rows);
}

#[test]
fn every_form_of_a_good_line_loads() {
    let list = "# comment\r\n\r\n   \t\n  # indented\n\
                3\tsip:127.0.0.1:7001\t0\t5\tduid=a;b=#c;\r\n\
                3sip:127.0.0.1:7002 # no blank after the set\n\
                3 127.0.0.1:7003 8 # no scheme\n\
                3 sip:u:p@127.0.0.1:7004;transport=tcp duid=slides\n\
                0 sip:127.0.0.1:7005#glued\n\
                2147483647 sip:127.0.0.1:7006";
    let server = start(plain().list(list));
    let mut rows = listed(&server);
    rows.sort();
    let expected = [
        row(0, "sip:127.0.0.1:7005", "AX", 0, ""),
        row(3, "sip:127.0.0.1:7001", "AX", 5, "duid=a;b=#c"),
        row(3, "sip:127.0.0.1:7002", "AX", 0, ""),
        row(3, "sip:127.0.0.1:7003", "AP", 0, ""),
        row(
            3,
            "sip:u:p@127.0.0.1:7004;transport=tcp",
            "AX",
            0,
            "duid=slides",
        ),
        row(2_147_483_647, "sip:127.0.0.1:7006", "AX", 0, ""),
    ];
    assert_eq!(rows, expected);
}

/// Lines that cannot be, each with what is said about it after `line N, `.
const BROKEN: [(&str, &str); 8] = [
    (
        "sip:127.0.0.1:7001",
        "column 1: expected a set id (a number), found \"sip:127.0.0.1:7001\"",
    ),
    (
        "abc sip:127.0.0.1:7001",
        "column 1: expected a set id (a number), found \"abc\"",
    ),
    (
        "4294967296 sip:127.0.0.1:7001",
        "column 1: expected a set id (a number from 0 to 2147483647), found \"4294967296\"",
    ),
    (
        "1 sip:127.0.0.1:7001 4294967296",
        "column 22: expected flags (a number from 0 to 4294967295), found \"4294967296\"",
    ),
    (
        "1 sip:127.0.0.1:7001 0 2147483648",
        "column 24: expected a priority (a number from -2147483648 to 2147483647), found \"2147483648\"",
    ),
    (
        "1 sip:127.0.0.1:7001 0 -2147483649",
        "column 24: expected a priority (a number from -2147483648 to 2147483647), found \"-2147483649\"",
    ),
    (
        "7",
        "column 2: expected a SIP URI after set id 7, found nothing",
    ),
    (
        "7  # comment",
        "column 4: expected a SIP URI after set id 7, found nothing",
    ),
];

/// A list with a good line before, between and after the broken ones, which are lines 2, 4, 6 ...
fn broken_list() -> String {
    let broken = BROKEN.iter().enumerate();
    let lines = broken.map(|(n, (line, _))| format!("{line}\n1 sip:127.0.0.1:80{n:02}\n"));
    format!("1 sip:127.0.0.1:7000\n{}", lines.collect::<String>())
}

#[test]
fn a_start_names_every_broken_line_with_column_and_what_was_expected() {
    let log = fails_to_start(Module::Rust, plain().list(broken_list()));
    for (n, (_, message)) in BROKEN.iter().enumerate() {
        let expected = format!("dispatcher.list: line {}, {message}", 2 * n + 2);
        let line = log.lines().find(|line| line.ends_with(&expected));
        let line = line.unwrap_or_else(|| panic!("no {expected:?} in\n{log}"));
        assert!(line.contains(" ERROR: dispatcher "), "{line}");
    }
    let errors = log
        .lines()
        .filter(|line| line.contains(" ERROR: dispatcher "));
    assert_eq!(
        errors.count(),
        BROKEN.len(),
        "one error a line, no more: {log}"
    );
}

#[test]
fn a_nul_byte_is_refused_but_not_in_a_comment_line() {
    refuses(
        plain().list("1 sip:127.0.0.1\x00:7001\n"),
        "line 1, column 16: expected plain text, found a NUL byte",
    );
    start(plain().list("# a\x00b\n1 sip:127.0.0.1:7001\n")).stop();
}

#[test]
fn a_line_that_counts_but_not_as_it_looks_is_a_warning() {
    let list = "1 sip:127.0.0.1:7001 abc\n\
                1 sip:127.0.0.1:7002 0 abc\n\
                1 sip:127.0.0.1:7003 0 0 duid=a x=y\n\
                1 sip:127.0.0.1:7004 0 0 weight=abc\n\
                1 sip:127.0.0.1:7005 0 0 weight=200\n";
    let warnings = [
        "line 1, column 22: expected flags (a number), found \"abc\", taken as attributes",
        "line 2, column 24: expected a priority (a number), found \"abc\", taken as attributes",
        "line 3, column 33: expected the end of the line or a # comment after the attributes, \
         found \"x=y\", ignored",
        "line 4: weight: expected a number, found \"abc\", using 0",
        "line 5: weight: expected a number from 1 to 100, found 200, using 0",
    ];
    let config = warnings
        .iter()
        .fold(plain().list(list), |config, text| config.expect_log(text));
    let server = start(config);
    assert_eq!(listed(&server).len(), 5, "all are loaded");
}

#[test]
fn lines_of_any_length_load_whole() {
    let long = |n: usize, end: &str| format!("duid=d{n};x={};{end}", "a".repeat(n));
    let list = format!(
        "1 sip:127.0.0.1:7001 0 0 {}\n#{}\n1 sip:127.0.0.1:7002 0 0 {} # {}\n1 sip:127.0.0.1:7003\n",
        long(1_100, "end=1"),
        "c".repeat(120_000),
        long(120_000, "weight=100"),
        "d".repeat(5_000),
    );
    let server = start(Probe::new().config().list(list));
    let uris: Vec<String> = server.dests(1).into_iter().map(|(uri, _)| uri).collect();
    let expected = [3, 2, 1].map(|n| format!("sip:127.0.0.1:700{n}"));
    assert_eq!(uris, expected);
    // The weight is the last word of the long line: all calls go there.
    let lines = Probe::run(
        &Uac::new(),
        server.addr(),
        "dst,1,9|clean|dst,1,9|clean|dst,1,9",
    );
    for line in &lines {
        assert!(line.contains("rc=1 du=sip:127.0.0.1:7002 "), "{lines:?}");
    }
}

#[test]
fn ten_thousand_destinations_load() {
    let lines = (0..10_000).map(|n| format!("1 sip:127.{}.{}.1:7001\n", n / 250, n % 250));
    let list = lines.collect::<String>();
    let config = Probe::new().config().list(list).param("flags", 2);
    let server = start(config.expect_log("loaded 10000 destinations"));
    let uac = Uac::new();
    let lines = Probe::run(
        &uac,
        server.addr(),
        "dst3,1,8,2|nextdst|active,1,sip:127.0.0.1:7001",
    );
    assert!(
        lines[0].contains("rc=1 du=sip:127.39.249.1:7001 "),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("rc=1 du=sip:127.39.248.1:7001 "),
        "{lines:?}"
    );
    assert!(lines[2].contains("rc=1 "), "{lines:?}");
    let lines = Probe::run(&uac, server.addr(), "dst,1,8");
    assert!(lines[0].ends_with(" cnt=10000"), "{lines:?}");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    server
        .kamcmd(&["dispatcher.set_state", "d", "1", "all"])
        .unwrap();
    let lines = Probe::run(&uac, server.addr(), "active,1");
    assert!(lines[0].contains("rc=-1 "), "{lines:?}");
}

#[test]
fn a_list_that_cannot_be_read_stops_the_start_and_is_named() {
    refuses(
        plain().param("list_file", "{{DIR}}/none/x"),
        "/none/x\": No such file or directory",
    );
}

#[test]
fn the_list_may_be_dev_null_or_a_directory_at_the_start() {
    let directory = "no dispatching list loaded from file \"";
    let cases = [
        (
            "/dev/null",
            "loaded 0 destinations",
            "the list has no destination left",
        ),
        ("{{DIR}}", directory, "cannot read the list: Is a directory"),
    ];
    for (path, said, fault) in cases {
        let config = plain().param("list_file", path).expect_log(said);
        let server = start(config);
        server.ignore_log();
        server
            .kamcmd(&["dispatcher.add", "1", "sip:127.0.0.1:7001"])
            .unwrap();
        let refused = server.kamcmd(&["dispatcher.reload"]).unwrap_err();
        let named = refused.text.contains(fault) || refused.text.contains("no destination left");
        assert!(named, "{path}: {refused}");
        assert_eq!(server.flags(1, "sip:127.0.0.1:7001"), "AX", "{path}");
    }
}

#[test]
fn a_list_that_might_never_end_stops_the_start() {
    for path in ["/dev/zero", "/dev/tty"] {
        let log = fails_to_start(Module::Rust, plain().param("list_file", path));
        let named = ["not a plain file", "No such"]
            .iter()
            .any(|why| log.contains(why));
        assert!(named, "{path}: {log}");
    }
}

#[test]
fn an_empty_list_is_fine_at_start() {
    for list in ["", "# nothing\n\n"] {
        let server = start(plain().list(list).expect_log("loaded 0 destinations"));
        let fault = server.kamcmd(&["dispatcher.list"]).unwrap_err();
        assert_eq!(fault.text, "No Destination Sets");
        server.write_list("1 sip:127.0.0.1:7001\n");
        server.kamcmd(&["dispatcher.reload"]).unwrap();
        assert_eq!(server.dests(1).len(), 1);
    }
}

/// Destinations that cannot be used: the line, and what is said after `set 1, URI: `.
const UNUSABLE: [(&str, &str); 6] = [
    ("sip:", "not a SIP URI"),
    (
        "sip:no.such.host.invalid",
        "cannot resolve host \"no.such.host.invalid\"",
    ),
    (
        "sip:127.0.0.1:7001 0 0 socket=udp:127.0.0.1:9",
        "not a local socket: \"udp:127.0.0.1:9\"",
    ),
    (
        "sip:127.0.0.1:7002 0 0 sockname=none",
        "no local socket named \"none\"",
    ),
    ("sip:127.0.0.1:7003 0 0 a=1;;", ""),
    ("sip:127.0.0.1:7004 0 0 a=\"1", ""),
];

fn unusable_list() -> String {
    let lines = UNUSABLE.iter().map(|(line, _)| format!("1 {line}\n"));
    format!("{}1 sip:127.0.0.1:7000\n", lines.collect::<String>())
}

/// The words of the log about the nth of them.
fn unusable_message(n: usize) -> String {
    let (line, message) = UNUSABLE[n];
    let uri = line.split(' ').next().unwrap();
    format!("dispatcher.list: line {}: set 1, {uri}: {message}", n + 1)
}

#[test]
fn destinations_that_cannot_be_used_are_left_out() {
    let config = (0..UNUSABLE.len())
        .fold(plain().list(unusable_list()), |c, n| {
            c.expect_log(&unusable_message(n))
        })
        .allow_log("resolve")
        .allow_log("parse");
    let server = start(config.expect_log("loaded 1 destinations"));
    let log = server.log();
    let warnings = log.lines().filter(|l| l.contains(" WARNING: dispatcher "));
    let left_out = warnings.filter(|line| line.ends_with(": destination left out"));
    assert_eq!(left_out.count(), UNUSABLE.len(), "{log}");
    assert_eq!(
        server.dests(1),
        [("sip:127.0.0.1:7000".to_owned(), "AX".to_owned())]
    );
}

#[test]
fn with_ds_load_mode_1_one_unusable_destination_refuses_the_list() {
    for (n, (line, _)) in UNUSABLE.iter().enumerate() {
        let list = format!("{}1 {line}\n", "# a line\n".repeat(n));
        let log = fails_to_start(Module::Rust, plain().list(list).param("ds_load_mode", 1));
        let message = unusable_message(n);
        let line = log.lines().find(|line| line.contains(&message));
        let line = line.unwrap_or_else(|| panic!("no {message:?} in\n{log}"));
        assert!(
            line.contains(" ERROR: dispatcher ") && !line.contains("left out"),
            "{line}"
        );
    }
}

#[test]
fn a_host_with_flag_16_is_not_resolved() {
    let server = start(
        plain()
            .list("1 sip:no.such.host.invalid 16\n")
            .param("ds_load_mode", 1),
    );
    assert_eq!(server.dests(1).len(), 1);
}

const GOOD: &str = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n2 sip:127.0.0.1:7003\n";

fn running() -> Kamailio {
    let server = start(Probe::new().config().list(GOOD).param("flags", 2));
    server
        .kamcmd(&["dispatcher.set_state", "ip", "1", "sip:127.0.0.1:7002"])
        .unwrap();
    server
}

/// Everything that must not have changed: the list, and where calls go.
fn picture(server: &Kamailio) -> (String, Vec<String>) {
    let list = server.kamcmd(&["dispatcher.list", "full"]).unwrap();
    let lines = Probe::run(
        &Uac::new(),
        server.addr(),
        "dst,1,8|clean|dst,2,4|from|active,1",
    );
    (list, lines)
}

#[test]
fn a_broken_list_is_refused_at_reload_and_the_running_one_stays() {
    let server = running();
    let before = picture(&server);
    server.write_list(broken_list());
    server.allow_log("dispatcher.list: line ");
    for _ in 0..2 {
        let fault = server.kamcmd(&["dispatcher.reload"]).unwrap_err();
        let answers = [
            fault,
            server.jsonrpc("dispatcher.reload", json!([])).unwrap_err(),
        ];
        for fault in answers {
            // The first reason at least; transports cut long texts.
            let first = format!("dispatcher.list: line 2, {}", BROKEN[0].1);
            assert_eq!(fault.code, 500);
            assert!(fault.text.starts_with("Reload Failed: "), "{fault}");
            assert!(fault.text.contains(&first), "{fault}");
        }
        assert_eq!(picture(&server), before);
    }
    server.write_list("1 sip:127.0.0.1:7009\n");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(
        server.dests(1),
        [("sip:127.0.0.1:7009".to_owned(), "AX".to_owned())]
    );
    assert!(server.dests(2).is_empty());
}

#[test]
fn a_list_without_destinations_is_refused_at_reload() {
    let server = running();
    let before = picture(&server);
    let message = "the list has no destination left";
    server.expect_log(&format!("{message}: the running list stays"));
    server.allow_log("destination left out");
    server.allow_log("resolve");
    for list in ["", "# all gone\n", "1 sip:no.such.host.invalid\n"] {
        server.write_list(list);
        let fault = server.kamcmd(&["dispatcher.reload"]).unwrap_err();
        assert_eq!(
            (fault.code, fault.text),
            (500, format!("Reload Failed: {message}")),
            "{list:?}"
        );
        assert_eq!(picture(&server), before, "{list:?}");
    }
    server.write_list(GOOD);
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(picture(&server), before, "states are kept");
}

/// The word that asks for an empty list. Without destinations the calls get no answer, with some it is a plain reload.
#[test]
fn a_list_without_destinations_can_be_asked_for() {
    let server = running();
    let list = ["dispatcher.list"];
    for name in ["dispatcher.reload", "ds_reload"] {
        server.write_list("# all gone\n");
        let said = server.kamcmd(&[name, "empty"]).unwrap();
        assert!(said.ends_with("Ok. Dispatcher successfully reloaded."));
        let fault = server.kamcmd(&list).unwrap_err();
        assert_eq!(fault.text, "No Destination Sets");
        server.write_list(GOOD);
        server.kamcmd(&[name, "empty"]).unwrap();
        assert_eq!(server.dests(1).len() + server.dests(2).len(), 3);
    }
    server.expect_log("the running list stays");
    server.write_list("");
    for word in ["Empty", "all", "x"] {
        let fault = server.kamcmd(&["dispatcher.reload", word]).unwrap_err();
        assert!(fault.text.ends_with("no destination left"), "{fault}");
    }
    // A list that cannot be read is not empty.
    server.allow_log("no dispatching list loaded");
    std::fs::remove_file(server.list_path()).unwrap();
    server.kamcmd(&["dispatcher.reload", "empty"]).unwrap_err();
    assert_eq!(server.dests(1).len() + server.dests(2).len(), 3);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let server = start(plain().list("\u{feff}1 sip:127.0.0.1:7001\r\n"));
    assert_eq!(listed(&server), [row(1, "sip:127.0.0.1:7001", "AX", 0, "")]);
    server.write_list("\u{feff}# a comment\n2 sip:127.0.0.1:7002\n");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(listed(&server), [row(2, "sip:127.0.0.1:7002", "AX", 0, "")]);
    // Only the first bytes are one.
    server.expect_log("line 2, column 1: expected a set id (a number), found \"\\xef\\xbb\\xbf2\"");
    server.write_list("1 sip:127.0.0.1:7001\n\u{feff}2 sip:127.0.0.1:7002\n");
    server.kamcmd(&["dispatcher.reload"]).unwrap_err();
}

/// Latin 1, for instance. The C module takes it, too, without a word.
#[test]
fn text_that_is_not_utf_8_is_taken_from_a_list_with_a_warning() {
    let list =
        b"1 sip:\xe9@127.0.0.1:7001\n1 sip:127.0.0.1:7002 0 0 note=\xe9;weight=\xe9;duid=a\n";
    let server = start(plain().list(list));
    for text in [
        r#"line 1: expected text in UTF-8, found "sip:\xe9@127.0.0.1:7001""#,
        r#"line 2: expected text in UTF-8, found "note=\xe9;weight=\xe9;duid=a""#,
    ] {
        server.expect_log(text);
        assert_eq!(server.log().matches(text).count(), 1);
    }
    server.expect_log("weight: expected a number");
    assert_eq!(server.ports(1), ["7002", "7001"]);
    let bytes = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
    for (words, fault) in [
        (
            ["dispatcher.add", "1"].map(OsStr::new).to_vec(),
            r#"Adding dispatcher dst failed: set 1, sip:\xff@127.0.0.1: expected text in UTF-8"#,
        ),
        (
            ["dispatcher.modify", "1", "duid=a", "attrs"]
                .map(OsStr::new)
                .to_vec(),
            r#"Modifying dispatcher dst failed: set 1, duid=a: expected text in UTF-8"#,
        ),
    ] {
        let words = [&words[..], &[bytes(b"sip:\xff@127.0.0.1")]].concat();
        let output = Command::new(harness::module::kamcmd())
            .arg("-s")
            .arg(format!("unix:{}/ctl", server.dir().display()))
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains(fault), "{said}");
    }
    assert_eq!(server.ports(1), ["7002", "7001"]);
}

/// An attribute without a value is as none: the first of the two used to leave the destination out.
#[test]
fn an_empty_value_is_as_none() {
    let list = "1 sip:127.0.0.1:7001 0 3 weight=50;socket=\n1 sip:127.0.0.1:7002 0 2 sockname=\"\"\n\
                1 sip:127.0.0.1:7003 0 1 duid=\"\"\n1 sip:127.0.0.1:7004 0 0 duid=\n";
    let config = Probe::new().config().list(list);
    let server = start(config.param("ds_default_socket", "udp:127.0.0.1:{{PORT}}"));
    assert_eq!(server.ports(1), ["7001", "7002", "7003", "7004"]);
    assert_eq!(server.dest(1, 0)["ATTRS"]["SOCKET"], "");
    assert_eq!(server.dest(1, 1)["ATTRS"]["SOCKNAME"], "");
    let lines = Probe::run(&Uac::new(), server.addr(), "dst,1,8");
    let socket = format!("fs=udp:127.0.0.1:{}", server.port());
    assert!(lines[0].contains(&socket), "the default socket: {lines:?}");
    // Both have no unique id, so they are not one destination.
    let modify = [
        "dispatcher.modify",
        "1",
        "sip:127.0.0.1:7003",
        "attrs",
        "duid=",
    ];
    server.kamcmd(&modify).unwrap();
    server
        .kamcmd(&[
            "dispatcher.add",
            "1",
            "sip:127.0.0.1:7005",
            "0",
            "0",
            "duid=\"\"",
        ])
        .unwrap();
    assert_eq!(server.ports(1).len(), 5);
}

#[test]
fn a_list_that_is_gone_or_unreadable_is_refused_at_reload() {
    let server = running();
    let before = picture(&server);
    server.allow_log("no dispatching list loaded from file");
    std::fs::remove_file(server.list_path()).unwrap();
    let fault = server.kamcmd(&["dispatcher.reload"]).unwrap_err();
    let expected = "Reload Failed: cannot read the list: No such file or directory";
    assert!(fault.text.starts_with(expected), "{fault}");
    std::fs::create_dir(server.list_path()).unwrap();
    let fault = server.kamcmd(&["dispatcher.reload"]).unwrap_err();
    assert!(
        fault
            .text
            .starts_with("Reload Failed: cannot read the list: "),
        "{fault}"
    );
    std::fs::remove_dir(server.list_path()).unwrap();
    assert_eq!(picture(&server), before);
    // Root reads everything, so this part only means something for others.
    server.write_list(GOOD);
    let denied = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(server.list_path(), denied).unwrap();
    let readable = std::fs::read(server.list_path()).is_ok();
    assert_eq!(server.kamcmd(&["dispatcher.reload"]).is_ok(), readable);
    assert_eq!(picture(&server), before);
}

#[test]
fn with_ds_load_mode_1_an_unusable_destination_refuses_the_reload() {
    let config = Probe::new().config().list(GOOD).param("ds_load_mode", 1);
    let server = start(config.allow_log("resolve"));
    let before = picture(&server);
    server.write_list(format!("{GOOD}1 sip:no.such.host.invalid\n"));
    let fault = server.kamcmd(&["dispatcher.reload"]).unwrap_err();
    let reason =
        "line 4: set 1, sip:no.such.host.invalid: cannot resolve host \"no.such.host.invalid\"";
    let expected = format!("dispatcher.list: {reason}");
    assert!(fault.text.starts_with("Reload Failed: "), "{fault}");
    assert!(fault.text.ends_with(&expected), "{fault}");
    assert_eq!(picture(&server), before);
}

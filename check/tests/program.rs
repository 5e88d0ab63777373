//! The program as a shell runs it: exit status, text and JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness::TempDir;
use serde_json::{Value, json};

/// Runs the program in a directory with some lists, and returns status, output and errors.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let dir = TempDir::new();
    let lists: [(&str, &[u8]); 5] = [
        ("good", b"1 sip:192.0.2.1 0 0 weight=100\n"),
        (
            "server",
            b"1 sip: 0 0 socket=udp:192.0.2.9:5060\n1 sip:no.such.host.invalid\n",
        ),
        ("partly", b"1 sip:192.0.2.1\n1 sip:192.0.2.2 0 0 a=\"b\n"),
        ("refused", b"1 sip:192.0.2.1\nx\n"),
        ("empty", b""),
    ];
    for (name, text) in lists {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let program = PathBuf::from(env!("CARGO_BIN_EXE_kamailio-dispatcher-check"));
    let output = Command::new(program)
        .current_dir(dir.path())
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_worst_list_decides_the_exit_status() {
    let cases: [(&[&str], i32); 12] = [
        (&["good"], 0),
        (&["empty"], 0),
        // What only the server knows changes nothing.
        (&["server"], 0),
        (&["--load-mode", "1", "server"], 0),
        (&["partly"], 3),
        (&["--load-mode=1", "partly"], 1),
        (&["refused"], 1),
        (&["good", "partly", "empty"], 3),
        (&["partly", "refused", "good"], 1),
        (&["none"], 2),
        (&["refused", "none", "good"], 2),
        (&["--json", "partly"], 3),
    ];
    for (arguments, status) in cases {
        assert_eq!(run(arguments).0, status, "{arguments:?}");
    }
}

#[test]
fn wrong_arguments_are_named_with_the_usage() {
    let cases: [(&[&str], &str); 4] = [
        (&[], "no file is named"),
        (&["--load-mode", "2", "good"], "\"2\""),
        (&["--load-mode"], "--load-mode"),
        (&["--quick", "good"], "--quick"),
    ];
    for (arguments, named) in cases {
        let (status, output, errors) = run(arguments);
        assert_eq!((status, output.as_str()), (2, ""), "{arguments:?}");
        assert!(
            errors.contains(named) && errors.contains("usage: "),
            "{errors}"
        );
    }
    let (status, output, errors) = run(&["--help"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(output.starts_with("usage: "));
}

#[test]
fn the_text_names_file_line_and_column() {
    let (_, output, _) = run(&["refused", "partly", "server"]);
    let expected = "error: refused: line 2, column 1: expected a set id (a number), found \"x\"\n\
        refused: refused: 1 destinations in 1 sets; left to the server: 1 URIs, 1 hosts\n\
        warning: partly: line 2: set 1, sip:192.0.2.2: bad attributes: attributes, column 3: expected a closing quote, \
        found none \"a=\"b\": destination left out\n\
        partly: taken: 1 destinations in 1 sets, 1 left out; left to the server: 1 URIs, 1 hosts\n\
        left to the server: server: line 1: socket \"udp:192.0.2.9:5060\"\n\
        server: taken: 2 destinations in 1 sets; left to the server: 2 URIs, 2 hosts, 1 local sockets\n";
    assert_eq!(output, expected);
}

#[test]
fn json_has_the_same() {
    let (_, output, _) = run(&["--json", "refused", "server", "none"]);
    let report: Value = serde_json::from_str(&output).unwrap();
    let expected = json!({
        "lists": [
            {
                "file": "refused",
                "result": "refused",
                "sets": 1,
                "destinations": 1,
                "left_out": 0,
                "messages": [{
                    "level": "error",
                    "line": 2,
                    "column": 1,
                    "text": "line 2, column 1: expected a set id (a number), found \"x\"",
                }],
                "remarks": [],
                "left_to_server": { "uris": 1, "hosts": 1, "sockets": [] },
            },
            {
                "file": "server",
                "result": "ok",
                "sets": 1,
                "destinations": 2,
                "left_out": 0,
                "messages": [],
                "remarks": [],
                "left_to_server": {
                    "uris": 2,
                    "hosts": 2,
                    "sockets": [{ "line": 1, "attribute": "socket", "value": "udp:192.0.2.9:5060" }],
                },
            },
            {
                "file": "none",
                "result": "unreadable",
                "reason": "No such file or directory (os error 2)",
            },
        ],
    });
    assert_eq!(report, expected);
}

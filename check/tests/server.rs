//! The checker and the server give the same answer on everything that the text of a list decides: for the lists of the
//! fuzz targets, for those in the repository, and for those that the server tests and the comparisons have written where
//! they ran before (`KEEP_LISTS`). What only the server knows is counted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dispatcher_fuzz::{Target, mutate, target};
use harness::{Config, Kamailio, Module, TempDir};
use serde_json::{Value, json};

/// Mutated inputs of each fuzz target.
const MUTATED: u64 = 1_000;

/// The messages about facts that only the server knows: faults, and a warning.
const SERVERS: [(&str, &str); 6] = [
    ("URI", ": not a SIP URI"),
    (
        "IPv6 address",
        ": an IPv6 address, but dns_try_ipv6 is off:",
    ),
    ("name of a host", ": cannot resolve host "),
    ("socket", ": not a local socket: "),
    ("name of a socket", ": no local socket named "),
    (
        "socket of pings",
        ": ping_socket: expected a local socket, ",
    ),
];

/// The only one of them that does not leave the destination out.
const WARNING: &str = "socket of pings";

/// Returns the lists of the fuzz targets that read lists and attributes.
fn fuzzed() -> Vec<Vec<u8>> {
    let inputs = |target: &'static Target| {
        let mutated = (0..MUTATED).map(move |number| {
            let mut input = Vec::new();
            mutate::input(target, number, &mut input);
            input
        });
        let seeds = target.seeds.iter().map(|seed| seed.to_vec());
        seeds.chain(mutated).collect::<Vec<_>>()
    };
    let attrs = inputs(target("attrs").unwrap()).into_iter();
    let attrs =
        attrs.map(|attrs| [b"1 sip:127.0.0.1:5060 0 0 ", &attrs[..], b"\n1 sip:b\n"].concat());
    let mut lists = inputs(target("list_file").unwrap());
    lists.extend(attrs);
    let switched = [
        "cps=5",
        "fails=3",
        "fails=2000",
        "slowstart=60",
        "slowstart=soon",
    ];
    lists
        .extend(switched.map(|attr| format!("1 sip:127.0.0.1 0 0 weight=5;{attr}\n").into_bytes()));
    lists
}

/// Returns the files below `folder` whose names end with `.list`.
fn lists_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(lists_below(&path));
        } else if path.extension().is_some_and(|end| end == "list") {
            found.push(path);
        }
    }
    found
}

/// Returns all lists, each once, and the number of those that tests have written.
fn lists() -> (Vec<Vec<u8>>, usize) {
    let read = |path: &PathBuf| fs::read(path).unwrap();
    let fixed = lists_below(&harness::root().join("tests"));
    assert!(fixed.len() > 5, "{fixed:?}");
    let mut all: BTreeSet<Vec<u8>> = fixed.iter().map(read).collect();
    all.extend(fuzzed());
    let without = all.len();
    let written = std::env::var_os("KEEP_LISTS").map(PathBuf::from);
    all.extend(
        written
            .iter()
            .flat_map(|folder| lists_below(folder))
            .map(|path| read(&path)),
    );
    let written = all.len() - without;
    (all.into_iter().collect(), written)
}

/// Returns the answers of the checker for files.
fn checker(files: &[PathBuf], load_mode: &str) -> Vec<Value> {
    let program = env!("CARGO_BIN_EXE_kamailio-dispatcher-check");
    let mut answers = Vec::new();
    for some in files.chunks(500) {
        let mut command = Command::new(program);
        let output = command
            .args(["--json", "--load-mode", load_mode])
            .args(some);
        let output = output.output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        answers.extend(report["lists"].as_array().unwrap().iter().cloned());
    }
    answers
}

fn texts(value: &Value) -> Vec<&str> {
    let texts = value.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap()).collect()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// Returns the line that a message names.
fn line_of(text: &str) -> usize {
    let digits = text
        .strip_prefix("line ")
        .unwrap_or_else(|| panic!("{text}"));
    let end = digits.find([':', ',']).unwrap();
    digits[..end].parse().unwrap()
}

/// The number of comparisons, by kind.
#[derive(Debug, Default)]
struct Tally {
    lists: usize,
    messages: usize,
    refused: usize,
    left_to_server: BTreeMap<&'static str, usize>,
    remarks: usize,
}

impl Tally {
    /// Compares the answers for one list.
    fn compare(&mut self, prefix: &str, strict: bool, server: &Value, checker: &Value) {
        let context = || format!("server {server:#}\nchecker {checker:#}");
        let mut reasons = texts(&server["REASONS"]);
        let cut = reasons.last().is_some_and(|last| last.starts_with("and "));
        if cut {
            reasons.pop();
        }
        let reasons = reasons
            .into_iter()
            .map(|reason| reason.strip_prefix(prefix).unwrap());
        let kind = |text: &str| SERVERS.iter().find(|(_, part)| text.contains(part));
        let (only, decided): (Vec<&str>, Vec<&str>) =
            reasons.partition(|text| kind(text).is_some());

        let left = &checker["left_to_server"];
        let sockets: BTreeSet<usize> = left["sockets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|socket| number(&socket["line"]))
            .collect();
        let mut gone = BTreeSet::new();
        for text in only {
            let (line, (kind, _)) = (line_of(text), kind(text).unwrap());
            *self.left_to_server.entry(kind).or_default() += 1;
            assert!(
                !kind.contains("socket") || sockets.contains(&line),
                "{text}\n{}",
                context()
            );
            if *kind != WARNING {
                gone.insert(line);
            }
        }
        let mut expected = Vec::new();
        for message in checker["messages"].as_array().unwrap() {
            let text = message["text"].as_str().unwrap();
            assert_eq!(number(&message["line"]), line_of(text));
            // What the server does not take has no attributes to be warned of.
            if message["column"].is_null() && gone.contains(&line_of(text)) {
                assert!(
                    !text.contains("left out"),
                    "the text decides first: {}",
                    context()
                );
                continue;
            }
            expected.push(text);
        }
        if cut {
            expected.truncate(decided.len());
        }
        assert_eq!(decided, expected, "{}", context());

        let refused = server["RESULT"] == "refused";
        let known = checker["result"] == "refused" || strict && !gone.is_empty();
        // What only the server knows may be behind the reasons that it shows.
        let unseen = cut && strict && refused;
        assert!(refused == known || unseen, "{}", context());
        if !cut {
            let left_out = if strict { 0 } else { gone.len() };
            let numbers = (number(&server["ADDED"]), number(&server["REJECTED"]));
            let ours = (
                number(&checker["destinations"]) - gone.len(),
                number(&checker["left_out"]) + left_out,
            );
            assert_eq!(numbers, ours, "{}", context());
        }
        if !cut && gone.is_empty() {
            let (mut shown, mut all) = (texts(&server["REMARKS"]), texts(&checker["remarks"]));
            // The server shows the first of very many, and counts the rest.
            if let Some(rest) = shown.last().filter(|last| last.starts_with("and ")) {
                let more = all.len() + 1 - shown.len();
                assert_eq!(*rest, format!("and {more} more"));
                shown.pop();
                all.truncate(shown.len());
            }
            assert_eq!(shown, all, "{}", context());
            self.remarks += all.len();
        }
        self.lists += 1;
        self.messages += decided.len();
        self.refused += usize::from(refused);
    }
}

/// Compares all lists in one load mode; `config` adds parameters to the server.
fn compare(lists: &[Vec<u8>], load_mode: i64, config: impl FnOnce(Config) -> Config) -> Tally {
    let dir = TempDir::new();
    let file = |at: usize| dir.path().join(format!("{at}.list"));
    let files: Vec<PathBuf> = (0..lists.len()).map(file).collect();
    for (file, list) in files.iter().zip(lists) {
        fs::write(file, list).unwrap();
    }
    let answers = checker(&files, &load_mode.to_string());
    assert_eq!(answers.len(), lists.len());

    // With each attribute that a parameter turns on.
    let routes = Config::routes("request_route { drop; }").list("");
    let routes = routes.param("ds_cps", 1);
    let routes = routes.param("ds_passive", 1).param("ds_slow_start", 60);
    let server = Kamailio::start(
        Module::Rust,
        config(routes.param("ds_load_mode", load_mode)),
    );
    // The core logs for each text why it is not a URI.
    server.ignore_log();
    let prefix = format!("{}: ", server.list_path().display());
    let mut tally = Tally::default();
    for (list, answer) in lists.iter().zip(&answers) {
        fs::write(server.list_path(), list).unwrap();
        let said = server.jsonrpc("dispatcher.check", json!([]));
        let said = said.unwrap_or_else(|fault| panic!("{fault}: {}", list.escape_ascii()));
        tally.compare(&prefix, load_mode == 1, &said, answer);
    }
    tally
}

#[test]
fn checker_and_server_give_the_same_answer() {
    let (lists, written) = lists();
    for load_mode in [0, 1] {
        // Names are not asked for, because some would wait for a server of names.
        let tally = compare(&lists, load_mode, |config| config.param("ds_dns_mode", 0));
        println!("ds_load_mode {load_mode}, {written} of the lists from tests: {tally:?}");
        assert!(tally.lists > 1_500 && tally.messages > 1_000, "{tally:?}");
        assert!(
            tally.refused > 100 && tally.refused < tally.lists,
            "{tally:?}"
        );
        for kind in ["URI", "socket", "name of a socket", WARNING] {
            assert!(tally.left_to_server.contains_key(kind), "{kind}: {tally:?}");
        }
    }
}

#[test]
fn names_and_address_families_are_left_to_the_server() {
    let lists = [
        &b"1 sip:no.such.host.invalid 0 0 weight=x\n1 sip:no.such.host.invalid 16\n1 sip:127.0.0.1\n"[..],
        b"1 sip:[::1]:5060 0 0 weight=200\n1 sip:127.0.0.1 0 0 weight=50\n",
        b"1 sip:no.such.host.invalid 0 0 a=\"\n",
    ];
    let lists = lists.map(<[u8]>::to_vec);
    let tally = compare(&lists, 0, |config| config.global("dns_try_ipv6=no"));
    println!("{tally:?}");
    let counted: Vec<_> = tally
        .left_to_server
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect();
    assert_eq!(counted, [("IPv6 address", 1), ("name of a host", 1)]);
    assert_eq!(tally.refused, 0);
}

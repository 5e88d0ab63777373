//! Doors: the same destinations by list file, table, `dispatcher.add` and `dispatcher.modify`, their states by
//! `dispatcher.set_state`, and the same words to every command.
//!
//! Each case has a set of its own, so that many share a server and each is compared alone.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use crate::compare_lists;
use crate::pair::{Pair, against_itself, neutral};
use crate::report::Report;
use harness::{Config, Kamailio, Module, Probe, TempDir, Uac};

/// Cases that share a server: a list of these fits into a reply of `kamcmd`.
const TOGETHER: usize = 60;

/// A set that no case has, for the doors that need a list to begin with.
const FIRST: &str = "1000 sip:127.0.0.1:9\n";

/// One destination; `{{PORT}}` stands for the server's port.
#[derive(Clone, Debug)]
struct Case {
    uri: String,
    flags: i64,
    priority: i64,
    attrs: String,
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    File,
    Table,
    Add,
    /// Only ours has it.
    Modify,
}

/// What dispatcher shows of each set that is there, in the list and in a selection.
type Seen = BTreeMap<usize, String>;

const NAMES: [&str; 15] = [
    "duid",
    "socket",
    "sockname",
    "ping_socket",
    "obproxy",
    "ping_from",
    "weight",
    "rweight",
    "maxload",
    "cc",
    "latency",
    "ocmin",
    "ocmax",
    "ocrate",
    "ping_reply_codes",
];

/// What follows a name, which `@` stands for.
const VALUES: [&str; 33] = [
    "",
    "=",
    "=\"\"",
    "=''",
    "=x",
    "=5x",
    "=-1",
    "=0",
    "=1",
    "=50",
    "=100",
    "=101",
    "=99999999999",
    "=+5",
    "=\"5\"",
    "='5'",
    "=\"",
    "=0x10",
    "=1.5",
    "=;@=5",
    "=5;@=7",
    "=x;@=7",
    ";@=7",
    "=\"\";@=7",
    "=;x=y",
    "=5;",
    "=5;;",
    "=\"5\"x",
    "=5,x",
    "=5>x",
    "=\u{e9}",
    "=udp:127.0.0.1:{{PORT}}",
    "=sip:127.0.0.1:7999",
];

/// Texts without a blank, which a list file can hold too.
const WORDS: [&str; 36] = [
    "",
    ";",
    ";;",
    "=",
    "==",
    ",",
    ">",
    "\"\"",
    "''",
    "\"a=b\"",
    "a",
    "a;",
    "a;b;c",
    "a=b",
    "a=b;",
    "a=b;;c=d",
    ";a=b",
    "a>b",
    "a=b>c",
    "a=\">\"",
    "a='b",
    "a=\"b\\\"c\"",
    "a=#b",
    "\u{c}",
    "a\u{c}",
    "a=b\u{c}",
    "\u{c}a=b",
    "a=b;\u{c}",
    "a=b;\u{c};",
    "a=b;\u{c}c=d",
    "\u{b}",
    "\u{7f}",
    "\u{e9}",
    "weight=50;socket=",
    "weight=50;socket=;maxload=3",
    "duid=;weight=7",
];

/// Texts with blanks, for which a list file has no room.
const TEXTS: [&str; 27] = [
    " ",
    " ;",
    "; ",
    "\t",
    "a=b; ",
    " a=b",
    "a=b c",
    "a=b; c=d",
    "a=b ;c=d",
    "a = b",
    "a b",
    "a ;",
    "a\t",
    "a= ",
    "a= ;b",
    "note=\"Frankfurt 1\";weight=5",
    "note=\"Frankfurt\t1\"; weight=5",
    "note='Frankfurt 1'",
    "weight=5 x",
    "weight= 5",
    "weight=\" 5\"",
    "weight=\"5 \"",
    "duid=\" x \"",
    "weight=5\nduid=x",
    "weight=5;\nduid=x",
    "weight=5\r\n",
    "a=b # c",
];

const URIS: [&str; 42] = [
    "127.0.0.1:7001",
    "127.0.0.1",
    "abc",
    "ab.c",
    "sip",
    "sip:",
    "sips:",
    "tel:123",
    "urn:service:sos",
    "http://127.0.0.1",
    "<sip:127.0.0.1:7001>",
    "SIP:127.0.0.1:7001",
    "Sips:127.0.0.1:7001",
    "sips:127.0.0.1:7001",
    "sip:[::1]:7001",
    "[::1]:7001",
    "::1",
    "sip:::1",
    "sip:127.0.0.1:7001;transport=TCP",
    "sip:127.0.0.1:7001;transport=foo",
    "sip:127.0.0.1:7001;transport=",
    "sip:127.0.0.1:7001;transport",
    "sip:127.0.0.1:7001;transport=ws",
    "sip:127.0.0.1:7001;transport=sctp",
    "sip:127.0.0.1:7001;lr;x=y",
    "sip:127.0.0.1:7001?a=b",
    "sip:127.0.0.1:0",
    "sip:127.0.0.1:65535",
    "sip:127.0.0.1:65536",
    "sip:127.0.0.1:",
    "sip:@127.0.0.1",
    "sip:a:b@127.0.0.1",
    "sip:a@b@127.0.0.1",
    "sip:127.1",
    "sip:127.0.0.01",
    "sip:256.0.0.1",
    "sip:127.0.0.1.",
    "sip:nohost.invalid",
    "sip:\u{e9}@127.0.0.1",
    " sip:127.0.0.1:7001",
    "sip:127.0.0.1:7001\t",
    "sip:a b@127.0.0.1:7001",
];

const FLAGS: [i64; 17] = [
    0, 1, 2, 3, 4, 5, 8, 9, 12, 16, 17, 31, 32, 128, 255, 256, 4096,
];

const PRIORITIES: [i64; 5] = [0, 1, 50, 2_147_483_647, -5];

#[test]
fn attributes_by_every_door() {
    compare_lists(|report, _| {
        let named = NAMES.iter().flat_map(|name| {
            let text = move |value: &&str| format!("{name}{}", value.replace('@', name));
            VALUES.iter().map(text)
        });
        let texts = WORDS.iter().chain(&TEXTS).map(|text| (*text).to_owned());
        let cases: Vec<Case> = named.chain(texts).map(|attrs| with(&attrs)).collect();
        every_door(report, &cases);
    });
}

#[test]
fn uris_flags_and_priorities_by_every_door() {
    compare_lists(|report, _| {
        let uris = URIS.iter().flat_map(|uri| {
            let case = Case {
                uri: (*uri).to_owned(),
                ..with("duid=x")
            };
            [0, 16].map(|flags| Case {
                flags,
                ..case.clone()
            })
        });
        let numbers = FLAGS.iter().flat_map(|&flags| {
            PRIORITIES.map(|priority| Case {
                flags,
                priority,
                ..with("duid=x")
            })
        });
        every_door(report, &uris.chain(numbers).collect::<Vec<_>>());
    });
}

#[test]
fn generated_destinations_by_every_door() {
    compare_lists(|report, rng| {
        let cases: Vec<Case> = (0..240).map(|_| generated(rng)).collect();
        every_door(report, &cases);
    });
}

/// A usual destination with these attributes.
fn with(attrs: &str) -> Case {
    Case {
        uri: "sip:127.0.0.1:7001".to_owned(),
        flags: 0,
        priority: 0,
        attrs: attrs.to_owned(),
    }
}

fn generated(rng: &mut StdRng) -> Case {
    let pick = |rng: &mut StdRng, from: &[&str]| (*from.choose(rng).unwrap_or(&"")).to_owned();
    let uri = if rng.random_bool(0.2) {
        pick(rng, &URIS)
    } else {
        format!("sip:127.0.0.1:{}", rng.random_range(7000..7100))
    };
    let attr = |rng: &mut StdRng| {
        if rng.random_bool(0.2) {
            let whole: &[&str] = if rng.random_bool(0.5) { &WORDS } else { &TEXTS };
            return pick(rng, whole);
        }
        let name = pick(rng, &NAMES);
        let value = pick(rng, &VALUES).replace('@', &name);
        name + &value
    };
    let count = rng.random_range(0..4);
    let attrs: Vec<String> = (0..count).map(|_| attr(rng)).collect();
    let between = pick(rng, &[";", ";", ";", "; ", " ;"]);
    Case {
        uri,
        flags: *FLAGS.choose(rng).unwrap_or(&0),
        priority: *PRIORITIES.choose(rng).unwrap_or(&0),
        attrs: attrs.join(&between),
    }
}

/// Brings the cases in through every door of both modules, and compares what is there afterwards.
fn every_door(report: &mut Report, cases: &[Case]) {
    for cases in cases.chunks(TOGETHER) {
        let (c, ours) = std::thread::scope(|scope| {
            let by = |module, door| move || bring(module, door, cases);
            let c =
                [Door::File, Door::Table, Door::Add].map(|door| scope.spawn(by(Module::C, door)));
            let doors = [Door::File, Door::Table, Door::Add, Door::Modify];
            let ours = doors.map(|door| scope.spawn(by(Module::Rust, door)));
            let seen = |run: std::thread::ScopedJoinHandle<'_, Seen>| run.join().expect("it ran");
            (c.map(seen), ours.map(seen))
        });
        for (set, case) in (1..).zip(cases) {
            let of = |seen: &Seen| {
                seen.get(&set)
                    .map_or("not there", String::as_str)
                    .to_owned()
            };
            let what = format!("{}{case:?}", kind(case));
            for (door, c, ours) in [
                ("file", &c[0], &ours[0]),
                ("table", &c[1], &ours[1]),
                ("add", &c[2], &ours[2]),
            ] {
                if door != "file" || fits_a_line(case) {
                    report.compare(&format!("door {door} {what}"), &of(c), &of(ours));
                }
            }
            let [file, table, add, modify] = ours.each_ref().map(|seen| without_reports(&of(seen)));
            let agree = table == add && add == modify && (file == table || !fits_a_line(case));
            let same = agree || against_itself() || only_some_doors(case);
            let detail = format!("file {file}\n table {table}\n add {add}\n modify {modify}");
            report.check(&format!("our doors {what}"), same, &detail);
        }
    }
}

/// Names the kinds of cases for which differences are meant.
fn kind(case: &Case) -> &'static str {
    let Case { uri, attrs, .. } = case;
    if uri.trim().contains(' ') {
        "a blank in the URI: "
    } else if uri != uri.trim() || attrs != attrs.trim_matches([' ', '\t', '\r', '\n']) {
        "blanks around a text: "
    } else {
        ""
    }
}

/// What is shown, but for the report of load: `modify` keeps it, and with it what the attributes said before the first.
fn without_reports(shown: &str) -> String {
    match shown.split_once(" OCRATE: ") {
        Some((before, report)) => {
            let rest = report.split_once(' ').map_or("", |(_, rest)| rest);
            format!("{before} {rest}")
        }
        None => shown.to_owned(),
    }
}

/// Returns true if a line of a list file reads as the case, and a file of the C module too.
fn fits_a_line(case: &Case) -> bool {
    let blank = |text: &str| text.contains([' ', '\t', '\r', '\n']);
    !blank(&case.uri) && !blank(&case.attrs) && !case.attrs.starts_with('#') && case.priority >= 0
}

/// Returns true for what one of our doors takes otherwise than another (doc/differences.md, doc/reference/database.md):
/// a table's URI may have blanks around it, which drivers fill up columns with; a `;` alone is no attribute for `add`.
fn only_some_doors(case: &Case) -> bool {
    case.uri != case.uri.trim() || case.attrs == ";"
}

/// Brings the cases in through a door, each into a set of its own.
fn bring(module: Module, door: Door, cases: &[Case]) -> Seen {
    let config = Probe::new()
        .config()
        .only_critical()
        .param("reload_delta", 0);
    let start = |config: Config| {
        let server = Kamailio::start(module, config.native());
        if module == Module::C || against_itself() {
            server.ignore_log();
        }
        server
    };
    match door {
        Door::File => {
            let line = |(set, case): (usize, &Case)| {
                let Case {
                    uri,
                    flags,
                    priority,
                    attrs,
                } = case;
                format!("{set} {uri} {flags} {priority} {attrs}\n")
            };
            let fitting = (1..).zip(cases).filter(|(_, case)| fits_a_line(case));
            let list: String = fitting.map(line).collect();
            seen(&start(config.list(list)))
        }
        Door::Table => {
            let dir = TempDir::new();
            let url = format!("sqlite:///{}/list.db", dir.path().display());
            // The port is not known before the start, so the table is filled afterwards.
            fill(&dir, &[], 0);
            let server = start(config.load("db_sqlite.so").param("db_url", url));
            fill(&dir, cases, server.port());
            let _ = server.jsonrpc("dispatcher.reload", json!([]));
            seen(&server)
        }
        Door::Add | Door::Modify => {
            let server = start(config.list(FIRST));
            let refused: Vec<usize> = (1..)
                .zip(cases)
                .filter(|(set, case)| !takes(&server, door, *set, case))
                .map(|(set, _)| set)
                .collect();
            let mut seen = seen(&server);
            seen.retain(|set, _| !refused.contains(set));
            seen
        }
    }
}

/// Runs the command of a door; returns true for Ok.
fn takes(server: &Kamailio, door: Door, set: usize, case: &Case) -> bool {
    let Case {
        uri,
        flags,
        priority,
        attrs,
    } = case;
    let attrs = attrs.replace("{{PORT}}", &server.port().to_string());
    // A negative number goes as a text; the C module reads no number there.
    let priority = match server.module() {
        Module::Rust if *priority < 0 => json!(priority.to_string()),
        _ => json!(priority),
    };
    let ask = |command: &str, params: Value| server.jsonrpc(command, params).is_ok();
    match door {
        Door::Modify => {
            ask("dispatcher.add", json!([set, uri, 16]))
                && ask(
                    "dispatcher.modify",
                    json!([
                        set, uri, "attrs", attrs, "flags", flags, "priority", priority
                    ]),
                )
        }
        _ => ask("dispatcher.add", json!([set, uri, flags, priority, attrs])),
    }
}

/// Writes the table of a database, in place of what it has.
fn fill(dir: &TempDir, cases: &[Case], port: u16) {
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut sql =
        "CREATE TABLE IF NOT EXISTS version (table_name VARCHAR(32), table_version INTEGER);
         DELETE FROM version; INSERT INTO version VALUES ('dispatcher', 4);
         CREATE TABLE IF NOT EXISTS dispatcher (id INTEGER PRIMARY KEY, setid INTEGER,
         destination VARCHAR(200), flags INTEGER, priority INTEGER, attrs VARCHAR(200));\n"
            .to_owned();
    for (set, case) in (1..).zip(cases) {
        let attrs = case.attrs.replace("{{PORT}}", &port.to_string());
        let (uri, attrs) = (text(&case.uri), text(&attrs));
        let Case {
            flags, priority, ..
        } = case;
        sql += &format!(
            "INSERT INTO dispatcher VALUES ({set}, {set}, {uri}, {flags}, {priority}, {attrs});\n"
        );
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

/// The sets of a server, but for the first one, as its list and a selection show them.
fn seen(server: &Kamailio) -> Seen {
    let list = server
        .kamcmd(&["dispatcher.list", "full"])
        .unwrap_or_default();
    let list = neutral(server, &list);
    let mut seen: Seen = list
        .split("SET: {")
        .skip(1)
        .map(|set| {
            // Blanks at the ends of lines are part of values.
            let lines = set.lines().map(|line| line.trim_start_matches('\t'));
            let lines: Vec<&str> = lines
                .filter(|line| !line.is_empty() && !line.starts_with('}'))
                .collect();
            let id = lines.iter().find_map(|line| line.strip_prefix("ID: "));
            let id = id.and_then(|id| id.parse().ok()).expect("a set's id");
            (id, lines.join(" "))
        })
        .collect();
    seen.remove(&1000);
    let uac = Uac::new();
    for (set, shown) in &mut seen {
        let lines = Probe::run(&uac, server.addr(), &format!("dst,{set},4|dump"));
        *shown += &neutral(server, &lines.join(" "));
        // The door to its state, by the URI that the list shows.
        let uri = shown
            .split_once(" URI: ")
            .and_then(|(_, rest)| rest.split_once(" FLAGS: "));
        let uri = uri.expect("its URI").0;
        let state = ["ip", "a", "tp", "dp"][set % 4];
        let said = server.jsonrpc("dispatcher.set_state", json!([state, set, uri]));
        *shown += &format!(" {state}: {said:?}");
    }
    let list = server
        .kamcmd(&["dispatcher.list", "short"])
        .unwrap_or_default();
    let mut set = 0;
    for line in list.lines().map(str::trim) {
        if let Some(id) = line.strip_prefix("ID: ") {
            set = id.parse().expect("a set's id");
        }
        if let (Some(shown), true) = (seen.get_mut(&set), line.starts_with("FLAGS: ")) {
            *shown += &format!(" then {line}");
        }
    }
    seen
}

/// A call of each command that changes something or counts, with all its arguments.
fn commands() -> [(&'static str, Vec<Value>); 7] {
    let uri = "sip:127.0.0.1:7001";
    [
        ("set_state", vec![json!("i"), json!(1), json!(uri)]),
        ("set_duid_state", vec![json!("i"), json!(1), json!("one")]),
        (
            "add",
            vec![
                json!(3),
                json!("sip:127.0.0.1:7009"),
                json!(1),
                json!(2),
                json!("weight=5"),
            ],
        ),
        ("remove", vec![json!(1), json!(uri)]),
        ("ping_active", vec![json!(1)]),
        ("hash", vec![json!(8), json!("a"), json!("b")]),
        ("reload", vec![]),
    ]
}

const LIST: &str = "\
    1 sip:127.0.0.1:7001 0 5 duid=one\n1 sip:bob@127.0.0.1:7002 0 4\n0 sip:127.0.0.1:7001\n\
    2 sip:127.0.0.1:7003;transport=tcp\n";

/// The config for calls of commands.
fn commanded() -> Config {
    let config = Probe::new().config().list(LIST).param("flags", 2);
    config.param("reload_delta", 0)
}

#[test]
fn arguments_of_every_command() {
    compare_lists(|report, _| {
        let pair = Pair::start(commanded());
        for (name, args) in commands() {
            let mut calls: Vec<Vec<Value>> = (0..=args.len()).map(|n| args[..n].to_vec()).collect();
            calls.push([&args[..], &[json!("more")]].concat());
            // Texts, numbers and words that name nothing.
            for (at, word) in [
                (0, json!("")),
                (0, json!("zz")),
                (1, json!(99)),
                (2, json!("nobody")),
            ] {
                let mut call = args.clone();
                if let Some(old) = call
                    .get_mut(at)
                    .filter(|old| old.is_string() == word.is_string())
                {
                    *old = word;
                    calls.push(call);
                }
            }
            for call in calls {
                let method = format!("dispatcher.{name}");
                pair.json(report, "arguments", &method, json!(call));
                let (again, state) = ("dispatcher.reload", "dispatcher.set_state");
                pair.prepare(again, json!([]));
                pair.prepare(state, json!(["a", 1, "all"]));
            }
        }
        odd_arguments(report, &pair.ours);
    });
}

/// Arguments that are neither texts nor numbers: C reads them as 0 or as none, ours refuses the call.
fn odd_arguments(report: &mut Report, ours: &Kamailio) {
    let list = || ours.kamcmd(&["dispatcher.list"]).unwrap_or_default();
    let before = list();
    let modify = ["1", "sip:127.0.0.1:7001", "flags", "1", "priority", "7"].map(Value::from);
    let modify = ("modify", modify.to_vec());
    for (name, args) in commands().into_iter().chain([modify]) {
        for at in 0..args.len() {
            for odd in [json!(null), json!(true), json!([]), json!({}), json!([1])] {
                let mut call = args.clone();
                call[at] = odd;
                let said = ours.jsonrpc(&format!("dispatcher.{name}"), json!(call));
                let refused =
                    matches!(&said, Err(fault) if fault.text.starts_with("Invalid Parameters"));
                let unchanged = list() == before;
                let holds = against_itself() || refused && unchanged;
                let detail = format!("said {said:?}, list unchanged: {unchanged}");
                report.check(&format!("odd argument: {name} {call:?}"), holds, &detail);
            }
        }
    }
}

/// Each command finds a destination by its whole URI, with or without `sip:`; all but `remove` in any case.
#[test]
fn addresses_in_every_command() {
    compare_lists(|report, _| {
        let pair = Pair::start(commanded());
        for (set, uri, there) in [
            (1, "sip:127.0.0.1:7001", true),
            (1, "127.0.0.1:7001", true),
            (1, "SIP:127.0.0.1:7001", true),
            (1, "sip:bob@127.0.0.1:7002", true),
            (1, "bob@127.0.0.1:7002", true),
            (1, "BOB@127.0.0.1:7002", true),
            (2, "sip:127.0.0.1:7003;transport=TCP", true),
            (2, "127.0.0.1:7003;transport=tcp", true),
            (2, "127.0.0.1:7003", false),
            (2, "sip:127.0.0.1:7001", false),
            (1, "sips:127.0.0.1:7001", false),
            (1, "7001", false),
            (1, "", false),
            (9, "127.0.0.1:7001", false),
        ] {
            let as_in_c = uri.starts_with("sip") || uri.starts_with("SIP");
            if as_in_c {
                let params = json!(["ip", set, uri]);
                pair.json(report, "addresses", "dispatcher.set_state", params);
            }
            let calls = [
                ("set_state", json!(["ip", set, uri])),
                ("modify", json!([set, uri, "priority", 3])),
                ("ping_status", json!([set, uri])),
                ("remove", json!([set, uri])),
            ];
            for (name, params) in calls {
                let said = pair.ours.jsonrpc(&format!("dispatcher.{name}"), params);
                let exact = name != "remove" || uri == uri.to_lowercase();
                let named = said.as_ref().err().is_none_or(|fault| {
                    name == "ping_status"
                        || fault.text.contains(&format!("set {set}, {uri}: no such"))
                });
                let holds = against_itself() || said.is_ok() == (there && exact) && named;
                report.check(&format!("{name} {set} {uri}"), holds, &format!("{said:?}"));
            }
            pair.prepare("dispatcher.reload", json!([]));
        }
    });
}

//! Generated list files with an odd grammar: both modules load the same, or both refuse to start.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

use crate::compare_lists;
use crate::pair::{against_itself, answer, neutral};
use crate::report::Report;
use harness::{Config, Kamailio, Module};

/// Lines that the C module swallows silently and ours answers with a message (field report W19).
const SWALLOWED: [(&str, &str); 8] = [
    ("hex flags", "1 sip:127.0.0.1:7999 0x08 3 duid=hex"),
    ("draining flag 65536", "1 sip:127.0.0.1:7999 65536 3"),
    ("draining flag 64", "1 sip:127.0.0.1:7999 64 3"),
    ("negative priority", "1 sip:127.0.0.1:7999 0 -5 duid=neg"),
    ("text without a set id", "sip:127.0.0.1:7999 0 5"),
    ("overlong line", ""),
    ("number too large", "1 sip:127.0.0.1:7999 99999999999 5"),
    (
        "attrs cut at a blank",
        "1 sip:127.0.0.1:7999 0 5 duid=a weight=5",
    ),
];

#[test]
fn generated_files() {
    compare_lists(|report, rng| generated(report, rng, 45, 0));
}

#[test]
fn generated_files_with_load_mode_1() {
    compare_lists(|report, rng| generated(report, rng, 15, 1));
}

#[test]
fn lines_that_must_not_be_swallowed() {
    compare_lists(|report, _| swallowed(report));
}

fn generated(report: &mut Report, rng: &mut StdRng, count: u32, load_mode: i64) {
    for n in 0..count {
        let list = file(rng, n);
        let what = format!("list file {n} mode {load_mode}");
        load(report, &what, &list, load_mode);
    }
}

fn swallowed(report: &mut Report) {
    let marked = "\u{feff}1 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n";
    load(report, "list file [byte order mark]", marked, 0);
    for (name, line) in SWALLOWED {
        let long = format!("1 sip:127.0.0.1:7999 0 5 x={}", "y".repeat(1100));
        let line = if line.is_empty() { long.as_str() } else { line };
        let list = format!("1 sip:127.0.0.1:7001\n{line}\n2 sip:127.0.0.1:7002\n");
        load(report, &format!("list file [{name}]"), &list, 0);
    }
}

/// Starts both modules with the list; compares whether they start and what they then list.
fn load(report: &mut Report, what: &str, list: &str, load_mode: i64) {
    let config = Config::routes("request_route { exit; }")
        .list(list)
        .param("ds_load_mode", load_mode)
        .only_critical();
    let [c, ours] = [Module::C, Module::Rust].map(|module| {
        let Ok(server) = Kamailio::try_start(module, config.clone().native()) else {
            return "refuses to start".to_owned();
        };
        if module == Module::C || against_itself() {
            server.ignore_log();
        }
        let full = answer(
            &server,
            server.jsonrpc_text("dispatcher.list", json!(["full"])),
        );
        let short = answer(&server, server.kamcmd(&["dispatcher.list", "short"]));
        neutral(&server, &format!("{full}\n{short}"))
    });
    report.compare(&format!("{what}\n{list}"), &c, &ours);
}

/// One file; some have no usable line, no newline at the end, or DOS line ends.
fn file(rng: &mut StdRng, n: u32) -> String {
    let count = [0, 1, 3, 8, 20, 60][rng.random_range(0..6)];
    let mut list = String::new();
    if n == 0 {
        return list;
    }
    let end = if rng.random_bool(0.2) { "\r\n" } else { "\n" };
    for _ in 0..count {
        list += &line(rng);
        list += end;
    }
    if rng.random_bool(0.06) {
        // A set id with nothing after it refuses the whole file.
        list += &format!(
            "{}{end}",
            ["7", "7 # none", "  12\t"][rng.random_range(0..3)]
        );
    }
    if rng.random_bool(0.3) {
        list.truncate(list.trim_end().len());
    }
    list
}

/// One line, mostly a right one.
pub fn line(rng: &mut StdRng) -> String {
    match rng.random_range(0..20) {
        0 => return String::new(),
        1 => return "   \t ".to_owned(),
        2 => return "# comment 1 sip:127.0.0.1".to_owned(),
        3 => return "  \t# 1 sip:127.0.0.1".to_owned(),
        _ => {}
    }
    let mut line = String::new();
    line += ["", "", "", " ", "\t", "  \t "].choose(rng).unwrap_or(&"");
    line += &rng.random_range(0..12).to_string();
    // The blank after the set id may be missing where the next character is no digit.
    let uri = uri(rng);
    let glued = !uri.starts_with(|c: char| c.is_ascii_digit()) && rng.random_bool(0.1);
    line += if glued {
        ""
    } else {
        [" ", "  ", "\t", " \t "].choose(rng).unwrap_or(&" ")
    };
    line += &uri;
    if rng.random_bool(0.05) {
        return line + "#comment right after";
    }
    rest(rng, line)
}

fn rest(rng: &mut StdRng, mut line: String) -> String {
    let blank = |rng: &mut StdRng| *[" ", " ", "\t", "   "].choose(rng).unwrap_or(&" ");
    let fields = rng.random_range(0..5);
    if fields >= 1 && fields != 4 {
        line += blank(rng);
        line += [
            "0", "1", "2", "4", "8", "9", "16", "5", "12", "31", "128", "0010", "255",
        ]
        .choose(rng)
        .unwrap_or(&"0");
    }
    if fields == 2 || fields == 3 {
        line += blank(rng);
        line += ["0", "1", "5", "10", "007", "2147483647", "100"]
            .choose(rng)
            .unwrap_or(&"0");
    }
    if fields >= 3 {
        // With 4 the attributes stand where the flags would.
        line += blank(rng);
        line += &attrs(rng);
    }
    if rng.random_bool(0.1) {
        line += " # a comment";
    }
    if rng.random_bool(0.1) {
        line += "  \t";
    }
    line
}

fn uri(rng: &mut StdRng) -> String {
    let port = 7000 + rng.random_range(0..40);
    match rng.random_range(0..24) {
        0 => format!("127.0.0.1:{port}"),
        1 => format!("SIP:127.0.0.1:{port}"),
        2 => format!("sip:user@127.0.0.1:{port};transport=tcp;x=y"),
        3 => format!("sips:127.0.0.1:{port}"),
        4 => format!("sip:[::1]:{port}"),
        5 => "sip:".to_owned(),
        6 => "abc".to_owned(),
        7 => "sip:127.0.0.1:99999".to_owned(),
        8 => format!("sip:nohost.invalid:{port}"),
        9 => "\"sip:127.0.0.1\"".to_owned(),
        10 => "sip:a@b@c".to_owned(),
        11 => format!("sip:u:p@127.0.0.1:{port}?h=v"),
        12 => "sip:127.0.0.1:".to_owned(),
        13 => format!("sip:127.0.0.1:{port};transport=tls"),
        14 => "tel:+123456".to_owned(),
        15 => "sip:ü@127.0.0.1".to_owned(),
        _ => format!("sip:127.0.0.1:{port}"),
    }
}

fn attrs(rng: &mut StdRng) -> String {
    let all = [
        "duid=abc",
        "duid=\"q\"",
        "weight=50",
        "weight=0",
        "weight=200",
        "weight=x",
        "WEIGHT=7",
        "maxload=5",
        "maxload=0",
        "maxload=-1",
        "rweight=10",
        "rweight=0",
        "rweight=101",
        "cc=1",
        "novalue",
        "my=xyz",
        "a#b=c#d",
        "k=\"a;b\"",
        "ping_from=sip:p@x",
        "obproxy=sip:127.0.0.1",
        "latency=20",
        "socket=udp:127.0.0.1:{{PORT}}",
        "socket=udp:192.0.2.9:5",
        "socket=bad",
        "sockname=nosuch",
        "=x",
        "e=",
        ";",
        "ü=ö",
        "duid=second",
        "weightx=5",
        "weight=10",
    ];
    let count = rng.random_range(1..5);
    let parts: Vec<&str> = (0..count)
        .map(|_| *all.choose(rng).unwrap_or(&"a=b"))
        .collect();
    let mut attrs = parts.join(";");
    attrs += [";", "", "", ""].choose(rng).unwrap_or(&"");
    attrs
}

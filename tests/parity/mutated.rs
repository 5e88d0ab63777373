//! List files that are nearly right: both modules read the same, or both refuse the file. Many files are read by one
//! server of each.
//!
//! `PARITY_SEED` chooses the files, and `PARITY_FILES` how many there are (500).

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

use crate::compare_lists;
use crate::files;
use crate::pair::{Pair, answer};
use crate::report::Report;
use harness::{Config, Kamailio};

/// Every file has it, as C drops all sets for a file without a destination.
const FIRST: &str = "99 sip:127.0.0.1:7999 0 9 duid=first\n";

/// What changes put into a line.
const WORDS: [&str; 40] = [
    "sip:",
    "sips:",
    "SIP:",
    "tel:",
    "urn:",
    ":",
    ";",
    "=",
    ",",
    ">",
    "\"",
    "'",
    "#",
    " ",
    "\t",
    "\r",
    "  ",
    "-",
    "+",
    "0",
    "1",
    "8",
    "31",
    "255",
    "100",
    "101",
    "@",
    "[::1]",
    "127.0.0.1",
    ";transport=tcp",
    ";lr",
    "?h=v",
    "duid=",
    "weight=",
    "rweight=",
    "maxload=",
    "socket=",
    "weight=50;",
    "a=b;",
    "\u{c}",
];

#[test]
fn mutated_files() {
    compare_lists(mutated);
}

fn mutated(report: &mut Report, rng: &mut StdRng) {
    let files = std::env::var("PARITY_FILES").map_or(500, |count| count.parse().expect("a number"));
    // Without DNS, so that no name is waited for, and none refuses the file.
    let config = Config::routes("request_route { exit; }")
        .list(FIRST)
        .param("ds_dns_mode", 0)
        .param("reload_delta", 0);
    let pair = Pair::start(config);
    for n in 0..files {
        let list = format!("{FIRST}{}", file(rng));
        let [c, ours] = [&pair.c, &pair.ours].map(|server| load(server, &list));
        report.compare(&format!("mutated file {n}\n{list}"), &c, &ours);
    }
}

/// Reads a file; returns whether the module took it, and its destinations.
fn load(server: &Kamailio, list: &str) -> String {
    server.write_list(list.replace("{{PORT}}", &server.port().to_string()));
    let reload = server.jsonrpc("dispatcher.reload", json!([]));
    let taken = if reload.is_ok() { "taken" } else { "refused" };
    let shown = answer(server, server.jsonrpc_text("dispatcher.list", json!([])));
    // A change may stand before the port.
    format!("{taken}\n{shown}").replace(&server.port().to_string(), "PORT")
}

fn file(rng: &mut StdRng) -> String {
    let mut list = String::new();
    for _ in 0..rng.random_range(1..4) {
        list += &line(rng);
        list += "\n";
    }
    list
}

/// A line of which some bytes are others. Those that are meant to differ have tests of their own: it is none of them.
fn line(rng: &mut StdRng) -> String {
    loop {
        let mut line = files::line(rng);
        for _ in 0..rng.random_range(0..4) {
            mutate(rng, &mut line);
        }
        if !is_meant_to_differ(&line) {
            return line;
        }
    }
}

fn mutate(rng: &mut StdRng, line: &mut String) {
    let mut place = || {
        let mut at = rng.random_range(0..=line.len());
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (from, to) = (place(), place());
    let word = *WORDS.choose(rng).unwrap_or(&" ");
    match rng.random_range(0..5) {
        0 | 1 => line.insert_str(from, word),
        2 if from < to && to - from < 9 => line.replace_range(from..to, ""),
        3 if from < to => {
            let piece = line[from..to].to_owned();
            line.insert_str(from, &piece);
        }
        _ => {
            if let Some(byte) = line[from..].chars().next() {
                line.replace_range(from..from + byte.len_utf8(), word);
            }
        }
    }
}

/// Returns true for text without a set id, hexadecimal flags, flags that mean draining, a negative priority, and
/// numbers that may be too large.
fn is_meant_to_differ(line: &str) -> bool {
    let blanks = [' ', '\t', '\r'];
    let is_digit = |c: char| c.is_ascii_digit();
    let text = line.trim_start_matches(blanks);
    if text.is_empty() || text.starts_with('#') {
        return false;
    }
    let mut fields = text.split(blanks).filter(|field| !field.is_empty());
    // The URI may follow the set id without a blank.
    if fields
        .next()
        .is_some_and(|set_id| set_id.chars().all(is_digit))
    {
        fields.next();
    }
    let [flags, priority] = [fields.next(), fields.next()].map(Option::unwrap_or_default);
    let number = flags.split(|c| !is_digit(c)).next().unwrap_or_default();
    let drains = number
        .parse()
        .is_ok_and(|flags: u64| flags & (64 | 65_536) != 0);
    !text.starts_with(is_digit)
        || text.split(|c| !is_digit(c)).any(|digits| digits.len() > 9)
        || flags.starts_with("0x")
        || flags.starts_with("0X")
        || drains
        || priority.starts_with('-')
}

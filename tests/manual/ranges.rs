//! The ranges of the parameters, as the table of parameters.md has them, tried on a server: the least value of each
//! starts it without a word, and a value outside of its range does not.

use std::io::Write as _;
use std::sync::Mutex;

use harness::{Config, Kamailio, Module};

/// What else must be on, or nobody looks at the parameter.
const ON: [(&str, i64); 7] = [
    ("ds_ping_interval", 10),
    ("ds_hash_size", 8),
    ("ds_dns_mode", 7),
    ("ds_ping_latency_stats", 1),
    ("flags", 2),
    ("enable_dmq", 1),
    ("ds_passive", 1),
];

/// A parameter that is a number: its name, the least value of its range, and values outside of it.
struct Range {
    name: String,
    least: i64,
    outside: Vec<i64>,
}

fn ranges() -> Vec<Range> {
    let table = include_str!("../../doc/reference/parameters.md").lines();
    let rows = table
        .filter(|line| line.starts_with("| ["))
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let [name, kind, range, ..] = cells.as_slice() else {
                return None;
            };
            let name = name.split(['[', ']']).nth(1)?.to_owned();
            let numbers = range.split(|c: char| !c.is_ascii_digit());
            let numbers: Vec<i64> = numbers.filter_map(|number| number.parse().ok()).collect();
            let least = *numbers.first()?;
            let last = *numbers.last()?;
            let outside = match () {
                () if !kind.starts_with("int") => return None,
                () if range.starts_with("sum of ") => vec![1 << 20],
                () if range.ends_with(" or more") => vec![least - 1],
                () if range.contains(" to ") => vec![least - 1, last + 1],
                // A switch, for which any other number is 1.
                () if *range == "0, 1" => Vec::new(),
                () => panic!("no range: {line}"),
            };
            let least = if range.starts_with("sum of ") {
                0
            } else {
                least
            };
            Some(Range {
                name,
                least,
                outside,
            })
        });
    rows.collect()
}

fn config() -> Config {
    // An old name for a parameter would choose the meanings of its time.
    let config = Config::routes("request_route { exit; }").param("compat", "5.6");
    let config = config.load("dmq.so");
    let config = config.modparam("dmq", "server_address", "sip:127.0.0.1:{{PORT}}");
    config.list("1 sip:127.0.0.1:7001 0 0 duid=one\n")
}

/// Starts a server with a value; returns what it says of the parameter.
fn said(name: &str, value: i64) -> Vec<String> {
    let mut config = config();
    for (other, value) in ON {
        config = config.param(other, value);
    }
    let config = config.param(name, value).only_critical();
    let server = Kamailio::try_start(Module::Rust, config);
    let log = server.map_or_else(|why| why, |server| server.log());
    // Of two names for one parameter it names one.
    let of_it = log.lines().filter(|line| {
        line.contains("dispatcher [")
            && line.contains("parameter ")
            && line.contains(&value.to_string())
    });
    of_it.map(str::to_owned).collect()
}

#[test]
fn every_number_in_the_table_of_parameters_is_in_its_range() {
    let ranges = ranges();
    assert!(
        ranges.len() > 25,
        "the parameters were not found: {}",
        ranges.len()
    );
    let least = ranges.iter().fold(config(), |config, range| {
        config.param(&range.name, range.least)
    });
    Kamailio::start(Module::Rust, least).stop();
    let outside = ranges.iter().flat_map(|range| {
        let values = range.outside.iter();
        values.map(|value| (range.name.as_str(), *value))
    });
    let outside: Vec<(&str, i64)> = outside.collect();
    let queue = Mutex::new(outside.iter());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((name, value)) = queue.lock().unwrap().next() else {
                        break;
                    };
                    assert!(
                        !said(name, *value).is_empty(),
                        "{name} {value}: nothing is said"
                    );
                }
            });
        }
    });
    let _ = writeln!(
        std::io::stderr(),
        "docs-check: {} ranges of parameters tried, {} values outside of them",
        ranges.len(),
        outside.len()
    );
}

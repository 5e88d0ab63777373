//! What differs between the servers themselves, and between the C modules that come with them: the
//! one place of the tests that knows versions.

use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::{module, this_server};

/// Version of the server under test, such as (5, 6).
pub fn core() -> (u32, u32) {
    static CORE: OnceLock<(u32, u32)> = OnceLock::new();
    *CORE.get_or_init(|| {
        let output = Command::new(module::kamailio()).arg("-v").output();
        let text = output.expect("kamailio -v runs").stdout;
        let text = String::from_utf8_lossy(&text).into_owned();
        let words = text.split_whitespace();
        let version = words.skip_while(|word| *word != "kamailio").nth(1);
        let mut numbers = version
            .expect("kamailio -v says its version")
            .split('.')
            .map(|number| number.parse().expect("a number"));
        (numbers.next().unwrap(), numbers.next().unwrap())
    })
}

/// What JSON shows for a text that is not there: 5.4 knows no null.
pub fn null() -> Value {
    match core() {
        old if old < (5, 5) => Value::from(""),
        _ => Value::Null,
    }
}

/// The same in kamcmd.
pub fn null_in_kamcmd() -> &'static str {
    match core() {
        old if old < (5, 5) => "",
        _ => "<null string>",
    }
}

/// A log without what the control process of 5.4 says of each command.
pub fn without_traffic(log: &str) -> String {
    let told = log
        .lines()
        .filter(|line| !line.contains("handle_stream_read()"));
    told.collect::<Vec<&str>>().join("\n")
}

/// Whether the C module of the server under test knows this name, of a function or parameter.
pub fn c_has(name: &str) -> bool {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let path = this_server::module_file("dispatcher.so").expect("the C module");
        std::fs::read(path).expect("the C module")
    });
    let text = [name.as_bytes(), b"\0"].concat();
    file.windows(text.len()).any(|window| window == text)
}

/// The name before a parenthesis: each in the text that begins as the module's functions do.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.split('(').filter_map(|before| {
        let from = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &before[from.map_or(0, |at| at + 1)..];
        name.starts_with("ds_").then_some(name)
    })
}

/// Whether the C module under test answers `dispatcher.hash` through kamcmd: 5.4's takes the server
/// down.
pub fn c_survives_hash() -> bool {
    core() >= (5, 5)
}

/// Whether the C module under test lets a script reload at once where `reload_delta` is 0: 5.4's
/// refuses.
pub fn c_reloads_with_delta_0() -> bool {
    core() >= (5, 5)
}

/// A list as far as the C module under test shows it: 5.4's has no `full`.
pub fn as_c_lists(text: &str) -> String {
    const LATER: [&str; 6] = [
        "HOST",
        "IPADDR",
        "PORT",
        "PROTOID",
        "DNSTIME_SEC",
        "DNSTIME_USEC",
    ];
    if c_has("DNSTIME_SEC") {
        return text.to_owned();
    }
    let shown = text.lines().filter(|line| {
        let key = line.trim().trim_start_matches('"');
        let key = key.split(['"', ':']).next().unwrap_or_default();
        !LATER.contains(&key)
    });
    // What was left out may have been the last one.
    let text = shown.collect::<Vec<&str>>().join("\n");
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_end_matches(','))
        .collect();
    lines.join("\n")
}

/// Whether the C module has every function that the text calls.
pub fn c_has_all(text: &str) -> bool {
    functions(text).all(c_has)
}

/// Where the first parenthesis that opens in the text is closed, and past it.
fn closing(text: &str) -> usize {
    let mut open = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => open += 1,
            ')' if open == 1 => return at + 1,
            ')' => open -= 1,
            _ => {}
        }
    }
    text.len()
}

/// A config as the C module under test can read it: its parameters of later versions are left out,
/// and its functions of later versions fail.
pub fn for_c(config: &str) -> String {
    let known = |line: &&str| {
        let name = line
            .split_once("modparam(\"dispatcher\", \"")
            .and_then(|(_, rest)| rest.split('"').next());
        name.is_none_or(|name| name.starts_with("no") || c_has(name))
    };
    let lines: Vec<&str> = config.lines().filter(known).collect();
    let mut config = lines.join("\n") + "\n";
    let mut later: Vec<String> = functions(&config)
        .filter(|name| !c_has(name))
        .map(str::to_owned)
        .collect();
    later.dedup();
    for name in later {
        let call = format!("{name}(");
        while let Some(from) = config.find(&call) {
            let end = from + closing(&config[from..]);
            config.replace_range(from..end, "is_int(\"$null\")");
        }
    }
    config
}

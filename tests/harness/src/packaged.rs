//! The C module of the server's package: what it has and can answer. Those of 5.4 and before have
//! less than the tests ask, which are written for 5.6.

use std::sync::OnceLock;

use super::this_server::{self, core};

/// Returns whether it knows this name of a function or parameter.
pub fn has(name: &str) -> bool {
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

/// Returns whether it reads and shows its lists so that they can be compared: 5.4's `dispatcher.list` has neither
/// `full` nor `short`, and takes weights over 100.
pub fn lists_can_be_compared() -> bool {
    has("DNSTIME_SEC")
}

/// Returns whether it answers `dispatcher.hash` through kamcmd: 5.4's takes the server down.
pub fn survives_hash() -> bool {
    core() >= (5, 5)
}

/// Returns whether it lets a script reload at once where `reload_delta` is 0: 5.4's refuses.
pub fn reloads_with_delta_0() -> bool {
    core() >= (5, 5)
}

/// Returns whether it has algorithm 13: 5.4's takes the first destination, as for a number that means nothing.
pub fn orders_by_latency() -> bool {
    core() >= (5, 5)
}

/// Returns whether it has every function that the text calls.
pub fn has_all(text: &str) -> bool {
    functions(text).all(has)
}

/// Returns the place behind the parenthesis that closes the first one in the text.
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

/// A config as it can read it: parameters of later versions are left out, and functions of later
/// versions fail.
pub fn adapt(config: &str) -> String {
    let known = |line: &&str| {
        let name = line
            .split_once("modparam(\"dispatcher\", \"")
            .and_then(|(_, rest)| rest.split('"').next());
        name.is_none_or(|name| name.starts_with("no") || has(name))
    };
    let lines: Vec<&str> = config.lines().filter(known).collect();
    let mut config = lines.join("\n") + "\n";
    let mut later: Vec<String> = functions(&config)
        .filter(|name| !has(name))
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

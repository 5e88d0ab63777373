//! The server that the tests run: which one it is, what it says in other words than 5.6, and what it
//! lacks. A test that needs what it lacks says so and returns. What the packaged C module lacks is in
//! `packaged.rs`; nothing else in the tests knows versions.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::module;

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

/// Returns the value that JSON shows for a text that is not there: 5.4 knows no null.
pub fn null() -> Value {
    match core() {
        old if old < (5, 5) => Value::from(""),
        _ => Value::Null,
    }
}

/// Returns the text that kamcmd shows for a text that is not there.
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

/// Finds the file of a module, such as `xhttp.so`: in a directory of the server's modules, or in one of
/// the module's own there.
pub fn module_file(file: &str) -> Option<PathBuf> {
    let own = file.trim_end_matches(".so");
    module::packaged_modules()
        .split(':')
        .map(Path::new)
        .flat_map(|dir| [dir.join(file), dir.join(own).join(file)])
        .find(|path| path.is_file())
}

/// The server has this module.
pub fn has_module(file: &str) -> bool {
    module_file(file).is_some()
}

/// Says that the running test is skipped on this server, and why. The test then returns.
///
/// It is said on standard error, past the test harness, and in the file that `SKIPS` names, which
/// `tests/skipped.sh` counts.
pub fn skip(reason: &str) {
    say_skipped("", "", reason);
}

/// As [`skip`], for a part of the running test, which goes on.
pub fn skip_part(part: &str, reason: &str) {
    say_skipped(part, "", reason);
}

/// As [`skip`], where it is the machine that lacks something.
pub fn skip_for_lack_of(lack: &str, reason: &str) {
    say_skipped("", lack, reason);
}

/// As [`skip_part`], where it is the machine that lacks something.
pub fn skip_part_for_lack_of(part: &str, lack: &str, reason: &str) {
    say_skipped(part, lack, reason);
}

/// Writes a line: topic, test, part or nothing for all of the test, what the machine lacks or
/// nothing where it is the server, reason.
fn say_skipped(part: &str, lack: &str, reason: &str) {
    let program = std::env::current_exe().expect("this program's path");
    let program = program.file_stem().expect("a file").to_string_lossy();
    let thread = std::thread::current();
    let (topic, test) = match thread.name().unwrap_or("?") {
        // A program that is no collection of tests.
        "main" => (&*program, "all"),
        test => match test.split_once("::") {
            Some((topic, _)) if program.starts_with("server") => (topic, test),
            _ => ("parity", test),
        },
    };
    let said: Vec<&str> = [topic, test, part, reason]
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect();
    let _ = writeln!(std::io::stderr(), "skipped: {}", said.join(": "));
    if let Some(file) = std::env::var_os("SKIPS") {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .expect("the file that SKIPS names");
        // At once: other tests write as well.
        let line = format!("{topic}\t{test}\t{part}\t{lack}\t{reason}\n");
        file.write_all(line.as_bytes()).expect("a line in it");
    }
}

/// True, after saying so, where the server lacks one of these modules; `dispatcher.so` is the C
/// module.
pub fn lacks(files: &[&str]) -> bool {
    let missing: Vec<&str> = files
        .iter()
        .copied()
        .filter(|file| !has_module(file))
        .collect();
    if missing.is_empty() {
        return false;
    }
    let (major, minor) = core();
    let names = missing
        .join(", ")
        .replace("dispatcher.so", "C module dispatcher.so");
    skip(&format!("the {major}.{minor} server here has no {names}"));
    true
}

/// True, after saying so, where there is no C module to compare with, or one that has less than the
/// tests use: many functions and variables came with 5.x.
pub fn lacks_c_module() -> bool {
    lacks(&["dispatcher.so"]) || older_than((5, 0), "much of the C module")
}

/// True, after saying so, where the server is older than what the test is about.
pub fn older_than(release_wanted: (u32, u32), what: &str) -> bool {
    let (major, minor) = core();
    if (major, minor) >= release_wanted {
        return false;
    }
    let (since, since_minor) = release_wanted;
    skip(&format!(
        "{what} came with {since}.{since_minor}; the server is {major}.{minor}"
    ));
    true
}

/// The first release whose bus the module uses.
pub const BUS: (u32, u32) = (5, 6);

/// True, after saying so, where servers cannot speak with each other.
pub fn lacks_bus() -> bool {
    older_than(BUS, "enable_dmq") || lacks(&["dmq.so"])
}

/// Parameters that only the module's first README has: one of them in a config asks for the
/// meanings of that time.
const OLD_NAMES: [&str; 7] = [
    "dst_avp",
    "grp_avp",
    "cnt_avp",
    "dstid_avp",
    "attrs_avp",
    "setid_pvar",
    "ds_probing_threshhold",
];

/// The config of a test in the words of the server here. The tests are written for 5.6.
///
/// 4.x has JSON-RPC in a module of another name and without datagrams: the fifo takes their place.
/// With `as_5_6`, a config that does not choose its meanings gets those of 5.6 from ours.
pub fn adapt(text: String, as_5_6: bool) -> String {
    let mut text = text;
    let names = |name: &&str| text.contains(&format!("\"dispatcher\", \"{name}\""));
    let load = "loadmodule \"dispatcher.so\"";
    if as_5_6 && core() >= (6, 0) && !OLD_NAMES.iter().chain(&["compat"]).any(names) {
        let chosen = format!("{load}\nmodparam(\"dispatcher\", \"compat\", \"5.6\")");
        text = text.replace(load, &chosen);
    }
    if !has_module("jsonrpcs.so") {
        text = text
            .replace("loadmodule \"jsonrpcs.so\"", "loadmodule \"jsonrpc-s.so\"")
            .lines()
            .map(json_parameter)
            .collect();
    }
    text
}

/// A line of a config, where it is a parameter of jsonrpcs as one of jsonrpc-s.
fn json_parameter(line: &str) -> String {
    let Some(parameter) = line.strip_prefix("modparam(\"jsonrpcs\", ") else {
        return format!("{line}\n");
    };
    if let Some(value) = parameter.strip_prefix("\"transport\", ") {
        // Bits: 1 HTTP, 2 fifo, 4 datagram. Here 2 is the fifo alone, 0 is all.
        let all = value.starts_with('7');
        let transport = if all { 0 } else { 2 };
        return format!("modparam(\"jsonrpc-s\", \"transport\", {transport})\n");
    }
    if parameter.starts_with("\"dgram_socket\"") {
        return "modparam(\"jsonrpc-s\", \"fifo_name\", \"{{DIR}}/rpc\")\n\
                modparam(\"jsonrpc-s\", \"fifo_reply_dir\", \"{{DIR}}/\")\n"
            .to_owned();
    }
    format!("modparam(\"jsonrpc-s\", {parameter}\n")
}

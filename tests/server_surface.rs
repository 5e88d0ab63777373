//! Every name that the packaged C module offers is there in ours: asked of the real server, which
//! loads one and then the other.
//!
//! What the C module might offer is read from its file: each text in it that looks like a name is
//! tried as a parameter, a script function in every kind of route, and a variable. What the server
//! takes there under the C module, it must take under ours. `NAMES_OF_LATER_CORES` adds what newer
//! servers' modules have.
#![cfg(feature = "server-tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use server::{Config, Kamailio, Module, module};

/// What the C module has and ours has not, each with the reason.
const MISSING: [&str; 0] = [];

/// Parameters, functions with their number of arguments, and KEMI names of 6.0 and 6.1, and names
/// of before 5.0.
const NAMES_OF_LATER_CORES: [&str; 21] = [
    "parameter ds_retain_latency_stats int",
    "parameter ds_ping_fr_timeout int",
    "parameter ds_ping_fr_timer int",
    "parameter ds_ping_socket string",
    "parameter event_callback_mode int",
    "parameter ds_probing_threshhold int",
    "parameter setid_pvar string",
    "parameter dst_avp string",
    "parameter grp_avp string",
    "parameter cnt_avp string",
    "parameter dstid_avp string",
    "parameter attrs_avp string",
    "parameter sock_avp string",
    "function ds_dsg_fetch/1 in request_route",
    "function ds_dsg_fetch_uri/2 in request_route",
    "function ds_mark_addr/3 in request_route",
    "variable $dsg(count)",
    "variable $dsg(pinactive)",
    "variable $dsg(octime_usec)",
    "variable $dsv(setid)",
    "kemi ds_mark_addr",
];

const ROUTES: [&str; 6] = [
    "request_route",
    "failure_route[f]",
    "onreply_route[o]",
    "branch_route[b]",
    "onsend_route",
    "event_route[tm:local-request]",
];

/// Names in the parentheses of variables.
const FIELDS: [&str; 13] = [
    "code",
    "reason",
    "flags",
    "uri",
    "setid",
    "count",
    "active",
    "pactive",
    "pinactive",
    "octime_sec",
    "octime_usec",
    "ocseq",
    "ocrate",
];

/// Texts in a file that look like names, and their ends: a linker keeps a text once that is also
/// the end of another.
fn candidates(file: &Path) -> BTreeSet<String> {
    let bytes = std::fs::read(file).unwrap();
    let is_name = |text: &[u8]| {
        (2..40).contains(&text.len())
            && text[0].is_ascii_lowercase()
            && text
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
    };
    let texts = bytes.split(|byte| *byte == 0).filter(|text| is_name(text));
    texts
        .flat_map(|text| (0..text.len()).map(move |from| &text[from..]))
        .filter(|text| is_name(text))
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect()
}

/// The lines of a config that the server refuses, by `kamailio -c`.
fn refused(module: Module, lines: &str) -> BTreeSet<usize> {
    let dir = server::TempDir::new();
    let file = dir.path().join("k.cfg");
    let mpath = module.mpath(dir.path());
    let list = dir.path().join("list");
    std::fs::write(&list, "1 sip:127.0.0.1:7001\n").unwrap();
    let head = format!(
        "mpath=\"{mpath}\" loadmodule \"tm.so\" loadmodule \"pv.so\" \
         loadmodule \"dispatcher.so\" modparam(\"dispatcher\", \"list_file\", \"{}\")\n",
        list.display()
    );
    std::fs::write(&file, head + lines).unwrap();
    let output = Command::new(module::kamailio())
        .args(["-c", "-E", "-f"])
        .arg(&file)
        .output()
        .expect("kamailio runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    // "parse error in config file …, from line 12, column 3 …" or "…, line 12, column …"
    text.lines()
        .filter(|line| line.contains("parse error in config file"))
        .filter_map(|line| {
            let (_, rest) = line.split_once("line ")?;
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            rest[..digits].parse().ok()
        })
        .collect()
}

/// What the server takes: each of `tries` is a line of its own.
fn taken(module: Module, tries: &BTreeMap<String, String>, around: [&str; 2]) -> BTreeSet<String> {
    // Line 1 loads the modules, and `around` opens on line 2.
    let mut text = format!("{}\n", around[0]);
    for line in tries.values() {
        writeln!(text, "{line}").unwrap();
    }
    text += around[1];
    let refused = refused(module, &text);
    let numbered = (3..).zip(tries.keys());
    numbered
        .filter(|(line, _)| !refused.contains(line))
        .map(|(_, name)| name.clone())
        .collect()
}

/// Parameters, functions in their routes, and variables.
fn config_names(module: Module, names: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut parameters = BTreeMap::new();
    for name in names {
        for (kind, value) in [("int", "1"), ("string", "\"1\"")] {
            let line = format!("modparam(\"dispatcher\", \"{name}\", {value})");
            parameters.insert(format!("parameter {name} {kind}"), line);
        }
    }
    found.extend(taken(
        module,
        &parameters,
        ["", "request_route { exit; }\n"],
    ));
    for route in ROUTES {
        let mut functions = BTreeMap::new();
        for name in names.iter().filter(|name| name.starts_with("ds_")) {
            for count in 0..6 {
                let arguments = vec!["\"1\""; count].join(", ");
                functions.insert(
                    format!("function {name}/{count} in {route}"),
                    format!("{name}({arguments});"),
                );
            }
        }
        let open = match route {
            "request_route" => format!("{route} {{"),
            _ => format!("request_route {{ exit; }} {route} {{"),
        };
        found.extend(taken(module, &functions, [open.as_str(), "}\n"]));
    }
    let mut variables = BTreeMap::new();
    for name in names
        .iter()
        .filter(|name| name.len() == 3)
        .map(String::as_str)
    {
        for field in FIELDS {
            let variable = format!("${name}({field})");
            variables.insert(
                format!("variable {variable}"),
                format!("$var(x) = {variable};"),
            );
        }
    }
    found.extend(taken(module, &variables, ["request_route {", "}\n"]));
    found
}

/// RPC commands, variables of the config framework, and KEMI functions, as the server lists them.
fn listed_names(module: Module) -> BTreeSet<String> {
    let config = Config::routes("cfgengine \"jsdt\"")
        .load("app_jsdt.so")
        .modparam("app_jsdt", "load", "{{DIR}}/script.js")
        .file("script.js", "function ksr_request_route() {}\n")
        .list("1 sip:127.0.0.1:7001\n");
    let server = Kamailio::start(module, config);
    let lines = |command: &[&str]| server.kamcmd(command).unwrap_or_default();
    let mut found = BTreeSet::new();
    for method in lines(&["system.listMethods"]).lines() {
        if method.starts_with("dispatcher.") {
            found.insert(format!("command {method}"));
        }
    }
    for variable in lines(&["cfg.list"]).lines() {
        if let Some(variable) = variable.strip_prefix("dispatcher: ") {
            found.insert(format!("variable of cfg {variable}"));
        }
    }
    let kemi = server.jsonrpc("app_jsdt.api_list", json!([])).unwrap();
    let methods = kemi["methods"].as_array().expect("KEMI functions");
    for method in methods.iter().map(|method| &method["func"]) {
        let text = |name: &str| method[name].as_str().unwrap_or_default().to_owned();
        if text("module") == "dispatcher" || text("name").starts_with("ds_") {
            found.insert(format!("kemi {}", text("name")));
        }
    }
    found
}

fn names_of(module: Module, candidates: &BTreeSet<String>) -> BTreeSet<String> {
    let mut names = config_names(module, candidates);
    names.extend(listed_names(module));
    names
}

#[test]
fn no_name_of_the_c_module_is_missing() {
    let c_file = Path::new(module::packaged_modules()).join("dispatcher.so");
    let mut all = candidates(&c_file);
    let later = NAMES_OF_LATER_CORES.iter();
    all.extend(later.filter_map(|name| {
        let word = name
            .split([' ', '/', '$', '('])
            .find(|word| !["parameter", "function", "variable", "kemi", ""].contains(word))?;
        Some(word.to_owned())
    }));
    let c = names_of(Module::C, &all);
    let ours = names_of(Module::Rust, &all);
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (at, names) in [(0, &c), (1, &ours)] {
        for name in names {
            let kind = kinds.entry(name.split(' ').next().unwrap()).or_default();
            *(if at == 0 { &mut kind.0 } else { &mut kind.1 }) += 1;
        }
    }
    let mut out = std::io::stderr();
    writeln!(
        out,
        "surface: {} texts tried; C, ours: {kinds:?}",
        all.len()
    )
    .unwrap();
    // What the inventory must find by itself, or it is none.
    for name in [
        "parameter list_file string",
        "parameter flags int",
        "function ds_select_dst/2 in failure_route[f]",
        "function ds_is_from_list/3 in onreply_route[o]",
        "variable $dsv(code)",
        "command dispatcher.list",
        "variable of cfg probing_threshold",
    ] {
        assert!(c.contains(name), "the inventory has not {name}: {c:#?}");
    }
    assert!(!c.contains("parameter dst_avp string"), "{c:#?}");
    assert!(!c.contains("function ds_select_dst/2 in onreply_route[o]"));
    let wanted = c.iter().map(String::as_str).chain(NAMES_OF_LATER_CORES);
    let missing: Vec<&str> = wanted
        .filter(|name| !ours.contains(*name) && !MISSING.contains(name))
        .collect();
    assert!(missing.is_empty(), "missing in ours: {missing:#?}");
}

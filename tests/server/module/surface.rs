//! Every name that the packaged C module offers is there in ours: asked of the real server, which
//! loads one and then the other.
//!
//! A module of our own (`surface/lister.c`) beside it says what the server has registered:
//! parameters with their types, script functions with their number of arguments and the routes in
//! which they may stand, RPC commands. KEMI functions and variables of the config framework are
//! listed by the server itself. Pseudo-variables are parsed: each text in the C module's file that
//! looks like a name is tried in the parentheses. `NAMES_OF_LATER_CORES` adds what newer servers'
//! modules have.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use harness::{Config, Kamailio, Module, TempDir, c_module, module, root, this_server};

/// Names that the C module has and ours has not, each with the reason.
const MISSING: [&str; 0] = [];

/// Parameters, functions with their number of arguments, and KEMI names of 6.0 and 6.1, and names
/// of before 5.0.
const NAMES_OF_LATER_CORES: [&str; 18] = [
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
    "function ds_dsg_fetch/1 in request_route",
    "function ds_mark_addr/3 in request_route",
    "variable $dsg(count)",
    "variable $dsg(pinactive)",
    "variable $dsv(setid)",
    "kemi ds_mark_addr(str,int,str)",
];

/// Names in the parentheses of variables, beside those that the C module's file shows.
const FIELDS: [&str; 9] = [
    "code",
    "reason",
    "flags",
    "uri",
    "setid",
    "count",
    "active",
    "pactive",
    "pinactive",
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

/// How many texts one command asks about: its message must fit into a datagram.
const ASKED_AT_ONCE: usize = 100;

/// All names of the module that a server loads.
fn names_of(module: Module, fields: &BTreeSet<String>) -> BTreeSet<String> {
    let built = TempDir::new();
    let lister = c_module("tests/server/module/lister.c", built.path());
    let config = Config::routes(&format!(
        "loadmodule \"{}\"\ncfgengine \"jsdt\"",
        lister.display()
    ))
    .load("app_jsdt.so")
    .modparam("app_jsdt", "load", "{{DIR}}/script.js")
    .file("script.js", "function ksr_request_route() {}\n")
    .list("1 sip:127.0.0.1:7001\n");
    let server = Kamailio::start(module, config);
    // Each text that is no variable is an error in the log.
    server.ignore_log();
    let lines = |command: &[&str]| {
        let text = server.kamcmd(command).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let mut found: BTreeSet<String> = lines(&["lister.names", "dispatcher"]).into_iter().collect();
    let classes: Vec<String> = found
        .iter()
        .filter_map(|name| Some(name.strip_prefix("class ")?.to_owned()))
        .collect();
    for class in classes {
        let asked: Vec<String> = fields
            .iter()
            .map(|field| format!("${class}({field})"))
            .collect();
        for some in asked.chunks(ASKED_AT_ONCE) {
            let mut command = vec!["lister.variables"];
            command.extend(some.iter().map(String::as_str));
            let known = lines(&command);
            found.extend(known.iter().map(|name| format!("variable {name}")));
        }
    }
    for method in lines(&["system.listMethods"]) {
        if method.starts_with("dispatcher.") {
            found.insert(format!("command {method}"));
        }
    }
    for variable in lines(&["cfg.list"]) {
        if let Some(variable) = variable.strip_prefix("dispatcher: ") {
            found.insert(format!("variable of cfg {variable}"));
        }
    }
    let kemi = server.jsonrpc("app_jsdt.api_list", json!([])).unwrap();
    let methods = kemi["methods"].as_array().expect("KEMI functions");
    for method in methods.iter().map(|method| &method["func"]) {
        let text = |name: &str| method[name].as_str().unwrap_or_default().to_owned();
        if text("module") == "dispatcher" || text("name").starts_with("ds_") {
            let parameters = text("params").replace(' ', "");
            found.insert(format!("kemi {}({parameters})", text("name")));
        }
    }
    found
}

#[test]
fn no_name_of_the_c_module_is_missing() {
    if this_server::lacks_c_module() {
        return;
    }
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    let c_file = Path::new(module::packaged_modules()).join("dispatcher.so");
    let mut all = candidates(&c_file);
    all.extend(FIELDS.map(str::to_owned));
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
        "function ds_select_dst/2 in failure_route",
        "function ds_is_from_list/1 in onreply_route",
        "kemi ds_next_dst(none)",
        "variable $dsv(code)",
        "command dispatcher.list",
        "variable of cfg probing_threshold",
    ] {
        assert!(c.contains(name), "the inventory has not {name}: {c:#?}");
    }
    assert!(!c.contains("parameter no_such_parameter string"), "{c:#?}");
    assert!(!c.contains("function ds_select_dst/2 in onreply_route"));
    let wanted = c.iter().map(String::as_str).chain(NAMES_OF_LATER_CORES);
    let missing: Vec<&str> = wanted
        .filter(|name| !ours.contains(*name) && !MISSING.contains(name))
        .collect();
    assert!(missing.is_empty(), "missing in ours: {missing:#?}");
    if this_server::core() == (5, 6) {
        let added: Vec<&String> = ours.difference(&c).collect();
        assert_named_for_the_way_back(&added);
    }
}

/// The page on the way back names all that the packaged module of 5.6 refuses of a script, and the commands that it lacks.
fn assert_named_for_the_way_back(added: &[&String]) {
    let page = std::fs::read_to_string(root().join("doc/guide/migrate.md")).unwrap();
    let (_, back) = page.split_once("## Back to the packaged module").unwrap();
    let written = |full: &&&String| {
        let (kind, name) = full.split_once(' ').unwrap();
        let name = name.split(['/', '(', ' ']).next().unwrap();
        match kind {
            "parameter" | "function" | "kemi" => Some(format!("`{name}")),
            "command" => name
                .strip_prefix("dispatcher")
                .map(|name| format!("{name}`")),
            _ => None,
        }
    };
    let unnamed = |full: &&&String| written(full).is_some_and(|name| !back.contains(&name));
    let unnamed: Vec<_> = added.iter().filter(unnamed).collect();
    assert!(unnamed.is_empty(), "not in migrate.md: {unnamed:#?}");
}

//! `ds_select_routes` over random lists and rules, and `dispatcher.hash`.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

use crate::compare;
use crate::keys;
use crate::pair::Pair;
use crate::report::Report;
use crate::sets::random_list;
use harness::{Config, Probe, Request, packaged, this_server};

/// Texts of rules that are none, or hardly.
const ODD: [&str; 18] = [
    "",
    "1",
    "1=",
    "1=8;",
    "1;2",
    " 1=8",
    "=8",
    "-1=8",
    "1=8,2=8",
    "1==8",
    "1=8=2",
    "3",
    "99=4",
    "99=4;98=4",
    "1=77;2=8",
    "x",
    "1=x",
    "1=8;2",
];

#[test]
fn rules_with_flags_2() {
    compare(|report, rng| rules(report, rng, 2, 0));
}

#[test]
fn rules_with_flags_2_and_use_default() {
    compare(|report, rng| rules(report, rng, 2, 1));
}

#[test]
fn rules_with_flags_0() {
    compare(|report, rng| rules(report, rng, 0, 0));
}

#[test]
fn rules_with_flags_3() {
    compare(|report, rng| rules(report, rng, 3, 0));
}

#[test]
fn forks_among_the_rules() {
    compare(|report, _| forks(report));
}

#[test]
fn hashes_by_rpc() {
    compare(hashes);
}

fn rules(report: &mut Report, rng: &mut StdRng, flags: i64, use_default: i64) {
    let pair = Pair::start(config(rng, flags, use_default));
    let what = format!("flags {flags} use_default {use_default}");
    let requests: Vec<Request> = (0..400).map(|_| request(rng)).collect();
    pair.ask(report, &format!("routes {what}"), &requests);
    for rules in ODD {
        for mode in ["d", "r", "x"] {
            pair.run(report, "odd rules", &format!("routes,{rules},{mode}|dump"));
        }
    }
    for rules in ["1=8;x", "1=8; 2=8", "1=8;;2=8"] {
        pair.run(report, "bad later rule", &format!("routes,{rules},d|dump"));
    }
    for mode in ["", "3", " d", "dx", "D", "R", "X", "0", "1", "2"] {
        pair.run(report, "modes", &format!("routes,1=8;4=8,{mode}|dump"));
    }
}

/// Algorithm 12 among the rules: where the message goes, its branches, and the records beside them.
fn forks(report: &mut Report) {
    let show = |n: usize| format!("$(branch(uri)[{n}]) + \"|\" + $(branch(dst_uri)[{n}]) + \";\"");
    let shown: Vec<String> = (0..4).map(show).collect();
    let code = format!("$du = {}; clear_branches();", shown.join(" + "));
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002 2\n2 sip:127.0.0.1:7011\n\
                2 sip:127.0.0.1:7012\n3 sip:127.0.0.1:7021 1\n4 sip:127.0.0.1:7031\n";
    let config = Probe::new()
        .op("routes", "ds_select_routes(\"$var(a)\", \"$var(b)\");")
        .op("branches", &code)
        .config()
        .list(list)
        .param("flags", 2);
    let pair = Pair::start(config);
    for rules in [
        "1=12",
        "1=12;2=8",
        "2=8;1=12",
        "3=8;1=12;2=8",
        "2=8;1=12;4=8",
        "1=12;2=12",
        "3=12;1=8",
        "4=12;1=8",
        "9=12;4=12;2=8",
    ] {
        for mode in ["d", "r", "x"] {
            let steps = format!("routes,{rules},{mode}|dump|branches|nextdst|dump");
            pair.ask(report, "forks in routes", &[Probe::request(&steps)]);
        }
    }
}

fn config(rng: &mut StdRng, flags: i64, use_default: i64) -> Config {
    Probe::new()
        .op("routes", "ds_select_routes(\"$var(a)\", \"$var(b)\");")
        .op(
            "routes3",
            "ds_select_routes(\"$var(a)\", \"$var(b)\", \"$var(ic)\");",
        )
        .op("fixed", "ds_select_routes(\"2=4;3=8\", \"0\");")
        .config()
        .list(random_list(rng))
        .param("flags", flags)
        .param("use_default", use_default)
        .param("xavp_dst_mode", 6)
}

/// One to four rules, with or without a limit, before or behind other selections.
fn request(rng: &mut StdRng) -> Request {
    let rules: Vec<String> = (0..rng.random_range(1..5))
        .map(|_| {
            let alg = *[0, 1, 2, 3, 4, 5, 7, 8].choose(rng).unwrap_or(&8);
            format!("{}={alg}", rng.random_range(1..7))
        })
        .collect();
    let rules = rules.join(";");
    let mode = *["0", "1", "2", "d", "r", "x"].choose(rng).unwrap_or(&"0");
    let call = if rng.random_bool(0.5) {
        format!("routes3,{rules},{mode},{}", rng.random_range(-1..9))
    } else {
        format!("routes,{rules},{mode}")
    };
    let operations = match rng.random_range(0..4) {
        0 => format!("dst,3,8|{call}|dump|nextdst|nextdst|dump"),
        1 => format!("{call}|dst,2,8|dump|nextdom|dump"),
        2 => format!("fixed|{call}|dump|setdst|nextdst|nextdom|dump"),
        _ => format!("{call}|dump|nextdst|mark_ip|nextdst|mark_a|dump"),
    };
    keys::request(rng, &operations)
}

fn hashes(report: &mut Report, rng: &mut StdRng) {
    let pair = Pair::start(Probe::new().config().list("1 sip:127.0.0.1:7001\n"));
    for _ in 0..200 {
        let texts = [keys::uri(rng), keys::uri(rng)]
            .map(|text| String::from_utf8_lossy(&text).into_owned());
        let slots = rng.random_range(0..40);
        let mut params = vec![json!(slots), json!(texts[0])];
        if rng.random_bool(0.5) {
            params.push(json!(texts[1]));
        }
        pair.json(report, "hash", "dispatcher.hash", params.into());
    }
    for params in [json!([]), json!([8]), json!([-3, "alice"]), json!([8, ""])] {
        pair.json(report, "hash", "dispatcher.hash", params);
    }
    if !packaged::survives_hash() {
        let why = "this C module takes the server down";
        this_server::skip_part("dispatcher.hash by kamcmd", why);
        return;
    }
    for args in [
        &["dispatcher.hash"][..],
        &["dispatcher.hash", "8"],
        &["dispatcher.hash", "x", "alice"],
        &["dispatcher.hash", "8", "alice"],
        &["dispatcher.hash", "8", "alice", "a.example"],
        &["dispatcher.hash", "97", "zzzzzzzz"],
    ] {
        pair.kamcmd(report, "hash", args);
    }
}

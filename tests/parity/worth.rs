//! What destinations are worth: relative weights (11), latency (13) and forks (12).

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::keys;
use crate::pair::Pair;
use crate::report::Report;
use crate::{compare, compare_if};
use harness::{Probe, Request, packaged};

#[test]
fn algorithm_11_by_relative_weight() {
    compare(|report, _| relative(report));
}

#[test]
fn algorithm_12_forks() {
    compare(forks);
}

#[test]
fn algorithm_13_by_latency() {
    let lack = "this C module has no algorithm 13";
    compare_if(packaged::orders_by_latency, lack, latency);
}

fn start(list: &str, use_default: i64) -> Pair {
    let config = Probe::new()
        .config()
        .list(list)
        .param("flags", 2)
        .param("use_default", use_default);
    Pair::start(config)
}

/// Algorithm 11: counts of 100 picks, where 100 slots can have the exact shares.
fn relative(report: &mut Report) {
    let list = "\
        1 sip:127.0.0.1:7001 0 3 rweight=50\n1 sip:127.0.0.1:7002 0 2 rweight=30\n\
        1 sip:127.0.0.1:7003 0 1 rweight=20\n\
        2 sip:127.0.0.1:7011 0 3 rweight=1\n2 sip:127.0.0.1:7012 0 2 rweight=1\n\
        2 sip:127.0.0.1:7013 0 1 rweight=2\n\
        3 sip:127.0.0.1:7021 0 3 rweight=70\n3 sip:127.0.0.1:7022 1 2 rweight=20\n\
        3 sip:127.0.0.1:7023 0 1 rweight=30\n3 sip:127.0.0.1:7024 0 1\n\
        4 sip:127.0.0.1:7031 0 3\n4 sip:127.0.0.1:7032 0 2\n\
        5 sip:127.0.0.1:7041 0 0 rweight=7\n\
        6 sip:127.0.0.1:7051 0 4 rweight=10\n6 sip:127.0.0.1:7052 4 3 rweight=10\n\
        6 sip:127.0.0.1:7053 8 2 rweight=10\n6 sip:127.0.0.1:7054 2 1 rweight=30\n";
    let pair = start(list, 0);
    let mut ask = |what: &str, set: u32| {
        let requests: Vec<Request> = (0..100)
            .map(|_| Probe::request(&format!("dst,{set},11|dump")))
            .collect();
        let (mut c, mut ours) = (BTreeMap::new(), BTreeMap::new());
        for (c_reply, our_reply) in pair.replies(&requests) {
            *c.entry(c_reply).or_insert(0) += 1;
            *ours.entry(our_reply).or_insert(0) += 1;
        }
        let what = format!("relative weights set {set} {what}");
        report.compare(&what, &format!("{c:#?}"), &format!("{ours:#?}"));
    };
    for set in 1..=6 {
        for window in 0..5 {
            ask(&format!("picks {window}"), set);
        }
    }
    for (state, uri) in [
        ("i", 7013),
        ("i", 7011),
        ("a", 7013),
        ("a", 7011),
        ("d", 7012),
    ] {
        let uri = format!("sip:127.0.0.1:{uri}");
        pair.prepare("dispatcher.set_state", json!([state, 2, uri]));
        // 1 of 3 does not go into 100 slots.
        if state != "a" || uri.ends_with('1') {
            continue;
        }
        ask(&format!("after {state} {uri}"), 2);
    }
}

/// Algorithm 13: the whole order, by the initial latency.
fn latency(report: &mut Report, rng: &mut StdRng) {
    for use_default in [0, 1] {
        let mut list = String::new();
        for set in 1..=40 {
            for n in 0..rng.random_range(1..7) {
                let flags = [0, 0, 0, 2, 8, 1, 4][rng.random_range(0..7)];
                let priority = [0, 1, 3, 30, 30, 30][rng.random_range(0..6)];
                let latency = [0, 1, 29, 30, 31, 59, 60, 61, 95, 900][rng.random_range(0..10)];
                let cc = if rng.random_bool(0.1) { ";cc=1" } else { "" };
                list += &format!(
                    "{set} sip:127.0.0.1:{} {flags} {priority} latency={latency}{cc}\n",
                    7000 + n
                );
            }
        }
        let pair = start(&list, use_default);
        for set in 1..=40 {
            let requests: Vec<Request> = (0..12)
                .map(|n| {
                    let steps = match n % 4 {
                        0 => format!("dst,{set},13|dump|nextdst|nextdst|dump"),
                        1 => format!("dom3,{set},13,2|dump"),
                        2 => format!("sel,{set},13|dump|clean|dst,{set},4|clean|dst,{set},13|dump"),
                        _ => format!("dst3,{set},13,1|dump"),
                    };
                    keys::request(rng, &steps)
                })
                .collect();
            let what = format!("latency use_default {use_default} set {set}");
            pair.ask(report, &what, &requests);
        }
    }
}

/// Algorithm 12: where the message goes, and its branches.
fn forks(report: &mut Report, rng: &mut StdRng) {
    let show = |n: usize| format!("$(branch(uri)[{n}]) + \"|\" + $(branch(dst_uri)[{n}]) + \";\"");
    let shown: Vec<String> = (0..4).map(show).collect();
    let code = format!("$du = {}; clear_branches();", shown.join(" + "));
    let list = "\
        1 sip:127.0.0.1:7001 0 4\n1 sip:u@127.0.0.1:7002 2 3\n1 sip:127.0.0.1:7003;transport=tcp 8 2\n\
        1 sip:127.0.0.1:7004 0 1 socket=udp:127.0.0.1:{{PORT}}\n\
        2 sip:127.0.0.1:7011 0 4\n2 sip:127.0.0.1:7012 1 3\n2 sip:127.0.0.1:7013 4 2\n2 sip:127.0.0.1:7014 0 1\n\
        3 sip:127.0.0.1:7021 1 4\n3 sip:127.0.0.1:7022 0 3\n\
        4 sip:127.0.0.1:7031 1 4\n4 sip:127.0.0.1:7032 4 3\n\
        5 sip:127.0.0.1:7041 0 4\n";
    for use_default in [0, 1] {
        for flags in [0, 2] {
            let config = Probe::new()
                .op("branches", &code)
                .config()
                .list(list)
                .param("flags", flags)
                .param("use_default", use_default);
            let pair = Pair::start(config);
            for set in 1..=6 {
                for call in ["dst", "dom", "sel", "dst3", "dom3", "sel3"] {
                    let limit = if call.ends_with('3') { ",2" } else { "" };
                    let steps = format!("{call},{set},12{limit}|dump|branches");
                    let what =
                        format!("forks use_default {use_default} flags {flags} {call} set {set}");
                    pair.ask(report, &what, &[keys::request(rng, &steps)]);
                }
            }
        }
    }
}

//! Selection: every algorithm over sets of all sizes, with random states, priorities and keys.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::compare;
use crate::keys;
use crate::pair::Pair;
use crate::report::Report;
use crate::sets::{SIZES, random_list, random_states};
use harness::{Config, Probe, Request};

/// Algorithms with one right answer; 77 stands for a number that no algorithm has.
const EXACT: [u32; 9] = [0, 1, 2, 3, 4, 5, 7, 8, 77];

/// Keys of each set in the tests of one algorithm.
const KEYS: usize = 500;

#[test]
fn algorithm_0_by_call_id() {
    one_answer(0);
}

#[test]
fn algorithm_1_by_from() {
    one_answer(1);
}

#[test]
fn algorithm_2_by_to() {
    one_answer(2);
}

#[test]
fn algorithm_3_by_request_uri() {
    one_answer(3);
}

#[test]
fn algorithm_4_in_turn() {
    one_answer(4);
}

#[test]
fn algorithm_5_by_user_of_the_credentials() {
    one_answer(5);
}

#[test]
fn algorithm_7_by_a_variable() {
    one_answer(7);
}

#[test]
fn algorithm_8_the_first_one() {
    one_answer(8);
}

#[test]
fn algorithm_of_no_known_number() {
    one_answer(77);
}

/// Compares an algorithm that has one right answer, before and after states change.
fn one_answer(algorithm: u32) {
    compare(|report, rng| {
        for round in 0..2 {
            let pair = Pair::start(config(rng, 2, 0, 1));
            scramble(&pair, rng, 40 * round);
            for set in 1..=SIZES.len() {
                let requests: Vec<Request> = (0..KEYS)
                    .map(|n| {
                        let dump = if n % 8 == 0 { "|dump" } else { "" };
                        let call = call(rng, set, algorithm);
                        keys::request(rng, &(call + dump))
                    })
                    .collect();
                let what = format!("algorithm {algorithm} round {round} set {set}");
                pair.ask(report, &what, &requests);
            }
        }
    });
}

#[test]
fn algorithm_6_at_random() {
    compare(|report, rng| {
        for round in 0..2 {
            let pair = Pair::start(config(rng, 2, 0, 1));
            scramble(&pair, rng, 40 * round);
            random(report, rng, &pair);
        }
    });
}

#[test]
fn all_with_flags_0() {
    with_flags(0);
}

#[test]
fn all_with_flags_1() {
    with_flags(1);
}

#[test]
fn all_with_flags_2() {
    with_flags(2);
}

#[test]
fn all_with_flags_3() {
    with_flags(3);
}

/// Compares all algorithms, and longer runs, with and without `use_default`.
fn with_flags(flags: i64) {
    compare(|report, rng| {
        for use_default in [0, 1] {
            let pair = Pair::start(config(rng, flags, use_default, i64::from(use_default == 0)));
            scramble(&pair, rng, 40);
            let what = format!("flags {flags} use_default {use_default}");
            exact(report, rng, &pair, &what, 60);
            sequences(report, rng, &pair, &what);
        }
    });
}

fn config(rng: &mut StdRng, flags: i64, use_default: i64, force_dst: i64) -> Config {
    Probe::new()
        .config()
        .list(random_list(rng))
        .param("flags", flags)
        .param("use_default", use_default)
        .param("force_dst", force_dst)
        .param("xavp_dst_mode", 6)
}

/// Changes random states in both servers.
fn scramble(pair: &Pair, rng: &mut StdRng, count: usize) {
    for (state, set, uri) in random_states(rng, count) {
        pair.prepare("dispatcher.set_state", json!([state, set, uri]));
    }
}

/// All algorithms that have one right answer. Each request asks all of them and dumps the
/// failover list of one.
fn exact(report: &mut Report, rng: &mut StdRng, pair: &Pair, what: &str, keys: usize) {
    for set in 1..=SIZES.len() {
        let requests: Vec<Request> = (0..keys)
            .map(|n| {
                let steps = EXACT.iter().enumerate().map(|(m, alg)| {
                    let dump = if n % EXACT.len() == m { "|dump" } else { "" };
                    format!("{}|clean", call(rng, set, *alg) + dump)
                });
                let steps: Vec<String> = steps.collect();
                keys::request(rng, &steps.join("|"))
            })
            .collect();
        pair.ask(report, &format!("exact {what} set {set}"), &requests);
    }
}

/// One of the forms of the select functions: both styles, with and without limit.
fn call(rng: &mut StdRng, set: usize, alg: u32) -> String {
    let form = ["dst", "idst", "dom", "idom", "sel", "isel"][rng.random_range(0..6)];
    if rng.random_bool(0.3) {
        let limit = [-1, 0, 1, 2, 3, 50][rng.random_range(0..6)];
        format!("{form}3,{set},{alg},{limit}")
    } else {
        format!("{form},{set},{alg}")
    }
}

/// Algorithm 6: each result must be one that the C module could give, with C's failover list.
fn random(report: &mut Report, rng: &mut StdRng, pair: &Pair) {
    for (set, size) in (1..).zip(SIZES) {
        let requests: Vec<Request> = (0..500)
            .map(|_| keys::request(rng, &format!("dst,{set},6|dump")))
            .collect();
        let replies = pair.replies(&requests);
        let mut known = HashMap::new();
        let (mut c_picks, mut our_picks) = (BTreeSet::new(), BTreeSet::new());
        for (c, _) in &replies {
            known.insert(chosen(c), dump(c));
            c_picks.insert(chosen(c));
        }
        for (_, ours) in &replies {
            our_picks.insert(chosen(ours));
            let same = known
                .get(&chosen(ours))
                .is_none_or(|list| *list == dump(ours));
            report.check(&format!("random set {set}"), same, ours);
        }
        if size <= 10 {
            let (c, ours) = (format!("{c_picks:?}"), format!("{our_picks:?}"));
            report.compare(&format!("random set {set}: destinations used"), &c, &ours);
        } else {
            let usable: BTreeSet<String> = known.values().flat_map(|d| uris(d)).collect();
            let inside = our_picks.iter().all(|du| usable.contains(du));
            report.check(
                &format!("random set {set}: only usable ones"),
                inside,
                &format!("{our_picks:?}"),
            );
        }
    }
}

/// The dst-uri of the first result line.
fn chosen(reply: &str) -> String {
    let du = reply
        .split(" du=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    du.unwrap_or("none").to_owned()
}

fn dump(reply: &str) -> String {
    reply
        .lines()
        .filter(|line| line.starts_with("x "))
        .collect::<Vec<_>>()
        .join("\n")
}

fn uris(dump: &str) -> Vec<String> {
    dump.lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(str::to_owned)
        .collect()
}

/// Longer runs: failover to the end, a second selection on top, dst-uri already set, bad sets.
fn sequences(report: &mut Report, rng: &mut StdRng, pair: &Pair, what: &str) {
    let next = |f: &str, n: usize| format!("|{f}").repeat(n);
    for set in 1..=4 {
        for alg in [0, 4, 8] {
            let runs = [
                format!(
                    "dst,{set},{alg}|dump{}|dump|nextdst",
                    next("nextdst|dump", 5)
                ),
                format!("dom,{set},{alg}|dump{}|dump", next("nextdom|dump", 5)),
                format!("dst3,{set},{alg},3{}|dump", next("nextdst", 4)),
                format!("sel,{set},{alg}|setdst|setdst|dump|setdom|nextdst|setdst|dump"),
                format!("sel3,{set},{alg},2|setdom|nextdom|setdom|nextdom|dump"),
                format!("dst,{set},{alg}|dst,1,8|dump|nextdst|nextdst|dump"),
                format!("dst,{set},{alg}|dom,2,4|dump|nextdom|nextdst|dump"),
                format!("du,sip:1.1.1.1|dst,{set},{alg}|dump|nextdst|dump"),
                format!("du,sip:1.1.1.1|dom,{set},{alg}|sel,{set},{alg}|dump|setdst"),
                format!("ru,sips:bob:pw@h.test:99;x=y|dom,{set},{alg}|nextdom|nextdom"),
                format!("ru,sip:h.test|dom,{set},{alg}|nextdom|setdom"),
            ];
            let requests: Vec<Request> = runs.iter().map(|ops| keys::request(rng, ops)).collect();
            pair.ask(
                report,
                &format!("sequence {what} set {set} alg {alg}"),
                &requests,
            );
        }
    }
    for operations in [
        "nextdst|nextdom|setdst|setdom|mark|mark_i",
        "dst,99,4|dst,-1,4|dst,abc,4|dst,,4|dst,0,4|dump",
        "dst,1,abc|dst,1,|dst,1,-1|dst,1,X|idst,1,999|dump",
        "dst3,1,4,abc|dst3,1,4,|dst3,1,4,-7|dst3,1,4,2147483647|dump",
        "dom,99,4|dom,abc,4|sel,99,4|sel,abc,4|sel3,1,4,x|dump",
        "exist,1|exists,1|exist,99|exists,99|exist,-1|exists,-1|exist,0",
        "active,1|active,2|active,3|active,4|active,5|active,99|active,-1|active,0",
        "active,2,sip:127.0.2.1:7000|active,2,SIP:127.0.2.1:7000|active,2,sip:none|active,3,|active,99,x",
    ] {
        pair.run(report, what, operations);
    }
}

/// Counts 100 consecutive picks at a time, from a fresh start.
#[test]
fn algorithm_9_by_weight() {
    compare(weights);
}

fn weights(report: &mut Report, rng: &mut StdRng) {
    let list = "\
        1 sip:127.0.0.1:7001 0 3 weight=50\n1 sip:127.0.0.1:7002 0 2 weight=30\n\
        1 sip:127.0.0.1:7003 0 1 weight=20\n\
        2 sip:127.0.0.1:7011 0 3 weight=70\n2 sip:127.0.0.1:7012 1 2 weight=20\n\
        2 sip:127.0.0.1:7013 0 1 weight=10\n\
        3 sip:127.0.0.1:7021 0 0 weight=1\n3 sip:127.0.0.1:7022 0 0 weight=99\n\
        4 sip:127.0.0.1:7031 0 3 weight=100\n4 sip:127.0.0.1:7032 0 2\n\
        5 sip:127.0.0.1:7041 0 3 weight=50\n5 sip:127.0.0.1:7042 0 2 weight=30\n\
        5 sip:127.0.0.1:7043 0 1 weight=10\n\
        6 sip:127.0.0.1:7051 0 3 weight=50\n6 sip:127.0.0.1:7052 0 2 weight=50\n\
        6 sip:127.0.0.1:7053 0 1 weight=50\n\
        7 sip:127.0.0.1:7061 0 3\n7 sip:127.0.0.1:7062 0 2 weight=50\n7 sip:127.0.0.1:7063 0 1 weight=50\n\
        8 sip:127.0.0.1:7071 0 3 weight=200\n8 sip:127.0.0.1:7072 0 2 weight=40\n\
        9 sip:127.0.0.1:7081\n9 sip:127.0.0.1:7082\n";
    for use_default in [0, 1] {
        let config = Probe::new()
            .config()
            .list(list)
            .param("flags", 2)
            .param("use_default", use_default);
        let pair = Pair::start(config);
        for set in 1..=9 {
            for window in 0..5 {
                let requests: Vec<Request> = (0..100)
                    .map(|_| keys::request(rng, &format!("dst,{set},9|dump")))
                    .collect();
                let (mut c, mut ours) = (BTreeMap::new(), BTreeMap::new());
                for (c_reply, our_reply) in pair.replies(&requests) {
                    *c.entry((chosen(&c_reply), dump(&c_reply))).or_insert(0) += 1;
                    *ours
                        .entry((chosen(&our_reply), dump(&our_reply)))
                        .or_insert(0) += 1;
                }
                let what = format!("weights set {set} use_default {use_default} picks {window}");
                report.compare(&what, &counts(&c), &counts(&ours));
            }
        }
    }
}

fn counts(picks: &BTreeMap<(String, String), u32>) -> String {
    let counts = picks
        .iter()
        .map(|((du, dump), n)| format!("{n} x {du} [{}]", uris(dump).join(" ")));
    counts.collect::<Vec<_>>().join(", ")
}

#[test]
fn arguments_written_into_the_config() {
    compare(|report, _| static_arguments(report));
}

/// Arguments that are strings, numbers and variables of all kinds.
fn static_arguments(report: &mut Report) {
    let calls = [
        "ds_select_dst(\"1\", \"4\");",
        "ds_select_dst(1, 4);",
        "ds_select_dst(\"2\", \"8\", \"1\");",
        "ds_select_dst(2, 8, 2);",
        "ds_select_domain(\"2\", \"8\");",
        "ds_select_domain(2, 0, 1);",
        "ds_select(\"2\", \"8\");",
        "ds_select(2, 8, 1);",
        "ds_select_dst(\"$hdr(X-Set)\", \"$hdr(X-Alg)\");",
        "ds_list_exist(\"1\");",
        "ds_list_exists(\"7\");",
        "ds_is_active(\"1\");",
        "ds_is_active(\"2\", \"sip:127.0.0.1:7012\");",
        "ds_is_from_list(\"1\");",
        "ds_is_from_list(\"1\", \"3\");",
        "ds_is_from_list(\"-1\", \"3\", \"sip:127.0.0.1:7011\");",
        "ds_is_from_list(\"2\", \"1\", \"sip:127.0.0.1:7011;transport=udp\");",
        "ds_mark_dst(\"$var(letters)\");",
    ];
    // Such as `s11_ds_is_active`.
    let named = |(n, call): (usize, &&str)| format!("s{n}_{}", call.split('(').next().unwrap());
    let names: Vec<String> = calls.iter().enumerate().map(named).collect();
    let mut probe = Probe::new();
    for (name, call) in names.iter().zip(calls) {
        probe = probe.op(name, call);
    }
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n2 sip:127.0.0.1:7011 0 2\n2 sip:127.0.0.1:7012 0 1\n";
    let pair = Pair::start(probe.config().list(list).param("flags", 2));
    let mut requests = Vec::new();
    for name in names {
        let operations = format!("{name}|dump|nextdst|clean|{name}|dump");
        requests.push(
            Probe::request(&operations)
                .header("X-Set", "2")
                .header("X-Alg", "8"),
        );
    }
    pair.ask(report, "static arguments", &requests);
}

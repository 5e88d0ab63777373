//! RPC: `dispatcher.list` in all shapes, `dispatcher.set_state` with all letters, `dispatcher.reload`.

use serde_json::json;

use crate::compare_lists;
use crate::pair::Pair;
use crate::report::Report;
use crate::sets::{random_list, random_states};
use harness::{Config, Probe};

/// The first argument of `set_state`; only its first two characters count, but for `drain`.
const STATES: [&str; 45] = [
    "a", "A", "1", "ap", "AP", "aP", "1p", "1P", "i", "I", "0", "ip", "IP", "0P", "0p", "d", "D",
    "2", "dp", "2p", "t", "T", "3", "tp", "TP", "3p", "p", "P", "", "x", "ax", "ai", "active",
    "inactive", "disabled", "pa", "4", "-1", "ia", "8", " a", "a ", "apx", "drain", "r",
];

const LIST: &str = "\
    1 sip:127.0.0.1:7001 0 5 duid=one;maxload=3;x=y\n\
    1 sip:bob@127.0.0.1:7002;transport=tcp 0 4\n\
    1 sip:127.0.0.1:7002 9 4 weight=5;rweight=7;socket=udp:127.0.0.1:{{PORT}}\n\
    2 sip:127.0.0.1:7001 16\n\
    2 sip:127.0.0.1:7001 2 0 second=yes\n\
    3 sip:gw.test 17 0 obproxy=sip:127.0.0.1:9;duid=gw\n";

#[test]
fn shapes_of_a_list() {
    compare_lists(|report, _| shapes(report, &Pair::start(config(LIST)), "plain list"));
}

#[test]
fn letters_of_set_state() {
    compare_lists(|report, _| letters(report, &Pair::start(config(LIST))));
}

#[test]
fn addresses_of_set_state() {
    compare_lists(|report, _| {
        let pair = Pair::start(config(LIST));
        addresses(report, &pair);
        shapes(report, &pair, "after set_state");
        sets_as_texts(report, &pair);
    });
}

#[test]
fn random_lists_and_states() {
    compare_lists(|report, rng| {
        for round in 0..4 {
            let pair = Pair::start(config(&random_list(rng)));
            for change in random_states(rng, 60) {
                let params = json!(change);
                pair.json(report, "random state", "dispatcher.set_state", params);
            }
            shapes(report, &pair, &format!("random list {round}"));
        }
    });
}

#[test]
fn an_empty_list() {
    compare_lists(|report, _| empty(report));
}

#[test]
fn reloads() {
    compare_lists(|report, _| reload(report));
}

fn config(list: &str) -> Config {
    Probe::new().config().list(list).param("flags", 2)
}

/// `dispatcher.list` as JSON and as text.
fn shapes(report: &mut Report, pair: &Pair, what: &str) {
    for params in [
        json!([]),
        json!(["short"]),
        json!(["full"]),
        json!(["other"]),
        json!(["FULL"]),
    ] {
        pair.json(report, what, "dispatcher.list", params);
    }
    for word in ["short", "full", "normal"] {
        pair.kamcmd(report, what, &["dispatcher.list", word]);
    }
    pair.kamcmd(report, what, &["dispatcher.list"]);
}

fn letters(report: &mut Report, pair: &Pair) {
    for before in ["a", "ip", "d", "tp"] {
        for state in STATES {
            pair.prepare("dispatcher.set_state", json!([before, 1, "all"]));
            let params = json!([state, 1, "sip:127.0.0.1:7001"]);
            pair.json(report, "letters", "dispatcher.set_state", params);
            pair.json(
                report,
                &format!("after {before}, {state:?}"),
                "dispatcher.list",
                json!([]),
            );
        }
    }
    for state in ["i", "ap", "tp", "d"] {
        pair.kamcmd(
            report,
            "letters",
            &["dispatcher.set_state", state, "1", "sip:127.0.0.1:7001"],
        );
        pair.kamcmd(report, "letters", &["dispatcher.list"]);
    }
}

/// Sets and addresses that match, match in another case, or do not match.
fn addresses(report: &mut Report, pair: &Pair) {
    for params in [
        json!(["i", 1, "SIP:127.0.0.1:7001"]),
        json!(["i", 1, "sip:BOB@127.0.0.1:7002;TRANSPORT=tcp"]),
        json!(["i", 1, "sip:127.0.0.1"]),
        json!(["i", 1, "sip:127.0.0.1:7001 "]),
        json!(["i", 1, "127.0.0.1:7001"]),
        json!(["i", 1, ""]),
        json!(["d", 2, "sip:127.0.0.1:7001"]),
        json!(["tp", 2, "all"]),
        json!(["a", 2, "ALL"]),
        json!(["i", 2, "alles"]),
        json!(["i", 99, "all"]),
        json!(["i", 99, "sip:127.0.0.1:7001"]),
        json!(["i", -1, "all"]),
        json!(["i", 1]),
        json!(["i"]),
        json!([]),
        json!([1, 1, "sip:127.0.0.1:7001"]),
        json!([0, 3, "all"]),
        json!(["a", 3, "sip:gw.test"]),
        json!(["a", 1, "all", "more"]),
    ] {
        pair.json(report, "addresses", "dispatcher.set_state", params);
        pair.json(report, "addresses", "dispatcher.list", json!([]));
    }
    for args in [
        &["dispatcher.set_state"][..],
        &["dispatcher.set_state", "i"],
        &["dispatcher.set_state", "i", "1"],
        &["dispatcher.set_state", "i", "x", "all"],
        &["dispatcher.set_state", "i", "9", "all"],
        &["dispatcher.set_state", "zz", "1", "all"],
        &["dispatcher.set_state", "i", "1", "sip:nobody"],
    ] {
        pair.kamcmd(report, "addresses", args);
    }
}

/// Sets that are not numbers. The lists of both may differ from here on.
fn sets_as_texts(report: &mut Report, pair: &Pair) {
    for set in ["1", "x", ""] {
        let params = json!(["i", set, "all"]);
        pair.json(report, "set as a text", "dispatcher.set_state", params);
    }
    let args = ["dispatcher.set_state", "s:i", "s:1", "s:all"];
    pair.kamcmd(report, "set as a text", &args);
}

/// No sets at all.
fn empty(report: &mut Report) {
    let empty = Pair::start(config("# nothing\n"));
    shapes(report, &empty, "empty list");
    empty.json(
        report,
        "empty list",
        "dispatcher.set_state",
        json!(["i", 1, "all"]),
    );
    for operations in [
        "dst,1,4|dom,1,4|sel,1,4|from|from,1|exist,1|active,1",
        "dst,0,0|mark|nextdst",
    ] {
        empty.run(report, "empty list", operations);
    }
}

/// One reload each of a changed, an unchanged, an emptied and a broken file.
fn reload(report: &mut Report) {
    let changes = [
        (
            "changed",
            "5 sip:127.0.0.1:7009 2 1 duid=n\n1 sip:127.0.0.1:7001\n",
        ),
        ("same", LIST),
        ("broken", "1 sip:127.0.0.1:7001\n2\n"),
        (
            "one bad uri",
            "1 sip:127.0.0.1:7001\n2 sip:\n3 sip:127.0.0.1:7001 4\n",
        ),
        ("emptied", "# nothing\n"),
    ];
    for (what, list) in changes {
        let pair = Pair::start(config(LIST));
        for server in [&pair.c, &pair.ours] {
            server.write_list(list.replace("{{PORT}}", &server.port().to_string()));
        }
        let what = format!("reload {what}");
        pair.kamcmd(report, &what, &["dispatcher.reload"]);
        shapes(report, &pair, &what);
        pair.run(report, &what, "dst,1,4|dump|dst,2,4|dst,5,4|dump|nextdst");
    }
    let pair = Pair::start(config(LIST));
    pair.json(report, "reload", "dispatcher.reload", json!([]));
    pair.json(report, "reload twice", "dispatcher.reload", json!([]));
}

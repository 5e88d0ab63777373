//! Calls that algorithm 10 counts, beside the C module: callers who cheat a limit, requests that are not sent, and
//! what ends a call.

use serde_json::json;

use crate::compare;
use crate::pair::Pair;
use crate::report::Report;
use harness::{Config, Probe, Request};

/// One destination for one call; one beside it that takes any.
const LIST: &str = "1 sip:127.0.0.1:7001 0 0 duid=a;maxload=1\n\
    2 sip:127.0.0.1:7002 0 9 duid=b;maxload=2\n\
    2 sip:127.0.0.1:7003 0 8 duid=c\n\
    3 sip:127.0.0.1:7004\n";

fn config() -> Config {
    let probe = Probe::new()
        .op("update", "ds_load_update();")
        .op("unset", "ds_load_unset();");
    let config = probe.config().list(LIST).param("flags", 2);
    config.param("ds_hash_size", 4)
}

/// A request of a caller.
fn request(method: &str, call_id: &str, tag: &str, operations: &str) -> Request {
    let request = Request::new(method, "sip:callee@service.test").call_id(call_id);
    request
        .from_tag(tag)
        .header("X-Do", format!("{operations}|."))
}

/// Asks both, and compares what they count afterwards.
fn ask(report: &mut Report, pair: &Pair, what: &str, request: Request) {
    pair.ask(report, what, &[request]);
    pair.json(report, what, "dispatcher.list", json!([]));
}

#[test]
fn a_limit_holds_against_callers_who_cheat() {
    compare(|report, _| cheats(report));
}

fn cheats(report: &mut Report) {
    let pair = Pair::start(config());
    let mut invite = |what: &str, call_id: &str, tag: &str, operations: &str| {
        let invite = request("INVITE", call_id, tag, operations);
        ask(report, &pair, what, invite);
    };
    invite("the first call", "1", "x", "dst,1,10");
    for n in 0..20 {
        let tag = format!("other{n}");
        invite("one Call-ID, another tag", "1", &tag, "dst,1,10");
    }
    for call_id in ["2", "11", "A", "a"] {
        invite("another call", call_id, "x", "dst,1,10");
    }
    invite("a retry that selects elsewhere", "3", "x", "dst,2,10");
    for n in 0..4 {
        invite("fill the limit", &format!("4{n}"), "x", "dst,2,10");
    }
    let tagged = |call_id: &str, tag: &str| {
        let invite = request("INVITE", call_id, tag, "dst,1,10");
        invite.tagged("callee")
    };
    for n in 0..5 {
        let (call_id, tag) = (format!("5{n}"), format!("t{n}"));
        ask(
            report,
            &pair,
            "a To tag and no dialog",
            tagged(&call_id, &tag),
        );
    }
}

#[test]
fn a_request_that_is_not_sent_leaves_the_counts_as_they_were() {
    compare(|report, _| not_sent(report));
}

fn not_sent(report: &mut Report) {
    let pair = Pair::start(config());
    let long = format!("sip:{}@service.test", "u".repeat(1_005));
    let mut invite = |what: &str, call_id: &str, uri: &str, operations: &str| {
        let invite = request("INVITE", call_id, "x", operations).uri(uri);
        let lines = pair.replies(&[invite]);
        // R-URI and d-URI are no matter here: the return codes are.
        let codes = |lines: &str| lines.matches("rc=1 ").count().to_string();
        report.compare(what, &codes(&lines[0].0), &codes(&lines[0].1));
        pair.json(report, what, "dispatcher.list", json!([]));
    };
    let short = "sip:callee@service.test";
    invite("the first call", "1", short, "dom,1,10");
    invite("a second one", "2", short, "dom,1,10");
    for n in 3..7 {
        invite("a re-INVITE that is too long", "1", &long, "dom,1,10");
        invite("one more call", &n.to_string(), short, "dom,1,10");
    }
}

#[test]
fn ds_load_unset_ends_what_a_selection_has_counted() {
    compare(|report, _| unset(report));
}

fn unset(report: &mut Report) {
    let pair = Pair::start(config());
    let recipes = [
        "unset",
        "dst,3,4|unset",
        "dst,1,10|unset",
        "dst,1,10|unset|unset",
        "dst,2,10|nextdst|unset",
        "dst,2,4|unset",
        "dst,2,4|nextdst|unset",
        "dst,2,4|dst,2,10|unset",
        "sel,1,4|unset",
        "dst,9,4|unset",
        "update",
        "dst,1,4|update",
    ];
    for (n, recipe) in recipes.iter().enumerate() {
        for method in ["INVITE", "OPTIONS", "BYE", "MESSAGE"] {
            let request = request(method, &format!("{method}-{n}"), "x", recipe);
            ask(report, &pair, &format!("{method}: {recipe}"), request);
        }
    }
    // A transaction in which another algorithm has selected last. C's count of an INVITE stays, ours ends.
    let what = "another algorithm has selected last";
    for method in ["OPTIONS", "BYE", "MESSAGE", "INVITE"] {
        let recipe = "dst,2,10|dst,2,4|unset";
        ask(
            report,
            &pair,
            what,
            request(method, &format!("{method}-last"), "x", recipe),
        );
    }
    let pair = Pair::start(config());
    let tagged = request("INVITE", "tagged", "x", "dst,2,10|unset").tagged("callee");
    ask(report, &pair, "an INVITE of a dialog", tagged);
}

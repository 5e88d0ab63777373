//! What destinations report of their load, and algorithm 64, beside a C module that knows them (6.0 on).

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::compare_if;
use crate::pair::{Pair, answer};
use crate::report::Report;
use harness::{Kamailio, Probe, Request, packaged};

/// A set for each kind of bounds, three destinations each, and one set of one.
const LIST: &str = "\
    1 sip:127.0.0.1:7001 0 3\n1 sip:127.0.0.1:7002 0 2\n1 sip:127.0.0.1:7003 0 1\n\
    2 sip:127.0.0.1:7011 0 3 ocmin=10;ocmax=60\n2 sip:127.0.0.1:7012 0 2 ocrate=30\n\
    2 sip:127.0.0.1:7013 1 1 ocmax=90\n\
    3 sip:127.0.0.1:7021 0 3 ocmin=-3;ocmax=200\n3 sip:127.0.0.1:7022 0 2 ocmin=90;ocmax=10\n\
    3 sip:127.0.0.1:7023 0 1 ocrate=250\n\
    4 sip:127.0.0.1:7031\n";

/// Times of reports in milliseconds: most hold for the whole run, and one is over at once.
const TIMES: [i32; 4] = [600_000, 600_000, 600_000, 1];

/// Selections of each set at a time.
const TURNS: u32 = 200;

#[test]
fn reports_of_load_and_algorithm_64() {
    let there = || packaged::has("ds_oc_set_attrs");
    compare_if(there, "this C module knows no overload control", reports);
}

fn reports(report: &mut Report, rng: &mut StdRng) {
    let calls: Vec<String> = (0..80).map(|_| call(rng)).collect();
    let mut probe = Probe::new()
        .op(
            "null",
            r#"ds_oc_set_attrs("1", "sip:127.0.0.1:7001", "$null", "1", "1");"#,
        )
        .op(
            "text",
            r#"ds_oc_set_attrs("1", "sip:127.0.0.1:7001", "$ru", "1", "1");"#,
        )
        .op(
            "negative",
            r#"ds_oc_set_attrs("4", "sip:127.0.0.1:7031", "-5", "1", "99");"#,
        )
        .op("empty", r#"ds_oc_set_attrs("1", "", "1", "1", "1");"#);
    for (n, call) in calls.iter().enumerate() {
        probe = probe.op(&format!("call{n}"), call);
    }
    let pair = Pair::start(probe.config().list(LIST).param("flags", 2));
    shown(report, &pair, "at the start");
    pair.kamcmd(report, "overload", &["dispatcher.oclist", "4"]);
    pair.json(report, "overload", "dispatcher.oclist", json!([]));
    for wrong in ["null", "text", "empty"] {
        pair.run(report, "overload", wrong);
    }
    picks(report, &pair, "at the start");
    for (n, call) in calls.iter().enumerate() {
        pair.run(report, &format!("overload {call}"), &format!("call{n}"));
        if n % 8 == 7 {
            shown(report, &pair, &format!("after {n}"));
            picks(report, &pair, &format!("after {n}"));
        }
    }
    pair.run(report, "overload", "negative");
    shown(report, &pair, "after a negative rate");
    pair.prepare("dispatcher.reload", json!([]));
    shown(report, &pair, "after a reload");
}

/// A report with numbers in and out of their bounds, mostly of a destination that is there.
fn call(rng: &mut StdRng) -> String {
    let set = rng.random_range(1..6);
    let place = rng.random_range(1..5);
    let uri = match rng.random_range(0..12) {
        0 => "SIP:127.0.0.1:7001".to_owned(),
        1 => "sip:127.0.0.1".to_owned(),
        _ => format!("sip:127.0.0.1:70{}{place}", set - 1),
    };
    let rate = [0, 5, 20, 25, 50, 75, 100, 150][rng.random_range(0..8)];
    let time = TIMES[rng.random_range(0..TIMES.len())];
    let number = rng.random_range(0..40);
    format!(r#"ds_oc_set_attrs("{set}", "{uri}", "{rate}", "{time}", "{number}");"#)
}

/// The reports as RPC shows them; of a time only whether there is one, and not which turn is next.
fn shown(report: &mut Report, pair: &Pair, when: &str) {
    for set in 1..6 {
        let of = |server: &Kamailio| {
            let list = server.jsonrpc_text("dispatcher.oclist", json!([set]));
            without_times(&answer(server, list))
        };
        let what = format!("overload list of set {set} {when}");
        report.compare(&what, &of(&pair.c), &of(&pair.ours));
    }
}

/// Takes out times, but for those that are 0, and turns.
fn without_times(list: &str) -> String {
    let mut parts = list.split("\"oc");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += "\"oc";
        let (name, rest) = part.split_once(':').unwrap_or((part, ""));
        let digits = |c: char| c.is_ascii_digit() || c.is_whitespace();
        let after = rest.trim_start_matches(digits);
        let number = rest[..rest.len() - after.len()].trim();
        text += name;
        text += ": ";
        text += match number {
            _ if part.starts_with("idx") => "any",
            "0" => "0",
            _ if part.starts_with("time_") => "some",
            number => number,
        };
        text += after;
    }
    text
}

/// Algorithm 64. One destination is passed over as often as its rate says; where several share the
/// calls, the turns of ours are spread, so that hardly more calls find all of
/// them passing, and mostly fewer.
fn picks(report: &mut Report, pair: &Pair, when: &str) {
    for set in 1..5 {
        let requests: Vec<Request> = (0..TURNS)
            .map(|_| Probe::request(&format!("dst,{set},64,1|dump")))
            .collect();
        let mut counts: BTreeMap<String, [u32; 2]> = BTreeMap::new();
        for (c, ours) in pair.replies(&requests) {
            counts.entry(c).or_default()[0] += 1;
            counts.entry(ours).or_default()[1] += 1;
        }
        for (reply, [c, ours]) in counts {
            let holds = match (set, reply.contains("rc=-1 ")) {
                (4, _) => c == ours,
                (_, true) => ours <= c + TURNS / 20,
                _ => c > 0 || ours > 0,
            };
            let what = format!("overload picks of set {set} {when}");
            let detail = format!("C {c} times, ours {ours}: {reply}");
            report.check(&what, holds, &detail);
        }
    }
}

//! Relayed calls: a failure route marks and moves on while destinations are dead or refuse.

use std::net::SocketAddr;

use serde_json::json;

use crate::compare;
use crate::pair::{Pair, neutral};
use crate::report::Report;
use harness::{Answer, Kamailio, Probe, Request, Uac, Uas};

/// The operations of a failure route at each failure; `{S}` is the call's own set.
const RECIPES: [&str; 10] = [
    "nextdst|again",
    "mark_ip|nextdst|again",
    "mark|nextdst|dump|again",
    "mark_tp|nextdst|again",
    "mark_p|nextdom|again",
    "mark_d|dump|nextdst|again",
    "dst,{S},4|dump|again",
    "mark_i|dst,{S},8|again",
    "mark_i|dom3,{S},8,2|dump|again",
    "active,{S}|mark_ip|nextdst|active,{S}|setdst|again",
];

#[test]
fn recipes_with_flags_2() {
    compare(|report, _| recipes(report, 2, 0));
}

#[test]
fn recipes_with_flags_2_and_use_default() {
    compare(|report, _| recipes(report, 2, 1));
}

#[test]
fn recipes_with_flags_0() {
    compare(|report, _| recipes(report, 0, 0));
}

#[test]
fn a_destination_is_killed_and_comes_back() {
    compare(|report, _| killed(report));
}

/// Every recipe over sets with dead, refusing, silent, busy and answering destinations.
fn recipes(report: &mut Report, flags: i64, use_default: i64) {
    let mut dead = Uas::start(Answer::Code(200));
    dead.stop();
    let silent = Uas::start(Answer::Silent);
    let refusing = Uas::start(Answer::Code(503));
    let busy = Uas::start(Answer::Code(486));
    let live = Uas::start(Answer::Code(200));
    let whole: &[&Uas] = &[&dead, &refusing, &silent, &busy, &live];
    let hopeless: &[&Uas] = &[&refusing, &dead];
    let (list, calls) = scenario(&[("dst", whole), ("dom", whole), ("dst", hopeless)]);
    let config = Probe::new().config().list(list);
    let pair = Pair::start(
        config
            .param("flags", flags)
            .param("use_default", use_default),
    );
    let what = format!("failover flags {flags} use_default {use_default}");
    let [c, ours] = both(&pair, &calls);
    for ((n, c), ours) in c.iter().enumerate().zip(ours) {
        let recipe = RECIPES[n % RECIPES.len()];
        let what = format!("{what} kind {}: {recipe}", n / RECIPES.len());
        report.compare(&what, c, &ours);
    }
    pair.json(report, &what, "dispatcher.list", json!([]));
}

/// A set of its own for each recipe and kind, so that all calls can run at the same time.
fn scenario(kinds: &[(&str, &[&Uas])]) -> (String, Vec<Request>) {
    let (mut list, mut calls) = (String::new(), Vec::new());
    for (style, uases) in kinds {
        for recipe in RECIPES {
            let set = calls.len() + 1;
            for (n, uas) in uases.iter().enumerate() {
                list += &format!("{set} {} 0 {}\n", uas.uri(), 9 - n);
            }
            calls.push(invite(set, style, recipe));
        }
    }
    (list, calls)
}

fn invite(set: usize, style: &str, recipe: &str) -> Request {
    Request::new("INVITE", "sip:bob@service.test")
        .header("X-Do", format!("{style},{set},8|dump|relay|."))
        .header(
            "X-Fail",
            format!("{}|.", recipe.replace("{S}", &set.to_string())),
        )
}

/// A destination that goes away between two calls, and comes back before the fourth.
fn killed(report: &mut Report) {
    let mut first = Uas::start(Answer::Code(200));
    let second = Uas::start(Answer::Code(200));
    let list = format!("1 {} 0 9\n1 {} 0 1\n", first.uri(), second.uri());
    let pair = Pair::start(Probe::new().config().list(list).param("flags", 2));
    for step in 0..4 {
        match step {
            1 => first.stop(),
            3 => {
                first.restart();
                pair.prepare("dispatcher.set_state", json!(["a", 1, "all"]));
            }
            _ => {}
        }
        let [c, ours] = both(&pair, &[invite(1, "dst", "mark_ip|nextdst|again")]);
        let answered = ours[0].starts_with("answered");
        report.check("no call is lost", answered, &ours[0]);
        report.compare(&format!("killed, step {step}"), &c[0], &ours[0]);
        pair.json(
            report,
            &format!("killed, step {step}"),
            "dispatcher.list",
            json!([]),
        );
    }
}

/// Places the calls in both servers; yields how each ended and what its failure routes did.
fn both(pair: &Pair, calls: &[Request]) -> [Vec<String>; 2] {
    std::thread::scope(|scope| {
        let sides = [&pair.c, &pair.ours].map(|server| {
            let callers: Vec<_> = calls
                .iter()
                .map(|invite| scope.spawn(|| place(server, invite)))
                .collect();
            callers
        });
        sides.map(|callers| {
            callers
                .into_iter()
                .map(|c| c.join().expect("the call ran"))
                .collect()
        })
    })
}

fn place(server: &Kamailio, invite: &Request) -> String {
    let (uac, dest): (Uac, SocketAddr) = (Uac::new(), server.addr());
    let id = String::from_utf8_lossy(invite.id()).into_owned();
    let end = match uac.call(dest, invite.clone()) {
        Ok(call) => {
            let by = call.answered_by();
            format!("answered by {by}, BYE {:?}", call.bye().status())
        }
        Err(reply) => format!("refused {:?}", reply.status()),
    };
    let trace = Probe::run(&uac, dest, &format!("trace,{id}"));
    neutral(server, &format!("{end}\n{}", trace.join("\n")))
}

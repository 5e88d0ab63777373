//! Relayed calls: a failure route marks and moves on while destinations are dead or refuse.

use std::net::SocketAddr;

use rand::rngs::StdRng;
use serde_json::json;

use crate::pair::{Pair, neutral};
use crate::report::Report;
use crate::server::{Answer, Kamailio, Probe, Request, Uac, Uas};

/// What a failure route does each time.
const RECIPES: [&str; 8] = [
    "nextdst|again",
    "mark_ip|nextdst|again",
    "mark|nextdst|dump|again",
    "mark_tp|nextdst|again",
    "mark_p|nextdom|again",
    "mark_0|dump|nextdst|again",
    "dst,1,4|dump|again",
    "mark_i|dst,1,8|again",
];

/// Every recipe over a set with a dead, a refusing, a busy and an answering destination.
pub fn all(report: &mut Report, _rng: &mut StdRng) {
    let mut dead = Uas::start(Answer::Code(200));
    dead.stop();
    let silent = Uas::start(Answer::Silent);
    let refusing = Uas::start(Answer::Code(503));
    let busy = Uas::start(Answer::Code(486));
    let live = Uas::start(Answer::Code(200));
    let order = [&dead, &refusing, &silent, &busy, &live];
    let ending = [&refusing, &dead];
    let mut list = String::new();
    for (set, uases) in [(1, &order[..]), (2, &ending[..])] {
        for (n, uas) in uases.iter().enumerate() {
            list += &format!("{set} {} 0 {}\n", uas.uri(), 9 - n);
        }
    }
    for (flags, use_default) in [(2, 0), (2, 1), (0, 0)] {
        let pair = Pair::start(
            Probe::new()
                .config()
                .list(list.clone())
                .param("flags", flags)
                .param("use_default", use_default),
        );
        let what = format!("failover flags {flags} use_default {use_default}");
        for (set, style) in [(1, "dst"), (1, "dom"), (2, "dst")] {
            recipes(report, &pair, &what, set, style);
        }
    }
}

/// All recipes at once on one pair, so that the timeouts run side by side.
fn recipes(report: &mut Report, pair: &Pair, what: &str, set: u32, style: &str) {
    for marking in [false, true] {
        let chosen: Vec<&str> = RECIPES
            .iter()
            .copied()
            .filter(|r| r.contains("mark") == marking)
            .collect();
        // Marks change the states that the others see: those run one after the other.
        let groups: Vec<&[&str]> = if marking {
            chosen.chunks(1).collect()
        } else {
            vec![&chosen]
        };
        for group in groups {
            for set in [1, 2] {
                pair.prepare("dispatcher.set_state", json!(["a", set, "all"]));
            }
            let calls: Vec<Request> = group.iter().map(|r| invite(set, style, r)).collect();
            let [c, ours] = both(pair, &calls);
            for ((recipe, c), ours) in group.iter().zip(c).zip(ours) {
                report.compare(&format!("{what} set {set} {style}: {recipe}"), &c, &ours);
            }
            pair.json(
                report,
                &format!("{what} after {group:?}"),
                "dispatcher.list",
                json!([]),
            );
        }
    }
}

fn invite(set: u32, style: &str, recipe: &str) -> Request {
    Request::new("INVITE", "sip:bob@service.test")
        .header("X-Do", format!("{style},{set},8|dump|relay|."))
        .header("X-Fail", format!("{recipe}|."))
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

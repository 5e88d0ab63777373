//! A change between two destinations counts as soon as the second one is asked for.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{on_demand, run, steps};
use harness::{
    Answer, Kamailio, Probe, Request, Uac, Uas, patience, poll, under_valgrind, wait_for,
};

/// A command that a script runs between two steps.
fn rpc(method: &str, params: serde_json::Value) -> String {
    let command = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1});
    format!("jsonrpc_exec('{command}');\n")
}

fn uri(set: usize, n: usize) -> String {
    format!("sip:127.0.0.1:7{set:02}{n}")
}

/// The lines of a set, in this order.
fn lines(set: usize, dests: &[usize]) -> String {
    let line = |(place, n): (usize, &usize)| format!("{set} {} 0 {}\n", uri(set, *n), 90 - place);
    dests.iter().enumerate().map(line).collect()
}

/// A scene with a set of five: the operations of the script, and the destinations that it gets; 0 is -1.
struct Story {
    /// Operations, split by `|`: `n` is `ds_next_dst`, `s3` a selection with that limit, others are
    /// commands: `down2`, `up2`, `drain2`, `del2`, `add2`, and `reload`, which takes over `list`.
    script: &'static str,
    /// The set's list after `reload`.
    list: &'static [usize],
    /// The destinations that the selection and each `n` yield.
    steps: &'static [usize],
}

const STORIES: [Story; 16] = [
    Story {
        script: "s|down2|n|n|n|n",
        list: &[],
        steps: &[1, 3, 4, 5, 0],
    },
    Story {
        script: "down3|s|n|n|up3|n|n|n",
        list: &[],
        steps: &[1, 2, 4, 5, 3, 0],
    },
    Story {
        script: "s|drain2|n",
        list: &[],
        steps: &[1, 3],
    },
    Story {
        script: "s2|down2|n|n",
        list: &[],
        steps: &[1, 3, 0],
    },
    // The current one goes.
    Story {
        script: "s|n|del2|n|n|n|n",
        list: &[],
        steps: &[1, 2, 3, 4, 5, 0],
    },
    // One that was tried goes, and another one.
    Story {
        script: "s|n|del1|del4|n|n|n",
        list: &[],
        steps: &[1, 2, 3, 5, 0],
    },
    // All that are behind go; then the set itself.
    Story {
        script: "s|n|n|del4|del5|n",
        list: &[],
        steps: &[1, 2, 3, 0],
    },
    Story {
        script: "s|n|del1|del2|del3|del4|del5|n|n",
        list: &[],
        steps: &[1, 2, 0, 0],
    },
    Story {
        script: "s|add9|n|n|n|n|n|n",
        list: &[],
        steps: &[1, 2, 3, 4, 5, 9, 0],
    },
    // Reloads: turned round, others, one alone, in another order with a limit.
    Story {
        script: "s|n|reload|n|n|n|n",
        list: &[5, 4, 3, 2, 1],
        steps: &[1, 2, 5, 4, 3, 0],
    },
    Story {
        script: "s|n|n|reload|n|n|n",
        list: &[5, 3, 1, 6],
        steps: &[1, 2, 3, 6, 5, 0],
    },
    Story {
        script: "s|n|n|n|reload|n|n",
        list: &[7],
        steps: &[1, 2, 3, 4, 7, 0],
    },
    Story {
        script: "s3|n|reload|n|n",
        list: &[2, 1, 6, 7, 8, 9],
        steps: &[1, 2, 6, 0],
    },
    // Tried and marked, down and up again: once is enough.
    Story {
        script: "s|down1|n|up1|n|n|n|n",
        list: &[],
        steps: &[1, 2, 3, 4, 5, 0],
    },
    Story {
        script: "s|down2|down3|down4|down5|n",
        list: &[],
        steps: &[1, 0],
    },
    Story {
        script: "s|reload|n|n|n|n|n",
        list: &[1, 2, 3, 4, 5],
        steps: &[1, 2, 3, 4, 5, 0],
    },
];

/// The code of a command, by its name.
fn code(set: usize, name: &str) -> Option<String> {
    let (what, n) = name.split_at(name.find(|c: char| c.is_ascii_digit())?);
    let uri = uri(set, n.parse().ok()?);
    let state = |state: &str| Some(rpc("dispatcher.set_state", json!([state, set, uri])));
    match what {
        "down" => state("i"),
        "up" => state("a"),
        "drain" => state("drain"),
        "del" => Some(rpc("dispatcher.remove", json!([set, uri]))),
        "add" => Some(rpc("dispatcher.add", json!([set, uri]))),
        _ => None,
    }
}

#[test]
fn changes_count_as_they_are() {
    let mut probe = Probe::new().op("reload", &rpc("dispatcher.reload", json!([])));
    let mut list = String::new();
    for (set, story) in (10..).zip(&STORIES) {
        list += &lines(set, &[1, 2, 3, 4, 5]);
        for name in story.script.split('|') {
            if let Some(code) = code(set, name) {
                probe = probe.op(&format!("{name}_{set}"), &code);
            }
        }
    }
    let server = on_demand(probe.config().list(list));
    for (set, story) in (10..).zip(&STORIES) {
        tell(&server, set, story);
    }
}

fn tell(server: &Kamailio, set: usize, story: &Story) {
    let all: String = (10..)
        .zip(&STORIES)
        .map(|(one, _)| match one {
            _ if one == set && !story.list.is_empty() => lines(set, story.list),
            _ => lines(one, &[1, 2, 3, 4, 5]),
        })
        .collect();
    server.write_list(all);
    let operation = |name: &str| match name.strip_prefix('s') {
        Some("") => format!("dst,{set},8"),
        Some(limit) => format!("dst3,{set},8,{limit}"),
        None if name == "n" => "nextdst".to_owned(),
        None if name == "reload" => name.to_owned(),
        None => format!("{name}_{set}"),
    };
    let script: Vec<String> = story.script.split('|').map(operation).collect();
    let said = run(server, &script.join("|"));
    let of_moves = said.iter().filter(|line| {
        let name = line.split(' ').nth(1).unwrap_or_default();
        name.starts_with("dst") || name == "nextdst"
    });
    let of_moves: Vec<String> = of_moves.cloned().collect();
    let mut last = 0;
    let expected: Vec<String> = story
        .steps
        .iter()
        .map(|&n| {
            let rc = if n == 0 { -1 } else { 1 };
            last = if n == 0 { last } else { n };
            format!("{rc} 7{set:02}{last}")
        })
        .collect();
    assert_eq!(steps(&of_moves), expected, "{}: {said:#?}", story.script);
}

/// Lists that are turned round, and destinations that go down and come up, while calls go through the
/// whole set: nobody twice, nothing that is not listed.
#[test]
fn nothing_comes_twice_while_all_changes() {
    let mut list = lines(1, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    list += &lines(2, &[1, 2, 3, 4]);
    let routes = r#"ds_select_routes("2=13;1=15", "d");"#;
    let server = on_demand(
        Probe::new()
            .op("routes", routes)
            .config()
            .list(list)
            .children(2),
    );
    let asked = AtomicUsize::new(0);
    let next = ["nextdst"; 14].join("|");
    let rounds = if under_valgrind() { 12 } else { 150 };
    thread::scope(|scope| {
        // A request meets at most three lists. A destination that leaves them and comes back, as one of set 2 does with
        // the fourth list, is another one and may be tried again.
        scope.spawn(|| {
            let (mut request, mut left) = (0, 0);
            for round in 0.. {
                let step = Duration::from_micros(200);
                let is_due = |&now: &usize| left > 0 || now != request;
                let now = poll(step, patience(60), || asked.load(Relaxed), is_due);
                if now != request {
                    (request, left) = (now, 2);
                }
                if left == 0 || now > rounds {
                    break;
                }
                left -= 1;
                let mut order: Vec<usize> = (1..=9).collect();
                order.rotate_left(round % 9);
                server.write_list(lines(1, &order) + &lines(2, &[round % 4 + 1, round % 3 + 6]));
                server.jsonrpc("dispatcher.reload", json!([])).unwrap();
                let state = if round % 2 == 0 { "i" } else { "a" };
                let one = uri(1, round / 2 % 9 + 1);
                server
                    .jsonrpc("dispatcher.set_state", json!([state, 1, one]))
                    .unwrap();
            }
        });
        for round in 0..rounds {
            asked.store(round + 1, Relaxed);
            let select = ["dst,1,8", "dst,1,4", "dst,1,15", "routes"][round % 4];
            let said = steps(&run(&server, &format!("{select}|{next}")));
            let got: Vec<&str> = said
                .iter()
                .filter_map(|step| step.strip_prefix("1 "))
                .collect();
            let distinct: HashSet<&&str> = got.iter().collect();
            assert_eq!(distinct.len(), got.len(), "{select}: {said:?}");
            assert!(got.len() > 7, "{select}: {said:?}");
        }
        asked.store(rounds + 1, Relaxed);
    });
}

/// In a transaction, too: the second destination goes while the first one keeps silent.
#[test]
fn a_destination_that_goes_while_a_call_waits_is_passed_over() {
    let silent = Uas::start(Answer::Silent);
    let gone = Uas::start(Answer::Code(200));
    let live = Uas::start(Answer::Code(200));
    let line = |(n, uas): (usize, &Uas)| format!("1 {} 0 {}\n", uas.uri(), 9 - n);
    let dests = [&silent, &gone, &live].into_iter().enumerate();
    let list = dests.map(line).collect::<Vec<_>>().concat();
    let server = on_demand(Probe::new().config().list(list).children(3));
    let invite = Request::new("INVITE", "sip:bob@service.test")
        .header("X-Do", "dst,1,8|relay|.")
        .header("X-Fail", "nextdst|again|.");
    let uac = Uac::new();
    uac.send(server.addr(), &invite);
    wait_for("the INVITE", patience(10), || {
        (silent.count("INVITE") > 0).then_some(())
    });
    server
        .jsonrpc("dispatcher.remove", json!([1, gone.uri()]))
        .unwrap();
    let call = uac.call(server.addr(), invite).expect("an answer");
    assert_eq!(call.answered_by(), live.uri().replace("sip:", ""));
    call.bye();
    assert_eq!(gone.count("INVITE"), 0);
}

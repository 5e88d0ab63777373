//! The list changes between a ping and its reply; each result finds its record.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{pinging, play, soon};
use harness::{Crowd, Kamailio, Step, patience, wait_for};

const LATE: Step = Step::Late(200, Duration::from_millis(500));

fn rpc(server: &Kamailio, method: &str, params: Value) {
    let what = format!("{method} {params}");
    let reply = server.jsonrpc(method, params);
    reply.unwrap_or_else(|fault| panic!("{what}: {fault}"));
}

/// Waits for the next ping of a destination, which it has not answered yet.
fn in_flight(crowd: &Crowd, name: &str) {
    let before = crowd.count(name);
    wait_for("a ping", patience(5), || {
        (crowd.count(name) > before).then_some(())
    });
    let ping = crowd.pings(name).pop().expect("a ping");
    assert!(ping.answered.is_none(), "the answer is still to come");
}

/// An inactive destination that answers late, pinged only by chance of its start.
fn start(crowd: &Crowd) -> Kamailio {
    crowd.script("late", &[LATE]);
    play(pinging(), crowd, &[("late", "1"), ("other", "")])
}

#[test]
fn a_reload_between_ping_and_reply_keeps_the_result() {
    let crowd = Crowd::start();
    let server = start(&crowd);
    in_flight(&crowd, "late");
    rpc(&server, "dispatcher.reload", json!([]));
    let answered = answered(&crowd, "late");
    soon(&server, &crowd.uri("late"), "AP");
    assert!(
        answered.elapsed() < patience(1) / 2,
        "by this reply, not by the next"
    );
}

#[test]
fn a_ping_out_of_a_list_that_was_changed_by_a_reload_keeps_the_result() {
    let crowd = Crowd::start();
    let server = start(&crowd);
    let list = format!(
        "2 {}\n1 {}\n1 {} 1 7\n",
        crowd.uri("third"),
        crowd.uri("fourth"),
        crowd.uri("late")
    );
    server.write_list(list);
    in_flight(&crowd, "late");
    rpc(&server, "dispatcher.reload", json!([]));
    let answered = answered(&crowd, "late");
    soon(&server, &crowd.uri("late"), "AP");
    assert!(
        answered.elapsed() < patience(1) / 2,
        "by this reply, not by the next"
    );
    for name in ["third", "fourth"] {
        crowd.wait_count(name, 1, patience(5));
    }
    let gone = crowd.count("other");
    crowd.wait_more("late", 3, patience(8));
    assert_eq!(
        crowd.count("other"),
        gone,
        "what is not listed is not pinged"
    );
}

#[test]
fn an_add_between_ping_and_reply_keeps_the_result() {
    let crowd = Crowd::start();
    let server = start(&crowd);
    in_flight(&crowd, "late");
    rpc(&server, "dispatcher.add", json!([1, crowd.uri("new")]));
    let answered = answered(&crowd, "late");
    soon(&server, &crowd.uri("late"), "AP");
    assert!(
        answered.elapsed() < patience(1) / 2,
        "by this reply, not by the next"
    );
    soon(&server, &crowd.uri("new"), "AP");
}

#[test]
fn a_remove_between_ping_and_reply_drops_the_result() {
    let crowd = Crowd::start();
    let server = start(&crowd);
    for _ in 0..3 {
        in_flight(&crowd, "late");
        rpc(&server, "dispatcher.remove", json!([1, crowd.uri("late")]));
        answered(&crowd, "late");
        assert!(!server.lister().flags().contains_key(&crowd.uri("late")));
        rpc(&server, "dispatcher.add", json!([1, crowd.uri("late"), 1]));
    }
    soon(&server, &crowd.uri("late"), "AP");
}

#[test]
fn a_state_that_is_set_between_ping_and_reply_is_followed() {
    let crowd = Crowd::start();
    let server = start(&crowd);
    in_flight(&crowd, "late");
    rpc(
        &server,
        "dispatcher.set_state",
        json!(["d", 1, crowd.uri("late")]),
    );
    answered(&crowd, "late");
    // The other one is pinged meanwhile, so the result is there.
    crowd.wait_more("other", 2, patience(5));
    assert_eq!(server.flags(1, &crowd.uri("late")), "DX");
}

#[test]
fn hundreds_of_reloads_meet_pings_and_no_result_is_lost() {
    let crowd = Crowd::start();
    let names: Vec<String> = (0..50).map(|n| format!("d{n}")).collect();
    for name in &names {
        crowd.script(name, &[Step::Late(200, Duration::from_millis(100))]);
    }
    let lines: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    // No ping is given up before its answer was read.
    let config = pinging().modparam("tm", "fr_timer", 20_000);
    let server = play(config, &crowd, &lines);
    let mut reloads = 0;
    let last = names.last().expect("a name");
    wait_for("five pings of each", patience(20), || {
        rpc(&server, "dispatcher.reload", json!([]));
        reloads += 1;
        let fewest = names.iter().map(|name| crowd.count(name)).min();
        (fewest >= Some(5)).then_some(())
    });
    assert!(reloads > 100, "{reloads} reloads; the last is {last}");
    for name in &names {
        let pings = crowd.pings(name);
        let flags: Vec<&str> = pings.iter().map(|ping| ping.before.as_str()).collect();
        assert_eq!(flags[..4], ["IX", "AP", "AP", "AP"], "{name}");
    }
}

/// Waits for the answer to the last ping; yields when it was sent.
fn answered(crowd: &Crowd, name: &str) -> Instant {
    let index = crowd.count(name) - 1;
    wait_for("the answer", patience(5), || {
        crowd.pings(name)[index].answered
    })
}

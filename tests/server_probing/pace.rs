//! When pings are sent: spread over the interval, one at a time for each destination.

use std::time::Duration;

use serde_json::json;

use crate::server::{Crowd, Ping, Step, patience, wait_for};
use crate::stage::{pinging, play, quiet, soon};

#[test]
fn pings_are_spread_over_the_interval() {
    const COUNT: usize = 100;
    const INTERVAL: usize = 5;
    let crowd = Crowd::start();
    let names: Vec<String> = (0..COUNT).map(|n| format!("d{n}")).collect();
    let lines: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let config = quiet().param("ds_ping_interval", INTERVAL as i64);
    let _server = play(config, &crowd, &lines);
    wait_for("three pings of each", patience(25), || {
        (crowd.arrivals().len() >= 3 * COUNT).then_some(())
    });
    let times = crowd.arrivals();
    let window = Duration::from_millis(500);
    let share = COUNT / (2 * INTERVAL);
    for first in 0..times.len() {
        let until = times[first..]
            .iter()
            .take_while(|t| **t - times[first] < window);
        let count = until.count();
        // A machine that is busy elsewhere may hold some back; all at once would be a hundred.
        assert!(
            count <= 4 * share,
            "{count} pings within {window:?}, from the {first}th on"
        );
    }
    for name in &names {
        let pings = crowd.pings(name);
        for pair in pings.windows(2) {
            let gap = (pair[1].at - pair[0].at).as_secs_f64();
            assert!(
                (4.5..5.5).contains(&gap),
                "{name}: {gap} s between two pings"
            );
        }
    }
}

/// Pings of one destination, after `n` of them.
fn after(crowd: &Crowd, name: &str, n: usize) -> Vec<Ping> {
    crowd.wait_count(name, n, patience(6 * n as u64));
    crowd.pings(name)
}

#[test]
fn a_destination_never_sees_a_second_ping_before_it_answered_the_first() {
    let crowd = Crowd::start();
    crowd.script("late", &[Step::Late(200, Duration::from_millis(1_500))]);
    crowd.script("dead", &[Step::Silent]);
    let config = pinging().modparam("tm", "fr_timer", 2_500);
    let _server = play(config, &crowd, &[("late", ""), ("dead", ""), ("ok", "")]);
    for pair in after(&crowd, "late", 4).windows(2) {
        let answered = pair[0].answered.expect("answered before the next came");
        assert!(answered <= pair[1].at, "one ping at a time");
        assert_ne!(pair[0].message.branch(), pair[1].message.branch());
        let ids = [&pair[0], &pair[1]].map(|ping| ping.message.text("Call-ID"));
        assert_ne!(ids[0], ids[1]);
    }
    for pair in after(&crowd, "dead", 3).windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(
            gap > Duration::from_millis(2_400),
            "{gap:?} after one that timed out"
        );
    }
    let quick = crowd.count("ok");
    assert!(quick >= 5, "the others keep their second: {quick} pings");
}

#[test]
fn both_timer_modes_ping() {
    for mode in [0, 1] {
        let crowd = Crowd::start();
        crowd.script("dead", &[Step::Silent]);
        let config = pinging().param("ds_timer_mode", mode);
        let server = play(config, &crowd, &[("ok", ""), ("dead", "")]);
        soon(&server, &crowd.uri("ok"), "AP");
        soon(&server, &crowd.uri("dead"), "IP");
    }
}

#[test]
fn ping_active_stops_and_starts_pings() {
    let crowd = Crowd::start();
    let server = play(pinging(), &crowd, &[("ok", "")]);
    let ask = |params| {
        server
            .jsonrpc("dispatcher.ping_active", params)
            .expect("a reply")
    };
    let text = |params| ask(params).to_string();
    crowd.wait_count("ok", 1, patience(5));
    assert_eq!(text(json!([])), r#"{"OldPingState":1}"#);
    assert_eq!(text(json!([0])), r#"{"NewPingState":0,"OldPingState":1}"#);
    assert_eq!(text(json!([])), r#"{"OldPingState":0}"#);
    let still = crowd.trace("ok", 1_000, patience(3));
    assert!(still.ends_with('.'), "no pings: {still}");
    let stopped = crowd.count("ok");
    assert_eq!(text(json!([1])), r#"{"NewPingState":1,"OldPingState":0}"#);
    crowd.wait_count("ok", stopped + 2, patience(5));
}

#[test]
fn ping_active_with_kamcmd() {
    let crowd = Crowd::start();
    let server = play(pinging(), &crowd, &[("ok", "")]);
    let ask = |args: &[&str]| {
        let args: Vec<&str> = ["dispatcher.ping_active"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        let lines = server.kamcmd(&args).expect("a reply");
        lines.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ask(&[]), "{ OldPingState: 1 }");
    assert_eq!(ask(&["0"]), "{ NewPingState: 0 OldPingState: 1 }");
    assert_eq!(ask(&["1"]), "{ NewPingState: 1 OldPingState: 0 }");
}

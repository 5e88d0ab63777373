//! When pings are sent: spread over the interval, one at a time for each destination.

use std::time::Duration;

use serde_json::json;

use super::stage::{pinging, play, quiet, soon};
use harness::{Crowd, Ping, Step, patience, wait_for};

/// The place in the interval of one destination's pings: seconds from the begin of the times.
///
/// A ping may be late but is never early, so of all rounds the earliest counts: a busy machine
/// hardly moves it. `None` while its last three pings are not two intervals apart.
fn place(times: &[f64], interval: f64) -> Option<f64> {
    let rounds = |span: f64| (span / interval).round();
    let last = times.last_chunk::<3>()?;
    let places = times.iter().map(|at| at - rounds(at - times[0]) * interval);
    (rounds(last[2] - last[0]) == 2.0).then(|| places.fold(f64::INFINITY, f64::min))
}

/// The most places within so much time of each other; the interval is round.
fn crowding(places: &[f64], within: f64, interval: f64) -> usize {
    let behind = |first: f64| {
        let gaps = places.iter().map(|at| (at - first).rem_euclid(interval));
        gaps.filter(|gap| *gap < within).count()
    };
    places.iter().copied().map(behind).max().unwrap_or(0)
}

#[test]
fn pings_are_spread_over_the_interval() {
    const COUNT: usize = 100;
    const INTERVAL: f64 = 3.0;
    let crowd = Crowd::start();
    let names: Vec<String> = (0..COUNT).map(|n| format!("d{n}")).collect();
    let lines: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let _server = play(quiet().param("ds_ping_interval", 3), &crowd, &lines);
    crowd.wait_count(&names[0], 1, patience(5));
    let begin = crowd.arrivals()[0];
    let now = |name: &String| {
        let pings = crowd.pings(name);
        let times = pings.iter().map(|ping| (ping.at - begin).as_secs_f64());
        place(&times.collect::<Vec<_>>(), INTERVAL)
    };
    // Its share of the pings is a tenth; all at once would be a hundred, for ever.
    let what = "each pinged once an interval, and less than a fifth of all in a tenth of it";
    wait_for(what, patience(60), || {
        let places: Vec<f64> = names.iter().map(now).collect::<Option<_>>()?;
        (crowding(&places, INTERVAL / 10.0, INTERVAL) < COUNT / 5).then_some(())
    });
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

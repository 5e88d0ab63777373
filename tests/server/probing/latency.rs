//! Round trips: `LATENCY` in `dispatcher.list`.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{pinging, play, quiet, soon};
use harness::{Crowd, Kamailio, Step, patience};

/// Average, deviation, estimate, maximum and timeouts of a destination of set 1.
fn latency(server: &Kamailio, uri: &str) -> [f64; 5] {
    let dest = entry(server, uri);
    let value = |name: &str| {
        let value: &Value = &dest["LATENCY"][name];
        value.as_f64().unwrap_or_else(|| panic!("{name} in {dest}"))
    };
    ["AVG", "STD", "EST", "MAX", "TIMEOUT"].map(value)
}

/// Returns the entry of a destination of set 1 in the list.
fn entry(server: &Kamailio, uri: &str) -> Value {
    let listed = server.dests(1);
    let at = listed.iter().position(|(listed, _)| listed == uri);
    server.dest(
        1,
        at.unwrap_or_else(|| panic!("{uri} is not in {listed:?}")),
    )
}

#[test]
fn round_trips_and_timeouts_are_counted() {
    let crowd = Crowd::start();
    crowd.script("slow", &[Step::Late(200, Duration::from_millis(200))]);
    crowd.script("refuses", &[Step::Late(503, Duration::from_millis(100))]);
    crowd.script("silent", &[Step::Silent]);
    // How many times as long all may take.
    let slowness = patience(1).as_secs();
    let config = pinging().param("ds_ping_latency_stats", 1).modparam(
        "tm",
        "fr_timer",
        600 * i64::try_from(slowness).unwrap(),
    );
    let server = play(
        config,
        &crowd,
        &[("slow", ""), ("refuses", ""), ("silent", "")],
    );
    let slowness = slowness as f64;
    for name in ["slow", "refuses", "silent"] {
        crowd.wait_count(name, 4, patience(8));
    }
    let [avg, std, est, max, timeout] = latency(&server, &crowd.uri("slow"));
    let near = 190.0..400.0 * slowness;
    assert!(near.contains(&avg) && near.contains(&est), "{avg} {est}");
    assert!(
        near.contains(&max) && std < 100.0 * slowness && timeout == 0.0,
        "{max} {std} {timeout}"
    );
    let [avg, .., timeout] = latency(&server, &crowd.uri("refuses"));
    assert!(
        (90.0..300.0 * slowness).contains(&avg) && timeout == 0.0,
        "{avg} {timeout}"
    );
    let [.., timeout] = latency(&server, &crowd.uri("silent"));
    assert!(timeout >= 2.0, "{timeout} timeouts");
}

#[test]
fn no_latency_without_the_parameter() {
    let crowd = Crowd::start();
    let server = play(pinging(), &crowd, &[("ok", "")]);
    soon(&server, &crowd.uri("ok"), "AP");
    assert_eq!(entry(&server, &crowd.uri("ok"))["LATENCY"], Value::Null);
}

#[test]
fn attribute_latency_is_the_start() {
    let crowd = Crowd::start();
    let config = quiet().param("ds_ping_latency_stats", 1);
    let server = play(config, &crowd, &[("known", "0 0 latency=50"), ("new", "")]);
    let [avg, _, est, max, timeout] = latency(&server, &crowd.uri("known"));
    assert_eq!([avg, est, max, timeout], [50.0, 50.0, 50.0, 0.0]);
    assert_eq!(latency(&server, &crowd.uri("new")), [0.0; 5]);
}

#[test]
fn latency_survives_a_reload() {
    for retain in [0, 1] {
        let crowd = Crowd::start();
        crowd.script("slow", &[Step::Late(200, Duration::from_millis(200))]);
        let config = quiet()
            .param("ds_ping_interval", 2)
            .param("ds_ping_latency_stats", 1)
            .param("ds_retain_latency_stats", retain);
        let server = play(config, &crowd, &[("slow", "")]);
        soon(&server, &crowd.uri("slow"), "AP");
        assert!(latency(&server, &crowd.uri("slow"))[0] > 190.0);
        server
            .jsonrpc("dispatcher.reload", json!([]))
            .expect("it reloads");
        let [avg, ..] = latency(&server, &crowd.uri("slow"));
        assert!(avg > 190.0, "{avg} with {retain}");
    }
}

//! Field reports about pings, by their number in the collection that the module answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{becomes, number, pinging, play, quiet, soon};
use harness::{Config, Crowd, Kamailio, Request, Step, Uac, free_port, patience, wait_for};

/// Destinations of the tests that look for leaks.
const MANY: usize = 20;
/// The amount by which the server's own pieces may differ; a leak of one ping of one destination is more.
/// Unit: bytes.
const SLACK: i64 = 4_096;

/// Shared memory in use while nobody is pinged and tm holds nothing. Unit: bytes.
fn at_rest(server: &Kamailio) -> i64 {
    let switch = |on: i32| {
        let switched = server.jsonrpc("dispatcher.ping_active", json!([on]));
        switched.expect("pings are switched");
    };
    switch(0);
    wait_for("tm to forget all pings", patience(20), || {
        let stats = server.jsonrpc("tm.stats", json!([])).expect("tm.stats");
        (number(&stats["current"]) == 0).then_some(())
    });
    let stats = server.jsonrpc("core.shmmem", json!([]));
    switch(1);
    number(&stats.expect("core.shmmem")["used"])
}

/// Private memory in use by each process that has a figure. Unit: bytes.
fn private(server: &Kamailio) -> Vec<(i64, i64)> {
    let stats = server.jsonrpc("pkg.stats", json!([])).expect("pkg.stats");
    let processes: Vec<Value> = stats.as_array().expect("an array").clone();
    let pair = |p: &Value| (number(&p["pid"]), number(&p["used"]));
    processes.iter().map(pair).collect()
}

#[test]
fn tcp_targets_without_tcp_cost_no_shared_memory() {
    let crowd = Crowd::start();
    let config = pinging().only_critical();
    let server = play(config, &crowd, &[("clock", "")]);
    let uri = |n| format!("sip:t{n}@127.0.0.1:5060;transport=tcp");
    let mut list = format!("1 {}\n", crowd.uri("clock"));
    for n in 0..MANY {
        list += &format!("1 {}\n", uri(n));
    }
    crowd.load(&server, &list);
    crowd.wait_more("clock", 5, patience(20));
    let before = at_rest(&server);
    crowd.wait_more("clock", 15, patience(40));
    let after = at_rest(&server);
    assert!(after <= before + SLACK, "{before} bytes, then {after}");
    for n in 0..MANY {
        assert_eq!(
            server.flags(1, &uri(n)),
            "IP",
            "a send that fails is a failure"
        );
    }
}

#[test]
fn a_local_request_route_leaks_nothing_and_pings_go_on() {
    let routes = r#"
request_route { exit; }
event_route[tm:local-request] {
    $avp(seen) = $fu;
    $xavp(seen=>from) = $fu;
    xlog("L_INFO", "ping from $fu to $ru\n");
}
"#;
    let crowd = Crowd::start();
    let config = Config::routes(routes)
        .list("")
        .global("log_prefix=\"{$fu}\"")
        .global("debug=2")
        .param("reload_delta", 0)
        .param("ds_probing_mode", 1)
        .param("ds_ping_interval", 1)
        .modparam("tm", "fr_timer", 600);
    let names: Vec<String> = (0..MANY).map(|n| format!("d{n}")).collect();
    for name in names.iter().step_by(2) {
        crowd.script(name, &[Step::Silent]);
    }
    let lines: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let server = play(config, &crowd, &lines);
    crowd.wait_count("d1", 5, patience(20));
    let (before, shared) = (private(&server), at_rest(&server));
    crowd.wait_more("d1", 15, patience(40));
    for ((pid, used), (_, then)) in private(&server).into_iter().zip(before) {
        assert!(
            used <= then + SLACK,
            "process {pid}: {then} bytes, then {used}"
        );
    }
    let later = at_rest(&server);
    assert!(
        later <= shared + SLACK,
        "shared: {shared} bytes, then {later}"
    );
    for name in &names {
        crowd.wait_count(name, 16, patience(20));
    }
}

#[test]
fn two_records_with_one_uri_and_two_sockets_have_a_state_each() {
    let crowd = Crowd::start();
    let (one, two) = (free_port(), free_port());
    let config = pinging()
        .global(&format!("listen=udp:127.0.0.1:{one}"))
        .global(&format!("listen=udp:127.0.0.1:{two}"));
    crowd.script("same", &[Step::Code(503)]);
    let sockets = [one, two].map(|port| format!("0 0 socket=udp:127.0.0.1:{port}"));
    let lines: Vec<(&str, &str)> = sockets.iter().map(|rest| ("same", rest.as_str())).collect();
    let server = play(config, &crowd, &lines);
    let both = |flags: &str| {
        wait_for(&format!("both are {flags}"), patience(8), || {
            let found = server.dests(1);
            (found.iter().all(|(_, now)| now == flags)).then_some(())
        });
    };
    both("IP");
    crowd.script("same", &[Step::Code(200)]);
    both("AP");
    for port in [one, two] {
        let via = format!("127.0.0.1:{port}");
        wait_for(&format!("pings through {via}"), patience(8), || {
            let pings = crowd.pings("same");
            let of_port = pings
                .iter()
                .filter(|p| p.message.text("Via").contains(&via));
            (of_port.count() > 1).then_some(())
        });
    }
}

#[test]
fn a_silent_destination_is_out_within_interval_and_timeout() {
    let crowd = Crowd::start();
    crowd.script("dead", &[Step::Silent]);
    let config = quiet()
        .param("ds_ping_interval", 3)
        .param("ds_ping_fr_timeout", 500)
        .modparam("tm", "fr_timer", 30_000);
    let begin = Instant::now();
    let server = play(config, &crowd, &[("dead", "")]);
    becomes(&server, &crowd.uri("dead"), "IP", patience(5));
    let took = begin.elapsed();
    let first = crowd.pings("dead")[0].at.elapsed();
    assert!(took < patience(4) + patience(1) / 2, "out after {took:?}");
    assert!(
        first < patience(1) * 3 / 2,
        "out {first:?} after its first ping"
    );
}

#[test]
fn other_requests_keep_the_timeout_of_tm() {
    let crowd = Crowd::start();
    crowd.script("dead", &[Step::Silent]);
    crowd.script("slow", &[Step::Late(200, Duration::from_millis(1_500))]);
    let config = Config::routes("request_route { t_relay(); }")
        .list("")
        .param("ds_probing_mode", 1)
        .param("ds_ping_interval", 1)
        .param("ds_ping_fr_timeout", 300)
        .modparam("tm", "fr_timer", 30_000);
    let server = play(config, &crowd, &[("dead", "")]);
    soon(&server, &crowd.uri("dead"), "IP");
    let message = Request::new("MESSAGE", crowd.uri("slow"));
    let reply = Uac::new().request(server.addr(), &message);
    assert_eq!(
        reply.status(),
        Some(200),
        "a call may take longer than a ping"
    );
}

#[test]
fn disabled_is_never_undone_by_pings() {
    let crowd = Crowd::start();
    crowd.script("late", &[Step::Late(200, Duration::from_millis(400))]);
    let server = play(pinging(), &crowd, &[("ok", ""), ("late", "")]);
    for name in ["ok", "late"] {
        // In the middle of a ping for the late one.
        crowd.wait_more(name, 2, patience(8));
        let set = json!(["d", 1, crowd.uri(name)]);
        server
            .jsonrpc("dispatcher.set_state", set)
            .expect("it is set");
    }
    let counts = ["ok", "late"].map(|name| crowd.count(name));
    for name in ["ok", "late"] {
        let trace = crowd.trace(name, 1_000, patience(3));
        assert!(trace.ends_with(" DX."), "{name}: {trace}");
    }
    assert_eq!(
        counts,
        ["ok", "late"].map(|name| crowd.count(name)),
        "not pinged"
    );
    let set = json!(["a", 1, "all"]);
    server
        .jsonrpc("dispatcher.set_state", set)
        .expect("it is set");
    for name in ["ok", "late"] {
        soon(&server, &crowd.uri(name), "AP");
    }
}

//! `dispatcher.ping_status`, and `PING` in the full list: why a destination is in its state.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{pinging, play, quiet, soon, start};
use harness::{Crowd, Dns, Kamailio, Name, Step, patience, this_machine, this_server, wait_for};

/// Returns the answer of the command for one destination of set 1.
fn status(server: &Kamailio, uri: &str) -> Value {
    let reply = server.jsonrpc("dispatcher.ping_status", json!([1, uri]));
    let reply = reply.unwrap_or_else(|fault| panic!("{uri}: {fault}"));
    let targets = reply["TARGETS"].as_array().expect("an array");
    assert_eq!(targets.len(), 1, "{reply}");
    targets[0]["DEST"].clone()
}

fn pings(server: &Kamailio) -> String {
    let reply = server.jsonrpc("dispatcher.ping_status", json!([]));
    reply.expect("a reply")["PINGS"]
        .as_str()
        .expect("a text")
        .to_owned()
}

/// Waits until the last result of a destination is this, and its state has followed; yields all that is said of it
/// then. The result of a ping is kept first, then the state changes, then its cause.
fn result(server: &Kamailio, uri: &str, result: &str, flags: &str) -> Value {
    wait_for(&format!("{uri}: {result}, {flags}"), patience(15), || {
        let status = status(server, uri);
        let all = status["LAST_RESULT"] == result
            && status["FLAGS"] == flags
            && why(&status).contains(result);
        all.then_some(status)
    })
}

fn why(status: &Value) -> &str {
    status["WHY"].as_str().expect("a text")
}

#[test]
fn every_result_is_named() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let (crowd, dns) = (Crowd::start(), Dns::start());
    dns.set("gone.test", Name::Is(Ipv4Addr::LOCALHOST));
    let late = Step::Late(200, Duration::from_millis(80));
    for (name, step) in [
        ("ok", late),
        ("busy", Step::Code(503)),
        ("silent", Step::Silent),
    ] {
        crowd.script(name, &[step]);
    }
    let config = pinging()
        .global("dns_cache_negative_ttl=1")
        .resolver(&dns)
        .only_critical();
    let server = start(config);
    let tcp = "sip:127.0.0.1:5060;transport=tcp".to_owned();
    let gone = crowd.uri("gone").replace("127.0.0.1", "gone.test");
    let [ok, busy, silent] = ["ok", "busy", "silent"].map(|name| crowd.uri(name));
    let lines = [&ok, &busy, &silent, &gone, &tcp].map(|uri| format!("1 {uri}\n"));
    crowd.load(&server, &lines.concat());
    assert_eq!(pings(&server), "on");

    let said = result(&server, &ok, "200", "AP");
    let took = said["ROUND_TRIP_MS"].as_f64().expect("a round trip");
    assert!((75.0..10_000.0).contains(&took), "{took} ms");
    assert_eq!(said["BAD_IN_ROW"], 0);
    assert!(why(&said).starts_with("active"), "{said}");
    let next = said["NEXT_IN_MS"].as_i64().expect("a time");
    assert!((0..=1_100).contains(&next), "{next} ms");

    let said = result(&server, &busy, "503", "IP");
    assert!(why(&said).starts_with("inactive for "), "{said}");
    assert!(said["ROUND_TRIP_MS"].as_f64().is_some(), "{said}");
    crowd.wait_count("busy", 5, patience(10));
    assert!(status(&server, &busy)["BAD_IN_ROW"].as_i64() >= Some(4));

    let said = result(&server, &silent, "no reply", "IP");
    assert_eq!(said["ROUND_TRIP_MS"], this_server::null());

    let no_socket = "could not be sent: no local socket for the transport and the kind of address";
    result(&server, &tcp, no_socket, "IP");

    dns.set("gone.test", Name::Unknown);
    result(&server, &gone, "the name does not resolve", "IP");

    // The full list says the same.
    let listed = server.dests(1);
    let at = listed
        .iter()
        .position(|(uri, _)| *uri == busy)
        .expect("listed");
    let ping = &server.dest(1, at)["PING"];
    assert_eq!(ping["LAST_RESULT"], "503", "{ping}");
}

#[test]
fn a_ping_that_waits_is_shown() {
    let crowd = Crowd::start();
    crowd.script("silent", &[Step::Silent]);
    let config = pinging().modparam("tm", "fr_timer", 5_000);
    let server = play(config, &crowd, &[("silent", "")]);
    let uri = crowd.uri("silent");
    assert_eq!(status(&server, &uri)["LAST_RESULT"], this_server::null());
    wait_for("a ping that waits for a second", patience(5), || {
        let waits = status(&server, &uri)["WAITING_MS"].as_i64();
        (waits? > 1_000).then_some(())
    });
}

#[test]
fn who_set_a_state_is_said() {
    let crowd = Crowd::start();
    let server = play(
        pinging(),
        &crowd,
        &[("off", ""), ("ok", ""), ("never", "32")],
    );
    soon(&server, &crowd.uri("off"), "AP");
    let set = json!(["d", 1, crowd.uri("off")]);
    server
        .jsonrpc("dispatcher.set_state", set)
        .expect("it is set");
    let said = status(&server, &crowd.uri("off"));
    assert!(
        why(&said).starts_with("disabled for 0 s: set by a command"),
        "{said}"
    );
    assert_eq!(said["NEXT_IN_MS"], this_server::null());
    let said = status(&server, &crowd.uri("never"));
    assert!(why(&said).contains("as the list has it"), "{said}");
    assert_eq!(said["NEXT_IN_MS"], this_server::null());
}

#[test]
fn draining_is_said_whatever_else_changes() {
    let crowd = Crowd::start();
    let list = [
        ("off", ""),
        ("listed", "65536"),
        ("old", "64"),
        ("both", "65540"),
    ];
    let server = play(pinging(), &crowd, &list);
    let uri = crowd.uri("off");
    soon(&server, &uri, "AP");
    let set = |state: &str| {
        let set = server.jsonrpc("dispatcher.set_state", json!([state, 1, uri]));
        set.expect("it is set");
    };
    let says = |uri: &str, begin: &str, end: &str| {
        wait_for(&format!("{uri}: {begin} {end}"), patience(10), || {
            let said = status(&server, uri);
            (why(&said).starts_with(begin) && why(&said).contains(end)).then_some(())
        });
    };
    set("drain");
    let begin = "draining (no new calls) for 0 s: set by a command";
    assert!(why(&status(&server, &uri)).starts_with(begin));
    crowd.script("off", &[Step::Code(503)]);
    let begin = "draining (no new calls), set by a command; inactive for ";
    says(&uri, begin, "bad pings in a row, the last one: 503");
    crowd.script("off", &[Step::Code(200)]);
    says(
        &uri,
        "draining (no new calls), set by a command; active for ",
        ": the last ping was good (200)",
    );
    set("a");
    assert!(why(&status(&server, &uri)).starts_with("active for 0 s: set by a command"));
    // Pings have marked the listed ones as pinged.
    for name in ["listed", "old"] {
        let begin = "draining (no new calls), as the list has it; active";
        says(&crowd.uri(name), begin, "the last ping was good (200)");
    }
    says(&crowd.uri("both"), "disabled: as the list has it", "");
}

#[test]
fn why_no_pings_are_sent_is_said() {
    let crowd = Crowd::start();
    let server = play(quiet(), &crowd, &[("d", "")]);
    assert_eq!(pings(&server), "off: ds_ping_interval is 0");
    server.stop();
    let server = play(pinging(), &crowd, &[("d", "")]);
    let off = server.jsonrpc("dispatcher.ping_active", json!([0]));
    off.expect("pings are switched off");
    assert_eq!(pings(&server), "off: dispatcher.ping_active 0");
}

#[test]
fn what_is_not_there_is_a_fault() {
    let crowd = Crowd::start();
    let server = play(pinging(), &crowd, &[("d", "0 0 duid=one")]);
    let text = |params: Value| match server.jsonrpc("dispatcher.ping_status", params) {
        Ok(reply) => reply["TARGETS"][0]["DEST"]["URI"].to_string(),
        Err(fault) => fault.text,
    };
    let uri = format!("{:?}", crowd.uri("d"));
    assert_eq!(text(json!([1, "duid=one"])), uri);
    assert_eq!(text(json!(["all", "duid=one"])), uri);
    assert_eq!(text(json!([1])), uri);
    assert_eq!(text(json!([2])), "No Such Destination Set");
    assert_eq!(text(json!([1, "sip:nobody.test"])), "No Such Destination");
    assert_eq!(text(json!([1, "duid=two"])), "No Such Destination");
}

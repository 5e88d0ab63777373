//! Pings that cannot be sent: one line in the log when it begins, with the reason, and one when it ends.

use std::net::Ipv4Addr;

use serde_json::json;

use super::stage::{becomes, pinging, soon, start};
use harness::{
    Config, Crowd, Dns, Kamailio, Module, Name, patience, this_machine, this_server, wait_for,
};

const BEGINS: &str = "pings cannot be sent: ";
const ENDS: &str = "pings are sent again";

/// Returns how many lines of the log have both texts.
fn lines(server: &Kamailio, one: &str, other: &str) -> usize {
    let log = server.log();
    let lines = log
        .lines()
        .filter(|line| line.contains(one) && line.contains(other));
    lines.count()
}

/// Returns what `dispatcher.ping_status` says of a destination of set 1.
fn status(server: &Kamailio, uri: &str) -> (String, i64) {
    let reply = server.jsonrpc("dispatcher.ping_status", json!([1, uri]));
    let dest = &reply.expect("a reply")["TARGETS"][0]["DEST"];
    let text = dest["LAST_RESULT"].as_str().unwrap_or_default();
    (text.to_owned(), dest["BAD_IN_ROW"].as_i64().unwrap_or(0))
}

/// Waits until so many pings of a destination in a row were bad.
fn wait_bad(server: &Kamailio, uri: &str, count: i64) {
    wait_for(&format!("{count} bad pings of {uri}"), patience(20), || {
        (status(server, uri).1 >= count).then_some(())
    });
}

fn modify(server: &Kamailio, uri: &str, attrs: &str) {
    let change = json!([1, uri, "attrs", attrs]);
    let reply = server.jsonrpc("dispatcher.modify", change);
    reply.expect("it is modified");
}

/// A destination, its attributes, the reason in the status, and what the log has besides.
type Case<'a> = (&'a str, &'a str, &'a str, &'a str);

const NO_SOCKET: &str = "no local socket for the transport and the kind of address";
const BAD_PROXY: &str = "the outbound proxy is not a SIP URI";
const KEPT: &str = "the server cannot send it (see its line in the log)";

#[test]
fn each_reason_is_said_once_when_it_begins() {
    let crowd = Crowd::start();
    let proxied = crowd.uri("proxied");
    let cases: [Case; 7] = [
        (
            "sip:127.0.0.1:9;transport=tls",
            "",
            NO_SOCKET,
            ": tls, IPv4",
        ),
        ("sips:127.0.0.1:9", "", NO_SOCKET, ": tls, IPv4"),
        (
            "sip:127.0.0.1:9;transport=tcp",
            "",
            NO_SOCKET,
            ": tcp, IPv4",
        ),
        // Kamailio lists no destination with an IPv6 address here.
        (
            "sip:127.0.0.1:8",
            "obproxy=\"sip:[::1]:9\"",
            NO_SOCKET,
            ": udp, IPv6",
        ),
        (&proxied, "obproxy=127.0.0.1:9", BAD_PROXY, ": 127.0.0.1:9"),
        (
            "sip:127.0.0.1:7",
            "obproxy=\"tel:123\"",
            "the URI has no host",
            "",
        ),
        // A socket on loopback cannot send there.
        ("sip:240.0.0.1:9", "", KEPT, ""),
    ];
    let config = pinging().global("disable_tcp=yes");
    let server = Kamailio::start(Module::Rust, config.only_critical());
    let line = |(uri, attrs, ..): &Case| format!("1 {uri} 0 0 {attrs}\n");
    server.allow_log("udp_send");
    crowd.load(&server, &cases.iter().map(line).collect::<String>());
    for (uri, _, why, about) in cases {
        wait_bad(&server, uri, 4);
        assert_eq!(status(&server, uri).0, format!("could not be sent: {why}"));
        assert_eq!(server.flags(1, uri), "IP", "{uri}");
        let begins = format!("set 1, {uri}: {BEGINS}{why}{about}");
        assert_eq!(
            lines(&server, "WARNING", &begins),
            1,
            "{uri}\n{}",
            server.log()
        );
        assert_eq!(lines(&server, uri, BEGINS), 1, "{uri}");
    }
    assert_eq!(lines(&server, ENDS, ""), 0);

    // Another reason is news, and so is the end.
    let again = || lines(&server, &proxied, ENDS);
    modify(&server, &proxied, "obproxy=nobody");
    server.wait_log(&format!("{proxied}: {BEGINS}{BAD_PROXY}: nobody"));
    modify(
        &server,
        &proxied,
        "obproxy=\"sip:127.0.0.1:9;transport=tls\"",
    );
    server.wait_log(&format!("{proxied}: {BEGINS}{NO_SOCKET}: tls, IPv4"));
    assert_eq!(again(), 0);
    modify(&server, &proxied, "");
    soon(&server, &proxied, "AP");
    crowd.wait_more("proxied", 2, patience(10));
    assert_eq!((again(), lines(&server, &proxied, BEGINS)), (1, 3));
    // A reload changes nothing about it.
    let other = "sips:127.0.0.1:9";
    server
        .jsonrpc("dispatcher.reload", json!([]))
        .expect("it reloads");
    wait_bad(&server, other, status(&server, other).1 + 3);
    assert_eq!(lines(&server, other, BEGINS), 1);
}

#[test]
fn a_name_that_does_not_resolve_is_said_until_it_does() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let (crowd, dns) = (Crowd::start(), Dns::start());
    // Flag 16: it is listed though nobody has resolved it.
    let config = pinging()
        .param("compat", "5.6")
        .global("dns_cache_negative_ttl=1")
        .resolver(&dns)
        .only_critical();
    let server = start(config);
    let uri = crowd.uri("gone").replace("127.0.0.1", "gone.test");
    dns.set("gone.test", Name::Unknown);
    crowd.load(&server, &format!("1 {uri} 16\n"));
    let begins = format!("set 1, {uri}: {BEGINS}the name does not resolve: gone.test");
    for round in 1..=2 {
        wait_bad(&server, &uri, 4);
        assert_eq!(status(&server, &uri).0, "the name does not resolve");
        assert_eq!(lines(&server, "WARNING", &begins), round);
        assert_eq!(lines(&server, ENDS, ""), round - 1);
        dns.set("gone.test", Name::Is(Ipv4Addr::LOCALHOST));
        becomes(&server, &uri, "AP", patience(20));
        crowd.wait_more("gone", 2, patience(10));
        assert_eq!(lines(&server, &uri, ENDS), round);
        dns.set("gone.test", Name::Unknown);
    }
}

#[test]
fn a_route_that_drops_pings_is_said_once() {
    if this_server::older_than((5, 4), "drop in event_route[tm:local-request]") {
        return;
    }
    let routes = r#"
request_route { exit; }
event_route[tm:local-request] { if ($shv(on) != 1) drop; }
"#;
    let crowd = Crowd::start();
    let config = Config::routes(routes)
        .list("")
        .param("reload_delta", 0)
        .param("ds_probing_mode", 1)
        .param("ds_ping_interval", 1)
        .modparam("pv", "shvset", "on=i:1");
    let server = start(config);
    let uri = crowd.uri("d");
    crowd.load(&server, &format!("1 {uri}\n"));
    soon(&server, &uri, "AP");
    let switch = |on: i32| {
        let set = server.jsonrpc("pv.shvSet", json!(["on", "int", on]));
        set.expect("it is set");
    };
    let begins = format!("{uri}: {BEGINS}event_route[tm:local-request] drops it");
    server.expect_log(&begins);
    switch(0);
    server.wait_log(&begins);
    switch(1);
    server.wait_log(&format!("{uri}: {ENDS}"));
    assert_eq!(
        (lines(&server, &uri, BEGINS), server.flags(1, &uri).as_str()),
        (1, "AP")
    );
}

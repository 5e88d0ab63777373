//! modify: it changes what it names of one destination, and nothing else.

use harness::live::{MODIFIED, fault, run, two_sets};
use harness::{Kamailio, Module, Probe, Uac};
use serde_json::json;

fn start() -> Kamailio {
    Kamailio::start(Module::Rust, two_sets())
}

#[test]
fn modify_changes_what_it_names_and_nothing_else() {
    let server = start();
    let modify = |words: &[&str]| {
        let command = [&["dispatcher.modify"], words].concat();
        server.kamcmd(&command)
    };
    let uri = "sip:127.0.0.1:7002";
    run(&server, "dispatcher.set_state d 1 sip:127.0.0.1:7002").unwrap();
    modify(&["1", uri, "attrs", "weight=7;duid=two"]).unwrap();
    assert_eq!(server.dest(1, 1)["ATTRS"]["BODY"], "weight=7;duid=two");
    assert_eq!(server.flags(1, uri), "DX", "the state stays");
    modify(&["1", "duid=TWO", "priority", "s:-3"]).unwrap();
    assert_eq!(server.ports(1), ["7003", "7001", "7002"]);
    assert_eq!(server.dest(1, 2)["ATTRS"]["WEIGHT"], 7);
    assert_eq!(server.flags(1, uri), "DX", "the state stays");
}

#[test]
fn modify_sets_flags_and_several_at_once() {
    let server = start();
    let modify = |words: &[&str]| server.kamcmd(&[&["dispatcher.modify"], words].concat());
    let uri = "sip:127.0.0.1:7002";
    modify(&["1", uri, "attrs", "weight=7;duid=two"]).unwrap();
    modify(&["1", "duid=two", "flags", "8"]).unwrap();
    assert_eq!(server.flags(1, uri), "AP", "flags are a new state");
    modify(&[
        "1",
        "duid=two",
        "flags",
        "s:0x1",
        "priority",
        "4",
        "attrs",
        "duid=three",
    ])
    .unwrap();
    let now = server.dest(1, 0);
    assert_eq!((&now["FLAGS"], &now["PRIORITY"]), (&json!("IX"), &json!(4)));
    assert_eq!(now["ATTRS"]["BODY"], "duid=three");
    assert_eq!(now["ATTRS"]["WEIGHT"], 0);
    // kamcmd makes a 0 of an empty word without `s:`.
    modify(&["1", "SIP:127.0.0.1:7002", "attrs", "s:"]).unwrap();
    assert!(server.dest(1, 0).get("ATTRS").is_none());
    assert!(fault(modify(&["1", "duid=two", "flags", "0"])).contains("no such destination"));
    // The socket that the attributes name is the one that calls take.
    let socket = format!("socket=udp:127.0.0.2:{}", server.port());
    modify(&["1", "sip:127.0.0.1:7003", "attrs", &socket, "priority", "9"]).unwrap();
    let line = Probe::run(&Uac::new(), server.addr(), "dst,1,8").remove(0);
    assert!(
        line.contains(&format!("fs=udp:127.0.0.2:{}", server.port())),
        "{line}"
    );
}

#[test]
fn modify_takes_a_uri_without_its_scheme_as_add_does() {
    let server = start();
    let said = run(&server, "dispatcher.modify 1 127.0.0.1:7002 priority 3").unwrap();
    assert_eq!(said, MODIFIED);
    assert_eq!(server.ports(1), ["7002", "7003", "7001"]);
}

#[test]
fn modify_makes_no_two_of_one_identity() {
    let server = start();
    let text = fault(run(&server, "dispatcher.modify 2 duid=b attrs duid=a"));
    assert!(text.contains("already"), "{text}");
    let socket = format!("socket=udp:127.0.0.1:{}", server.port());
    let add = |socket: &str| {
        let words = [
            "dispatcher.add",
            "4",
            "sip:127.0.0.1:7200",
            "0",
            "0",
            socket,
        ];
        server.kamcmd(&words)
    };
    add(&socket).unwrap();
    add(&format!(
        "duid=x;{}",
        socket.replace("127.0.0.1", "127.0.0.2")
    ))
    .unwrap();
    let twice = ["dispatcher.modify", "4", "duid=x", "attrs", &socket];
    let text = fault(server.kamcmd(&twice));
    assert!(text.contains("already"), "{text}");
    // Itself is no second one.
    let same = [
        "dispatcher.modify",
        "2",
        "duid=b",
        "attrs",
        "duid=b;weight=3",
    ];
    assert_eq!(server.kamcmd(&same).unwrap(), MODIFIED);
}

/// Without flag 16 a destination has an address, however it came to its flags.
#[test]
fn modify_that_takes_flag_16_away_resolves_the_host() {
    let server = start();
    run(&server, "dispatcher.add 1 sip:nosuch.invalid 16 0 duid=dns").unwrap();
    let text = fault(run(&server, "dispatcher.modify 1 duid=dns flags 0"));
    assert!(text.contains("cannot resolve host"), "{text}");
    run(&server, "dispatcher.add 3 sip:127.0.0.1:7300 16").unwrap();
    assert_eq!(server.dest(3, 0)["IPADDR"], "");
    run(&server, "dispatcher.modify 3 sip:127.0.0.1:7300 flags 0").unwrap();
    assert_eq!(server.dest(3, 0)["IPADDR"], "127.0.0.1");
}

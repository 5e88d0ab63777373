//! `dispatcher.modify` of one attribute by its name, and the attribute `desc`.

use std::collections::BTreeMap;

use harness::live::{MODIFIED, fault};
use harness::{Config, Fault, Kamailio, Module, Probe, Uac, kamcli, this_server};
use serde_json::{Value, json};

const LIST: &str = "\
1 sip:127.0.0.1:7001 0 0 duid=gw1;weight=50;rweight=50;desc=first
1 sip:127.0.0.1:7002 0 0 duid=gw2;weight=50;rweight=50;carrier=a
2 sip:127.0.0.1:7003
";

fn config() -> Config {
    Probe::new().config().list(LIST).param("compat", "5.6")
}

fn modify(server: &Kamailio, words: &[&str]) -> Result<String, Fault> {
    server.kamcmd(&[&["dispatcher.modify"], words].concat())
}

/// The text of the attributes of the destination at a place of a set.
fn body(server: &Kamailio, set: i64, at: usize) -> Value {
    server.dest(set, at)["ATTRS"]["BODY"].clone()
}

/// How often each destination is chosen in a hundred calls.
fn shares(server: &Kamailio, algorithm: u32) -> BTreeMap<String, usize> {
    let operations = vec![format!("dst,1,{algorithm}|clean"); 20].join("|");
    let uac = Uac::new();
    let mut shares = BTreeMap::new();
    for _ in 0..5 {
        for line in Probe::run(&uac, server.addr(), &operations) {
            let chosen = line.split_once("du=sip:127.0.0.1:").map(|(_, rest)| rest);
            let port = chosen.and_then(|rest| rest.split(' ').next());
            if let Some(port) = port {
                *shares.entry(port.to_owned()).or_insert(0) += 1;
            }
        }
    }
    shares
}

#[test]
fn a_weight_by_name_is_what_the_algorithms_make_of_it() {
    let server = Kamailio::start(Module::Rust, config());
    let of = |one: usize, two: usize| {
        BTreeMap::from([("7001".to_owned(), one), ("7002".to_owned(), two)])
    };
    assert_eq!(
        (shares(&server, 9), shares(&server, 11)),
        (of(50, 50), of(50, 50))
    );
    for (name, algorithm) in [("weight", 9), ("rweight", 11)] {
        assert_eq!(
            modify(&server, &["1", "duid=gw2", name, "10"]).unwrap(),
            MODIFIED
        );
        assert_eq!(
            modify(&server, &["1", "duid=gw1", name, "90"]).unwrap(),
            MODIFIED
        );
        assert_eq!(shares(&server, algorithm), of(90, 10), "{name}");
    }
    assert_eq!(
        body(&server, 1, 0),
        "duid=gw2;weight=10;rweight=10;carrier=a"
    );
    assert_eq!(
        body(&server, 1, 1),
        "duid=gw1;weight=90;rweight=90;desc=first"
    );
}

#[test]
fn the_others_stay_and_an_empty_value_removes() {
    let server = Kamailio::start(Module::Rust, config());
    let uri = "sip:127.0.0.1:7003";
    server
        .kamcmd(&["dispatcher.set_state", "d", "2", uri])
        .unwrap();
    for (words, text) in [
        (&["maxload", "7"][..], json!("maxload=7")),
        (
            &["desc", "Frankfurt 1; rack \"4\""],
            json!("maxload=7;desc='Frankfurt 1; rack \"4\"'"),
        ),
        (
            &["MaxLoad", "8", "carrier", "b"],
            json!("MaxLoad=8;desc='Frankfurt 1; rack \"4\"';carrier=b"),
        ),
        (
            &["desc", "s:", "duid", "x"],
            json!("MaxLoad=8;carrier=b;duid=x"),
        ),
        (&["none", "s:"], json!("MaxLoad=8;carrier=b;duid=x")),
        (
            &["attrs", "weight=5", "duid", "y"],
            json!("weight=5;duid=y"),
        ),
        (
            &["ping_reply_codes", "class=4;code=503"],
            json!("weight=5;duid=y;ping_reply_codes=\"class=4;code=503\""),
        ),
        (
            &["weight", "s:", "ping_reply_codes", "s:", "duid", "s:"],
            Value::Null,
        ),
    ] {
        assert_eq!(
            modify(&server, &[&["2", uri], words].concat()).unwrap(),
            MODIFIED
        );
        let dest = server.dest(2, 0);
        let found = dest
            .get("ATTRS")
            .map_or(Value::Null, |attrs| attrs["BODY"].clone());
        assert_eq!(found, text, "{words:?}");
        assert_eq!(dest["FLAGS"], "DX", "{words:?}: the state stays");
    }
}

/// The reason is that of a list line with the attribute.
#[test]
fn a_bad_value_is_a_fault_and_changes_nothing() {
    let server = Kamailio::start(Module::Rust, config());
    let before = server.dests(1);
    let expected = "expected flags, priority, attrs or the name of an attribute, each with a value";
    for (words, reason) in [
        (
            ["weight", "101"],
            "weight: expected a number from 1 to 100, found 101",
        ),
        (
            ["weight", "ten"],
            "weight: expected a number, found \"ten\"",
        ),
        (
            ["weight", "10%"],
            "weight: expected a number, found \"10%\"",
        ),
        (
            ["ocmax", "0"],
            "ocmax: expected a number from 1 to 100, found 0",
        ),
        (
            ["ping_reply_codes", "503"],
            "ping_reply_codes: expected code=N and class=N, separated by ; and in quotes, found \"503\"",
        ),
        (
            ["ping_socket", "udp:192.0.2.1:9"],
            "ping_socket: expected a local socket, found \"udp:192.0.2.1:9\"",
        ),
        (
            ["socket", "udp:192.0.2.1:9"],
            "not a local socket: \"udp:192.0.2.1:9\"",
        ),
        (["desc", "\"' "], "bad value for desc: \"\"' \""),
        (["a=b", "c"], expected),
        (["s:", "c"], expected),
    ] {
        let text = fault(modify(&server, &[&["1", "duid=gw1"], &words[..]].concat()));
        let whole = format!("Modifying dispatcher dst failed: set 1, duid=gw1: {reason}");
        assert_eq!(text, whole);
    }
    let text = fault(modify(
        &server,
        &["1", "duid=gw1", "ocmin", "60", "ocmax", "50"],
    ));
    assert!(text.ends_with("ocmin: 60 is above ocmax 50"), "{text}");
    let text = fault(modify(&server, &["1", "duid=gw1", "duid", "gw2"]));
    assert!(
        text.ends_with("the set has that destination already"),
        "{text}"
    );
    let text = fault(modify(&server, &["1", "duid=gw9", "weight", "5"]));
    assert!(text.ends_with("no such destination in the set"), "{text}");
    assert_eq!(server.dests(1), before);
    assert_eq!(
        body(&server, 1, 1),
        "duid=gw1;weight=50;rweight=50;desc=first"
    );
    // It has the effect that it says.
    server.allow_log("maxload: -1 is below 0, the destination gets no calls");
    modify(&server, &["1", "duid=gw1", "maxload", "s:-1"]).unwrap();
    assert_eq!(server.dest(1, 1)["ATTRS"]["MAXLOAD"], -1);
    // What the list has brought is no fault of the command.
    server.allow_log("weight: expected a number from 1 to 100, found 500, using 0");
    modify(&server, &["1", "duid=gw1", "attrs", "duid=gw1;weight=500"]).unwrap();
    modify(&server, &["1", "duid=gw1", "carrier", "c"]).unwrap();
    assert_eq!(body(&server, 1, 1), "duid=gw1;weight=500;carrier=c");
}

/// Two processes change two attributes of one destination at once: no change is lost.
#[test]
fn changes_of_two_processes_do_not_undo_each_other() {
    if this_server::lacks(&["jsonrpcs.so"]) {
        return;
    }
    let server = Kamailio::start(Module::Rust, config());
    std::thread::scope(|scope| {
        let by_ctl = scope.spawn(|| {
            for n in 1..=60 {
                modify(&server, &["1", "duid=gw1", "weight", &n.to_string()]).unwrap();
                assert_eq!(server.dest(1, 1)["ATTRS"]["WEIGHT"], n);
            }
        });
        for n in 1..=200 {
            let note = format!("n{n}");
            let params = json!([1, "duid=gw1", "note", note]);
            server.jsonrpc("dispatcher.modify", params).unwrap();
            let body = body(&server, 1, 1);
            let noted = body.as_str().unwrap().ends_with(&format!(";note={note}"));
            assert!(noted, "{body}");
        }
        by_ctl.join().unwrap();
    });
    let last = "duid=gw1;weight=60;rweight=50;desc=first;note=n200";
    assert_eq!(body(&server, 1, 1), last);
}

#[test]
fn a_description_is_shown_with_the_reasons_of_a_state() {
    let server = Kamailio::start(Module::Rust, config());
    modify(&server, &["1", "duid=gw2", "desc", "Frankfurt 1, rack 4"]).unwrap();
    let status = server.jsonrpc("dispatcher.ping_status", json!([])).unwrap();
    let found: BTreeMap<&str, Option<&Value>> = status["TARGETS"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dest| {
            (
                dest["DEST"]["URI"].as_str().unwrap(),
                dest["DEST"].get("DESC"),
            )
        })
        .collect();
    let expected = BTreeMap::from([
        ("sip:127.0.0.1:7001", Some(json!("first"))),
        ("sip:127.0.0.1:7002", Some(json!("Frankfurt 1, rack 4"))),
        ("sip:127.0.0.1:7003", None),
    ]);
    let expected: BTreeMap<_, _> = expected
        .iter()
        .map(|(uri, text)| (*uri, text.as_ref()))
        .collect();
    assert_eq!(found, expected);
    if this_server::lacks(&["jsonrpcs.so"]) {
        return;
    }
    let command = [
        "rpc",
        "dispatcher.modify",
        "1",
        "duid=gw2",
        "desc",
        "Berlin",
    ];
    let said = kamcli(&server, "sqlite://", &command);
    assert!(said.contains(MODIFIED), "{said}");
    let list = body(&server, 1, 0);
    assert_eq!(list, "duid=gw2;weight=50;rweight=50;carrier=a;desc=Berlin");
}

//! The RPC commands and their old names, through each transport that the server has.

use harness::transports::{by_fifo, by_http};
use harness::{Config, Fault, Kamailio, Module, Uac, this_server};
use serde_json::{Value, json};

const LIST: &str = "\
1 sip:127.0.0.1:7001
1 sip:127.0.0.1:7002;transport=tcp 8 5 duid=two;weight=60;socket=udp:127.0.0.1:{{PORT}}
2 sip:127.0.0.1:7003
";
const DONE: &str = "Ok. Dispatcher state updated.";
const RELOADED: &str = "Ok. Dispatcher successfully reloaded.";

/// All transports: kamcmd, datagram, fifo, HTTP.
fn config() -> Config {
    let routes = "request_route { sl_send_reply(\"200\", \"OK\"); }\n\
                  event_route[xhttp:request] { jsonrpc_dispatch(); }";
    Config::routes(routes)
        .param("compat", "5.6")
        .list(LIST)
        .all_transports()
}

fn start() -> Kamailio {
    Kamailio::start(Module::Rust, config())
}

/// Each way to ask that yields JSON.
type Way = fn(&Kamailio, &str, &Value) -> Result<Value, Fault>;
const WAYS: [(&str, Way); 3] = [
    ("datagram", |server, method, params| {
        server.jsonrpc(method, params.clone())
    }),
    ("fifo", by_fifo),
    ("http", by_http),
];

/// The transports that say what a fault was: jsonrpc-s of 4.x does not, and the harness asks ctl instead.
fn faulting_ways() -> &'static [(&'static str, Way)] {
    if this_server::has_module("jsonrpcs.so") {
        &WAYS
    } else {
        &WAYS[..1]
    }
}

/// Returns the expected reply of `dispatcher.list`, with this much of each destination.
fn expected(detail: &str, port: u16) -> Value {
    let mut one = json!({"URI": "sip:127.0.0.1:7001", "FLAGS": "AX", "PRIORITY": 0});
    let mut two = json!({"URI": "sip:127.0.0.1:7002;transport=tcp", "FLAGS": "AP", "PRIORITY": 5});
    let mut three = json!({"URI": "sip:127.0.0.1:7003", "FLAGS": "AX", "PRIORITY": 0});
    if detail == "full" {
        for (dest, port, proto) in [
            (&mut one, 7001, 0),
            (&mut two, 7002, 2),
            (&mut three, 7003, 0),
        ] {
            dest["HOST"] = json!("127.0.0.1");
            dest["IPADDR"] = json!("127.0.0.1");
            dest["PORT"] = json!(port);
            dest["PROTOID"] = json!(proto);
            dest["DNSTIME_SEC"] = json!(0);
            dest["DNSTIME_USEC"] = json!(0);
        }
    }
    if detail != "short" {
        let socket = format!("udp:127.0.0.1:{port}");
        let body = format!("duid=two;weight=60;socket={socket}");
        two["ATTRS"] = json!({
            "BODY": body, "DUID": "two", "MAXLOAD": 0, "WEIGHT": 60, "RWEIGHT": 0,
            "SOCKET": socket, "SOCKNAME": this_server::null(), "OBPROXY": this_server::null(),
        });
    }
    json!({"NRSETS": 2, "RECORDS": [
        {"SET": {"ID": 2, "TARGETS": [{"DEST": three}]}},
        {"SET": {"ID": 1, "TARGETS": [{"DEST": two}, {"DEST": one}]}},
    ]})
}

#[test]
fn the_list_is_the_same_through_every_transport_and_under_both_names() {
    let server = start();
    for name in ["dispatcher.list", "ds_list"] {
        for (way, ask) in WAYS {
            for detail in ["", "short", "full", "FULL", "other"] {
                let params = if detail.is_empty() {
                    json!([])
                } else {
                    json!([detail])
                };
                let found = ask(&server, name, &params).unwrap();
                let expected = expected(&detail.to_lowercase(), server.port());
                assert_eq!(found, expected, "{way}: {name} {detail}");
            }
        }
    }
}

#[test]
fn kamcmd_shows_the_list_as_nested_structs() {
    let server = start();
    let list = server.kamcmd(&["dispatcher.list", "full"]).unwrap();
    let lines: Vec<&str> = list.lines().map(str::trim).collect();
    for line in [
        "NRSETS: 2",
        "RECORDS: {",
        "SET: {",
        "ID: 1",
        "TARGETS: {",
        "DEST: {",
        "URI: sip:127.0.0.1:7002;transport=tcp",
        "FLAGS: AP",
        "PRIORITY: 5",
        "PROTOID: 2",
        "ATTRS: {",
        "DUID: two",
        &format!("SOCKNAME: {}", this_server::null_in_kamcmd()),
    ] {
        assert!(lines.contains(&line.trim()), "{line} in {list}");
    }
    assert_eq!(server.kamcmd(&["ds_list", "full"]).unwrap(), list);
}

#[test]
fn set_state_works_through_every_transport_and_under_both_names() {
    let server = start();
    let uri = "sip:127.0.0.1:7001";
    for name in ["dispatcher.set_state", "ds_set_state"] {
        for (way, ask) in WAYS {
            for (state, letters) in [("ip", "IP"), ("a", "AX")] {
                let said = ask(&server, name, &json!([state, 1, uri])).unwrap();
                assert_eq!(said, DONE, "{way}");
                assert_eq!(server.flags(1, uri), letters, "{way}: {name}");
            }
        }
        assert_eq!(server.kamcmd(&[name, "d", "1", uri]).unwrap(), DONE);
        assert_eq!(server.flags(1, uri), "DX");
    }
}

#[test]
fn reload_works_through_every_transport_and_under_both_names() {
    let server = start();
    let mut port = 8000;
    let mut fresh = || {
        port += 1;
        server.write_list(format!("1 sip:127.0.0.1:{port}\n"));
        format!("sip:127.0.0.1:{port}")
    };
    for name in ["dispatcher.reload", "ds_reload"] {
        for (way, ask) in WAYS {
            let uri = fresh();
            assert_eq!(ask(&server, name, &json!([])).unwrap(), RELOADED, "{way}");
            assert_eq!(server.dests(1)[0].0, uri, "{way}: {name}");
        }
        let uri = fresh();
        assert!(server.kamcmd(&[name]).unwrap().ends_with(RELOADED));
        assert_eq!(server.dests(1)[0].0, uri, "{name}");
    }
}

#[test]
fn every_fault_is_a_500_with_its_text() {
    let server = start();
    let uri = "sip:127.0.0.1:7001";
    let cases = [
        (json!([]), "Invalid Parameters"),
        (json!(["a"]), "Invalid Parameters"),
        (json!(["a", 1]), "Invalid Parameters"),
        (json!(["a", "one", uri]), "Invalid Parameters"),
        (json!(["", 1, uri]), "Invalid State Parameter"),
        (json!(["x", 1, uri]), "Unknown State Value"),
        (json!(["p", 1, uri]), "Unknown State Value"),
        (json!(["4", 1, uri]), "Unknown State Value"),
        (
            json!(["a", 9, uri]),
            "State Update Failed: set 9, sip:127.0.0.1:7001: no such set",
        ),
        (
            json!(["a", 9, "all"]),
            "State Update Failed: set 9, all: no such set",
        ),
        (
            json!(["a", 1, "sip:127.0.0.1:7009"]),
            "State Update Failed: set 1, sip:127.0.0.1:7009: no such destination in the set",
        ),
        (
            json!(["a", 1, "127.0.0.1:7002"]),
            "State Update Failed: set 1, 127.0.0.1:7002: no such destination in the set",
        ),
        (
            json!(["a", 2, "ALL"]),
            "State Update Failed: set 2, ALL: no such destination in the set",
        ),
    ];
    let before = server.dests(1);
    for (way, ask) in faulting_ways() {
        for (params, text) in &cases {
            let fault = ask(&server, "dispatcher.set_state", params).unwrap_err();
            let expected = Fault {
                code: 500,
                text: (*text).to_owned(),
            };
            assert_eq!(fault, expected, "{way}: {params}");
        }
    }
    for (args, text) in [
        (
            vec!["dispatcher.set_state", "x", "1", uri],
            "Unknown State Value",
        ),
        (
            vec!["dispatcher.set_state", "a", "one", uri],
            "Invalid Parameters",
        ),
        (vec!["dispatcher.set_state", "a", "1"], "Invalid Parameters"),
        (
            vec!["ds_set_state", "a", "9", "all"],
            "State Update Failed: set 9, all: no such set",
        ),
    ] {
        let fault = server.kamcmd(&args).unwrap_err();
        assert_eq!((fault.code, fault.text.as_str()), (500, text), "{args:?}");
    }
    assert_eq!(server.dests(1), before);
}

#[test]
fn faults_of_list_and_reload_come_through_every_transport() {
    let server = Kamailio::start(Module::Rust, config().list("# none\n"));
    for (way, ask) in faulting_ways() {
        let fault = ask(&server, "dispatcher.list", &json!([])).unwrap_err();
        assert_eq!(
            (fault.code, fault.text.as_str()),
            (500, "No Destination Sets"),
            "{way}"
        );
    }
    server.write_list("1 sip:127.0.0.1:7001\nx\n");
    server.expect_log("line 2, column 1: expected a set id");
    for (way, ask) in faulting_ways() {
        let fault = ask(&server, "ds_reload", &json!([])).unwrap_err();
        let place = "dispatcher.list: line 2, column 1: expected a set id";
        let named = fault.text.starts_with("Reload Failed: ") && fault.text.contains(place);
        assert!(fault.code == 500 && named, "{way}: {fault}");
    }
    let fault = server.kamcmd(&["ds_reload"]).unwrap_err();
    assert!(
        fault
            .text
            .ends_with("expected a set id (a number), found \"x\""),
        "{fault}"
    );
}

#[test]
fn set_state_letters_and_digits_any_case_and_a_p_behind() {
    let server = start();
    let uri = "sip:127.0.0.1:7003";
    let cases = [
        ("i", "IX"),
        ("ap", "AP"),
        ("0", "IX"),
        ("1P", "AP"),
        ("I", "IX"),
        ("A", "AX"),
        ("0p", "IP"),
        ("1", "AX"),
        ("t", "TX"),
        ("3p", "TP"),
        ("T", "TX"),
        ("3", "TX"),
        ("d", "DX"),
        ("2", "DX"),
        // What guides on the web write: only the first two characters count, and d has no p.
        ("ai", "AX"),
        ("dp", "DX"),
        ("active", "AX"),
        ("ipx", "IP"),
        ("dx", "DX"),
        ("a", "AX"),
    ];
    for (state, letters) in cases {
        let said = server
            .kamcmd(&["dispatcher.set_state", state, "2", uri])
            .unwrap();
        assert_eq!(said, DONE);
        assert_eq!(server.flags(2, uri), letters, "{state}");
    }
}

#[test]
fn set_state_finds_the_uri_in_any_case_and_with_all_its_parameters() {
    let server = start();
    let said = server.kamcmd(&[
        "dispatcher.set_state",
        "d",
        "1",
        "SIP:127.0.0.1:7002;Transport=TCP",
    ]);
    assert_eq!(said.unwrap(), DONE);
    assert_eq!(server.flags(1, "sip:127.0.0.1:7002;transport=tcp"), "DX");
}

#[test]
fn set_state_of_all_changes_the_set_and_no_other() {
    let server = start();
    server
        .kamcmd(&["dispatcher.set_state", "d", "1", "all"])
        .unwrap();
    let flags = |set| {
        server
            .dests(set)
            .into_iter()
            .map(|d| d.1)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (flags(1), flags(2)),
        (vec!["DX".to_owned(); 2], vec!["AX".to_owned()])
    );
}

#[test]
fn set_state_changes_every_destination_with_the_uri() {
    let list = "1 sip:127.0.0.1:7001\n\
                1 sip:127.0.0.1:7001 0 0 socket=udp:127.0.0.1:{{PORT}}\n\
                1 sip:127.0.0.1:7001 0 5\n1 sip:127.0.0.1:7002\n2 sip:127.0.0.1:7001\n";
    let server = Kamailio::start(Module::Rust, config().list(list));
    server
        .kamcmd(&["dispatcher.set_state", "ip", "1", "sip:127.0.0.1:7001"])
        .unwrap();
    let letters: Vec<String> = server.dests(1).into_iter().map(|d| d.1).collect();
    assert_eq!(letters, ["IP", "AX", "IP", "IP"], "the other URI stays");
    assert_eq!(server.flags(2, "sip:127.0.0.1:7001"), "AX");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    let letters: Vec<String> = server.dests(1).into_iter().map(|d| d.1).collect();
    assert_eq!(letters, ["IP", "AX", "IP", "IP"], "and after a reload");
}

#[test]
fn option_flags_of_the_list_survive_set_state() {
    let list = "1 sip:no.such.host.invalid 16\n1 sip:127.0.0.1\n";
    let server = Kamailio::start(Module::Rust, config().list(list).param("ds_load_mode", 1));
    server
        .kamcmd(&["dispatcher.set_state", "i", "1", "all"])
        .unwrap();
    server
        .kamcmd(&["dispatcher.set_state", "a", "1", "all"])
        .unwrap();
    // A destination without the flag would have to be resolved, which this host cannot be.
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(server.dests(1).len(), 2);
}

#[test]
fn a_large_list_is_listed_or_refused_with_a_fault_and_the_server_goes_on() {
    let lines = (0..6_000).map(|n| format!("1 sip:127.{}.{}.1:7001\n", n / 250, n % 250));
    let server = Kamailio::start(Module::Rust, config().list(lines.collect::<String>()));
    server.allow_log("ERROR: ctl ");
    server.allow_log("ERROR: jsonrpcs ");
    match server.kamcmd(&["dispatcher.list"]) {
        Ok(list) => assert_eq!(list.matches("URI: ").count(), 6_000),
        Err(fault) => assert!(fault.code == 500 && !fault.text.is_empty(), "{fault}"),
    }
    let list = by_http(&server, "dispatcher.list", &json!(["full"]));
    if let Ok(list) = list {
        let targets = list["RECORDS"][0]["SET"]["TARGETS"].as_array().unwrap();
        assert_eq!(targets.len(), 6_000);
    }
    let request = harness::Request::new("OPTIONS", "sip:x@service.test");
    assert_eq!(
        Uac::new().request(server.addr(), &request).status(),
        Some(200)
    );
}

//! `dispatcher.set_state` and `.set_duid_state` for a whole host, and for all sets.

use harness::transports::by_http;
use harness::{Config, Fault, Kamailio, Module, TempDir, kamcli, patience, this_server, wait_for};
use serde_json::{Value, json};

const LIST: &str = "\
1 sip:127.0.0.1:7001 0 0 duid=one
1 sip:127.0.0.2:7001 0 0 duid=two
2 sip:bob@127.0.0.1:7002;transport=tcp 0 0 duid=One
3 sips:127.0.0.1 0 0
3 sip:[::1]:7003
4 sip:Gw.test:7004 16
";

fn config() -> Config {
    let routes = "request_route { sl_send_reply(\"200\", \"OK\"); }\n\
                  event_route[xhttp:request] { jsonrpc_dispatch(); }";
    Config::routes(routes).list(LIST).ipv6().all_transports()
}

/// The letters of all destinations, in the order of the list.
fn letters(server: &Kamailio) -> [String; 6] {
    [
        (1, "sip:127.0.0.1:7001"),
        (1, "sip:127.0.0.2:7001"),
        (2, "sip:bob@127.0.0.1:7002;transport=tcp"),
        (3, "sips:127.0.0.1"),
        (3, "sip:[::1]:7003"),
        (4, "sip:Gw.test:7004"),
    ]
    .map(|(set, uri)| server.flags(set, uri))
}

fn counts(matched: u64, changed: u64) -> Value {
    json!({"MATCHED": matched, "CHANGED": changed})
}

fn set_state(server: &Kamailio, params: Value) -> Result<Value, Fault> {
    server.jsonrpc("dispatcher.set_state", params)
}

#[test]
fn a_host_is_drained_in_all_sets_whatever_port_transport_and_user() {
    let server = Kamailio::start(Module::Rust, config());
    let host = "host=127.0.0.1";
    set_state(&server, json!(["d", 2, "all"])).unwrap();
    let said = set_state(&server, json!(["drain", "all", host])).unwrap();
    assert_eq!(said, counts(3, 3));
    assert_eq!(letters(&server), ["RX", "AX", "RX", "RX", "AX", "AX"]);
    // Nothing changes, but all of it is there.
    let said = set_state(&server, json!(["drain", "all", host])).unwrap();
    assert_eq!(said, counts(3, 0));
    let said = set_state(&server, json!(["a", 1, host])).unwrap();
    assert_eq!(said, counts(1, 1));
    assert_eq!(letters(&server), ["AX", "AX", "RX", "RX", "AX", "AX"]);
    for (host, at) in [("host=0:0::1", 4), ("host=[::1]", 4), ("host=GW.TEST", 5)] {
        for (state, shown) in [("i", "IX"), ("a", "AX")] {
            let said = set_state(&server, json!([state, "all", host])).unwrap();
            assert_eq!(said, counts(1, 1), "{host}");
            assert_eq!(letters(&server)[at], shown, "{host}");
        }
    }
}

#[test]
fn all_sets_take_a_uri_a_duid_or_all() {
    let server = Kamailio::start(Module::Rust, config());
    let said = set_state(&server, json!(["ip", "all", "127.0.0.2:7001"])).unwrap();
    assert_eq!(said, counts(1, 1));
    let said = server.jsonrpc("dispatcher.set_duid_state", json!(["d", "all", "ONE"]));
    assert_eq!(said.unwrap(), counts(2, 2));
    assert_eq!(letters(&server), ["DX", "IP", "DX", "AX", "AX", "AX"]);
    let said = set_state(&server, json!(["a", "all", "all"])).unwrap();
    assert_eq!(said, counts(6, 3));
    assert_eq!(letters(&server), ["AX"; 6]);
    let said = server.jsonrpc("dispatcher.set_duid_state", json!(["t", "all", "all"]));
    assert_eq!(said.unwrap(), counts(6, 6));
    assert_eq!(letters(&server), ["TX"; 6]);
}

#[test]
fn what_meets_no_destination_is_a_fault_and_changes_nothing() {
    let server = Kamailio::start(Module::Rust, config());
    let cases = [
        (
            json!(["d", "all", "host=127.0.0.3"]),
            "State Update Failed: all sets, host=127.0.0.3: no such destination",
        ),
        (
            json!(["d", 4, "host=127.0.0.1"]),
            "State Update Failed: set 4, host=127.0.0.1: no such destination in the set",
        ),
        (
            json!(["d", 9, "host=127.0.0.1"]),
            "State Update Failed: set 9, host=127.0.0.1: no such set",
        ),
        (
            json!(["d", "all", "sip:127.0.0.1"]),
            "State Update Failed: all sets, sip:127.0.0.1: no such destination",
        ),
        (
            json!(["d", "all", "host="]),
            "Invalid Parameters: expected a host behind host=",
        ),
        (json!(["d", "ALL", "all"]), "Invalid Parameters"),
        (json!(["x", "all", "all"]), "Unknown State Value"),
    ];
    for (params, text) in cases {
        let fault = set_state(&server, params.clone()).unwrap_err();
        assert_eq!((fault.code, fault.text.as_str()), (500, text), "{params}");
    }
    let fault = server.jsonrpc("dispatcher.set_duid_state", json!(["d", "all", "host=::1"]));
    let text = "State Update Failed: all sets, host=::1: no such destination";
    assert_eq!(fault.unwrap_err().text, text);
    assert_eq!(letters(&server), ["AX"; 6]);
    let empty = Kamailio::start(Module::Rust, config().list("# none\n"));
    let fault = set_state(&empty, json!(["d", "all", "all"])).unwrap_err();
    let text = "State Update Failed: all sets, all: no such destination";
    assert_eq!(fault.text, text);
}

#[test]
fn counts_come_through_every_transport() {
    let server = Kamailio::start(Module::Rust, config());
    let command = ["dispatcher.set_state", "drain", "all", "host=127.0.0.1"];
    let said = server.kamcmd(&command).unwrap();
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert_eq!(lines, ["{", "MATCHED: 3", "CHANGED: 3", "}"]);
    let params = json!(["a", "all", "host=127.0.0.1"]);
    let said = by_http(&server, "ds_set_state", &params).unwrap();
    assert_eq!(said, counts(3, 3));
    if this_server::lacks(&["jsonrpcs.so"]) {
        return;
    }
    let said = kamcli(&server, "sqlite://", &[&["rpc"][..], &command[..]].concat());
    let said: Value = serde_json::from_str(&said).expect(&said);
    assert_eq!(said["result"], counts(3, 3));
    assert_eq!(letters(&server), ["RX", "AX", "RX", "RX", "AX", "AX"]);
}

/// The events of one command are those of its destinations, and the file has all of them.
#[test]
fn events_and_the_state_file_see_every_destination_of_a_host() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    let routes = "request_route { exit; }\n\
        event_route[dispatcher:dst-down] { xlog(\"L_WARN\", \"down: $dsv(setid) $dsv(uri) $dsv(cause)\\n\"); }";
    let config = Config::routes(routes)
        .list(LIST)
        .ipv6()
        .param("event_callback_mode", 65536)
        .param("state_file", file.to_str().unwrap())
        .expect_log("down: 1 sip:127.0.0.1:7001 rpc")
        .expect_log("down: 2 sip:bob@127.0.0.1:7002;transport=tcp rpc")
        .expect_log("down: 3 sips:127.0.0.1 rpc");
    let server = Kamailio::start(Module::Rust, config);
    set_state(&server, json!(["d", "all", "host=127.0.0.1"])).unwrap();
    let lines = [
        "1 0 4 sip:127.0.0.1:7001",
        "2 0 4 sip:bob@127.0.0.1:7002;transport=tcp",
        "3 0 4 sips:127.0.0.1",
    ];
    wait_for("the states in the file", patience(5), || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let found: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        (found == lines).then_some(())
    });
    for place in ["1 sip:127.0.0.1:7001", "2 sip:bob@", "3 sips:127.0.0.1"] {
        server.wait_log(&format!("down: {place}"));
    }
    assert_eq!(server.log().matches("down: ").count(), 3);
    server.stop();
}

#[test]
fn an_answer_with_counts_says_when_states_are_not_kept() {
    let dir = TempDir::new();
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let config = config()
        .param("state_file", folder.join("states").to_str().unwrap())
        .expect_log("states of destinations are not kept, trying again:");
    let server = Kamailio::start(Module::Rust, config);
    let params = json!(["d", "all", "host=127.0.0.1"]);
    assert_eq!(set_state(&server, params.clone()).unwrap(), counts(3, 3));
    std::fs::rename(&folder, dir.path().join("away")).unwrap();
    set_state(&server, json!(["a", "all", "all"])).unwrap();
    server.wait_log("trying again");
    let mut said = counts(3, 3);
    said["REMARK"] = json!("It will not survive a restart: see the log.");
    assert_eq!(set_state(&server, params).unwrap(), said);
    std::fs::rename(dir.path().join("away"), &folder).unwrap();
    server.wait_log("are kept again");
    let params = json!(["a", "all", "all"]);
    assert_eq!(set_state(&server, params).unwrap(), counts(6, 3));
}

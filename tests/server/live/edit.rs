//! add, remove, modify, set_duid_state: what they answer, and that they change that one thing.

use harness::live::{MODIFIED, fault, run, two_sets};
use harness::{Config, Kamailio, Module, Probe, Uac};
use serde_json::json;

const ADDED: &str = "Ok. Dispatcher destination added.";
const REMOVED: &str = "Ok. Dispatcher destination removed.";
const STATE: &str = "Ok. Dispatcher state updated.";

fn config() -> Config {
    two_sets().param("ds_probing_threshold", 3)
}

fn start() -> Kamailio {
    Kamailio::start(Module::Rust, config())
}

/// Returns the destination that algorithm 8 chooses.
fn primary(server: &Kamailio) -> String {
    let line = Probe::run(&Uac::new(), server.addr(), "dst,1,8").remove(0);
    let chosen = line.split_once("du=").unwrap().1;
    chosen.split(' ').next().unwrap().to_owned()
}

/// W3: the C module answers Ok to rubbish, to an unresolvable host and to a second of the same.
/// C7: before 5.6.2 it died of a remove of an unresolvable host.
#[test]
fn every_add_that_adds_nothing_is_a_fault() {
    let server = start();
    let failed = |command: &str, why: &str| {
        let text = fault(run(&server, command));
        assert!(
            text.starts_with("Adding dispatcher dst failed") && text.contains(why),
            "{command}: {text}"
        );
    };
    let garbage = server.kamcmd(&["dispatcher.add", "1", "garbage uri"]);
    assert_eq!(
        fault(garbage),
        "Adding dispatcher dst failed: set 1, garbage uri: expected a SIP URI, found white space or a NUL byte in it"
    );
    failed("dispatcher.add 1 garbage:uri", "not a SIP URI");
    failed("dispatcher.add 1 x", "not a SIP URI");
    failed("dispatcher.add 1 sip:host.invalid", "cannot resolve host");
    failed("dispatcher.add 1 sip:127.0.0.1.test", "cannot resolve host");
    failed("dispatcher.add 1 sip:127.0.0.1:7001", "already");
    failed("dispatcher.add 1 127.0.0.1:7001", "already");
    failed("dispatcher.add 2 sip:127.0.0.1:9 0 0 duid=a", "already");
    failed(
        "dispatcher.add 1 sip:127.0.0.1:9 0 0 socket=udp:127.0.0.9:9",
        "not a local socket",
    );
    failed("dispatcher.add 1 sip:127.0.0.1:9 0 0 ;;", "bad attributes");
    for command in [
        "dispatcher.add",
        "dispatcher.add 1",
        "dispatcher.add x sip:127.0.0.1:9",
        "dispatcher.add 1 sip:127.0.0.1:9 zz",
        "dispatcher.add 1 sip:127.0.0.1:9 0 zz",
    ] {
        assert_eq!(fault(run(&server, command)), "Invalid Parameters");
    }
    assert_eq!(server.ports(1), ["7003", "7002", "7001"]);
    assert_eq!(server.ports(2).len(), 2);
    let text = fault(run(&server, "dispatcher.remove 1 sip:127.0.0.1.test"));
    assert!(text.contains("no such destination"), "{text}");
}

/// Commands that match nothing, or say it wrong, and what their faults have.
const NO_MATCH: &[(&str, &str)] = &[
    ("dispatcher.remove 1 sip:nosuch", "no such destination"),
    ("dispatcher.remove 9 sip:127.0.0.1:7001", "no such set"),
    ("dispatcher.remove 1 sip:127.0.0.1", "no such destination"),
    ("dispatcher.remove 1", "Invalid Parameters"),
    ("dispatcher.remove x sip:x", "Invalid Parameters"),
    ("dispatcher.set_state i 99 all", "State Update Failed"),
    ("dispatcher.set_state i 1 sip:nosuch", "State Update Failed"),
    (
        "dispatcher.set_duid_state d 2 nosuch",
        "State Update Failed",
    ),
    ("dispatcher.set_duid_state d 9 a", "State Update Failed"),
    ("dispatcher.set_duid_state d 1 a", "State Update Failed"),
    ("dispatcher.set_duid_state q 2 a", "Unknown State Value"),
    ("dispatcher.set_duid_state d 2", "Invalid Parameters"),
    ("dispatcher.set_duid_state d x a", "Invalid Parameters"),
    (
        "dispatcher.modify 1 sip:nosuch priority 1",
        "no such destination",
    ),
    (
        "dispatcher.modify 9 sip:127.0.0.1:7001 priority 1",
        "no such set",
    ),
    (
        "dispatcher.modify 2 duid=x priority 1",
        "no such destination",
    ),
    (
        "dispatcher.modify 2 sip:127.0.0.1:7100 priority 1",
        "2 destinations",
    ),
    (
        "dispatcher.modify 1 sip:127.0.0.1:7001",
        "expected flags, priority, attrs or the name of an attribute, each with a value",
    ),
    (
        "dispatcher.modify 1 sip:127.0.0.1:7001 co=lor red",
        "expected flags",
    ),
    (
        "dispatcher.modify 1 sip:127.0.0.1:7001 flags",
        "expected flags",
    ),
    (
        "dispatcher.modify 1 sip:127.0.0.1:7001 flags x",
        "bad value for flags",
    ),
    (
        "dispatcher.modify 1 sip:127.0.0.1:7001 priority x",
        "bad value for priority",
    ),
    (
        "dispatcher.modify 1 sip:127.0.0.1:7001 attrs ;;",
        "bad attributes",
    ),
    ("dispatcher.modify 1", "Invalid Parameters"),
];

/// W4: the C module says Ok to all of these but the state letters.
#[test]
fn what_matches_nothing_is_a_fault() {
    let server = start();
    for (command, expected) in NO_MATCH {
        let text = fault(run(&server, command));
        assert!(text.contains(expected), "{command}: {text}");
    }
    assert!(server.dests(1).iter().all(|(_, flags)| flags == "AX"));
    assert_eq!(server.ports(1), ["7003", "7002", "7001"]);
}

/// W2: in the C module every add and every remove, even of nothing, turns the order of equal
/// priorities round, so that algorithm 8 changes its primary.
#[test]
fn order_and_primary_stay_over_add_and_remove() {
    let server = start();
    let first = primary(&server);
    assert_eq!(first, "sip:127.0.0.1:7003");
    for n in 0..6 {
        let uri = format!("sip:127.0.0.1:{}", 7900 + n);
        let low = ["dispatcher.add", "1", &uri, "0", "0"];
        let added = if n % 2 == 0 {
            assert_eq!(server.kamcmd(&low).unwrap(), ADDED);
            // As with a reload, the last line of a priority goes first.
            vec![uri.rsplit(':').next().unwrap().to_owned()]
        } else {
            fault(run(&server, "dispatcher.remove 1 sip:nosuch"));
            Vec::new()
        };
        let expected: Vec<String> = added
            .into_iter()
            .chain(["7003", "7002", "7001"].map(str::to_owned))
            .collect();
        assert_eq!(server.ports(1), expected, "{n}");
        if n % 2 == 0 {
            assert_eq!(
                server.kamcmd(&["dispatcher.remove", "1", &uri]).unwrap(),
                REMOVED
            );
        }
        assert_eq!(server.ports(1), ["7003", "7002", "7001"], "{n}");
        assert_eq!(primary(&server), first, "{n}");
    }
    // One from the middle goes and comes back at its place by priority.
    run(&server, "dispatcher.remove 1 sip:127.0.0.1:7002").unwrap();
    assert_eq!(server.ports(1), ["7003", "7001"]);
    run(&server, "dispatcher.add 1 sip:127.0.0.1:7002 0 0").unwrap();
    assert_eq!(server.ports(1), ["7002", "7003", "7001"]);
}

#[test]
fn a_destination_comes_to_its_place_by_priority() {
    let server = start();
    for (port, priority) in [(8001, 5), (8002, 9), (8003, 5), (8004, -1)] {
        // kamcmd takes what begins with a minus for an option of its own.
        let command = json!([1, format!("sip:127.0.0.1:{port}"), 0, priority.to_string()]);
        server.jsonrpc("dispatcher.add", command).unwrap();
    }
    assert_eq!(
        server.ports(1),
        ["8002", "8003", "8001", "7003", "7002", "7001", "8004"]
    );
    let said = run(&server, "dispatcher.modify 1 sip:127.0.0.1:7001 priority 7").unwrap();
    assert_eq!(said, MODIFIED);
    assert_eq!(
        server.ports(1),
        ["8002", "7001", "8003", "8001", "7003", "7002", "8004"]
    );
}

#[test]
fn a_new_set_appears_and_an_emptied_one_disappears() {
    let server = start();
    server.expect_log("destination set [5] not found");
    let uac = Uac::new();
    let exists = |set: i64| Probe::run(&uac, server.addr(), &format!("exists,{set}|dst,{set},4"));
    assert!(exists(5)[0].contains("rc=-1"));
    run(&server, "dispatcher.add 5 sip:127.0.0.1:8001").unwrap();
    let lines = exists(5);
    assert!(
        lines[0].contains("rc=1") && lines[1].contains("du=sip:127.0.0.1:8001"),
        "{lines:?}"
    );
    run(&server, "dispatcher.remove 5 sip:127.0.0.1:8001").unwrap();
    let lines = exists(5);
    assert!(
        lines[0].contains("rc=-1") && lines[1].contains("rc=-1"),
        "{lines:?}"
    );
    assert_eq!(
        fault(run(&server, "dispatcher.list short 5")),
        "No Such Destination Set"
    );
    let text = fault(run(&server, "dispatcher.remove 5 sip:127.0.0.1:8001"));
    assert!(text.contains("no such set"), "{text}");
    // The last destination of all may go as well, and others come.
    for port in [7001, 7002, 7003] {
        run(
            &server,
            &format!("dispatcher.remove 1 sip:127.0.0.1:{port}"),
        )
        .unwrap();
    }
    run(&server, "dispatcher.remove 2 sip:127.0.0.1:7100").unwrap();
    assert_eq!(
        fault(run(&server, "dispatcher.list")),
        "No Destination Sets"
    );
    run(&server, "dispatcher.add 1 sip:127.0.0.1:7001").unwrap();
    assert_eq!(primary(&server), "sip:127.0.0.1:7001");
}

/// C8: in 5.5 a destination that was added without attributes got garbage for them.
#[test]
fn flags_priority_and_attrs_may_be_left_out() {
    let server = start();
    let add = |words: &str| run(&server, &format!("dispatcher.add 3 {words}")).unwrap();
    add("sip:127.0.0.1:8001");
    add("sip:127.0.0.1:8002 8");
    add("sip:127.0.0.1:8003 8 5");
    // A number that begins with 0x would reach the server as 0: kamcmd reads it as decimal.
    add("sip:127.0.0.1:8004 s:0x8 4");
    for (at, (port, flags, priority)) in [
        (8003, "AP", 5),
        (8004, "AP", 4),
        (8002, "AP", 0),
        (8001, "AX", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let dest = server.dest(3, at);
        assert_eq!(dest["URI"], format!("sip:127.0.0.1:{port}"));
        assert_eq!(
            (&dest["FLAGS"], &dest["PRIORITY"]),
            (&json!(flags), &json!(priority))
        );
        assert!(dest.get("ATTRS").is_none(), "{dest}");
    }
    let attrs = "weight=5;duid=g1;note='a,b';maxload=7";
    let words = ["dispatcher.add", "3", "sip:127.0.0.1:8005", "0", "9", attrs];
    assert_eq!(server.kamcmd(&words).unwrap(), ADDED);
    let dest = server.dest(3, 0);
    assert_eq!(dest["ATTRS"]["BODY"], attrs);
    assert_eq!(dest["ATTRS"]["DUID"], "g1");
    assert_eq!(
        (&dest["ATTRS"]["WEIGHT"], &dest["ATTRS"]["MAXLOAD"]),
        (&json!(5), &json!(7))
    );
}

/// W14: the C module takes both for one, so that only the first ever changes its state.
#[test]
fn the_same_uri_with_two_sockets_has_two_states() {
    let server = start();
    let flags = || {
        server
            .dests(2)
            .into_iter()
            .map(|(_, flags)| flags)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        run(&server, "dispatcher.set_duid_state d 2 B").unwrap(),
        STATE
    );
    assert_eq!(flags(), ["DX", "AX"], "b is listed first");
    run(&server, "dispatcher.reload").unwrap();
    assert_eq!(flags(), ["DX", "AX"]);
    run(&server, "dispatcher.set_duid_state ip 2 a").unwrap();
    run(&server, "dispatcher.add 2 sip:127.0.0.1:7101").unwrap();
    assert_eq!(flags(), ["AX", "DX", "IP"]);
    run(&server, "dispatcher.set_state a 2 sip:127.0.0.1:7100").unwrap();
    assert_eq!(flags(), ["AX", "AX", "AX"], "by URI both change");
    // Without duids the socket alone tells them apart.
    let add = |socket: &str| {
        let attrs = format!("socket=udp:{socket}:{}", server.port());
        server.kamcmd(&[
            "dispatcher.add",
            "4",
            "sip:127.0.0.1:7200",
            "0",
            "0",
            &attrs,
        ])
    };
    add("127.0.0.1").unwrap();
    add("127.0.0.2").unwrap();
    assert!(fault(add("127.0.0.2")).contains("already"));
    assert_eq!(server.dests(4).len(), 2);
    run(&server, "dispatcher.remove 4 sip:127.0.0.1:7200").unwrap();
    assert!(server.dests(4).is_empty(), "a remove by URI takes both");
}

/// 2a1a65dba7 and ours: in the C module an add sets back everything of all other destinations.
#[test]
fn states_failures_and_cursors_of_others_are_untouched() {
    let server = start();
    let uac = Uac::new();
    let probe = |operations: &str| Probe::run(&uac, server.addr(), operations);
    run(&server, "dispatcher.set_state d 1 sip:127.0.0.1:7002").unwrap();
    // Two failures of three for the first.
    probe("dst,1,8|mark_t|mark_t");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7003"), "TX");
    // Round-robin stands behind 7003.
    let next = || {
        probe("dst,1,4")[0]
            .split_once("du=sip:127.0.0.1:")
            .unwrap()
            .1[..4]
            .to_owned()
    };
    assert_eq!([next(), next(), next()], ["7003", "7001", "7003"]);
    run(&server, "dispatcher.add 1 sip:127.0.0.1:7000 8 -").unwrap_err();
    run(
        &server,
        "dispatcher.modify 1 sip:127.0.0.1:7001 attrs weight=10",
    )
    .unwrap();
    let low = json!([1, "sip:127.0.0.1:7000", "4", "-5"]);
    server.jsonrpc("dispatcher.add", low).unwrap();
    assert_eq!([next(), next(), next()], ["7001", "7003", "7001"]);
    server
        .jsonrpc("dispatcher.remove", json!([1, "sip:127.0.0.1:7000"]))
        .unwrap();
    assert_eq!([next(), next()], ["7003", "7001"]);
    assert_eq!(server.flags(1, "sip:127.0.0.1:7002"), "DX");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7003"), "TX");
    probe("dst,1,8|mark_t");
    assert_eq!(
        server.flags(1, "sip:127.0.0.1:7003"),
        "IX",
        "the third failure"
    );
    assert_eq!(server.ports(1), ["7003", "7002", "7001"]);
}

/// C24: up to 6.1 a host of 256 characters and more overran a buffer when it was resolved later.
#[test]
fn hosts_of_300_characters_are_refused_everywhere() {
    let long = format!("sip:{}.test:5060", "h".repeat(300));
    let probe = Probe::new().op(
        "long",
        &format!("ds_is_from_list(\"-1\", \"3\", \"{long}\");"),
    );
    let config = probe
        .config()
        .list(format!("1 sip:127.0.0.1:7001\n1 {long}\n2 {long} 16\n"));
    let config = config
        .expect_log("cannot resolve host")
        .allow_log("ERROR: ");
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(server.dests(1).len(), 1);
    assert_eq!(
        server.dests(2),
        [(long.clone(), "AX".to_owned())],
        "never resolved"
    );
    fault(server.kamcmd(&["dispatcher.add", "1", &long]));
    let fine = server.kamcmd(&["dispatcher.add", "3", &long, "16"]);
    assert_eq!(fine.unwrap(), ADDED);
    let lines = Probe::run(&Uac::new(), server.addr(), "long|from|dst,2,4|dst,3,8");
    assert!(
        lines[0].contains("rc=-1") && lines[1].contains("rc=-1"),
        "{lines:?}"
    );
    assert!(
        lines[2].contains(&long) && lines[3].contains(&long),
        "{lines:?}"
    );
    assert_eq!(
        server.kamcmd(&["dispatcher.remove", "3", &long]).unwrap(),
        REMOVED
    );
}

/// W5: in the C module an add resolves all others anew and drops those that fail, even one that
/// flag 16 protects once its state was set.
#[test]
fn an_unresolvable_destination_with_flag_16_survives() {
    let list = "1 sip:nosuch.invalid 16\n1 sip:127.0.0.1:7001\n";
    let server = Kamailio::start(Module::Rust, config().list(list));
    let both = |added: &[&str]| {
        let uris: Vec<String> = server.dests(1).into_iter().map(|(uri, _)| uri).collect();
        let expected = [added, &["sip:127.0.0.1:7001", "sip:nosuch.invalid"]].concat();
        assert_eq!(uris, expected);
    };
    both(&[]);
    run(&server, "dispatcher.set_state ip 1 sip:nosuch.invalid").unwrap();
    run(&server, "dispatcher.set_state a 1 sip:nosuch.invalid").unwrap();
    run(&server, "dispatcher.add 1 sip:127.0.0.1:7002").unwrap();
    both(&["sip:127.0.0.1:7002"]);
    run(&server, "dispatcher.remove 1 sip:127.0.0.1:7002").unwrap();
    both(&[]);
    run(&server, "dispatcher.reload").unwrap();
    both(&[]);
    run(&server, "dispatcher.modify 1 sip:nosuch.invalid priority 0").unwrap();
    both(&[]);
}

/// As a table may have them; a list file has no room for blanks.
#[test]
fn attributes_may_have_blanks() {
    let server = start();
    let uri = "sip:127.0.0.1:7001";
    for (written, kept) in [
        ("note='a b'", "note='a b'"),
        ("weight=5; duid=g1", "weight=5; duid=g1"),
        (" weight=5\t", "weight=5"),
    ] {
        let modify = ["dispatcher.modify", "1", uri, "attrs", written];
        server.kamcmd(&modify).unwrap();
        assert_eq!(server.dest(1, 2)["ATTRS"]["BODY"], kept);
        let add = ["dispatcher.add", "7", "sip:127.0.0.1:9", "0", "0", written];
        server.kamcmd(&add).unwrap();
        assert_eq!(server.dest(7, 0)["ATTRS"]["BODY"], kept);
        server
            .kamcmd(&["dispatcher.remove", "7", "sip:127.0.0.1:9"])
            .unwrap();
    }
    let words = ["dispatcher.modify", "1", uri, "attrs", "a=b c"];
    let text = fault(server.kamcmd(&words));
    assert!(text.contains("expected ;, found \"c\""), "{text}");
}

/// ctl cuts a fault at 250 characters, jsonrpcs at 127: the reason must be among the first.
#[test]
fn a_fault_names_its_reason_even_for_a_long_uri() {
    let server = start();
    let uri = format!("sip:{}.invalid", "h".repeat(300));
    let text = fault(server.kamcmd(&["dispatcher.add", "1", &uri]));
    assert!(text.contains("cannot resolve host"), "{text}");
    let text = fault(server.kamcmd(&["dispatcher.remove", "1", &uri]));
    assert!(text.contains("no such destination"), "{text}");
    let json = server.jsonrpc("dispatcher.remove", json!([1, uri]));
    let text = json.unwrap_err().text;
    assert!(text.starts_with("Removing dispatcher dst failed"), "{text}");
}

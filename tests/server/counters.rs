//! Counters: the group `dispatcher` in the server's own framework, and those of each set and each destination.

use std::collections::BTreeMap;

use harness::{
    Answer, Config, Kamailio, Module, Probe, Request, Uac, Uas, patience, refuses, wait_for,
};
use serde_json::{Value, json};

fn config(counters: i64, list: &str) -> Config {
    let probe = Probe::new()
        .op("routes", "ds_select_routes(\"1=4;2=4\", \"0\");")
        .op("reload", "ds_reload();");
    let config = probe.config().load("counters.so").list(list);
    config.param("flags", 2).param("counters", counters)
}

fn start(config: Config) -> Kamailio {
    Kamailio::start(Module::Rust, config)
}

/// The group, as `stats.fetch` shows it.
fn group(server: &Kamailio) -> BTreeMap<String, i64> {
    let reply = server.jsonrpc("stats.fetch", json!(["dispatcher:"]));
    let reply = reply.expect("the group");
    let number = |value: &Value| {
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| value.to_string()).parse().unwrap()
    };
    let all = reply.as_object().expect("a struct").iter();
    all.map(|(name, value)| {
        (
            name.trim_start_matches("dispatcher.").to_owned(),
            number(value),
        )
    })
    .collect()
}

/// What `stats.fetch` shows of what is counted, without zeroes.
fn counted(server: &Kamailio) -> BTreeMap<String, i64> {
    let shown = ["sets", "calls"];
    let is_counted =
        |name: &String| !shown.contains(&name.as_str()) && !name.starts_with("destinations");
    let group = group(server).into_iter();
    group
        .filter(|(name, value)| is_counted(name) && *value != 0)
        .collect()
}

fn named<const N: usize>(pairs: [(&str, i64); N]) -> BTreeMap<String, i64> {
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

fn status(server: &Kamailio) -> Value {
    server
        .jsonrpc("dispatcher.ping_status", json!([]))
        .expect("a reply")
}

/// Members of each destination in the order of the sets, as text.
fn of_dests(server: &Kamailio, names: &[&str]) -> Vec<String> {
    let status = status(server);
    let targets = status["TARGETS"].as_array().expect("an array");
    let of_dest = |target: &Value| {
        let members = names.iter().map(|name| target["DEST"][*name].to_string());
        members.collect::<Vec<_>>().join(" ")
    };
    let mut targets: Vec<&Value> = targets.iter().collect();
    targets.sort_by_key(|target| target["DEST"]["SET"].as_i64());
    targets.into_iter().map(of_dest).collect()
}

/// Selections, failed ones and failovers of each set.
fn of_sets(server: &Kamailio) -> Vec<String> {
    let status = status(server);
    let sets = status["SETS"].as_array().expect("an array");
    let names = ["ID", "SELECTIONS", "SELECTIONS_FAILED", "FAILOVERS"];
    let of_set = |set: &Value| names.map(|name| set["SET"][name].to_string()).join(" ");
    // The order is that of listing.
    let mut all: Vec<String> = sets.iter().map(of_set).collect();
    all.sort();
    all
}

fn run(server: &Kamailio, operations: &str) {
    let lines = Probe::run(&Uac::new(), server.addr(), operations);
    assert!(lines[0].starts_with("= "), "{lines:?}");
}

const TWO_SETS: &str = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002 0 5\n2 sip:127.0.0.1:7003\n";

#[test]
fn selections_count_where_the_request_goes() {
    let server = start(config(2, TWO_SETS).expect_log("set [3] not found"));
    for _ in 0..3 {
        run(&server, "dst,1,8");
    }
    run(&server, "sel,2,4");
    run(&server, "dst,1,12");
    run(&server, "dst,3,4");
    run(&server, "routes");
    let selections = || of_dests(&server, &["SELECTIONS"]);
    // Set 1 has 7002 first; algorithm 12 sends to both, and the routes to the next of set 1.
    let places: i64 = selections().iter().map(|n| n.parse::<i64>().unwrap()).sum();
    assert_eq!(places, 3 + 1 + 2 + 1, "{:?}", selections());
    assert_eq!(
        selections()[2],
        "1",
        "the second set of the routes gets nothing"
    );
    assert_eq!(of_sets(&server), ["1 6 0 0", "2 1 0 0"]);
    assert_eq!(
        counted(&server),
        named([("selections", 7), ("selections_failed", 1)])
    );
    for port in [7001, 7002] {
        let uri = format!("sip:127.0.0.1:{port}");
        server
            .jsonrpc("dispatcher.set_state", json!(["d", 1, uri]))
            .unwrap();
    }
    run(&server, "dst,1,0");
    run(&server, "routes");
    assert_eq!(
        of_sets(&server),
        ["1 6 2 0", "2 2 0 0"],
        "a set is passed over"
    );
    let expected = [
        ("selections", 8),
        ("selections_failed", 3),
        ("state_changes", 2),
    ];
    assert_eq!(counted(&server), named(expected));
}

#[test]
fn a_failover_counts_for_who_is_left_and_for_who_comes_next() {
    let list = |busy: &Uas, live: &Uas| format!("1 {} 0 5\n1 {} 0 1\n", busy.uri(), live.uri());
    for mode in [0, 65_536] {
        let busy = Uas::start(Answer::Code(503));
        let live = Uas::start(Answer::Code(200));
        let config = config(2, &list(&busy, &live)).param("xavp_dst_mode", mode);
        let server = start(config);
        let never = of_dests(&server, &["LAST_FAILOVER_CODE", "LAST_MARK_AGO_MS"]);
        assert_eq!(never, ["null null"; 2]);
        for fail in ["nextdst|again|.", "mark_tp|nextdst|again|."] {
            let invite = Request::new("INVITE", "sip:bob@service.test")
                .header("X-Do", "dst,1,8|relay|.")
                .header("X-Fail", fail);
            let call = Uac::new();
            let call = call
                .call(server.addr(), invite)
                .expect("the call is answered");
            assert_eq!(call.answered_by(), format!("127.0.0.1:{}", live.port()));
        }
        let names = [
            "SELECTIONS",
            "FAILOVERS",
            "LAST_FAILOVER_CODE",
            "LAST_MARK_CODE",
        ];
        assert_eq!(
            of_dests(&server, &names),
            ["2 2 503 503", "2 0 null null"],
            "{mode}"
        );
        assert_eq!(of_sets(&server), ["1 4 0 2"], "{mode}");
        let ago = of_dests(&server, &["LAST_FAILOVER_AGO_MS"]);
        let ago: u128 = ago[0].parse().expect("a time");
        assert!(ago < patience(20).as_millis(), "{ago} ms");
        let expected = [
            ("failovers", 2),
            ("marks", 1),
            ("selections", 4),
            ("state_changes", 1),
        ];
        assert_eq!(counted(&server), named(expected), "{mode}");
    }
}

#[test]
fn the_group_is_in_the_servers_framework() {
    let server = start(config(1, TWO_SETS));
    let shown = || {
        let all = group(&server);
        [
            "sets",
            "destinations",
            "destinations_up",
            "destinations_draining",
            "destinations_disabled",
        ]
        .map(|name| all[name])
    };
    assert_eq!(shown(), [2, 3, 3, 0, 0]);
    let set_state = |state, port| {
        let uri = format!("sip:127.0.0.1:{port}");
        server
            .jsonrpc("dispatcher.set_state", json!([state, 1, uri]))
            .unwrap();
    };
    set_state("drain", 7001);
    set_state("d", 7002);
    assert_eq!(shown(), [2, 3, 1, 1, 1]);
    let add = |port| {
        let uri = format!("sip:127.0.0.1:{port}");
        server.jsonrpc("dispatcher.add", json!([1, uri]))
    };
    add(7004).unwrap();
    assert!(add(7004).is_err());
    assert_eq!(shown(), [2, 4, 2, 1, 1]);
    // The script's loads count as those of commands do.
    server.jsonrpc("dispatcher.reload", json!([])).unwrap();
    run(&server, "reload");
    server.write_list("this is no list\n");
    assert!(server.jsonrpc("dispatcher.reload", json!([])).is_err());
    run(&server, "reload");
    server.ignore_log();
    assert_eq!(shown(), [2, 3, 1, 1, 1]);
    let expected = [
        ("edits", 1),
        ("reloads", 2),
        ("reloads_refused", 2),
        ("state_changes", 2),
    ];
    assert_eq!(counted(&server), named(expected));
    // Every process counts, and all of them see the sum.
    let sent = 40;
    for n in 0..sent {
        run(&server, if n % 2 == 0 { "dst,2,4" } else { "dst,7,4" });
    }
    let of = |text: String| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<i64>().unwrap_or_else(|_| panic!("{text}"))
    };
    let get = server
        .kamcmd(&["cnt.get", "dispatcher", "selections"])
        .unwrap();
    assert_eq!(of(get), sent / 2);
    let fetched = server.kamcmd(&["stats.fetch", "dispatcher:"]).unwrap();
    assert!(
        fetched.contains(&format!("selections_failed: {}", sent / 2)),
        "{fetched}"
    );
    let all = server
        .kamcmd(&["stats.get_statistics", "dispatcher:"])
        .unwrap();
    assert!(all.contains("dispatcher:destinations_up = 1"), "{all}");
    // Neither sets nor destinations have counters of their own.
    let status = status(&server);
    assert!(status["SETS"].is_null(), "{status}");
    assert!(
        status["TARGETS"][0]["DEST"]["SELECTIONS"].is_null(),
        "{status}"
    );
}

#[test]
fn stats_say_what_memory_counters_take() {
    let memory = |counters, pings: i64| {
        let config = config(counters, TWO_SETS).param("ds_ping_interval", pings);
        let server = start(config);
        let stats = server.jsonrpc("dispatcher.stats", json!([])).unwrap();
        ["STATES", "PINGS", "COUNTERS"].map(|kind| stats["MEMORY"][kind].as_i64().unwrap())
    };
    let (off, group, each) = (memory(0, 0), memory(1, 600), memory(2, 0));
    assert_eq!((off[1], off[2]), (0, 0), "{off:?}");
    assert_eq!((group[0], group[2]), (off[0], 0), "{group:?}");
    assert!(group[1] > 0, "{group:?}");
    assert_eq!((each[0], each[1]), (off[0], 0), "{each:?}");
    assert!(each[2] > 2 * 1_024 && each[2] < 4_096, "{each:?}");
}

#[test]
fn without_counters_there_is_no_group() {
    let server = start(config(0, TWO_SETS));
    run(&server, "dst,1,4");
    let listed = server.kamcmd(&["cnt.grps_list"]).unwrap();
    assert!(!listed.contains("dispatcher"), "{listed}");
    let config = config(3, TWO_SETS);
    let expected = "parameter counters: found \"3\", expected 0, 1 or 2";
    refuses(config, expected);
}

#[test]
fn pings_are_counted_with_their_results() {
    let good = Uas::start(Answer::Code(200));
    let bad = Uas::start(Answer::Code(503));
    let list = format!("1 {} 8 5\n1 {} 8 1\n", good.uri(), bad.uri());
    let config = config(1, &list).param("ds_ping_interval", 1);
    let server = start(config.param("ds_probing_mode", 1));
    wait_for("three pings of each", patience(20), || {
        let pings = of_dests(&server, &["PINGS"]);
        pings
            .iter()
            .all(|n| n.parse::<u32>().unwrap() >= 3)
            .then_some(())
    });
    let pings = of_dests(&server, &["PINGS", "PINGS_FAILED"]);
    assert!(pings[0].ends_with(" 0"), "{pings:?}");
    let (all, failed) = pings[1].split_once(' ').unwrap();
    assert_eq!(all, failed, "{pings:?}");
    let counted = counted(&server);
    assert!(
        counted["pings"] >= 6 && counted["pings_failed"] >= 3,
        "{counted:?}"
    );
    assert!(counted["pings"] > counted["pings_failed"], "{counted:?}");
}

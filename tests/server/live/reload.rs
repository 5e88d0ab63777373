//! The lists that a reload takes and those that it refuses, what `dispatcher.check` says of it before, and that a
//! file change is never lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::lab::{answer, ask_rpc, lab};
use harness::{Config, Fault, Kamailio, Module, Probe, Uac, this_server};
use serde_json::{Value, json};

const LIST: &str = "\
1 sip:127.0.0.1:7001 0 0 duid=one
1 sip:127.0.0.1:7002
1 sip:127.0.0.1:7003 0 5 weight=3
2 sip:127.0.0.1:7004 8
";

fn config() -> Config {
    Probe::new().config().list(LIST).param("flags", 2)
}

/// The counts in a kamcmd reply; all of check's too.
fn counts(text: &str) -> BTreeMap<String, i64> {
    let pairs = text.lines().filter_map(|line| line.trim().split_once(": "));
    let number = |(key, value): (&str, &str)| Some((key.to_owned(), value.parse().ok()?));
    pairs.filter_map(number).collect()
}

fn changes(
    added: i64,
    changed: i64,
    removed: i64,
    kept: i64,
    rejected: i64,
) -> BTreeMap<String, i64> {
    [
        ("ADDED", added),
        ("CHANGED", changed),
        ("REMOVED", removed),
        ("KEPT", kept),
        ("REJECTED", rejected),
    ]
    .map(|(key, count)| (key.to_owned(), count))
    .into()
}

/// Everything that can be seen of the lists.
fn picture(server: &Kamailio) -> String {
    server.kamcmd(&["dispatcher.list", "full"]).unwrap()
}

fn check(server: &Kamailio) -> Value {
    server.jsonrpc("dispatcher.check", json!([])).unwrap()
}

fn reload(server: &Kamailio) -> Result<String, Fault> {
    server.kamcmd(&["dispatcher.reload"])
}

/// A list, and what a reload of it over [`LIST`] changes: added, changed, removed, kept, rejected.
const TAKEN: [(&str, [i64; 5]); 8] = [
    (LIST, [0, 0, 0, 4, 0]),
    ("1 sip:127.0.0.1:7001 0 0 duid=one\n", [0, 0, 3, 1, 0]),
    // A moved duid, other attributes, another priority, another set.
    (
        "1 sip:127.0.0.1:7009 0 0 duid=one\n1 sip:127.0.0.1:7002 0 0 weight=1\n\
      1 sip:127.0.0.1:7003 0 6 weight=3\n3 sip:127.0.0.1:7004 8\n",
        [1, 3, 1, 0, 0],
    ),
    // Other flags.
    (
        "1 sip:127.0.0.1:7001 1 0 duid=one\n2 sip:127.0.0.1:7004 8\n",
        [0, 1, 2, 1, 0],
    ),
    // Unresolvable and no URIs.
    (
        "1 sip:127.0.0.1:7002\n1 sip:no.invalid\n9 sip:no2.invalid\n1 x\n",
        [0, 0, 3, 1, 3],
    ),
    // The same twice is two.
    (
        "1 sip:127.0.0.1:7002\n1 sip:127.0.0.1:7002\n",
        [1, 0, 3, 1, 0],
    ),
    (
        "# nothing but these\n\n5 sip:127.0.0.1:7001\n6 sip:127.0.0.1:7001",
        [2, 0, 4, 0, 0],
    ),
    (
        "1 sip:127.0.0.1:7003 0 5 weight=3\n1 sip:127.0.0.1:7002\n\
      1 sip:127.0.0.1:7001 0 0 duid=one\n2 sip:127.0.0.1:7004 8\n",
        [0, 0, 0, 4, 0],
    ),
];

#[test]
fn check_says_what_the_reload_then_does() {
    let server = Kamailio::start(Module::Rust, config());
    server.expect_log("left out");
    for (list, [added, changed, removed, kept, rejected]) in TAKEN {
        server.write_list(LIST);
        reload(&server).unwrap();
        server.write_list(list);
        let (before, log) = (picture(&server), server.log());
        let said = server.kamcmd(&["dispatcher.check"]).unwrap();
        assert!(said.contains("RESULT: ok"), "{list}{said}");
        assert_eq!(picture(&server), before, "nothing changes");
        let logged = [&server.log(), &log].map(|log| this_server::without_traffic(log));
        assert_eq!(logged[0], logged[1], "nothing is logged");
        let expected = changes(added, changed, removed, kept, rejected);
        assert_eq!(counts(&said), expected, "{list}");
        let done = reload(&server).unwrap();
        assert!(
            done.ends_with("Ok. Dispatcher successfully reloaded."),
            "{done}"
        );
        assert_eq!(counts(&done), expected, "{list}");
        let reasons = check(&server)["REASONS"].as_array().unwrap().len();
        assert_eq!(reasons, usize::try_from(rejected).unwrap(), "one for each");
        // What was just loaded is what there is.
        let again = counts(&server.kamcmd(&["dispatcher.check"]).unwrap());
        assert_eq!(
            (again["ADDED"], again["CHANGED"], again["REMOVED"]),
            (0, 0, 0),
            "{list}"
        );
    }
}

#[test]
fn check_gives_the_same_reasons_as_the_log_of_the_reload() {
    let server = Kamailio::start(Module::Rust, config());
    let bad = "1 sip:127.0.0.1:7001\nx sip:127.0.0.1:7002\n1\n1 sip:no.invalid\n";
    server.write_list(bad);
    let checked = check(&server);
    assert_eq!(checked["RESULT"], "refused");
    let reasons = checked["REASONS"].as_array().unwrap();
    assert_eq!(
        reasons.len(),
        3,
        "two lines that cannot be, one that is left out: {checked}"
    );
    for (reason, line) in reasons.iter().zip([2, 3, 4]) {
        let reason = reason.as_str().unwrap();
        assert!(
            reason.contains("dispatcher.list") && reason.contains(&format!("line {line}")),
            "{reason}"
        );
        server.expect_log(reason);
    }
    let refused = checked["REFUSED"].as_str().unwrap();
    let fault = reload(&server).unwrap_err();
    assert_eq!(fault.text, format!("Reload Failed: {refused}"));
    assert!(
        refused.contains("line 2") && refused.contains("line 3"),
        "{refused}"
    );
}

/// W8, W9: what algorithm 9 would make of weights is said by the check alone, as nobody may use that algorithm.
#[test]
fn check_says_what_odd_weights_do() {
    let server = Kamailio::start(Module::Rust, config());
    server.write_list(
        "1 sip:127.0.0.1:7001 0 0 weight=10\n1 sip:127.0.0.1:7002 0 0 weight=10\n\
         2 sip:127.0.0.1:7003 0 0 weight=60\n2 sip:127.0.0.1:7004 0 0 weight=60\n\
         3 sip:127.0.0.1:7005 0 0 weight=40\n3 sip:127.0.0.1:7006 0 0 weight=60\n",
    );
    let checked = check(&server);
    assert_eq!(checked["RESULT"], "ok");
    let remarks = checked["REMARKS"].as_array().unwrap();
    assert_eq!(remarks.len(), 2, "{checked}");
    for (remark, sum) in remarks.iter().zip([20, 120]) {
        let remark = remark.as_str().unwrap();
        assert!(remark.contains(&format!("add up to {sum}")), "{remark}");
    }
    reload(&server).unwrap();
    assert!(!server.log().contains("add up to"), "{}", server.log());
}

/// W20: the C module says Ok and shrinks the list; an empty file takes every set.
#[test]
fn what_is_left_out_is_counted_and_an_empty_list_refused() {
    let server = Kamailio::start(Module::Rust, config());
    let before = picture(&server);
    server.expect_log("the list has no destination left");
    server.expect_log("cannot resolve host");
    for list in ["", "\n\n# nothing\n", "1 sip:no.invalid\n"] {
        server.write_list(list);
        let checked = check(&server);
        assert_eq!(checked["RESULT"], "refused", "{list:?}");
        let fault = reload(&server).unwrap_err();
        assert_eq!(
            fault.text,
            "Reload Failed: the list has no destination left"
        );
        assert_eq!(checked["REFUSED"], "the list has no destination left");
        assert_eq!(picture(&server), before);
    }
    std::fs::remove_file(server.list_path()).unwrap();
    server.expect_log("no dispatching list loaded");
    assert!(
        reload(&server)
            .unwrap_err()
            .text
            .starts_with("Reload Failed: cannot read the list")
    );
    let fault = server.kamcmd(&["dispatcher.check"]).unwrap_err();
    assert!(
        fault.text.starts_with("Check Failed: cannot read the list"),
        "{fault}"
    );
    assert_eq!(picture(&server), before);
    server.write_list("1 sip:127.0.0.1:7001\n1 sip:no.invalid\n1 sip:no2.invalid\n");
    assert_eq!(counts(&reload(&server).unwrap())["REJECTED"], 2);
    assert_eq!(server.dests(1).len(), 1);
}

/// W20 with `ds_load_mode` 1: one that cannot be resolved refuses the whole list.
#[test]
fn ds_load_mode_1_refuses_the_list_and_names_the_line() {
    let server = Kamailio::start(Module::Rust, config().param("ds_load_mode", 1));
    let before = picture(&server);
    server.write_list("1 sip:127.0.0.1:7001\n1 sip:no.invalid\n");
    server.expect_log("line 2");
    let checked = check(&server);
    let fault = reload(&server).unwrap_err();
    assert!(
        fault.text.contains("line 2") && fault.text.contains("no.invalid"),
        "{fault}"
    );
    assert_eq!(
        fault.text,
        format!("Reload Failed: {}", checked["REFUSED"].as_str().unwrap())
    );
    assert_eq!(picture(&server), before);
}

/// W1: the C module sets every destination active; the same with each add and remove of others.
#[test]
fn states_survive_reload_add_and_remove_together() {
    let server = Kamailio::start(Module::Rust, config().param("ds_probing_threshold", 1));
    let set = |state: &str, port: u16| {
        let uri = format!("sip:127.0.0.1:{port}");
        server
            .kamcmd(&["dispatcher.set_state", state, "1", &uri])
            .unwrap();
    };
    set("ip", 7001);
    set("d", 7003);
    let flags = || [7001, 7002, 7003].map(|port| server.flags(1, &format!("sip:127.0.0.1:{port}")));
    for _ in 0..3 {
        reload(&server).unwrap();
        server
            .kamcmd(&["dispatcher.add", "1", "sip:127.0.0.1:7010"])
            .unwrap();
        assert_eq!(flags(), ["IP", "AX", "DX"]);
        server
            .kamcmd(&["dispatcher.remove", "1", "sip:127.0.0.1:7010"])
            .unwrap();
        assert_eq!(flags(), ["IP", "AX", "DX"]);
    }
    let line = Probe::run(&Uac::new(), server.addr(), "dst,1,4").remove(0);
    assert!(
        line.contains("du=sip:127.0.0.1:7002"),
        "the only usable one: {line}"
    );
    // What was removed and comes back begins anew.
    server
        .kamcmd(&["dispatcher.remove", "1", "sip:127.0.0.1:7003"])
        .unwrap();
    reload(&server).unwrap();
    assert_eq!(flags(), ["IP", "AX", "AX"]);
}

#[test]
fn where_the_list_changes_its_flags_they_win_and_only_there() {
    let server = Kamailio::start(Module::Rust, config());
    server
        .kamcmd(&["dispatcher.set_state", "d", "1", "all"])
        .unwrap();
    server.write_list(
        LIST.replace(":7002", ":7002 8")
            .replace("0 5 weight=3", "0x0 4 weight=4"),
    );
    reload(&server).unwrap();
    let flags: Vec<String> = server
        .dests(1)
        .into_iter()
        .map(|(_, flags)| flags)
        .collect();
    assert_eq!(flags, ["DX", "AP", "DX"], "7003, 7002, 7001");
    // A revision by RPC is what the list last asked for: the file's flags differ from it.
    let modify = ["dispatcher.modify", "1", "duid=one", "flags", "8"];
    server.kamcmd(&modify).unwrap();
    assert_eq!(server.flags(1, "sip:127.0.0.1:7001"), "AP");
    reload(&server).unwrap();
    assert_eq!(
        server.flags(1, "sip:127.0.0.1:7001"),
        "AX",
        "the file says 0"
    );
}

/// W6: in the C module 858 of 888 reloads that said Ok were skipped, and what the file had become
/// meanwhile was lost.
#[test]
fn no_file_change_is_lost_among_parallel_reloads() {
    let server = Kamailio::start(Module::Rust, lab().list(list(0)));
    for round in 1..=12 {
        let (server, last) = (&server, &AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(move || reload_until(server, last));
            }
            // Changes all the while; nobody waits for anybody.
            for n in 0..100 {
                let fresh = server.dir().join("fresh");
                std::fs::write(&fresh, list(round * 1_000 + n)).unwrap();
                std::fs::rename(&fresh, server.list_path()).unwrap();
                server.jsonrpc("dispatcher.reload", json!([])).unwrap();
            }
            last.store(true, Ordering::SeqCst);
        });
        let expected = std::fs::read_to_string(server.list_path()).unwrap();
        assert_eq!(as_list(server), expected, "round {round}");
    }
}

/// Reloads by a worker, the last time after `last` was set.
fn reload_until(server: &Kamailio, last: &AtomicBool) {
    let uac = Uac::new();
    loop {
        let end = last.load(Ordering::SeqCst);
        let reply = uac.request(server.addr(), &ask_rpc("dispatcher.reload", json!([])));
        answer(&reply).unwrap();
        if end {
            return;
        }
    }
}

/// Three destinations that tell the number.
fn list(n: usize) -> String {
    let line = |k: usize| format!("1 sip:127.0.0.1:{}\n", 10_000 + n % 10_000 + k);
    (0..3).map(line).collect()
}

/// The running list in the words of a file.
fn as_list(server: &Kamailio) -> String {
    let dests = server.dests(1).into_iter().rev();
    let line = |(uri, _)| format!("1 {uri}\n");
    dests.map(line).collect()
}

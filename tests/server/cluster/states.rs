//! States that operators set on one server are those of all servers of the cluster.

use std::fs;
use std::mem;
use std::path::PathBuf;
use std::time::Duration;

use harness::cluster::{Cluster, Plan};
use harness::database::{Database, Kind, Row};
use harness::{Answer, Config, Kamailio, patience, poll, this_server, wait_for};
use serde_json::{Value, json};

use crate::held::{Stopped, process};

const LIST: &str = "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002 8\n2 sip:127.0.0.1:7003 4\n\
                    3 sip:127.0.0.2:7004 0 0 duid=a\n3 sip:127.0.0.2:7004 0 0 duid=B\n\
                    4 sip:127.0.0.3:7005\n4 sip:127.0.0.3:7005\n";

/// How often a server is asked.
const STEP: Duration = Duration::from_millis(10);

const ONE: &str = "sip:127.0.0.1:7001";
const TWO: &str = "sip:127.0.0.1:7002";
const THREE: &str = "sip:127.0.0.1:7003";

/// Returns `FLAGS` of all destinations of the sets 2 to 4.
fn all(server: &Kamailio) -> Vec<String> {
    let dests = (2..=4).flat_map(|set| server.dests(set));
    dests.map(|(_, flags)| flags).collect()
}

/// Waits until all nodes that run show these flags for the sets 2 to 4, set after set.
fn wait_all(cluster: &Cluster, flags: &[&str]) {
    for node in cluster.running() {
        let server = cluster.server(node);
        let found = poll(STEP, patience(5), || all(server), |found| found == flags);
        assert_eq!(found, flags, "{}", cluster.name(node));
    }
}

fn set(cluster: &Cluster, node: usize, state: &str, set: &str, what: &str) {
    let params = json!([state, set, what]);
    let answer = cluster.server(node).jsonrpc("dispatcher.set_state", params);
    answer.unwrap_or_else(|fault| panic!("{state} {set} {what}: {fault}"));
}

fn why(server: &Kamailio, set: i64, uri: &str) -> String {
    let status = server.jsonrpc("dispatcher.ping_status", json!([set, uri]));
    let text = status.unwrap_or_else(|fault| panic!("{uri}: {fault}"));
    text.to_string()
}

#[test]
fn what_an_operator_sets_on_one_server_is_set_on_all() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(3).on_loopback().make();
    cluster.start_all(LIST);
    wait_all(&cluster, &["DX", "AP", "AX", "AX", "AX", "AX", "AX"]);
    set(&cluster, 0, "d", "2", ONE);
    wait_all(&cluster, &["DX", "AP", "DX", "AX", "AX", "AX", "AX"]);
    let said = why(cluster.server(1), 2, ONE);
    assert!(said.contains("set on lb1 (cluster)"), "{said}");
    let said = why(cluster.server(0), 2, ONE);
    assert!(said.contains("set by a command"), "{said}");
    for node in 0..3 {
        let params = json!(["dest", "2", ONE]);
        let answer = cluster.server(node).jsonrpc("dispatcher.cluster", params);
        let dest = answer.unwrap()["DESTS"][0]["DEST"].clone();
        let said =
            ["URI", "FLAGS", "NODE", "SET_TO"].map(|key| dest[key].as_str().unwrap().to_owned());
        assert_eq!(said, [ONE, "DX", "lb1", "disabled"], "{dest}");
        assert_eq!(dest["APPLIED"], 1);
    }
    set(&cluster, 1, "drain", "2", ONE);
    wait_all(&cluster, &["DX", "AP", "RX", "AX", "AX", "AX", "AX"]);
    set(&cluster, 2, "a", "2", ONE);
    wait_all(&cluster, &["DX", "AP", "AX", "AX", "AX", "AX", "AX"]);
    // The list disables it.
    set(&cluster, 0, "ap", "2", THREE);
    wait_all(&cluster, &["AP", "AP", "AX", "AX", "AX", "AX", "AX"]);
    set(&cluster, 1, "ip", "2", TWO);
    wait_all(&cluster, &["AP", "IP", "AX", "AX", "AX", "AX", "AX"]);
    // A set, a host, a unique id in other letters, and all sets.
    set(&cluster, 2, "d", "2", "all");
    wait_all(&cluster, &["DX", "DX", "DX", "AX", "AX", "AX", "AX"]);
    set(&cluster, 0, "drain", "3", "host=127.0.0.2");
    wait_all(&cluster, &["DX", "DX", "DX", "RX", "RX", "AX", "AX"]);
    let params = json!(["i", 3, "b"]);
    let answer = cluster
        .server(1)
        .jsonrpc("dispatcher.set_duid_state", params);
    answer.unwrap();
    // The last line of a set is its first destination.
    wait_all(&cluster, &["DX", "DX", "DX", "IX", "RX", "AX", "AX"]);
    // Both lines with one URI.
    set(&cluster, 2, "d", "4", "sip:127.0.0.3:7005");
    wait_all(&cluster, &["DX", "DX", "DX", "IX", "RX", "DX", "DX"]);
    set(&cluster, 0, "a", "all", "all");
    wait_all(&cluster, &["AX"; 7]);
    let warning = "set 4, sip:127.0.0.3:7005: listed more than once without duid";
    assert!(cluster.server(0).log().contains(warning));
}

/// Finds the value of a key in what htable dumps: each release nests it in another way.
fn value_of(dump: &Value, key: &str) -> Option<String> {
    match dump {
        Value::Array(parts) => parts.iter().find_map(|part| value_of(part, key)),
        Value::Object(part) if part.get("name") == Some(&json!(key)) => {
            Some(part.get("value")?.as_str()?.to_owned())
        }
        Value::Object(part) => part.values().find_map(|part| value_of(part, key)),
        _ => None,
    }
}

#[test]
fn events_and_history_name_the_server_on_which_it_was_set() {
    if this_server::lacks_bus() {
        return;
    }
    let events = "modparam(\"htable\", \"htable\", \"events=>size=10;\")\n\
        event_route[dispatcher:dst-down] {\n\
        $sht(events=>down) = $dsv(cause) + \",\" + $dsv(node) + \",\" + $dsv(uri) + \",\" + $dsv(new);\n}\n\
        event_route[dispatcher:dst-up] {\n\
        $sht(events=>up) = $dsv(cause) + \",\" + $dsv(node) + \",\" + $dsv(uri) + \",\" + $dsv(new);\n}\n";
    for (mode, hears_own) in [(0, false), (2, false), (65_536, true), (1, false)] {
        let mut cluster = Plan::of(2).on_loopback().make();
        for node in 0..2 {
            let config = cluster.config(node, LIST);
            let config = config.param("event_callback_mode", mode);
            cluster.start(node, config.params(events));
        }
        cluster.wait_ready(patience(20));
        let event = |node: usize, key: &str| {
            let dump = cluster
                .server(node)
                .jsonrpc("htable.dump", json!(["events"]));
            value_of(&dump.unwrap(), key)
        };
        set(&cluster, 0, "d", "2", ONE);
        wait_all(&cluster, &["DX", "AP", "DX", "AX", "AX", "AX", "AX"]);
        set(&cluster, 0, "a", "2", ONE);
        wait_all(&cluster, &["DX", "AP", "AX", "AX", "AX", "AX", "AX"]);
        if mode == 1 {
            // What was posted before this is told before this.
            set(&cluster, 0, "d", "2", TWO);
            cluster.server(1).wait_log("disabled by lb1 (cluster)");
            assert_eq!(event(1, "down"), None);
            continue;
        }
        for (key, new) in [("down", "DX"), ("up", "AX")] {
            let told = |node: usize, expected: String| {
                let what = format!("{expected} in mode {mode}");
                let found = || event(node, key).filter(|found| *found == expected);
                wait_for(&what, patience(5), found);
            };
            told(1, format!("cluster,lb1,{ONE},{new}"));
            if hears_own {
                told(0, format!("rpc,,{ONE},{new}"));
            }
        }
        let history = cluster.server(1).jsonrpc("dispatcher.history", json!([]));
        let change = history.unwrap()["CHANGES"][0]["CHANGE"].clone();
        assert_eq!(
            [&change["CAUSE"], &change["WHO"]],
            [&json!("cluster"), &json!("lb1 (cluster)")]
        );
        cluster.server(1).wait_log("disabled by lb1 (cluster)");
    }
}

fn with_file(cluster: &Cluster, node: usize, list: &str) -> Config {
    let file = state_file(cluster, node);
    let config = cluster.config(node, list);
    config.param("state_file", file.to_str().unwrap())
}

fn state_file(cluster: &Cluster, node: usize) -> PathBuf {
    cluster.dir().join(format!("states-{node}"))
}

/// Waits until the file of a node has so many lines of registers.
fn wait_registers(cluster: &Cluster, node: usize, count: usize) -> Vec<String> {
    wait_for("registers in the file", patience(5), || {
        let text = fs::read_to_string(state_file(cluster, node)).ok()?;
        let lines = text.lines().filter(|line| line.starts_with("cluster "));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        (lines.len() == count).then_some(lines)
    })
}

#[test]
fn a_server_that_was_away_takes_over_what_was_set_meanwhile() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(2).on_loopback().make();
    let list = "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002 8\n3 sip:127.0.0.1:7003 0 0 duid=a\n";
    cluster.start(0, with_file(&cluster, 0, list));
    // The other one keeps nothing.
    cluster.start(1, cluster.config(1, list));
    cluster.wait_ready(patience(20));
    let wait = |cluster: &Cluster, flags: [&str; 3]| wait_all(cluster, &flags);
    set(&cluster, 0, "d", "2", ONE);
    set(&cluster, 1, "drain", "2", TWO);
    set(&cluster, 1, "ip", "3", THREE);
    wait(&cluster, ["RP", "DX", "IP"]);
    let lines = wait_registers(&cluster, 0, 3);
    // Without the file: the others know.
    cluster.stop(1);
    set(&cluster, 0, "a", "2", ONE);
    cluster.start(1, cluster.config(1, list));
    wait(&cluster, ["RP", "AX", "IP"]);
    // With it: what it has is older than what the others have, and they win.
    let newer = wait_for("the register of the last act", patience(5), || {
        let now = wait_registers(&cluster, 0, 3);
        (now != lines).then_some(now)
    });
    cluster.stop(0);
    set(&cluster, 1, "d", "3", THREE);
    cluster.start(0, with_file(&cluster, 0, list));
    wait(&cluster, ["RP", "AX", "DX"]);
    // All at once: the file alone has it.
    wait_for("the register of the last act", patience(5), || {
        (wait_registers(&cluster, 0, 3) != newer).then_some(())
    });
    cluster.stop(0);
    cluster.stop(1);
    cluster.start(0, with_file(&cluster, 0, list));
    assert_eq!(all(cluster.server(0)), ["RP", "AX", "DX"]);
    let said = why(cluster.server(0), 2, TWO);
    cluster.start(1, cluster.config(1, list));
    wait(&cluster, ["RP", "AX", "DX"]);
    assert!(said.contains("(cluster)"), "{said}");
    // It still is the later act that wins.
    set(&cluster, 1, "a", "2", TWO);
    wait(&cluster, ["AX", "AX", "DX"]);
}

#[test]
fn an_act_that_the_process_of_the_cluster_has_not_seen_survives_a_crash() {
    if this_server::lacks_bus() {
        return;
    }
    let list = "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n";
    let mut cluster = Plan::of(1).on_loopback().make();
    cluster.start(0, with_file(&cluster, 0, list));
    cluster.wait_ready(patience(20));
    set(&cluster, 0, "a", "2", ONE);
    set(&cluster, 0, "d", "2", TWO);
    let before = wait_registers(&cluster, 0, 2);
    let server = cluster.server(0);
    let stopped = Stopped::stop(process(server, |name| name == "dispatcher cluster"));
    set(&cluster, 0, "d", "2", ONE);
    set(&cluster, 0, "a", "2", TWO);
    let kept = |text: &str| text.contains("\n2 0 4 sip:127.0.0.1:7001\n") && !text.contains(TWO);
    wait_for("the lines of states", patience(5), || {
        let text = fs::read_to_string(state_file(&cluster, 0)).ok()?;
        kept(&text).then_some(())
    });
    assert_ne!(wait_registers(&cluster, 0, 2), before);
    cluster.kill(0);
    // It is no more.
    mem::forget(stopped);
    cluster.start(0, with_file(&cluster, 0, list));
    assert_eq!(all(cluster.server(0)), ["AX", "DX"]);
    cluster.wait_ready(patience(20));
    assert_eq!(all(cluster.server(0)), ["AX", "DX"]);
}

#[test]
fn a_server_that_joins_finds_out_itself_what_pings_find() {
    if this_server::lacks_bus() {
        return;
    }
    let list = "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n2 sip:127.0.0.1:7003\n";
    let mut cluster = Plan::of(2).on_loopback().make();
    // No ping is sent while this runs.
    let pinging = |config: Config| config.param("ds_ping_interval", 3_600);
    for node in 0..2 {
        cluster.start(node, pinging(cluster.config(node, list)));
    }
    cluster.wait_ready(patience(20));
    set(&cluster, 0, "ip", "2", ONE);
    set(&cluster, 0, "i", "2", TWO);
    set(&cluster, 0, "d", "2", THREE);
    wait_all(&cluster, &["DX", "IX", "IP"]);
    cluster.stop(1);
    cluster.start(1, pinging(cluster.config(1, list)));
    cluster.wait_ready(patience(20));
    // Only the first one is pinged, so pings elsewhere may have found that it answers.
    wait_flags(&cluster, 1, THREE, "DX");
    wait_flags(&cluster, 1, TWO, "IX");
    assert_eq!(flags(&cluster, 1, ONE), "AX");
    // What is set now is done as it is said.
    set(&cluster, 0, "ip", "2", ONE);
    wait_all(&cluster, &["DX", "IX", "IP"]);
}

#[test]
fn states_that_were_kept_before_there_was_a_cluster_are_told_to_nobody() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(2).on_loopback().make();
    let list = "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n";
    let before = "2 0 4 sip:127.0.0.1:7001\n2 0 4 sip:127.0.0.1:7002\n5 0 4 sip:gone\n";
    fs::write(state_file(&cluster, 0), before).unwrap();
    cluster.start(0, with_file(&cluster, 0, list));
    cluster.start(1, cluster.config(1, list));
    cluster.wait_ready(patience(20));
    // Whatever is told was told before this.
    set(&cluster, 1, "drain", "2", TWO);
    wait_for("the drain", patience(5), || {
        (cluster.server(0).flags(2, TWO) == "RX").then_some(())
    });
    assert_eq!(cluster.server(0).flags(2, ONE), "DX");
    assert_eq!(cluster.server(1).flags(2, ONE), "AX");
    wait_registers(&cluster, 0, 1);
    let text = fs::read_to_string(state_file(&cluster, 0)).unwrap();
    assert!(text.contains("\n2 0 4 sip:127.0.0.1:7001\n") && text.contains("\n5 0 4 sip:gone\n"));
    let said = why(cluster.server(0), 2, ONE);
    assert!(said.contains("set by a command"), "{said}");
}

fn reload_list(cluster: &Cluster, node: usize, list: &str) {
    cluster.server(node).write_list(list);
    reload(cluster, node);
}

fn reload(cluster: &Cluster, node: usize) {
    let answer = cluster.server(node).jsonrpc("dispatcher.reload", json!([]));
    answer.unwrap_or_else(|fault| panic!("reload: {fault}"));
}

fn flags(cluster: &Cluster, node: usize, uri: &str) -> String {
    cluster.server(node).flags(2, uri)
}

/// Waits until a node shows these flags for a destination of set 2.
fn wait_flags(cluster: &Cluster, node: usize, uri: &str, expected: &str) {
    let what = format!("{uri} {expected} on {}", cluster.name(node));
    wait_for(&what, patience(5), || {
        (flags(cluster, node, uri) == expected).then_some(())
    });
}

#[test]
fn a_reload_writes_nothing_to_the_cluster_and_an_own_list_wins() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(3).on_loopback().make();
    cluster.start_all("2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n");
    set(&cluster, 0, "d", "2", ONE);
    (0..3).for_each(|node| wait_flags(&cluster, node, ONE, "DX"));
    // The same list again, and one that says something else of another destination.
    reload_list(
        &cluster,
        0,
        "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002 1\n",
    );
    assert_eq!(flags(&cluster, 0, TWO), "IX");
    wait_flags(&cluster, 0, ONE, "DX");
    // A list that says something else of the same one: it is the list's here, and nowhere else.
    reload_list(
        &cluster,
        0,
        "2 sip:127.0.0.1:7001 8\n2 sip:127.0.0.1:7002 1\n",
    );
    assert_eq!(flags(&cluster, 0, ONE), "AP");
    // What is set meanwhile for the other list does not count here.
    set(&cluster, 1, "drain", "2", ONE);
    wait_flags(&cluster, 2, ONE, "RX");
    assert_eq!(flags(&cluster, 0, ONE), "AP");
    assert_eq!([1, 2].map(|node| flags(&cluster, node, TWO)), ["AX", "AX"]);
    // With the old list again it does.
    reload_list(&cluster, 0, "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n");
    wait_flags(&cluster, 0, ONE, "RX");
    wait_flags(&cluster, 0, TWO, "AX");
    // What is set with the new list counts where that list is.
    for node in [0, 1] {
        reload_list(
            &cluster,
            node,
            "2 sip:127.0.0.1:7001 8\n2 sip:127.0.0.1:7002\n",
        );
        assert_eq!(flags(&cluster, node, ONE), "AP");
    }
    set(&cluster, 0, "d", "2", ONE);
    wait_flags(&cluster, 1, ONE, "DX");
    // The third one has the list of before, and what was set for that list is no longer what was set last.
    wait_flags(&cluster, 2, ONE, "AX");
    reload_list(
        &cluster,
        2,
        "2 sip:127.0.0.1:7001 8\n2 sip:127.0.0.1:7002\n",
    );
    wait_flags(&cluster, 2, ONE, "DX");
}

#[test]
fn a_destination_that_comes_later_has_what_was_set_before() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(2).on_loopback().make();
    cluster.start(
        0,
        cluster.config(0, "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n"),
    );
    cluster.start(1, cluster.config(1, "2 sip:127.0.0.1:7001\n"));
    cluster.wait_ready(patience(20));
    set(&cluster, 0, "d", "2", TWO);
    set(&cluster, 0, "drain", "2", ONE);
    wait_flags(&cluster, 1, ONE, "RX");
    let call = |node: usize, method: &str, params: Value| {
        let answer = cluster.server(node).jsonrpc(method, params);
        answer.unwrap_or_else(|fault| panic!("{method}: {fault}"))
    };
    call(1, "dispatcher.add", json!([2, TWO]));
    wait_flags(&cluster, 1, TWO, "DX");
    // It goes and comes back, by an edit and by a reload.
    call(1, "dispatcher.remove", json!([2, TWO]));
    set(&cluster, 0, "drain", "2", TWO);
    call(1, "dispatcher.add", json!([2, TWO]));
    wait_flags(&cluster, 1, TWO, "RX");
    reload_list(&cluster, 1, "2 sip:127.0.0.1:7001\n");
    reload_list(&cluster, 1, "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n");
    wait_flags(&cluster, 1, TWO, "RX");
    // Nobody has told the other one anything by that.
    assert_eq!(flags(&cluster, 0, TWO), "RX");
    // A list that sets all states sets them as the cluster has them.
    call(1, "dispatcher.modify", json!([2, TWO, "flags", "8"]));
    wait_flags(&cluster, 1, TWO, "AP");
    call(1, "dispatcher.modify", json!([2, TWO, "flags", "0"]));
    wait_flags(&cluster, 1, TWO, "RX");
}

#[test]
fn what_pings_find_is_each_servers_own_and_what_a_script_disables_is_shared() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(2).on_loopback().make();
    let [dead, disabled] = [0, 1].map(|at: usize| cluster.gateways[at].uri());
    let route = format!(
        "event_route[dispatcher:dst-down] {{\n\
        if ($dsv(cause) == \"ping\" && $dsv(uri) == \"{disabled}\") {{\n\
        $xavp(_dsdst_=>grp) = 1; $xavp(_dsdst_[0]=>uri) = $dsv(uri); ds_mark_dst(\"d\");\n}}\n}}\n"
    );
    let pinging = cluster.config(0, "").param("ds_ping_interval", 1);
    let pinging = pinging.param("ds_probing_mode", 1).params(&route);
    cluster.start(0, pinging);
    cluster.start(1, cluster.config(1, ""));
    cluster.wait_ready(patience(20));
    let flags = |node: usize, uri: &str| cluster.server(node).flags(1, uri);
    let wait = |node: usize, uri: &str, expected: &str| {
        let what = format!("{uri} {expected} on {}", cluster.name(node));
        wait_for(&what, patience(10), || {
            (flags(node, uri) == expected).then_some(())
        });
    };
    for gateway in &cluster.gateways {
        gateway.set_answer(Answer::Code(503));
    }
    wait(0, &dead, "IP");
    wait(0, &disabled, "DX");
    wait(1, &disabled, "DX");
    // An operator wants it back everywhere, and drains the one that is dead: that it is dead stays one server's view.
    let set = |state: &str, uri: &str| cluster.set_state(1, state, 1, uri).unwrap();
    cluster.gateways[1].set_answer(Answer::Code(200));
    set("a", &disabled);
    wait(0, &disabled, "AP");
    assert_eq!(flags(1, &dead), "AX");
    set("drain", &dead);
    wait(0, &dead, "RP");
    assert_eq!(flags(1, &dead), "RX");
    set("a", &dead);
    wait(1, &dead, "AX");
    wait(0, &dead, "IP");
    assert_eq!(flags(1, &dead), "AX");
}

#[test]
fn a_server_that_shares_nothing_and_one_that_takes_all_states_from_its_list() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(3).on_loopback().make();
    let list = "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n";
    cluster.start(0, cluster.config(0, list));
    cluster.start(1, cluster.config(1, list).param("reload_state", "file"));
    cluster.start(2, cluster.config(2, list).param("ds_dmq_state", 0));
    cluster.wait_ready(patience(20));
    set(&cluster, 0, "d", "2", ONE);
    wait_flags(&cluster, 1, ONE, "DX");
    // What the list sets is set again as the cluster has it.
    for _ in 0..3 {
        reload_list(&cluster, 1, list);
        wait_flags(&cluster, 1, ONE, "DX");
    }
    set(&cluster, 2, "d", "2", TWO);
    assert_eq!(flags(&cluster, 2, ONE), "AX");
    set(&cluster, 1, "drain", "2", ONE);
    wait_flags(&cluster, 0, ONE, "RX");
    assert_eq!([0, 1].map(|node| flags(&cluster, node, TWO)), ["AX", "AX"]);
    assert_eq!(flags(&cluster, 2, ONE), "AX");
    let params = json!(["dest", "2", TWO]);
    let answer = cluster
        .server(2)
        .jsonrpc("dispatcher.cluster", params)
        .unwrap();
    assert!(
        answer["DESTS"][0]["DEST"].get("STAMP").is_none(),
        "{answer}"
    );
}

#[test]
fn states_in_the_table_are_those_of_the_cluster() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(2).on_loopback().make();
    let databases = [0, 1].map(|_| Database::start(Kind::Sqlite));
    for database in &databases {
        database.create();
        database.fill(&[Row::new(2, ONE, 0, 0, ""), Row::new(2, TWO, 8, 0, "")]);
    }
    let start = |cluster: &mut Cluster, node: usize| {
        let config = databases[node].config(cluster.config(node, ""));
        cluster.start(node, config.param("db_state_mode", 1));
    };
    (0..2).for_each(|node| start(&mut cluster, node));
    cluster.wait_ready(patience(20));
    // Both write each act, and it does not count as a change of the list: so the next act counts, too.
    for (node, state, expected) in [(0, "d", "DX"), (1, "a", "AX"), (0, "drain", "RX")] {
        set(&cluster, node, state, "2", ONE);
        (0..2).for_each(|node| wait_flags(&cluster, node, ONE, expected));
        for node in 0..2 {
            let kept = || {
                // The table may be locked while the other server writes it.
                let said = cluster.server(node).jsonrpc("dispatcher.check", json!([]));
                (said.ok()?["KEPT"] == 2).then_some(())
            };
            wait_for("the table to have it", patience(10), kept);
            // That is true before it is written as well, and who reads it meanwhile may find it locked.
            let read = || {
                let server = cluster.server(node);
                server.jsonrpc("dispatcher.reload", json!([])).ok()
            };
            wait_for("the table to be read", patience(10), read);
            assert_eq!(flags(&cluster, node, ONE), expected);
        }
    }
    set(&cluster, 1, "d", "2", TWO);
    wait_flags(&cluster, 0, TWO, "DX");
    // A server that was away has what its table says, and then what the other one knows.
    cluster.stop(0);
    set(&cluster, 1, "a", "2", ONE);
    start(&mut cluster, 0);
    wait_flags(&cluster, 0, ONE, "AX");
    assert_eq!(flags(&cluster, 1, ONE), "AX");
}

//! One command loads the lists of all servers, and says what came of it on each.

use std::fs;

use harness::cluster::{Cluster, Plan};
use harness::{Fault, patience, this_server, wait_for};
use serde_json::{Value, json};

const OLD: &str = "2 sip:127.0.0.1:7001\n";
const NEW: &str = "2 sip:127.0.0.1:7001\n2 sip:127.0.0.1:7002\n3 sip:127.0.0.1:7003\n";

fn start(cluster: &mut Cluster, key: &str, delta: i64) {
    for node in 0..cluster.size() {
        let config = cluster.config(node, OLD);
        let config = config.param("ds_dmq_key", key).param("reload_delta", delta);
        cluster.start(node, config);
    }
    cluster.wait_ready(patience(20));
}

fn reload(cluster: &Cluster, node: usize) -> Result<Value, Fault> {
    let server = cluster.server(node);
    let limit = patience(20);
    server.jsonrpc_within("dispatcher.cluster", json!(["reload"]), limit)
}

/// Returns name, result, reason and number of destinations of each node.
fn rows(answer: &Value) -> Vec<(String, String, String, Option<i64>)> {
    let nodes = answer["NODES"].as_array().unwrap().iter();
    let text = |node: &Value, key: &str| node[key].as_str().unwrap_or_default().to_owned();
    let row = |node: &Value| {
        let node = &node["NODE"];
        let [name, result, reason] = ["NAME", "RESULT", "REASON"].map(|key| text(node, key));
        (name, result, reason, node["DESTINATIONS"].as_i64())
    };
    nodes.map(row).collect()
}

fn ok(name: &str, dests: i64) -> (String, String, String, Option<i64>) {
    (name.into(), "ok".into(), String::new(), Some(dests))
}

#[test]
fn each_server_loads_its_list_and_says_what_came_of_it() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(3).on_loopback().make();
    start(&mut cluster, "secret", 0);
    let gateways: String = cluster
        .gateways
        .iter()
        .map(|gateway| format!("1 {}\n", gateway.uri()))
        .collect();
    for node in 0..3 {
        cluster.server(node).write_list(format!("{gateways}{NEW}"));
    }
    let answer = reload(&cluster, 1).unwrap();
    let mut found = rows(&answer);
    assert_eq!(found.remove(0), ok("lb2", 5), "{answer}");
    found.sort();
    assert_eq!(found, [ok("lb1", 5), ok("lb3", 5)], "{answer}");
    assert_eq!(
        (&answer["RELOADED"], &answer["NOT_RELOADED"]),
        (&json!(3), &json!(0))
    );
    for node in 0..3 {
        assert_eq!(cluster.server(node).dests(3).len(), 1, "{node}");
    }

    // One has no list any more: it says so, keeps what it has, and the others go on.
    let path = cluster.server(2).list_path();
    fs::remove_file(&path).unwrap();
    for node in [0, 1] {
        cluster.server(node).write_list(format!("{gateways}{OLD}"));
    }
    let why = "Reload Failed: cannot read the list: No such file or directory (os error 2)";
    for asked in [0, 2] {
        let answer = reload(&cluster, asked).unwrap();
        let found = rows(&answer);
        let lost = found.iter().find(|row| row.0 == "lb3").unwrap();
        assert_eq!(
            (lost.1.as_str(), lost.2.as_str(), lost.3),
            ("failed", why, None),
            "{answer}"
        );
        assert_eq!(found[0].0, cluster.name(asked), "{answer}");
        assert_eq!(
            (&answer["RELOADED"], &answer["NOT_RELOADED"]),
            (&json!(2), &json!(1))
        );
    }
    let sizes = [0, 1, 2].map(|node| cluster.server(node).dests(2).len());
    assert_eq!(sizes, [1, 1, 2]);
    cluster.server(2).write_list(format!("{gateways}{OLD}"));

    // One is dead.
    cluster.kill(2);
    let dead = || (cluster.state_of(0, 2) == "dead").then_some(());
    wait_for("lb3 is dead", patience(10), dead);
    let answer = reload(&cluster, 0).unwrap();
    let lost = ("lb3".into(), "not asked".into(), "dead".into(), None);
    let mut found = rows(&answer);
    found.sort();
    assert_eq!(found, [ok("lb1", 3), ok("lb2", 3), lost], "{answer}");
}

#[test]
fn a_server_that_may_not_load_so_soon_says_so() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(2).on_loopback().make();
    start(&mut cluster, "secret", 300);
    cluster
        .server(1)
        .jsonrpc("dispatcher.reload", json!([]))
        .unwrap();
    let answer = reload(&cluster, 0).unwrap();
    let refused = ("lb2".into(), "failed".into(), "Ongoing reload".into(), None);
    assert_eq!(rows(&answer), [ok("lb1", 3), refused], "{answer}");
    // By now neither may.
    let answer = reload(&cluster, 1).unwrap();
    assert_eq!(answer["RELOADED"], json!(0), "{answer}");
}

#[test]
fn a_server_with_another_key_is_not_reloaded() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = Plan::of(2).on_loopback().make();
    for (node, key) in [(0, "secret"), (1, "other")] {
        let config = cluster.config(node, OLD).param("ds_dmq_key", key);
        let config = config.param("ds_dmq_join_wait", 0);
        cluster.start(node, config.param("reload_delta", 0));
    }
    let gateways: String = cluster
        .gateways
        .iter()
        .map(|gateway| format!("1 {}\n", gateway.uri()))
        .collect();
    cluster.server(1).write_list(format!("{gateways}{NEW}"));
    let answer = reload(&cluster, 0).unwrap();
    let unheard = (cluster.uri(1), "not asked".into(), "unheard".into(), None);
    assert_eq!(rows(&answer), [ok("lb1", 3), unheard], "{answer}");
    assert_eq!(cluster.server(1).dests(3).len(), 0);
}

//! Pings that one server sends for all, and what each server shows of what the others find.

use harness::cluster::{COUNTED, Cluster, Plan};
use harness::http::Http;
use harness::{Answer, Config, Request, patience, this_server, wait_for};
use serde_json::{Value, json};

/// Metrics, and the answers of the page.
const PAGES: &str = r#"
event_route[xhttp:request] {
    if ($hu =~ "^/metrics") { ds_metrics(); } else { ds_page(); }
}
"#;

fn config(cluster: &Cluster, node: usize, list: &str) -> Config {
    let config = cluster.config(node, list).param("ds_ping_interval", 1);
    config
        .param("ds_probing_mode", 1)
        .param("ds_hash_size", 4)
        .load("xhttp.so")
        .tcp()
        .global("tcp_accept_no_cl=yes")
        .params(PAGES)
}

/// Returns what `dispatcher.ping_status` says of the first destination of a set.
fn status(cluster: &Cluster, node: usize, set: i64) -> Value {
    let answer = cluster
        .server(node)
        .jsonrpc("dispatcher.ping_status", json!([set]));
    let answer = answer.unwrap_or_else(|fault| panic!("ping_status {set}: {fault}"));
    answer["TARGETS"][0]["DEST"].clone()
}

/// Waits until all servers show these flags for all gateways.
fn wait_flags(cluster: &Cluster, expected: &str) {
    for node in cluster.running() {
        let what = format!("{expected} on {}", cluster.name(node));
        wait_for(&what, patience(15), || {
            let dests = cluster.server(node).dests(1);
            dests
                .iter()
                .all(|(_, flags)| flags == expected)
                .then_some(())
        });
    }
}

fn get(cluster: &Cluster, node: usize, path: &str) -> String {
    Http::to(cluster.addr(node)).get(path, &[]).text()
}

#[test]
fn a_server_that_is_spared_its_pings_shows_what_the_one_shows_that_pings() {
    if this_server::lacks_bus() || this_server::lacks(&["xhttp.so"]) {
        return;
    }
    // Either server may be the first to ping one of them after it is set.
    let mut cluster = Plan::of(2).gateways(8).on_loopback().make();
    for node in 0..2 {
        cluster.start(node, config(&cluster, node, ""));
    }
    cluster.wait_ready(patience(20));
    cluster.set_state(0, "d", 1, "all").unwrap();
    wait_flags(&cluster, "DX");
    cluster.set_state(0, "a", 1, "all").unwrap();
    wait_flags(&cluster, "AP");
}

#[test]
fn each_server_shows_that_others_find_the_opposite_and_who_counts_how_many_calls() {
    if this_server::lacks_bus() || this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let mut cluster = Plan::of(2).on_loopback().make();
    cluster.gateways[1].set_answer(Answer::Code(503));
    // One destination by its unique id, which is another gateway for each server.
    let uris = [0, 1].map(|at: usize| cluster.gateways[at].uri());
    for (node, uri) in uris.iter().enumerate() {
        let list = format!("5 {uri} 0 0 duid=g\n{COUNTED} sip:192.0.2.1:7001 32 0 duid=c\n");
        cluster.start(node, config(&cluster, node, &list));
    }
    cluster.wait_ready(patience(20));
    let shown = ["UP_ELSEWHERE", "DOWN_ELSEWHERE"];
    for (node, flags, expected) in [(0, "AP", [0, 1]), (1, "IP", [1, 0])] {
        let found = || {
            let status = status(&cluster, node, 5);
            let counts = shown.map(|name| status[name].as_i64().unwrap());
            (status["FLAGS"] == flags && counts == expected).then_some(())
        };
        wait_for(&format!("what lb{} shows", node + 1), patience(15), found);
    }
    let full = cluster
        .server(0)
        .jsonrpc("dispatcher.list", json!(["full", 5]));
    let full = full.unwrap();
    let ping = &full["RECORDS"][0]["SET"]["TARGETS"][0]["DEST"]["PING"];
    assert_eq!(shown.map(|name| ping[name].as_i64()), [Some(0), Some(1)]);
    for (node, found, text) in [
        (0, "down", "down on 1 other server"),
        (1, "up", "up on 1 other server"),
    ] {
        let metrics = get(&cluster, node, "/metrics");
        let is_line = |line: &&str| {
            line.contains("destination_found_elsewhere{set=\"5\"")
                && line.ends_with(&format!("found=\"{found}\"}} 1"))
        };
        assert!(metrics.lines().any(|line| is_line(&line)), "{metrics}");
        let pinged = |line: &str| line.contains("destination_pinged_here{set=\"5\"");
        assert!(metrics.lines().any(pinged), "{metrics}");
        let data: Value = serde_json::from_str(&get(&cluster, node, "/data?set=5")).unwrap();
        assert_eq!(data["rows"][0]["elsewhere"], text, "{data}");
        assert!(get(&cluster, node, "/text?set=5").contains(text));
    }
    let caller = cluster.caller();
    for (node, calls) in [(0, 1), (1, 2)] {
        for call in 0..calls {
            let invite = Request::new("INVITE", "sip:count@service.test");
            let invite = invite.call_id(format!("{node}-{call}")).from_tag("caller");
            assert_eq!(
                caller.request(cluster.addr(node), &invite).status(),
                Some(200)
            );
        }
    }
    let by = |node: usize| {
        let params = json!(["dest", COUNTED.to_string(), "sip:192.0.2.1:7001"]);
        let answer = cluster
            .server(node)
            .jsonrpc("dispatcher.cluster", params)
            .unwrap();
        let by = answer["DESTS"][0]["DEST"]["CALLS_BY"].as_array().cloned();
        let one = |one: &Value| {
            let one = &one["SERVER"];
            Some((one["NODE"].as_str()?.to_owned(), one["CALLS"].as_i64()?))
        };
        let mut by: Vec<_> = by.unwrap_or_default().iter().filter_map(one).collect();
        by.sort();
        by
    };
    let expected = vec![("lb1".to_owned(), 1), ("lb2".to_owned(), 2)];
    for node in 0..2 {
        wait_for("calls by server", patience(10), || {
            (by(node) == expected).then_some(())
        });
        let status = status(&cluster, node, COUNTED);
        let own = i64::try_from(node).unwrap() + 1;
        assert_eq!((&status["CALLS"], &status["OWN"]), (&json!(3), &json!(own)));
    }
}

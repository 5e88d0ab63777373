//! Servers that find each other over the bus, lose each other, and refuse what is not theirs. All on loopback.

use std::time::Duration;

use harness::cluster::{Cluster, Plan, ROUTES};
use harness::http::Http;
use harness::sanitizer;
use harness::{Config, Kamailio, Module, patience, this_server, wait_for};
use serde_json::json;

use crate::held;

/// How soon others must know that a node died, or came back.
fn soon() -> Duration {
    patience(6)
}

/// Routes that say which nodes come and go.
const TOLD: &str = r#"
event_route[dispatcher:node-up] { xlog("L_NOTICE", "UP $dsv(node) $dsv(uri) $ru [$dsv(setid)$dsv(cause)$dsv(code)]\n"); }
event_route[dispatcher:node-down] { xlog("L_NOTICE", "DOWN $dsv(node) $dsv(uri)\n"); }
"#;

fn plan(nodes: usize) -> Cluster {
    Plan::of(nodes).on_loopback().make()
}

/// The config of a node that knows the first one when it starts.
fn config(cluster: &Cluster, node: usize) -> Config {
    let config = cluster.bus_config(node, "");
    let config = config
        .param("enable_dmq", 1)
        .param("ds_dmq_node", cluster.name(node))
        .param("ds_dmq_key", "secret");
    config.param("ds_dmq_peer", cluster.uri(0))
}

fn start(cluster: &mut Cluster, node: usize) {
    let config = config(cluster, node);
    cluster.start(node, config);
}

fn counter(server: &Kamailio, name: &str) -> i64 {
    let asked = server.jsonrpc("stats.fetch", json!([format!("dispatcher:{name}")]));
    let found = asked.unwrap();
    let value = &found[format!("dispatcher.{name}")];
    value.as_str().unwrap_or_default().parse().unwrap_or(-1)
}

/// Waits until a node gives another one this state.
fn sees(cluster: &Cluster, seer: usize, node: usize, state: &str, limit: Duration) {
    let what = format!(
        "{} is {state} for {}",
        cluster.name(node),
        cluster.name(seer)
    );
    wait_for(&what, limit, || {
        (cluster.state_of(seer, node) == state).then_some(())
    });
}

#[test]
fn metrics_tell_of_the_cluster() {
    if this_server::lacks_bus() || this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let mut cluster = plan(1);
    let page = "event_route[xhttp:request] { ds_metrics(); }";
    let config = config(&cluster, 0).load("xhttp.so").tcp().params(page);
    let config = config.global("tcp_accept_no_cl=yes");
    cluster.start(0, config.param("ds_dmq_join_wait", 0));
    sees(&cluster, 0, 0, "ready", patience(10));
    let answer = Http::to(cluster.addr(0)).get("/metrics", &[]).text();
    for line in [
        "cluster_ready 1",
        "cluster_nodes 1",
        "cluster_messages_total{direction=\"out\"} 0",
        "cluster_refused_total 0",
    ] {
        let line = format!("kamailio_dispatcher_{line}\n");
        assert!(answer.contains(&line), "{line}: {answer}");
    }
}

#[test]
fn nodes_find_each_other_by_one_that_they_know() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = plan(3);
    for node in 0..3 {
        start(&mut cluster, node);
    }
    cluster.wait_ready(patience(10));
    for node in 0..3 {
        let server = cluster.server(node);
        assert_eq!(cluster.members(node).len(), 3);
        wait_for("the counters", patience(5), || {
            let all = ["cluster_sent", "cluster_bytes_out", "cluster_received"];
            let counted = all.iter().all(|name| counter(server, name) > 0);
            (counted && counter(server, "cluster_nodes") == 3).then_some(())
        });
        assert_eq!(counter(server, "cluster_refused"), 0);
        for log in ["cluster: this server is lb", "cluster: ready"] {
            assert!(server.log().contains(log), "{log}: {}", server.log());
        }
    }
    assert_eq!(cluster.members(0)[0]["NAME"], "lb1");
}

#[test]
fn a_node_that_is_killed_is_missed_and_seen_again() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = plan(3);
    for node in 0..3 {
        let told = config(&cluster, node).params(TOLD);
        cluster.start(node, told);
    }
    cluster.wait_ready(patience(10));
    cluster.kill(2);
    for seer in [0, 1] {
        sees(&cluster, seer, 2, "dead", soon());
        assert_eq!(counter(cluster.server(seer), "cluster_nodes"), 2);
        cluster.server(seer).wait_log("cluster: lb3 is down");
        let uri = cluster.uri(2);
        cluster.server(seer).wait_log(&format!("DOWN lb3 {uri}"));
    }
    start(&mut cluster, 2);
    for seer in [0, 1] {
        sees(&cluster, seer, 2, "ready", soon());
        let uri = cluster.uri(2);
        let line = format!("UP lb3 {uri} {uri} [<null><null><null>]");
        cluster.server(seer).wait_log(&line);
    }
}

#[test]
fn another_key_is_refused_and_counted() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = plan(2);
    start(&mut cluster, 0);
    let config = cluster.bus_config(1, "");
    let config = config
        .param("enable_dmq", 1)
        .param("ds_dmq_key", "another")
        .param("ds_dmq_peer", cluster.uri(0));
    cluster.start(1, config);
    let (first, second) = (cluster.server(0), cluster.server(1));
    first.wait_log("cluster: a message from 127.0.0.1 was refused: 403");
    second.wait_log("refuses our messages: 403");
    wait_for("refusals", patience(10), || {
        let refused = [first, second].map(|server| counter(server, "cluster_refused"));
        (refused.iter().all(|refused| *refused > 2)).then_some(())
    });
    assert_eq!(
        first.log().matches("was refused: 403").count(),
        1,
        "once a minute"
    );
    assert_eq!(cluster.members(0).len(), 1);
    sees(&cluster, 0, 0, "ready", patience(10));
}

#[test]
fn a_node_without_the_bus_or_with_a_bad_value_does_not_start() {
    let fails = |config: Config, why: &str| {
        let failed = Kamailio::try_start(Module::Rust, config.only_critical());
        let log = failed.err().unwrap_or_else(|| panic!("it started: {why}"));
        assert!(log.contains(why), "{why}: {log}");
    };
    let routes = "request_route { exit; }";
    let list = "1 sip:127.0.0.1:7001\n";
    let without = Config::routes(routes).list(list).param("enable_dmq", 1);
    if this_server::core() < this_server::BUS {
        let why = "found \"1\", expected 0, as the module was built for a Kamailio before 5.6";
        return fails(without, why);
    }
    fails(
        without.clone(),
        "enable_dmq needs the module dmq, loaded before this one",
    );
    let late = without.params("loadmodule \"dmq.so\"\nmodparam(\"dmq\", \"server_address\", \"sip:127.0.0.1:{{PORT}}\")\n");
    fails(
        late,
        "enable_dmq needs the module dmq, loaded before this one",
    );
    let cluster = plan(1);
    let bad = |name: &str, value: &str, expected: &str| {
        let config = cluster.bus_config(0, "").param("enable_dmq", 1);
        let config = match value.parse::<i64>() {
            Ok(number) => config.param(name, number),
            Err(_) => config.param(name, value),
        };
        let why = format!("parameter {name}: found \"{value}\", expected {expected}");
        fails(config, &why);
    };
    bad("enable_dmq", "2", "0 or 1");
    bad("dmq_peer_id", "a@b", "1 to 64 letters");
    bad("ds_dmq_node", "two words", "1 to 64 visible characters");
    bad("ds_dmq_peer", "lb2", "a SIP URI");
    bad("ds_dmq_hello", "99", "milliseconds, 100 to 60000");
    bad("ds_dmq_dead_time", "1999", "milliseconds, 2000 to 600000");
    bad("ds_dmq_join_wait", "-1", "milliseconds, 0 to 600000");
    bad("ds_dmq_load", "2", "0 or 1");
    bad("ds_dmq_calls", "-1", "0 or 1");
    bad("ds_dmq_dead_hold", "0", "seconds, 1 to 3600");
    bad("ds_dmq_key", "file:/no/such/file", "a key, or file:PATH");
    let many = cluster.bus_config(0, "").param("enable_dmq", 1);
    let peer = |number: usize| format!("sip:127.0.1.{number}:5060");
    let many = (1..=128).fold(many, |many, number| many.param("ds_dmq_peer", peer(number)));
    let why = "parameter ds_dmq_peer: found \"sip:127.0.1.128:5060\", expected at most 127";
    fails(many, why);
    let short = cluster.bus_config(0, "").param("enable_dmq", 1);
    let short = short
        .param("ds_dmq_hello", 2_000)
        .param("ds_dmq_dead_time", 3_000);
    fails(
        short,
        "found \"3000\", expected at least twice ds_dmq_hello",
    );
    let taken = cluster.bus_config(0, "").param("enable_dmq", 1);
    let taken = taken.param("dmq_peer_id", "notification_peer");
    fails(
        taken,
        "enable_dmq: dmq takes no user \"notification_peer\" (dmq_peer_id)",
    );
}

#[test]
fn a_node_with_the_packaged_module_is_left_alone() {
    if this_server::lacks_bus() || this_server::lacks_c_module() {
        return;
    }
    let mut cluster = plan(2);
    let bus = cluster.bus_config(1, "");
    cluster.start_with(1, Module::C, bus);
    let config = config(&cluster, 0).param("ds_dmq_peer", cluster.uri(1));
    cluster.start(0, config);
    sees(&cluster, 0, 0, "ready", patience(10));
    let members = cluster.members(0);
    let other = members
        .iter()
        .find(|member| member["URI"] == cluster.uri(1));
    let other = other.unwrap_or_else(|| panic!("{members:?}"));
    assert_eq!(other["STATE"], "unheard");
    // It was asked, has answered 404, and has peace now.
    assert!(
        other["SENT"]
            .as_i64()
            .is_some_and(|sent| (1..5).contains(&sent)),
        "{other}"
    );
    assert_eq!(counter(cluster.server(0), "cluster_nodes"), 1);
}

#[test]
fn messages_arrive_by_the_workers_of_dmq_and_over_tcp() {
    if this_server::lacks_bus() {
        return;
    }
    let ways =
        ["if ($rU == \"dscluster\") { dmq_process_message(); } else { dmq_handle_message(); }"];
    let by_workers = ROUTES.replace(ways[0], "dmq_handle_message();");
    assert_ne!(by_workers, ROUTES);
    for transport in ["udp", "tcp"] {
        let mut cluster = plan(2);
        for node in 0..2 {
            let uri = |node| format!("{};transport={transport}", cluster.uri(node));
            let config = Config::routes(&by_workers)
                .at(cluster.addr(node))
                .define("ALGORITHM", 4)
                .define("BYE", "")
                .list("1 sip:127.0.0.1:7001\n")
                .load("dmq.so")
                .modparam("dmq", "server_address", uri(node))
                .modparam("dmq", "notification_address", uri(1 - node))
                .param("enable_dmq", 1)
                .param("ds_dmq_node", cluster.name(node))
                .param("ds_dmq_key", "secret")
                .param("ds_dmq_peer", uri(1 - node))
                .tcp()
                .only_critical();
            cluster.start(node, config);
        }
        cluster.wait_ready(patience(15));
    }
}

#[test]
fn commands_leave_come_back_and_forget() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = plan(2);
    (0..2).for_each(|node| start(&mut cluster, node));
    cluster.wait_ready(patience(10));
    let ask = |node: usize, words: &[&str]| {
        let asked = cluster
            .server(node)
            .jsonrpc("dispatcher.cluster", json!(words));
        asked.map_err(|fault| fault.text)
    };
    assert_eq!(ask(1, &["leave"]).unwrap(), "Ok.");
    sees(&cluster, 0, 1, "left", patience(5));
    cluster.server(0).wait_log("cluster: lb2 has left");
    assert_eq!(cluster.state_of(1, 1), "left");
    assert_eq!(ask(1, &["sync"]).unwrap(), "Ok.");
    cluster.wait_ready(patience(10));
    assert_eq!(ask(0, &["forget", "lb9"]).unwrap_err(), "No Such Node");
    assert_eq!(ask(0, &["forget", "lb1"]).unwrap_err(), "No Such Node");
    assert_eq!(ask(0, &["frobnicate"]).unwrap_err(), "Invalid Parameters");
    cluster.kill(1);
    sees(&cluster, 0, 1, "dead", patience(7));
    let asked = cluster
        .server(0)
        .jsonrpc("dispatcher.cluster", json!(["forget", "lb2"]));
    assert_eq!(asked.unwrap(), "Ok.");
    wait_for("it is forgotten", patience(5), || {
        (cluster.members(0).len() == 1).then_some(())
    });
}

#[test]
fn a_server_that_is_alone_has_no_cluster() {
    let routes =
        "request_route { if (ds_dmq_ready()) { xlog(\"L_NOTICE\", \"READY\\n\"); } exit; }";
    let server = Kamailio::start(
        Module::Rust,
        Config::routes(routes).list("1 sip:127.0.0.1:7001\n"),
    );
    let fault = server.jsonrpc("dispatcher.cluster", json!([])).unwrap_err();
    assert_eq!(fault.text, "No Cluster (enable_dmq is 0)");
    let all = server
        .jsonrpc("stats.fetch", json!(["dispatcher:"]))
        .unwrap();
    assert!(!all.to_string().contains("cluster_"), "{all}");
    assert!(!server.kamcmd(&["core.ps"]).unwrap().contains("cluster"));
}

#[test]
fn memory_returns_to_its_level() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = plan(2);
    for node in 0..2 {
        let fast = config(&cluster, node).param("ds_dmq_hello", 100);
        cluster.start(node, fast);
    }
    cluster.wait_ready(patience(10));
    let used = || {
        let memory = cluster.server(0).jsonrpc("core.shmmem", json!([])).unwrap();
        memory["used"].as_i64().unwrap()
    };
    // Transactions stay for five seconds, so the level is that of six.
    let level = |what: &str| {
        let mut most = 0;
        let end = std::time::Instant::now() + Duration::from_secs(6);
        wait_for(what, patience(20), || {
            most = most.max(used());
            (std::time::Instant::now() > end).then_some(())
        });
        most
    };
    let before = level("the level");
    for _ in 0..200 {
        let asked = cluster
            .server(1)
            .jsonrpc("dispatcher.cluster", json!(["sync"]));
        asked.unwrap();
    }
    let after = level("the level after 200 exchanges");
    wait_for("memory is given back", patience(15), || {
        (used() <= before + 20_000 + sanitizer::kept()).then_some(())
    });
    assert!(
        after < before + 3_000_000 + sanitizer::kept(),
        "{before} {after}"
    );
}

#[test]
fn a_process_that_does_nothing_is_said_once() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = plan(1);
    start(&mut cluster, 0);
    sees(&cluster, 0, 0, "ready", patience(10));
    let server = cluster.server(0);
    let process = held::process(server, |name| name == "dispatcher cluster");
    let stopped = held::Stopped::stop(process);
    wait_for("the line about it", patience(20), || {
        let line = "cluster: its process has done nothing for 1";
        server.log().contains(line).then_some(())
    });
    drop(stopped);
    // Its own row is as old as what it has shown last.
    wait_for("it goes on", patience(5), || {
        let members = cluster.members(0);
        let shown_ms = members[0]["HEARD_MS"].as_i64();
        shown_ms.is_some_and(|ms| ms < 1_000).then_some(())
    });
    let said = server.log().matches("its process has done nothing").count();
    assert_eq!(said, 1);
}

#[test]
fn a_peer_without_an_address_delays_nobody() {
    if this_server::lacks_bus() {
        return;
    }
    let mut cluster = plan(2);
    for node in 0..2 {
        let config = config(&cluster, node);
        let config = config.param("ds_dmq_peer", "sip:nobody.invalid:5060");
        cluster.start(node, config);
    }
    cluster.wait_ready(patience(15));
    let line = "cluster: nothing can be sent to sip:nobody.invalid:5060";
    cluster.server(0).wait_log(line);
    let end = std::time::Instant::now() + Duration::from_secs(12);
    wait_for("the second try", patience(20), || {
        assert_eq!(cluster.state_of(0, 1), "ready");
        (std::time::Instant::now() > end).then_some(())
    });
    let log = cluster.server(0).log();
    assert_eq!(log.matches(line).count(), 1);
    let failed = log.matches(" ERROR: dmq ").count();
    assert!((1..5).contains(&failed), "{failed}: {log}");
}

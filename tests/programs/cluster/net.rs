//! The servers of a cluster, their gateways and callers reach each other, at the switch and on loopback.

use std::collections::HashMap;

use harness::cluster::Plan;
use harness::this_machine::lacks_a_switch;
use harness::{Request, patience, this_server, wait_for};
use serde_json::{Value, json};

/// Starts two servers that have only the bus, and calls through both.
fn two_servers(plan: Plan, is_at_a_switch: bool) {
    let mut cluster = plan.make();
    for node in [0, 1] {
        let config = cluster.bus_config(node, "");
        cluster.start(node, config);
    }
    let caller = cluster.caller();
    for node in [0, 1] {
        let invite = Request::new("INVITE", "sip:callee@service.test");
        let call = caller.call(cluster.addr(node), invite);
        let call = call.unwrap_or_else(|reply| panic!("{}", reply.start));
        assert_eq!(call.bye().status(), Some(200));
    }
    assert_eq!(
        cluster
            .gateways
            .iter()
            .map(|gateway| gateway.count("INVITE"))
            .sum::<usize>(),
        2
    );
    for node in [0, 1] {
        let other = cluster.addr(1 - node).to_string();
        wait_for("the other server on the bus", patience(10), || {
            let nodes = cluster
                .server(node)
                .jsonrpc("dmq.list_nodes", json!([]))
                .ok()?;
            let is_other = |node: &Value| {
                let [host, port] = ["host", "port"].map(|key| node[key].as_str());
                format!("{}:{}", host.unwrap_or("?"), port.unwrap_or("?")) == other
            };
            nodes.as_array()?.iter().any(is_other).then_some(())
        });
    }
    if is_at_a_switch {
        let traffic = cluster.switch().traffic(cluster.place(1), cluster.place(0));
        assert!(traffic.kdmqs > 0 && traffic.bytes > 0, "{traffic:?}");
    }
}

#[test]
fn servers_at_a_switch_reach_each_other_and_their_gateways() {
    if !this_server::lacks_bus() && !lacks_a_switch() {
        two_servers(Plan::of(2), true);
    }
}

#[test]
fn a_message_without_an_answer_is_sent_again_soon() {
    if this_server::lacks_bus() || lacks_a_switch() {
        return;
    }
    let mut cluster = Plan::of(2).make();
    cluster.start_all("");
    cluster.cut(0, 1);
    let (one, other) = (cluster.place(0), cluster.place(1));
    let copies = || {
        let mut copies = HashMap::<String, usize>::new();
        for packet in cluster.switch().recorded(one, other) {
            let text = String::from_utf8_lossy(&packet).into_owned();
            let call = text.lines().find(|line| line.starts_with("Call-ID: "));
            *copies
                .entry(call.unwrap_or_default().to_owned())
                .or_default() += 1;
        }
        copies.into_values().max().unwrap_or_default()
    };
    cluster.switch().record(one, other);
    // Each message is given up after 2 s. With the usual times of tm it would be sent three times until then.
    std::thread::sleep(patience(4));
    let copies = copies();
    assert!((5..=7).contains(&copies), "{copies} copies");
}

#[test]
fn servers_on_loopback_reach_each_other_and_their_gateways() {
    if !this_server::lacks_bus() {
        two_servers(Plan::of(2).on_loopback(), false);
    }
}

//! The servers of a cluster, their gateways and callers reach each other, at the switch and on loopback.

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
fn servers_on_loopback_reach_each_other_and_their_gateways() {
    if !this_server::lacks_bus() {
        two_servers(Plan::of(2).on_loopback(), false);
    }
}

//! An edge proxy with failover and probing.

use super::stage::{Meant, Peers, Stage, both};
use harness::Config;

const OUTSIDE: &str = "sip:100@edge.example.com";

fn play(stage: &Stage<'_>) {
    stage.wait_flags(1, &["AP"; 3]);
    stage.list(1);
    calls_in_turn(stage);
    calls_out(stage);
    failover(stage);
    maintenance(stage);
    reload(stage);
}

fn calls_in_turn(stage: &Stage<'_>) {
    for _ in 0..3 {
        let call = stage.call(OUTSIDE).unwrap();
        stage.again(&call, "INVITE", 2);
        stage.bye(call);
    }
    stage.round(9, OUTSIDE);
    stage.send(&stage.request("REGISTER", "sip:edge.example.com"));
    stage.send(&stage.request("INVITE", "sip:edge.example.com"));
    stage.send(&stage.request("OPTIONS", "sip:edge.example.com"));
    stage.send(&stage.request("MESSAGE", OUTSIDE));
    stage.send(&stage.request("BYE", OUTSIDE).tagged("nobody"));
}

/// An application server calls a telephone outside.
fn calls_out(stage: &Stage<'_>) {
    let phone = stage.address("sip:200@{{phone}}");
    for from in ["app1", "app3"] {
        let request = stage.request("MESSAGE", &phone);
        stage.send_from(&stage.caller_at(from), &request);
    }
    stage.send(&stage.request("MESSAGE", &phone));
}

fn failover(stage: &Stage<'_>) {
    // It answers pings and fails calls: it stays in the turn.
    stage.peer("app2", |app| app.set_answer_to("INVITE", 503));
    for _ in 0..3 {
        stage.call(OUTSIDE);
    }
    stage.peer("app2", |app| app.set_answer_to("INVITE", 486));
    stage.round(6, OUTSIDE);
    stage.peer("app2", |app| app.set_answer_to("INVITE", 200));
    // Nobody is there any more.
    stage.peer("app3", |app| app.stop());
    stage.wait_flags(1, &["IP", "AP", "AP"]);
    stage.wait_logged(1, "edge: destination is down: sip:{{app3}}");
    stage.round(6, OUTSIDE);
    for app in ["app1", "app2"] {
        stage.peer(app, |app| app.set_answer_to("INVITE", 500));
    }
    stage.call(OUTSIDE);
    for app in ["app1", "app2"] {
        stage.peer(app, |app| app.set_answer_to("INVITE", 200));
    }
    stage.peer("app3", |app| app.restart());
    stage.wait_flags(1, &["AP", "AP", "AP"]);
    stage.wait_logged(1, "edge: destination is up: sip:{{app3}}");
    stage.round(6, OUTSIDE);
}

fn maintenance(stage: &Stage<'_>) {
    stage.rpc(&["dispatcher.set_state", "d", "1", "sip:{{app1}}"]);
    stage.list(1);
    stage.round(4, OUTSIDE);
    for app in ["app2", "app3"] {
        stage.rpc(&[
            "dispatcher.set_state",
            "d",
            "1",
            &format!("sip:{{{{{app}}}}}"),
        ]);
    }
    stage.call(OUTSIDE);
    stage.rpc(&["dispatcher.set_state", "ap", "1", "sip:{{app2}}"]);
    stage.rpc(&["dispatcher.set_state", "ap", "1", "sip:{{app3}}"]);
}

fn reload(stage: &Stage<'_>) {
    stage.write_list(include_str!("edge.list"));
    stage.rpc(&["dispatcher.reload"]);
    let active = stage
        .server
        .dests(1)
        .iter()
        .filter(|(_, flags)| flags.starts_with('A'))
        .count();
    stage.note(format!("active after a reload: {active}"));
    stage.rpc(&["dispatcher.set_state", "ap", "1", "sip:{{app1}}"]);
    stage.wait_flags(1, &["AP"; 3]);
    stage.round(6, OUTSIDE);
}

#[test]
fn edge_proxy_with_failover() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let mut peers = Peers::start(&["app1", "app2", "app3", "phone"]);
    let config = Config::raw(include_str!("edge.cfg")).list(include_str!("edge.list"));
    let meant = [Meant {
        name: "reload keeps states",
        c: "active after a reload: 3",
        ours: "active after a reload: 2",
    }];
    both(&config, &mut peers, &play, &meant);
}

//! Trunks and rooms whose routes are scripts in Lua and Python.

use super::stage::{Meant, Peers, Stage, both};
use harness::{Answer, Config};

const NUMBER: &str = "sip:100@trunk.example.com";

fn trunk(stage: &Stage<'_>) {
    stage.list(1);
    let call = stage.call(NUMBER).unwrap();
    stage.again(&call, "INVITE", 2);
    stage.bye(call);
    stage.round(4, NUMBER);
    stage.send(&stage.request("BYE", NUMBER).tagged("nobody"));
    let from_pbx = stage.request("MESSAGE", NUMBER);
    let id = from_pbx.id().to_vec();
    stage.send_from(&stage.caller_at("pbx1"), &from_pbx);
    for pbx in ["pbx1", "pbx2"] {
        let got = stage.peer(pbx, |pbx| pbx.requests());
        if let Some(got) = got.iter().find(|got| got.header("Call-ID") == Some(&id)) {
            stage.note(format!("{pbx} heard: {}", got.text("X-Origin")));
        }
    }
    trunk_fails(stage);
}

/// Each PBX fails, and comes back when it answers a ping.
fn trunk_fails(stage: &Stage<'_>) {
    stage.peer("pbx1", |pbx| pbx.stop());
    stage.peer("pbx2", |pbx| pbx.set_answer(Answer::Code(503)));
    stage.call(NUMBER);
    stage.wait_flags(1, &["IP", "IP"]);
    stage.wait_logged(2, "trunk: dispatcher:dst-down sip:");
    stage.call(NUMBER);
    stage.peer("spare1", |pbx| pbx.set_answer_to("INVITE", 500));
    stage.call(NUMBER);
    stage.list(2);
    stage.rpc(&["dispatcher.set_state", "i", "2", "all"]);
    stage.call(NUMBER);
    stage.peer("pbx1", |pbx| pbx.restart());
    stage.wait_flags(1, &["IP", "AP"]);
    stage.wait_logged(1, "trunk: dispatcher:dst-up sip:{{pbx1}}");
    stage.round(2, NUMBER);
}

#[test]
fn trunk_in_lua() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let mut peers = Peers::start(&["pbx1", "pbx2", "spare1", "spare2"]);
    let config = Config::raw(include_str!("lua.cfg"))
        .file("trunk.lua", include_str!("trunk.lua"))
        .list("1 sip:{{pbx1}}\n1 sip:{{pbx2}}\n2 sip:{{spare1}} 0 9\n2 sip:{{spare2}} 0 1\n");
    both(&config, &mut peers, &trunk, &[]);
}

const BRIDGES: &str = "\
1 sip:{{bridge1}} 0 0 zone=a
1 sip:{{bridge2}} 0 0 zone=b
2 sip:{{rec1}} 0 0 duid=rec1;maxload=1
2 sip:{{rec2}} 0 0 duid=rec2;maxload=1
";

fn rooms(stage: &Stage<'_>) {
    for room in ["daily", "weekly", "board", "sales", "daily"] {
        let call = stage
            .call(&format!("sip:{room}@rooms.example.com"))
            .unwrap();
        stage.bye(call);
    }
    stage.send(&stage.request("MESSAGE", "sip:daily@rooms.example.com"));
    let guest = stage.address("sip:guest@{{guest}}");
    for from in ["bridge1", "rec1"] {
        let invite = stage.request("INVITE", &guest);
        stage.send_from(&stage.caller_at(from), &invite);
    }
    let zones = stage.peer("guest", |guest| guest.requests());
    let zones: Vec<String> = zones.iter().map(|got| got.text("X-Zone")).collect();
    stage.note(format!("the guest heard: {zones:?}"));
    recordings(stage);
    failures(stage);
}

fn recordings(stage: &Stage<'_>) {
    let first = stage.call("sip:rec-1@rooms.example.com").unwrap();
    let second = stage.call("sip:rec-2@rooms.example.com").unwrap();
    stage.call("sip:rec-3@rooms.example.com");
    stage.bye(first);
    stage.peer("rec2", |rec| rec.set_answer_to("INVITE", 480));
    stage.call("sip:rec-4@rooms.example.com");
    stage.peer("rec2", |rec| rec.set_answer_to("INVITE", 200));
    let again = stage.call("sip:rec-5@rooms.example.com").unwrap();
    stage.bye(again);
    stage.bye(second);
}

fn failures(stage: &Stage<'_>) {
    for bridge in ["bridge1", "bridge2"] {
        stage.peer(bridge, |bridge| bridge.set_answer_to("INVITE", 503));
        stage.call("sip:daily@rooms.example.com");
        stage.call("sip:sales@rooms.example.com");
        stage.list(1);
    }
    stage.call("sip:board@rooms.example.com");
    stage.write_list(&BRIDGES.replace("{{bridge2}}", "{{bridge3}}"));
    stage.send(&stage.request("NOTIFY", "sip:rooms.example.com"));
    stage.list(1);
    stage.call("sip:board@rooms.example.com");
    stage.call("sip:daily@rooms.example.com");
    stage.write_list("1\n");
    stage.send(&stage.request("NOTIFY", "sip:rooms.example.com"));
    stage.call("sip:board@rooms.example.com");
}

#[test]
fn rooms_in_python() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let peers = ["bridge1", "bridge2", "bridge3", "rec1", "rec2", "guest"];
    let mut peers = Peers::start(&peers);
    let config = Config::raw(include_str!("python.cfg"))
        .file("rooms.py", include_str!("rooms.py"))
        .list(BRIDGES)
        .allow_log("dispatcher");
    let meant = [
        Meant {
            name: "reload keeps states",
            c: "bridge1 AX",
            ours: "bridge1 IX",
        },
        Meant {
            name: "reload keeps states",
            c: "bridge1 got sip:board@bridge1; bridge3 got",
            ours: "by bridge3; bridge3 got",
        },
    ];
    both(&config, &mut peers, &rooms, &meant);
}

//! A config of the time of 3.1, as its documentation means it: the C module refuses its names.

use super::stage::{Peers, Stage, run};
use harness::{Config, Module, check_config, check_config_as_it_is};

const NUMBER: &str = "sip:100@old.example.org";

fn heard(stage: &Stage<'_>, name: &str, header: &str) {
    let last = stage.peer(name, |peer| peer.requests());
    let last = last.iter().rfind(|request| request.method() == "INVITE");
    let text = last.map(|request| request.text(header));
    stage.note(format!("{name} heard: {}", text.unwrap_or_default()));
}

fn play(stage: &Stage<'_>) {
    // gw3 begins in probing, answers a ping, and is back.
    stage.wait_flags(1, &["AX"; 4]);
    stage.list(1);
    for name in ["gw3", "gw2", "gw1"] {
        let call = stage.call(NUMBER).unwrap();
        stage.bye(call);
        heard(stage, name, "X-Count");
    }
    failures(stage);
    from_gateways(stage);
}

fn failures(stage: &Stage<'_>) {
    for gateway in ["gw1", "gw2", "gw3"] {
        stage.peer(gateway, |gateway| gateway.set_answer_to("INFO", 500));
    }
    // The first failure only counts, the second makes it probing: it gets no calls any more.
    stage.peer("gw3", |gateway| gateway.set_answer_to("INVITE", 503));
    stage.call(NUMBER);
    stage.list(1);
    stage.round(2, NUMBER);
    stage.call(NUMBER);
    stage.list(1);
    stage.round(4, NUMBER);
    // Gone for good: nobody calls or pings it again.
    stage.peer("gw2", |gateway| gateway.set_answer_to("INVITE", 410));
    stage.round(2, NUMBER);
    stage.list(1);
    // The destination of last resort.
    stage.peer("gw1", |gateway| gateway.set_answer_to("INVITE", 500));
    stage.call(NUMBER);
    heard(stage, "last", "X-Count");
    stage.call(NUMBER);
    stage.list(1);
    stage.call(NUMBER);
    // A code of the list brings a probing one back.
    stage.peer("gw3", |gateway| {
        gateway.set_answer_to("INFO", 302);
        gateway.set_answer_to("INVITE", 200);
    });
    stage.wait_flags(1, &["AX", "IX", "IP", "AX"]);
    stage.round(2, NUMBER);
}

/// A gateway calls from its own port: the config knows its set.
fn from_gateways(stage: &Stage<'_>) {
    let phone = stage.address("sip:200@{{phone}}");
    let invite = stage.request("INVITE", &phone);
    stage.send_from(&stage.caller_as("gw2"), &invite);
    heard(stage, "phone", "X-From-Set");
    let pings = stage.peer("gw3", |gateway| gateway.count("INFO"));
    stage.note(format!("gw3 was pinged: {}", pings > 0));
}

/// The outcome that the documentation of that time promises.
const MEANT: &[&str] = &[
    "set 1: sip:gw3 AX sip:gw2 AX sip:gw1 AX sip:last AX",
    // In turn, without the last one, which is for the worst; the failover list has all.
    "INVITE: 200 OK by gw3; gw3 got sip:100@gw3",
    "inside: BYE: SIP/2.0 200 OK by gw3",
    "gw3 heard: 4 of set 1, rank=main;name=gw3",
    "INVITE: 200 OK by gw2; gw2 got sip:100@gw2",
    "inside: BYE: SIP/2.0 200 OK by gw2",
    "gw2 heard: 4 of set 1, rank=main;name=gw2",
    "INVITE: 200 OK by gw1; gw1 got sip:100@gw1",
    "inside: BYE: SIP/2.0 200 OK by gw1",
    "gw1 heard: 4 of set 1, rank=main;name=gw1",
    // The first failure of gw3 counts, the second is the threshold.
    "INVITE: 200 OK by gw2; gw3 got sip:100@gw3; gw2 got sip:100@gw2",
    "set 1: sip:gw3 AX sip:gw2 AX sip:gw1 AX sip:last AX",
    "2 calls: [(\"gw1\", 1), (\"gw2\", 1)]",
    "INVITE: 200 OK by gw2; gw3 got sip:100@gw3; gw2 got sip:100@gw2",
    "set 1: sip:gw3 IP sip:gw2 AX sip:gw1 AX sip:last AX",
    "4 calls: [(\"gw1\", 2), (\"gw2\", 2)]",
    // gw2 is inactive from the first mark on, and not probed.
    "2 calls: [(\"SIP/2.0 410 Refused\", 1), (\"gw1\", 1)]",
    "set 1: sip:gw3 IP sip:gw2 IX sip:gw1 AX sip:last AX",
    "INVITE: 200 OK by last; gw1 got sip:100@gw1; last got sip:100@last",
    "last heard: 2 of set 1, rank=main;name=gw1",
    "INVITE: 200 OK by last; gw1 got sip:100@gw1; last got sip:100@last",
    "set 1: sip:gw3 IP sip:gw2 IX sip:gw1 IP sip:last AX",
    "INVITE: 200 OK by last; last got sip:100@last",
    // A reply of class 3 is good here; gw3 is back.
    "2 calls: [(\"gw3\", 2)]",
    "INVITE: 200 OK by phone; phone got sip:200@phone",
    "phone heard: 1",
    "gw3 was pinged: true",
];

#[test]
fn old_time_config_as_documented() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let mut peers = Peers::start(&["gw1", "gw2", "gw3", "last", "other", "phone"]);
    let config = Config::raw(include_str!("oldtime.cfg"))
        .list(include_str!("oldtime.list"))
        .expect_log("the config uses names of version 3.2");
    let refused = check_config_as_it_is(Module::C, &peers.fill(config.clone())).unwrap_err();
    assert!(refused.contains("parameter <dst_avp>"), "{refused}");
    check_config(Module::Rust, &peers.fill(config.clone())).unwrap();
    let notes = run(Module::Rust, &config, &mut peers, &play);
    assert_eq!(notes, MEANT);
}

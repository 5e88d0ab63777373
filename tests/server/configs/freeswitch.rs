//! A farm of media servers by number of calls.

use super::stage::{Meant, Peers, Stage, both};
use harness::{Call, Config, patience, wait_for};

const NUMBER: &str = "sip:300@pbx.example.com";

/// Notes how many calls each server has.
fn loads(stage: &Stage<'_>) {
    let list = stage.server.kamcmd(&["dispatcher.list"]).unwrap();
    let field = |name: &str| {
        let values = list
            .lines()
            .filter_map(|line| line.trim().strip_prefix(name));
        values
            .map(|value| value.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let loads = field("URI:").into_iter().zip(field("DLGLOAD:"));
    let loads: Vec<String> = loads.map(|(uri, load)| format!("{uri} {load}")).collect();
    stage.note(format!("loads: {}", loads.join(", ")));
}

fn play(stage: &Stage<'_>) {
    let mut calls = full_house(stage);
    // One hangs up: the next call goes there.
    stage.bye(calls.remove(1));
    loads(stage);
    calls.push(stage.call(NUMBER).unwrap());
    for call in calls.drain(..) {
        stage.bye(call);
    }
    loads(stage);
    refusals(stage);
    given_up(stage);
    outbound(stage);
    reload(stage);
    all_fail(stage);
}

fn full_house<'a>(stage: &'a Stage<'_>) -> Vec<Call<'a>> {
    let mut calls = Vec::new();
    for _ in 0..7 {
        calls.push(stage.call(NUMBER).expect("a line"));
        loads(stage);
    }
    stage.call(NUMBER);
    stage.again(&calls[0], "INVITE", 2);
    loads(stage);
    calls
}

/// A call that is refused counts at nobody; one that fails over counts where it goes.
fn refusals(stage: &Stage<'_>) {
    stage.peer("fs3", |fs| fs.set_answer_to("INVITE", 603));
    stage.call(NUMBER);
    loads(stage);
    stage.peer("fs3", |fs| fs.set_answer_to("INVITE", 503));
    let call = stage.call(NUMBER).unwrap();
    loads(stage);
    stage.bye(call);
    loads(stage);
    stage.peer("fs3", |fs| fs.set_answer_to("INVITE", 200));
}

/// A call that nobody takes is over when the last one has refused it.
fn all_fail(stage: &Stage<'_>) {
    for fs in ["fs1", "fs2", "fs3"] {
        stage.peer(fs, |fs| fs.set_answer_to("INVITE", 500));
    }
    stage.call(NUMBER);
    loads(stage);
}

/// The caller hangs up while it rings.
fn given_up(stage: &Stage<'_>) {
    for fs in ["fs1", "fs2", "fs3"] {
        stage.peer(fs, |fs| fs.set_answer_to("INVITE", 0));
    }
    let invite = stage.request("INVITE", NUMBER);
    stage.uac.send(stage.server.addr(), &invite);
    wait_for("the INVITE at a server", patience(5), || {
        let came = ["fs1", "fs2", "fs3"]
            .iter()
            .any(|&fs| stage.peer(fs, |fs| fs.count_call("INVITE", invite.id())) > 0);
        came.then_some(())
    });
    loads(stage);
    let reply = stage.uac.cancel(stage.server.addr(), &invite);
    stage.note(format!("CANCEL: {}", reply.start));
    loads(stage);
    for fs in ["fs1", "fs2", "fs3"] {
        stage.peer(fs, |fs| fs.set_answer_to("INVITE", 200));
    }
}

fn outbound(stage: &Stage<'_>) {
    let phone = stage.address("sip:200@{{phone}}");
    let invite = stage.request("INVITE", &phone);
    stage.send_from(&stage.caller_at("fs2"), &invite);
    loads(stage);
}

/// Calls go on over a reload; hang-ups of before count for nobody else.
fn reload(stage: &Stage<'_>) {
    let calls: Vec<_> = (0..3).map(|_| stage.call(NUMBER).unwrap()).collect();
    loads(stage);
    stage.rpc(&["dispatcher.reload"]);
    loads(stage);
    for call in calls {
        stage.bye(call);
    }
    loads(stage);
}

#[test]
fn farm_by_number_of_calls() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let mut peers = Peers::start(&["fs1", "fs2", "fs3", "phone"]);
    let config = Config::raw(include_str!("freeswitch.cfg")).list(include_str!("freeswitch.list"));
    let meant = [
        Meant {
            name: "counts survive a reload (W12)",
            c: "loads: sip:fs3 0, sip:fs2 0, sip:fs1 0",
            ours: "loads: sip:fs3 1, sip:fs2 1, sip:fs1 1",
        },
        Meant {
            name: "ds_load_unset at the end of the list",
            c: "loads: sip:fs3 0, sip:fs2 0, sip:fs1 1",
            ours: "loads: sip:fs3 0, sip:fs2 0, sip:fs1 0",
        },
    ];
    both(&config, &mut peers, &play, &meant);
}

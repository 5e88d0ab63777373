//! A carrier switch: least-cost routing with weights, prefixes and failover between sets.

use super::stage::{Meant, Peers, Stage, both};
use harness::{Config, Request};

const GERMANY: &str = "sip:4930123456@lcr.example.org";
const AMERICA: &str = "sip:12125550100@lcr.example.org";
const BRITAIN: &str = "sip:442071234567@lcr.example.org";

fn play(stage: &Stage<'_>) {
    shares(stage);
    failover(stage);
    inbound(stage);
    silent_carrier(stage);
    operator(stage);
}

/// A whole round of weights is exact.
fn shares(stage: &Stage<'_>) {
    stage.round(100, GERMANY);
    stage.round(100, BRITAIN);
    for _ in 0..2 {
        let call = stage.call(AMERICA).unwrap();
        stage.again(&call, "INVITE", 2);
        stage.bye(call);
    }
    stage.call("sip:33140000000@lcr.example.org");
}

/// The cheap ones fail one after the other, then premium is tried in its order.
fn failover(stage: &Stage<'_>) {
    stage.rpc(&["dispatcher.set_state", "d", "10", "sip:{{acme}}"]);
    stage.rpc(&["dispatcher.set_state", "d", "10", "sip:{{coral}}"]);
    stage.call(GERMANY);
    stage.peer("bolt", |carrier| carrier.set_answer_to("INVITE", 503));
    stage.call(GERMANY);
    stage.peer("delta", |carrier| carrier.set_answer_to("INVITE", 500));
    stage.call(GERMANY);
    stage.peer("echo", |carrier| carrier.set_answer_to("INVITE", 404));
    stage.call(GERMANY);
    stage.peer("echo", |carrier| carrier.set_answer_to("INVITE", 503));
    stage.call(GERMANY);
    for carrier in ["bolt", "delta", "echo"] {
        stage.peer(carrier, |carrier| carrier.set_answer_to("INVITE", 200));
    }
}

/// Carriers call: the softswitches hear which one it is.
fn inbound(stage: &Stage<'_>) {
    for carrier in ["acme", "echo", "golf", "switch1"] {
        let invite: Request = stage.request("INVITE", GERMANY);
        let id = invite.id().to_vec();
        stage.send_from(&stage.caller_at(carrier), &invite);
        for switch in ["switch1", "switch2"] {
            let got = stage.peer(switch, |switch| switch.requests());
            let of_call = got
                .iter()
                .find(|request| request.header("Call-ID") == Some(&id));
            if let Some(request) = of_call {
                stage.note(format!("{switch} heard: {}", request.text("X-Carrier")));
            }
        }
    }
}

fn silent_carrier(stage: &Stage<'_>) {
    stage.peer("delta", |carrier| carrier.stop());
    stage.call(AMERICA);
    stage.list(20);
    stage.call(AMERICA);
    stage.rpc(&["dispatcher.set_state", "i", "20", "all"]);
    stage.rpc(&["dispatcher.set_state", "i", "30", "sip:{{fox}}"]);
    stage.round(4, BRITAIN);
    stage.call(AMERICA);
    stage.rpc(&["dispatcher.set_state", "i", "30", "all"]);
    stage.call(BRITAIN);
    stage.rpc(&["dispatcher.set_state", "i", "40", "all"]);
}

/// The operator changes the contract, and writes the states into the list.
fn operator(stage: &Stage<'_>) {
    let list = include_str!("carrier.list").replace("weight=70", "weight=30");
    let list = list.replace("weight=10;", "weight=50;");
    stage.write_list(&list);
    stage.rpc(&["dispatcher.reload"]);
    for set in ["10", "20", "30"] {
        stage.rpc(&["dispatcher.set_state", "a", set, "all"]);
    }
    stage.round(100, GERMANY);
    stage.round(100, BRITAIN);
}

#[test]
fn carriers_by_cost_and_weight() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let mut peers = Peers::start(&[
        "switch1", "switch2", "acme", "bolt", "coral", "delta", "echo", "fox", "golf",
    ]);
    let config = Config::raw(include_str!("carrier.cfg")).list(include_str!("carrier.list"));
    let meant = [Meant {
        name: "set_state all of no set",
        c: "Ok. Dispatcher state updated.",
        ours: "State Update Failed",
    }];
    both(&config, &mut peers, &play, &meant);
}

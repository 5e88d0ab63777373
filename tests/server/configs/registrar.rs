//! Registrars behind a balancer that spreads subscribers by their name.

use super::stage::{Meant, Peers, Stage, both};
use harness::{Answer, Config};

const USERS: [&str; 8] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi",
];

fn aor(user: &str) -> String {
    format!("sip:{user}@sip.example.net")
}

fn register(stage: &Stage<'_>, user: &str) {
    let request = stage.request("REGISTER", "sip:sip.example.net");
    let request = request.to(aor(user)).from(aor(user));
    stage.send(&request);
}

fn call(stage: &Stage<'_>, user: &str) {
    let invite = stage.request("INVITE", &aor(user)).to(aor(user));
    if let Some(call) = stage.call_with(invite) {
        stage.bye(call);
    }
}

fn play(stage: &Stage<'_>) {
    for user in USERS {
        register(stage, user);
        call(stage, user);
    }
    let got = stage.peer("reg1", |reg| reg.requests());
    let paths = got
        .iter()
        .filter(|r| r.method() == "REGISTER" && r.header("Path").is_some());
    stage.note(format!("REGISTERs with a Path at reg1: {}", paths.count()));
    from_registrars(stage);
    challenged(stage);
    one_is_gone(stage);
    one_is_taken_out(stage);
    stage.send(&stage.request("OPTIONS", "sip:sip.example.net"));
}

/// A registrar calls a telephone by the Path that the telephone registered with.
fn from_registrars(stage: &Stage<'_>) {
    let phone = stage.address("sip:alice@{{phone}}");
    let route = format!("<sip:lb@{};lr>", stage.server.addr());
    for registrar in ["reg1", "reg2", "reg3"] {
        let invite = stage.request("MESSAGE", &phone).header("Route", &route);
        stage.send_from(&stage.caller_at(registrar), &invite);
    }
    let lost = stage.request("MESSAGE", "sip:nobody@sip.example.net");
    stage.send_from(&stage.caller_at("reg1"), &lost);
}

/// The registrar wants credentials: no reason to try another one.
fn challenged(stage: &Stage<'_>) {
    for registrar in ["reg1", "reg2", "reg3"] {
        stage.peer(registrar, |reg| {
            reg.set_answer(Answer::Codes(vec![401, 200]))
        });
    }
    for user in ["alice", "bob"] {
        register(stage, user);
        register(stage, user);
    }
    for registrar in ["reg1", "reg2", "reg3"] {
        stage.peer(registrar, |reg| reg.set_answer(Answer::Code(200)));
    }
}

fn one_is_gone(stage: &Stage<'_>) {
    stage.peer("reg2", |reg| reg.stop());
    stage.peer("reg3", |reg| reg.set_answer(Answer::Code(503)));
    for user in USERS {
        register(stage, user);
    }
    stage.peer("reg2", |reg| reg.restart());
    stage.peer("reg3", |reg| reg.set_answer(Answer::Code(200)));
}

fn one_is_taken_out(stage: &Stage<'_>) {
    stage.rpc(&["dispatcher.set_duid_state", "d", "10", "reg1"]);
    stage.list(10);
    for user in USERS {
        call(stage, user);
    }
    stage.rpc(&["dispatcher.reload"]);
    stage.list(10);
    stage.rpc(&["dispatcher.set_duid_state", "a", "10", "reg1"]);
    call(stage, "alice");
    call(stage, "bob");
}

#[test]
fn registrars_behind_a_balancer() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let mut peers = Peers::start(&["reg1", "reg2", "reg3", "phone"]);
    let config = Config::raw(include_str!("registrar.cfg")).list(include_str!("registrar.list"));
    let meant = [Meant {
        name: "reload keeps states",
        c: "sip:reg1 AX",
        ours: "sip:reg1 DX",
    }];
    both(&config, &mut peers, &play, &meant);
}

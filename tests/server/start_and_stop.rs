//! Self test of the server harness: start, select, list, failover of a real call, stop.

use harness::{
    Answer, Config, Kamailio, Module, Probe, Request, Uac, Uas, fails_to_start, this_server,
};
use serde_json::json;

const LIST: &str =
    "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002 1\n2 sip:127.0.0.1:7003 0 5 duid=a\n";

#[test]
fn starts_lists_selects_and_stops() {
    if this_server::lacks_c_module() {
        return;
    }
    let server = Kamailio::start(
        Module::C,
        Probe::new().config().list(LIST).param("flags", 2),
    );
    let list = server.jsonrpc("dispatcher.list", json!([])).unwrap();
    assert_eq!(list["NRSETS"], 2);
    assert!(
        server
            .kamcmd(&["dispatcher.list"])
            .unwrap()
            .contains("URI: sip:127.0.0.1:7002")
    );
    server.expect_log("unknown state value");
    let fault = server
        .kamcmd(&["dispatcher.set_state", "x", "1", "all"])
        .unwrap_err();
    assert_eq!(
        (fault.code, fault.text.as_str()),
        (500, "Unknown State Value")
    );
    let uac = Uac::new();
    let lines = Probe::run(
        &uac,
        server.addr(),
        "dst3,1,8,0|dump|clean|idst,2,4|from|exist,1|exists,9|active,1",
    );
    assert!(lines[0].contains("rc=1 du=sip:127.0.0.1:7001"), "{lines:?}");
    assert_eq!(
        lines[1],
        "x sip:127.0.0.1:7001 1 a=<null> id=<null> s=<null> n=<null>"
    );
    assert!(lines[2].contains("du=sip:127.0.0.1:7003"), "{lines:?}");
    assert!(lines[3].contains("rc=-1"), "{lines:?}");
    server.stop();
}

#[test]
fn batch_keeps_the_order_of_round_robin() {
    if this_server::lacks_c_module() {
        return;
    }
    let server = Kamailio::start(
        Module::C,
        Probe::new()
            .config()
            .list("1 sip:a.test 16\n1 sip:b.test 16\n")
            .allow_log("resolve"),
    );
    let uac = Uac::new();
    let requests: Vec<Request> = (0..500).map(|_| Probe::request("dst,1,4")).collect();
    let replies = uac.batch(server.addr(), &requests, 16);
    for (n, reply) in replies.iter().enumerate() {
        let host = if n % 2 == 0 {
            "du=sip:b.test"
        } else {
            "du=sip:a.test"
        };
        assert!(
            reply.body_text().contains(host),
            "{n}: {}",
            reply.body_text()
        );
    }
}

#[test]
fn a_call_fails_over_and_hangs_up() {
    if this_server::lacks_c_module() {
        return;
    }
    let mut dead = Uas::start(Answer::Code(200));
    dead.stop();
    let live = Uas::start(Answer::Code(200));
    let list = format!("1 {} 0 5\n1 {} 0 1\n", dead.uri(), live.uri());
    let server = Kamailio::start(
        Module::C,
        Probe::new().config().list(list).param("flags", 2),
    );
    let uac = Uac::new();
    let invite = Request::new("INVITE", "sip:bob@service.test")
        .header("X-Do", "dst,1,8|relay|.")
        .header("X-Fail", "mark_ip|nextdst|again|.");
    let id = format!("{}-call@test", server.port());
    let call = uac
        .call(server.addr(), invite.call_id(&id))
        .expect("the call is answered");
    assert_eq!(call.answered_by(), format!("127.0.0.1:{}", live.port()));
    assert_eq!(live.count_call("INVITE", id.as_bytes()), 1);
    let trace = Probe::run(&uac, server.addr(), &format!("trace,{id}"));
    assert!(trace.iter().any(|l| l == "F 408"), "{trace:?}");
    dead.restart();
    assert_eq!(
        uac.request(dead_addr(&dead), &Request::new("OPTIONS", "sip:x@y"))
            .status(),
        Some(200)
    );
}

fn dead_addr(uas: &Uas) -> std::net::SocketAddr {
    ([127, 0, 0, 1], uas.port()).into()
}

#[test]
fn a_bad_parameter_is_reported() {
    if this_server::lacks_c_module() {
        return;
    }
    let config = Config::routes("request_route { exit; }")
        .list("")
        .param("nosuch", 1);
    let log = fails_to_start(Module::C, config);
    assert!(log.contains("nosuch"), "{log}");
}

#[test]
fn an_unannounced_error_fails_the_test() {
    if this_server::lacks_c_module() {
        return;
    }
    let config = || {
        Config::routes("request_route { xlog(\"L_ERR\", \"oh no\\n\"); sl_send_reply(\"200\", \"OK\"); exit; }").list("")
    };
    let run = |config: Config| {
        let server = Kamailio::start(Module::C, config);
        let reply = Uac::new().request(server.addr(), &Request::new("OPTIONS", "sip:a@b"));
        assert_eq!(reply.status(), Some(200));
    };
    run(config().expect_log("oh no"));
    run(config().allow_log("oh no"));
    assert!(std::panic::catch_unwind(|| run(config())).is_err());
    assert!(
        std::panic::catch_unwind(|| run(config().expect_log("oh no").expect_log("never"))).is_err()
    );
}

//! An event route may do anything, a thousand times: field reports C4, C11, C12, C21.

use harness::{
    Answer, Config, Kamailio, Module, Request, Uac, Uas, patience, this_server, under_valgrind,
    wait_for,
};
use serde_json::json;

/// Destination whose state changes, and one that the event routes mark.
const A: &str = "sip:127.0.0.1:7001";
const B: &str = "sip:127.0.0.1:7002";

/// The request's route keeps things of its own over a mark: each of its kinds of variables, a
/// branch, a failure route, its transaction. The event route uses the same names for all it can.
const ROUTES: &str = r#"
request_route {
    $avp(own) = "script";
    $avp(own) = "twice";
    $xavp(own=>a) = "script";
    $xavu(own=>a) = "script";
    $xavi(own=>a) = "script";
    $ru = "sip:script@b.test";
    $du = "sip:127.0.0.1:7999";
    append_branch("sip:branch@b.test", "0.5");
    setbflag(3);
    t_newtran();
    t_on_failure("OWN");
    pv_printf("$var(t)", "$T(id_index)/$T(id_label)");
    $xavp(_dsdst_=>grp) = 1;
    $xavp(_dsdst_[0]=>uri) = "sip:127.0.0.1:7001";
    if ($hdr(X-Do) == "up") ds_mark_dst("a"); else ds_mark_dst("i");
    $var(rc) = $rc;
    $var(same) = "no";
    pv_printf("$var(now)", "$T(id_index)/$T(id_label)");
    if ($var(t) == $var(now)) $var(same) = "yes";
    append_to_reply("X-Left: rc=$var(rc) $avp(own) $(avp(own)[1]) $xavp(own=>a) $xavu(own=>a) $xavi(own=>a) $ru $du t=$var(same) $xavp(_dsdst_=>uri) dsv=$dsv(code) br=$branch(count)/$branch(uri)\r\n");
    if ($hdr(X-Relay) == $null) {
        t_reply("200", "OK");
        exit;
    }
    clear_branches();
    $ru = $hdr(X-Relay);
    $du = $null;
    if ($hdr(X-Next) != $null) t_on_reply("OWN");
    t_relay();
}
failure_route[OWN] {
    if ($hdr(X-Next) == $null) {
        t_reply("480", "Own");
        exit;
    }
    route(MARK);
    $ru = $hdr(X-Next);
    $du = $null;
    append_hf("X-Own: $avp(own) $xavp(own=>a) $T_reply_code\r\n");
    t_relay();
}
onreply_route[OWN] {
    $xavp(_dsdst_=>grp) = 1;
    $xavp(_dsdst_[0]=>uri) = "sip:127.0.0.1:7001";
    ds_mark_dst("i");
    ds_mark_dst("a");
    append_hf("X-Reply: $rs $avp(own)\r\n", "Call-ID");
}
route[MARK] {
    $xavp(_dsdst_=>grp) = 1;
    $xavp(_dsdst_[0]=>uri) = "sip:127.0.0.1:7001";
    ds_mark_dst("i");
    ds_mark_dst("a");
}
onreply_route[EVENT] { $avp(own) = "reply"; }
failure_route[EVENT] { $avp(own) = "failure"; }
route[ANYTHING] {
    $shv(n) = $shv(n) + 1;
    # Write what the C module points into shared memory (C4).
    $ru = $dsv(uri);
    $ru = "sip:event@b.test";
    $rU = "other";
    $var(cause) = $dsv(cause);
    # Change the lists, in both ways (C21).
    ds_reload();
    jsonrpc_exec('{"jsonrpc": "2.0", "method": "dispatcher.add", "params": [9, "sip:127.0.0.9"], "id": 1}');
    jsonrpc_exec('{"jsonrpc": "2.0", "method": "dispatcher.remove", "params": [9, "sip:127.0.0.9"], "id": 1}');
    # Change another destination, which raises an event of its own.
    $xavp(_dsdst_=>grp) = 1;
    $xavp(_dsdst_[0]=>uri) = "sip:127.0.0.1:7002";
    if ($dsv(uri) == "sip:127.0.0.1:7001") {
        if ($var(event) == "up") ds_mark_dst("a"); else ds_mark_dst("i");
    }
    # Leave things behind, by the names that the script uses (C11, C12).
    $avp(own) = "event";
    $avp(event) = "event";
    $xavp(own=>a) = "event";
    $xavu(own=>a) = "event";
    $xavi(own=>a) = "event";
    append_branch("sip:event@b.test", "0.1");
    append_hf("X-Event: $fu $hdr(Call-ID)\r\n");
    msg_apply_changes();
{{SEND}}    exit;
}
event_route[dispatcher:dst-down] { $var(event) = "down"; route(ANYTHING); }
event_route[dispatcher:dst-up] { $var(event) = "up"; route(ANYTHING); }
"#;

/// The part of the event route that sends requests, aside and onwards.
const SEND: &str = r#"
    $uac_req(method) = "MESSAGE";
    $uac_req(ruri) = "{{UAS}}";
    $uac_req(furi) = "sip:event@b.test";
    $uac_req(turi) = $uac_req(ruri);
    $uac_req(callid) = $ci + "-aside";
    $uac_req(evroute) = 0;
    uac_req_send();
    clear_branches();
    $ru = "{{UAS}}";
    t_on_reply("EVENT");
    t_on_failure("EVENT");
    t_relay();
"#;

/// The part of the script that shows the message after a mark.
const LEFT: &str = "rc=1 twice script script script script sip:script@b.test sip:127.0.0.1:7999 ";

fn start(uas: &Uas, compat: &str) -> Kamailio {
    let mut routes = ROUTES.to_owned();
    if this_server::core() < (5, 4) {
        // Without the newer kinds of variables; what would be in them is as it is wanted.
        for line in ["$xavu(own=>a)", "$xavi(own=>a)"] {
            for value in ["script", "event"] {
                routes = routes.replace(&format!("    {line} = \"{value}\";\n"), "");
            }
            routes = routes.replace(line, "script");
        }
    }
    let routes = routes
        .replace("{{SEND}}", SEND)
        .replace("{{UAS}}", &uas.uri());
    let config = Config::routes(&routes)
        .load("uac.so")
        .modparam("pv", "shvset", "n=i:0")
        .modparam(
            "tm",
            "fr_timer",
            i64::try_from(patience(1).as_millis()).unwrap(),
        )
        .modparam("tm", "wt_timer", 1000)
        .param("flags", 2)
        .param("event_callback_mode", 65_536)
        .param("compat", compat)
        .list(format!("1 {A}\n1 {B}\n"));
    Kamailio::start(Module::Rust, config)
}

/// Bytes of shared memory, and of private memory of each process, that are in use.
fn memory(server: &Kamailio) -> (i64, Vec<(String, i64)>) {
    let shm = server.jsonrpc("core.shmmem", json!([])).unwrap();
    let pkg = server.jsonrpc("pkg.stats", json!([])).unwrap();
    let processes = pkg.as_array().unwrap().iter().map(|process| {
        let name = process["desc"].as_str().unwrap_or_default().to_owned();
        (name, process["real_used"].as_i64().unwrap())
    });
    // The pool of 4.x does not join its free pieces: what it calls really used grows with them.
    let pool_joins = this_server::core() >= (5, 0);
    let used = if pool_joins { "real_used" } else { "used" };
    (shm[used].as_i64().unwrap(), processes.collect())
}

/// Waits until no transaction is left.
fn settle(server: &Kamailio) {
    wait_for("the end of all transactions", patience(20), || {
        let stats = server.jsonrpc("tm.stats", json!([])).unwrap();
        (stats["current"].as_i64() == Some(0)).then_some(())
    });
}

/// Waits until so many events were told: those by RPC are within a second.
fn wait_events(server: &Kamailio, count: i64) {
    wait_for(&format!("{count} events"), patience(10), || {
        (events(server) >= count).then_some(())
    });
}

fn events(server: &Kamailio) -> i64 {
    server.jsonrpc("pv.shvGet", json!(["n"])).unwrap()["value"]
        .as_i64()
        .unwrap()
}

/// Lets a script take the destination out and back; it must find all that is its own as it was.
fn mark(server: &Kamailio, uac: &Uac, times: usize) {
    for at in 0..times {
        let what = ["down", "up"][at % 2];
        let request = Request::new("OPTIONS", "sip:a@b.test").header("X-Do", what);
        let left = uac.request(server.addr(), &request).text("X-Left");
        assert!(left.starts_with(LEFT), "{at}: {left}");
        let kept = format!(" t=yes {A} dsv=<null> br=1/sip:branch@b.test");
        assert!(left.contains(&kept), "{at}: {left}");
    }
}

/// Lets an operator take the destination out and back.
fn set(server: &Kamailio, times: usize) {
    for at in 0..times {
        let state = ["i", "a"][at % 2];
        server
            .jsonrpc("dispatcher.set_state", json!([state, 1, A]))
            .unwrap();
    }
}

#[test]
fn a_thousand_transitions_with_all_that_a_route_can_do() {
    let uas = Uas::start(Answer::Code(200));
    let server = start(&uas, "6.1");
    let uac = Uac::new();
    let (warm, times) = if under_valgrind() {
        (4, 20)
    } else {
        (100, 500)
    };
    mark(&server, &uac, warm);
    set(&server, warm);
    wait_events(&server, i64::try_from(warm * 4).unwrap());
    settle(&server);
    let (before, told) = (memory(&server), events(&server));
    mark(&server, &uac, times);
    set(&server, times);
    // Each transition raises one more, of the other destination.
    let raised = i64::try_from(times * 4).unwrap();
    wait_events(&server, told + raised);
    settle(&server);
    assert_eq!(events(&server) - told, raised);
    let after = memory(&server);
    println!("before: {before:?}\nafter:  {after:?}");
    assert!(after.0 - before.0 < 20_000, "{before:?} to {after:?}");
    for (before, after) in before.1.iter().zip(&after.1) {
        assert!(after.1 - before.1 < 4_000, "{before:?} to {after:?}");
    }
    wait_for("the requests of the routes", patience(5), || {
        (uas.count("MESSAGE") > times && uas.count("OPTIONS") > times).then_some(())
    });
}

/// A mark in the middle of a script leaves its transaction and its failure route alone.
#[test]
fn a_script_goes_on_as_if_no_event_had_been() {
    let events = Uas::start(Answer::Code(200));
    let server = start(&events, "6.1");
    let uas = Uas::start(Answer::Code(503));
    let uac = Uac::new();
    for at in 0..10 {
        let request = Request::new("INVITE", "sip:a@b.test")
            .header("X-Do", ["down", "up"][at % 2])
            .header("X-Relay", uas.uri());
        let reply = uac.call(server.addr(), request).err().unwrap();
        assert_eq!(reply.status(), Some(480), "the script's own failure route");
    }
    assert_eq!(uas.count("INVITE"), 10);
    settle(&server);
}

/// Events in failure and reply routes, where tm has a transaction at hand.
#[test]
fn a_failure_route_and_a_reply_route_go_on_too() {
    let events_uas = Uas::start(Answer::Code(200));
    let server = start(&events_uas, "6.1");
    let (busy, free) = (Uas::start(Answer::Code(503)), Uas::start(Answer::Code(200)));
    let uac = Uac::new();
    for _ in 0..20 {
        let request = Request::new("INVITE", "sip:a@b.test")
            .header("X-Relay", busy.uri())
            .header("X-Next", free.uri());
        let call = uac
            .call(server.addr(), request)
            .unwrap_or_else(|reply| panic!("{}", reply.start));
        assert_eq!(call.answered_by(), free.uri().replace("sip:", ""));
    }
    let relayed = free.requests();
    let seen = relayed
        .iter()
        .filter(|request| request.start.starts_with("INVITE"));
    for request in seen {
        assert_eq!(request.text("X-Own"), "twice script 503");
    }
    // One in the request route, at most, then two in each route: the two replies and the failure.
    wait_events(&server, 20 * 6 * 2);
    settle(&server);
}

/// Routes that mark up and down for ever.
#[test]
fn routes_that_raise_each_other_come_to_an_end() {
    let routes = r#"
request_route { route(MARK); sl_send_reply("200", "OK"); }
route[MARK] {
    $shv(n) = $shv(n) + 1;
    $xavp(_dsdst_=>grp) = 1;
    $xavp(_dsdst_[0]=>uri) = "sip:127.0.0.1:7001";
    if ($shv(n) mod 2 == 0) ds_mark_dst("a"); else ds_mark_dst("i");
}
event_route[dispatcher:dst-down] { route(MARK); }
event_route[dispatcher:dst-up] { route(MARK); }
"#;
    for compat in ["5.6", "6.1"] {
        let config = Config::routes(routes)
            .modparam("pv", "shvset", "n=i:0")
            .param("flags", 2)
            .param("compat", compat)
            .list(format!("1 {A}\n"))
            .expect_log("event routes raised 1000 events while they ran: the rest is dropped");
        let server = Kamailio::start(Module::Rust, config);
        // Sent once: a server that is slow would else run it twice.
        let request = Request::new("OPTIONS", "sip:a@b.test");
        let replies = Uac::new().batch(server.addr(), &[request], 1);
        assert_eq!(replies[0].status(), Some(200));
        // The first, its event, the 1,000 that were taken, and the one that was not.
        assert_eq!(events(&server), 1_002, "compat {compat}");
    }
}

/// In compat 5.6 the route works on the request itself, as the C module's does.
#[test]
fn event_routes_run_with_the_request_itself() {
    let uas = Uas::start(Answer::Code(200));
    let server = start(&uas, "5.6");
    set(&server, 100);
    wait_events(&server, 200);
    settle(&server);
    assert_eq!(events(&server), 200);
}

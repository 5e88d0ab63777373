//! Real calls through `t_relay`, and through a stateless proxy: every route that may end a call.

use super::desk::{dests, loads, up};
use harness::{
    Answer, Config, Kamailio, Message, Module, Request, Uac, Uas, patience, this_server, wait_for,
};

/// `X-Do` says where a call that fails is ended, and how.
const ROUTES: &str = r#"
request_route {
    if (is_method("CANCEL")) {
        if (t_check_trans()) {
            ds_load_update();
            t_relay();
        }
        exit;
    }
    if (has_totag()) {
        if (loose_route()) {
            if (is_method("BYE")) {
                ds_load_update();
            }
            t_relay();
        }
        exit;
    }
    # A retransmission that comes meanwhile is no new call.
    if (t_precheck_trans()) {
        t_check_trans();
        exit;
    }
    t_check_trans();
    if (!ds_select_dst("1", "10")) {
        sl_send_reply("503", "Full");
        exit;
    }
    record_route();
    t_on_branch("BRANCH");
    t_on_reply("REPLY");
    t_on_failure("FAILURE");
    if (!t_relay()) {
        ds_load_unset();
        sl_reply_error();
    }
}
branch_route[BRANCH] {
    if ($hdr(X-Do) == "branch") {
        ds_load_unset();
    }
}
onreply_route[REPLY] {
    if (status =~ "2[0-9][0-9]") {
        ds_load_update();
    } else if (status =~ "[3-6][0-9][0-9]" && $T_req($hdr(X-Do)) == "reply") {
        ds_load_unset();
    }
}
failure_route[FAILURE] {
    if (t_is_canceled()) {
        exit;
    }
    if ($hdr(X-Do) == "next" && ds_next_dst()) {
        t_on_reply("REPLY");
        t_on_failure("FAILURE");
        t_relay();
        exit;
    }
    if ($hdr(X-Do) == "failure" || $hdr(X-Do) == "next") {
        ds_load_unset();
    }
}
"#;

fn list(uas: &[&Uas]) -> String {
    let mut list = dests(&["a", "b"]);
    for (n, uas) in uas.iter().enumerate() {
        list = list.replace(&super::desk::uri(n), &uas.uri());
    }
    list
}

fn start(uas: &[&Uas]) -> Kamailio {
    let config = Config::routes(ROUTES)
        .list(list(uas))
        .param("flags", 2)
        .param("ds_hash_size", 6)
        .children(2);
    Kamailio::start(Module::Rust, config)
}

fn invite(what: &str) -> Request {
    Request::new("INVITE", "sip:callee@service.test").header("X-Do", what)
}

fn status(reply: Result<harness::Call<'_>, Message>) -> Option<u16> {
    reply.map_or_else(|reply| reply.status(), |call| call.reply.status())
}

/// Places two calls that are answered, one at each destination.
fn two_calls<'a>(server: &Kamailio, uac: &'a Uac) -> [harness::Call<'a>; 2] {
    let calls = [(); 2].map(|()| uac.call(server.addr(), invite("")).ok().unwrap());
    assert_eq!(loads(server), "a=1 b=1");
    let listed = server.kamcmd(&["dispatcher.calls"]).unwrap();
    assert_eq!(listed.matches("STATE: confirmed").count(), 2, "{listed}");
    calls
}

#[test]
fn an_answered_call_is_confirmed_and_its_bye_ends_it() {
    let (a, b) = (Uas::start(Answer::Code(200)), Uas::start(Answer::Code(200)));
    let server = start(&[&a, &b]);
    let uac = Uac::new();
    let [first, second] = two_calls(&server, &uac);
    assert_eq!(first.bye().status(), Some(200));
    assert_eq!(loads(&server), "a=0 b=1");
    assert_eq!(second.bye().status(), Some(200));
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn a_refused_call_ends_in_the_reply_route_and_in_the_failure_route() {
    let a = Uas::start(Answer::Code(486));
    let server = start(&[&a]);
    let uac = Uac::new();
    for route in ["reply", "failure"] {
        assert_eq!(status(uac.call(server.addr(), invite(route))), Some(486));
        assert_eq!(loads(&server), "a=0 b=0", "{route}");
    }
    // Where nothing ends it, it stays.
    assert_eq!(status(uac.call(server.addr(), invite(""))), Some(486));
    assert_eq!(loads(&server), "a=1 b=0");
}

#[test]
fn a_branch_route_can_end_a_call() {
    let a = Uas::start(Answer::Code(200));
    let server = start(&[&a]);
    let uac = Uac::new();
    let call = uac.call(server.addr(), invite("branch")).ok().unwrap();
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=0", 0));
    assert_eq!(call.bye().status(), Some(200));
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn failover_takes_the_count_along() {
    let (a, b) = (Uas::start(Answer::Code(503)), Uas::start(Answer::Code(200)));
    let server = start(&[&a, &b]);
    let uac = Uac::new();
    let call = uac.call(server.addr(), invite("next")).ok().unwrap();
    assert_eq!(loads(&server), "a=0 b=1");
    assert_eq!(call.bye().status(), Some(200));
    assert_eq!(loads(&server), "a=0 b=0");
    b.set_answer(Answer::Code(500));
    assert_eq!(status(uac.call(server.addr(), invite("next"))), Some(500));
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=0", 0));
}

#[test]
fn a_retry_with_credentials_goes_to_the_destination_that_asked_for_them() {
    let (a, b) = (
        Uas::start(Answer::Codes(vec![407, 200])),
        Uas::start(Answer::Code(200)),
    );
    let server = start(&[&a, &b]);
    let uac = Uac::new();
    let invite = |text| invite(text).call_id("with credentials").from_tag("caller");
    let first = invite("");
    assert_eq!(status(uac.call(server.addr(), first)), Some(407));
    assert_eq!(loads(&server), "a=1 b=0");
    let again = invite("").cseq(2);
    let call = uac.call(server.addr(), again).ok().unwrap();
    assert_eq!(call.answered_by(), format!("127.0.0.1:{}", a.port()));
    assert_eq!(loads(&server), "a=1 b=0");
    assert_eq!(b.count("INVITE"), 0);
    assert_eq!(call.bye().status(), Some(200));
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn a_cancelled_call_ends() {
    let a = Uas::start(Answer::Code(180));
    let server = start(&[&a]);
    let uac = Uac::new();
    let request = invite("");
    uac.send(server.addr(), &request);
    wait_for("the call rings", patience(5), || {
        (a.count("INVITE") == 1).then_some(())
    });
    assert_eq!(loads(&server), "a=1 b=0");
    assert_eq!(uac.cancel(server.addr(), &request).status(), Some(200));
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn a_request_that_tm_cannot_send_is_not_counted() {
    let list = "1 sip:127.0.0.1:7001;transport=tls 0 0 duid=a\n";
    let config = Config::routes(ROUTES).list(list).param("flags", 2);
    let config = config.param("ds_hash_size", 6).only_critical();
    let server = Kamailio::start(Module::Rust, config);
    let status = status(Uac::new().call(server.addr(), invite("")));
    assert!(status.is_some_and(|status| status >= 300), "{status:?}");
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0", 0));
}

/// The whole of a stateless balancer, as `doc/reference/functions.md` shows it.
const STATELESS: &str = r#"#!KAMAILIO
debug=2
log_stderror=yes
children=2
auto_aliases=no
{{LISTEN}}
mpath="{{MPATH}}"
loadmodule "ctl.so"
loadmodule "jsonrpcs.so"
loadmodule "pv.so"
loadmodule "rr.so"
loadmodule "sl.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{{DIR}}/rpc")
{{PARAMS}}
request_route {
    if (has_totag()) {
        if (loose_route()) {
            if (is_method("BYE")) {
                ds_load_update();
            }
            forward();
        }
        exit;
    }
    if (is_method("CANCEL")) {
        ds_load_update();
    }
    if (!ds_select_dst("1", "10")) {
        sl_send_reply("503", "Full");
        exit;
    }
    record_route();
    forward();
}
onreply_route {
    if (is_method("INVITE")) {
        if (status =~ "2[0-9][0-9]") {
            ds_load_update();
        } else if (status =~ "[3-6][0-9][0-9]") {
            ds_load_unset();
        }
    }
    return 1;
}
"#;

#[test]
fn a_stateless_balancer_counts_its_calls() {
    let (a, b) = (
        Uas::start(Answer::Codes(vec![200, 486])),
        Uas::start(Answer::Code(200)),
    );
    let config = Config::raw(STATELESS).list(list(&[&a, &b]));
    let server = Kamailio::start(Module::Rust, config.param("ds_hash_size", 6));
    let uac = Uac::new();
    let [first, second] = two_calls(&server, &uac);
    assert_eq!(second.bye().status(), Some(200));
    assert_eq!(first.bye().status(), Some(200));
    assert_eq!(loads(&server), "a=0 b=0");
    assert_eq!(status(uac.call(server.addr(), invite(""))), Some(486));
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=0", 0));
}

#[test]
fn a_refused_re_invite_leaves_the_call_of_a_stateless_balancer() {
    let a = Uas::start(Answer::Code(200));
    let config = Config::raw(STATELESS).list(list(&[&a]));
    let server = Kamailio::start(Module::Rust, config.param("ds_hash_size", 6));
    let uac = Uac::new();
    let call = uac.call(server.addr(), invite("")).ok().unwrap();
    a.set_answer_to("INVITE", 488);
    assert_eq!(call.again("INVITE", 2).status(), Some(488));
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=1 b=0", 1));
    assert_eq!(call.bye().status(), Some(200));
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=0", 0));
}

/// KEMI: the request's body is an expression; the 200 has its value.
const SCRIPT: &str = r#"
function ksr_request_route() {
    var out = eval(KSR.pv.gete("$rb"));
    KSR.hdr.append_to_reply("X-Out: " + out + "\r\n");
    KSR.sl.sl_send_reply(200, "OK");
}
"#;

#[test]
fn kemi_scripts_count_too() {
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    let config = Config::routes("cfgengine \"jsdt\"")
        .load("app_jsdt.so")
        .modparam("app_jsdt", "load", "{{DIR}}/script.js")
        .file("script.js", SCRIPT)
        .list(dests(&["a", "b"]))
        .param("flags", 2)
        .param("ds_hash_size", 6);
    let server = Kamailio::start(Module::Rust, config);
    let eval = |method: &str, text: &str| {
        let request = Request::new(method, "sip:callee@service.test");
        let request = request.call_id("1").from_tag("caller");
        let reply = Uac::new().request(server.addr(), &request.body(text));
        reply.text("X-Out")
    };
    let select = "KSR.dispatcher.ds_select_dst(1, 10)";
    let update = "KSR.dispatcher.ds_load_update()";
    let unset = "KSR.dispatcher.ds_load_unset()";
    assert_eq!(eval("INVITE", select), "1");
    assert_eq!(loads(&server), "a=1 b=0");
    assert_eq!(eval("OPTIONS", update), "0");
    assert_eq!(loads(&server), "a=1 b=0");
    assert_eq!(eval("BYE", update), "0");
    assert_eq!(loads(&server), "a=0 b=0");
    let both = format!("{select} + KSR.dispatcher.ds_next_dst()");
    assert_eq!(eval("INVITE", &both), "2");
    assert_eq!(loads(&server), "a=0 b=1");
    assert_eq!(eval("OPTIONS", unset), "0");
    assert_eq!(eval("OPTIONS", unset), "-1");
    assert_eq!(loads(&server), "a=0 b=0");
    let by_name = "KSR.dispatcher.ds_load_unset_callid(\"1\")";
    assert_eq!(eval("INVITE", select), "1");
    assert_eq!(eval("OPTIONS", by_name), "0");
    assert_eq!(eval("OPTIONS", by_name), "-1");
    assert_eq!(loads(&server), "a=0 b=0");
    // An INVITE that another algorithm has sent on need not be counted.
    let other = format!("KSR.dispatcher.ds_select_dst(1, 4) + {unset}");
    assert_eq!(eval("INVITE", &other), "1");
    assert_eq!(eval("INVITE", select), "1");
    assert_eq!(eval("INVITE", &other), "1");
    assert_eq!(loads(&server), "a=0 b=0");
}

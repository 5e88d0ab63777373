//! Every function of ours that KEMI scripts can call, called from JavaScript (app_jsdt).

use harness::{Config, Kamailio, Module, Request, Uac, this_server};

/// The body of the request is one JavaScript expression; its value comes back in `X-Out`.
const SCRIPT: &str = r#"
var D = KSR.dispatcher;

function state() {
    return KSR.pv.gete("$du") + " " + KSR.pv.gete("$ru") + " "
        + KSR.pv.gete("$xavp(_dsdst_=>uri)") + " " + KSR.pv.gete("$xavp(_dsctx_=>cnt)");
}

function ksr_request_route() {
    var out = eval(KSR.pv.gete("$rb"));
    KSR.hdr.append_to_reply("X-Out: " + out + "\r\n");
    KSR.sl.sl_send_reply(200, "OK");
}
"#;

/// Set 1 in order: 7002, 7001.
const LIST: &str = "\
1 sip:127.0.0.1:7001 0 0 duid=one
1 sip:127.0.0.1:7002 0 5
5 sip:127.0.0.1 0 0 peer=yes
";

fn start() -> Kamailio {
    let config = Config::routes("cfgengine \"jsdt\"")
        .load("app_jsdt.so")
        .modparam("app_jsdt", "load", "{{DIR}}/script.js")
        .file("script.js", SCRIPT)
        .list(LIST)
        .param("flags", 2)
        .param("setid_pvname", "$var(setid)")
        .param("attrs_pvname", "$var(attrs)");
    Kamailio::start(Module::Rust, config)
}

/// The value of an expression, evaluated in one request of its own.
fn eval(server: &Kamailio, expression: &str) -> String {
    let request = Request::new("OPTIONS", "sip:callee@service.test").body(expression);
    let reply = Uac::new().request(server.addr(), &request);
    assert_eq!(reply.status(), Some(200), "{expression}");
    reply.text("X-Out")
}

/// Each expression has the value beside it.
fn all(server: &Kamailio, cases: &[(&str, &str)]) {
    for (expression, value) in cases {
        assert_eq!(eval(server, expression), *value, "{expression}");
    }
}

const A: &str = "sip:127.0.0.1:7002 sip:callee@service.test sip:127.0.0.1:7002";
const B: &str = "sip:127.0.0.1:7001 sip:callee@service.test sip:127.0.0.1:7001";

#[test]
fn every_name_is_there() {
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    let server = start();
    let names = [
        "ds_select",
        "ds_select_limit",
        "ds_select_dst",
        "ds_select_dst_limit",
        "ds_select_domain",
        "ds_select_domain_limit",
        "ds_next_dst",
        "ds_next_domain",
        "ds_set_dst",
        "ds_set_domain",
        "ds_mark_dst",
        "ds_mark_dst_state",
        "ds_is_from_lists",
        "ds_is_from_list",
        "ds_is_from_list_mode",
        "ds_is_from_list_uri",
        "ds_list_exists",
        "ds_is_active",
        "ds_is_active_uri",
    ];
    for name in names {
        assert_eq!(
            eval(&server, &format!("typeof D.{name}")),
            "function",
            "{name}"
        );
    }
}

#[test]
fn selections_do_what_the_script_functions_do() {
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    let server = start();
    all(
        &server,
        &[
            ("D.ds_select_dst(1, 8) + ' ' + state()", &format!("1 {A} 2")),
            (
                "D.ds_select_dst_limit(1, 8, 1) + ' ' + state()",
                &format!("1 {A} 1"),
            ),
            (
                "D.ds_select_domain(1, 8) + ' ' + state()",
                "1  sip:callee@127.0.0.1:7002 sip:127.0.0.1:7002 2",
            ),
            (
                "D.ds_select_domain_limit(1, 8, 1) + ' ' + state()",
                "1  sip:callee@127.0.0.1:7002 sip:127.0.0.1:7002 1",
            ),
            (
                "D.ds_select(1, 8) + ' ' + state()",
                "1  sip:callee@service.test sip:127.0.0.1:7002 2",
            ),
            (
                "D.ds_select_limit(1, 8, 1) + ' ' + state()",
                "1  sip:callee@service.test sip:127.0.0.1:7002 1",
            ),
        ],
    );
    server.expect_log("destination set [9] not found");
    assert_eq!(eval(&server, "D.ds_select_dst(9, 8)"), "-1");
    assert_eq!(eval(&server, "D.ds_select_domain_limit(9, 8, 1)"), "-1");
}

#[test]
fn moving_on_does_what_the_script_functions_do() {
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    let server = start();
    all(
        &server,
        &[
            (
                "D.ds_select(1, 8); D.ds_set_dst() + ' ' + state()",
                &format!("1 {A} 2"),
            ),
            (
                "D.ds_select(1, 8); D.ds_next_dst() + ' ' + state()",
                &format!("1 {B} 2"),
            ),
            (
                "D.ds_select(1, 8); D.ds_set_domain() + ' ' + state()",
                "1  sip:callee@127.0.0.1:7002 sip:127.0.0.1:7002 2",
            ),
            (
                "D.ds_select(1, 8); D.ds_next_domain() + ' ' + state()",
                "1  sip:callee@127.0.0.1:7001 sip:127.0.0.1:7001 2",
            ),
            ("D.ds_next_dst()", "-1"),
            ("D.ds_next_domain()", "-1"),
            ("D.ds_set_dst()", "-1"),
            ("D.ds_set_domain()", "-1"),
        ],
    );
}

#[test]
fn marks_do_what_the_script_functions_do() {
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    let server = start();
    let uri = "sip:127.0.0.1:7002";
    let cases = [("ip", "IP"), ("a", "AX"), ("D", "DX")];
    for (mark, letters) in cases {
        let record = "KSR.pv.sets('$xavp(_dsdst_[0]=>uri)', 'sip:127.0.0.1:7002')";
        let expression = format!(
            "KSR.pv.seti('$xavp(_dsdst_=>grp)', 1); {record}; D.ds_mark_dst_state('{mark}')"
        );
        assert_eq!(eval(&server, &expression), "1", "{mark}");
        assert_eq!(server.flags(1, uri), letters, "{mark}");
    }
    assert_eq!(eval(&server, "D.ds_select(1, 8); D.ds_mark_dst()"), "1");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7001"), "IX");
    server.expect_log("cannot mark: \"x\" is no state");
    server.expect_log("nothing was selected that could be marked");
    assert_eq!(eval(&server, "D.ds_mark_dst_state('x')"), "-1");
    assert_eq!(eval(&server, "D.ds_mark_dst()"), "-1");
}

#[test]
fn questions_get_the_answers_of_the_script_functions() {
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    let server = start();
    let pvs = "KSR.pv.gete('$var(setid)') + ' ' + KSR.pv.gete('$var(attrs)')";
    assert_eq!(
        eval(&server, &format!("D.ds_is_from_lists() + ' ' + {pvs}")),
        "1 5 peer=yes"
    );
    all(
        &server,
        &[
            ("D.ds_is_from_list(5)", "1"),
            ("D.ds_is_from_list(1)", "-1"),
            ("D.ds_is_from_list(-1)", "1"),
            ("D.ds_is_from_list_mode(1, 1)", "-1"),
            ("D.ds_is_from_list_mode(1, 3)", "1"),
            ("D.ds_is_from_list_mode(5, 6)", "1"),
            ("D.ds_is_from_list_uri(1, 2, 'sip:127.0.0.1:7001')", "1"),
            ("D.ds_is_from_list_uri(1, 2, 'sip:127.0.0.1:7003')", "-1"),
            ("D.ds_is_from_list_uri(5, 2, '')", "1"),
            ("D.ds_list_exists(1)", "1"),
            ("D.ds_list_exists(9)", "-1"),
            ("D.ds_is_active(1)", "1"),
            ("D.ds_is_active(9)", "-1"),
            ("D.ds_is_active_uri(1, 'sip:127.0.0.1:7001')", "1"),
            ("D.ds_is_active_uri(1, 'sip:127.0.0.1:7009')", "-1"),
            ("D.ds_is_active_uri(1, '')", "1"),
        ],
    );
}

#[test]
fn a_bad_argument_is_a_failure_and_the_script_engine_lives() {
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    let server = start();
    server.allow_log("dispatcher");
    server.allow_log("app_jsdt");
    server.allow_log("destination set");
    all(
        &server,
        &[
            ("D.ds_select_dst(-1, 8)", "-1"),
            ("D.ds_select_dst(2147483647, 2147483647)", "-1"),
            ("D.ds_is_from_list_uri(1, 2, 'rubbish')", "-1"),
            ("D.ds_is_active_uri(1, Array(5000).join('x'))", "-1"),
        ],
    );
    assert_eq!(eval(&server, "D.ds_select_dst(1, 8)"), "1");
}

//! `bind_dispatcher`: a module in C (`c_api/api_user.c`), compiled here against the server's
//! headers, calls each function of the interface in a real server; under the C module and ours.

use harness::{Config, Kamailio, Module, Request, TempDir, Uac, c_module, module, this_server};

/// Set 1 in order: 7002, 7001. Set 5 is where requests come from.
const LIST: &str = "\
1 sip:127.0.0.1:7001
1 sip:127.0.0.1:7002 0 5
5 sip:127.0.0.1
";

const ROUTE: &str = r#"
request_route {
    $var(out) = "";
    $var(i) = 0;
    while ($(hdr(X-Do){s.select,$var(i),|}) != "") {
        api_call("$(hdr(X-Do){s.select,$var(i),|})");
        $var(out) = $var(out) + $rc + " ";
        $var(i) = $var(i) + 1;
    }
    append_to_reply("X-Out: $var(out)$du $ru $xavp(_dsctx_=>cnt)\r\n");
    send_reply("200", "OK");
}
"#;

fn config(modules: &TempDir) -> Config {
    let path = c_module("tests/server/module/api_user.c", modules.path());
    Config::routes(&format!("loadmodule \"{}\"\n{ROUTE}", path.display()))
        .list(LIST)
        .param("flags", 2)
}

fn ask(server: &Kamailio, calls: &str) -> String {
    let request = Request::new("OPTIONS", "sip:callee@service.test").header("X-Do", calls);
    Uac::new().request(server.addr(), &request).text("X-Out")
}

/// Calls, and what comes of them: return codes, `$du`, `$ru`, `cnt`.
const CALLS: [(&str, &str); 9] = [
    (
        "select 1 8 0",
        "1 sip:127.0.0.1:7002 sip:callee@service.test 2",
    ),
    ("select 1 8 1", "1 <null> sip:callee@127.0.0.1:7002 2"),
    ("select 1 8 2", "1 <null> sip:callee@service.test 2"),
    ("select 9 8 0", "-1 <null> sip:callee@service.test <null>"),
    (
        "select 1 8 0|next 0|next 0",
        "1 1 -1 sip:127.0.0.1:7001 sip:callee@service.test 2",
    ),
    (
        "select 1 8 1|next 1",
        "1 1 <null> sip:callee@127.0.0.1:7001 2",
    ),
    (
        "is_from 5|is_from -1",
        "1 1 <null> sip:callee@service.test <null>",
    ),
    ("is_from 1", "-1 <null> sip:callee@service.test <null>"),
    ("mark 1", "-1 <null> sip:callee@service.test <null>"),
];

#[test]
fn a_module_in_c_calls_every_function() {
    if this_server::lacks_c_module()
        || this_server::older_than((5, 0), "the layout of the test's module in C")
    {
        return;
    }
    assert!(module::kamailio().is_file());
    let modules = TempDir::new();
    let (c, ours) = Kamailio::pair(&config(&modules));
    for server in [&c, &ours] {
        server.allow_log("destination set");
        server.allow_log("dispatcher");
        for (calls, wanted) in CALLS {
            assert_eq!(ask(server, calls), wanted, "{:?}: {calls}", server.module());
        }
        for (bits, letters) in [(9, "IP"), (0, "AX"), (8, "AP"), (4, "DX")] {
            let out = ask(server, &format!("select 1 8 0|mark {bits}"));
            let uri = out.split(' ').nth(2).unwrap_or_default().to_owned();
            assert!(out.starts_with("1 1 "), "{bits}: {out}");
            assert_eq!(server.flags(1, &uri), letters, "{:?}", server.module());
            server
                .kamcmd(&["dispatcher.set_state", "a", "1", "all"])
                .unwrap();
        }
    }
}

#[test]
fn what_means_nothing_is_a_failure() {
    if this_server::older_than((5, 0), "the layout of the test's module in C") {
        return;
    }
    let modules = TempDir::new();
    let server = Kamailio::start(Module::Rust, config(&modules));
    let nothing = "<null> sip:callee@service.test <null>";
    for calls in [
        "select 1 8 3",
        "select 1 8 -1",
        "next 7",
        "mark -1",
        "mark 3",
        "mark 64",
    ] {
        assert_eq!(ask(&server, calls), format!("-1 {nothing}"), "{calls}");
    }
}

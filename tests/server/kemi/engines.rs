//! KEMI for real: Lua, Python and JavaScript scripts call every function that the module exports,
//! under the C module and ours.

use harness::{Config, Kamailio, Message, Module, Request, Uac, packaged, this_server};

/// A scripting engine: module, name of the engine, file, script. A request's body is expressions,
/// split by `|`; their values come back in `X-Out`, split by blanks, with `$du` and `$ru` behind.
struct Engine {
    module: &'static str,
    name: &'static str,
    file: &'static str,
    script: &'static str,
}

const ENGINES: [Engine; 3] = [
    Engine {
        module: "app_lua",
        name: "lua",
        file: "script.lua",
        script: r#"
function ksr_request_route()
    local out = ""
    for call in string.gmatch(KSR.pv.gete("$rb"), "[^|]+") do
        out = out .. tostring(loadstring("local D = KSR.dispatcher; return " .. call)()) .. " "
    end
    KSR.hdr.append_to_reply("X-Out: " .. out .. KSR.pv.gete("$du") .. " " .. KSR.pv.gete("$ru") .. "\r\n")
    KSR.sl.sl_send_reply(200, "OK")
end
"#,
    },
    Engine {
        module: "app_python3",
        name: "python",
        file: "script.py",
        script: r#"
import KSR

def mod_init():
    return Script()

class Script:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        out = ""
        for call in KSR.pv.gete("$rb").split("|"):
            out += str(eval(call, {"D": KSR.dispatcher})) + " "
        KSR.hdr.append_to_reply("X-Out: " + out + KSR.pv.gete("$du") + " " + KSR.pv.gete("$ru") + "\r\n")
        KSR.sl.sl_send_reply(200, "OK")
        return 1
"#,
    },
    Engine {
        module: "app_jsdt",
        name: "jsdt",
        file: "script.js",
        script: r#"
var D = KSR.dispatcher;

function ksr_request_route() {
    var out = KSR.pv.gete("$rb").split("|").map(function (call) { return eval(call); }).join(" ");
    KSR.hdr.append_to_reply("X-Out: " + out + " " + KSR.pv.gete("$du") + " " + KSR.pv.gete("$ru") + "\r\n");
    KSR.sl.sl_send_reply(200, "OK");
}
"#,
    },
];

/// Set 1 in order: 7002, 7001.
const LIST: &str = "\
1 sip:127.0.0.1:7001 0 0 duid=one
1 sip:127.0.0.1:7002 0 5 duid=two
2 sip:127.0.0.1:7003
5 sip:127.0.0.1
";

const RU: &str = "sip:callee@service.test";
const TWO: &str = "sip:127.0.0.1:7002 sip:callee@service.test";
const ONE: &str = "sip:127.0.0.1:7001 sip:callee@service.test";

/// Calls, and their values.
fn cases() -> Vec<(&'static str, String)> {
    let none = |values: &str| format!("{values}  {RU}");
    vec![
        ("D.ds_select_dst(1, 8)", format!("1 {TWO}")),
        (
            "D.ds_select_dst_limit(1, 8, 1)|D.ds_next_dst()",
            format!("1 -1 {TWO}"),
        ),
        (
            "D.ds_select_domain(1, 8)",
            "1  sip:callee@127.0.0.1:7002".into(),
        ),
        (
            "D.ds_select_domain_limit(1, 8, 2)|D.ds_next_domain()",
            "1 1  sip:callee@127.0.0.1:7001".into(),
        ),
        ("D.ds_select(1, 8)|D.ds_set_dst()", format!("1 1 {TWO}")),
        (
            "D.ds_select_limit(1, 8, 2)|D.ds_set_domain()",
            "1 1  sip:callee@127.0.0.1:7002".into(),
        ),
        (
            "D.ds_select_dst(1, 8)|D.ds_next_dst()",
            format!("1 1 {ONE}"),
        ),
        ("D.ds_select_routes('9=8;1=8', 'd')", format!("1 {TWO}")),
        (
            "D.ds_select_routes_limit('1=8;2=8', '0', 1)|D.ds_next_dst()",
            "1 1 sip:127.0.0.1:7003 sip:callee@service.test".into(),
        ),
        ("D.ds_select_dst(9, 8)", none("-1")),
        (
            "D.ds_select(2, 8)|D.ds_mark_dst()|D.ds_is_active(2)",
            none("1 1 -1"),
        ),
        (
            "D.ds_select(1, 8)|D.ds_mark_dst_state('ip')|D.ds_is_active_uri(1, 'sip:127.0.0.1:7002')",
            none("1 1 -1"),
        ),
        ("D.ds_is_active(1)", none("1")),
        (
            "D.ds_is_from_lists()|D.ds_is_from_list(5)|D.ds_is_from_list(1)",
            none("1 1 -1"),
        ),
        (
            "D.ds_is_from_list_mode(1, 3)|D.ds_is_from_list_mode(1, 1)",
            // From 6.1 on a URI without a transport is one of UDP.
            none(if this_server::core() >= (6, 1) {
                "1 1"
            } else {
                "1 -1"
            }),
        ),
        (
            "D.ds_is_from_list_uri(1, 2, 'sip:127.0.0.1:7001')",
            none("1"),
        ),
        ("D.ds_list_exists(1)|D.ds_list_exists(9)", none("1 -1")),
        ("D.ds_load_update()|D.ds_load_unset()", none("0 -1")),
        ("D.ds_reload()", none("1")),
    ]
}

/// Functions that the C module of 5.6 has not.
fn later_cases() -> Vec<(&'static str, String)> {
    vec![
        ("D.ds_load_unset_callid('none')", format!("-1  {RU}")),
        // Not a request over HTTP.
        (
            "D.ds_metrics()|D.ds_metrics_filter('level=set')",
            format!("-1 -1  {RU}"),
        ),
        ("D.ds_page()", format!("-1  {RU}")),
        // A server without a cluster has nothing to wait for.
        ("D.ds_dmq_ready()", format!("1  {RU}")),
        (
            "D.ds_mark_addr('i', 1, 'sip:127.0.0.1:7001')|D.ds_is_active_uri(1, 'sip:127.0.0.1:7001')",
            format!("1 -1  {RU}"),
        ),
    ]
}

fn config(engine: &Engine) -> Config {
    Config::routes(&format!("cfgengine \"{}\"", engine.name))
        .load(&format!("{}.so", engine.module))
        .modparam(
            engine.module,
            "load",
            format!("{{{{DIR}}}}/{}", engine.file),
        )
        .file(engine.file, engine.script)
        .list(LIST)
        .param("flags", 2)
        .param("ds_hash_size", 4)
        .param("reload_delta", 0)
        .allow_log("destination set [9] not found")
        .allow_log("destination set")
        .allow_log("dispatcher")
}

fn ask(server: &Kamailio, calls: &str) -> String {
    let request = Request::new("OPTIONS", RU).body(calls);
    let reply: Message = Uac::new().request(server.addr(), &request);
    assert_eq!(reply.status(), Some(200), "{calls}");
    reply.text("X-Out")
}

/// Every call in this engine, under both modules.
fn run(engine: &Engine) {
    let module = format!("{}.so", engine.module);
    if this_server::lacks(&[&module, "dispatcher.so"]) {
        return;
    }
    let (c, ours) = Kamailio::pair(&config(engine));
    for (calls, wanted) in cases() {
        assert_eq!(ask(&ours, calls), wanted, "{}: {calls}", engine.name);
        let can_reload = !calls.contains("ds_reload") || packaged::reloads_with_delta_0();
        if packaged::has_all(calls) && can_reload {
            let answer = ask(&c, calls);
            assert_eq!(answer, wanted, "{}, the C module: {calls}", engine.name);
        } else {
            this_server::skip_part(calls, "this C module does not have that");
        }
    }
    for (calls, wanted) in later_cases() {
        assert_eq!(ask(&ours, calls), wanted, "{}: {calls}", engine.name);
    }
}

#[test]
fn lua_scripts_call_every_function() {
    run(&ENGINES[0]);
}

#[test]
fn python_scripts_call_every_function() {
    run(&ENGINES[1]);
}

#[test]
fn javascript_calls_every_function() {
    run(&ENGINES[2]);
}

#[test]
fn no_exported_function_is_left_out() {
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    let server = Kamailio::start(Module::Rust, config(&ENGINES[2]));
    let listed = server.jsonrpc("app_jsdt.api_list", serde_json::json!([]));
    let listed = listed.unwrap();
    let methods = listed["methods"].as_array().expect("KEMI functions");
    let names = methods.iter().map(|method| &method["func"]["name"]);
    let ours: Vec<&str> = names
        .filter_map(|name| name.as_str())
        .filter(|name| name.starts_with("ds_"))
        .collect();
    assert!(ours.len() >= 25, "{ours:?}");
    let calls: Vec<&str> = cases()
        .iter()
        .chain(&later_cases())
        .map(|(calls, _)| *calls)
        .collect();
    for name in ours {
        let call = format!("D.{name}(");
        assert!(
            calls.iter().any(|calls| calls.contains(&call)),
            "{name} is not called"
        );
    }
}

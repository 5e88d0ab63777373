//! Events: each cause in each mode, what an event route sees, and whom it is told to.

use std::collections::BTreeMap;

use harness::{
    Answer, Config, Kamailio, Module, Request, Uac, Uas, refuses, this_server, wait_for,
};
use serde_json::{Value, json};

/// Notes each event: `SEEN` says what of it. The user part of a request says what to do with the
/// destination of set 1 that `X-Uri` names.
const ROUTES: &str = r#"
request_route {
    if ($rU == "relay") {
        ds_select_dst("1", "8");
        t_on_reply("MARK");
        t_on_failure("MARK");
        t_relay();
        exit;
    }
    $xavp(_dsdst_=>grp) = 1;
    $xavp(_dsdst_[0]=>uri) = $hdr(X-Uri);
    if ($rU == "reload") ds_reload();
    else if ($rU == "rpc") jsonrpc_exec($rb);
    else if ($rU == "up") ds_mark_dst("a");
    else if ($rU == "ping") ds_mark_dst("ap");
    else ds_mark_dst("i");
    append_to_reply("X-After: $rc $dsv(code)\r\n");
    sl_send_reply("200", "OK");
}
onreply_route[MARK] { ds_mark_dst("i"); }
failure_route[MARK] { ds_mark_dst("a"); }
route[NOTE] {
    $shv(n) = $shv(n) + 1;
    $sht(events=>$shv(n)) = {{SEEN}};
}
"#;

/// Both event routes.
const EVENTS: &str = r#"
event_route[dispatcher:dst-down] { $var(event) = "down"; route(NOTE); }
event_route[dispatcher:dst-up] { $var(event) = "up"; route(NOTE); }
"#;

/// All that is ours.
const ALL: &str = r#"$var(event) + " " + $dsv(cause) + " " + $dsv(uri) + " " + $dsv(setid) + "/"
    + $dsv(group) + " " + $dsv(old) + ">" + $dsv(new) + " " + $dsv(code) + "," + $dsv(reason) + ","
    + $dsv(flags)"#;

/// The part that the C module has, too.
const COMMON: &str = r#"$var(event) + " " + $dsv(code) + "," + $dsv(reason) + "," + $dsv(flags)
    + " ru=" + $ru + " du=" + $du"#;

const A: &str = "sip:127.0.0.1:7001";
const B: &str = "sip:127.0.0.1:7002";
const C: &str = "sip:127.0.0.1:7003";

fn config(seen: &str, events: &str) -> Config {
    Config::routes(&format!("{}{events}", ROUTES.replace("{{SEEN}}", seen)))
        .modparam("htable", "htable", "events=>size=10;")
        .modparam("pv", "shvset", "n=i:0")
        .param("flags", 2)
}

/// Returns the events that were noted so far, in order.
fn events(server: &Kamailio) -> Vec<String> {
    let dump = server.jsonrpc("htable.dump", json!(["events"])).unwrap();
    let mut noted = BTreeMap::new();
    collect_items(&dump, &mut noted);
    noted.into_values().collect()
}

/// Finds what a table of htable has: each release nests its items in another way.
fn collect_items(dump: &Value, found: &mut BTreeMap<u32, String>) {
    match dump {
        Value::Array(parts) => parts.iter().for_each(|part| collect_items(part, found)),
        Value::Object(part) => match (part.get("name"), part.get("value")) {
            (Some(Value::String(name)), Some(Value::String(value))) => {
                found.insert(name.parse().unwrap(), value.clone());
            }
            _ => part.values().for_each(|part| collect_items(part, found)),
        },
        _ => {}
    }
}

/// Waits until `expected` and nothing else was noted: changes by RPC are told within a second.
fn assert_events(server: &Kamailio, expected: &[String], what: &str) {
    let step = std::time::Duration::from_millis(20);
    let noted = || events(server);
    let noted = harness::poll(step, harness::patience(4), noted, |noted| noted == expected);
    assert_eq!(noted, expected, "{what}");
}

/// Lets a script do `what` with a destination; yields what it saw afterwards.
fn ask(server: &Kamailio, what: &str, uri: &str) -> String {
    let request = Request::new("OPTIONS", format!("sip:{what}@b.test")).header("X-Uri", uri);
    let reply = Uac::new().request(server.addr(), &request);
    reply.text("X-After")
}

/// Changes states by all means but pings.
fn change_by_all_means(server: &Kamailio) {
    let rpc = |method: &str, params| {
        server
            .jsonrpc(&format!("dispatcher.{method}"), params)
            .unwrap()
    };
    assert_eq!(ask(server, "down", A), "1 <null>");
    ask(server, "down", A);
    ask(server, "up", A);
    rpc("set_state", json!(["i", 1, A]));
    rpc("set_state", json!(["tp", 1, A]));
    rpc("modify", json!([1, A, "flags", 4]));
    rpc("modify", json!([1, A, "flags", 0]));
    rpc("add", json!([1, C, 1]));
    rpc("add", json!([2, C, 0]));
    rpc("set_duid_state", json!(["d", 1, "b"]));
    server.write_list(format!("1 {A} 4\n1 {B} 2 0 duid=b\n3 {C} 4\n"));
    rpc("reload", json!([]));
}

/// W17: RPC changes of the C module raise no event; 4906: nor does it tell of those that are down
/// from the start.
#[test]
fn each_mode_tells_of_its_causes() {
    let script = [
        format!("down script {A} 1/1 AX>IX 820,,0"),
        format!("up script {A} 1/1 IX>AX 820,,0"),
    ];
    let rest = [
        format!("down rpc {A} 1/1 AX>IX 800,,0"),
        format!("up rpc {A} 1/1 IX>TP 800,,0"),
        format!("down rpc {A} 1/1 TP>DX 800,,0"),
        format!("up rpc {A} 1/1 DX>AX 800,,0"),
        format!("down rpc {C} 1/1 AX>IX 800,,0"),
        format!("up reload {B} 1/1 DX>TX 800,,0"),
        format!("down reload {A} 1/1 AX>DX 800,,0"),
        format!("down reload {C} 3/3 AX>DX 800,,0"),
    ];
    let is_summed = this_server::core() >= (6, 2);
    for mode in [0, 1, 2, 3, 65_536, 65_537] {
        let all = mode >= 65_536 || mode == 3 && !is_summed;
        let config = config(ALL, EVENTS)
            .param("event_callback_mode", mode)
            .param("compat", "5.6")
            .list(format!("1 {A}\n1 {B} 1 0 duid=b\n"));
        let server = Kamailio::start(Module::Rust, config);
        let mut expected = vec![];
        if all {
            wait_for("the event of the start", harness::patience(5), || {
                (!events(&server).is_empty()).then_some(())
            });
            expected.push(format!("down start {B} 1/1 AX>IX 800,,0"));
        }
        change_by_all_means(&server);
        if all || mode & 1 == 0 {
            expected.extend(script.clone());
        }
        if all {
            expected.extend(rest.clone());
        }
        assert_events(&server, &expected, &format!("mode {mode}"));
    }
}

/// `ds_reload()` tells before it returns; a command that a script executes, as any other one.
#[test]
fn scripts_that_reload_and_execute_commands_are_told() {
    let config = config(ALL, EVENTS)
        .param("event_callback_mode", 65_536)
        .list(format!("1 {A}\n"));
    let server = Kamailio::start(Module::Rust, config);
    server.write_list(format!("1 {A} 1\n1 {B} 4\n"));
    assert_eq!(ask(&server, "reload", A), "1 <null>");
    let mut expected = vec![
        format!("down reload {A} 1/1 AX>IX 800,,0"),
        format!("down reload {B} 1/1 AX>DX 800,,0"),
    ];
    assert_eq!(events(&server), expected);
    let command =
        json!({"jsonrpc": "2.0", "method": "dispatcher.set_state", "params": ["a", 1, A], "id": 1});
    let request = Request::new("OPTIONS", "sip:rpc@b.test")
        .header("X-Uri", A)
        .body(command.to_string());
    let reply = Uac::new().request(server.addr(), &request);
    assert_eq!(reply.status(), Some(200));
    expected.push(format!("up rpc {A} 1/1 IX>AX 800,,0"));
    assert_events(&server, &expected, "rpc");
}

/// 4918: who monitors learns of those that are down from the start, and again with each reload.
#[test]
fn bit_4_tells_of_all_that_are_down_after_a_load() {
    let list =
        format!("1 {A} 1\n3 {A} 4\n2 {B} 12\n2 {C} 9\n1 {B}\n1 {C} 65536\n1 {C} 8 0 duid=p\n");
    let start = [
        format!("down start {A} 1/1 AX>IX 800,,0"),
        format!("down start {A} 3/3 AX>DX 800,,0"),
        format!("down start {B} 2/2 AX>DP 800,,0"),
        format!("down start {C} 2/2 AX>IP 800,,0"),
    ];
    let again = [
        format!("down reload {A} 1/1 IX>IX 800,,0"),
        format!("down reload {A} 3/3 DX>DX 800,,0"),
        format!("down reload {B} 2/2 DP>DP 800,,0"),
        format!("down reload {C} 2/2 IP>IP 800,,0"),
    ];
    for mode in [4, 5, 6, 7, 65_540] {
        let config = config(ALL, EVENTS)
            .param("event_callback_mode", mode)
            .param("compat", "5.6")
            .list(list.clone());
        let server = Kamailio::start(Module::Rust, config);
        let what = format!("mode {mode}");
        let mut expected = Vec::from(start.clone());
        let all = mode > 65_536;
        if all {
            // What only changes causes comes first.
            expected.insert(0, format!("down start {C} 1/1 AX>RX 800,,0"));
        }
        assert_events(&server, &expected, &what);
        let reload = || server.jsonrpc("dispatcher.reload", json!([])).unwrap();
        reload();
        expected.extend(again.clone());
        assert_events(&server, &expected, &what);
        // A script's reload tells of nothing but changes.
        assert_eq!(ask(&server, "reload", B), "1 <null>");
        // One that has come up is not told of, nor is one twice that goes down by the reload.
        let state = json!(["a", 2, B]);
        server.jsonrpc("dispatcher.set_state", state).unwrap();
        if all {
            expected.push(format!("up rpc {B} 2/2 DP>AX 800,,0"));
        }
        server.write_list(format!("1 {A} 1\n2 {B} 12\n1 {B} 4\n"));
        reload();
        let old = if all { "AX" } else { "DX" };
        expected.push(again[0].clone());
        expected.push(format!("down reload {B} 1/1 {old}>DX 800,,0"));
        assert_events(&server, &expected, &what);
    }
}

#[test]
fn mode_2_tells_of_first_news() {
    let config = config(ALL, EVENTS)
        .param("event_callback_mode", 2)
        .param("compat", "6.1")
        .list(format!("1 {A}\n"));
    let server = Kamailio::start(Module::Rust, config);
    for what in ["ping", "ping", "up", "ping"] {
        ask(&server, what, A);
    }
    let news = format!("up script {A} 1/1 AX>AP 820,,0");
    assert_eq!(events(&server), [news.clone(), news]);
}

/// A relayed call whose reply and failure route mark.
fn relayed(module: Module, uri: &str) -> Vec<String> {
    let list = format!("1 {uri}\n");
    let server = Kamailio::start(module, config(COMMON, EVENTS).list(list).native());
    let request = Request::new("INVITE", "sip:relay@b.test").header("X-Uri", uri);
    assert!(Uac::new().call(server.addr(), request).is_err());
    ask(&server, "down", uri);
    ask(&server, "up", uri);
    events(&server)
}

#[test]
fn events_of_scripts_are_those_of_the_c_module() {
    if this_server::lacks_c_module() || this_server::older_than((5, 4), "$dsv") {
        return;
    }
    let uas = Uas::start(Answer::Code(503));
    let theirs = relayed(Module::C, &uas.uri());
    let ours = relayed(Module::Rust, &uas.uri());
    println!("{theirs:#?}");
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 4);
}

#[test]
fn the_message_is_the_request_or_one_to_the_destination() {
    let of_rpc = format!("down 800,,0 ru={A} du=");
    for (compat, of_script) in [("5.6", "down 820,,0 ru=sip:down@b.test du="), ("6.1", "")] {
        let config = config(COMMON, EVENTS)
            .param("event_callback_mode", 65_536)
            .param("compat", compat)
            .list(format!("1 {A}\n1 {B}\n"));
        let server = Kamailio::start(Module::Rust, config);
        server
            .jsonrpc("dispatcher.set_state", json!(["i", 1, A]))
            .unwrap();
        assert_events(&server, std::slice::from_ref(&of_rpc), compat);
        ask(&server, "down", B);
        let of_script = match of_script {
            "" => format!("down 820,,0 ru={B} du="),
            same => same.to_owned(),
        };
        assert_eq!(
            events(&server),
            [of_rpc.clone(), of_script],
            "compat {compat}"
        );
    }
}

#[test]
fn only_the_routes_that_are_there_are_told() {
    for (route, expected) in [("down", "down"), ("up", "up")] {
        let event = format!(
            "event_route[dispatcher:dst-{route}] {{ $var(event) = \"{route}\"; route(NOTE); }}"
        );
        let config = config("$var(event)", &event).list(format!("1 {A}\n"));
        let server = Kamailio::start(Module::Rust, config);
        ask(&server, "down", A);
        ask(&server, "up", A);
        assert_eq!(events(&server), [expected]);
    }
    let server = Kamailio::start(Module::Rust, config("1", "").list(format!("1 {A}\n")));
    ask(&server, "down", A);
    assert_eq!(events(&server), [""; 0]);
}

/// Counts and notes events in shared variables, which a KEMI script can write.
const SCRIPT: &str = r#"
function told(event) {
    var seen = event + " " + KSR.pv.gete("$dsv(cause)") + " " + KSR.pv.gete("$dsv(uri)") + " "
        + KSR.pv.gete("$ru");
    KSR.pv.seti("$shv(n)", KSR.pv.get("$shv(n)") + 1);
    KSR.pv.sets("$sht(events=>" + KSR.pv.get("$shv(n)") + ")", seen);
}
function ksr_request_route() {
    KSR.pvx.xavp_sets("_dsdst_", "unused", "x");
    KSR.pv.sets("$xavp(_dsdst_=>uri)", KSR.pv.gete("$hdr(X-Uri)"));
    KSR.pv.seti("$xavp(_dsdst_[0]=>grp)", 1);
    var after = KSR.dispatcher.ds_mark_dst_state("i") + " " + KSR.pv.gete("$rU");
    KSR.hdr.append_to_reply("X-After: " + after + "\r\n");
    KSR.sl.sl_send_reply(200, "OK");
}
"#;

#[test]
fn a_kemi_function_is_told_instead_of_routes() {
    if this_server::lacks(&["app_jsdt.so"]) {
        return;
    }
    if harness::under_valgrind() {
        // The engine is so slow there that the request is sent again, and marks again.
        return;
    }
    for compat in ["5.6", "6.1"] {
        let config = Config::routes("cfgengine \"jsdt\"")
            .load("app_jsdt.so")
            .modparam("app_jsdt", "load", "{{DIR}}/script.js")
            .file("script.js", SCRIPT)
            .modparam("htable", "htable", "events=>size=10;")
            .modparam("pv", "shvset", "n=i:0")
            .param("flags", 2)
            .param("event_callback", "told")
            .param("event_callback_mode", 65_536)
            .param("compat", compat)
            .list(format!("1 {A}\n1 {B} 1\n"));
        let server = Kamailio::start(Module::Rust, config);
        wait_for("the event of the start", harness::patience(5), || {
            (!events(&server).is_empty()).then_some(())
        });
        assert_eq!(ask(&server, "down", A), "1 down");
        server
            .jsonrpc("dispatcher.set_state", json!(["a", 1, A]))
            .unwrap();
        let of_script = ["sip:down@b.test", A][usize::from(compat == "6.1")];
        let expected = [
            format!("dispatcher:dst-down start {B} {B}"),
            format!("dispatcher:dst-down script {A} {of_script}"),
            format!("dispatcher:dst-up rpc {A} {A}"),
        ];
        assert_events(&server, &expected, compat);
    }
}

#[test]
fn bad_values_stop_the_start() {
    let list = format!("1 {A}\n");
    for (variable, names) in [
        (
            "$dsv(color)",
            "code, reason, flags, uri, setid, group, cause, node, old or new",
        ),
        (
            "$dsg(color)",
            "count, active, inactive, pactive, pinactive, octime_sec, octime_usec, ocseq or ocrate",
        ),
    ] {
        refuses(
            config(variable, EVENTS).list(list.clone()),
            &format!("{variable}: expected {names}"),
        );
    }
}

/// Values that only a later release may know are no reason not to start.
#[test]
fn bits_that_mean_nothing_are_ignored() {
    for (mode, bits) in [(-1, -1), (8, 8), (65_536 + 24, 24)] {
        let config = config(ALL, EVENTS)
            .list(format!("1 {A}\n"))
            .param("event_callback_mode", mode)
            .expect_log(&format!(
                "parameter event_callback_mode: bits {bits} mean nothing and are ignored"
            ));
        let server = Kamailio::start(Module::Rust, config);
        ask(&server, "down", A);
        let set = json!(["a", 1, A]);
        server.jsonrpc("dispatcher.set_state", set).unwrap();
        let mut expected = vec![format!("down script {A} 1/1 AX>IX 820,,0")];
        if mode > 65_536 {
            expected.push(format!("up rpc {A} 1/1 IX>AX 800,,0"));
        }
        assert_events(&server, &expected, &format!("mode {mode}"));
    }
}

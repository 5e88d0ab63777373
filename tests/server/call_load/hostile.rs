//! Hostile peers: callers who cheat a limit, tags that are nobody's, requests that are not sent, and floods.

use serde_json::json;

use super::desk::{Desk, dests, loads, request, said, start, up};
use harness::{Config, Kamailio, Module, Probe, Request, Uac};

/// An INVITE of a caller with this tag.
fn invite(call_id: &str, tag: &str) -> Request {
    request("INVITE", "select", call_id).from_tag(tag)
}

#[test]
fn a_limit_holds_whatever_callers_do() {
    let server = start(&dests(&["a;maxload=1"]));
    let desk = Desk::new(&server);
    let send = |request: Request| said(&desk.send(request)).rc;
    assert_eq!(send(invite("1", "x")), 1);
    // Many dialogs with one Call-ID, and Call-IDs that are alike.
    for n in 0..20 {
        assert_eq!(send(invite("1", &format!("x{n}"))), -1);
    }
    for call_id in ["1x", "11", "", "1@", "01"] {
        assert_eq!(send(invite(call_id, "x")), -1, "{call_id}");
    }
    // No tag, and a To tag without a dialog.
    assert_eq!(send(invite("1", "")), -1);
    for tag in ["y", "callee", "X"] {
        assert_eq!(send(invite("1", tag).tagged("callee")), -1, "{tag}");
        assert_eq!(send(invite("2", tag).tagged("x")), -1, "{tag}");
    }
    // Retries and re-INVITEs of both sides are the same call.
    for n in 2..12 {
        assert_eq!(send(invite("1", "x").cseq(n)), 1);
        assert_eq!(send(invite("1", "x").tagged("callee").cseq(n)), 1);
        assert_eq!(send(invite("1", "callee").tagged("x").cseq(n)), 1);
    }
    // What ends a call does not end that of another caller.
    for method in ["BYE", "CANCEL"] {
        for (from, to) in [
            ("y", ""),
            ("y", "callee"),
            ("callee", "y"),
            ("", "callee"),
            ("", ""),
        ] {
            let end = request(method, "update", "1").from_tag(from);
            send(if to.is_empty() { end } else { end.tagged(to) });
        }
    }
    for method in ["BYE", "OPTIONS", "CANCEL"] {
        assert_eq!(send(request(method, "unset", "1").from_tag("y")), -1);
    }
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=1", 1));
    assert_eq!(send(invite("2", "x")), -1);
    assert_eq!(
        send(request("BYE", "update", "1").from_tag("x").tagged("callee")),
        1
    );
    assert_eq!(send(invite("2", "x")), 1);
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=1", 1));
}

#[test]
fn either_side_ends_a_call_also_without_a_tag() {
    let server = start(&dests(&["a"]));
    let desk = Desk::new(&server);
    // The tags of the INVITE, the BYE's From and To, and whether that is the caller's call.
    let cases = [
        ("x", "x", "callee", 0),
        ("x", "callee", "x", 0),
        ("x", "callee", "", 1),
        ("x", "", "callee", 1),
        ("x", "", "", 1),
        ("", "", "callee", 0),
        ("", "callee", "", 0),
        ("", "callee", "y", 1),
    ];
    for (n, (tag, from, to, left)) in cases.into_iter().enumerate() {
        let call_id = format!("call {n}");
        desk.send(invite(&call_id, tag));
        let bye = request("BYE", "update", &call_id).from_tag(from);
        desk.send(if to.is_empty() { bye } else { bye.tagged(to) });
        assert_eq!(up(&server), left, "{tag}, {from}, {to}");
        let released = server.jsonrpc("dispatcher.release", json!([call_id]));
        assert_eq!(released.is_ok(), left == 1);
    }
}

/// Return codes in what the probe says, with a letter for the destination where the call is.
pub fn codes(lines: &[String]) -> String {
    let code = |line: &String| Some(line.split(" rc=").nth(1)?.split(' ').next()?.to_owned());
    lines.iter().filter_map(code).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_request_that_is_not_sent_moves_no_count() {
    let list = dests(&["a", "b", "c", "d"]);
    let long = format!("sip:{}@service.test", "u".repeat(1_005));
    for mode in [0, 65_536] {
        let config = Probe::new().config().list(list.as_str()).param("flags", 2);
        let config = config.param("ds_hash_size", 4).param("xavp_dst_mode", mode);
        let server = Kamailio::start(Module::Rust, config.allow_log("cannot"));
        let uac = Uac::new();
        let call = |call_id: &str, uri: &str, operations: &str| {
            let invite = Request::new("INVITE", uri).call_id(call_id).from_tag("x");
            let invite = invite.header("X-Do", format!("{operations}|."));
            codes(&Probe::lines(&uac.request(server.addr(), &invite)))
        };
        // A new call, a call that is up, and a call that fails over.
        assert_eq!(call("1", &long, "dom,1,10"), "-1");
        assert_eq!(
            (loads(&server).as_str(), up(&server)),
            ("a=0 b=0 c=0 d=0", 0)
        );
        assert_eq!(call("1", "sip:short@service.test", "dom,1,10"), "1");
        assert_eq!(call("1", &long, "dom,1,10"), "-1");
        assert_eq!(loads(&server), "a=1 b=0 c=0 d=0");
        assert_eq!(call("2", &long, "dst,1,10|nextdom"), "1 -1");
        assert_eq!(loads(&server), "a=1 b=1 c=0 d=0", "{mode}");
        // A call whose destination is out moves only if it is sent.
        let uri = super::desk::uri(0);
        server
            .kamcmd(&["dispatcher.set_state", "d", "1", &uri])
            .unwrap();
        assert_eq!(call("1", &long, "dom,1,10"), "-1");
        assert_eq!(loads(&server), "a=1 b=1 c=0 d=0");
        assert_eq!(call("1", "sip:short@service.test", "dom,1,10"), "1");
        assert_eq!(loads(&server), "a=0 b=1 c=1 d=0");
        // The next one is there after a failure, too.
        assert_eq!(call("3", &long, "dst,1,10|nextdom|nextdst"), "1 -1 1");
        assert_eq!(up(&server), 3);
    }
}

#[test]
fn a_call_id_is_ended_by_name() {
    let probe = Probe::new().op("gone", r#"ds_load_unset("$hdr(X-Gone)");"#);
    let probe = probe.op("none", r#"ds_load_unset("");"#);
    let config = probe.config().list(dests(&["a", "b"])).param("flags", 2);
    let server = Kamailio::start(Module::Rust, config.param("ds_hash_size", 4));
    let uac = Uac::new();
    let run = |method: &str, call_id: &str, tag: &str, gone: &str, operations: &str| {
        let request = Request::new(method, "sip:callee@service.test").call_id(call_id);
        let request = request.from_tag(tag).header("X-Gone", gone);
        let request = request.header("X-Do", format!("{operations}|."));
        codes(&Probe::lines(&uac.request(server.addr(), &request)))
    };
    let long = "l".repeat(4_000);
    for (call_id, tag) in [("1", "x"), ("1", "y"), ("2", "x"), (&long, "x")] {
        assert_eq!(run("INVITE", call_id, tag, "-", "dst,1,10"), "1");
    }
    assert_eq!(run("OPTIONS", "9", "z", "1", "gone|gone"), "1 -1");
    assert_eq!(up(&server), 2);
    // Also while an INVITE of another call is on its way.
    assert_eq!(
        run("INVITE", "3", "x", &long, "dst,1,10|gone|none"),
        "1 1 -1"
    );
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=2 b=0", 2));
}

/// Requests whose user part is `flood` are not answered, so that a test can send many; that of `read` says that they
/// are read. Others open a transaction.
const FLOOD: &str = r#"request_route {
    if ($rU == "flood") {
        ds_select_dst("$hdr(X-Set)", "10");
        exit;
    }
    if ($rU == "read") {
        sl_send_reply("200", "OK");
        exit;
    }
    if (!t_newtran()) {
        sl_send_reply("500", "No Transaction");
        exit;
    }
    ds_select_dst("$hdr(X-Set)", "10");
    $var(rc) = $rc;
    append_to_reply("X-Rc: $var(rc)\r\nX-Id: $xavp(_dsdst_=>dstid)\r\nX-Cnt: $xavp(_dsctx_=>cnt)\r\n");
    ds_next_dst();
    append_to_reply("X-Next: $rc\r\n");
    t_reply("200", "OK");
}
"#;

fn flood_config(most: i64) -> Config {
    let list = "1 sip:127.0.0.1:7001 0 0 duid=a\n1 sip:127.0.0.1:7002 0 0 duid=b\n\
        2 sip:127.0.0.1:7003 0 0 duid=c;maxload=3\n";
    let config = Config::routes(FLOOD).list(list).param("flags", 2);
    let config = config.param("ds_hash_size", 8);
    config
        .param("ds_hash_max_calls", most)
        .children(1)
        .shm_mb(64)
}

fn flood(call_id: &str, set: &str) -> Request {
    let request = Request::new("INVITE", "sip:flood@service.test");
    request.call_id(call_id).header("X-Set", set)
}

/// Bytes of shared memory in use.
fn used(server: &Kamailio) -> i64 {
    let stats = server.jsonrpc("core.shmmem", json!([])).unwrap();
    let used = &stats["used"];
    let text = used.as_str().and_then(|text| text.parse().ok());
    used.as_i64()
        .or(text)
        .unwrap_or_else(|| panic!("no used in {stats}"))
}

#[test]
fn a_flood_of_long_call_ids_leaves_the_memory_to_others() {
    let server = Kamailio::start(Module::Rust, flood_config(0));
    let uac = Uac::new();
    let ordinary = |n: usize| {
        let request = Request::new("INVITE", "sip:other@service.test").header("X-Set", "2");
        let request = request.from_tag("x");
        uac.request(server.addr(), &request.call_id(format!("other {n}")))
    };
    assert_eq!(ordinary(0).text("X-Rc"), "1");
    let before = used(&server);
    // 6.0 takes no message above 32,767 bytes.
    let tail = "x".repeat(30_000);
    for n in 0..1_500 {
        uac.send(server.addr(), &flood(&format!("{n}{tail}"), "1"));
        if n % 2 == 0 {
            // No socket overflows, as the server has read them when it answers.
            uac.request(
                server.addr(),
                &Request::new("OPTIONS", "sip:read@service.test"),
            );
        }
    }
    let reply = ordinary(1);
    assert_eq!(
        (reply.status(), reply.text("X-Rc").as_str()),
        (Some(200), "1")
    );
    assert!(up(&server) > 1_000);
    let each = (used(&server) - before) / up(&server);
    assert!(each <= 256, "{each} bytes a call");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    // One that long is found whole.
    let found = server.jsonrpc("dispatcher.calls", json!([format!("callid=7{tail}")]));
    let found = found.unwrap();
    let shown = found["CALLS"][0]["CALL"]["CALLID"]
        .as_str()
        .unwrap_or_default();
    assert_eq!(shown, format!("7{}...", "x".repeat(40)), "{found}");
}

#[test]
fn a_full_table_gives_up_old_calls_and_then_goes_on_uncounted() {
    let full = "(ds_hash_max_calls)";
    let server = Kamailio::start(Module::Rust, flood_config(50).expect_log(full));
    let uac = Uac::new();
    let ask = |call_id: &str, set: &str| {
        let request = Request::new("INVITE", "sip:other@service.test").call_id(call_id);
        let request = request.from_tag("x").header("X-Set", set);
        let reply = uac.request(server.addr(), &request);
        ["X-Rc", "X-Id", "X-Cnt", "X-Next"].map(|name| reply.text(name))
    };
    let answers =
        |rc: &str, id: &str, cnt: &str, next: &str| [rc, id, cnt, next].map(str::to_owned);
    // These are limited, so they stay.
    for n in 0..3 {
        assert_eq!(
            ask(&format!("limited {n}"), "2"),
            answers("1", "c", "1", "-1")
        );
    }
    for n in 0..500 {
        uac.send(server.addr(), &flood(&format!("flood {n}"), "1"));
        if n % 25 == 0 {
            uac.request(
                server.addr(),
                &Request::new("OPTIONS", "sip:read@service.test"),
            );
        }
    }
    assert_eq!(ask("another", "1")[0], "1");
    assert_eq!(up(&server), 50);
    let calls = server
        .jsonrpc("dispatcher.calls", json!(["all", 0, 100]))
        .unwrap();
    assert_eq!(calls["MAX"], 50);
    let calls = calls.to_string();
    assert_eq!(calls.matches("limited ").count(), 3, "{calls}");
    assert!(
        calls.contains("flood 499") && !calls.contains("flood 450\""),
        "{calls}"
    );
    assert_eq!(ask("limited 3", "2")[0], "-1");
    assert_eq!(
        server.log().matches(full).count(),
        1,
        "one warning a minute"
    );
}

#[test]
fn what_cannot_be_counted_goes_to_destinations_without_a_limit_alone() {
    let server = Kamailio::start(
        Module::Rust,
        flood_config(1).expect_log("ds_hash_max_calls"),
    );
    let uac = Uac::new();
    let ask = |set: &str| {
        let request = Request::new("INVITE", "sip:other@service.test").header("X-Set", set);
        let reply = uac.request(server.addr(), &request);
        ["X-Rc", "X-Id", "X-Cnt", "X-Next"].map(|name| reply.text(name))
    };
    assert_eq!(ask("2"), ["1", "c", "1", "-1"]);
    assert_eq!(
        ask("1"),
        ["1", "<null>", "1", "-1"],
        "no record to go on with"
    );
    assert_eq!(ask("2"), ["1", "c", "1", "-1"], "beyond the bound");
    assert_eq!(ask("2")[0], "-1", "twice the bound");
    assert_eq!(up(&server), 2);
}

#[test]
fn a_bound_below_0_is_the_default() {
    let most = |value| {
        let config = flood_config(value);
        let warned = "parameter ds_hash_max_calls: found \"-1\"";
        let config = match value {
            0 => config,
            _ => config.expect_log(warned),
        };
        let server = Kamailio::start(Module::Rust, config);
        let calls = server.jsonrpc("dispatcher.calls", json!(["all"]));
        calls.unwrap()["MAX"].clone()
    };
    assert_eq!(most(-1), most(0));
}

#[test]
fn full_shared_memory_leaves_no_count_behind() {
    // The pool is filled by a script, in smaller and smaller pieces, while calls come.
    const ROUTES: &str = r#"request_route {
        if ($rU == "fill") {
            $var(n) = $(hdr(X-Count){s.int});
            $var(text) = $hdr(X-Text);
            while ($var(n) > 0) {
                $var(n) = $var(n) - 1;
                $sht(trace=>$(hdr(X-Key))-$var(n)) = $var(text);
            }
            sl_send_reply("200", "OK");
            exit;
        }
        ds_select_dst("1", "10");
        $var(rc) = $rc;
        append_to_reply("X-Rc: $var(rc)\r\n");
        sl_send_reply("200", "OK");
    }
    "#;
    let list = dests(&["a", "b", "c"]);
    let config = Config::routes(ROUTES)
        .list(list)
        .param("flags", 2)
        .param("ds_hash_size", 4);
    let server = Kamailio::start(Module::Rust, config.children(1).shm_mb(8).only_critical());
    let uac = Uac::new();
    let (mut counted, mut failed) = (0, 0);
    for (n, size) in [20_000, 4_000, 1_000, 200, 50, 20, 1]
        .into_iter()
        .enumerate()
    {
        let fill = Request::new("OPTIONS", "sip:fill@service.test").header("X-Count", "2000");
        let fill = fill
            .header("X-Key", n.to_string())
            .header("X-Text", "x".repeat(size));
        uac.request(server.addr(), &fill);
        for call in 0..20 {
            let invite = Request::new("INVITE", "sip:a@service.test");
            let invite = invite.call_id(format!("{n}-{call}"));
            match uac.request(server.addr(), &invite).text("X-Rc").as_str() {
                "1" => counted += 1,
                _ => failed += 1,
            }
        }
    }
    assert!(failed > 0, "the pool was never full");
    let all: i64 = super::desk::loads_of(&server, 1)
        .iter()
        .map(|(_, load)| load)
        .sum();
    assert_eq!((all, up(&server)), (counted, counted));
}

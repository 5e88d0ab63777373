//! Names that only newer servers' C modules have: `ds_mark_addr`, `ds_dsg_fetch`, `$dsg`, `dstidx`, the attribute
//! `ping_reply_codes`.

use harness::{Config, Crowd, Kamailio, Module, Request, Step, Uac, patience, wait_for};
use serde_json::json;

const ROUTE: &str = r#"
request_route {
    switch ($rm) {
    case "MESSAGE":
        ds_mark_addr("$hdr(X-State)", "$hdr(X-Set)", "$hdr(X-Uri)");
        break;
    case "INFO":
        ds_select_dst("1", "8");
        break;
    default:
        ds_dsg_fetch("$hdr(X-Set)");
    }
    append_to_reply("X-Out: $rc $dsg(count) $dsg(active) $dsg(inactive) $dsg(pactive) $dsg(pinactive) $xavp(_dsdst_[0]=>dstidx) $xavp(_dsdst_[1]=>dstidx)\r\n");
    send_reply("200", "OK");
}
"#;

const LIST: &str = "\
1 sip:127.0.0.1:7001 1
1 sip:127.0.0.1:7002
1 sip:127.0.0.1:7003
2 sip:127.0.0.1:7004
";

fn start(compat: &str) -> Kamailio {
    let config = Config::routes(ROUTE)
        .list(LIST)
        .param("flags", 2)
        .param("compat", compat);
    Kamailio::start(Module::Rust, config)
}

fn ask(server: &Kamailio, method: &str, headers: &[(&str, &str)]) -> String {
    let mut request = Request::new(method, "sip:callee@service.test");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    Uac::new().request(server.addr(), &request).text("X-Out")
}

fn mark(server: &Kamailio, state: &str, set: &str, uri: &str) -> String {
    let headers = [("X-State", state), ("X-Set", set), ("X-Uri", uri)];
    let out = ask(server, "MESSAGE", &headers);
    out.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn ds_mark_addr_marks_what_nobody_selected() {
    let server = start("5.6");
    let uri = "sip:127.0.0.1:7002";
    assert_eq!(mark(&server, "ip", "1", uri), "1");
    assert_eq!(server.flags(1, uri), "IP");
    assert_eq!(mark(&server, "", "1", "SIP:127.0.0.1:7002"), "1");
    assert_eq!(server.flags(1, uri), "AX");
    assert_eq!(mark(&server, "i", "2", uri), "-1");
    assert_eq!(mark(&server, "i", "9", uri), "-1");
    server.expect_log("cannot mark: \"x\" is no state");
    assert_eq!(mark(&server, "x", "1", uri), "-1");
    assert_eq!(server.flags(1, uri), "AX");
}

#[test]
fn dsg_shows_the_chosen_set() {
    let server = start("5.6");
    let none = "<null> <null>";
    let fetch = |set: &str| ask(&server, "OPTIONS", &[("X-Set", set)]);
    assert_eq!(fetch("1"), format!("1 3 2 1 66 33 {none}"));
    assert_eq!(fetch("2"), format!("1 1 1 0 100 0 {none}"));
    let nulls = ["<null>"; 7].join(" ");
    assert_eq!(fetch("9"), format!("-1 {nulls}"));
    mark(&server, "d", "2", "sip:127.0.0.1:7004");
    assert_eq!(fetch("2"), format!("1 1 0 1 0 100 {none}"));
}

/// As the C module of 6.0 answers, but for the set that is not there.
#[test]
fn dsg_shows_what_a_destination_reported_of_its_load() {
    const ROUTE: &str = r#"
request_route {
    if ($hdr(X-Rate) != $null) {
        $var(rate) = $(hdr(X-Rate){s.int});
        ds_oc_set_attrs("1", "sip:127.0.0.1:7001", "$var(rate)", "60000", "7");
    }
    ds_dsg_fetch_uri("$hdr(X-Set)", "$hdr(X-Uri)");
    $var(rc) = $rc;
    $var(left) = $dsg(octime_sec);
    if ($dsg(octime_sec) > 0) { $var(left) = $dsg(octime_sec) - $TS; }
    append_to_reply("X-Out: $var(rc) $dsg(count) $dsg(ocrate) $dsg(ocseq) $var(left)\r\n");
    send_reply("200", "OK");
}
"#;
    let list = "1 sip:127.0.0.1:7001 0 0 ocmin=5;ocmax=50\n1 sip:127.0.0.1:7002\n";
    let server = Kamailio::start(Module::Rust, Config::routes(ROUTE).list(list));
    let uri = "sip:127.0.0.1:7001";
    let fetch = |set: &str, uri: &str| ask(&server, "OPTIONS", &[("X-Set", set), ("X-Uri", uri)]);
    assert_eq!(fetch("1", uri), "1 2 5 0 0");
    for other in [
        "sip:127.0.0.1:7002",
        "sip:127.0.0.1:7999",
        "SIP:127.0.0.1:7001",
    ] {
        assert_eq!(fetch("1", other), "1 2 0 0 0");
    }
    assert!(fetch("9", uri).starts_with("-1 <null> <null> <null>"));
    let headers = [("X-Rate", "90"), ("X-Set", "1"), ("X-Uri", uri)];
    let told = ask(&server, "OPTIONS", &headers);
    let (numbers, left) = told.rsplit_once(' ').expect("five numbers");
    assert_eq!(numbers, "1 2 50 7");
    let left: i32 = left.parse().expect("seconds");
    assert!((1..=60).contains(&left), "{told}");
}

#[test]
fn set_1_is_the_first_one_shown_and_places_come_with_compat_6_1() {
    for (compat, places) in [("5.6", "<null> <null>"), ("6.1", "0 1")] {
        let server = start(compat);
        let out = ask(&server, "INFO", &[]);
        assert_eq!(out, format!("1 3 2 1 66 33 {places}"), "{compat}");
    }
}

/// Keys of the objects in a JSON text, in order; of each name only the first.
fn keys(text: &str, of: &str) -> Vec<String> {
    let inside = text.split(of).nth(1).unwrap();
    let pieces = inside.split('"').skip(1).step_by(2);
    let mut keys: Vec<String> = Vec::new();
    for (piece, after) in pieces.zip(inside.split('"').skip(2).step_by(2)) {
        if after.trim_start().starts_with(':') && !keys.iter().any(|key| key == piece) {
            keys.push(piece.to_owned());
        }
    }
    keys
}

#[test]
fn the_list_has_the_keys_of_6_1() {
    let server = start("6.1");
    let full = server.jsonrpc_text("dispatcher.list", serde_json::json!(["full"]));
    let wanted = "IDX URI FLAGS PRIORITY IUID HOST IPADDR PORT PROTOID DNSTIME_SEC DNSTIME_USEC \
                  OCRATE OCIDX OCSEQ OCTIME_SEC OCTIME_USEC ATTRS BODY DUID PROBING_COUNT MAXLOAD \
                  WEIGHT RWEIGHT SOCKET SOCKNAME PING_SOCKET OBPROXY OCMIN OCMAX";
    let keys = keys(&full.unwrap(), "\"DEST\"");
    assert_eq!(keys[..29].join(" "), wanted);
    let first = server.dest(1, 0);
    assert_eq!(first["IDX"], 0);
    assert_eq!(server.dest(1, 2)["IDX"], 2);
    let normal = server.kamcmd(&["dispatcher.list"]).unwrap();
    assert!(!normal.contains("ATTRS"), "{normal}");
}

#[test]
fn a_unique_id_stays_over_reloads_and_is_nobody_elses() {
    let server = start("6.1");
    let id = |set: i64, at: usize| server.dest(set, at)["IUID"].as_str().unwrap().to_owned();
    let all = [id(1, 0), id(1, 1), id(1, 2), id(2, 0)];
    for (at, id) in all.iter().enumerate() {
        let parts: Vec<&str> = id.split('-').collect();
        assert_eq!((parts.len(), parts[0]), (5, "dspt"), "{id}");
        assert_eq!(parts[4], if at == 3 { "2" } else { "1" }, "{id}");
        assert!(!all[..at].contains(id), "{all:?}");
    }
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    server
        .kamcmd(&["dispatcher.add", "2", "sip:127.0.0.1:7009"])
        .unwrap();
    assert_eq!(id(1, 0), all[0]);
    assert_eq!(id(2, 1), all[3]);
    assert!(!all.contains(&id(2, 0)));
}

/// A destination that answers its pings with one status, the line behind its URI, and the flags that it comes to.
type Answering<'a> = (&'a str, u16, &'a str, &'a str);

/// Waits until all have their flags, whatever those of the others are by then.
fn wait_for_flags(server: &Kamailio, crowd: &Crowd, all: &[Answering]) {
    for (name, _, rest, flags) in all {
        let uri = crowd.uri(name);
        wait_for(&format!("{rest} is {flags}"), patience(10), || {
            (server.flags(1, &uri) == *flags).then_some(())
        });
    }
}

/// The parameter takes 404 for good; a destination that has codes of its own does not ask it.
#[test]
fn a_destination_has_reply_codes_of_its_own() {
    let crowd = Crowd::start();
    let listed: [Answering; 8] = [
        ("param", 404, "", "AP"),
        ("strict", 404, "0 0 ping_reply_codes=class=2", "IP"),
        (
            "also",
            404,
            "0 0 duid=a;ping_reply_codes=\"class=2;code=404\";weight=1",
            "AP",
        ),
        (
            "other",
            503,
            "0 0 ping_reply_codes='code=486;code=503'",
            "AP",
        ),
        ("class", 486, "0 0 PING_REPLY_CODES='class=3;class=4'", "AP"),
        ("ok", 202, "0 0 ping_reply_codes='code=486'", "AP"),
        ("empty", 404, "0 0 ping_reply_codes=''", "AP"),
        ("bad", 404, "0 0 ping_reply_codes=404", "AP"),
    ];
    let by_command: [Answering; 3] = [
        ("added", 404, "ping_reply_codes=\"class=2;code=486\"", "IP"),
        ("good", 486, "ping_reply_codes=\"class=2;code=486\"", "AP"),
        ("worse", 404, "ping_reply_codes=\"class=2;code=4O4\"", "AP"),
    ];
    for (name, status, ..) in listed.iter().chain(&by_command) {
        crowd.script(name, &[Step::Code(*status)]);
    }
    let line = |(name, _, rest, _): &Answering| format!("1 {} {rest}\n", crowd.uri(name));
    let list: String = listed.iter().map(line).collect();
    let found = |value: &str| {
        format!(
            "ping_reply_codes: expected code=N and class=N, separated by ; and in quotes, found \
             \"{value}\", using ds_ping_reply_codes"
        )
    };
    let config = Config::routes("request_route { exit; }")
        .list(list)
        .param("reload_delta", 0)
        .param("ds_probing_mode", 1)
        .param("ds_ping_interval", 1)
        .param("ds_ping_reply_codes", "code=404")
        .expect_log(&format!("line 8: {}", found("404")));
    let server = Kamailio::start(Module::Rust, config);
    wait_for_flags(&server, &crowd, &listed);

    server.expect_log(&found("class=2;code=4O4"));
    for (name, _, attrs, _) in &by_command {
        let added = json!([1, crowd.uri(name), 0, 0, attrs]);
        server
            .jsonrpc("dispatcher.add", added)
            .expect("it is added");
    }
    wait_for_flags(&server, &crowd, &by_command);
    let shown = server
        .jsonrpc("dispatcher.list", json!([]))
        .unwrap()
        .to_string();
    for (.., attrs, _) in &by_command {
        let body = serde_json::to_string(attrs).unwrap();
        assert!(
            shown.contains(&format!("\"BODY\":{body}")),
            "{body} in {shown}"
        );
    }
    // An edit takes effect with the next ping.
    let modify = |name: &str, attrs: &str| {
        let change = json!([1, crowd.uri(name), "attrs", attrs]);
        let reply = server.jsonrpc("dispatcher.modify", change);
        reply.expect("it is modified");
    };
    modify("added", "ping_reply_codes=\"code=404\"");
    modify("param", "ping_reply_codes=\"code=405\"");
    wait_for_flags(
        &server,
        &crowd,
        &[("added", 404, "added", "AP"), ("param", 404, "param", "IP")],
    );
}

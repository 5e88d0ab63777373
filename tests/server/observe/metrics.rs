//! `ds_metrics`: the page for Prometheus, as a client of HTTP sees it.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::read::GzDecoder;
use harness::http::{self, Http};
use harness::network::from_afar;
use harness::this_machine::{lacks_networks, prometheus};
use harness::{Answer, Config, Kamailio, Module, Request, Uac, Uas, refuses, this_server};
use serde_json::json;

/// A request over SIP runs the function as well, which refuses it.
const ROUTES: &str = r#"
request_route {
    if (ds_metrics()) { sl_send_reply("200", "OK"); } else { sl_send_reply("500", "No"); }
}
event_route[xhttp:request] {
    if ($hu =~ "^/states") { ds_metrics("states=1"); }
    else if ($hu =~ "^/one") { ds_metrics("set=1&metrics=sets,destination_up"); }
    else if ($hu =~ "^/any") { ds_metrics("$hdr(X-Filter)"); }
    else { ds_metrics(); }
}
"#;

pub fn config() -> Config {
    Config::routes(ROUTES)
        .tcp()
        .global("tcp_accept_no_cl=yes")
        .load("xhttp.so")
}

pub fn get(server: &Kamailio, path: &str, headers: &[&str]) -> http::Answer {
    Http::to(server.addr()).get(path, headers)
}

/// The lines of a page that have a family, without its name, in the order of the alphabet.
fn lines<'t>(text: &'t str, family: &str) -> Vec<&'t str> {
    let name = format!("kamailio_dispatcher_{family}");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&name));
    let values = lines.filter(|rest| rest.starts_with(['{', ' ']));
    let mut values: Vec<&str> = values.map(str::trim_start).collect();
    values.sort_unstable();
    values
}

/// What promtool says of a page; nothing if it likes it. `None` where there is no promtool.
pub fn promtool(page: &[u8]) -> Option<String> {
    let mut checker = Command::new(prometheus("promtool")?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    checker.stdin.take().unwrap().write_all(page).unwrap();
    let output = checker.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    Some(said)
}

#[test]
fn a_page_of_metrics_is_sent_over_http() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let list = "1 sip:127.0.0.1:7001 0 5 duid=a;carrier=north\n\
                1 sip:127.0.0.1:7002 4 0 socket=udp:127.0.0.1:{{PORT}};maxload=9;carrier=\"so\\uth\"\n\
                2 sip:127.0.0.1:7003 2\n";
    let config = config()
        .list(list)
        .param("metrics_attrs", "carrier,site")
        .param("set_name", "1=Carrier \"1\"")
        .param("ds_hash_size", 4);
    let server = Kamailio::start(Module::Rust, config);
    let page = get(&server, "/metrics", &[]);
    assert_eq!(page.status, 200, "{page:?}");
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(page.header("Content-Type"), Some(kind));
    assert_eq!(page.header("Cache-Control"), Some("no-store"));
    assert_eq!(page.header("Content-Encoding"), None);
    let text = page.text();
    let port = server.port();
    let one = r#"set="1",destination="sip:127.0.0.1:7001",duid="a",socket="""#;
    let two = format!(
        r#"set="1",destination="sip:127.0.0.1:7002",duid="",socket="udp:127.0.0.1:{port}""#
    );
    let three = r#"set="2",destination="sip:127.0.0.1:7003",duid="",socket="""#;
    let expected: [(&str, &[String]); 14] = [
        ("sets", &["2".into()]),
        ("list_destinations", &["3".into()]),
        ("list_rejected", &["0".into()]),
        ("last_load_success", &["1".into()]),
        ("destinations_omitted", &["0".into()]),
        ("pings_enabled", &["0".into()]),
        (
            "loads_total",
            &[
                r#"{result="ok"} 1"#.into(),
                r#"{result="refused"} 0"#.into(),
            ],
        ),
        ("set_info", &[r#"{set="1",name="Carrier \"1\""} 1"#.into()]),
        (
            "set_calls",
            &[r#"{set="1"} 0"#.into(), r#"{set="2"} 0"#.into()],
        ),
        (
            "destination_up",
            &[
                format!("{{{one}}} 1"),
                format!("{{{two}}} 0"),
                format!("{{{three}}} 1"),
            ],
        ),
        ("destination_state", &[]),
        (
            "destination_info",
            &[
                format!(r#"{{{one},priority="5",carrier="north",site=""}} 1"#),
                format!(r#"{{{two},priority="0",carrier="so\\uth",site=""}} 1"#),
                format!(r#"{{{three},priority="0",carrier="",site=""}} 1"#),
            ],
        ),
        ("destination_calls_limit", &[format!("{{{two}}} 9")]),
        ("states_saved", &[]),
    ];
    for (family, samples) in expected {
        assert_eq!(lines(&text, family), samples, "{family}\n{text}");
    }
    let of_set_1 = |state: &str| format!(r#"{{set="1",state="{state}"}}"#);
    for (state, count) in [
        ("active", 1),
        ("trying", 0),
        ("inactive", 0),
        ("disabled", 1),
        ("draining", 0),
    ] {
        let line = format!("{} {count}", of_set_1(state));
        assert!(lines(&text, "set_destinations").contains(&line.as_str()));
    }
    // One connection serves many requests, and one body follows another.
    let mut kept = Http::to(server.addr());
    let without_time = |text: String| {
        text.split("# HELP kamailio_dispatcher_scrape")
            .next()
            .map(str::to_owned)
    };
    for _ in 0..50 {
        let again = kept.get("/metrics", &[]).text();
        assert_eq!(without_time(again), without_time(text.clone()));
    }
}

#[test]
fn gzip_is_sent_to_those_who_take_it() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let list: String = (0..200)
        .map(|n| format!("1 sip:127.0.0.1:{}\n", 7000 + n))
        .collect();
    let server = Kamailio::start(Module::Rust, config().list(list));
    let plain = get(&server, "/metrics?metrics=-scrape_duration_seconds", &[]);
    for (header, is_packed) in [
        ("Accept-Encoding: deflate, gzip;q=0.8", true),
        ("accept-encoding: *", true),
        ("Accept-Encoding: gzip;q=0", false),
    ] {
        let page = get(
            &server,
            "/metrics?metrics=-scrape_duration_seconds",
            &[header],
        );
        let encoding = is_packed.then_some("gzip");
        assert_eq!(page.header("Content-Encoding"), encoding, "{header}");
        let mut text = page.body.clone();
        if is_packed {
            assert!(
                page.body.len() * 6 < plain.body.len(),
                "{}",
                page.body.len()
            );
            text.clear();
            GzDecoder::new(&page.body[..])
                .read_to_end(&mut text)
                .unwrap();
        }
        assert!(text == plain.body, "{header}");
    }
}

#[test]
fn other_methods_and_other_requests_are_refused() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let server = Kamailio::start(Module::Rust, config().list("1 sip:127.0.0.1:7001\n"));
    let mut http = Http::to(server.addr());
    let refused = http.try_ask("POST", "/metrics", &[], "x").unwrap();
    assert_eq!(
        (refused.status, refused.header("Allow")),
        (405, Some("GET"))
    );
    server.allow_log("ds_metrics answers HTTP requests only");
    let request = Request::new("OPTIONS", "sip:x@service.test");
    let reply = Uac::new().request(server.addr(), &request);
    assert_eq!(reply.status(), Some(500));
    server.wait_log("ds_metrics answers HTTP requests only: call it in event_route[xhttp:request]");
}

#[test]
fn a_config_without_xhttp_or_with_a_bad_filter_is_refused_and_says_so() {
    let routes = "request_route { ds_metrics(); }";
    let said = "ds_metrics needs the module xhttp: load it before";
    refuses(Config::routes(routes).list(""), said);
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let routes = "event_route[xhttp:request] { ds_metrics(\"level=all\"); }";
    let config = Config::routes(routes).list("").tcp().load("xhttp.so");
    let said = "ds_metrics: unknown word \"level=all\", expected level=set|destination";
    refuses(config, said);
    for (name, value) in [("metrics_attrs", "duid"), ("metrics_attrs", "a-b")] {
        let config = Config::routes("").list("").param(name, value);
        refuses(config, &format!("parameter {name}: found \"{value}\""));
    }
}

#[test]
fn a_filter_narrows_and_a_query_never_widens_it() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002 4\n2 sip:127.0.0.1:7003\n";
    let server = Kamailio::start(Module::Rust, config().list(list));
    let page = |path: &str| get(&server, path, &[]).text();
    let up = |path: &str| lines(&page(path), "destination_up").len();
    for (path, count) in [
        ("/metrics", 3),
        ("/metrics?set=1", 2),
        ("/metrics?set=1,2&up=0", 1),
        ("/metrics?set=%31&up=1", 1),
        ("/metrics?set=7", 0),
        ("/metrics?level=set", 0),
        ("/metrics?metrics=-destination_up", 0),
        ("/one", 2),
        ("/one?set=2", 0),
        ("/one?set=1,2&level=destination", 2),
    ] {
        assert_eq!(up(path), count, "{path}");
    }
    assert_eq!(lines(&page("/one"), "list_destinations").len(), 0);
    assert_eq!(
        lines(&page("/one?metrics=list_destinations"), "sets").len(),
        0
    );
    let states = |path: &str| lines(&page(path), "destination_state").len();
    assert_eq!(states("/states"), 15);
    assert_eq!(states("/states?states=0"), 0);
    assert_eq!(states("/metrics?states=1"), 0);
    let refused = get(&server, "/metrics?node=1", &[]);
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .text()
            .starts_with("unknown word \"node=1\", expected level=")
    );
    // What a variable holds is known at the call only.
    let of_one = get(&server, "/any", &["X-Filter: set=2"]);
    assert_eq!(lines(&of_one.text(), "destination_up").len(), 1);
}

#[test]
fn what_happens_is_seen_on_the_next_page() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let config = config()
        .list("1 sip:127.0.0.1:7001\n")
        .param("state_file", "{{DIR}}/states");
    let server = Kamailio::start(Module::Rust, config);
    let text = || get(&server, "/metrics", &[]).text();
    let value = |family: &str| {
        let text = text();
        lines(&text, family)[0]
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let now_s = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let is_now = |family: &str| value(family).parse::<u64>().unwrap().abs_diff(now_s()) <= 2;
    assert!(is_now("last_load_success_timestamp_seconds"));
    assert_eq!(
        (value("destination_up"), value("states_saved")),
        ("1".into(), "1".into())
    );
    assert_eq!(
        lines(&text(), "destination_state_change_timestamp_seconds").len(),
        0
    );
    let set = json!(["d", 1, "sip:127.0.0.1:7001"]);
    server.jsonrpc("dispatcher.set_state", set).unwrap();
    assert_eq!(value("destination_up"), "0");
    assert!(is_now("destination_state_change_timestamp_seconds"));
    server
        .jsonrpc("dispatcher.add", json!([2, "sip:127.0.0.1:7002"]))
        .unwrap();
    server
        .jsonrpc("dispatcher.remove", json!([2, "sip:127.0.0.1:7002"]))
        .unwrap();
    let modify = json!([1, "sip:127.0.0.1:7001", "priority", 3]);
    server.jsonrpc("dispatcher.modify", modify).unwrap();
    let edits = [
        r#"{op="add"} 1"#,
        r#"{op="modify"} 1"#,
        r#"{op="remove"} 1"#,
    ];
    assert_eq!(lines(&text(), "edits_total"), edits);
    server.allow_log("a list");
    server.allow_log("line");
    server.write_list("1 sip:127.0.0.1:7001\n1 x:y\n");
    server.jsonrpc("dispatcher.reload", json!([])).unwrap();
    assert_eq!(value("list_rejected"), "1");
    server.allow_log("no dispatching list");
    std::fs::remove_file(server.list_path()).unwrap();
    server.jsonrpc("dispatcher.reload", json!([])).unwrap_err();
    assert_eq!(value("last_load_success"), "0");
    let loads = [r#"{result="ok"} 2"#, r#"{result="refused"} 1"#];
    assert_eq!(lines(&text(), "loads_total"), loads);
}

#[test]
fn selections_failovers_and_pings_are_counted() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let gateway = Uas::start(Answer::Code(200));
    let routes = r#"
request_route {
    ds_select_dst("1", "8");
    ds_next_dst();
    ds_select_dst("2", "8");
    sl_send_reply("200", "OK");
}
event_route[xhttp:request] { ds_metrics(); }
"#;
    let list = format!(
        "1 sip:127.0.0.1:1 0 1\n1 {} 8\n2 sip:127.0.0.1:7003 4\n",
        gateway.uri()
    );
    let config = Config::routes(routes)
        .tcp()
        .global("tcp_accept_no_cl=yes")
        .load("xhttp.so")
        .list(list)
        .param("flags", 2)
        .param("force_dst", 1)
        .param("counters", 2)
        .param("ds_ping_interval", 1)
        .param("ds_ping_latency_stats", 1)
        .allow_log("no destination");
    let server = Kamailio::start(Module::Rust, config);
    for _ in 0..3 {
        let request = Request::new("OPTIONS", "sip:x@service.test");
        let reply = Uac::new().request(server.addr(), &request);
        assert_eq!(reply.status(), Some(200));
    }
    let text = || get(&server, "/metrics", &[]).text();
    let counts = |family: &str| -> Vec<String> {
        let text = text();
        let found = lines(&text, family).into_iter();
        let short = found.map(|line| line.replace(r#",duid="",socket="""#, ""));
        short.filter(|line| !line.ends_with(" 0")).collect()
    };
    let uri = gateway.uri();
    assert_eq!(counts("set_selections_total"), [r#"{set="1"} 6"#]);
    assert_eq!(counts("set_failovers_total"), [r#"{set="1"} 3"#]);
    assert_eq!(counts("set_selections_failed_total"), [r#"{set="2"} 3"#]);
    assert_eq!(
        counts("destination_failovers_total"),
        [r#"{set="1",destination="sip:127.0.0.1:1"} 3"#]
    );
    assert_eq!(
        counts("destination_selections_total"),
        [
            r#"{set="1",destination="sip:127.0.0.1:1"} 3"#.to_owned(),
            format!(r#"{{set="1",destination="{uri}"}} 3"#),
        ]
    );
    let of_gateway = format!(r#"{{set="1",destination="{uri}"}} "#);
    for family in [
        "destination_pings_total",
        "destination_ping_round_trip_seconds",
    ] {
        harness::wait_for(family, harness::patience(10), || {
            counts(family)
                .iter()
                .any(|line| line.starts_with(&of_gateway))
                .then_some(())
        });
    }
    assert_eq!(counts("destination_pings_failed_total"), [""; 0]);
    // Below a millisecond it is 0.
    let estimates = "destination_ping_latency_seconds";
    assert_eq!(lines(&text(), estimates).len(), 1);
    let page = get(&server, "/metrics", &[]);
    assert_eq!(promtool(&page.body).unwrap_or_default(), "");
}

/// Quotes, a backslash, a line end, bytes that are no text, set 0, equal lines, lines that are equal but for bytes that
/// are no text, no sets.
#[test]
fn promtool_likes_every_page() {
    if this_server::lacks(&["xhttp.so"]) || prometheus("promtool").is_none() {
        return;
    }
    let strange = b"0 sip:a\"b@127.0.0.1:7001 0 0 duid=q\"u;carrier=\"x\\y\"\n\
        0 sip:127.0.0.1:7002\n0 sip:127.0.0.1:7002\n0 sip:127.0.0.1:7002 0 1 a=b\n\
        9 sip:\xff@127.0.0.1:7003 0 0 duid=\xc3\x28\n9 sip:\xfe@127.0.0.1:7003 0 0 duid=\xc3\x28\n\
        7 sip:back\\slash@127.0.0.1 0 0 carrier=\xe2\x82\n8 sip:\xe2\x82\xac@127.0.0.1:7004\n";
    let many: String = (0..2_000)
        .map(|n| format!("{} sip:127.0.0.1:{}\n", n / 10, 7000 + n))
        .collect();
    let (none, many) = (b"".as_slice(), many.as_bytes());
    for (list, samples) in [(strange.as_slice(), 8), (none, 0), (many, 2_000)] {
        let config = config()
            .list(list)
            .param("metrics_attrs", "carrier")
            .param("metrics_destinations", 0)
            .param("ds_hash_size", 4)
            .allow_log("UTF-8");
        let server = Kamailio::start(Module::Rust, config);
        // A line end comes in by a command alone.
        let uri = "sip:x@127.0.0.1:7009";
        server
            .jsonrpc("dispatcher.add", json!([3, uri, 0, 0, "carrier=\"a\nb\""]))
            .unwrap();
        let page = get(&server, "/states", &[]);
        assert_eq!(promtool(&page.body).unwrap(), "");
        let text = page.text();
        assert_eq!(lines(&text, "destination_up").len(), samples + 1, "{text}");
        assert!(text.contains(r#"carrier="a\nb""#));
        if samples == 8 {
            // The equal lines, and those that are equal as texts: up, info and state each.
            let copies = lines(&text, "destination_up");
            let copies = copies.iter().filter(|line| line.contains(r#"copy="2"} 1"#));
            assert_eq!(copies.count(), 2, "{text}");
            assert!(text.contains("sip:\u{fffd}@127.0.0.1:7003"), "{text}");
        }
    }
}

#[test]
fn more_destinations_than_wanted_are_counted_and_not_shown() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let list: String = (0..30)
        .map(|n| format!("{} sip:127.0.0.1:{}\n", n % 2, 7000 + n))
        .collect();
    let config = config().list(list).param("metrics_destinations", 20);
    let server = Kamailio::start(Module::Rust, config);
    let text = get(&server, "/metrics", &[]).text();
    assert_eq!(lines(&text, "destinations_omitted"), ["30"]);
    assert!(!text.contains("destination=") && text.contains("set_destinations{"));
    let of_one = get(&server, "/metrics?set=1", &[]).text();
    assert_eq!(lines(&of_one, "destinations_omitted"), ["0"]);
    assert_eq!(lines(&of_one, "destination_up").len(), 15);
}

#[test]
fn a_page_that_the_connection_would_cut_is_refused_and_names_the_setting() {
    if this_server::lacks(&["xhttp.so"]) || lacks_networks() {
        return;
    }
    let list: String = (0..2_000)
        .map(|n| format!("{} sip:127.0.0.1:{}\n", n % 40, 7000 + n))
        .collect();
    let config = config().list(list).far().param("metrics_destinations", 0);
    let server = Kamailio::start(Module::Rust, config);
    let (mut whole, mut refused) = (0, 0);
    from_afar(&server, |addr| {
        for sets in 1..=40 {
            let sets: Vec<String> = (0..sets).map(|set| set.to_string()).collect();
            let path = format!("/metrics?set={}", sets.join(","));
            // Each on a connection of its own: the window of one that is used grows.
            match Http::to(addr).get(&path, &[]) {
                page if page.status == 200 => whole = whole.max(page.body.len()),
                page => {
                    assert_eq!(page.status, 503, "{page:?}");
                    let said = page.text();
                    assert!(
                        said.starts_with("page of ") && said.contains("tcp_conn_wq_max allows"),
                        "{said}"
                    );
                    assert!(said.ends_with("or ask for level=set\n"), "{said}");
                    refused += 1;
                }
            }
        }
    });
    assert!(
        whole > 60_000 && refused > 5,
        "{whole} bytes whole, {refused} refused"
    );
}

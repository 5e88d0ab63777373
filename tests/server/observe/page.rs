//! `ds_page`: its answers, as a client of HTTP sees them.

use harness::http::{Answer, Http};
use harness::{Config, Kamailio, Module, refuses, this_server, wait_for};
use serde_json::{Value, json};

/// The most bytes of an answer.
const MOST: usize = 96_000;

pub const ROUTES: &str = r#"
request_route { sl_send_reply("200", "OK"); }
event_route[xhttp:request] {
    if ($hu =~ "^/dispatcher") { ds_page(); } else { xhttp_reply("404", "Not Found", "", ""); }
}
"#;

pub fn config(routes: &str) -> Config {
    Config::routes(routes)
        .tcp()
        .global("tcp_accept_no_cl=yes")
        .load("xhttp.so")
}

fn get(server: &Kamailio, path: &str) -> Answer {
    Http::to(server.addr()).get(path, &[])
}

fn data(server: &Kamailio, query: &str) -> Value {
    let answer = get(server, &format!("/dispatcher/data?{query}"));
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    assert!(
        answer.body.len() <= MOST,
        "{query}: {} bytes",
        answer.body.len()
    );
    serde_json::from_slice(&answer.body).unwrap()
}

fn uris(data: &Value) -> Vec<&str> {
    let rows = data["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| row["uri"].as_str().unwrap())
        .collect()
}

#[test]
fn the_page_is_one_file_that_runs_its_own_script_only() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let server = Kamailio::start(Module::Rust, config(ROUTES).list(""));
    let page = get(&server, "/dispatcher/");
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(
        page.header("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    for (name, value) in [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    let policy = page.header("Content-Security-Policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(page.body.len() <= 64_000);
    let outside = ["http://", "https://", "//cdn", "src="];
    let text = page.text().replace("http://www.w3.org/2000/svg", "");
    for word in outside {
        assert!(!text.contains(word), "{word}");
    }
    let mut http = Http::to(server.addr());
    let packed = http.get("/dispatcher/", &["Accept-Encoding: gzip"]);
    assert_eq!(packed.header("Content-Encoding"), Some("gzip"));
    assert!(packed.body.len() <= 20_000, "{} bytes", packed.body.len());
}

#[test]
fn what_follows_the_last_slash_says_what_is_asked_for() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let server = Kamailio::start(Module::Rust, config(ROUTES).list("1 sip:127.0.0.1:7001\n"));
    for path in ["/dispatcher", "/dispatcher?set=1"] {
        let answer = get(&server, path);
        assert_eq!(answer.status, 200, "{path}");
        let text = answer.text();
        assert!(
            text.contains("content=\"0;url=./dispatcher/\"")
                && text.contains("href=\"./dispatcher/\""),
            "{text}"
        );
    }
    for path in [
        "/dispatcher/favicon.ico",
        "/dispatcher/javascript:alert(1)",
        "/dispatcher/%22",
        "/dispatcher/\"><b>",
    ] {
        let answer = get(&server, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("/data, /history and /text"));
    }
    assert_eq!(get(&server, "/dispatcher/a/b/").status, 200);
    let wrong = get(&server, "/dispatcher/data?sort=colour");
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.text().contains("sort=[-]state,uri,set"),
        "{}",
        wrong.text()
    );
    let mut http = Http::to(server.addr());
    for path in ["/dispatcher/", "/dispatcher/data", "/dispatcher/state"] {
        let headers = ["Content-Type: application/json", "X-Dispatcher-Action: 1"];
        let answer = http
            .try_ask("POST", path, &headers, r#"{"state":"d"}"#)
            .unwrap();
        assert_eq!(
            (answer.status, answer.header("Allow")),
            (405, Some("GET")),
            "{path}"
        );
    }
}

#[test]
fn an_answer_says_what_is_up_what_is_not_and_why() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let list = "1 sip:127.0.0.1:7001 0 5 duid=a;weight=40;socket=udp:127.0.0.1:{{PORT}}\n\
                1 sip:127.0.0.1:7002 8\n1 sip:127.0.0.1:7003 4\n2 sip:127.0.0.1:7004 1\n";
    let config = config(ROUTES)
        .list(list)
        .param("ds_hash_size", 4)
        .param("counters", 2)
        .param("set_name", "2=Carrier Two");
    let server = Kamailio::start(Module::Rust, config);
    server
        .jsonrpc(
            "dispatcher.set_state",
            json!(["drain", 1, "sip:127.0.0.1:7002"]),
        )
        .unwrap();
    let all = data(&server, "");
    assert_eq!(
        all["totals"],
        json!({ "sets": 2, "down_sets": 1, "destinations": 4, "up": 1, "calls": 0 })
    );
    assert_eq!(
        all["states"],
        json!({ "inactive": 1, "trying": 0, "draining": 1, "disabled": 1, "active": 1 })
    );
    let sets = all["sets"].as_array().unwrap();
    assert_eq!(
        (&sets[0]["id"], &sets[0]["name"]),
        (&json!(2), &json!("Carrier Two"))
    );
    assert_eq!((&sets[1]["up"], &sets[1]["total"]), (&json!(1), &json!(3)));
    let worst_first = ["7004", "7002", "7003", "7001"].map(|port| format!("sip:127.0.0.1:{port}"));
    assert_eq!(uris(&all), worst_first);
    let rows = all["rows"].as_array().unwrap();
    assert_eq!(
        (&rows[1]["state"], &rows[1]["letters"]),
        (&json!("draining"), &json!("RP"))
    );
    assert!(
        rows[1]["why"]
            .as_str()
            .unwrap()
            .contains("set by a command"),
        "{rows:?}"
    );
    assert!(rows[1]["for_s"].as_u64().unwrap() < 60);
    let first = &rows[3];
    assert_eq!(
        (&first["duid"], &first["weight"], &first["priority"]),
        (&json!("a"), &json!(40), &json!(5))
    );
    assert_eq!(first["socket"], format!("udp:127.0.0.1:{}", server.port()));
    for (query, ports) in [
        ("set=2", vec!["7004"]),
        ("q=DUID%3DA", vec!["7001"]),
        ("q=carrier+two", vec!["7004"]),
        ("state=up", vec!["7001"]),
        ("state=disabled,draining&sort=-uri", vec!["7003", "7002"]),
        ("sort=-weight&count=1", vec!["7001"]),
    ] {
        let ports: Vec<_> = ports
            .iter()
            .map(|port| format!("sip:127.0.0.1:{port}"))
            .collect();
        assert_eq!(uris(&data(&server, query)), ports, "{query}");
    }
    let history = get(&server, "/dispatcher/history?set=1&count=1").text();
    let history: Value = serde_json::from_str(&history).unwrap();
    let change = &history["changes"][0];
    assert_eq!(change["uri"], "sip:127.0.0.1:7002", "{history}");
    assert_eq!(
        (&change["from"], &change["to"]),
        (&json!("active"), &json!("draining"))
    );
    assert!(change["at"].as_u64().unwrap() <= all["now"].as_u64().unwrap());
    assert_eq!(
        get(&server, "/dispatcher/history?set=2").text(),
        r#"{"changes":[]}"#
    );
    let text = get(&server, "/dispatcher/text?state=down").text();
    assert!(
        text.contains("1 of 4 destinations up in 2 sets")
            && text.contains("set 2 Carrier Two: 0 of 1 up"),
        "{text}"
    );
    assert!(
        text.contains("set 1 sip:127.0.0.1:7002: draining (RP), "),
        "{text}"
    );
}

#[test]
fn changes_of_the_probing_bit_alone_do_not_hide_others() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let list = "1 sip:127.0.0.1:7001\n";
    let server = Kamailio::start(Module::Rust, config(ROUTES).list(list));
    for state in ["i", "a", "ap", "a", "ap"] {
        let words = json!([state, 1, "sip:127.0.0.1:7001"]);
        server.jsonrpc("dispatcher.set_state", words).unwrap();
    }
    let history = get(&server, "/dispatcher/history?count=2&set=9,1").text();
    let history: Value = serde_json::from_str(&history).unwrap();
    let changes = history["changes"].as_array().unwrap();
    let to: Vec<_> = changes.iter().map(|change| &change["to"]).collect();
    assert_eq!(to, ["active", "inactive"]);
    let config = config(ROUTES).list(list).param("history_size", 0);
    let server = Kamailio::start(Module::Rust, config);
    let none = get(&server, "/dispatcher/history").text();
    assert_eq!(none, r#"{"changes":null}"#);
}

#[test]
fn ten_thousand_destinations_come_in_answers_that_fit() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let line = |n: u32| {
        let set = n % 300;
        format!(
            "{set} sip:gw{n}@127.0.0.1:{} 0 0 duid=gateway-{n};desc=Some_words_about_it\n",
            10_000 + n
        )
    };
    let list: String = (0..10_000).map(line).collect();
    let config = config(ROUTES).list(list).shm_mb(128);
    let server = Kamailio::start(Module::Rust, config);
    let mut found = std::collections::BTreeSet::new();
    let mut offset = json!(0);
    while let Some(from) = offset.as_u64() {
        let part = data(&server, &format!("sort=uri&count=500&offset={from}"));
        assert_eq!(
            (&part["matches"], &part["offset"]),
            (&json!(10_000), &json!(from))
        );
        assert_eq!(
            part["sets_omitted"],
            300 - part["sets"].as_array().unwrap().len()
        );
        found.extend(uris(&part).into_iter().map(str::to_owned));
        offset = part["next"].clone();
    }
    assert_eq!(found.len(), 10_000);
    let one = data(&server, "q=gateway-7777");
    assert_eq!(
        (uris(&one), &one["matches"]),
        (vec!["sip:gw7777@127.0.0.1:17777"], &json!(1))
    );
}

#[test]
fn any_bytes_of_a_list_are_shown_as_text() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let mut list = b"1 sip:a@127.0.0.1:7001 0 0 duid=\"><img\xffsrc=x>;x=</script>\\\"\n".to_vec();
    list.extend(b"1 sip:\xc3\x28@127.0.0.1:7002 0 0 duid=");
    list.extend([b'y'; 1_000]);
    list.push(b'\n');
    let config = config(ROUTES)
        .list(list)
        .allow_log("expected text in UTF-8");
    let server = Kamailio::start(Module::Rust, config);
    let data = data(&server, "sort=-uri");
    assert_eq!(
        uris(&data),
        ["sip:\u{fffd}(@127.0.0.1:7002", "sip:a@127.0.0.1:7001"]
    );
    let long = data["rows"][0]["duid"].as_str().unwrap();
    assert!(long.ends_with('…') && long.len() == 200, "{long}");
}

#[test]
fn a_script_without_xhttp_does_not_start() {
    let routes = "request_route { ds_page(); }";
    refuses(
        Config::routes(routes).list(""),
        "ds_page needs the module xhttp: load it before",
    );
}

/// Page answers, list changes and calls at the same time: no call fails, and nothing is left behind.
#[test]
fn a_thousand_answers_beside_reloads_and_calls_cost_no_call_and_no_memory() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let routes = r#"
        request_route {
            if (ds_select_dst("1", "4")) { sl_send_reply("200", "OK"); } else { sl_send_reply("503", "No"); }
        }
        event_route[xhttp:request] { ds_page(); }
    "#;
    let list = |extra: usize| -> String {
        let dests = 0..100 + extra;
        dests
            .map(|n| format!("1 sip:127.0.0.1:{} 0 0 duid=gw{n}\n", 7_000 + n))
            .collect()
    };
    let server = Kamailio::start(Module::Rust, config(routes).list(list(0)).children(2));
    let used = || {
        let stats = server.jsonrpc("core.shmmem", json!([])).unwrap();
        stats["real_used"].as_u64().unwrap()
    };
    let reload = |extra| {
        server.write_list(list(extra));
        server.jsonrpc("dispatcher.reload", json!([])).unwrap();
    };
    let settled = || {
        reload(0);
        wait_for(
            "nothing that was replaced is left",
            harness::patience(10),
            || {
                let stats = server.jsonrpc("dispatcher.stats", json!([])).unwrap();
                (stats["MEMORY"]["REPLACED_PIECES"] == 0).then_some(())
            },
        );
        used()
    };
    let ask = |times: usize| {
        let mut http = Http::to(server.addr());
        for n in 0..times {
            let paths = [
                "/d/data?sort=-for",
                "/d/",
                "/d/data?q=gw7&state=up",
                "/d/text",
                "/d/data?count=500",
            ];
            let answer = http.get(paths[n % paths.len()], &["Accept-Encoding: gzip"]);
            assert_eq!(answer.status, 200);
        }
    };
    // What processes and connections take once is there before it is measured.
    ask(20);
    reload(1);
    let before = settled();
    std::thread::scope(|scope| {
        let pages: Vec<_> = (0..2).map(|_| scope.spawn(|| ask(500))).collect();
        let calls = scope.spawn(|| {
            let (caller, mut failed) = (harness::Uac::new(), 0);
            for _ in 0..500 {
                let invite = harness::Request::new("INVITE", "sip:bob@example.test");
                let reply = caller.request(server.addr(), &invite);
                failed += usize::from(reply.status() != Some(200));
            }
            failed
        });
        let mut reloads = 0;
        while !(calls.is_finished() && pages.iter().all(|page| page.is_finished())) {
            reload(1 + reloads % 7);
            reloads += 1;
        }
        assert_eq!(calls.join().unwrap(), 0, "calls failed");
        assert!(reloads > 10, "{reloads} reloads");
    });
    // The core keeps a connection for a moment after its end.
    wait_for("no more memory than before", harness::patience(20), || {
        (settled() <= before + 8_192).then_some(())
    });
}

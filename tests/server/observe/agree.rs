//! A gateway that dies under traffic: log, history, event, metric, `ping_status` and the page agree on when and why.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use harness::{
    Answer, Config, Kamailio, Module, Request, Uac, Uas, patience, this_server, wait_for,
};
use serde_json::{Value, json};

use super::changes::lines;
use super::history::history;
use super::metrics::get;

/// Calls go round, and on to the next gateway where one fails. Each event is kept with its time.
const ROUTES: &str = r#"
request_route {
    ds_select_dst("1", "4");
    t_on_failure("NEXT");
    t_relay();
}
failure_route[NEXT] {
    if (ds_next_dst()) { t_on_failure("NEXT"); t_relay(); }
}
event_route[dispatcher:dst-down] {
    $shv(told) = "at " + $TV(sn) + " " + $dsv(uri) + " " + $dsv(cause) + " " + $dsv(code);
}
event_route[xhttp:request] {
    if ($hu =~ "^/page/") ds_page(); else ds_metrics();
}
"#;

fn now_s() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs_f64()
}

/// Returns a time that the history shows in seconds since 1970.
fn seconds(time: &str) -> f64 {
    let date = Command::new("date").args(["-d", time, "+%s.%N"]).output();
    let date = String::from_utf8(date.expect("date runs").stdout).unwrap();
    date.trim()
        .parse()
        .unwrap_or_else(|_| panic!("{time}: {date}"))
}

/// Returns the value of the metric of a destination.
fn changed_at(server: &Kamailio, uri: &str) -> f64 {
    let page = get(server, "/metrics", &[]);
    let text = page.text();
    let name = "kamailio_dispatcher_destination_state_change_timestamp_seconds{";
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && line.contains(uri));
    let line = line.unwrap_or_else(|| panic!("no sample of {uri}: {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Returns what the event route has kept: when, and what.
fn event(server: &Kamailio) -> Option<(f64, String)> {
    let kept = server.jsonrpc("pv.shvGet", json!(["told"])).ok()?;
    let told = kept["value"].as_str()?.strip_prefix("at ")?;
    let (at, what) = told.split_once(' ')?;
    Some((at.parse().ok()?, what.to_owned()))
}

#[test]
fn a_gateway_that_dies_under_traffic_is_told_of_everywhere_alike() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let [mut dying, staying] = [(); 2].map(|()| Uas::start(Answer::Code(200)));
    let (uri, other) = (dying.uri(), staying.uri());
    let config = Config::routes(ROUTES)
        .tcp()
        .global("tcp_accept_no_cl=yes")
        .load("xhttp.so")
        .children(2)
        .list(format!("1 {uri}\n1 {other}\n"))
        .param("flags", 2)
        .param("ds_ping_interval", 1)
        .param("ds_probing_mode", 1)
        .param("ds_probing_threshold", 2)
        .modparam("pv", "shvset", "told=s:")
        .modparam("tm", "fr_timer", 400);
    let server = Kamailio::start(Module::Rust, config);
    let flags = |wanted: &str| {
        let found = server.dests(1).into_iter().find(|(of, _)| *of == uri);
        (found?.1 == wanted).then_some(())
    };
    wait_for("the first pings", patience(8), || flags("AP"));

    // Calls all the while, none of which fails: the other gateway takes them.
    let (stop, died_s) = (AtomicBool::new(false), now_s());
    let told_s = std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let uac = Uac::new();
            let mut answered = 0;
            while !stop.load(Ordering::Relaxed) {
                let reply = uac.request(server.addr(), &Request::new("OPTIONS", "sip:a@b.test"));
                assert_eq!(reply.status(), Some(200));
                answered += 1;
            }
            answered
        });
        dying.stop();
        let told = wait_for("the line", patience(10), || {
            let down = format!("{uri}: down");
            let said = lines(&server).iter().any(|line| line.contains(&down));
            said.then(now_s)
        });
        wait_for("the state", patience(5), || flags("IP"));
        stop.store(true, Ordering::Relaxed);
        assert!(calls.join().expect("no call failed") > 0);
        told
    });

    let down = format!("WARNING: set 1, {uri}: down by pings (no reply, 2 in a row), 1 of 2 left");
    let said: Vec<String> = lines(&server);
    assert_eq!(
        said.iter().filter(|line| **line == down).count(),
        1,
        "{said:?}"
    );

    let kept = history(&server, json!([uri]));
    let change = &kept[0];
    let text = |key: &str| change[key].as_str().unwrap_or_default().to_owned();
    assert_eq!([text("OLD"), text("NEW")], ["TP", "IP"], "{kept:?}");
    assert_eq!(
        [text("CAUSE"), text("WHO"), text("FOUND")],
        ["ping", "pings", "no reply, 2 in a row"]
    );
    assert_eq!(change["CODE"], 408);
    let at = seconds(&text("TIME"));
    assert!(at > died_s && at <= told_s, "{died_s} {at} {told_s}");

    let (event_s, what) = wait_for("the event", patience(5), || event(&server));
    assert_eq!(what, format!("{uri} ping 408"));
    // `$TV(sn)` has whole seconds.
    let apart = (event_s - at).abs();
    assert!(apart < 1.0, "{at}, the event at {event_s}");

    let metric = changed_at(&server, &uri);
    assert!((metric - at).abs() < 1.0, "{at}, the metric {metric}");

    let status = server
        .jsonrpc("dispatcher.ping_status", json!([1, uri]))
        .unwrap();
    let why = status["TARGETS"][0]["DEST"]["WHY"]
        .as_str()
        .unwrap()
        .to_owned();
    let bad = [
        "inactive for ",
        " bad pings in a row, the last one: no reply",
    ];
    assert!(why.starts_with(bad[0]) && why.contains(bad[1]), "{why}");

    let page = get(&server, "/page/data?state=inactive", &[]);
    let page: Value = serde_json::from_slice(&page.body).expect("JSON");
    let row = &page["rows"][0];
    assert_eq!(
        [&row["uri"], &row["state"]],
        [&json!(uri), &json!("inactive")]
    );
    let reason = row["why"].as_str().unwrap_or_default();
    assert!(reason.ends_with(bad[1]), "{row}");
    let since = now_s() - row["for_s"].as_f64().expect("an age");
    assert!((since - at).abs() < 2.0, "{at}, the page since {since}");
    server.stop();
}

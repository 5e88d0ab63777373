//! When a destination is ejected, and when it is back.

use std::time::{Duration, Instant};

use super::{
    assert_flags, call, config, ejected_ms, farm, flags, invite, list, said, shown, start,
};
use harness::http::Http;
use harness::{
    Answer, Kamailio, Request, Uac, Uas, patience, poll, refuses, this_server, wait_for,
};
use serde_json::{Value, json};

const OK: Answer = Answer::Code(200);

/// A first destination with this answer, and a second one that works.
fn pair(first: Answer) -> (Uas, Uas) {
    (Uas::start(first), Uas::start(OK))
}

#[test]
fn five_failures_in_a_row_eject_and_the_sixth_call_goes_elsewhere_at_once() {
    let (a, b) = pair(Answer::Silent);
    let server = start(config().list(list(&[&a, &b])));
    for round in 0..2 {
        for _ in 0..4 {
            assert_eq!(call(&server).status(), Some(200));
        }
        assert_eq!(said(&server, &a).in_row, 4);
        assert_eq!(flags(&server, &a), "AX", "round {round}");
        a.set_answer(OK);
        assert_eq!(call(&server).status(), Some(200));
        assert_eq!(said(&server, &a).in_row, 0);
        a.set_answer(Answer::Silent);
    }
    for _ in 0..5 {
        assert_eq!(call(&server).status(), Some(200));
    }
    assert_eq!(flags(&server, &a), "IX");
    a.clear();
    assert_eq!(call(&server).text("X-Uas"), b.uri().replace("sip:", ""));
    assert_eq!(a.count("INVITE"), 0);
    let status = server.jsonrpc("dispatcher.ping_status", json!([])).unwrap();
    let why = super::find(&status, &a.uri()).unwrap()["WHY"].to_string();
    assert!(why.contains("ejected by its traffic for"), "{why}");
    assert!(
        why.contains("5 failures in a row, the last one: no reply"),
        "{why}"
    );
}

/// A destination that stays dead is tried by one request after each ejection, and is out longer each time.
#[test]
fn one_request_tries_a_destination_after_each_ejection() {
    let (a, b) = pair(Answer::Silent);
    let server = start(
        config()
            .list(list(&[&a, &b]))
            .children(4)
            .param("ds_passive_failures", 1)
            .param("ds_eject_time", 1)
            .param("ds_eject_max_time", 2)
            .expect_log("down"),
    );
    call(&server);
    let mut out_since = Instant::now();
    for times in [1, 2, 2] {
        a.clear();
        // Many callers at once: one of them tries it.
        let tried = || {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| call(&server));
                }
            });
            a.count("INVITE") > 0
        };
        let step = Duration::from_millis(50);
        assert!(
            poll(step, patience(15), tried, |tried| *tried),
            "nobody tries it"
        );
        let out = out_since.elapsed();
        assert!(out >= Duration::from_secs(times), "{times}: {out:?}");
        assert_eq!(a.count("INVITE"), 1, "{times}");
        // It failed before the callers had their replies from the other one.
        out_since = Instant::now();
        assert!(ejected_ms(&server, &a).is_some());
    }
    a.set_answer(OK);
    call_until(&server, &a, "AX", patience(15));
    assert_eq!(said(&server, &a).in_row, 0);
}

/// Makes calls until a destination has these flags.
fn call_until(server: &Kamailio, uas: &Uas, expected: &str, limit: Duration) {
    let look = || {
        call(server);
        flags(server, uas)
    };
    let step = Duration::from_millis(20);
    let seen = poll(step, limit, look, |seen| seen == expected);
    assert_eq!(
        seen,
        expected,
        "{}, {}",
        shown(server, uas),
        uas.count("INVITE")
    );
}

/// Waits until the next request is to try a destination.
fn await_probation(server: &Kamailio, uas: &Uas) {
    let is_due = || {
        let status = server.jsonrpc("dispatcher.ping_status", json!([])).unwrap();
        let why = super::find(&status, &uas.uri()).unwrap()["WHY"].to_string();
        why.contains("the next request tries it").then_some(())
    };
    wait_for("probation", patience(15), is_due);
}

/// A trial is over when its transaction says so, however short the ejection was. A trial that its caller ends says
/// nothing, and another one follows.
#[test]
fn nothing_else_tries_a_destination_while_a_trial_is_open() {
    let (a, b) = pair(Answer::Code(503));
    let server = start(
        config()
            .list(list(&[&a, &b]))
            .children(2)
            .modparam("tm", "fr_timer", 30_000)
            .modparam("tm", "cancel_b_method", 0)
            .param("ds_passive_failures", 1)
            .param("ds_eject_time", 1),
    );
    assert_eq!(call(&server).status(), Some(200));
    a.set_answer(Answer::Silent);
    a.clear();
    await_probation(&server, &a);
    let (uac, trial) = (Uac::new(), invite(8));
    uac.send(server.addr(), &trial);
    wait_for("the trial", patience(5), || {
        (a.count("INVITE") > 0).then_some(())
    });
    let begun = Instant::now();
    let elsewhere = || {
        assert_eq!(call(&server).status(), Some(200));
        begun.elapsed() > Duration::from_millis(2_500)
    };
    assert!(poll(
        Duration::from_millis(50),
        patience(15),
        elsewhere,
        |done| *done
    ));
    assert_eq!(a.count("INVITE"), 1);
    uac.send(server.addr(), &trial.same_transaction("CANCEL", None));
    await_probation(&server, &a);
    a.set_answer(OK);
    call_until(&server, &a, "AX", patience(15));
}

/// Sends a request that begins no call.
fn options(server: &Kamailio) {
    let options = Request::new("OPTIONS", "sip:bob@b.test").header("X-Alg", "8");
    Uac::new().request(server.addr(), &options);
}

/// The other destination has no limit, so nothing but the trial is asked.
#[test]
fn a_trial_is_one_of_the_calls_a_second_of_its_destination() {
    let (a, b) = pair(OK);
    let server = start(
        config()
            .list(list(&[&a, &b]).replacen(" 90\n", " 90 cps=1\n", 1))
            .param("ds_passive_failures", 1)
            .param("ds_eject_time", 1)
            .param("ds_cps", 1),
    );
    let place = |uas: &Uas| uas.uri().replace("sip:", "");
    let places = wait_for("two calls within a second", patience(60), || {
        a.set_answer(Answer::Code(503));
        options(&server);
        assert_eq!(flags(&server, &a), "IX");
        a.set_answer(OK);
        await_probation(&server, &a);
        let begun = Instant::now();
        let first = call(&server).text("X-Uas");
        let is_back = flags(&server, &a) == "AX";
        let second = call(&server).text("X-Uas");
        let within = is_back && begun.elapsed() < Duration::from_secs(1);
        within.then_some([first, second])
    });
    assert_eq!(places, [place(&a), place(&b)]);
}

/// A call does not try a destination that is full.
#[test]
fn a_trial_is_within_the_limits_of_its_destination() {
    let (a, b) = pair(OK);
    let lines = list(&[&a, &b]).replacen(" 90\n", " 90 maxload=1\n", 1);
    let server = start(
        config()
            .list(lines)
            .param("ds_passive_failures", 1)
            .param("ds_eject_time", 1)
            .param("ds_hash_size", 4)
            .param("ds_count_calls", 2),
    );
    call(&server);
    assert_eq!(a.count("INVITE"), 1);
    a.set_answer(Answer::Code(503));
    options(&server);
    assert_eq!(flags(&server, &a), "IX");
    a.set_answer(OK);
    await_probation(&server, &a);
    for _ in 0..3 {
        assert_eq!(call(&server).status(), Some(200));
    }
    assert_eq!(a.count("INVITE"), 1);
    await_probation(&server, &a);
    let tried = || {
        options(&server);
        flags(&server, &a) == "AX"
    };
    assert!(poll(
        Duration::from_millis(100),
        patience(15),
        tried,
        |back| *back
    ));
}

#[test]
fn retry_after_is_obeyed_within_its_bound() {
    let (a, b) = pair(Answer::Code(503));
    let server = start(config().list(list(&[&a, &b])).only_critical());
    let rows = [
        ("Retry-After: 2", Some(2_000)),
        ("Retry-After: 300", Some(60_000)),
        ("Retry-After: 300 (busy);duration=9", Some(60_000)),
        ("Retry-After: 0", None),
        ("Retry-After: soon", None),
        ("Retry-After: 12345678901", None),
        ("", None),
    ];
    for (header, expected_ms) in rows {
        server
            .jsonrpc("dispatcher.set_state", json!(["a", 1, a.uri()]))
            .unwrap();
        a.set_header(header);
        assert_eq!(call(&server).status(), Some(200), "{header}");
        match (ejected_ms(&server, &a), expected_ms) {
            (Some(left), Some(most)) => {
                assert!(left <= most && left + 1_500 > most, "{header}: {left}");
                assert_eq!(said(&server, &a).in_row, 0, "{header}");
            }
            (None, None) => assert_eq!(said(&server, &a).in_row, 1, "{header}"),
            other => panic!("{header}: {other:?}"),
        }
    }
}

/// A ping is answered with 503 and `Retry-After`, and counts as good by its code.
#[test]
fn a_reply_to_a_ping_asks_for_time_too() {
    let (a, b) = pair(Answer::Code(503));
    a.set_header("Retry-After: 300");
    let pinged = |most_s: i64| {
        let config = config().list(list(&[&a, &b]));
        let config = config
            .param("ds_ping_interval", 1)
            .param("ds_probing_mode", 1);
        let config = config.param("ds_ping_reply_codes", "code=503");
        config.param("ds_retry_after_max", most_s)
    };
    let server = start(pinged(60).expect_log("down"));
    let left = || ejected_ms(&server, &a);
    let left = wait_for("an ejection by a ping", patience(10), left);
    assert!(left <= 60_000, "{left}");
    assert_eq!(flags(&server, &a), "IP");
    assert_eq!(ejected_ms(&server, &b), None);
    let ignoring = start(pinged(0));
    let before = a.count("OPTIONS");
    let pings = || (a.count("OPTIONS") >= before + 2).then_some(());
    wait_for("pings", patience(10), pings);
    assert_eq!(said(&ignoring, &a).failed, 0);
    assert_eq!(ejected_ms(&ignoring, &a), None);
}

/// After `Retry-After` it is back at once, and not on probation.
#[test]
fn a_destination_is_left_alone_for_as_long_as_it_asks() {
    let (a, b) = pair(Answer::Code(503));
    let server = start(config().list(list(&[&a, &b])));
    a.set_header("Retry-After: 2");
    let asked = Instant::now();
    call(&server);
    a.set_header("");
    a.set_answer(OK);
    a.clear();
    let tried = || {
        call(&server);
        (a.count("INVITE") > 0).then(|| asked.elapsed())
    };
    let after = wait_for("a call to it", patience(15), tried);
    assert!(after >= Duration::from_secs(2), "{after:?}");
    assert!(after < patience(2) + patience(2), "{after:?}");
}

/// With slow start it begins slowly after failures, and not after a time that it has asked for.
#[test]
fn a_destination_that_has_failed_begins_slowly() {
    let (a, b) = pair(Answer::Code(503));
    let server = start(
        config()
            .list(list(&[&a, &b]))
            .param("ds_passive_failures", 1)
            .param("ds_eject_time", 1)
            .param("ds_slow_start", 3_600),
    );
    for (header, is_slow) in [("Retry-After: 1", false), ("", true)] {
        a.set_answer(Answer::Code(503));
        a.set_header(header);
        call(&server);
        assert_eq!(flags(&server, &a), "IX", "{header}");
        a.set_answer(OK);
        a.set_header("");
        call_until(&server, &a, "AX", patience(15));
        let status = server.jsonrpc("dispatcher.ping_status", json!([])).unwrap();
        let why = super::find(&status, &a.uri()).unwrap()["WHY"].to_string();
        assert_eq!(
            why.contains("; slow start: 10 % of its calls"),
            is_slow,
            "{why}"
        );
    }
}

/// With a call each tenth of a second: how long after an ejection the first one comes to the destination again.
#[test]
#[ignore = "takes more than a minute: make passive"]
fn ejections_end_in_time() {
    let (a, b) = pair(Answer::Code(503));
    let server = start(config().list(list(&[&a, &b])).only_critical());
    let assert_tried = |what: &str, seconds: f64| {
        let begun = Instant::now();
        a.clear();
        let is_tried = || {
            call(&server);
            a.count("INVITE") > 0
        };
        let step = Duration::from_millis(100);
        assert!(
            poll(step, Duration::from_secs(70), is_tried, |tried| *tried),
            "{what}"
        );
        let after = begun.elapsed().as_secs_f64();
        println!("{what}: a call came after {after:.1} s");
        assert!(
            after > seconds - 0.2 && after < seconds + 1.5,
            "{what}: {after}"
        );
    };
    a.set_header("Retry-After: 7");
    call_until(&server, &a, "IX", patience(5));
    a.set_answer(OK);
    assert_tried("Retry-After: 7", 7.0);
    a.set_header("");
    a.set_answer(Answer::Code(503));
    call_until(&server, &a, "IX", patience(5));
    assert_tried("five failures", 30.0);
    assert_eq!(flags(&server, &a), "IX");
    assert_tried("the trial failed", 60.0);
}

#[test]
fn no_more_are_ejected_than_the_percentage() {
    let mut all = farm(6, &Answer::Silent);
    all.extend(farm(4, &OK));
    let server = start(
        config()
            .list(list(&all.iter().collect::<Vec<_>>()))
            .children(4)
            .modparam("tm", "fr_timer", 100)
            .param("ds_passive_failures", 1),
    );
    for _ in 0..3 {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| Uac::new().request(server.addr(), &invite(4)));
            }
        });
    }
    let out = all.iter().filter(|uas| flags(&server, uas) == "IX");
    assert_eq!(out.count(), 3);
}

/// A set is never worse off than without ejections.
#[test]
fn the_last_one_is_never_out() {
    let (a, b) = pair(Answer::Code(503));
    b.set_answer(Answer::Code(503));
    a.set_header("Retry-After: 300");
    b.set_header("Retry-After: 300");
    let server = start(config().list(list(&[&a, &b])));
    for _ in 0..3 {
        // tm makes a 500 of a 503 that it relays.
        assert_eq!(call(&server).status(), Some(500));
    }
    assert_eq!((&*flags(&server, &a), &*flags(&server, &b)), ("IX", "AX"));
    assert_eq!((a.count("INVITE"), b.count("INVITE")), (1, 3));
    server
        .jsonrpc("dispatcher.set_state", json!(["d", 1, b.uri()]))
        .unwrap();
    a.set_answer(OK);
    assert_eq!(call(&server).text("X-Uas"), a.uri().replace("sip:", ""));
}

#[test]
fn the_default_destination_is_never_out() {
    let [a, b, c] = [OK, OK, Answer::Code(503)].map(Uas::start);
    c.set_header("Retry-After: 300");
    let config = config()
        .list(list(&[&a, &b, &c]))
        .param("use_default", 1)
        .param("ds_passive_failures", 1);
    let server = start(config);
    for uas in [&a, &b] {
        let params = json!(["i", 1, uas.uri()]);
        server.jsonrpc("dispatcher.set_state", params).unwrap();
    }
    for count in 1..=3 {
        assert_eq!(call(&server).status(), Some(500));
        assert_eq!(
            (c.count("INVITE"), said(&server, &c).failed),
            (count, count as u64)
        );
        assert_eq!(flags(&server, &c), "AX");
    }
}

/// A destination that drains meanwhile goes on to drain when its ejection is over.
#[test]
fn draining_outlives_an_ejection() {
    let (a, b) = pair(Answer::Code(503));
    a.set_header("Retry-After: 1");
    let server = start(config().list(list(&[&a, &b])));
    call(&server);
    assert!(ejected_ms(&server, &a).is_some());
    let params = json!(["drain", 1, a.uri()]);
    server.jsonrpc("dispatcher.set_state", params).unwrap();
    a.set_answer(OK);
    a.clear();
    let is_over = || ejected_ms(&server, &a).is_none().then_some(());
    wait_for("the end of the ejection", patience(10), is_over);
    for _ in 0..3 {
        assert_eq!(call(&server).status(), Some(200));
    }
    assert_eq!((a.count("INVITE"), &*flags(&server, &a)), (0, "RX"));
}

/// Ejections outlive changes of the list, and an operator ends them.
#[test]
fn lists_leave_ejections_alone_and_operators_end_them() {
    let (a, b) = pair(Answer::Silent);
    let lines = list(&[&a, &b]);
    let config = config().list(lines.clone()).param("ds_passive_failures", 1);
    let server = start(config);
    let rpc = |command: &str, params| server.jsonrpc(command, params).unwrap();
    call(&server);
    assert_eq!(flags(&server, &a), "IX");
    server.write_list(format!("{lines}1 sip:127.0.0.1:9 0 5\n"));
    rpc("dispatcher.reload", json!([]));
    rpc("dispatcher.add", json!([1, "sip:127.0.0.1:8"]));
    rpc("dispatcher.modify", json!([1, a.uri(), "weight", "50"]));
    assert_eq!(flags(&server, &a), "IX");
    rpc("dispatcher.set_state", json!(["d", 1, a.uri()]));
    rpc("dispatcher.set_state", json!(["a", 1, a.uri()]));
    assert_eq!(flags(&server, &a), "AX");
    call(&server);
    assert_eq!(flags(&server, &a), "IX");
    rpc("dispatcher.modify", json!([1, a.uri(), "flags", "8"]));
    assert_eq!(flags(&server, &a), "AP");
}

/// The attribute `fails` counts for its destination, and values that change at run time for all others.
#[test]
fn a_destination_may_have_a_number_of_its_own_and_values_change_at_run_time() {
    let never = Uas::start(Answer::Silent);
    let other = Uas::start(Answer::Silent);
    let works = Uas::start(OK);
    let lines = list(&[&never, &other, &works]);
    let lines = lines.replacen(" 90\n", " 90 fails=0\n", 1);
    let server = start(config().list(lines).param("ds_passive_failures", 9));
    let set = |name, value| {
        let params = json!(["dispatcher", name, value]);
        server.jsonrpc("cfg.set_now_int", params).unwrap();
    };
    set("passive_failures", 2);
    set("eject_time", 7);
    for _ in 0..2 {
        assert_eq!(call(&server).status(), Some(200));
    }
    assert_eq!(flags(&server, &never), "AX");
    let left = ejected_ms(&server, &other).unwrap();
    assert!((4_000..=7_000).contains(&left), "{left}");
    let traffic = &shown(&server, &other)["TRAFFIC"];
    assert_eq!(traffic["LAST_FAILURE"], json!(408), "{traffic}");
}

/// Event routes and the history hear of both, with the cause `traffic`.
#[test]
fn ejections_are_told() {
    let (a, b) = pair(Answer::Code(503));
    let told = r#"
event_route[dispatcher:dst-down] { xlog("L_WARN", "told: down $dsv(cause) $dsv(code) $dsv(uri)\n"); }
event_route[dispatcher:dst-up] { xlog("L_WARN", "told: up $dsv(cause) $dsv(uri)\n"); }
"#;
    let server = start(
        config()
            .list(list(&[&a, &b]))
            .more_routes(told)
            .only_critical(),
    );
    a.set_header("Retry-After: 1");
    call(&server);
    server.wait_log(&format!("told: down traffic 503 {}", a.uri()));
    server.wait_log(&format!("told: up traffic {}", a.uri()));
    assert_flags(&server, &a, "AX");
    let history = server
        .jsonrpc("dispatcher.history", json!([a.uri()]))
        .unwrap();
    let history = history.to_string();
    assert!(history.contains("traffic"), "{history}");
    assert_eq!(shown(&server, &a)["TRAFFIC"]["EJECTIONS"], json!(1));
}

/// Metrics and the page show what was counted, and why the destination gets no calls.
#[test]
fn an_ejection_is_in_metrics_and_on_the_page() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let (a, b) = pair(Answer::Code(503));
    let routes = r#"
event_route[xhttp:request] {
    if ($hu =~ "^/metrics") { ds_metrics(); } else { ds_page(); }
}
"#;
    let config = config()
        .list(list(&[&a, &b]))
        .param("ds_passive_failures", 2)
        .tcp()
        .global("tcp_accept_no_cl=yes")
        .load("xhttp.so")
        .more_routes(routes);
    let server = start(config);
    let get = |path: &str| {
        let answer = Http::to(server.addr()).get(path, &[]);
        answer.text()
    };
    for _ in 0..3 {
        assert_eq!(call(&server).status(), Some(200));
    }
    let metrics = get("/metrics");
    let of = |family: &str, uas: &Uas| {
        let name = format!("kamailio_dispatcher_destination_{family}");
        let uri = uas.uri();
        let is_of = |line: &&str| line.starts_with(&name) && line.contains(&uri);
        let line = metrics.lines().find(is_of);
        let line = line.unwrap_or_else(|| panic!("no {name} of {uri}: {metrics}"));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    for (family, of_a, of_b) in [
        ("up", "0", "1"),
        ("requests_failed_total", "2", "0"),
        ("requests_answered_total", "0", "3"),
        ("ejections_total", "1", "0"),
    ] {
        assert_eq!(
            (&*of(family, &a), &*of(family, &b)),
            (of_a, of_b),
            "{family}"
        );
    }
    let data: Value = serde_json::from_str(&get("/dispatcher/data")).unwrap();
    let rows = data["rows"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["uri"] == a.uri().as_str())
        .unwrap();
    let why = row["why"].as_str().unwrap();
    assert!(
        why.contains("2 failures in a row, the last one: 503"),
        "{row}"
    );
    assert_eq!(
        (&row["up"], &row["state"]),
        (&json!(false), &json!("inactive")),
        "{row}"
    );
}

#[test]
fn parameters_that_mean_nothing_stop_the_start() {
    let rows = [
        ("ds_passive", 2, "expected 0 or 1"),
        ("ds_passive_failures", 0, "expected 1 to 1023"),
        ("ds_eject_time", 0, "expected 1 to 3600"),
        ("ds_eject_percent", 101, "expected 0 to 100"),
        ("ds_retry_after_max", -1, "expected 0 to 86400"),
    ];
    for (name, value, why) in rows {
        let config = config().param(name, value).list("1 sip:127.0.0.1:9\n");
        refuses(config, why);
    }
    let codes = config().param("ds_passive_codes", "code=7");
    refuses(codes.list("1 sip:127.0.0.1:9\n"), "ds_passive_codes");
}

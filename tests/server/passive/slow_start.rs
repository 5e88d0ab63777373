//! Slow start: a destination that is back gets a growing part of its calls.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use harness::{Config, Kamailio, Module, Request, Uac, patience, poll, refuses};
use serde_json::json;

const ROUTES: &str = r#"
request_route {
    if (!ds_select_dst("1", "$(hdr(X-Alg){s.int})")) {
        sl_send_reply("404", "None Left");
        exit;
    }
    append_to_reply("X-Du: $du\r\n");
    sl_send_reply("200", "OK");
}
"#;

const BACK: &str = "sip:127.0.0.1:7001";

/// Ten destinations with a slow start of so many seconds.
fn ten(seconds: i64) -> Config {
    let list: String = (1..=10)
        .map(|n| format!("1 sip:127.0.0.1:{} 0 0 duid=g{n}\n", 7000 + n))
        .collect();
    Config::routes(ROUTES)
        .param("ds_slow_start", seconds)
        .list(list)
}

fn start(seconds: i64) -> Kamailio {
    Kamailio::start(Module::Rust, ten(seconds))
}

fn set_state(server: &Kamailio, state: &str, uri: &str) {
    let params = json!([state, 1, uri]);
    server.jsonrpc("dispatcher.set_state", params).unwrap();
}

/// Makes calls with these Call-IDs; yields where each goes.
fn calls(server: &Kamailio, algorithm: u32, ids: impl Iterator<Item = String>) -> Vec<String> {
    let request = |id: String| {
        let request = Request::new("INVITE", "sip:bob@b.test").call_id(id);
        request.header("X-Alg", algorithm.to_string())
    };
    let requests: Vec<Request> = ids.map(request).collect();
    let replies = Uac::new().batch(server.addr(), &requests, 20);
    replies.iter().map(|reply| reply.text("X-Du")).collect()
}

/// How many of 300 calls go to the one that is back.
fn of_300(server: &Kamailio, algorithm: u32) -> usize {
    let ids = (0..300).map(|n| format!("{algorithm}-{n}-{}", harness::free_port()));
    let chosen = calls(server, algorithm, ids);
    chosen.iter().filter(|uri| *uri == BACK).count()
}

/// With turns a fair part is 30 of 300; a tenth of that at first.
#[test]
fn a_destination_that_is_back_gets_a_growing_part_of_its_turns() {
    for algorithm in [4, 6] {
        let server = start(6);
        set_state(&server, "i", BACK);
        assert_eq!(of_300(&server, algorithm), 0);
        set_state(&server, "a", BACK);
        let begun = Instant::now();
        let first = of_300(&server, algorithm);
        // Under load the calls themselves may take a part of the time.
        let elapsed = usize::try_from(begun.elapsed().as_millis()).unwrap();
        let most = 30 * (elapsed / 60).clamp(10, 100) / 100 + 12;
        assert!(
            first <= most,
            "algorithm {algorithm}: {first}, at most {most}"
        );
        let is_fair = |count: &usize| *count >= 15 && begun.elapsed() > Duration::from_secs(6);
        let last = poll(
            Duration::from_millis(500),
            patience(30),
            || of_300(&server, algorithm),
            is_fair,
        );
        assert!((15..=50).contains(&last), "algorithm {algorithm}: {last}");
    }
}

/// Each key comes home once, and goes nowhere else meanwhile.
#[test]
fn keys_come_home_one_after_the_other() {
    for algorithm in [0, 100] {
        let server = start(3);
        let ids = || (0..200).map(|n| format!("key-{n}@a.test"));
        let home = calls(&server, algorithm, ids());
        set_state(&server, "i", BACK);
        let away = calls(&server, algorithm, ids());
        set_state(&server, "a", BACK);
        let mut moves: HashMap<usize, usize> = HashMap::new();
        let mut last = away.clone();
        let look = || {
            let now = calls(&server, algorithm, ids());
            for (at, (before, after)) in last.iter().zip(&now).enumerate() {
                if before != after {
                    *moves.entry(at).or_default() += 1;
                    assert_eq!(after, &home[at], "algorithm {algorithm}, key {at}");
                }
            }
            last = now;
            last == home
        };
        assert!(poll(
            Duration::from_millis(100),
            patience(20),
            look,
            |home| *home
        ));
        assert!(moves.values().all(|&count| count == 1), "{moves:?}");
        assert!(!moves.is_empty());
    }
}

/// Nobody is refused for it: not when all are back together, and not with the first or the only destination.
#[test]
fn slow_start_refuses_nobody() {
    let server = start(60);
    set_state(&server, "i", "all");
    set_state(&server, "a", "all");
    let mut of: HashMap<String, usize> = HashMap::new();
    for uri in calls(&server, 4, (0..300).map(|n| format!("all-{n}"))) {
        *of.entry(uri).or_default() += 1;
    }
    assert_eq!(of.len(), 10, "{of:?}");
    assert!(of.values().all(|&count| count >= 15), "{of:?}");
    let first = calls(&server, 8, (0..20).map(|n| format!("first-{n}")));
    assert!(first.iter().all(|uri| *uri == first[0]), "{first:?}");
}

#[test]
fn a_time_that_means_nothing_stops_the_start() {
    refuses(ten(3_601), "expected 0 to 3600");
}

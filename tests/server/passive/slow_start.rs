//! Slow start: a destination that is back gets a growing part of its calls.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use harness::{
    Answer, Config, Kamailio, Module, Request, Uac, Uas, patience, poll, refuses, wait_for,
};
use serde_json::json;

use crate::call_load::number;

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

/// Of the calls that an algorithm gives a destination, a tenth comes at first, whatever the algorithm goes by.
#[test]
fn each_algorithm_gives_a_tenth_at_first() {
    let turns = [4, 6, 9, 11, 15, 64].as_slice();
    for (priority, algorithms) in [(0, turns), (9, &[13, 14])] {
        let line = |n: usize| {
            let priority = if n == 1 { priority } else { 0 };
            let at = 7000 + n;
            format!("1 sip:127.0.0.1:{at} 0 {priority} weight=10;rweight=10\n")
        };
        let list: String = (1..=10).map(line).collect();
        // For a minute the part is a tenth.
        let server = Kamailio::start(Module::Rust, ten(600).list(list));
        let seconds = |seconds: u32| {
            let params = json!(["dispatcher", "slow_start", seconds]);
            server.jsonrpc("cfg.set_now_int", params).unwrap();
        };
        for &algorithm in algorithms {
            seconds(600);
            set_state(&server, "i", BACK);
            assert_eq!(of_300(&server, algorithm), 0, "algorithm {algorithm}");
            set_state(&server, "a", BACK);
            let begun = Instant::now();
            let first = of_300(&server, algorithm);
            assert!(begun.elapsed() < Duration::from_secs(60), "too slow");
            seconds(0);
            let whole = of_300(&server, algorithm);
            assert!(whole >= 10, "algorithm {algorithm}: {whole}");
            let most = whole / 10 + 12.min(whole / 3);
            assert!(first <= most, "algorithm {algorithm}: {first} of {whole}");
        }
    }
}

/// A script that routes CANCELs by the same selection finds each call where its INVITE went, home or not.
#[test]
fn cancels_find_their_calls_through_a_slow_start() {
    let count = number("PASSIVE_CALLS", 100_000) / 100;
    for algorithm in [0, 100] {
        let config = ten(2).param("ds_hash_size", 12).param("ds_count_calls", 2);
        let server = Kamailio::start(Module::Rust, config);
        let sent = |method: &str, tag: &str, of: std::ops::Range<usize>| -> Vec<String> {
            let request = |n| {
                let request = Request::new(method, "sip:bob@b.test").call_id(format!("call-{n}"));
                request.from_tag(tag).header("X-Alg", algorithm.to_string())
            };
            let requests: Vec<Request> = of.map(request).collect();
            let replies = Uac::new().batch(server.addr(), &requests, 20);
            replies.iter().map(|reply| reply.text("X-Du")).collect()
        };
        set_state(&server, "i", BACK);
        set_state(&server, "a", BACK);
        let begun = Instant::now();
        let mut placed = sent("INVITE", "caller", 0..count / 2);
        let is_over = || begun.elapsed() > Duration::from_secs(2);
        poll(Duration::from_millis(50), patience(5), is_over, |over| {
            *over
        });
        placed.extend(sent("INVITE", "caller", count / 2..count));
        assert_eq!(
            sent("CANCEL", "caller", 0..count),
            placed,
            "algorithm {algorithm}"
        );
        // Other callers are at home by now.
        let homes = sent("OPTIONS", "other", 0..count);
        let away = homes
            .iter()
            .zip(&placed)
            .filter(|(home, place)| home != place);
        let away = away.count();
        println!("algorithm {algorithm}: {count} of {count} found, {away} of them away from home");
        assert!(away > 0, "algorithm {algorithm}");
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

/// Each call falls on the destination with the fewest calls, which is the one that is back: it takes a part of its fair
/// share. Nobody is refused for it, however many are back.
#[test]
fn a_destination_that_is_back_gets_a_part_of_a_fair_share_by_calls() {
    let config = ten(60).param("ds_hash_size", 4);
    let server = Kamailio::start(Module::Rust, config);
    set_state(&server, "i", BACK);
    let ids = |of: &'static str, count: usize| (0..count).map(move |n| format!("{of}-{n}"));
    let to = |chosen: &[String]| chosen.iter().filter(|uri| *uri == BACK).count();
    assert_eq!(to(&calls(&server, 10, ids("before", 90))), 0);
    set_state(&server, "a", BACK);
    let slow = calls(&server, 10, ids("slow", 45));
    let taken = to(&slow);
    assert!(taken <= 2, "{taken} of 45, a fair share is 4");
    let mut of: HashMap<&String, usize> = HashMap::new();
    slow.iter().for_each(|uri| *of.entry(uri).or_default() += 1);
    // Processes that look at once may see the same number of calls.
    let even = of.values().all(|&count| count <= 10);
    assert!(of.len() >= 9 && even, "{of:?}");
    let seconds = |seconds: u32| {
        let params = json!(["dispatcher", "slow_start", seconds]);
        server.jsonrpc("cfg.set_now_int", params).unwrap();
    };
    seconds(0);
    let after = to(&calls(&server, 10, ids("after", 9)));
    assert!(after >= 8, "{after} of 9: it has the fewest calls");
    seconds(60);
    set_state(&server, "i", "all");
    set_state(&server, "a", "all");
    let all = calls(&server, 10, ids("all", 100));
    assert!(all.iter().all(|uri| uri.starts_with("sip:")), "{all:?}");
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

/// Says why a destination is in its state, as `dispatcher.ping_status` does.
fn why(server: &Kamailio, uri: &str) -> String {
    let status = server.jsonrpc("dispatcher.ping_status", json!([])).unwrap();
    super::find(&status, uri).unwrap()["WHY"].to_string()
}

/// A line that is new in a set with usable ones, and one that no longer drains: by a list, and by commands.
#[test]
fn a_destination_that_comes_by_the_list_begins_slowly() {
    const SLOW: &str = "; slow start: 10 % of its calls";
    const OWN: &str = "sip:127.0.0.1:7012";
    let server = start(3_600);
    let lines = |flags: u32| -> String {
        let all = (1..=10).map(|n| match n {
            1 => format!("1 {BACK} {flags} 0 duid=g1\n"),
            n => format!("1 sip:127.0.0.1:{} 0 0 duid=g{n}\n", 7000 + n),
        });
        all.collect()
    };
    let reload = |list: String| {
        server.write_list(list);
        server.jsonrpc("dispatcher.reload", json!([])).unwrap();
    };
    reload(lines(0));
    server
        .jsonrpc("dispatcher.add", json!([2, "sip:127.0.0.1:7021"]))
        .unwrap();
    reload(lines(0) + "2 sip:127.0.0.1:7021\n3 sip:127.0.0.1:7031\n");
    for alone in ["sip:127.0.0.1:7021", "sip:127.0.0.1:7031"] {
        assert!(!why(&server, alone).contains("slow"), "{alone}");
    }
    server
        .jsonrpc("dispatcher.add", json!([1, "sip:127.0.0.1:7011"]))
        .unwrap();
    assert!(why(&server, "sip:127.0.0.1:7011").contains(SLOW));
    let kept = "1 sip:127.0.0.1:7011\n";
    reload(lines(65_536) + kept + "1 sip:127.0.0.1:7012 0 0 slowstart=0\n");
    assert!(!why(&server, OWN).contains("slow"), "its own time is 0");
    assert!(!why(&server, BACK).contains("slow"), "it drains");
    reload(lines(0) + kept + "1 sip:127.0.0.1:7012 0 0 slowstart=60\n1 sip:127.0.0.1:7013\n");
    for uri in [BACK, "sip:127.0.0.1:7013"] {
        assert!(why(&server, uri).contains(SLOW), "{}", why(&server, uri));
    }
    set_state(&server, "i", BACK);
    assert!(!why(&server, BACK).contains("slow"), "it is out");
    assert!(!why(&server, "sip:127.0.0.1:7002").contains("slow"));
}

/// A good ping brings it back, or a mark of the script.
#[test]
fn a_destination_that_pings_or_marks_bring_back_begins_slowly() {
    const SLOW: &str = "slow start: 10 % of its calls";
    let pinged = Uas::start(Answer::Silent);
    let marks = r#"
request_route {
    ds_mark_addr("$hdr(X-Mark)", "1", "sip:127.0.0.1:7001");
    sl_send_reply("200", "OK");
}
"#;
    let list = format!("1 {BACK}\n1 sip:127.0.0.1:7002\n1 {} 8\n", pinged.uri());
    let config = Config::routes(marks)
        .list(list)
        .param("flags", 2)
        .param("ds_slow_start", 3_600)
        .param("ds_ping_interval", 1)
        .param("ds_probing_mode", 3)
        .param("ds_ping_fr_timeout", 200)
        .expect_log("down");
    let server = Kamailio::start(Module::Rust, config);
    let mark = |state: &str| {
        let request = Request::new("OPTIONS", "sip:bob@b.test").header("X-Mark", state);
        Uac::new().request(server.addr(), &request);
    };
    mark("i");
    assert!(!why(&server, BACK).contains(SLOW), "{}", why(&server, BACK));
    mark("a");
    assert!(why(&server, BACK).contains(SLOW), "{}", why(&server, BACK));
    let uri = pinged.uri();
    let is_out = || {
        let status = server.jsonrpc("dispatcher.ping_status", json!([])).unwrap();
        let found = super::find(&status, &uri).unwrap();
        found["FLAGS"]
            .as_str()
            .unwrap()
            .starts_with('I')
            .then_some(())
    };
    wait_for("a bad ping", patience(15), is_out);
    pinged.set_answer(Answer::Code(200));
    let is_slow = || why(&server, &uri).contains(SLOW).then_some(());
    wait_for("a slow start", patience(15), is_slow);
}

#[test]
fn attributes_without_their_parameter_are_remarked() {
    let list = "1 sip:127.0.0.1:7001 0 0 cps=3;fails=2;slowstart=9\n\
        1 sip:127.0.0.1:7002 0 0 fails=1024;slowstart=soon\n";
    let remarks = |config: Config| {
        let server = Kamailio::start(Module::Rust, config.list(list));
        let checked = server.jsonrpc("dispatcher.check", json!([])).unwrap();
        checked["REMARKS"].to_string()
    };
    let odd = [
        "1 destinations with a fails that is no number from 0 to 1023",
        "1 destinations with a slowstart that is no number from 0 to 3600",
    ];
    let off = [
        "1 destinations with cps: no effect without the parameter ds_cps",
        "2 destinations with fails: no effect without the parameter ds_passive",
        "2 destinations with slowstart: no effect without the parameter ds_slow_start",
    ];
    let without = remarks(Config::routes(ROUTES));
    let has = |all: &str, remark: &&str| all.contains(&format!("set 1: {remark}"));
    assert!(odd.iter().chain(&off).all(|remark| has(&without, remark)));
    let on = Config::routes(ROUTES).param("ds_cps", 1);
    let on = on.param("ds_passive", 1).param("ds_slow_start", 60);
    let with = remarks(on);
    assert!(odd.iter().all(|remark| has(&with, remark)), "{with}");
    assert!(!off.iter().any(|remark| has(&with, remark)), "{with}");
}

/// The seconds of a slow start.
const SECONDS: u32 = 60;

/// The calls of a second, those to the destination that is back, and what its part makes of them with which variance.
#[derive(Clone, Copy, Default)]
struct Second {
    calls: usize,
    taken: usize,
    expected: f64,
    variance: f64,
}

/// A hundred calls a second, from the return of a destination on.
fn hundred_a_second(run: usize) -> Vec<Second> {
    let server = start(SECONDS.into());
    set_state(&server, "i", BACK);
    set_state(&server, "a", BACK);
    let mut seconds = [Second::default(); SECONDS as usize + 5];
    let begun = Instant::now();
    for batch in 0.. {
        let at = begun.elapsed();
        let Some(second) = seconds.get_mut(usize::try_from(at.as_secs()).unwrap()) else {
            break;
        };
        let ids = (0..10).map(|n| format!("{run}-{batch}-{n}"));
        let chosen = calls(&server, 4, ids);
        let part = (at.as_secs_f64() / f64::from(SECONDS)).clamp(0.1, 1.0);
        let share = part / (9.0 + part);
        second.calls += chosen.len();
        second.taken += chosen.iter().filter(|uri| *uri == BACK).count();
        second.expected += 10.0 * share;
        second.variance += 10.0 * share * (1.0 - share);
        // The pace of the calls.
        std::thread::sleep(Duration::from_millis(100).saturating_sub(begun.elapsed() - at));
    }
    seconds.to_vec()
}

/// A part f of its turns is a share of f of 9 + f, within four standard deviations in each second of five runs.
#[test]
#[ignore = "takes a minute: make passive"]
fn each_second_of_a_slow_start_has_its_part() {
    let runs: Vec<Vec<Second>> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..5)
            .map(|run| scope.spawn(move || hundred_a_second(run)))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for (number, run) in runs.iter().enumerate() {
        let calls: usize = run.iter().map(|second| second.calls).sum();
        let far = |second: &Second| {
            (second.taken as f64 - second.expected).abs() / second.variance.sqrt().max(1.0)
        };
        let farthest = run.iter().map(far).fold(0.0, f64::max);
        println!("run {number}: {calls} calls, the farthest second {farthest:.1} deviations off");
        assert!(calls > run.len() * 20, "too slow to be measured: {calls}");
        assert!(farthest <= 4.0, "run {number}: {farthest}");
    }
    println!("second  calls  taken  expected");
    for ten in (0..=SECONDS as usize).step_by(10) {
        let of = runs.iter().filter_map(|run| run.get(ten));
        let (calls, taken, expected) = of.fold((0, 0, 0.0), |sum, second| {
            (
                sum.0 + second.calls,
                sum.1 + second.taken,
                sum.2 + second.expected,
            )
        });
        println!("{ten:6} {calls:6} {taken:6} {expected:9.1}");
    }
}

#[test]
fn a_time_that_means_nothing_stops_the_start() {
    refuses(ten(3_601), "expected 0 to 3600");
}

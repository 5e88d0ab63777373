//! `ds_bounded_load`: hashing by key, with a bound on the load of each destination.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use harness::{Config, Kamailio, Uac};
use serde_json::json;

use super::{config, done, keyed, loads, request, run, start};
use crate::call_load::number;

const SECOND: Duration = Duration::from_secs(1);

fn bounded(list: &str, percent: i64) -> Config {
    config(list)
        .param("ds_hash_size", 12)
        .param("ds_count_calls", 2)
        .param("ds_bounded_load", percent)
}

fn ten() -> String {
    (0..10)
        .map(|n| format!("1 sip:127.0.0.1:700{n} 0 0 duid=gw{n}\n"))
        .collect()
}

/// Draws one of 200 keys; the nth comes 1/n times.
fn zipf(at: usize) -> usize {
    let whole: f64 = (1..=200).map(|n| 1.0 / f64::from(n)).sum();
    // The golden section spreads them evenly.
    let mut left = (at as f64 * 0.618_033_988_749_895).fract() * whole;
    let passed = (1..=200).take_while(|&n| {
        left -= 1.0 / f64::from(n);
        left > 0.0
    });
    passed.count()
}

/// Places calls, and returns the ports that they went to.
fn place(server: &Kamailio, calls: std::ops::Range<usize>) -> Vec<u16> {
    let invite = |n| {
        keyed(
            &format!("call-{n}"),
            &format!("key-{}", zipf(n)),
            "dst,1,107",
        )
    };
    let requests: Vec<_> = calls.map(invite).collect();
    let replies = Uac::new().batch(server.addr(), &requests, 32);
    let port = |reply| {
        let done = done(reply);
        assert_eq!(done[0].code, 1);
        done[0].port
    };
    replies.iter().map(port).collect()
}

/// Returns the greatest load, as a multiple of the mean.
fn fullest(loads: &[u64]) -> f64 {
    let all: u64 = loads.iter().sum();
    *loads.iter().max().unwrap() as f64 * loads.len() as f64 / all as f64
}

#[test]
fn no_load_is_above_its_bound() {
    let up = number("ADMISSION_CALLS", 200);
    let mut homes = HashMap::new();
    let mut fullest_by_percent = Vec::new();
    for percent in [0, 125] {
        let server = start(bounded(&ten(), percent).children(8));
        let mut ports = place(&server, 0..up);
        for round in 1..=27 {
            // The oldest calls end, and as many new ones begin.
            let ended: Vec<_> = ((round - 1) * up / 3..round * up / 3)
                .map(|n| request("BYE", &format!("call-{n}"), "update").tagged("callee"))
                .collect();
            Uac::new().batch(server.addr(), &ended, 32);
            let begin = ports.len();
            ports.extend(place(&server, begin..begin + ended.len()));
            let loads = loads(&server);
            assert_eq!(loads.iter().sum::<u64>(), up as u64);
            let cap = (percent.unsigned_abs() * (up as u64 + 1)).div_ceil(1_000);
            let within = percent == 0 || loads.iter().all(|&load| load <= cap);
            assert!(within, "{loads:?} above {cap}");
        }
        // A CANCEL that a script routes without transactions finds the destination of its INVITE.
        let last = ports.len() - up..ports.len();
        let cancel = |n: usize| {
            let call = format!("call-{n}");
            request("CANCEL", &call, "dst,1,107").header("X-Key", format!("key-{}", zipf(n)))
        };
        let cancels: Vec<_> = last.clone().map(cancel).collect();
        let replies = Uac::new().batch(server.addr(), &cancels, 32);
        let found: Vec<u16> = replies.iter().map(|reply| done(reply)[0].port).collect();
        assert_eq!(found, ports[last]);
        // Without a bound, each key is at home.
        let placed = ports.iter().enumerate();
        let away = placed.filter(|(n, port)| *homes.entry(zipf(*n)).or_insert(**port) != **port);
        let (away, loads) = (away.count(), loads(&server));
        println!(
            "bound {percent}: of {} calls {away} away from home; loads {loads:?}, the fullest has {:.2} of the mean",
            ports.len(),
            fullest(&loads)
        );
        assert_eq!(away > 0, percent > 0);
        fullest_by_percent.push(fullest(&loads));
    }
    let [without, with] = fullest_by_percent[..] else {
        unreachable!()
    };
    assert!(without > 1.5 && with <= 1.3, "{without}, {with}");
}

#[test]
fn the_bound_refuses_no_call_that_somebody_has_room_for() {
    // The first one is full after one call, and the other one alone takes more than its part.
    let list = "1 sip:127.0.0.1:7001 0 0 duid=a;maxload=1\n1 sip:127.0.0.1:7002 0 0 duid=b\n";
    let server = start(bounded(list, 101));
    place(&server, 0..8);
    assert_eq!(loads(&server), [1, 7]);
    // The one with all of the weight is out.
    let list = "1 sip:127.0.0.1:7001 0 0 duid=a;rweight=50\n1 sip:127.0.0.1:7002 0 0 duid=b\n";
    let server = start(bounded(list, 101));
    let inactive = ["dispatcher.set_state", "i", "1", "sip:127.0.0.1:7001"];
    server.kamcmd(&inactive).unwrap();
    place(&server, 0..8);
    assert_eq!(loads(&server), [0, 8]);
    // The default destination has no part, and takes what the other one cannot.
    let list = "1 sip:127.0.0.1:7001 0 9 duid=a;maxload=2\n1 sip:127.0.0.1:7002 0 0 duid=b\n";
    let server = start(bounded(list, 101).param("use_default", 1));
    place(&server, 0..8);
    assert_eq!(loads(&server), [2, 6]);
}

#[test]
fn calls_that_begin_at_once_all_find_room() {
    let list = "1 sip:127.0.0.1:7001 0 0 duid=a\n1 sip:127.0.0.1:7002 0 0 duid=b\n";
    let server = start(bounded(list, 125).children(8));
    for _ in 0..number("ADMISSION_BURSTS", 20) {
        place(&server, 0..16);
        let ended: Vec<_> = (0..16)
            .map(|n| request("BYE", &format!("call-{n}"), "update").tagged("callee"))
            .collect();
        Uac::new().batch(server.addr(), &ended, 16);
    }
    assert_eq!(loads(&server), [0, 0]);
}

#[test]
fn the_route_of_a_key_says_who_refuses() {
    let list = "1 sip:127.0.0.1:7001 0 0 duid=a;maxload=1\n1 sip:127.0.0.1:7002 0 0 duid=b;cps=1\n\
        1 sip:127.0.0.1:7003 0 0 duid=c\n";
    let server = start(bounded(list, 101).param("ds_cps", 1));
    let refusals = || {
        let reply = server
            .jsonrpc("dispatcher.route", json!([1, 107, "k"]))
            .unwrap();
        let route = reply["ROUTE"].as_array().unwrap().clone();
        let seen = route.iter().map(|dest| {
            let (uri, why) = (&dest["DEST"]["URI"], &dest["DEST"]["REFUSES"]);
            format!("{}={}", uri.as_str().unwrap(), why.as_str().unwrap_or(""))
        });
        (
            reply["URI"].as_str().unwrap_or("").to_owned(),
            seen.collect::<Vec<_>>(),
        )
    };
    let invite = |call: &str| run(&server, &keyed(call, "k", "dst,1,107"))[0].port;
    let begun = Instant::now();
    for call in ["1", "2", "3"] {
        let (uri, _) = refusals();
        let port = invite(call);
        let same = uri == format!("sip:127.0.0.1:{port}");
        assert!(
            same || begun.elapsed() >= SECOND,
            "{uri} was said, not {port}"
        );
    }
    let (loads, (_, seen)) = (loads(&server), refusals());
    // Of three calls, and one more, each may have two.
    let refuses = |at: usize| match (at, loads[at]) {
        (0, 1) => "maxload",
        (_, 2) => "bounded_load",
        (1, 1) => "cps",
        _ => "",
    };
    for (at, port) in (7001..=7003).enumerate() {
        let said = seen.iter().find(|said| said.contains(&port.to_string()));
        let fits = |said: &String| *said == format!("sip:127.0.0.1:{port}={}", refuses(at));
        let over = begun.elapsed() >= SECOND;
        assert!(said.is_none_or(fits) || over, "{loads:?}: {seen:?}");
    }
    assert!(
        seen.iter().any(|said| !said.ends_with('=')),
        "{loads:?}: {seen:?}"
    );
}

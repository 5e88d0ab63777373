//! `ds_cps`: at most so many calls within any second.

use std::time::{Duration, Instant};

use harness::http::Http;
use harness::{Config, Uac, patience, this_server, wait_for};
use serde_json::{Value, json};

use super::{config, done, listed, port, request, run, start};
use crate::call_load::number;

const SECOND: Duration = Duration::from_secs(1);

fn limited(list: &str) -> Config {
    config(list).param("ds_cps", 1)
}

/// When an INVITE was sent, when its reply came, and where it went.
struct Sent {
    from: Instant,
    to: Instant,
    port: u16,
}

/// Offers calls for so long, from some callers at once, each as fast as `pause` lets it.
fn offer(
    server: &harness::Kamailio,
    time: Duration,
    pause: Duration,
    operations: &str,
) -> Vec<Sent> {
    let address = server.addr();
    let caller = |nth: usize| {
        let operations = operations.to_owned();
        std::thread::spawn(move || {
            let (uac, begun) = (Uac::new(), Instant::now());
            let mut sent = Vec::new();
            while begun.elapsed() < time {
                let call = format!("{nth}-{}-{:?}", sent.len(), begun.elapsed());
                let from = Instant::now();
                let reply = uac.request(address, &request("INVITE", &call, &operations));
                let to = Instant::now();
                let last = done(&reply).pop().unwrap();
                let port = if last.code == 1 { last.port } else { 0 };
                sent.push(Sent { from, to, port });
                std::thread::sleep(pause.saturating_sub(from.elapsed()));
            }
            sent
        })
    };
    let callers: Vec<_> = (0..8).map(caller).collect();
    callers
        .into_iter()
        .flat_map(|caller| caller.join().unwrap())
        .collect()
}

/// The most that were certainly admitted within one second: the first was sent less than that before the last reply.
fn most_in_a_second(sent: &mut [&Sent]) -> usize {
    sent.sort_by_key(|sent| sent.from);
    let within = |first: &&&Sent| {
        let later = sent.iter().filter(|sent| sent.from >= first.from);
        later
            .filter(|sent| sent.to.duration_since(first.from) < SECOND)
            .count()
    };
    sent.iter().map(|first| within(&first)).max().unwrap_or(0)
}

/// Runs rounds until one of them lies within a second, and returns what it saw. A round gets its number, and says when it
/// began to use its limits.
fn within_a_second<T>(mut round: impl FnMut(usize) -> (Instant, T)) -> (Instant, T) {
    let mut nth = 0;
    wait_for("a round within a second", patience(60), || {
        nth += 1;
        let seen = round(nth);
        (seen.0.elapsed() < SECOND).then_some(seen)
    })
}

/// Empties the window of a destination, whose limit is another one for a moment.
fn empty(server: &harness::Kamailio, (set, port): (&str, u16), cps: &str) {
    let uri = format!("sip:127.0.0.1:{port}");
    for cps in ["9", cps] {
        let modify = ["dispatcher.modify", set, &uri, "cps", cps];
        server.kamcmd(&modify).unwrap();
    }
}

#[test]
fn no_second_has_more_than_the_limit() {
    let list = "1 sip:127.0.0.1:7001 0 0 cps=20\n2 sip:127.0.0.1:7002 0 0\n";
    let server = start(limited(list).children(8));
    let time = Duration::from_secs(number("ADMISSION_SECONDS", 3) as u64);
    let sent = offer(&server, time, Duration::from_millis(40), "routes");
    let of = |port| sent.iter().filter(move |sent| sent.port == port);
    let mut limited: Vec<&Sent> = of(7001).collect();
    let (admitted, others) = (limited.len(), of(7002).count());
    let most = most_in_a_second(&mut limited);
    println!(
        "{} offered in {time:?}: {admitted} admitted, at most {most} in a second",
        sent.len()
    );
    assert!(most <= 20, "{most}");
    assert_eq!(
        others,
        sent.len() - admitted,
        "all others go to the next set"
    );
    assert!(
        sent.len() > 2 * admitted,
        "too few were offered: {}",
        sent.len()
    );
    let least = 20.0 + 19.5 * (time.as_secs_f64() - 1.0);
    assert!(
        admitted as f64 >= least.floor() - 1.0,
        "{admitted} of {least}"
    );
}

#[test]
fn each_algorithm_and_failover_ask() {
    let list = "1 sip:127.0.0.1:7001 0 9 duid=a;weight=50;rweight=50;cps=1\n\
        1 sip:127.0.0.1:7002 0 9 duid=b;weight=50;rweight=50;cps=1\n\
        2 sip:127.0.0.1:7003 0 9 duid=c\n2 sip:127.0.0.1:7004 0 8 duid=d;cps=1\n\
        2 sip:127.0.0.1:7005 0 7 duid=e\n";
    for (nth, mode) in [0, 65_536].into_iter().enumerate() {
        let config = limited(list)
            .param("ds_hash_size", 8)
            .param("xavp_dst_mode", mode);
        let server = start(config);
        for algorithm in [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 13, 14, 15, 64, 100, 107] {
            let (_, ports) = within_a_second(|round| {
                empty(&server, ("1", 7001), "1");
                empty(&server, ("1", 7002), "1");
                let begun = Instant::now();
                let call = |n: usize| format!("{nth}-{algorithm}-{round}-{n}");
                let invite = |n| super::keyed(&call(n), &call(n), &format!("dst,1,{algorithm}"));
                (
                    begun,
                    [0, 1, 2].map(|n| run(&server, &invite(n)).pop().unwrap()),
                )
            });
            let mut taken: Vec<_> = ports[..2].iter().map(|done| done.port).collect();
            taken.sort_unstable();
            assert_eq!(taken, [7001, 7002], "{algorithm}");
            assert_eq!(ports[2].code, -1, "{algorithm}");
        }
        // The second one has no room for the third call, so that goes on.
        let (_, ports) = within_a_second(|round| {
            empty(&server, ("2", 7004), "1");
            let call = |name| format!("{nth}-{round}-{name}");
            let begun = Instant::now();
            let ports = ["x", "y"].map(|name| port(&server, &call(name), "dst,2,8|nextdst"));
            (begun, ports)
        });
        assert_eq!(ports, [Some(7004), Some(7005)], "{mode}");
    }
}

#[test]
fn a_reload_keeps_the_window() {
    let list = "1 sip:127.0.0.1:7001 0 0 cps=3\n";
    let server = start(limited(list).param("reload_delta", 0));
    let (begun, (ports, admitted)) = within_a_second(|_| {
        empty(&server, ("1", 7001), "3");
        let begun = Instant::now();
        let mut ports: Vec<_> = ["a", "b"].map(|call| port(&server, call, "dst,1,4")).into();
        server.kamcmd(&["dispatcher.reload"]).unwrap();
        ports.extend(["c", "d"].map(|call| port(&server, call, "dst,1,4")));
        (begun, (ports, listed(&server, "/RUNTIME/CPS")))
    });
    assert_eq!(ports, [Some(7001), Some(7001), Some(7001), None]);
    assert_eq!(admitted, [json!(3)]);
    wait_for("the second to end", patience(5), || {
        port(&server, "e", "dst,1,4")
    });
    assert!(begun.elapsed() >= SECOND);
}

#[test]
fn without_the_parameter_the_attribute_is_the_scripts() {
    let list = "1 sip:127.0.0.1:7001 0 0 cps=high\n";
    let server = start(config(list));
    for n in 0..5 {
        assert_eq!(port(&server, &n.to_string(), "dst,1,4"), Some(7001));
    }
    assert_eq!(listed(&server, "/RUNTIME/CPS"), [Value::Null]);
    assert!(!server.log().contains("cps:"), "{}", server.log());
    let warning = "cps: expected a number, found \"high\", using 0";
    start(limited(list).expect_log(warning));
}

#[test]
fn refusals_are_counted() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let list = "1 sip:127.0.0.1:7001 0 9 cps=1\n1 sip:127.0.0.1:7002 0 8 maxload=1\n";
    let config = limited(list)
        .param("ds_hash_size", 8)
        .param("ds_count_calls", 2)
        .tcp()
        .global("tcp_accept_no_cl=yes")
        .load("xhttp.so")
        .more_routes("event_route[xhttp:request] { ds_metrics(); }\n");
    let server = start(config);
    let refused = |reason: &str| -> u64 {
        let metrics = Http::to(server.addr()).get("/metrics", &[]).text();
        let name = format!("kamailio_dispatcher_refusals_total{{reason=\"{reason}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value
            .unwrap_or_else(|| panic!("no {name}: {metrics}"))
            .parse()
            .unwrap()
    };
    assert_eq!((refused("cps"), refused("maxload")), (0, 0));
    let (_, (before, ports, after)) = within_a_second(|round| {
        empty(&server, ("1", 7001), "1");
        let call = |name: &str| format!("{round}-{name}");
        let counts = || (refused("cps"), refused("maxload"));
        let (begun, before) = (Instant::now(), counts());
        let ports = ["a", "b", "c"].map(|name| port(&server, &call(name), "dst,1,8"));
        let seen = (before, ports, counts());
        super::bye(&server, &call("b"));
        (begun, seen)
    });
    assert_eq!(ports, [Some(7001), Some(7002), None]);
    assert_eq!(after, (before.0 + 2, before.1 + 1));
}

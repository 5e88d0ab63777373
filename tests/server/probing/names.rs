//! Destinations by name: one that resolves slowly or never holds up nobody.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use super::stage::{pinging, soon, start};
use harness::{Config, Crowd, Dns, Kamailio, Name, patience, this_machine, wait_for};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Ten destinations by address, and these names; pings each second.
fn play(crowd: &Crowd, dns: &Dns, config: Config, names: &[&str]) -> Kamailio {
    let server = start(config.resolver(dns));
    let mut list = String::new();
    for n in 0..10 {
        list += &format!("1 {}\n", crowd.uri(&format!("d{n}")));
    }
    for name in names {
        list += &format!("1 {}\n", uri(crowd, name));
    }
    crowd.load(&server, &list);
    server
}

/// URI of `name@name.test`, at the crowd's port.
fn uri(crowd: &Crowd, name: &str) -> String {
    crowd
        .uri(name)
        .replace("127.0.0.1", &format!("{name}.test"))
}

/// Longest time between two pings of those by address, for some seconds.
fn longest_gap(crowd: &Crowd, seconds: u64) -> Duration {
    let (begin, seen) = (Instant::now(), crowd.count("d0"));
    wait_for("some seconds", patience(seconds + 5), || {
        (begin.elapsed() >= patience(seconds)).then_some(())
    });
    assert!(crowd.count("d0") > seen, "pings go on");
    let gaps = (0..10).flat_map(|n| {
        let pings = crowd.pings(&format!("d{n}"));
        let pairs: Vec<Duration> = pings.windows(2).map(|p| p[1].at - p[0].at).collect();
        pairs
    });
    gaps.max().expect("pings")
}

#[test]
fn a_name_that_stops_to_resolve_delays_no_other_ping_and_is_a_failure() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let (crowd, dns) = (Crowd::start(), Dns::start());
    for name in ["good.test", "gone.test"] {
        dns.set(name, Name::Is(HERE));
    }
    let config = pinging()
        .global("dns_retr_time=3")
        .global("dns_retr_no=1")
        .global("dns_cache_negative_ttl=1")
        .global("dns_cache_gc_interval=1")
        .expect_log("pings cannot be sent: the name does not resolve: gone.test");
    let server = play(&crowd, &dns, config, &["good", "gone"]);
    soon(&server, &uri(&crowd, "gone"), "AP");
    dns.set("gone.test", Name::Silent);
    let gap = longest_gap(&crowd, 8);
    assert!(
        gap < patience(1) * 3 / 2,
        "{gap:?} between two pings of another"
    );
    soon(&server, &uri(&crowd, "gone"), "IP");
    assert_eq!(server.flags(1, &uri(&crowd, "good")), "AP");
    // And back.
    dns.set("gone.test", Name::Is(HERE));
    super::stage::becomes(&server, &uri(&crowd, "gone"), "AP", patience(20));
}

#[test]
fn a_name_that_resolves_slowly_delays_no_other_ping() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let (crowd, dns) = (Crowd::start(), Dns::start());
    dns.set("slow.test", Name::Is(HERE));
    let config = pinging().global("dns_retr_time=4").global("dns_retr_no=1");
    let server = play(&crowd, &dns, config, &["slow"]);
    soon(&server, &uri(&crowd, "slow"), "AP");
    dns.set("slow.test", Name::Slow(HERE, Duration::from_secs(2)));
    let gap = longest_gap(&crowd, 6);
    assert!(
        gap < patience(1) * 3 / 2,
        "{gap:?} between two pings of another"
    );
    assert_eq!(
        server.flags(1, &uri(&crowd, "slow")),
        "AP",
        "slow is not dead"
    );
    assert!(
        dns.asked("slow.test").len() > 1,
        "its name is asked for again"
    );
}

#[test]
fn a_name_that_is_unknown_is_a_failure() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let (crowd, dns) = (Crowd::start(), Dns::start());
    dns.set("gone.test", Name::Is(HERE));
    let config = pinging()
        .global("dns_cache_negative_ttl=1")
        .expect_log("pings cannot be sent: the name does not resolve: gone.test");
    let server = play(&crowd, &dns, config, &["gone"]);
    soon(&server, &uri(&crowd, "gone"), "AP");
    dns.set("gone.test", Name::Unknown);
    soon(&server, &uri(&crowd, "gone"), "IP");
}

#[test]
fn pings_follow_a_new_uri_of_the_same_duid() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let (crowd, dns) = (Crowd::start(), Dns::start());
    dns.set("old.test", Name::Is(HERE));
    dns.set("new.test", Name::Is(Ipv4Addr::new(127, 200, 0, 9)));
    let config = pinging().param("ds_ping_interval", 4);
    let server = start(config.resolver(&dns));
    let list = |user: &str, host: &str| {
        let second = crowd.uri(user).replace("127.0.0.1", host);
        let (first, last) = (crowd.uri("first"), crowd.uri("last"));
        format!("1 {first}\n1 {last}\n1 {second} 0 0 duid=b\n")
    };
    crowd.load(&server, &list("b", "old.test"));
    // Pings are spread in an order that is not ours to know: one of these is not the last.
    wait_for("the first pings", patience(8), || {
        (crowd.count("first") + crowd.count("last") > 0).then_some(())
    });
    crowd.load(&server, &list("new", "new.test"));
    crowd.wait_more("first", 2, patience(12));
    assert_eq!(
        crowd.count("new"),
        0,
        "the old address gets no ping of the new one"
    );
}

#[test]
fn pings_to_sips_never_leave_in_the_clear() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let (crowd, dns) = (Crowd::start(), Dns::start());
    dns.set("safe.test", Name::Is(HERE));
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    listener.set_nonblocking(true).expect("it does not wait");
    let port = listener.local_addr().expect("its address").port();
    let config = pinging()
        .tcp()
        .allow_log("no corresponding socket")
        .allow_log("no socket found")
        .expect_log("pings cannot be sent: no local socket");
    let server = start(config.resolver(&dns));
    // The server of this test has no TLS.
    let uri = format!("sips:a@safe.test:{port};transport=tcp");
    crowd.load(&server, &format!("1 {uri}\n"));
    soon(&server, &uri, "IP");
    assert!(listener.accept().is_err(), "nothing came");
}

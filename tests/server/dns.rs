//! Destinations with names: when each `ds_dns_mode` asks for them, and what changes then.

use std::net::Ipv4Addr;

use serde_json::json;

use harness::{
    Config, Dns, Kamailio, Module, Name, Request, Uac, patience, this_machine, this_server,
    wait_for,
};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

const ROUTE: &str = r#"
request_route {
    switch ($rm) {
    case "INFO":
        ds_select_dst("1", "8");
        break;
    default:
        ds_is_from_list("1", "3");
    }
    append_to_reply("X-Out: $rc\r\n");
    send_reply("200", "OK");
}
"#;

const URI: &str = "sip:gw.test";

fn start(dns: &Dns, params: &[(&str, i64)]) -> Kamailio {
    Kamailio::start(Module::Rust, config(dns, params))
}

fn config(dns: &Dns, params: &[(&str, i64)]) -> Config {
    let mut config = Config::routes(ROUTE)
        .global("dns_cache_max_ttl=1")
        .global("dns_cache_negative_ttl=1")
        .global("dns_cache_gc_interval=1")
        .global("dns_retr_time=1")
        .global("dns_retr_no=1")
        .list(format!("1 {URI}\n"))
        .resolver(dns);
    for (name, value) in params {
        config = config.param(name, *value);
    }
    config
}

fn ask(server: &Kamailio, method: &str) -> String {
    let request = Request::new(method, "sip:callee@service.test");
    Uac::new().request(server.addr(), &request).text("X-Out")
}

/// Returns whether requests from here are from the list.
fn is_from(server: &Kamailio) -> bool {
    ask(server, "OPTIONS") == "1"
}

fn address(server: &Kamailio) -> String {
    let dest = server.dest(1, 0);
    dest["IPADDR"].as_str().unwrap_or_default().to_owned()
}

/// When the name was asked for, as the list says, in seconds since 1970.
fn asked_at(server: &Kamailio) -> f64 {
    let dest = server.dest(1, 0);
    let part = |key: &str| dest[key].as_f64().unwrap();
    part("DNSTIME_SEC") + part("DNSTIME_USEC") / 1e6
}

fn now() -> f64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

#[test]
fn mode_1_asks_when_the_list_is_read_and_never_again() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(HERE));
    let server = start(&dns, &[]);
    assert!(is_from(&server));
    let asked = dns.asked("gw.test").len();
    dns.set("gw.test", Name::Is(ELSEWHERE));
    for _ in 0..20 {
        assert!(is_from(&server));
        assert_eq!(ask(&server, "INFO"), "1");
    }
    assert_eq!(dns.asked("gw.test").len(), asked);
    // The server's own answer to the question before lives for a second.
    wait_for("a reload that finds the new address", patience(10), || {
        server.kamcmd(&["dispatcher.reload"]).unwrap();
        (address(&server) == ELSEWHERE.to_string()).then_some(())
    });
    assert!(!is_from(&server));
}

#[test]
fn mode_2_asks_in_each_match_and_in_nothing_else() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(ELSEWHERE));
    let server = start(&dns, &[("ds_dns_mode", 3)]);
    assert_eq!(asked_at(&server), 0.0, "a load does not count");
    let before = now();
    assert!(!is_from(&server));
    assert!((before..=now()).contains(&asked_at(&server)));
    dns.set("gw.test", Name::Is(HERE));
    wait_for("the new address", patience(10), || {
        is_from(&server).then_some(())
    });
    assert_eq!(address(&server), HERE.to_string());
    // A name that is gone keeps its address.
    dns.set("gw.test", Name::Unknown);
    assert!(is_from(&server));
}

#[test]
fn mode_2_asks_for_no_name_behind_the_one_that_matches() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("first.test", Name::Is(ELSEWHERE));
    dns.set("second.test", Name::Is(HERE));
    dns.set("third.test", Name::Is(HERE));
    let names = ["first.test", "second.test", "third.test"];
    let list = "1 sip:first.test 0 9\n1 sip:second.test 0 5\n1 sip:third.test 0 1\n";
    let server = Kamailio::start(Module::Rust, config(&dns, &[("ds_dns_mode", 2)]).list(list));
    assert!(is_from(&server));
    assert_eq!(
        names.map(|name| dns.asked(name).is_empty()),
        [false, false, true]
    );
    // An address in front of all is found without a question.
    server.write_list(format!(
        "1 sip:127.0.0.1 0 20\n1 sip:fourth.test 0 30 \n{list}"
    ));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert!(is_from(&server));
    assert!(!dns.asked("fourth.test").is_empty());
    assert!(dns.asked("third.test").is_empty());
}

#[test]
fn an_answer_is_good_for_ds_dns_ttl() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(HERE));
    let server = start(&dns, &[("ds_dns_mode", 3), ("ds_dns_ttl", 600)]);
    assert!(is_from(&server));
    dns.set("gw.test", Name::Is(ELSEWHERE));
    let asked = dns.asked("gw.test").len();
    let begin = std::time::Instant::now();
    wait_for("longer than the server's own answer", patience(10), || {
        assert!(is_from(&server));
        (begin.elapsed() > patience(2)).then_some(())
    });
    assert_eq!(dns.asked("gw.test").len(), asked);
}

#[test]
fn after_a_change_of_the_list_an_answer_is_asked_for_again() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(HERE));
    let server = start(&dns, &[("ds_dns_mode", 2), ("ds_dns_ttl", 600)]);
    assert!(is_from(&server));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert!(is_from(&server), "a load asks nobody");
    assert_eq!(address(&server), HERE.to_string());
    let modify = |flags| {
        let modify = ["dispatcher.modify", "1", URI, "flags", flags];
        server.kamcmd(&modify).unwrap();
    };
    modify("16");
    modify("0");
    assert!(is_from(&server), "a change of flags asks nobody");
    let duid = |uri| format!("1 {uri} 0 0 duid=a\n");
    server.write_list(duid(URI));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert!(is_from(&server));
    dns.set("other.test", Name::Is(HERE));
    server.write_list(duid("sip:other.test"));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert!(is_from(&server), "nobody has asked for this name");
}

#[test]
fn mode_4_follows_a_name_without_any_request() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(ELSEWHERE));
    let server = start(&dns, &[("ds_dns_mode", 5), ("ds_dns_interval", 1)]);
    assert!(!is_from(&server));
    server
        .kamcmd(&["dispatcher.set_state", "tp", "1", URI])
        .unwrap();
    dns.set("gw.test", Name::Is(HERE));
    wait_for("the new address", patience(15), || {
        (address(&server) == HERE.to_string()).then_some(())
    });
    assert!(is_from(&server));
    assert_eq!(server.flags(1, URI), "TP", "the state stays");
    assert!((now() - 60.0..=now()).contains(&asked_at(&server)));
    dns.set("gw.test", Name::Unknown);
    let asked = dns.asked("gw.test").len();
    wait_for("two more questions", patience(15), || {
        (dns.asked("gw.test").len() > asked + 1).then_some(())
    });
    assert!(is_from(&server), "a name that is gone keeps its address");
}

#[test]
fn without_mode_1_a_name_that_nobody_knows_yet_is_no_fault() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    let server = start(&dns, &[("ds_dns_mode", 4), ("ds_dns_interval", 1)]);
    assert_eq!(ask(&server, "INFO"), "1");
    assert!(!is_from(&server));
    dns.set("gw.test", Name::Is(HERE));
    wait_for("the address", patience(15), || {
        is_from(&server).then_some(())
    });
}

#[test]
fn mode_8_follows_a_pointer_to_the_service() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("gw.test", Name::Pointer("SIP+D2T", "_sip._tcp.pool.test"));
    dns.set("_sip._tcp.pool.test", Name::Service("host.test", 5090));
    dns.set("host.test", Name::Is(HERE));
    let config = config(&dns, &[("ds_dns_mode", 9)])
        .global("dns_try_naptr=yes")
        .tcp();
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(address(&server), HERE.to_string());
    assert!(is_from(&server));
    // Without a pointer that fits, the name itself is asked for.
    dns.set("gw.test", Name::Is(ELSEWHERE));
    wait_for("a reload that finds the new address", patience(10), || {
        server.kamcmd(&["dispatcher.reload"]).unwrap();
        (address(&server) == ELSEWHERE.to_string()).then_some(())
    });
}

/// A name that must not be asked for when a list is read gets its address later, after a change of
/// its flags as well.
#[test]
fn modify_leaves_a_name_for_later_where_the_mode_says_so() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(HERE));
    let server = start(&dns, &[("ds_dns_mode", 2)]);
    server
        .kamcmd(&["dispatcher.modify", "1", URI, "flags", "16"])
        .unwrap();
    let modify = ["dispatcher.modify", "1", URI, "flags", "0"];
    server.kamcmd(&modify).unwrap();
    assert!(dns.asked("gw.test").is_empty(), "modify asks nobody");
    assert_eq!(address(&server), "");
    assert!(is_from(&server));
    assert_eq!(address(&server), HERE.to_string());
}

#[test]
fn mode_8_asks_for_the_service() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("_sip._udp.gw.test", Name::Service("host.test", 5080));
    dns.set("host.test", Name::Is(HERE));
    let server = start(&dns, &[("ds_dns_mode", 9)]);
    assert_eq!(address(&server), HERE.to_string());
    assert!(is_from(&server));
}

#[test]
fn all_addresses_count_with_ds_dns_match_all() {
    if this_machine::lacks_name_servers()
        || this_server::older_than((5, 0), "more than the first address of a name")
    {
        return;
    }
    for (all, first, found) in [(0, HERE, true), (0, ELSEWHERE, false), (1, ELSEWHERE, true)] {
        let dns = Dns::start();
        let second = if first == HERE { FAR } else { HERE };
        dns.set("gw.test", Name::Both(first, second));
        let server = start(&dns, &[("ds_dns_match_all", all)]);
        let first_is_here = address(&server) == HERE.to_string();
        // The server may turn the addresses round.
        assert_eq!(is_from(&server), found || first_is_here, "{all} {first}");
    }
}

/// The shared variables that take what is left of shared memory.
const VARIABLES: usize = 300;

/// What fills shared memory: destinations of set 8, and variables.
#[derive(Default)]
struct Ballast {
    dests: usize,
    variables: usize,
}

impl Ballast {
    /// Takes all shared memory; returns true if there was any.
    fn fill(&mut self, server: &Kamailio) -> bool {
        let before = (self.dests, self.variables);
        let attrs = format!("note={}", "x".repeat(20_000));
        let uri = |n: usize| json!([8, format!("sip:10.0.{}.{}", n / 250, n % 250), 0, 0, attrs]);
        while server.jsonrpc("dispatcher.add", uri(self.dests)).is_ok() {
            self.dests += 1;
        }
        for size in (3..13).rev().map(|bits| 1 << bits) {
            let value = "x".repeat(size);
            let set = |n: usize| json!([format!("v{n}"), "str", value]);
            while self.variables < VARIABLES
                && server.jsonrpc("pv.shvSet", set(self.variables)).is_ok()
            {
                self.variables += 1;
            }
        }
        (self.dests, self.variables) != before
    }

    fn give_variables_back(&self, server: &Kamailio) {
        for n in 0..self.variables {
            let number = json!([format!("v{n}"), "int", 1]);
            server.jsonrpc("pv.shvSet", number).unwrap();
        }
    }
}

/// A server with little shared memory, whose own lines about that do not matter.
fn small(dns: &Dns, params: &[(&str, i64)]) -> Kamailio {
    let mut config = config(dns, params).shm_mb(6).global("use_dns_cache=off");
    for n in 0..VARIABLES {
        config = config.modparam("pv", "shvset", format!("v{n}=s:"));
    }
    let server = Kamailio::start(Module::Rust, config);
    for line in ["ERROR: <core> ", "WARNING: <core> ", "ERROR: pv "] {
        server.allow_log(line);
    }
    server
}

#[test]
fn mode_4_tries_again_what_found_no_memory() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(ELSEWHERE));
    let server = small(&dns, &[("ds_dns_mode", 5), ("ds_dns_interval", 6)]);
    wait_for("the first question", patience(5), || {
        (asked_at(&server) > 0.0).then_some(())
    });
    let said = "names keep their old addresses, trying again: ";
    server.expect_log(said);
    let mut ballast = Ballast::default();
    ballast.fill(&server);
    dns.set("gw.test", Name::Is(HERE));
    // Replaced lists are freed a little later.
    wait_for("an answer that is not taken", patience(15), || {
        ballast.fill(&server);
        server.log().contains(said).then_some(())
    });
    ballast.give_variables_back(&server);
    wait_for("the address, before the interval ends", patience(3), || {
        (address(&server) == HERE.to_string()).then_some(())
    });
    assert_eq!(server.log().matches(said).count(), 1);
}

#[test]
fn mode_2_asks_once_for_a_name_whose_question_finds_no_memory() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(ELSEWHERE));
    let server = small(&dns, &[("ds_dns_mode", 3)]);
    let loaded = dns.asked("gw.test").len();
    let mut ballast = Ballast::default();
    let mut since = std::time::Instant::now();
    // Replaced lists are freed a little later.
    wait_for("no memory for two seconds", patience(30), || {
        if ballast.fill(&server) {
            since = std::time::Instant::now();
        }
        (since.elapsed().as_secs() >= 2).then_some(())
    });
    let said = "names are asked for too often: ";
    server.expect_log(said);
    for round in 1..=3 {
        assert!(!is_from(&server));
        assert_eq!(dns.asked("gw.test").len(), loaded + round * loaded);
    }
    assert_eq!(server.log().matches(said).count(), 1);
}

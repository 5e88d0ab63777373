//! `ds_is_from_list` over addresses, ports, protocols, modes, groups and URIs.

use std::net::IpAddr;

use crate::compare_if;
use crate::pair::Pair;
use crate::report::Report;
use harness::{Config, Probe, TcpUac, Uac, this_server};

/// URIs that a call passes, besides the source address.
const URIS: [&str; 14] = [
    "",
    "sip:127.0.0.2",
    "sip:127.0.0.2:7002",
    "sip:127.0.0.2:7003",
    "sip:127.0.0.3:7003;transport=udp",
    "sip:127.0.0.3:7003;transport=tcp",
    "sip:127.0.0.4:7004;transport=TCP",
    "sips:127.0.0.5",
    "sip:user@127.0.0.4:7004",
    "sip:[::1]:7006",
    "sip:[::1]",
    "sip:nohost.invalid",
    "garbage",
    "sip:192.0.2.1",
];

#[test]
fn addresses_of_callers() {
    compare_is_from_list(|report| {
        let callers = callers();
        let pair = Pair::start(config(&callers));
        for caller in &callers {
            let from = caller.local().ip();
            for operations in modes("") {
                ask(report, &pair, caller, &format!("from {from}"), &operations);
            }
        }
    });
}

#[test]
fn uris_that_are_passed() {
    compare_is_from_list(|report| {
        let callers = callers();
        let pair = Pair::start(config(&callers));
        for uri in URIS {
            for operations in modes(&format!(",{uri}")) {
                let what = format!("uri {uri}");
                ask(report, &pair, &callers[4], &what, &operations);
            }
        }
    });
}

#[test]
fn callers_over_tcp() {
    compare_is_from_list(|report| over_tcp(report, &Pair::start(config(&callers()))));
}

fn compare_is_from_list(comparisons: impl FnOnce(&mut Report)) {
    let knows_flag_16 = || this_server::core() >= (5, 5);
    let lack = "this C module knows no list flag 16";
    compare_if(knows_flag_16, lack, |report, _| comparisons(report));
}

/// Callers at several addresses; each asks with all modes and groups.
fn callers() -> Vec<Uac> {
    let addresses = [
        "127.0.0.1",
        "127.0.0.2",
        "127.0.0.3",
        "127.0.0.4",
        "127.0.0.9",
        "::1",
    ];
    let caller = |ip: &str| Uac::at(ip.parse::<IpAddr>().expect("an address"), 0);
    addresses.map(caller).into()
}

/// The list: some entries name the callers' ports, so that a port matters.
fn config(callers: &[Uac]) -> Config {
    let port = |n: usize| callers[n].local().port();
    let list = format!(
        "3 sip:127.0.0.2 0 0 name=three\n1 sip:127.0.0.2:7002 0 0 name=one\n\
         1 sip:127.0.0.2:{} 1\n2 sip:127.0.0.3:{};transport=udp 0 0 name=udp\n\
         2 sip:127.0.0.3:7003;transport=tcp 4 0 name=tcp\n2 sip:127.0.0.3 4 0 name=off\n\
         5 sip:127.0.0.4:7004;transport=tcp 0 0 name=four\n5 sips:127.0.0.5 0 0 name=five\n\
         4 sip:[::1]:{} 0 0 name=six\n4 sip:[::1]:7006 1\n7 sip:[::1] 0 0 name=any6\n\
         6 sip:127.0.0.4 16 0 name=nodns\n8 sip:127.0.0.1;transport=tcp 0 0 name=tcponly\n\
         9 sip:127.0.0.1:{} 0 0 name=mine\n9 sip:127.0.0.1 9 0 name=down\n",
        port(1),
        port(2),
        port(5),
        port(0),
    );
    Probe::new().config().list(list).ipv6().tcp()
}

/// All groups and modes, with a URI or without.
fn modes(uri: &str) -> Vec<String> {
    let mut all = Vec::new();
    for group in -1..10 {
        let mut operations: Vec<String> = (0..8)
            .map(|mode| format!("from,{group},{mode}{uri}"))
            .collect();
        if uri.is_empty() {
            operations.push(format!("from,{group}"));
            operations.push("from".to_owned());
        }
        all.push(operations.join("|"));
    }
    all
}

fn ask(report: &mut Report, pair: &Pair, caller: &Uac, what: &str, operations: &str) {
    let [c, ours] = [&pair.c, &pair.ours].map(|server| {
        let dest = if caller.local().is_ipv6() {
            server.addr6()
        } else {
            server.addr()
        };
        Probe::run(caller, dest, operations).join("\n")
    });
    report.compare(&format!("is_from_list {what}"), &c, &ours);
}

/// Asks the same questions over one TCP connection per server.
fn over_tcp(report: &mut Report, pair: &Pair) {
    let mut callers = [&pair.c, &pair.ours].map(|server| TcpUac::connect(server.addr()));
    for operations in modes("") {
        let [c, ours] = callers
            .each_mut()
            .map(|caller| Probe::lines(&caller.request(&Probe::request(&operations))).join("\n"));
        report.compare("is_from_list over TCP", &c, &ours);
    }
}

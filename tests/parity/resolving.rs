//! `ds_is_from_list` and the addresses in `dispatcher.list` with all values of `ds_dns_mode`.

use std::net::Ipv4Addr;

use harness::{Config, Dns, Kamailio, Name, Probe, patience, this_machine, this_server, wait_for};
use serde_json::json;

use crate::compare_if;
use crate::pair::Pair;
use crate::report::Report;

/// One destination for each set, numbered from 1: addresses, and then names.
const ADDRESSES: [&str; 14] = [
    "sip:127.0.0.2:5060",
    "sip:127.0.0.2",
    "sip:bob@127.0.0.2:5070",
    "sip:127.0.0.2;transport=udp",
    "sip:127.0.0.2;transport=tcp",
    "sip:127.0.0.2:5070;transport=tcp",
    "sip:127.0.0.2;transport=tls",
    "sip:127.0.0.2;transport=sctp",
    "sip:127.0.0.2;transport=ws",
    "sips:127.0.0.2",
    "sips:127.0.0.2:5071;transport=tcp",
    "sip:[::1]:5060",
    "sip:[::1]",
    "sip:127.0.0.2 16",
];
const NAMES: [&str; 10] = [
    "sip:gw.test:5060",
    "sip:gw.test",
    "sip:gw.test;transport=tcp",
    "sip:gw.test;transport=tls",
    "sips:gw.test",
    "sip:gw.test:5070;transport=tcp",
    "sip:host.test",
    "sip:host.test:5061;transport=tls",
    "sip:nowhere.test",
    "sip:gw.test 16",
];

/// URIs that are asked for, without port and transport.
const HOSTS: [&str; 6] = [
    "sip:127.0.0.2",
    "sips:127.0.0.2",
    "sip:127.0.0.3",
    "sip:[::1]",
    "sip:gw.test",
    "sip:host.test",
];
const PORTS: [&str; 5] = ["", ":5060", ":5061", ":5070", ":5090"];
const TRANSPORTS: [&str; 4] = ["", ";transport=udp", ";transport=tcp", ";transport=tls"];

#[test]
fn modes_0_to_3() {
    modes(&[0, 1, 2, 3]);
}

#[test]
fn modes_4_to_7() {
    modes(&[4, 5, 6, 7]);
}

#[test]
fn modes_8_to_11() {
    modes(&[8, 9, 10, 11]);
}

#[test]
fn modes_12_to_15() {
    modes(&[12, 13, 14, 15]);
}

fn modes(modes: &[i64]) {
    let knows_modes = || this_server::core() >= (5, 5);
    compare_if(
        knows_modes,
        "this C module has no ds_dns_mode",
        |report, _| {
            if this_machine::lacks_name_servers() {
                return;
            }
            for &mode in modes {
                let dns = name_server();
                let pair = Pair::start(config(mode, &dns));
                if mode & 4 != 0 {
                    wait_for("addresses of the timer", patience(10), || {
                        let found = |server| {
                            [2, 21]
                                .iter()
                                .all(|&set| shown(server, set)[2] != "IPADDR \"\"")
                        };
                        (found(&pair.c) && found(&pair.ours)).then_some(())
                    });
                }
                matches(report, &pair, mode);
                addresses(report, &pair, mode);
            }
        },
    );
}

/// A name with an address, and with services that are elsewhere.
fn name_server() -> Dns {
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(Ipv4Addr::new(127, 0, 0, 2)));
    dns.set("host.test", Name::Is(Ipv4Addr::new(127, 0, 0, 3)));
    dns.set("_sip._udp.gw.test", Name::Service("host.test", 5090));
    dns.set("_sip._tcp.gw.test", Name::Service("host.test", 5070));
    dns.set("_sips._tcp.gw.test", Name::Service("host.test", 5061));
    dns
}

fn config(mode: i64, dns: &Dns) -> Config {
    let dests = ADDRESSES.iter().chain(&NAMES);
    let line = |(set, dest)| format!("{set} {dest}\n");
    let list: String = (1..).zip(dests).map(line).collect();
    Probe::new()
        .config()
        .list(list)
        .param("ds_dns_mode", mode)
        .param("ds_dns_interval", 1)
        .resolver(dns)
        .ipv6()
        .tcp()
}

/// Asks for all URIs in all sets, strictly, and for some with each part ignored.
fn matches(report: &mut Report, pair: &Pair, mode: i64) {
    let mut requests = Vec::new();
    for set in 1..=ADDRESSES.len() + NAMES.len() {
        for host in HOSTS {
            let question = |compared: u32, port: &str, transport: &str| {
                format!("from,{set},{compared},{host}{port}{transport}")
            };
            let strictly = PORTS.iter().flat_map(|port| {
                let question = &question;
                TRANSPORTS
                    .iter()
                    .map(move |transport| question(0, port, transport))
            });
            let loosely =
                (1..4).flat_map(|compared| ["", ":5090"].map(|port| question(compared, port, "")));
            let questions: Vec<String> = strictly.chain(loosely).collect();
            requests.push(Probe::request(&questions.join("|")));
        }
    }
    pair.ask(report, &format!("ds_dns_mode {mode}"), &requests);
}

/// Compares what `full` shows of each destination.
fn addresses(report: &mut Report, pair: &Pair, mode: i64) {
    for set in 1..=ADDRESSES.len() + NAMES.len() {
        let what = format!("ds_dns_mode {mode}, shown of set {set}");
        let [c, ours] = [&pair.c, &pair.ours].map(|server| shown(server, set).join("\n"));
        report.compare(&what, &c, &ours);
    }
}

/// Returns what `full` shows of the destination of a set.
fn shown(server: &Kamailio, set: usize) -> [String; 5] {
    let list = server.jsonrpc("dispatcher.list", json!(["full"])).unwrap();
    let sets = list["RECORDS"].as_array().unwrap();
    let found = sets.iter().find(|record| record["SET"]["ID"] == set);
    let dest = found.map(|record| &record["SET"]["TARGETS"][0]["DEST"]);
    let keys = ["URI", "HOST", "IPADDR", "PORT", "PROTOID"];
    keys.map(|key| {
        format!(
            "{key} {}",
            dest.map_or("none".to_owned(), |dest| dest[key].to_string())
        )
    })
}

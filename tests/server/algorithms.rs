//! Algorithms 11 to 15 and 64, where the C module of 5.6 has none or another answer.

use std::collections::BTreeMap;

use harness::{Config, Kamailio, Module, Probe, Uac};
use serde_json::json;

/// Chosen d-URIs by how often.
fn picks(server: &Kamailio, operation: &str, count: usize) -> BTreeMap<String, usize> {
    let uac = Uac::new();
    let mut picks = BTreeMap::new();
    for _ in 0..count {
        let lines = Probe::run(&uac, server.addr(), operation);
        let du = lines[0].split(" du=").nth(1).unwrap();
        let du = du.split(' ').next().unwrap().to_owned();
        *picks.entry(du).or_insert(0) += 1;
    }
    picks
}

fn start(config: Config) -> Kamailio {
    Kamailio::start(Module::Rust, config.param("flags", 2))
}

fn expect(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let counts = counts.iter();
    counts.map(|&(du, count)| (du.to_owned(), count)).collect()
}

#[test]
fn many_relative_weights_are_exact() {
    let mut list = String::new();
    for port in 7000..7120 {
        list += &format!("1 sip:127.0.0.1:{port} 0 0 rweight=1\n");
    }
    for port in 7000..7051 {
        list += &format!("2 sip:127.0.0.1:{port} 0 0 rweight=50\n");
    }
    let server = start(Probe::new().config().list(list).children(3));
    for (set, hosts) in [(1, 120), (2, 51)] {
        let picks = picks(&server, &format!("dst,{set},11"), 2 * hosts);
        assert_eq!(picks.len(), hosts, "set {set}");
        assert!(picks.values().all(|&count| count == 2), "{picks:?}");
    }
}

#[test]
fn priorities_decide_for_14_and_15() {
    let list = "\
        1 sip:a:1 0 5\n1 sip:a:2 0 5\n2 sip:b:1 0 5\n2 sip:b:2 0 4\n\
        3 sip:c:1 0 9 weight=50\n3 sip:c:2 0 1 weight=75\n3 sip:c:3 0 1 weight=25\n";
    let list = list
        .replace("sip:", "sip:127.0.0.1;")
        .replace(";a:", ":70")
        .replace(";b:", ":71");
    let list = list.replace(";c:", ":72");
    let server = start(Probe::new().config().list(list));
    let two = expect(&[("sip:127.0.0.1:701", 2), ("sip:127.0.0.1:702", 2)]);
    assert_eq!(picks(&server, "dst,1,14", 4), two);
    assert_eq!(
        picks(&server, "dst,2,14", 4),
        expect(&[("sip:127.0.0.1:711", 4)])
    );
    let shares = expect(&[("sip:127.0.0.1:722", 6), ("sip:127.0.0.1:723", 2)]);
    assert_eq!(picks(&server, "dst,3,15", 8), shares);
    server
        .jsonrpc("dispatcher.set_state", json!(["i", 3, "sip:127.0.0.1:722"]))
        .unwrap();
    assert_eq!(
        picks(&server, "dst,3,15", 8),
        expect(&[("sip:127.0.0.1:723", 8)])
    );
    let lines = Probe::run(&Uac::new(), server.addr(), "dst,3,15|nextdst");
    assert!(lines[1].contains("du=sip:127.0.0.1:721"), "{lines:?}");
    // Its weights are for algorithm 15: only a check remarks what 9 would make of them.
    assert!(!server.log().contains("weights add up"));
    let checked = server.jsonrpc("dispatcher.check", json!([])).unwrap();
    let remark = checked["REMARKS"][0].as_str().unwrap();
    assert!(
        remark.starts_with("set 3: weights add up to 150, not 100"),
        "{remark}"
    );
}

#[test]
fn parallel_forks_to_usable_ones() {
    let show = "$du = $(branch(dst_uri)[0]) + \"|\" + $(branch(dst_uri)[1]); clear_branches();";
    let list = "1 sip:127.0.0.1:701 0 4\n1 sip:127.0.0.1:702 1 3\n\
                1 sip:127.0.0.1:703 4 2\n1 sip:127.0.0.1:704 64 1\n1 sip:127.0.0.1:705 0 0\n";
    let server = start(Probe::new().op("branches", show).config().list(list));
    let uac = Uac::new();
    let lines = Probe::run(&uac, server.addr(), "dst,1,12|branches");
    assert!(lines[0].contains("rc=1 du=sip:127.0.0.1:701 "), "{lines:?}");
    assert!(lines[1].contains("du=sip:127.0.0.1:705| "), "{lines:?}");
}

#[test]
fn overloaded_destinations_are_passed_over() {
    let report = |uri: u32, rate: u32, ms: u32, seq: u32| {
        format!(r#"ds_oc_set_attrs("1", "sip:127.0.0.1:{uri}", "{rate}", "{ms}", "{seq}");"#)
    };
    let config = Probe::new()
        .op("half", &report(701, 50, 600_000, 5))
        .op("old", &report(701, 0, 600_000, 5))
        .op("none", &report(799, 0, 600_000, 5))
        .op("over", &report(702, 100, 600_000, 1))
        .op("all", &report(701, 100, 600_000, 6))
        .config()
        .list("1 sip:127.0.0.1:701 0 9\n1 sip:127.0.0.1:702 0 5 ocmin=10;ocmax=20\n");
    let server = start(config);
    let both =
        |first, second| expect(&[("sip:127.0.0.1:701", first), ("sip:127.0.0.1:702", second)]);
    assert_eq!(picks(&server, "dst,1,64", 10), both(5, 5));
    let uac = Uac::new();
    let rc = |operation: &str| Probe::run(&uac, server.addr(), operation)[0].clone();
    assert!(rc("half").contains("rc=1 "));
    assert!(rc("old").contains("rc=-2 "));
    assert!(rc("none").contains("rc=-2 "));
    // Of 200 turns each, the first gives 100 away.
    assert_eq!(picks(&server, "dst,1,64", 300), both(100, 200));
    // Its rate is held at 20.
    assert!(rc("over").contains("rc=1 "));
    assert!(rc("all").contains("rc=1 "));
    let list = server.jsonrpc("dispatcher.oclist", json!([1])).unwrap();
    assert_eq!(list[0]["ocrate"], 100, "{list}");
    assert_eq!(list[1]["ocrate"], 20, "{list}");
    assert_eq!(list[1]["ocseq"], 1, "{list}");
    let fault = server.jsonrpc("dispatcher.oclist", json!([7])).unwrap_err();
    assert_eq!(
        (fault.code, fault.text.as_str()),
        (404, "Destination Group Not Found")
    );
    assert_eq!(picks(&server, "dst,1,4", 10), both(5, 5));
}

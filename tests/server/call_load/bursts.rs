//! Many INVITEs at once to several workers: `maxload` is a limit, and one call is one call.
//!
//! `CALL_LOAD_BURSTS` sets the number of bursts.

use std::collections::BTreeMap;

use super::desk::{config, dests, loads, request, said};
use harness::{Kamailio, Module, Request, Uac, under_valgrind};

/// INVITEs of a burst.
const BURST: usize = 64;

/// A number from the environment; by default a tenth under valgrind.
pub fn number(name: &str, default: usize) -> usize {
    let default = if under_valgrind() {
        default / 10
    } else {
        default
    };
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Ids of the destinations that took an INVITE, each with the Call-IDs that it took.
fn burst(uac: &Uac, server: &Kamailio, calls: &[String]) -> BTreeMap<String, Vec<String>> {
    let invite = |call: &String| request("INVITE", "select", call);
    let requests: Vec<Request> = calls.iter().map(invite).collect();
    let replies = uac.batch(server.addr(), &requests, BURST);
    let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (call, reply) in calls.iter().zip(&replies) {
        let said = said(reply);
        if said.rc == 1 {
            let id = said.id.unwrap_or_default();
            taken.entry(id).or_default().push(call.clone());
        }
    }
    taken
}

#[test]
fn bursts_never_exceed_maxload() {
    let list = dests(&["a;maxload=5", "b;maxload=5"]);
    let server = Kamailio::start(Module::Rust, config(&list).children(8));
    let uac = Uac::new();
    let bursts = number("CALL_LOAD_BURSTS", 100);
    let mut sizes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for n in 0..bursts {
        let calls: Vec<String> = (0..BURST).map(|call| format!("{n}-{call}")).collect();
        let taken = burst(&uac, &server, &calls);
        let of = |id: &str| taken.get(id).map_or(0, Vec::len);
        *sizes.entry((of("a"), of("b"))).or_default() += 1;
        let bye = |call: &String| request("BYE", "update", call);
        let byes: Vec<Request> = taken.values().flatten().map(bye).collect();
        uac.batch(server.addr(), &byes, BURST);
    }
    println!("accepted on a and b, how often: {sizes:?}");
    // All places are taken each time, and not one more.
    assert_eq!(sizes, BTreeMap::from([((5, 5), bursts)]));
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn one_call_at_many_workers_is_counted_once() {
    let list = dests(&["a;maxload=1", "b;maxload=1"]);
    let server = Kamailio::start(Module::Rust, config(&list).children(8));
    let uac = Uac::new();
    for n in 0..number("CALL_LOAD_BURSTS", 100) {
        let call = format!("call{n}");
        let taken = burst(&uac, &server, &vec![call.clone(); BURST]);
        let sizes: Vec<usize> = taken.values().map(Vec::len).collect();
        assert_eq!(sizes, [BURST], "{taken:?}");
        assert_eq!(loads(&server).matches("=1").count(), 1);
        uac.request(server.addr(), &request("BYE", "update", &call));
    }
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn one_call_at_many_workers_takes_the_only_place() {
    let config = config(&dests(&["a;maxload=1"])).children(8);
    let server = Kamailio::start(Module::Rust, config);
    let uac = Uac::new();
    for n in 0..number("CALL_LOAD_BURSTS", 100) {
        let call = format!("call{n}");
        let taken = burst(&uac, &server, &vec![call.clone(); BURST]);
        let sizes: Vec<usize> = taken.values().map(Vec::len).collect();
        assert_eq!(sizes, [BURST], "{taken:?}");
        uac.request(server.addr(), &request("BYE", "update", &call));
    }
}

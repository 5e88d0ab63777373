//! `ds_count_calls` 2: `maxload` is a limit with every algorithm.

use std::collections::BTreeMap;

use harness::{Config, Request, Uac, refuses};
use serde_json::json;

use super::{Done, config, done, keyed, listed, loads, port, request, run, start, up};
use crate::call_load::number;

/// INVITEs of a burst.
const BURST: usize = 64;

/// The algorithms that count no calls of their own, but for the one that forks.
const ALGORITHMS: [u32; 17] = [0, 1, 2, 3, 4, 6, 7, 8, 9, 11, 13, 14, 15, 64, 100, 103, 107];

const TWO: &str = "1 sip:127.0.0.1:7001 0 9 weight=50;rweight=50;maxload=5\n\
    1 sip:127.0.0.1:7002 0 9 weight=50;rweight=50;maxload=5\n";

fn limited(list: &str) -> Config {
    config(list)
        .param("ds_hash_size", 8)
        .param("ds_count_calls", 2)
}

#[test]
fn bursts_never_exceed_a_limit() {
    let server = start(limited(TWO).children(8));
    let uac = Uac::new();
    for algorithm in ALGORITHMS {
        let mut sizes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let bursts = number("ADMISSION_BURSTS", 5);
        for n in 0..bursts {
            let call = |at| format!("{algorithm}-{n}-{at}");
            let invite = |at| keyed(&call(at), &call(at), &format!("dst,1,{algorithm}"));
            let requests: Vec<Request> = (0..BURST).map(invite).collect();
            let replies = uac.batch(server.addr(), &requests, BURST);
            let taken: Vec<_> = replies.iter().flat_map(done).collect();
            let of = |port| {
                taken
                    .iter()
                    .filter(|done| done.code == 1 && done.port == port)
                    .count()
            };
            *sizes.entry((of(7001), of(7002))).or_default() += 1;
            let bye = |at| request("BYE", &call(at), "update").tagged("callee");
            let byes: Vec<Request> = (0..BURST).map(bye).collect();
            uac.batch(server.addr(), &byes, BURST);
        }
        println!("algorithm {algorithm}: accepted, how often: {sizes:?}");
        // All places are taken each time, and not one more.
        assert_eq!(sizes, BTreeMap::from([((5, 5), bursts)]), "{algorithm}");
        assert_eq!(up(&server), 0);
    }
}

#[test]
fn where_all_refuse_nothing_changes() {
    let one = "1 sip:127.0.0.1:7001 0 0 maxload=1\n";
    let server = start(limited(one).param("force_dst", 1));
    assert_eq!(port(&server, "a", "dst,1,4"), Some(7001));
    for algorithm in ALGORITHMS {
        let request = keyed("b", "b", &format!("du,sip:127.0.0.1:9|dst,1,{algorithm}"));
        let refused = Done { code: -1, port: 9 };
        assert_eq!(run(&server, &request).last(), Some(&refused), "{algorithm}");
    }
    assert_eq!(up(&server), 1);
    // Nobody asks of other requests, nor of those of a dialog.
    let codes = |request| run(&server, &request).pop().unwrap().code;
    assert_eq!(codes(request("OPTIONS", "c", "dst,1,4")), 1);
    assert_eq!(codes(request("INVITE", "d", "dst,1,4").tagged("callee")), 1);
    // The call stays where it is counted.
    assert_eq!(port(&server, "a", "dst,1,100"), Some(7001));
    super::bye(&server, "a");
    assert_eq!(port(&server, "b", "dst,1,4"), Some(7001));
}

#[test]
fn the_full_one_is_passed_over_by_selection_failover_and_routes() {
    let list = "1 sip:127.0.0.1:7001 0 9 maxload=1\n1 sip:127.0.0.1:7002 0 8 maxload=1\n\
        1 sip:127.0.0.1:7003 0 7 maxload=2\n2 sip:127.0.0.1:7004 0 0\n";
    for mode in [0, 65_536] {
        let server = start(limited(list).param("xavp_dst_mode", mode));
        assert_eq!(port(&server, "a", "dst,1,8"), Some(7001), "{mode}");
        assert_eq!(port(&server, "b", "dst,1,8"), Some(7002), "{mode}");
        // The count moves along, past the one that is full.
        assert_eq!(port(&server, "a", "dst,1,8|nextdst"), Some(7003), "{mode}");
        assert_eq!(loads(&server), [0, 1, 1, 0], "{mode}");
        assert_eq!(port(&server, "c", "dst,1,8|nextdst"), Some(7003), "{mode}");
        assert_eq!(loads(&server), [0, 1, 2, 0], "{mode}");
        // Behind the last one the call stays counted where it was tried last.
        assert_eq!(port(&server, "d", "dst,1,8|nextdst"), None, "{mode}");
        assert_eq!(port(&server, "e", "routes"), Some(7004), "{mode}");
        assert_eq!(loads(&server), [1, 1, 2, 1], "{mode}");
        // Into the next set.
        assert_eq!(port(&server, "d", "routes|nextdst"), Some(7004), "{mode}");
        assert_eq!(loads(&server), [0, 1, 2, 2], "{mode}");
        ["a", "b", "c", "d", "e"]
            .iter()
            .for_each(|call| super::bye(&server, call));
        assert_eq!(loads(&server), [0; 4], "{mode}");
    }
}

#[test]
fn failover_passes_over_what_has_left_the_list() {
    let list = "1 sip:127.0.0.1:7001 0 9 duid=a\n1 sip:127.0.0.1:7002 0 8 duid=b\n\
        1 sip:127.0.0.1:7003 0 7 duid=c\n";
    for algorithm in [8, 10] {
        let server = start(limited(list));
        let ports = ["nextdst", "remove|nextdst"]
            .map(|rest| port(&server, rest, &format!("dst,1,{algorithm}|{rest}")));
        assert_eq!(ports, [Some(7002), Some(7003)], "{algorithm}");
    }
}

#[test]
fn a_cancel_and_a_request_of_the_dialog_go_where_the_call_is() {
    let server = start(limited(TWO));
    for n in 0..10 {
        let call = format!("call-{n}");
        let there = port(&server, &call, "dst,1,4").unwrap();
        for algorithm in [0, 4, 8, 100] {
            let operation = format!("dst,1,{algorithm}");
            let cancel = run(&server, &request("CANCEL", &call, &operation));
            assert_eq!((cancel[0].code, cancel[0].port), (1, there));
            let bye = run(&server, &request("BYE", &call, &operation).tagged("callee"));
            assert_eq!((bye[0].code, bye[0].port), (1, there));
        }
    }
    assert_eq!(loads(&server), [5, 5]);
    server
        .jsonrpc(
            "dispatcher.set_state",
            json!(["drain", 1, "sip:127.0.0.1:7001"]),
        )
        .unwrap();
    assert_eq!(
        port(&server, "call-99", "dst,1,4"),
        None,
        "the other one is full"
    );
}

#[test]
fn the_default_destination_has_a_limit_too() {
    let list = "1 sip:127.0.0.1:7001 0 9 maxload=1\n1 sip:127.0.0.1:7002 0 0 maxload=1\n";
    let server = start(limited(list).param("use_default", 1));
    for algorithm in [4, 0, 100] {
        let ports = ["a", "b", "c"].map(|call| port(&server, call, &format!("dst,1,{algorithm}")));
        assert_eq!(ports, [Some(7001), Some(7002), None], "{algorithm}");
        ["a", "b"].iter().for_each(|call| super::bye(&server, call));
    }
}

#[test]
fn a_reload_and_an_edit_keep_the_counts() {
    let server = start(limited(TWO).param("reload_delta", 0));
    for call in ["a", "b", "c", "d"] {
        port(&server, call, "dst,1,4").unwrap();
    }
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(loads(&server), [2, 2]);
    let modify = [
        "dispatcher.modify",
        "1",
        "sip:127.0.0.1:7001",
        "maxload",
        "2",
    ];
    server.kamcmd(&modify).unwrap();
    let ports = ["e", "f", "g"].map(|call| port(&server, call, "dst,1,4"));
    assert_eq!(ports, [Some(7002); 3]);
    assert_eq!(port(&server, "h", "dst,1,4"), None);
    let duids = listed(&server, "/ATTRS/DUID");
    assert!(
        duids
            .iter()
            .all(|duid| duid.as_str().is_none_or(str::is_empty))
    );
}

#[test]
fn no_call_fails_beside_edits_and_loads() {
    let list = format!("{TWO}1 sip:127.0.0.1:7003 0 9 rweight=1;cps=1\n");
    let config = limited(&list).param("reload_delta", 0).param("ds_cps", 1);
    let server = start(config.children(4).param("ds_bounded_load", 300));
    let added = "sip:127.0.0.1:7009";
    let edits = std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let uac = Uac::new();
            for n in 0..number("ADMISSION_BURSTS", 5) * 20 {
                let call = |at| format!("{n}-{at}");
                let invite = |at| {
                    let algorithm = ALGORITHMS[(n + at) % ALGORITHMS.len()];
                    keyed(&call(at), &call(at), &format!("dst,1,{algorithm}"))
                };
                // Fewer calls than there is room for.
                let invites: Vec<Request> = (0..8).map(invite).collect();
                let replies = uac.batch(server.addr(), &invites, 8);
                let failed: Vec<_> = replies
                    .iter()
                    .filter(|reply| done(reply)[0].code != 1)
                    .collect();
                assert!(failed.is_empty(), "{n}: {} of 8 have failed", failed.len());
                let bye = |at| request("BYE", &call(at), "update").tagged("callee");
                let byes: Vec<Request> = (0..8).map(bye).collect();
                uac.batch(server.addr(), &byes, 8);
            }
        });
        let mut edits = 0;
        while !calls.is_finished() {
            for command in [
                &["dispatcher.add", "1", added, "0", "9", "maxload=3;cps=9"][..],
                &["dispatcher.modify", "1", added, "cps", "8"],
                &["dispatcher.reload"],
                &[
                    "dispatcher.modify",
                    "1",
                    "sip:127.0.0.1:7001",
                    "maxload",
                    "6",
                ],
            ] {
                server.kamcmd(command).unwrap();
                edits += 1;
            }
        }
        calls.join().unwrap();
        edits
    });
    println!("{edits} edits and loads");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert!(edits >= 4);
    assert_eq!((loads(&server), up(&server)), (vec![0, 0, 0], 0));
}

#[test]
fn what_cannot_be_counted_is_refused_at_the_start() {
    let expected = "parameter ds_count_calls: found \"2\", expected 0 without ds_hash_size";
    refuses(config(TWO).param("ds_count_calls", 2), expected);
    let expected = "parameter ds_count_calls: found \"3\", expected 0, 1 or 2";
    refuses(config(TWO).param("ds_count_calls", 3), expected);
    let expected = "parameter ds_cps: found \"2\", expected 0 or 1";
    refuses(config(TWO).param("ds_cps", 2), expected);
    for (calls, percent, expected) in [
        (1, 125, "0 without ds_count_calls 2"),
        (2, 100, "0, or 101 to 1000 percent"),
        (2, 1_001, "0, or 101 to 1000 percent"),
    ] {
        let config = config(TWO)
            .param("ds_hash_size", 8)
            .param("ds_count_calls", calls);
        let expected =
            format!("parameter ds_bounded_load: found \"{percent}\", expected {expected}");
        refuses(config.param("ds_bounded_load", percent), &expected);
    }
}

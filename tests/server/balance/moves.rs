//! What becomes of keys when destinations go, come back, drain, leave the list and join it.

use std::collections::BTreeMap;

use super::{call, config, places_of_calls, route, routed, sent, start, ten};
use crate::call_load::number;
use harness::Kamailio;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const KEYS: usize = 120;

/// Returns where each of some keys goes.
fn places(server: &Kamailio) -> BTreeMap<String, String> {
    let key = |n| format!("call-{n}@10.0.0.1");
    (0..KEYS)
        .map(|n| (key(n), routed(server, &key(n))))
        .collect()
}

/// Returns those keys that are elsewhere now, with both places.
fn moved<'p>(
    before: &'p BTreeMap<String, String>,
    after: &'p BTreeMap<String, String>,
) -> Vec<(&'p str, &'p str)> {
    let both = before.values().zip(after.values());
    both.filter(|(from, to)| from != to)
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect()
}

fn rpc(server: &Kamailio, command: &str, arguments: Value) {
    server.jsonrpc(command, arguments).unwrap();
}

#[test]
fn only_the_keys_of_what_changes_move_and_come_back() {
    let server = start(config(ten()));
    let before = places(&server);
    let gone = "sip:127.0.0.1:7003";
    let own = before.values().filter(|uri| *uri == gone).count();
    assert!(own > 3, "{before:?}");
    for (state, flags) in [("i", "inactive"), ("d", "disabled"), ("drain", "draining")] {
        rpc(&server, "dispatcher.set_state", json!([state, 1, gone]));
        let after = places(&server);
        let moved = moved(&before, &after);
        assert_eq!(moved.len(), own, "{state}");
        assert!(moved.iter().all(|(from, _)| *from == gone), "{moved:?}");
        let to: std::collections::BTreeSet<_> = moved.iter().map(|(_, to)| to).collect();
        assert!(to.len() > 1, "all went to one: {moved:?}");
        // The command says why, and a call goes where it says.
        let (key, at) = after.iter().find(|(key, at)| before[*key] != **at).unwrap();
        let said = route(&server, 1, 100, key);
        assert_eq!(
            said["ROUTE"][0]["DEST"]["URI"]
                .as_str()
                .or(said["ROUTE"][0]["URI"].as_str()),
            Some(gone),
            "{said}"
        );
        assert!(said.to_string().contains(flags), "{said}");
        assert_eq!(sent(&server, &call(key, "dst,1,100"))[0], *at);
        rpc(&server, "dispatcher.set_state", json!(["a", 1, gone]));
        assert_eq!(places(&server), before);
    }
    rpc(&server, "dispatcher.remove", json!([1, gone]));
    assert_eq!(moved(&before, &places(&server)).len(), own);
    rpc(
        &server,
        "dispatcher.add",
        json!([1, gone, 0, 5, "duid=gw3"]),
    );
    assert_eq!(places(&server), before);
    // Under its unique id it keeps its keys wherever it goes.
    server.write_list(ten().replace(gone, "sip:127.0.0.1:7999"));
    rpc(&server, "dispatcher.reload", json!([]));
    let after = places(&server);
    let elsewhere = moved(&before, &after);
    assert_eq!(elsewhere.len(), own);
    assert!(
        elsewhere.iter().all(|(_, to)| *to == "sip:127.0.0.1:7999"),
        "{elsewhere:?}"
    );
}

/// Two servers, one of which has begun with a part of the list, in another order, and has come to it by random edits.
#[test]
fn two_servers_with_the_same_destinations_agree() {
    let uri = |n: usize| match n % 3 {
        2 => format!("sip:127.0.0.1:{};transport=udp", 7000 + n),
        _ => format!("sip:127.0.0.1:{}", 7000 + n),
    };
    let attrs = |n: usize| match n % 3 {
        0 => format!("duid=gw{n};rweight={}", 10 + n),
        1 => format!("rweight={}", 10 + n),
        _ => format!("rweight={};x=y", 1 + n),
    };
    let line = |&n: &usize| format!("1 {} 0 {} {}\n", uri(n), n % 5, attrs(n));
    let mut left: Vec<usize> = (0..20).collect();
    let one = start(config(left.iter().map(line).collect::<String>()));
    let mut random = StdRng::seed_from_u64(21);
    left.shuffle(&mut random);
    let mut listed = left.split_off(8);
    let list: String = listed.iter().map(line).collect();
    let other = start(config(list).param("reload_delta", 0));
    let add = |n: usize| {
        let line = json!([1, uri(n), 0, n % 7, attrs(n)]);
        rpc(&other, "dispatcher.add", line);
    };
    for _ in 0..200 {
        let removes = left.is_empty() || listed.len() > 2 && random.random();
        let (from, to) = match removes {
            true => (&mut listed, &mut left),
            false => (&mut left, &mut listed),
        };
        let n = from.swap_remove(random.random_range(0..from.len()));
        to.push(n);
        match removes {
            true => rpc(&other, "dispatcher.remove", json!([1, uri(n)])),
            false => add(n),
        }
    }
    left.into_iter().for_each(add);
    let keys = number("BALANCE_KEYS", 10_000);
    let found = places_of_calls(&one, 100, keys);
    assert_eq!(found, places_of_calls(&other, 100, keys));
    assert_eq!(places(&one), places(&other));
}

#[test]
fn shares_are_those_of_the_weights_and_none_for_those_without() {
    let list = "1 sip:127.0.0.1:7001 0 0 rweight=30\n1 sip:127.0.0.1:7002 0 0 rweight=10\n1 sip:127.0.0.1:7003\n";
    let server = start(config(list));
    let places = places(&server);
    let count = |port| places.values().filter(|uri| uri.ends_with(port)).count();
    // Four standard deviations of 120 with a probability of 3/4.
    assert!((71..=109).contains(&count(":7001")), "{places:?}");
    assert_eq!((count(":7003"), count(":7001") + count(":7002")), (0, KEYS));
    let checked = server.jsonrpc("dispatcher.check", json!([])).unwrap();
    let remark =
        "set 1: 1 of 3 destinations without rweight: no share with algorithms 11 and 100 to 107";
    assert!(checked["REMARKS"].to_string().contains(remark), "{checked}");
    for port in [7001, 7002] {
        rpc(
            &server,
            "dispatcher.set_state",
            json!(["i", 1, format!("sip:127.0.0.1:{port}")]),
        );
    }
    assert_eq!(routed(&server, "x"), "sip:127.0.0.1:7003");
}

#[test]
fn sets_behind_follow_and_the_default_destination_comes_last() {
    let list = ten() + "2 sip:127.0.0.1:7201\n2 sip:127.0.0.1:7202\n";
    let server = start(config(&list).param("use_default", 1));
    // The last of the set has the first line.
    let last = "sip:127.0.0.1:7000";
    assert!(places(&server).values().all(|uri| uri != last));
    let all = sent(
        &server,
        &call("x", &format!("dst,1,100{}", "|nextdst".repeat(9))),
    );
    assert_eq!(all.last().map(String::as_str), Some(last), "{all:?}");
    for n in 1..10 {
        rpc(
            &server,
            "dispatcher.set_state",
            json!(["i", 1, format!("sip:127.0.0.1:700{n}")]),
        );
    }
    assert_eq!(routed(&server, "x"), last);
    rpc(&server, "dispatcher.set_state", json!(["i", 1, last]));
    assert_eq!(
        route(&server, 1, 100, "x")["URI"],
        harness::this_server::null()
    );
}

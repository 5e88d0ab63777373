//! Which text each number hashes, and that the choice is the one that every server computes.

use super::{call, config, route, sent, start, ten};
use harness::Probe;
use serde_json::json;

/// Positions from the golden values of the domain (src/dispatch/balance/tests.rs), whose ten destinations are
/// `gw1` to `gw10`.
const GOLDEN: [(&str, [usize; 10]); 4] = [
    ("a", [2, 0, 6, 1, 7, 4, 3, 8, 9, 5]),
    (
        "0123456789abcdef0123456789@10.0.0.1",
        [3, 6, 2, 9, 0, 4, 7, 1, 5, 8],
    ),
    ("call-0@10.0.0.1", [6, 2, 9, 8, 3, 7, 5, 0, 4, 1]),
    ("call-5@10.0.0.1", [3, 7, 1, 8, 4, 2, 5, 9, 0, 6]),
];

#[test]
fn the_order_is_the_golden_one_in_lists_and_on_demand() {
    let list: String = (1..=10)
        .map(|n| format!("1 sip:127.0.0.1:{} 0 {} duid=GW{n}\n", 7000 + n, n * 7 % 5))
        .collect();
    let in_a_list = start(config(&list));
    let on_demand = start(config(&list).param("xavp_dst_mode", 65_536));
    let operations = format!("dst,1,100{}", "|nextdst".repeat(9));
    for (key, golden) in GOLDEN {
        let expected: Vec<String> = golden
            .iter()
            .map(|at| format!("sip:127.0.0.1:{}", 7001 + at))
            .collect();
        let request = call(key, &operations);
        assert_eq!(sent(&in_a_list, &request), expected, "{key}");
        assert_eq!(sent(&on_demand, &request), expected, "{key}, on demand");
        let routed = route(&in_a_list, 1, 100, key);
        assert_eq!(routed["URI"], json!(expected[0]), "{routed}");
    }
}

/// A request whose texts are all different.
fn request(operations: &str) -> harness::Request {
    let credentials =
        "Digest username=\" carol \", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"0\"";
    call("one@10.0.0.9", operations)
        .from("sip:alice@a.test:5070")
        .to("sip:bob@b.test:5060")
        .uri("sips:dave@d.test:5060;x=y")
        .header("Proxy-Authorization", credentials)
        .header("X-Key", " erin ")
}

#[test]
fn each_number_has_its_text() {
    for flags in [2, 3] {
        let server = harness::Kamailio::start(
            harness::Module::Rust,
            config(ten())
                .param("flags", flags)
                .param("hash_pvar", "$hdr(X-Key)"),
        );
        let of_uri = |user: &str, host: &str| match flags {
            2 => format!("{user}@{host}"),
            _ => user.to_owned(),
        };
        for (algorithm, text) in [
            (100, "one@10.0.0.9".to_owned()),
            (101, of_uri("alice", "a.test:5070")),
            (102, of_uri("bob", "b.test")),
            (103, of_uri("dave", "d.test:5060")),
            (105, "carol".to_owned()),
            (107, "erin".to_owned()),
        ] {
            let routed = route(&server, 1, algorithm, &text);
            // Several destinations, so that no chance makes them agree.
            let next = format!("dst,1,{algorithm}{}", "|nextdst".repeat(4));
            let found = sent(&server, &request(&next));
            assert_eq!(json!(found[0]), routed["URI"], "{algorithm}, flags {flags}");
            let by_call_id = call(&text, &format!("dst,1,100{}", "|nextdst".repeat(4)));
            assert_eq!(
                found,
                sent(&server, &by_call_id),
                "{algorithm}, flags {flags}"
            );
        }
    }
}

/// The table of doc/dev/rendezvous.md.
#[test]
fn each_uri_has_its_text() {
    let server = start(config(ten()));
    let next = "|nextdst".repeat(4);
    for (uri, text) in [
        ("sip:alice:secret@Example.com", "alice@Example.com"),
        ("sip:alice@example.com:5070", "alice@example.com:5070"),
        ("sip:alice@example.com:05060", "alice@example.com"),
        ("sips:alice@example.com:5061", "alice@example.com"),
        ("sip:alice@example.com:5061", "alice@example.com:5061"),
        ("sip:alice@example.com:", "alice@example.com:"),
        ("sip:example.com:5070", "example.com:5070"),
        ("sip:%61lice@[2001:DB8::1]", "%61lice@[2001:DB8::1]"),
        ("tel:+15551234", "+15551234@"),
        ("sip:+1;x=y@a.test;user=phone", "+1@a.test"),
        ("sips:+1@a.test:5061;user=phone", "+1@a.test:5061"),
    ] {
        let by_uri = call("x", &format!("dst,1,101{next}")).from(uri);
        let by_text = call(text, &format!("dst,1,100{next}"));
        assert_eq!(sent(&server, &by_uri), sent(&server, &by_text), "{uri}");
    }
    server.expect_log("the URI to hash has no user part");
}

#[test]
fn without_a_text_it_is_as_with_the_old_number() {
    let server = start(config(ten()).param("hash_pvar", "$hdr(X-Key)"));
    // No credentials: in turn, with the position of algorithm 4.
    let in_turn = sent(&server, &call("x", "dst,1,105|dst,1,4|dst,1,105"));
    let expected: Vec<String> = [9, 8, 7].map(|n| format!("sip:127.0.0.1:700{n}")).into();
    assert_eq!(in_turn, expected);
    let without = call("x", "dst,1,107").header("X-Key", " ");
    let lines = Probe::lines(&harness::Uac::new().request(server.addr(), &without));
    assert!(lines[0].contains(" rc=-1 "), "{lines:?}");
    server.expect_log("nothing to hash: hash_pvar is empty");
    // Numbers between them are of nobody.
    let lines = Probe::lines(&harness::Uac::new().request(server.addr(), &call("x", "dst,1,104")));
    assert!(lines[0].contains("du=sip:127.0.0.1:7009"), "{lines:?}");
    server.expect_log("algorithm 104 is not implemented");

    let route =
        "request_route { ds_select_dst(\"1\", \"107\"); sl_send_reply(\"200\", \"rc $rc\"); }";
    let server = start(harness::Config::routes(route).list(ten()));
    let reply = harness::Uac::new().request(server.addr(), &call("x", ""));
    assert_eq!(reply.start, "SIP/2.0 200 rc -1");
    server.expect_log("algorithm 107 needs the parameter hash_pvar");
}

#[test]
fn the_command_refuses_what_it_cannot_answer() {
    let server = start(config(ten()));
    for (arguments, fault) in [
        (json!([]), "Invalid Parameters"),
        (json!([1, 100]), "Invalid Parameters"),
        (json!(["x", 100, "a"]), "Invalid Parameters: expected a set"),
        (
            json!([1, 4, "a"]),
            "Invalid Parameters: expected an algorithm of 100 to 103, 105 or 107",
        ),
        (
            json!([1, 104, "a"]),
            "Invalid Parameters: expected an algorithm of 100 to 103, 105 or 107",
        ),
        (json!([2, 100, "a"]), "No Such Destination Set"),
    ] {
        let error = server
            .jsonrpc("dispatcher.route", arguments.clone())
            .unwrap_err();
        assert!(error.to_string().contains(fault), "{arguments}: {error:?}");
    }
    let shown = server
        .kamcmd(&["dispatcher.route", "1", "100", "a"])
        .unwrap();
    assert!(shown.contains("KEY: d24ec4f1a98c6e5b"), "{shown}");
}

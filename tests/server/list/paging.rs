//! `dispatcher.list` of 10,000 destinations: whole where the transport can, page by page through
//! every transport.

use std::time::Duration;

use harness::network::from_afar;
use harness::transports::{by_fifo, by_http, http_text};
use harness::{
    Config, Fault, Kamailio, Module, Piece, Request, Uac, binrpc, this_machine, this_server,
};
use serde_json::{Value, json};

const DESTINATIONS: usize = 10_000;
/// Destinations of a page that fits into everything at its defaults.
const PAGE: usize = 500;

fn uri(n: usize) -> String {
    format!("sip:10.{}.{}.1:5060", n / 250, n % 250)
}

/// Dealt out to the sets in turn.
fn list(sets: usize) -> String {
    let line = |n| format!("{} {}\n", n % sets + 1, uri(n));
    (0..DESTINATIONS).map(line).collect()
}

fn config(sets: usize) -> Config {
    let routes = "request_route { sl_send_reply(\"200\", \"OK\"); }\n\
                  event_route[xhttp:request] { jsonrpc_dispatch(); }";
    Config::routes(routes).list(list(sets)).all_transports()
}

fn start(config: Config) -> Kamailio {
    let server = Kamailio::start(Module::Rust, config);
    // What the transports say of a reply that they cannot hold.
    for sender in ["ctl", "jsonrpcs", "xhttp", "sl", "<core>"] {
        server.allow_log(&format!("ERROR: {sender} "));
    }
    server
}

/// `set uri` of all destinations in a JSON reply.
fn in_json(list: &Value) -> Vec<String> {
    let sets = list["RECORDS"].as_array().unwrap().iter();
    let of_set = |record: &Value| {
        let set = record["SET"]["ID"].clone();
        let dests = record["SET"]["TARGETS"].as_array().unwrap().clone();
        dests
            .into_iter()
            .map(move |dest| format!("{set} {}", dest["DEST"]["URI"].as_str().unwrap()))
    };
    sets.flat_map(of_set).collect()
}

/// The same of a reply of ctl.
fn in_pieces(list: &[Piece]) -> Vec<String> {
    let (mut set, mut found) = (0, Vec::new());
    for pair in list.windows(2) {
        match pair {
            [Piece::Name(name), Piece::Int(id)] if name == "ID" => set = *id,
            [Piece::Name(name), Piece::Text(uri)] if name == "URI" => {
                found.push(format!("{set} {uri}"));
            }
            _ => {}
        }
    }
    found
}

/// The same of what kamcmd prints.
fn in_text(list: &str) -> Vec<String> {
    let (mut set, mut found) = ("", Vec::new());
    for line in list.lines() {
        match line.trim().split_once(": ") {
            Some(("ID", id)) => set = id,
            Some(("URI", uri)) => found.push(format!("{set} {uri}")),
            _ => {}
        }
    }
    found
}

/// A transport: the words behind `dispatcher.list`, and what it lists.
type Way = fn(&Kamailio, &[String]) -> Result<Vec<String>, Fault>;

fn words(args: &[String]) -> Vec<&str> {
    let args = args.iter().map(String::as_str);
    std::iter::once("dispatcher.list").chain(args).collect()
}

const WAYS: [(&str, Way); 5] = [
    ("kamcmd", |server, args| {
        server.kamcmd(&words(args)).map(|list| in_text(&list))
    }),
    ("ctl", |server, args| {
        binrpc(server.dir(), &words(args)).map(|list| in_pieces(&list))
    }),
    ("datagram", |server, args| {
        server
            .jsonrpc("dispatcher.list", json!(args))
            .map(|list| in_json(&list))
    }),
    ("fifo", |server, args| {
        by_fifo(server, "dispatcher.list", &json!(args)).map(|l| in_json(&l))
    }),
    ("http", |server, args| {
        by_http(server, "dispatcher.list", &json!(args)).map(|l| in_json(&l))
    }),
];

fn args(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

/// All pages behind each other.
fn paged(server: &Kamailio, way: Way, set: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let (offset, count) = (all.len().to_string(), PAGE.to_string());
        let page = way(server, &args(&["short", set, &offset, &count])).unwrap();
        assert!(page.len() <= PAGE);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

fn lives(server: &Kamailio) {
    let request = Request::new("OPTIONS", "sip:x@service.test");
    let reply = Uac::new().request(server.addr(), &request);
    assert_eq!(reply.status(), Some(200));
}

/// The whole order, as the fifo gives it.
fn whole(server: &Kamailio) -> Vec<String> {
    let all = by_fifo(server, "dispatcher.list", &json!(["short"])).unwrap();
    let all = in_json(&all);
    assert_eq!(all.len(), DESTINATIONS);
    all
}

/// W22: the C module fails at 5,000 through ctl, and has no pages.
#[test]
fn every_transport_gives_each_destination_once_in_pages() {
    for sets in [1, 1_000] {
        let server = start(config(sets));
        let all = whole(&server);
        let mut sorted = all.clone();
        sorted.sort_unstable();
        let mut expected: Vec<String> = (0..DESTINATIONS)
            .map(|n| format!("{} {}", n % sets + 1, uri(n)))
            .collect();
        expected.sort_unstable();
        assert_eq!(sorted, expected);
        for (name, way) in WAYS {
            assert_eq!(paged(&server, way, "all"), all, "{name}, {sets} sets");
        }
        // One set by itself.
        let of_one: Vec<String> = all
            .iter()
            .filter(|d| d.starts_with("1 "))
            .cloned()
            .collect();
        for (name, way) in WAYS {
            assert_eq!(paged(&server, way, "1"), of_one, "{name}, {sets} sets");
        }
    }
}

/// A list comes whole, or with a fault that says how to page.
fn whole_or_advice(server: &Kamailio, name: &str, detail: &str, all: &[String]) -> bool {
    let (_, way) = WAYS.iter().find(|(way, _)| *way == name).unwrap();
    match way(server, &args(&[detail])) {
        Ok(list) => {
            assert_eq!(list, all, "{name} {detail}");
            true
        }
        // kamcmd's own limit is 128 kB; the server has sent it all then.
        Err(fault) if name == "kamcmd" && fault.text.contains("reply too big") => false,
        Err(fault) => {
            let advised = fault.text.contains("OFFSET COUNT");
            assert!(fault.code == 500 && advised, "{name} {detail}: {fault}");
            false
        }
    }
}

/// W22: the plain command at the transports' defaults.
#[test]
fn the_plain_list_is_whole_or_the_fault_says_how_to_page() {
    for sets in [1, 1_000] {
        let server = start(config(sets));
        let all = whole(&server);
        for detail in ["short", "full"] {
            assert!(whole_or_advice(&server, "fifo", detail, &all));
            whole_or_advice(&server, "kamcmd", detail, &all);
            let by_ctl = whole_or_advice(&server, "ctl", detail, &all);
            assert!(
                by_ctl || sets == 1,
                "8 kB for each struct are enough for small sets"
            );
        }
        assert!(whole_or_advice(&server, "http", "short", &all));
        lives(&server);
    }
}

/// The setting that ctl needs for a large set: room for its `TARGETS`. The memory is only reserved.
#[test]
fn ctl_gives_a_large_set_whole_with_larger_structs() {
    let config = config(1).modparam("ctl", "binrpc_struct_max_body_size", 128);
    let server = start(config);
    let all = whole(&server);
    for detail in ["short", "full"] {
        assert!(whole_or_advice(&server, "ctl", detail, &all));
    }
    lives(&server);
}

/// A datagram holds what the kernel lets a socket send (`net.core.wmem_default`, 208 kB). jsonrpcs
/// says nothing to its client then, only to the log; the next request is served.
#[test]
fn a_datagram_holds_a_thousand_and_the_process_survives_more() {
    if harness::this_server::lacks(&["jsonrpcs.so"]) {
        return;
    }
    let config = config(1).modparam("jsonrpcs", "pretty_format", 0);
    let server = start(config);
    let all = whole(&server);
    let (_, by_datagram) = WAYS[2];
    let thousand = args(&["short", "all", "0", "1000"]);
    assert_eq!(by_datagram(&server, &thousand).unwrap(), all[..1_000]);
    let limit = Duration::from_secs(3);
    let none = server.jsonrpc_within("dispatcher.list", json!(["short"]), limit);
    if let Ok(list) = none {
        assert_eq!(in_json(&list), all);
    } else {
        server.wait_log("failed to send the response");
    }
    assert_eq!(by_datagram(&server, &thousand).unwrap().len(), 1_000);
}

#[test]
fn the_set_filter_and_the_page_take_what_they_say() {
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n2 sip:127.0.0.1:7003\n\
                2 sip:127.0.0.1:7004 0 0 weight=4\n3 sip:127.0.0.1:7005\n";
    let server = start(config(1).list(list));
    let ask = |params: Value| server.jsonrpc("dispatcher.list", params);
    let uris = |params: Value| in_json(&ask(params).unwrap());
    let all = uris(json!([]));
    assert_eq!(all.len(), 5);
    assert_eq!(uris(json!(["short", "all"])), all);
    for set in ["1", "2", "3"] {
        let own: Vec<String> = all.iter().filter(|d| d.starts_with(set)).cloned().collect();
        assert_eq!(uris(json!(["short", set])), own);
        assert_eq!(uris(json!([set])), own, "without a word of detail");
        assert_eq!(uris(json!(["", set])), own);
    }
    assert_eq!(uris(json!(["short", 2])).len(), 2, "a number is a set, too");
    for (offset, count) in [(0, 5), (0, 2), (1, 3), (4, 9), (5, 1), (2, 0)] {
        let page = ask(json!(["full", "all", offset, count])).unwrap();
        let end = (offset + count).min(5);
        assert_eq!(
            in_json(&page),
            all[offset.min(end)..end],
            "{offset} {count}"
        );
        assert_eq!(
            (&page["TOTAL"], &page["OFFSET"]),
            (&json!(5), &json!(offset))
        );
        assert_eq!(page["NRSETS"], 3);
    }
    let page = ask(json!(["short", 2, 1, 1])).unwrap();
    assert_eq!(in_json(&page).len(), 1);
    assert_eq!((&page["TOTAL"], &page["NRSETS"]), (&json!(2), &json!(1)));
    let full = ask(json!(["full", 2])).unwrap();
    assert_eq!(
        full["RECORDS"][0]["SET"]["TARGETS"][0]["DEST"]["ATTRS"]["WEIGHT"],
        4
    );
    for (params, expected) in [
        (json!(["short", 7]), "No Such Destination Set"),
        (
            json!(["short", "all", 1]),
            "Invalid Parameters: an offset needs a count",
        ),
        (json!(["short", "all", "x", 1]), "Invalid Parameters"),
        (json!(["short", "all", 1, "x"]), "Invalid Parameters"),
        (json!(["short", "x"]), "Invalid Parameters"),
        (json!(["short", "all", -1, 5]), "Invalid Parameters"),
    ] {
        assert_eq!(ask(params.clone()).unwrap_err().text, expected, "{params}");
    }
}

/// The server cuts what neither the socket nor its queue takes, after it has said 200. Over loopback the socket takes
/// far more than over a line with the usual size of packets.
#[test]
fn a_reply_that_http_would_cut_is_refused() {
    if this_server::lacks(&["jsonrpcs.so", "xhttp.so"]) || this_machine::lacks_networks() {
        return;
    }
    for pretty in [1, 0] {
        let config = config(1).far();
        let server = start(config.modparam("jsonrpcs", "pretty_format", pretty));
        let ask = |addr, count| {
            let params = json!(["full", "all", 0, count]);
            http_text(addr, "dispatcher.list", &params).unwrap()
        };
        let (mut whole, mut refused) = (0, 0);
        from_afar(&server, |addr| {
            let length = ask(addr, 100).len() / 100;
            // The advice is that of the list alone.
            let other = http_text(addr, "dispatcher.ping_status", &json!([])).unwrap();
            assert!(
                other.contains("(tcp_conn_wq_max)") && !other.contains("dispatcher.list"),
                "{other}"
            );
            for count in (50..=800).step_by(30) {
                let text = ask(addr, count);
                let reply: Value = serde_json::from_str(&text).expect("whole JSON");
                if let Some(fault) = reply["error"]["message"].as_str() {
                    let said: Vec<usize> = fault
                        .split(|c: char| !c.is_ascii_digit())
                        .filter_map(|number| number.parse().ok())
                        .collect();
                    let [size, room, ..] = said[..] else {
                        panic!("{fault}")
                    };
                    assert!(size > room && fault.contains("tcp_conn_wq_max"), "{fault}");
                    assert!(
                        fault.contains("dispatcher.list short all OFFSET COUNT"),
                        "{fault}"
                    );
                    let exact = length * count;
                    assert!(
                        (exact..exact + exact / 20).contains(&size),
                        "{exact}: {fault}"
                    );
                    refused += 1;
                } else {
                    assert_eq!(refused, 0, "a smaller one was refused");
                    assert_eq!(reply["result"]["TOTAL"], DESTINATIONS);
                    whole += 1;
                }
            }
        });
        assert!(whole > 2 && refused > 5, "{whole} whole, {refused} refused");
    }
}

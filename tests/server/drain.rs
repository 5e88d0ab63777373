//! Draining: a destination that takes no new calls, while those in progress still find it.

use std::collections::BTreeMap;

use harness::{Config, Kamailio, Module, Probe, Request, Uac};
use serde_json::json;

/// The destination that drains; in the middle of the set.
const DRAINED: &str = "sip:127.0.0.1:7002";

/// Destinations 7001 to 7004 in this order, with unique ids `a` to `d`.
fn list(flags_of_drained: u32) -> String {
    let line = |(n, id): (u32, &str)| {
        let flags = if n == 2 { flags_of_drained } else { 0 };
        format!("1 sip:127.0.0.1:700{n} {flags} {} duid={id}\n", 9 - n)
    };
    (1..).zip(["a", "b", "c", "d"]).map(line).collect()
}

fn start(config: Config) -> Kamailio {
    Kamailio::start(Module::Rust, config)
}

fn config(flags_of_drained: u32) -> Config {
    let config = Probe::new().config().list(list(flags_of_drained));
    config.param("flags", 2)
}

fn set_state(server: &Kamailio, state: &str) {
    let reply = server.kamcmd(&["dispatcher.set_state", state, "1", DRAINED]);
    assert_eq!(reply.unwrap().trim(), "Ok. Dispatcher state updated.");
}

/// A caller, each of whose calls is known by one word: it is all that is hashed.
struct Caller<'s> {
    server: &'s Kamailio,
    uac: Uac,
    algorithm: u32,
}

impl<'s> Caller<'s> {
    fn new(server: &'s Kamailio, algorithm: u32) -> Self {
        Caller {
            server,
            uac: Uac::new(),
            algorithm,
        }
    }

    fn request(&self, method: &str, call: &str, operations: &str) -> Request {
        let credentials = format!(
            "Digest username=\"{call}\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"0\""
        );
        Request::new(method, format!("sip:{call}@service.test"))
            .from(format!("sip:{call}@client.test"))
            .to(format!("sip:{call}@service.test"))
            .call_id(format!("{call}-{}", self.algorithm))
            .from_tag("caller")
            .header("X-Key", call)
            .header("Proxy-Authorization", credentials)
            .header("X-Do", format!("{operations}|."))
    }

    fn lines(&self, request: &Request) -> Vec<String> {
        Probe::lines(&self.uac.request(self.server.addr(), request))
    }

    /// Returns the destination of a request.
    fn sent(&self, request: &Request) -> String {
        let lines = self.lines(request);
        let part = lines[0]
            .split(' ')
            .find_map(|part| part.strip_prefix("du="));
        part.unwrap_or_else(|| panic!("{lines:?}")).to_owned()
    }

    fn select(&self) -> String {
        format!("dst,1,{}", self.algorithm)
    }

    /// Returns the destination of a new call.
    fn new_call(&self, call: &str) -> String {
        self.sent(&self.request("INVITE", call, &self.select()))
    }

    /// Returns the destination of an in-dialog request.
    fn in_dialog(&self, method: &str, call: &str) -> String {
        let request = self.request(method, call, &self.select());
        self.sent(&request.tagged("callee"))
    }

    fn place(&self, names: &[String]) -> BTreeMap<String, String> {
        let place = |call: &String| (call.clone(), self.new_call(call));
        names.iter().map(place).collect()
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// The walk from a destination goes to the next one, around the end.
fn next(uri: &str) -> String {
    let port: u32 = uri.rsplit(':').next().unwrap().parse().unwrap();
    format!("sip:127.0.0.1:{}", 7001 + (port - 7000) % 4)
}

#[test]
fn a_hash_keeps_calls_in_progress_and_gives_no_new_ones() {
    let server = start(config(0));
    for algorithm in [0, 1, 2, 3, 5, 7, 100, 101, 102, 103, 105, 107] {
        let caller = Caller::new(&server, algorithm);
        let (old, new) = (names("old", 40), names("new", 40));
        let before = caller.place(&old);
        let natural = caller.place(&new);
        let on_it =
            |calls: &BTreeMap<String, String>| calls.values().filter(|uri| *uri == DRAINED).count();
        assert!(on_it(&before) > 2 && on_it(&natural) > 2, "{before:?}");

        set_state(&server, "drain");
        assert_eq!(server.flags(1, DRAINED), "RX");
        // New calls walk on, and only they move; their later requests follow them.
        let placed = caller.place(&new);
        for (call, at) in &placed {
            let home = &natural[call];
            if home == DRAINED && algorithm >= 100 {
                // To any of the others.
                assert_ne!(at, home, "algorithm {algorithm}, {call}");
                continue;
            }
            let want = if home == DRAINED {
                next(home)
            } else {
                home.clone()
            };
            assert_eq!(*at, want, "algorithm {algorithm}, {call}");
        }
        for (calls, methods) in [
            (&before, ["INVITE", "BYE", "INFO", "CANCEL"]),
            (&placed, ["CANCEL", "UPDATE", "BYE", "INVITE"]),
        ] {
            for (call, at) in calls {
                for method in methods {
                    let sent = match method {
                        "CANCEL" => caller.sent(&caller.request(method, call, &caller.select())),
                        _ => caller.in_dialog(method, call),
                    };
                    assert_eq!(sent, *at, "algorithm {algorithm}, {method} of {call}");
                }
            }
        }

        set_state(&server, "a");
        assert_eq!(server.flags(1, DRAINED), "AX");
        assert_eq!(caller.place(&names("new", 40)), natural);
    }
}

#[test]
fn calls_of_an_inactive_neighbour_find_it_too() {
    let server = start(config(0));
    let caller = Caller::new(&server, 0);
    let home = "sip:127.0.0.1:7001";
    server
        .kamcmd(&["dispatcher.set_state", "i", "1", home])
        .unwrap();
    // What falls on 7001 walks up to 7002.
    let calls = caller.place(&names("call", 60));
    let both = calls.values().filter(|uri| *uri == DRAINED).count();
    assert!(both > 15, "{calls:?}");
    set_state(&server, "r");
    for (call, at) in &calls {
        assert_eq!(caller.in_dialog("BYE", call), *at);
    }
    // An inactive one that drains is out for calls in progress too.
    set_state(&server, "i");
    set_state(&server, "drain");
    assert_eq!(server.flags(1, DRAINED), "RX");
    for call in calls.keys() {
        assert_ne!(caller.in_dialog("BYE", call), DRAINED);
    }
}

#[test]
fn call_load_keeps_calls_and_gives_no_new_ones() {
    let server = start(config(0).param("ds_hash_size", 8));
    let caller = Caller::new(&server, 10);
    let calls = caller.place(&names("call", 8));
    let there: Vec<_> = calls.iter().filter(|(_, at)| *at == DRAINED).collect();
    assert_eq!(there.len(), 2, "{calls:?}");

    set_state(&server, "drain");
    for (call, at) in &calls {
        assert_eq!(caller.in_dialog("INVITE", call), *at);
        assert_eq!(caller.new_call(call), *at, "a copy of the INVITE");
    }
    for call in names("new", 6) {
        let lines = caller.lines(&caller.request("INVITE", &call, "dst,1,10|dump"));
        assert!(lines[0].contains(" rc=1 ") && lines[0].ends_with("cnt=3"));
        assert!(!lines.concat().contains(DRAINED), "{lines:?}");
    }
    let counted = server.jsonrpc("dispatcher.list", json!(["full"])).unwrap();
    let load = counted.to_string().matches("\"DLGLOAD\":4").count();
    assert_eq!(load, 3, "{counted}");
    let dest = server.dest(1, 1);
    assert_eq!(dest["RUNTIME"]["DLGLOAD"], json!(2));

    set_state(&server, "a");
    assert_eq!(caller.new_call("after"), DRAINED);
}

#[test]
fn other_algorithms_leave_it_out() {
    let server = start(config(0).param("use_default", 0));
    set_state(&server, "drain");
    for algorithm in [4, 6, 8, 9] {
        let caller = Caller::new(&server, algorithm);
        for n in 0..12 {
            let request = caller.request("INVITE", &n.to_string(), "dst,1,8|clean");
            assert_ne!(caller.sent(&request), DRAINED);
            assert_ne!(caller.new_call(&n.to_string()), DRAINED);
        }
    }
    let lines = Probe::run(&Uac::new(), server.addr(), "dst,1,8|dump");
    assert!(lines[0].ends_with("cnt=3"), "{lines:?}");
    assert!(!lines.concat().contains(DRAINED), "{lines:?}");
}

#[test]
fn the_last_resort_is_none_while_it_drains() {
    let list = format!("1 sip:127.0.0.1:7001 0 9\n1 {DRAINED} 65536 1\n");
    let config = Probe::new().config().list(list).param("flags", 2);
    let server = start(config.param("use_default", 1));
    let lines = Probe::run(&Uac::new(), server.addr(), "dst,1,0|dump");
    assert!(lines[0].ends_with("cnt=1"), "{lines:?}");
    let failing = ["dispatcher.set_state", "i", "1", "sip:127.0.0.1:7001"];
    server.kamcmd(&failing).unwrap();
    let caller = Caller::new(&server, 0);
    let lines = caller.lines(&caller.request("INVITE", "x", "dst,1,0"));
    assert!(lines[0].contains(" rc=-1 "), "{lines:?}");
    assert_eq!(caller.in_dialog("BYE", "x"), DRAINED);
}

#[test]
fn scripts_find_it_in_the_list_but_not_active() {
    let server = start(config(0));
    set_state(&server, "drain");
    let ask = |operation: &str| {
        let lines = Probe::run(&Uac::new(), server.addr(), operation);
        lines[0].contains(" rc=1 ")
    };
    assert!(!ask(&format!("active,1,{DRAINED}")) && ask("active,1"));
    for mode in [0, 1, 2, 3, 4, 6] {
        assert!(ask(&format!("from,1,{mode},{DRAINED}")), "mode {mode}");
    }
    set_state(&server, "d");
    assert!(ask(&format!("from,1,2,{DRAINED}")) && !ask(&format!("from,1,6,{DRAINED}")));
}

#[test]
fn words_and_letters() {
    let server = start(config(0));
    for (state, flags) in [
        ("drain", "RX"),
        ("ip", "IP"),
        ("DRAIN", "RP"),
        ("t", "TX"),
        ("r", "RX"),
        ("rp", "RP"),
        ("d", "DX"),
        ("drain", "RX"),
        ("drainp", "RP"),
        ("i", "IX"),
        ("dr", "DX"),
        ("R", "RX"),
        ("a", "AX"),
    ] {
        set_state(&server, state);
        assert_eq!(server.flags(1, DRAINED), flags, "{state}");
    }
    let by_id = ["dispatcher.set_duid_state", "drain", "1", "B"];
    server.kamcmd(&by_id).unwrap();
    assert_eq!(server.flags(1, DRAINED), "RX");
    set_state(&server, "a");
    let by_old_name = ["ds_set_state", "drain", "1", DRAINED];
    server.kamcmd(&by_old_name).unwrap();
    assert_eq!(server.flags(1, DRAINED), "RX");
}

#[test]
fn marks_do_not_end_it() {
    let server = start(config(0));
    let caller = Caller::new(&server, 0);
    let calls = caller.place(&names("call", 30));
    let (call, _) = calls.iter().find(|(_, at)| *at == DRAINED).unwrap();
    set_state(&server, "drain");
    for (mark, flags) in [("p", "RP"), ("a", "RX"), ("tp", "RP"), ("a", "RX")] {
        let operations = format!("dst,1,0|mark_{mark}");
        let request = caller.request("BYE", call, &operations).tagged("callee");
        let lines = caller.lines(&request);
        assert!(lines[1].contains(" rc=1 "), "{lines:?}");
        assert_eq!(server.flags(1, DRAINED), flags, "{mark}");
        set_state(&server, "a");
        set_state(&server, "drain");
    }
}

#[test]
fn it_survives_a_reload_and_comes_from_the_list() {
    let server = start(config(0));
    set_state(&server, "drain");
    let reload = |list: String| {
        server.write_list(list);
        server.kamcmd(&["dispatcher.reload"]).unwrap();
        server.flags(1, DRAINED)
    };
    assert_eq!(reload(list(0)), "RX");
    assert_eq!(reload(list(0) + "1 sip:127.0.0.1:7009\n"), "RX");
    // Where the list's flags change, the list wins.
    assert_eq!(reload(list(8)), "AP");
    assert_eq!(reload(list(65_536)), "RX");
    assert_eq!(reload(list(65_536 + 8)), "RP");
    assert_eq!(reload(list(0)), "AX");
    // 64 was the number of draining, and means the same: nothing changes between the two.
    assert_eq!(reload(list(64)), "RX");
    set_state(&server, "a");
    assert_eq!(reload(list(65_536)), "AX");
    assert_eq!(reload(list(64 + 8)), "RP");
    assert_eq!(reload(list(65_536 + 64)), "RX");
    let modify = |flags: u32| {
        let change = json!([1, DRAINED, "flags", flags]);
        server.jsonrpc("dispatcher.modify", change).unwrap();
        server.flags(1, DRAINED)
    };
    assert_eq!([0, 65_536, 4, 64].map(modify), ["AX", "RX", "DX", "RX"]);
    for (port, flags) in [(7008, 65_536), (7007, 64)] {
        let uri = format!("sip:127.0.0.1:{port}");
        let added = json!([1, uri, flags]);
        server.jsonrpc("dispatcher.add", added).unwrap();
        assert_eq!(server.flags(1, &uri), "RX");
    }

    let server = start(config(65_536).param("reload_state", "file"));
    assert_eq!(server.flags(1, DRAINED), "RX");
    set_state(&server, "a");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(server.flags(1, DRAINED), "RX");
    server.write_list(list(0));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(server.flags(1, DRAINED), "AX");
    let caller = Caller::new(&server, 8);
    assert_eq!(caller.new_call("x"), "sip:127.0.0.1:7001");
}

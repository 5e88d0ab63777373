//! Every kind of process and every kind of route can use the module, and all see the same states.

use std::collections::{BTreeMap, BTreeSet};

use harness::{
    Answer, Config, Kamailio, Module, Probe, Request, TcpUac, Uac, Uas, patience, wait_for,
};
use serde_json::json;

/// A value that a route put into the table `trace`.
fn traced(server: &Kamailio, key: &str) -> Option<String> {
    let item = server.jsonrpc("htable.get", json!(["trace", key])).ok()?;
    item["item"]["value"].as_str().map(str::to_owned)
}

fn start(config: Config) -> Kamailio {
    Kamailio::start(Module::Rust, config)
}

#[test]
fn a_timer_process_selects_and_asks_and_sees_changes() {
    let routes = r#"
request_route {
    sl_send_reply("200", "OK");
}
route[TICK] {
    ds_select("1", "8");
    $var(select) = $rc;
    ds_is_active("1", "sip:127.0.0.1:7002");
    $var(active) = $rc;
    ds_list_exists("1");
    $var(exists) = $rc;
    ds_list_exists("9");
    $sht(trace=>tick) = $_s($var(select) $xavp(_dsdst_=>uri) $var(active) $var(exists) $rc $pp);
}"#;
    let config = Config::routes(routes)
        .list("1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n")
        .param("flags", 2)
        .load("rtimer.so")
        .modparam("rtimer", "timer", "name=t;interval=50000u;mode=1;")
        .modparam("rtimer", "exec", "timer=t;route=TICK");
    let server = start(config);
    let ticks = |expected: &str| {
        wait_for(expected, patience(10), || {
            traced(&server, "tick").filter(|seen| seen.starts_with(expected))
        })
    };
    ticks("1 sip:127.0.0.1:7002 1 1 -1 ");
    server
        .kamcmd(&["dispatcher.set_state", "d", "1", "sip:127.0.0.1:7002"])
        .unwrap();
    ticks("1 sip:127.0.0.1:7001 -1 1 -1 ");
    server.write_list("1 sip:127.0.0.1:7003\n");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    ticks("1 sip:127.0.0.1:7003 -1 1 -1 ");
    server.stop();
}

#[test]
fn all_workers_see_a_state_that_an_rpc_process_set() {
    let config = Probe::new()
        .op("pid", "$var(out) = $var(out) + $_s(pid $pp) + \"\\n\";")
        .config()
        .list("1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n")
        .children(8);
    let server = start(config);
    let uac = Uac::new();
    // Destination that each worker chooses; all the workers that answered.
    let ask = || {
        let requests: Vec<Request> = (0..400).map(|_| Probe::request("pid|dst,1,8")).collect();
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for reply in uac.batch(server.addr(), &requests, 40) {
            let lines = Probe::lines(&reply);
            let chosen = lines.last().unwrap().split(" du=").nth(1).unwrap();
            let chosen = chosen.split(' ').next().unwrap().to_owned();
            seen.entry(chosen).or_default().insert(lines[0].clone());
        }
        seen
    };
    let before = ask();
    assert!(
        before["sip:127.0.0.1:7002"].len() > 1,
        "several workers: {before:?}"
    );
    server
        .kamcmd(&["dispatcher.set_state", "d", "1", "sip:127.0.0.1:7002"])
        .unwrap();
    let after = ask();
    assert_eq!(after.keys().collect::<Vec<_>>(), ["sip:127.0.0.1:7001"]);
    server
        .jsonrpc("dispatcher.set_state", json!(["a", 1, "all"]))
        .unwrap();
    let after = ask();
    assert_eq!(after.keys().collect::<Vec<_>>(), ["sip:127.0.0.1:7002"]);
}

#[test]
fn workers_share_one_round_robin() {
    let lines = (0..10).map(|n| format!("1 sip:127.0.0.1:70{n:02}\n"));
    let config = Probe::new()
        .config()
        .list(lines.collect::<String>())
        .children(8);
    let server = start(config);
    let requests: Vec<Request> = (0..500).map(|_| Probe::request("dst,1,4")).collect();
    let mut picks: BTreeMap<String, usize> = BTreeMap::new();
    for reply in Uac::new().batch(server.addr(), &requests, 40) {
        *picks.entry(Probe::lines(&reply)[0].clone()).or_default() += 1;
    }
    assert_eq!(picks.into_values().collect::<Vec<_>>(), [50; 10]);
}

#[test]
fn a_mark_of_one_worker_holds_for_all_others() {
    let config = Probe::new()
        .config()
        .list("1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n")
        .param("flags", 2)
        .param("ds_probing_threshold", 40)
        .children(8);
    let server = start(config);
    let uac = Uac::new();
    let marks: Vec<Request> = (0..39).map(|_| Probe::request("dst,1,8|mark_t")).collect();
    uac.batch(server.addr(), &marks, 13);
    assert_eq!(
        server.flags(1, "sip:127.0.0.1:7002"),
        "TX",
        "39 of 40, no matter by whom"
    );
    Probe::run(&uac, server.addr(), "dst,1,8|mark_t");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7002"), "IX");
}

#[test]
fn ds_is_from_list_over_tcp_knows_the_protocol() {
    let list = "1 sip:127.0.0.1\n2 sip:127.0.0.1;transport=tcp\n3 sip:127.0.0.1;transport=udp\n\
                4 sip:127.0.0.1:7009;transport=tcp\n";
    for (compat, bare_tcp, bare_udp) in [("5.6", -1, -1), ("6.1", -1, 1)] {
        let config = Probe::new()
            .config()
            .list(list)
            .param("compat", compat)
            .tcp();
        let server = start(config);
        let asked = "from,1,0|from,2,0|from,3,0|from,4,0|from,4,1|from,3,2|from,1";
        let mut tcp = TcpUac::connect(server.addr());
        let codes = |lines: Vec<String>| -> Vec<i32> {
            let codes = lines.iter().map(|l| l.split(" rc=").nth(1).unwrap());
            codes
                .map(|l| l.split(' ').next().unwrap().parse().unwrap())
                .collect()
        };
        let reply = tcp.request(&Probe::request(asked));
        assert_eq!(
            codes(Probe::lines(&reply)),
            [bare_tcp, 1, -1, -1, 1, 1, 1],
            "tcp, {compat}"
        );
        let lines = Probe::run(&Uac::new(), server.addr(), asked);
        assert_eq!(
            codes(lines),
            [bare_udp, -1, 1, -1, -1, 1, 1],
            "udp, {compat}"
        );
    }
}

/// Relays to set 1 and asks in every kind of route; what they say is in `trace`, by Call-ID.
const ROUTES: &str = r#"
request_route {
    if (is_method("ACK|CANCEL")) {
        if (t_check_trans()) {
            t_relay();
        }
        exit;
    }
    if (!ds_select_dst("1", "8")) {
        sl_send_reply("503", "None");
        exit;
    }
    ds_is_from_list();
    $sht(trace=>request) = $rc;
    t_on_branch("B");
    t_on_reply("R");
    t_on_failure("F");
    t_relay();
}
branch_route[B] {
    ds_is_from_list();
    $var(all) = $rc;
    ds_is_from_list("2", "3");
    $sht(trace=>branch) = $_s($var(all) $rc);
}
onreply_route[R] {
    ds_is_from_list("1");
    $var(from) = $rc;
    ds_is_active("1", "$xavp(_dsdst_=>uri)");
    $var(active) = $rc;
    if (status =~ "^5") {
        ds_mark_dst("tp");
        $var(mark) = $rc;
        $sht(trace=>reply) = $_s($rs $var(from) $var(active) $var(mark));
    }
}
failure_route[F] {
    ds_is_from_list();
    $var(from) = $rc;
    ds_mark_dst("ip");
    $var(mark) = $rc;
    ds_is_active("1");
    $var(active) = $rc;
    ds_next_dst();
    $var(next) = $rc;
    $sht(trace=>failure) = $_s($T_reply_code $var(from) $var(mark) $var(active) $var(next));
    if ($var(next) == 1) {
        t_on_failure("F");
        t_relay();
    }
}
"#;

#[test]
fn branch_reply_and_failure_routes_may_ask_and_mark() {
    let (bad, good) = (Uas::start(Answer::Code(503)), Uas::start(Answer::Code(200)));
    let list = format!("1 {} 0 5\n1 {}\n2 sip:127.0.0.1:9\n", bad.uri(), good.uri());
    let config = Config::routes(ROUTES)
        .list(list)
        .param("flags", 2)
        .param("ds_probing_threshold", 2);
    let server = start(config);
    let uac = Uac::new();
    let invite = || Request::new("INVITE", "sip:callee@service.test");
    let call = uac.call(server.addr(), invite()).expect("an answered call");
    assert!(good.uri().ends_with(&call.answered_by()));
    let said = |route: &str| traced(&server, route).unwrap_or_default();
    assert_eq!(
        said("branch"),
        "-1 1",
        "the caller's port is no destination's, its address is"
    );
    assert_eq!(
        said("reply"),
        "503 1 1 1",
        "the reply is from the destination"
    );
    assert_eq!(said("failure"), "503 -1 1 1 1");
    assert_eq!(server.flags(1, &bad.uri()), "IP");
    assert_eq!(server.flags(1, &good.uri()), "AX");
    // The next call does not try the marked one.
    let tried = bad.count("INVITE");
    uac.call(server.addr(), invite()).expect("an answered call");
    assert_eq!(bad.count("INVITE"), tried);
}

#[test]
fn a_failure_route_finds_no_destination_left_and_answers() {
    let bad: Vec<Uas> = (0..3).map(|_| Uas::start(Answer::Code(500))).collect();
    let list = bad
        .iter()
        .map(|uas| format!("1 {}\n", uas.uri()))
        .collect::<Vec<_>>()
        .concat();
    let config = Config::routes(ROUTES).list(list).param("flags", 2);
    let server = start(config);
    let uac = Uac::new();
    let reply = uac.request(
        server.addr(),
        &Request::new("INVITE", "sip:callee@service.test"),
    );
    assert_eq!(reply.status(), Some(500));
    assert!(
        bad.iter().all(|uas| uas.count("INVITE") == 1),
        "each one once"
    );
    assert_eq!(traced(&server, "failure").unwrap(), "500 -1 1 -1 -1");
    let reply = uac.request(
        server.addr(),
        &Request::new("INVITE", "sip:callee@service.test"),
    );
    assert_eq!(reply.status(), Some(503), "all are marked");
}

/// With calls up, pings, and changes of the list behind it. A few may not: the server's own signal
/// handler now and then waits for a lock that it holds itself.
#[test]
fn a_server_that_is_told_to_stop_does() {
    let stops = || {
        let config = Probe::new()
            .config()
            .list("1 sip:127.0.0.1:7001 8 0 duid=a\n1 sip:127.0.0.1:7002 8 0 duid=b\n")
            .param("flags", 2)
            .param("ds_hash_size", 4)
            .param("ds_ping_interval", 1);
        let server = start(config);
        let uac = Uac::new();
        for _ in 0..3 {
            let lines = Probe::run(&uac, server.addr(), "dst,1,10|clean|dst,1,13");
            assert!(lines[0].contains("rc=1 "), "{lines:?}");
        }
        let add = ["dispatcher.add", "1", "sip:127.0.0.1:7003"];
        server.kamcmd(&add).unwrap();
        server.kamcmd(&["dispatcher.reload"]).unwrap();
        server.ends()
    };
    let stopped = (0..10).filter(|_| stops()).count();
    assert!(stopped >= 8, "{stopped} of 10 stopped");
}

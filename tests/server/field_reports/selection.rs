//! Choosing: limits, failover lists, several sets.

use harness::{Config, Kamailio, Module, Probe, Request, Uac};

fn run(server: &Kamailio, operations: &str) -> Vec<String> {
    Probe::run(&Uac::new(), server.addr(), operations)
}

/// URIs of the records, in order.
fn records(lines: &[String]) -> Vec<String> {
    let records = lines.iter().filter_map(|line| line.strip_prefix("x "));
    records
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

/// d56d65b8da, adba3caa2d: algorithm 13 lists all usable destinations and no other.
#[test]
fn latency_leaves_out_what_is_out() {
    let list = "1 sip:127.0.0.1:7001 1 90\n1 sip:127.0.0.1:7002 0 50 latency=10\n\
                1 sip:127.0.0.1:7003 4 80\n1 sip:127.0.0.1:7004 0 50 latency=200\n";
    let config = Probe::new().config().list(list).param("flags", 2);
    let server = Kamailio::start(Module::Rust, config);
    let lines = run(&server, "dst,1,13|dump");
    assert!(lines[0].contains(" du=sip:127.0.0.1:7002 "), "{lines:?}");
    assert_eq!(
        records(&lines),
        ["sip:127.0.0.1:7002", "sip:127.0.0.1:7004"]
    );
}

/// os#564: what only failed a ping (trying) is still chosen and listed; what is inactive is not.
#[test]
fn trying_ones_are_listed_and_inactive_ones_are_not() {
    let list = "1 sip:127.0.0.1:7001 0 30\n1 sip:127.0.0.1:7002 2 20\n1 sip:127.0.0.1:7003 1 10\n\
                1 sip:127.0.0.1:7004 0 5\n";
    let config = Probe::new().config().list(list).param("flags", 2);
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(server.flags(1, "sip:127.0.0.1:7002"), "TX");
    let wanted = ["7001", "7002", "7004"].map(|port| format!("sip:127.0.0.1:{port}"));
    assert_eq!(records(&run(&server, "dst,1,8|dump")), wanted);
}

fn invite(server: &Kamailio, operations: &str) -> Vec<String> {
    let request = Request::new("INVITE", "sip:callee@service.test");
    let request = request.header("X-Do", format!("{operations}|."));
    let reply = Uac::new().request(server.addr(), &request);
    reply.body_text().lines().map(str::to_owned).collect()
}

fn with_calls(list: &str) -> Config {
    Probe::new()
        .op("routes", "ds_select_routes(\"$var(a)\", \"$var(b)\");")
        .config()
        .list(list)
        .param("flags", 2)
        .param("ds_hash_size", 6)
}

/// #2297, #800: `maxload=0` and no `maxload` are no limit, for the choice and in the failover list.
#[test]
fn maxload_0_is_no_limit() {
    let list = "1 sip:127.0.0.1:7001 0 0 duid=a;maxload=0\n1 sip:127.0.0.1:7002 0 0 duid=b\n";
    let server = Kamailio::start(Module::Rust, with_calls(list));
    for _ in 0..6 {
        let lines = invite(&server, "dst,1,10|dump");
        assert!(lines[0].contains(" rc=1 "), "{lines:?}");
        assert_eq!(records(&lines).len(), 2, "{lines:?}");
    }
    assert_eq!(server.dest(1, 0)["RUNTIME"]["DLGLOAD"], 3);
    assert_eq!(server.dest(1, 1)["RUNTIME"]["DLGLOAD"], 3);
}

/// #1728, 074d3c67a9: where the first set is full the call goes to the second, and `$du` says so.
/// f465d24100: the records have the attributes of their own destinations.
#[test]
fn routes_go_on_to_the_second_set_when_the_first_is_full() {
    let list = "1 sip:127.0.0.1:7001 0 0 duid=a;maxload=1\n\
                2 sip:127.0.0.1:7002 0 5 duid=b;where=second\n2 sip:127.0.0.1:7003 0 1 where=last\n";
    let server = Kamailio::start(Module::Rust, with_calls(list));
    let first = invite(&server, "routes,1=10;2=8,d|dump");
    assert!(
        first[0].contains(" rc=1 du=sip:127.0.0.1:7001 "),
        "{first:?}"
    );
    let second = invite(&server, "routes,1=10;2=8,d|dump");
    assert!(
        second[0].contains(" rc=1 du=sip:127.0.0.1:7002 "),
        "{second:?}"
    );
    let attrs: Vec<&String> = second
        .iter()
        .filter(|line| line.starts_with("x "))
        .collect();
    assert_eq!(attrs.len(), 2, "{second:?}");
    assert!(attrs[0].contains(" a=duid=b;where=second "), "{attrs:?}");
    assert!(attrs[1].contains(" a=where=last "), "{attrs:?}");
}

//! Lists that need more memory than a process gets: the command says so, and the server lives on.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use harness::{
    Config, Dns, Fault, Kamailio, Module, Name, Request, Uac, patience, this_machine, this_server,
    wait_for,
};
use serde_json::json;

use harness::database::{Database, Kind, Row};

/// Megabytes that the process gets besides what it has.
const ROOMS: [u64; 6] = [0, 2, 8, 25, 60, 1_000];

/// Returns the processes of the server that run RPC commands.
fn rpc_processes(server: &Kamailio) -> Vec<u32> {
    let children = format!("/proc/{0}/task/{0}/children", server.pid());
    let children = fs::read_to_string(children).unwrap();
    children
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// Lets all processes of the server grow by so many megabytes and no more.
fn limit(server: &Kamailio, room: u64) {
    for pid in rpc_processes(server) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let size: u64 = size
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        let most = (size + room * 1_024) * 1_024;
        let done = Command::new("prlimit")
            .args(["--pid", &pid.to_string(), &format!("--as={most}:unlimited")])
            .status();
        assert!(done.unwrap().success());
    }
}

fn rpc(server: &Kamailio, command: &str) -> Result<(), Fault> {
    let done = server.jsonrpc_within(command, json!([]), patience(60));
    done.map(|_| ())
}

/// As [`survives_on`], with this list.
fn survives(config: Config, list: &[u8]) {
    let server = Kamailio::start(
        Module::Rust,
        config.list("1 sip:127.0.0.1:7001\n").only_critical(),
    );
    server.write_list(list);
    survives_on(&server);
}

/// Checks and reloads what the list is now, with each of [`ROOMS`]; the last one is enough.
fn survives_on(server: &Kamailio) {
    let processes = rpc_processes(server);
    let mut refused = 0;
    for room in ROOMS {
        for command in ["dispatcher.check", "dispatcher.reload", "dispatcher.reload"] {
            limit(server, room);
            if let Err(fault) = rpc(server, command) {
                let refusal = ["Check Failed: ", "Reload Failed: "]
                    .iter()
                    .any(|said| fault.text.starts_with(said));
                assert!(refusal, "{command}, {room} MB: {}", fault.text);
                refused += 1;
            }
            // The server may still have been starting the last ones.
            let now = rpc_processes(server);
            let live = processes.iter().all(|pid| now.contains(pid));
            assert!(
                live,
                "{command} with {room} MB: {processes:?}, then {now:?}"
            );
        }
        assert!(room != ROOMS[ROOMS.len() - 1] || rpc(server, "dispatcher.reload").is_ok());
    }
    assert!(refused > 0, "never too little");
    assert!(!server.log().contains("CRITICAL"), "{}", server.log());
}

fn config() -> Config {
    let routes = "request_route { exit; } event_route[dispatcher:dst-down] { return; }";
    Config::routes(routes).shm_mb(600)
}

#[test]
fn a_list_of_comments() {
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n".to_owned()
        + &"# comment\n".repeat(2_200_000);
    survives(config(), list.as_bytes());
}

/// Each load tells of what it has changed, and of all that are down.
#[test]
fn a_list_of_many_destinations() {
    let line = |n: u32| {
        format!(
            "{} sip:10.{}.{}.{} 1\n",
            n % 50,
            n >> 16,
            n >> 8 & 255,
            n & 255
        )
    };
    survives(
        config().param("event_callback_mode", 65_540),
        (0..60_000).map(line).collect::<String>().as_bytes(),
    );
}

#[test]
fn a_list_of_many_sets_with_ids_and_weights() {
    let line = |n: u32| {
        format!(
            "{n} sip:10.0.{}.{} 8 {n} duid=dest{n};weight=50\n",
            n >> 8 & 255,
            n & 255
        )
    };
    survives(
        config(),
        (0..12_000).map(line).collect::<String>().as_bytes(),
    );
}

#[test]
fn a_list_of_long_attributes() {
    let attrs = "weight=x;maxload=y;".to_owned() + &"a=b;".repeat(50_000);
    let line = |n: u32| format!("1 sip:10.0.{}.{} 0 0 {attrs}x=y\n", n >> 8, n & 255);
    survives(config(), (0..80).map(line).collect::<String>().as_bytes());
}

#[test]
fn a_list_of_mistakes() {
    let list =
        "1 sip:127.0.0.1 0 0 a=b c d e f\n1 sip:[x\n1 sip:127.0.0.1 0 0 weight=x;maxload=z\n";
    survives(
        config().param("ds_dns_mode", 0),
        list.repeat(4_000).as_bytes(),
    );
}

#[test]
fn a_large_table() {
    if this_server::lacks(&["db_sqlite.so"]) {
        return;
    }
    let database = Database::start(Kind::Sqlite);
    database.create();
    let row = |n: i64| Row::new(1, &format!("sip:127.0.0.1:{n}"), 0, 0, "");
    database.fill(&[row(7001)]);
    let config = database.config(config());
    let server = Kamailio::start(Module::Rust, config.only_critical());
    let attrs = format!("duid=d;note={}", "x".repeat(500));
    let large = |n: i64| Row::new(n % 9, &format!("sip:10.0.0.1:{}", 1_024 + n), 0, 0, &attrs);
    database.fill(&(0..15_000).map(large).collect::<Vec<_>>());
    survives_on(&server);
}

/// Addresses of names are taken by a process that may lack the memory for an edit, too.
#[test]
fn an_answer_for_a_name() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let address = |server: &Kamailio| server.dest(1, 0)["IPADDR"].as_str().unwrap().to_owned();
    let dns = Dns::start();
    dns.set("gw.test", Name::Is(Ipv4Addr::LOCALHOST));
    let said = "names keep their old addresses, trying again: out of memory";
    let config = config()
        .param("ds_dns_mode", 5)
        .param("ds_dns_interval", 1)
        .global("use_dns_cache=off")
        .list("1 sip:gw.test\n")
        .resolver(&dns)
        .expect_log(said);
    let server = Kamailio::start(Module::Rust, config);
    let line = |n: u32| format!("2 sip:10.0.{}.{}\n", n >> 8, n & 255);
    let many: String = (0..30_000).map(line).collect();
    server.write_list(format!("1 sip:gw.test\n{many}"));
    rpc(&server, "dispatcher.reload").unwrap();
    limit(&server, 0);
    dns.set("gw.test", Name::Is(Ipv4Addr::new(192, 0, 2, 1)));
    server.wait_log(said);
    assert_eq!(address(&server), "127.0.0.1");
    limit(&server, 1_000);
    wait_for("the new address", patience(5), || {
        (address(&server) == "192.0.2.1").then_some(())
    });
    assert_eq!(server.log().matches(said).count(), 1);
}

/// Where nothing could be refused, the process ends, and with it the server. The log says who it was.
#[test]
fn the_last_line_names_the_module() {
    let routes = "request_route { ds_memory_probe(); }";
    let config = Config::routes(routes).list("1 sip:127.0.0.1:7001\n");
    let mut server = Kamailio::start(Module::PanicProbe, config.only_critical());
    Uac::new().send(server.addr(), &Request::new("OPTIONS", "sip:u@h.test"));
    let last = "CRITICAL: dispatcher [src/kamailio/server/heap.rs]: \
                out of memory: the system refuses this process 9223372036854775807 bytes, and it ends";
    server.wait_log(last);
    wait_for("the end of the server", patience(10), || {
        (!server.is_running()).then_some(())
    });
    assert_eq!(server.log().matches("CRITICAL: dispatcher").count(), 1);
    server.abandon();
}

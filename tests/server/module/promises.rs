//! Promises of the server that the module relies on, asked of the server itself (doc/dev/safety.md).

use std::collections::{BTreeMap, BTreeSet};

use harness::{Config, Kamailio, Module, Request, Uac, patience, wait_for};
use serde_json::json;

/// Returns number, process id and name of each process.
fn processes(server: &Kamailio) -> Vec<(i64, i32, String)> {
    let table = server.jsonrpc("core.psx", json!([])).unwrap();
    let rows = table.as_array().unwrap().iter().map(|row| {
        let number = |key: &str| row[key].as_i64().unwrap();
        let pid = number("PID").try_into().unwrap();
        (number("IDX"), pid, row["DSC"].as_str().unwrap().to_owned())
    });
    rows.collect()
}

fn start(children: u32) -> Kamailio {
    const ROUTES: &str = r#"request_route {
        $var(n) = 0;
        $var(chosen) = "";
        while ($var(n) < 40) {
            $du = $null;
            ds_select_dst("1", "6");
            $var(chosen) = $var(chosen) + $(du{uri.port}) + ",";
            $var(n) = $var(n) + 1;
        }
        append_to_reply("X-Pid: $pp\r\nX-Chosen: $var(chosen)\r\n");
        sl_send_reply("200", "OK");
    }"#;
    let list: String = (7001..7031)
        .map(|port| format!("1 sip:127.0.0.1:{port} 0 0 duid={port}\n"))
        .collect();
    let config = Config::routes(ROUTES).list(list).param("ds_hash_size", 4);
    Kamailio::start(Module::Rust, config.children(children).only_critical())
}

#[test]
fn processes_have_numbers_of_their_own() {
    let server = start(4);
    let processes = processes(&server);
    let numbers: BTreeSet<i64> = processes.iter().map(|(number, ..)| *number).collect();
    let pids: BTreeSet<i32> = processes.iter().map(|(_, pid, _)| *pid).collect();
    assert!(processes.len() > 6, "{processes:?}");
    assert_eq!(
        (numbers.len(), pids.len()),
        (processes.len(), processes.len())
    );
    assert_eq!(numbers.first(), Some(&0), "{processes:?}");
}

#[test]
fn random_choices_differ_between_workers() {
    let server = start(4);
    let mut first = BTreeMap::new();
    wait_for("an answer of three workers", patience(30), || {
        let reply = Uac::new().request(server.addr(), &Request::new("OPTIONS", "sip:u@h.test"));
        let chosen = reply.text("X-Chosen").to_owned();
        assert!(chosen.len() > 40, "{chosen}");
        first
            .entry(reply.text("X-Pid").to_owned())
            .or_insert(chosen);
        (first.len() >= 3).then_some(())
    });
    let different: BTreeSet<&String> = first.values().collect();
    assert_eq!(different.len(), first.len(), "{first:?}");
}

/// Whatever process dies, and in whatever it is: none that lives on could wait for what it held.
#[test]
fn a_process_that_is_killed_ends_the_server() {
    for kind in ["udp receiver", "JSONRPCS", "timer"] {
        let mut server = start(2);
        let uac = Uac::new();
        for n in 0..50 {
            let add = [
                "dispatcher.add",
                "2",
                &format!("sip:127.0.0.1:{}", 7100 + n),
            ];
            server.kamcmd(&add).unwrap();
            let reply = uac.request(server.addr(), &Request::new("OPTIONS", "sip:u@h.test"));
            assert_eq!(reply.status(), Some(200));
        }
        let processes = processes(&server);
        let found = processes.iter().find(|(.., name)| name.contains(kind));
        let (_, pid, _) = found.unwrap_or_else(|| panic!("no {kind}: {processes:?}"));
        // SAFETY: kill takes two integers (kill(2)); pid names a child of a server that this test started.
        assert_eq!(unsafe { libc::kill(*pid, libc::SIGKILL) }, 0);
        wait_for("the end of the server", patience(20), || {
            (!server.is_running()).then_some(())
        });
        let left = processes.iter().filter(|(_, pid, _)| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name == "kamailio\n")
        });
        assert_eq!(left.count(), 0, "{processes:?}");
        server.abandon();
    }
}

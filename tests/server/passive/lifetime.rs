//! What is watched is given back: with the transaction, with a message that never had one, and when the server ends.

use super::{call, config, invite, list, start};
use harness::{Answer, Kamailio, Uac, Uas, patience, poll, under_valgrind, wait_for};
use serde_json::json;
use std::time::Duration;

/// Bytes of shared memory in use.
fn used(server: &Kamailio) -> u64 {
    let memory = server.jsonrpc("core.shmmem", json!([])).unwrap();
    memory["used"].as_u64().unwrap()
}

/// Waits until shared memory is not above this.
fn assert_used(server: &Kamailio, most: u64) {
    let step = Duration::from_millis(100);
    let last = poll(step, patience(30), || used(server), |used| *used <= most);
    assert!(last <= most, "{last} bytes, {most} before");
}

#[test]
fn shared_memory_stays_as_it_is() {
    let (a, b) = (Uas::start(Answer::Code(503)), Uas::start(Answer::Code(200)));
    let config = config()
        .list(list(&[&a, &b]))
        .param("ds_passive_failures", 1_023)
        .modparam("tm", "wt_timer", 100)
        .only_critical();
    let server = start(config);
    let all = std::env::var("PASSIVE_CALLS").map_or(900, |calls| calls.parse().unwrap());
    let calls = if under_valgrind() {
        30
    } else {
        10_000.min(all / 3)
    };
    let round = || {
        let requests: Vec<_> = (0..calls)
            .map(|at| invite(if at % 3 == 0 { 12 } else { 8 }))
            .collect();
        Uac::new().batch(server.addr(), &requests, 20);
        // What they have seen takes memory here.
        a.clear();
        b.clear();
    };
    round();
    let most = poll(
        Duration::from_millis(200),
        patience(20),
        || used(&server),
        {
            let last = std::cell::Cell::new(0);
            move |used| last.replace(*used) == *used
        },
    );
    let rounds = 3.max(all / 10_000);
    for _ in 0..rounds {
        round();
    }
    assert_used(&server, most + 2_000);
    let (before, after) = (most, used(&server));
    println!(
        "{} calls: {before} bytes before, {after} after",
        rounds * calls
    );
}

/// A message without a transaction gives it back with the next message.
#[test]
fn messages_without_transactions_keep_nothing() {
    let a = Uas::start(Answer::Code(200));
    let routes = r#"
request_route {
    ds_select_dst("1", "4");
    ds_select_dst("1", "8");
    sl_send_reply("200", "OK");
}
"#;
    let config = harness::Config::routes(routes)
        .param("ds_passive", 1)
        .list(list(&[&a]));
    let server = start(config);
    let requests: Vec<_> = (0..200).map(|_| invite(8)).collect();
    let round = || Uac::new().batch(server.addr(), &requests, 1);
    round();
    let before = used(&server);
    round();
    round();
    assert_used(&server, before + 1_000);
}

/// Destinations leave the list, and the server ends, while requests to them are on their way.
#[test]
fn the_server_ends_cleanly_with_open_transactions() {
    let (a, b) = (Uas::start(Answer::Silent), Uas::start(Answer::Code(200)));
    let config = config()
        .list(list(&[&a, &b]))
        .modparam("tm", "fr_timer", 30_000)
        .children(2);
    let server = start(config);
    let open = if under_valgrind() { 100 } else { 1_000 };
    let uac = Uac::new();
    for sent in 0..open {
        uac.send(server.addr(), &invite(8));
        let has_come = || (a.count("INVITE") + 20 > sent).then_some(());
        wait_for("requests at the destination", patience(10), has_come);
    }
    let params = json!([1, a.uri()]);
    server.jsonrpc("dispatcher.remove", params).unwrap();
    assert_eq!(call(&server).status(), Some(200));
    assert!(server.ends());
}

/// dialog, acc and siptrace register with the same transactions, before or after this module.
#[test]
fn other_modules_may_listen_to_the_same_transactions() {
    let (a, b) = (Uas::start(Answer::Silent), Uas::start(Answer::Code(200)));
    let own = "    t_check_trans();\n    if (!ds_select_dst";
    for (before, after) in [
        ("dlg_manage(); setflag(1);", ""),
        ("", "dlg_manage(); setflag(1);"),
    ] {
        let routes = super::ROUTES
            .replace(
                own,
                &format!("    t_check_trans();\n    {before}\n    if (!ds_select_dst"),
            )
            .replace(
                "    if (!t_relay())",
                &format!("    {after}\n    if (!t_relay())"),
            );
        let config = harness::Config::routes(&routes)
            .load("dialog.so")
            .load("acc.so")
            .load("siptrace.so")
            .modparam("siptrace", "trace_to_database", 0)
            .modparam("acc", "log_flag", 1)
            .modparam("acc", "failed_transaction_flag", 1)
            .modparam("tm", "fr_timer", 500)
            .param("flags", 2)
            .param("ds_passive", 1)
            .list(list(&[&a, &b]))
            .only_critical();
        let server = start(config);
        for _ in 0..5 {
            assert_eq!(call(&server).status(), Some(200));
        }
        assert_eq!(super::flags(&server, &a), "IX");
        assert_eq!(super::said(&server, &b).good, 5);
    }
}

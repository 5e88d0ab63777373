//! Memory of watched requests is given back with the transaction, with a message without one, and when the server ends.

use super::{call, config, invite, list, start};
use harness::{
    Answer, Config, Kamailio, Uac, Uas, patience, poll, this_server, under_valgrind, wait_for,
};
use serde_json::json;
use std::net::{SocketAddr, UdpSocket};
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
        // The requests that they have seen take memory here.
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
    let config = Config::routes(routes)
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
    let open = 1_000;
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

/// dialog, acc, siptrace and topos register with the same transactions and messages: they are loaded before or behind this
/// module, and begin before or after a destination is chosen.
#[test]
fn other_modules_may_listen_to_the_same_transactions() {
    let (a, b) = (Uas::start(Answer::Silent), Uas::start(Answer::Code(200)));
    let traced = UdpSocket::bind("127.0.0.1:0").unwrap();
    traced.set_nonblocking(true).unwrap();
    let mut first_seen = None;
    for (loaded_before, chosen_first) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let server = start(with_others(
            &list(&[&a, &b]),
            traced.local_addr().unwrap(),
            (loaded_before, chosen_first),
        ));
        let orders = format!("loaded before: {loaded_before}, chosen first: {chosen_first}");
        a.set_answer(Answer::Code(503));
        assert_eq!(call(&server).status(), Some(200), "{orders}");
        a.set_answer(Answer::Code(486));
        assert_eq!(call(&server).status(), Some(486), "{orders}");
        let told = |good, failed, in_row| super::Said {
            good,
            failed,
            in_row,
        };
        assert_eq!(super::said(&server, &a), told(1, 1, 0), "{orders}");
        // It rings, which is good.
        cancel(&server, &a);
        assert_eq!(super::said(&server, &a), told(2, 1, 0), "{orders}");
        a.set_answer(Answer::Silent);
        for _ in 0..5 {
            assert_eq!(call(&server).status(), Some(200), "{orders}");
        }
        assert_eq!(super::said(&server, &a), told(2, 6, 5), "{orders}");
        assert_eq!(super::flags(&server, &a), "IX", "{orders}");
        assert_eq!(super::said(&server, &b), told(6, 0, 0), "{orders}");
        // Each of them has seen the calls.
        let accounted = || (server.log().matches("ACC: ").count() == 8).then_some(());
        wait_for("all lines of acc", patience(10), accounted);
        let dialogs = server.jsonrpc("dlg.stats_active", json!([])).unwrap();
        let calls = server.jsonrpc("dispatcher.calls", json!(["all", 0, 0]));
        let up = calls.unwrap()["UP"].clone();
        assert!(up != json!(0), "{orders}");
        let mut piece = [0; 65_536];
        let copies = core::iter::from_fn(|| traced.recv(&mut piece).ok()).count();
        assert!(copies > 0, "{orders}");
        let seen = (dialogs, up);
        assert_eq!(&seen, first_seen.get_or_insert(seen.clone()), "{orders}");
        let request = &b.requests()[0];
        assert_eq!(
            request.all("Via").count(),
            1,
            "{orders}: topos leaves its own Via"
        );
        a.clear();
        b.clear();
    }
}

/// The config of such a server.
fn with_others(
    list: &str,
    traced: SocketAddr,
    (loaded_before, chosen_first): (bool, bool),
) -> Config {
    let others = "dlg_manage(); setflag(1); setflag(2); sip_trace();";
    let (before, after) = if chosen_first {
        ("", others)
    } else {
        (others, "")
    };
    let own = "    t_check_trans();\n    if (!ds_select_dst";
    let first =
        format!("    t_check_trans();\n    record_route();\n    {before}\n    if (!ds_select_dst");
    let routes = super::ROUTES.replace(own, &first).replace(
        "    if (!t_relay())",
        &format!("    {after}\n    if (!t_relay())"),
    );
    let loaded = [
        "db_text.so",
        "dialog.so",
        "acc.so",
        "siptrace.so",
        "topos.so",
    ];
    let config = Config::routes(&routes);
    let config = if loaded_before {
        loaded.into_iter().fold(config, Config::load)
    } else {
        let line = |module: &&str| format!("loadmodule \"{module}\"\n");
        config.params(&loaded.iter().map(line).collect::<String>())
    };
    let tables = this_server::module_file("tm.so").unwrap();
    let tables = tables.ancestors().nth(5).unwrap();
    let tables = tables.join("share/kamailio/dbtext/kamailio");
    // A server that was built from its source has none.
    let tables = match tables.is_dir() {
        true => tables,
        false => "/usr/share/kamailio/dbtext/kamailio".into(),
    };
    // The tables of the distribution do not allow for texts that a call does not have.
    let table = |name: &str| {
        let text = std::fs::read_to_string(tables.join(name)).unwrap();
        text.replace("(string)", "(string,null)")
    };
    let config = ["topos_d", "topos_t", "version"]
        .into_iter()
        .fold(config, |config, name| config.file(name, &table(name)));
    let config = config
        .modparam("topos", "db_url", "text://{{DIR}}")
        .modparam("siptrace", "trace_to_database", 0)
        .modparam("siptrace", "trace_on", 1)
        .modparam("siptrace", "trace_flag", 2)
        .modparam("siptrace", "duplicate_uri", format!("sip:{traced}"))
        .modparam("acc", "log_flag", 1)
        .modparam("acc", "failed_transaction_flag", 1)
        .modparam("tm", "fr_timer", if under_valgrind() { 5_000 } else { 500 })
        .modparam("tm", "fr_inv_timer", 1_000)
        .param("flags", 2)
        .param("ds_passive", 1)
        .param("ds_hash_size", 4)
        .param("ds_count_calls", 2);
    config.list(list.to_owned()).only_critical()
}

/// The caller gives up a call that rings at a destination.
fn cancel(server: &Kamailio, a: &Uas) {
    a.set_answer(Answer::Code(180));
    let (uac, invite) = (Uac::new(), invite(8));
    uac.send(server.addr(), &invite);
    let rings = || (uac.receive(patience(5))?.status() == Some(180)).then_some(());
    wait_for("ringing", patience(10), rings);
    uac.send(server.addr(), &invite.same_transaction("CANCEL", None));
    let ended = || (uac.receive(patience(5))?.status() == Some(487)).then_some(());
    wait_for("the end of the call", patience(10), ended);
}

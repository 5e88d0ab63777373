//! How a branch counts.

use std::time::Duration;

use super::{Said, call, config, invite, list, said, start};
use harness::{Answer, Kamailio, Uac, Uas, free_port, patience, poll, wait_for};

fn said_by(good: u64, failed: u64) -> Said {
    Said {
        good,
        failed,
        in_row: failed,
    }
}

#[test]
fn each_answer_counts_once_by_the_first_that_decides() {
    let a = Uas::start(Answer::Silent);
    let b = Uas::start(Answer::Code(200));
    let rows: [(&[u16], u64, u64); 10] = [
        (&[200], 1, 0),
        (&[100, 200], 1, 0),
        (&[183, 503], 1, 0),
        (&[486], 1, 0),
        (&[404], 1, 0),
        (&[401], 1, 0),
        (&[487], 0, 0),
        (&[503], 0, 1),
        (&[100, 503], 0, 1),
        (&[], 0, 1),
    ];
    for (codes, good, failed) in rows {
        let server = start(config().list(list(&[&a, &b])));
        a.set_answer(match codes {
            [] => Answer::Silent,
            codes => Answer::Each(codes.to_vec()),
        });
        call(&server);
        assert_eq!(said(&server, &a), said_by(good, failed), "{codes:?}");
    }
}

/// The caller's reply is as without passive health.
#[test]
fn silence_counts_without_a_failure_route() {
    let a = Uas::start(Answer::Silent);
    for noisy in [0, 1] {
        let config = config()
            .list(list(&[&a]))
            .modparam("tm", "noisy_ctimer", noisy);
        let server = start(config);
        let reply = Uac::new().request(server.addr(), &invite(8).header("X-Alone", "1"));
        assert_eq!(reply.status(), Some(408));
        assert_eq!(said(&server, &a), said_by(0, 1), "noisy_ctimer {noisy}");
    }
}

/// Four copies of a request are on their way by then.
#[test]
fn a_call_that_its_caller_ends_counts_after_four_seconds_of_silence() {
    let a = Uas::start(Answer::Silent);
    for (silence_s, failed) in [(1, 0), (5, 1)] {
        let config = config()
            .list(list(&[&a]))
            .modparam("tm", "fr_timer", 30_000)
            .modparam("tm", "cancel_b_method", 0);
        let server = start(config);
        let (uac, invite) = (Uac::new(), invite(8));
        uac.send(server.addr(), &invite);
        wait_for("the call", patience(5), || {
            (a.count("INVITE") > 0).then_some(())
        });
        // The silence is what is tested: nothing but a 100 comes meanwhile.
        let step = Duration::from_millis(50);
        let silence = Duration::from_secs(silence_s);
        let come = || uac.receive(step).and_then(|reply| reply.status());
        let come = poll(step, silence, come, |status| {
            status.is_some_and(|code| code > 100)
        });
        assert!(come.is_none_or(|code| code == 100), "{come:?}");
        uac.send(server.addr(), &invite.same_transaction("CANCEL", None));
        let ended = || {
            uac.receive(patience(5))?
                .status()
                .filter(|&code| code == 487)
        };
        wait_for("the end of the call", patience(5), ended);
        assert_eq!(said(&server, &a), said_by(0, failed), "{silence_s} s");
        a.clear();
    }
}

/// The silent one of several says so when the transaction goes, some seconds after the answer of another.
#[test]
fn a_silent_branch_counts_beside_one_that_answers() {
    let (a, b) = (Uas::start(Answer::Silent), Uas::start(Answer::Code(200)));
    let config = config()
        .list(list(&[&a, &b]))
        .modparam("tm", "fr_timer", 30_000);
    let server = start(config);
    let reply = Uac::new().request(server.addr(), &invite(12));
    assert_eq!(reply.status(), Some(200));
    assert_eq!(said(&server, &b), said_by(1, 0));
    let failed = || (said(&server, &a).failed == 1).then_some(());
    wait_for("the failure of the silent one", patience(15), failed);
    assert_eq!(said(&server, &b), said_by(1, 0));
}

#[test]
fn a_destination_that_takes_no_connection_fails() {
    let b = Uas::start(Answer::Code(200));
    let port = free_port();
    let line = format!("1 sip:127.0.0.1:{port};transport=tcp 0 99\n{}", list(&[&b]));
    let server = start(config().list(line).tcp().only_critical());
    // The script gets the failure at once; it counts when the transaction goes.
    assert_ne!(call(&server).status(), Some(200));
    let uri = format!("sip:127.0.0.1:{port};transport=tcp");
    let failed = || {
        let reply = server.jsonrpc("dispatcher.list", serde_json::json!(["full"]));
        let dest = super::find(&reply.unwrap(), &uri).unwrap();
        (dest["TRAFFIC"]["FAILED"] == serde_json::json!(1)).then_some(())
    };
    wait_for("a failure", patience(15), failed);
}

/// A server that relays what these commands have chosen.
fn relays(script: &str, list: String) -> Kamailio {
    let routes = format!(
        r#"
request_route {{
    if (is_method("ACK")) {{ t_check_trans(); exit; }}
    {script}
    t_relay();
}}
"#
    );
    let config = harness::Config::routes(&routes)
        .modparam("tm", "fr_timer", 500)
        .modparam("tm", "wt_timer", 100)
        .param("ds_passive", 1)
        .list(list)
        .tcp()
        .only_critical();
    start(config)
}

/// Waits until no transaction can say anything more.
fn await_end(server: &Kamailio) {
    let ended = || {
        let stats = server.jsonrpc("tm.stats", serde_json::json!([])).unwrap();
        (stats["current"] == serde_json::json!(0)).then_some(())
    };
    wait_for("the end of the transactions", patience(15), ended);
}

/// A request that the script sends elsewhere says nothing of the destination that was chosen.
#[test]
fn what_the_script_sends_elsewhere_does_not_count() {
    let (a, b) = (Uas::start(Answer::Code(200)), Uas::start(Answer::Silent));
    let script = format!(r#"ds_select_dst("1", "8"); $du = "{}";"#, b.uri());
    let server = relays(&script, list(&[&a]));
    assert_eq!(call(&server).status(), Some(408));
    await_end(&server);
    assert_eq!(said(&server, &a), said_by(0, 0));
}

/// A destination is not credited with the answer of a branch that the script has added.
#[test]
fn a_branch_of_the_script_says_nothing_of_a_destination_that_takes_no_connection() {
    let b = Uas::start(Answer::Code(200));
    let uri = format!("sip:127.0.0.1:{};transport=tcp", free_port());
    let script = format!(r#"append_branch("{}"); ds_select_dst("1", "8");"#, b.uri());
    let server = relays(&script, format!("1 {uri} 0 99\n"));
    assert_eq!(call(&server).status(), Some(200));
    let reply = server.jsonrpc("dispatcher.list", serde_json::json!(["full"]));
    let traffic = &super::find(&reply.unwrap(), &uri).unwrap()["TRAFFIC"];
    let seen = (traffic["GOOD"].as_u64(), traffic["FAILED"].as_u64());
    assert_eq!(seen, (Some(0), Some(1)));
}

/// With branches of the script in front, nobody knows whose the branches of algorithm 12 are.
#[test]
fn branches_of_the_script_are_not_those_of_algorithm_12() {
    let (a, b) = (Uas::start(Answer::Code(200)), Uas::start(Answer::Code(200)));
    let own = Uas::start(Answer::Code(503));
    let script = format!(
        r#"append_branch("{}"); ds_select_dst("1", "12");"#,
        own.uri()
    );
    let server = relays(&script, list(&[&a, &b]));
    assert_eq!(call(&server).status(), Some(200));
    await_end(&server);
    assert_eq!(said(&server, &a), said_by(0, 0));
    assert_eq!(said(&server, &b), said_by(0, 0));
}

#[test]
fn a_choice_after_algorithm_12_takes_the_place_of_its_first_branch() {
    // Of two good answers tm tells the first alone.
    let all = [Answer::Code(200), Answer::Silent, Answer::Code(200)].map(Uas::start);
    let [a, b, c] = &all;
    let script = r#"ds_select_dst("1", "12"); ds_select_dst("2", "8");"#;
    let list = format!("{}2 {}\n", list(&[a, b]), c.uri());
    let server = relays(script, list);
    assert_eq!(call(&server).status(), Some(200));
    await_end(&server);
    assert_eq!(said(&server, a), said_by(0, 0));
    assert_eq!(a.count("INVITE"), 0);
    let traffic = super::shown(&server, c)["TRAFFIC"].clone();
    assert_eq!(traffic["GOOD"], serde_json::json!(1), "{traffic}");
}

//! Four destinations and 200 calls a second while one of them fails in several ways: passive health beside pings alone,
//! and beside the C module with a failure route that marks. `make farm` prints the table of doc/dev/reports.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use harness::{Answer, Config, Kamailio, Module, Request, Uac, Uas};

/// The time between two calls.
const PACE: Duration = Duration::from_millis(5);
/// The time of each trouble.
const TROUBLE: Duration = Duration::from_secs(10);
/// The time of the recovery behind it.
const RECOVERY: Duration = Duration::from_secs(20);

/// Calls go on to the next destination after a failure; `MARK` marks the one that failed.
const ROUTES: &str = r#"
request_route {
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    if (is_method("ACK")) { t_check_trans(); exit; }
    t_check_trans();
    if (!ds_select_dst("1", "4")) { sl_send_reply("503", "No Gateway"); exit; }
    t_on_failure("NEXT");
    t_relay();
}
failure_route[NEXT] {
    if (t_check_status("408|5[0-9][0-9]")) {
        {{MARK}}
        if (ds_next_dst()) { t_on_failure("NEXT"); t_relay(); }
    }
}
"#;

fn config(mark: &str, all: &[Uas]) -> Config {
    let list: String = all.iter().map(|uas| format!("1 {}\n", uas.uri())).collect();
    Config::routes(&ROUTES.replace("{{MARK}}", mark))
        .children(4)
        .modparam("tm", "fr_timer", 2_000)
        .param("flags", 2)
        .param("ds_ping_interval", 5)
        .param("ds_probing_mode", 1)
        .param("ds_ping_reply_codes", "code=404")
        .list(list)
        .only_critical()
}

/// The ends of the calls of a phase.
#[derive(Debug, Default)]
struct Outcome {
    calls: usize,
    lost: usize,
    late: usize,
    out_ms: Option<u128>,
    back_ms: Option<u128>,
}

/// Calls by their Call-IDs: when each was sent, whether it succeeded, and after which time.
type Calls = Mutex<HashMap<Vec<u8>, (Instant, Option<(bool, Duration)>)>>;

fn is_out(server: &Kamailio, uas: &Uas) -> bool {
    let list = server.jsonrpc("dispatcher.list", serde_json::json!([]));
    let dest = super::find(&list.unwrap(), &uas.uri()).unwrap();
    dest["FLAGS"].as_str().unwrap().starts_with('I')
}

/// Sends calls until the phase is over; notes when the destination is out, and with `ill` false when it is back.
fn run(server: &Kamailio, uas: &Uas, ill: bool) -> Outcome {
    let (uac, calls, over) = (Uac::new(), Calls::default(), AtomicBool::new(false));
    let phase = if ill { TROUBLE } else { RECOVERY };
    let start = Instant::now();
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                let Some(reply) = uac.receive(Duration::from_millis(100)) else {
                    continue;
                };
                let Some(status) = reply.status().filter(|&status| status >= 200) else {
                    continue;
                };
                if let Some((sent, ended)) = calls
                    .lock()
                    .unwrap()
                    .get_mut(reply.header("Call-ID").unwrap_or_default())
                {
                    ended.get_or_insert((status < 300, sent.elapsed()));
                }
            }
        });
        scope.spawn(|| {
            let mut next = start;
            while start.elapsed() < phase {
                let invite = Request::new("INVITE", "sip:bob@b.test");
                let at = Instant::now();
                calls
                    .lock()
                    .unwrap()
                    .insert(invite.id().to_vec(), (at, None));
                uac.send(server.addr(), &invite);
                next += PACE;
                // The rate of calls is what is measured with.
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        while start.elapsed() < phase {
            let at = start.elapsed().as_millis();
            match is_out(server, uas) {
                true if ill => outcome.out_ms = outcome.out_ms.or(Some(at)),
                false if !ill => outcome.back_ms = outcome.back_ms.or(Some(at)),
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // The last calls may fail over.
        let all_ended = || {
            calls
                .lock()
                .unwrap()
                .values()
                .all(|(_, ended)| ended.is_some())
        };
        harness::poll(PACE * 10, Duration::from_secs(6), all_ended, |ended| *ended);
        over.store(true, Relaxed);
    });
    let calls = calls.into_inner().unwrap();
    outcome.calls = calls.len();
    for (_, ended) in calls.values() {
        match ended {
            Some((true, took)) => outcome.late += usize::from(*took > Duration::from_secs(1)),
            _ => outcome.lost += 1,
        }
    }
    outcome
}

/// Makes a destination fail in one way.
type Trouble = fn(&Uas);

const TROUBLES: [(&str, Trouble); 3] = [
    ("silent", |uas| uas.set_answer(Answer::Silent)),
    ("503 with Retry-After: 5", |uas| {
        uas.set_answer(Answer::Code(503));
        uas.set_header("Retry-After: 5");
    }),
    ("answers after 3 s", |uas| {
        uas.set_delay(Duration::from_secs(3))
    }),
];

fn heal(uas: &Uas) {
    uas.set_answer(Answer::Code(200));
    uas.set_header("");
    uas.set_delay(Duration::ZERO);
}

#[test]
#[ignore = "takes five minutes: make farm"]
fn four_destinations_of_which_one_fails() {
    let mark = "ds_mark_dst(\"ip\");";
    let contenders = [
        ("ds_passive and pings", Module::Rust, "", true),
        ("pings alone", Module::Rust, "", false),
        ("the C module, marks and pings", Module::C, mark, false),
    ];
    println!("| trouble | with | calls | lost | over 1 s | out after | back after |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (trouble, begin) in TROUBLES {
        for (name, module, mark, passive) in contenders {
            let all = super::farm(4, &Answer::Code(200));
            let mut config = config(mark, &all);
            if passive {
                config = config.param("ds_passive", 1).param("ds_eject_time", 5);
            }
            let server = Kamailio::start(module, config);
            begin(&all[0]);
            let ill = run(&server, &all[0], true);
            heal(&all[0]);
            let well = run(&server, &all[0], false);
            let time = |ms: Option<u128>| ms.map_or("never".to_owned(), |ms| format!("{ms} ms"));
            println!(
                "| {trouble} | {name} | {} | {} | {} | {} | {} |",
                ill.calls + well.calls,
                ill.lost + well.lost,
                ill.late + well.late,
                time(ill.out_ms),
                ill.out_ms.map_or("-".to_owned(), |_| time(well.back_ms)),
            );
            if passive {
                assert!(
                    ill.out_ms.is_some() && well.back_ms.is_some(),
                    "{ill:?} {well:?}"
                );
            }
        }
    }
}

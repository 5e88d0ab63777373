//! A panic inside a script function: the script sees -1, the worker lives, the log names the place.
//!
//! Runs the module that was built with feature `panic-probe`; `DISPATCHER_PROBE_SO` names it.

use harness::{Config, Kamailio, Module, Request, Uac};

const ROUTES: &str = r#"
request_route {
    $var(rc) = 0;
    if ($rU == "panic") {
        ds_panic_probe();
        $var(rc) = $rc;
    } else {
        ds_select_dst("1", "4");
        $var(rc) = $rc;
    }
    sl_send_reply("200", "rc $var(rc) pid $pp du $du");
}
"#;

const PLACE: &str = "CRITICAL: dispatcher [src/kamailio/module/panic_probe.rs:";

fn config() -> Config {
    Config::routes(ROUTES)
        .list("1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n")
        .expect_log(PLACE)
}

fn ask(server: &Kamailio, uac: &Uac, user: &str) -> String {
    let request = Request::new("OPTIONS", format!("sip:{user}@service.test"));
    uac.request(server.addr(), &request).start
}

/// Reply line without its first two words, cut at the blanks.
fn words(line: &str) -> Vec<String> {
    line.split(' ').skip(2).map(str::to_owned).collect()
}

#[test]
fn a_panic_is_minus_1_and_the_same_worker_goes_on() {
    let server = Kamailio::start(Module::PanicProbe, config());
    let uac = Uac::new();
    let before = words(&ask(&server, &uac, "select"));
    assert_eq!(before[..2], ["rc", "1"]);
    for _ in 0..5 {
        let panicked = words(&ask(&server, &uac, "panic"));
        assert_eq!(panicked[..2], ["rc", "-1"]);
        assert_eq!(panicked[3], before[3], "the same process answers");
        let after = words(&ask(&server, &uac, "select"));
        assert_eq!(after[..4], before[..4]);
    }
    assert!(server.kamcmd(&["dispatcher.reload"]).is_ok());
    assert!(
        server
            .kamcmd(&["dispatcher.set_state", "d", "1", "all"])
            .is_ok()
    );
    assert_eq!(words(&ask(&server, &uac, "select"))[..2], ["rc", "-1"]);
    server.stop();
}

#[test]
fn every_panic_is_one_critical_line_with_its_place_and_nothing_else() {
    let server = Kamailio::start(Module::PanicProbe, config());
    let uac = Uac::new();
    for _ in 0..3 {
        ask(&server, &uac, "panic");
    }
    let log = server.log();
    let critical: Vec<&str> = log.lines().filter(|l| l.contains("CRITICAL: ")).collect();
    assert_eq!(critical.len(), 3, "{log}");
    for line in critical {
        assert!(line.contains(PLACE), "{line}");
        // Escaped: neither a format nor a second line.
        assert!(
            line.ends_with("panic caught: on purpose, 100%s\\nsecond line"),
            "{line}"
        );
    }
    let raw = log
        .lines()
        .any(|l| l.starts_with("thread '") || l.starts_with("second line"));
    assert!(!raw, "the panic itself prints nothing: {log}");
    server.stop();
}

#[test]
fn panics_in_many_workers_at_once_leave_all_of_them_alive() {
    let server = Kamailio::start(Module::PanicProbe, config().children(4));
    let uac = Uac::new();
    let users = ["panic", "select", "panic"].into_iter().cycle();
    let requests: Vec<Request> = users
        .take(300)
        .map(|user| Request::new("OPTIONS", format!("sip:{user}@service.test")))
        .collect();
    let replies = uac.batch(server.addr(), &requests, 16);
    let failed = replies
        .iter()
        .filter(|r| words(&r.start)[1] == "-1")
        .count();
    assert_eq!((replies.len(), failed), (300, 200));
    assert_eq!(server.log().matches(PLACE).count(), 200);
    server.stop();
}

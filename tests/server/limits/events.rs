//! A flood of changes by commands, with an event route that is slower: what waits is bounded, and what is dropped is
//! counted and said once.

use harness::{Config, Kamailio, Module, patience, wait_for};
use serde_json::json;

const DESTS: i64 = 2_000;
const ROUNDS: i64 = 40;

const ROUTES: &str = r#"
request_route { exit; }
route[TOLD] {
    $shv(n) = $shv(n) + 1;
    if ($shv(slow) == 1) usleep("400000");
}
event_route[dispatcher:dst-down] { route(TOLD); }
event_route[dispatcher:dst-up] { route(TOLD); }
"#;

fn told(server: &Kamailio) -> i64 {
    server.jsonrpc("pv.shvGet", json!(["n"])).unwrap()["value"]
        .as_i64()
        .unwrap()
}

fn used(server: &Kamailio) -> i64 {
    server.jsonrpc("core.shmmem", json!([])).unwrap()["used"]
        .as_i64()
        .unwrap()
}

#[test]
fn a_flood_of_changes_waits_in_a_bounded_queue() {
    let line = |n: i64| format!("1 sip:127.0.{}.{}:7000\n", n / 250, n % 250);
    let config = Config::routes(ROUTES)
        .param("event_callback_mode", 65_536)
        .load("cfgutils")
        .modparam("pv", "shvset", "n=i:0")
        .modparam("pv", "shvset", "slow=i:1")
        .list((0..DESTS).map(line).collect::<String>())
        .expect_log("WARNING: dispatcher")
        .expect_log("events are dropped: too many wait");
    let server = Kamailio::start(Module::Rust, config);
    let before = used(&server);
    for round in 0..ROUNDS {
        let state = if round % 2 == 0 { "i" } else { "a" };
        let set = json!([state, 1, "all"]);
        server.jsonrpc("dispatcher.set_state", set).unwrap();
        if round == 0 {
            // Whoever tells of them has taken these, and is busy with them for as long as it is slow.
            wait_for("the first event", patience(10), || {
                (told(&server) > 0).then_some(())
            });
        }
    }
    let taken = used(&server) - before;
    assert!((1 << 20..12 << 20).contains(&taken), "{taken} bytes wait");
    let log = server.log();
    assert_eq!(log.matches("are dropped").count(), 1, "{log}");
    server
        .jsonrpc("pv.shvSet", json!(["slow", "int", 0]))
        .unwrap();
    server.expect_log("events were dropped");
    server.wait_log("events were dropped");
    let log = server.log();
    let (_, line) = log.split_once("say_dropped(): ").unwrap();
    let dropped: i64 = line.split_once(' ').unwrap().0.parse().unwrap();
    wait_for("all other events", patience(30), || {
        (told(&server) + dropped == DESTS * ROUNDS).then_some(())
    });
    assert!(used(&server) - before < 1 << 20);
    assert_eq!(server.log().matches("dropped").count(), 3, "{log}");
}

/// Routes that raise events for ever, after many commands: one line counts what all of them have dropped.
#[test]
fn what_routes_raise_too_much_is_said_once_for_all_commands() {
    let routes = r#"
request_route { exit; }
route[MARK] {
    $shv(n) = $shv(n) + 1;
    $xavp(_dsdst_=>grp) = 2;
    $xavp(_dsdst_[0]=>uri) = "sip:127.0.0.1:7001";
    if ($shv(n) mod 2 == 0) ds_mark_dst("a"); else ds_mark_dst("i");
}
event_route[dispatcher:dst-down] { route(MARK); }
event_route[dispatcher:dst-up] { route(MARK); }
"#;
    let said = "event routes raised 1000 events while they ran: the rest is dropped: ";
    let line = |n: i64| format!("1 sip:127.0.0.{n}:7000\n");
    let config = Config::routes(routes)
        .param("event_callback_mode", 65_536)
        .param("flags", 2)
        .modparam("pv", "shvset", "n=i:0")
        .list((1..=50).map(line).collect::<String>() + "2 sip:127.0.0.1:7001\n")
        .expect_log(said);
    let server = Kamailio::start(Module::Rust, config);
    server
        .jsonrpc("dispatcher.set_state", json!(["i", 1, "all"]))
        .unwrap();
    // Each of the 50 routes runs for 1,000 events more, and the last of these raises one too many.
    let each = 1_001;
    wait_for("all events", patience(30), || {
        (told(&server) == 50 * each).then_some(())
    });
    server.wait_log(&format!("{said}50\n"));
    assert_eq!(server.log().matches(said).count(), 1);
}

//! Calls that nobody ends: the two expiries, and values that are refused.

use super::desk::{Desk, config, dests, loads, up};
use harness::{Config, Kamailio, Module, patience, refuses, wait_for};

/// A short time, long enough for a few requests.
fn short() -> i64 {
    i64::try_from(patience(2).as_secs()).unwrap()
}

fn start(expire: i64, init_expire: i64) -> Kamailio {
    let config = config(&dests(&["a", "b"]))
        .param("ds_hash_expire", expire)
        .param("ds_hash_initexpire", init_expire)
        .param("ds_hash_check_interval", 1);
    Kamailio::start(Module::Rust, config)
}

fn wait_up(server: &Kamailio, calls: i64) {
    let what = format!("{calls} calls are up");
    wait_for(&what, patience(10), || (up(server) == calls).then_some(()));
}

#[test]
fn an_unconfirmed_call_ends_after_the_initial_expiry_and_a_confirmed_one_stays() {
    let server = start(7200, short());
    let desk = Desk::new(&server);
    desk.picks(&["1", "2"]);
    desk.answer(200, "2");
    assert_eq!(loads(&server), "a=1 b=1");
    wait_up(&server, 1);
    assert_eq!(loads(&server), "a=0 b=1");
    // Its place is free, and its BYE ends no other call.
    assert_eq!(desk.pick("3").as_deref(), Some("a"));
    desk.bye("1");
    assert_eq!(loads(&server), "a=1 b=1");
}

#[test]
fn a_confirmed_call_ends_after_the_expiry() {
    let server = start(short(), 7200);
    let desk = Desk::new(&server);
    desk.picks(&["1", "2"]);
    desk.answer(200, "1");
    assert_eq!(up(&server), 2);
    wait_up(&server, 0);
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn expiry_reaches_all_of_a_table_that_is_checked_in_parts() {
    let config = config(&dests(&["a", "b"]))
        .param("ds_hash_size", 4)
        .param("ds_hash_initexpire", 1)
        .param("ds_hash_check_interval", 2);
    let server = Kamailio::start(Module::Rust, config);
    let desk = Desk::new(&server);
    let calls: Vec<String> = (0..100).map(|n| format!("call {n}")).collect();
    desk.picks(&calls);
    wait_up(&server, 0);
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn values_that_mean_nothing_are_named_once() {
    let never = "expected seconds, 0 or more: the time never ends";
    let size = "expected a power of two, 0 (off) to 31";
    let cases = [
        ("ds_hash_size", -1, format!("{size}: call load is off")),
        ("ds_hash_size", 36, format!("{size}: 4 is used")),
        ("ds_hash_expire", -1, never.to_owned()),
        ("ds_hash_initexpire", -5, never.to_owned()),
        ("ds_hash_check_interval", -1, never.to_owned()),
    ];
    let list = || Config::routes("request_route { exit; }").list("1 sip:127.0.0.1:7001\n");
    for (name, value, warning) in cases {
        let warning = format!("parameter {name}: found \"{value}\", {warning}");
        let mut config = list().param(name, value).expect_log(&warning);
        if name != "ds_hash_size" {
            config = config.param("ds_hash_size", 4);
        }
        Kamailio::start(Module::Rust, config).stop();
        // Of what is off nothing is said.
        if name != "ds_hash_size" {
            Kamailio::start(Module::Rust, list().param(name, value)).stop();
        }
    }
    refuses(
        list().param("ds_hash_size", 31),
        "cannot make the table of calls: ",
    );
}

//! A call that comes again: retries, failover, and what ends a call.

use super::desk::{Desk, config, dests, loads, start, up, uri};
use harness::{Kamailio, Module};

#[test]
fn a_call_that_is_counted_returns_to_its_destination_and_is_counted_once() {
    let server = start(&dests(&["a", "b", "c"]));
    let desk = Desk::new(&server);
    assert_eq!(desk.picks(&["1", "2"]), "a b");
    for _ in 0..3 {
        let again = desk.select("2");
        assert_eq!((again.rc, again.du), (1, Some(uri(1))));
        assert_eq!(again.records[0], "b");
    }
    assert_eq!(loads(&server), "a=1 b=1 c=0");
    assert_eq!(up(&server), 2);
    // After its end it is a new call.
    desk.bye("2");
    assert_eq!(desk.pick("3").as_deref(), Some("b"));
    assert_eq!(desk.pick("2").as_deref(), Some("c"));
}

#[test]
fn a_retry_returns_to_a_full_destination_and_leaves_one_that_is_out() {
    let server = start(&dests(&["a;maxload=1", "b"]));
    let desk = Desk::new(&server);
    assert_eq!(desk.picks(&["1", "1", "1"]), "a a a");
    let set = |state| server.kamcmd(&["dispatcher.set_state", state, "1", &uri(0)]);
    set("i").unwrap();
    assert_eq!(loads(&server), "a=1 b=0");
    assert_eq!(desk.picks(&["1", "1"]), "b b");
    assert_eq!(loads(&server), "a=0 b=1");
    set("a").unwrap();
    assert_eq!(desk.picks(&["1"]), "b");
    assert_eq!(up(&server), 1);
}

#[test]
fn call_ids_differ_by_case() {
    let server = start(&dests(&["a", "b", "c"]));
    let desk = Desk::new(&server);
    assert_eq!(
        desk.picks(&["call@x", "CALL@x", "call@x", "Call@x"]),
        "a b a c"
    );
    desk.bye("CALL@X");
    assert_eq!(loads(&server), "a=1 b=1 c=1");
    desk.bye("CALL@x");
    assert_eq!(loads(&server), "a=1 b=0 c=1");
}

#[test]
fn next_moves_the_count() {
    let server = start(&dests(&["a", "b", "c"]));
    let desk = Desk::new(&server);
    let moved = desk.failover("1", 1);
    assert_eq!(moved.rc, 1);
    let to = moved.id.unwrap();
    assert_ne!(to, "a");
    assert_eq!(moved.records[0], to);
    assert_eq!(loads(&server).matches("=1").count(), 1);
    assert!(loads(&server).contains(&format!("{to}=1")));
    assert_eq!(up(&server), 1);
    // A retry goes where the call is now.
    assert_eq!(desk.pick("1"), Some(to));
}

#[test]
fn an_exhausted_list_leaves_the_count_at_the_last() {
    let server = start(&dests(&["a", "b", "c"]));
    let desk = Desk::new(&server);
    let over = desk.failover("1", 9);
    assert_eq!((over.rc, over.records.len()), (-1, 0));
    let last = over.id.unwrap();
    assert!(loads(&server).contains(&format!("{last}=1")));
    assert_eq!(up(&server), 1);
    desk.bye("1");
    assert_eq!(loads(&server), "a=0 b=0 c=0");
}

#[test]
fn next_respects_maxload() {
    let server = start(&dests(&["a", "b;maxload=1", "c"]));
    let desk = Desk::new(&server);
    assert_eq!(desk.picks(&["1", "2"]), "a b");
    // c is the least loaded, b is full: a is left.
    let moved = desk.failover("3", 1);
    assert_eq!(moved.id.as_deref(), Some("a"));
    assert_eq!(loads(&server), "a=2 b=1 c=0");
    assert_eq!(desk.failover("4", 9).id.as_deref(), Some("a"));
    assert_eq!(loads(&server), "a=3 b=1 c=0");
}

#[test]
fn next_without_a_count_leaves_all_as_it_is() {
    let config = config(&dests(&["a", "b"])).expect_log("is not counted in set 1");
    let server = Kamailio::start(Module::Rust, config);
    let said = Desk::new(&server).ask("INVITE", "ended", "1");
    assert_eq!((said.rc, said.du), (-1, Some(uri(0))));
    assert_eq!(said.records, ["a", "b"]);
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn update_ends_a_call_with_its_bye_or_cancel_and_nothing_else() {
    let server = start(&dests(&["a", "b"]));
    let desk = Desk::new(&server);
    desk.picks(&["1", "2"]);
    for method in ["INVITE", "OPTIONS", "INFO", "PRACK"] {
        assert_eq!(desk.ask(method, "update", "1").rc, 1, "{method}");
    }
    assert_eq!(loads(&server), "a=1 b=1");
    assert_eq!(desk.ask("CANCEL", "update", "1").rc, 1);
    assert_eq!(loads(&server), "a=0 b=1");
    assert_eq!(desk.ask("BYE", "update", "2").rc, 1);
    assert_eq!(desk.ask("BYE", "update", "2").rc, 1);
    assert_eq!(desk.ask("BYE", "update", "never seen").rc, 1);
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn unset_ends_a_call_that_is_counted() {
    let server = start(&dests(&["a", "b"]));
    let desk = Desk::new(&server);
    desk.picks(&["1", "2"]);
    assert_eq!(desk.ask("OPTIONS", "unset", "1").rc, 1);
    assert_eq!(desk.ask("OPTIONS", "unset", "1").rc, -1);
    assert_eq!(desk.ask("BYE", "unset", "never seen").rc, -1);
    assert_eq!(loads(&server), "a=0 b=1");
    // An INVITE that was sent nowhere ends nothing; one that was, its own call.
    assert_eq!(desk.ask("INVITE", "unset", "2").rc, 1);
    assert_eq!(loads(&server), "a=0 b=1");
    assert_eq!(desk.ask("INVITE", "undone", "3").rc, 1);
    assert_eq!(desk.ask("INVITE", "undone", "2").rc, 1);
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=0", 0));
}

#[test]
fn replies_confirm_and_end_calls() {
    let server = start(&dests(&["a", "b", "c"]));
    let desk = Desk::new(&server);
    desk.picks(&["1", "2", "3"]);
    desk.answer(180, "1");
    desk.answer(202, "1");
    desk.answer(486, "2");
    assert_eq!(loads(&server), "a=1 b=0 c=1");
    let calls = server.kamcmd(&["dispatcher.calls"]).unwrap();
    assert_eq!(calls.matches("STATE: confirmed").count(), 1);
    assert_eq!(calls.matches("STATE: init").count(), 1);
}

#[test]
fn without_failover_calls_are_counted_and_ended_as_well() {
    let config = config(&dests(&["a", "b"])).param("flags", 0);
    let server = Kamailio::start(Module::Rust, config);
    let desk = Desk::new(&server);
    for call in ["1", "2", "3"] {
        assert_eq!(desk.select(call).rc, 1);
    }
    assert_eq!(loads(&server), "a=2 b=1");
    assert_eq!(desk.ask("INVITE", "undone", "2").rc, 1);
    desk.bye("3");
    desk.answer(486, "1");
    assert_eq!(loads(&server), "a=0 b=0");
}

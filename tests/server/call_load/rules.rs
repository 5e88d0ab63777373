//! Which destination algorithm 10 takes, rule by rule.

use super::desk::{
    Desk, config, config_without_calls, dests, loads, loads_of, said, start, up, uri,
};
use harness::{Kamailio, Module, Request};

#[test]
fn the_least_loaded_destination_is_taken_and_the_first_of_equals() {
    let server = start(&dests(&["a", "b", "c"]));
    let desk = Desk::new(&server);
    assert_eq!(desk.picks(&["1", "2", "3", "4", "5", "6"]), "a b c a b c");
    assert_eq!(loads(&server), "a=2 b=2 c=2");
    desk.bye("3");
    desk.bye("5");
    assert_eq!(loads(&server), "a=2 b=1 c=1");
    assert_eq!(desk.picks(&["7", "8", "9"]), "b c a");
    assert_eq!(up(&server), 7);
}

#[test]
fn maxload_is_a_limit() {
    let server = start(&dests(&["a;maxload=1", "b;maxload=2"]));
    let desk = Desk::new(&server);
    assert_eq!(desk.picks(&["1", "2", "3", "4", "5"]), "a b b - -");
    assert_eq!(loads(&server), "a=1 b=2");
    let refused = desk.select("6");
    assert_eq!((refused.rc, refused.du), (-1, None));
    assert_eq!(refused.records, Vec::<String>::new());
    desk.bye("2");
    assert_eq!(desk.picks(&["7", "8"]), "b -");
    assert_eq!(up(&server), 3);
}

#[test]
fn maxload_below_0_takes_no_call() {
    let config = config(&dests(&["a;maxload=-1", "b"])).expect_log("maxload: -1 is below 0");
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(Desk::new(&server).picks(&["1", "2"]), "b b");
    assert_eq!(loads(&server), "a=0 b=2");
}

#[test]
fn the_results_name_their_destinations_and_leave_out_the_full_ones() {
    let server = start(&dests(&["a;maxload=1", "b", "c"]));
    let desk = Desk::new(&server);
    let first = desk.select("1");
    assert_eq!((first.rc, first.du), (1, Some(uri(0))));
    assert_eq!(first.cnt, Some(3));
    assert_eq!(first.records[0], "a");
    let mut all = first.records;
    all.sort();
    assert_eq!(all, ["a", "b", "c"]);
    let second = desk.select("2");
    assert_eq!(second.cnt, Some(2));
    assert_eq!(second.records, ["b", "c"]);
}

#[test]
fn a_request_that_is_no_invite_takes_the_first_and_counts_nothing() {
    let server = start(&dests(&["a", "b"]));
    let desk = Desk::new(&server);
    assert_eq!(desk.pick("1").as_deref(), Some("a"));
    for method in ["OPTIONS", "MESSAGE", "REGISTER", "OPTIONS"] {
        let said = desk.ask(method, "select", &format!("no call {method}"));
        assert_eq!((said.rc, said.du, said.id), (1, Some(uri(0)), None));
    }
    assert_eq!(loads(&server), "a=1 b=0");
}

#[test]
fn without_the_table_the_first_is_taken_with_a_warning() {
    let warning = "algorithm 10 needs ds_hash_size";
    let config = config_without_calls(&dests(&["a", "b"])).expect_log(warning);
    let server = Kamailio::start(Module::Rust, config);
    let desk = Desk::new(&server);
    for call in ["1", "2"] {
        let said = desk.select(call);
        assert_eq!((said.rc, said.du, said.id), (1, Some(uri(0)), None));
    }
    assert_eq!(desk.bye("1").rc, 1);
    let off = server.kamcmd(&["dispatcher.calls"]).unwrap_err();
    assert_eq!(off.text, "Call Load Is Off (ds_hash_size is 0)");
}

#[test]
fn without_duid_a_set_is_refused_with_one_message_and_nothing_is_counted() {
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n";
    let message = "algorithm 10 needs the attribute duid";
    let server = Kamailio::start(Module::Rust, config(list).expect_log(message));
    let said = Desk::new(&server).select("1");
    assert_eq!((said.rc, said.du, said.id), (-1, None, None));
    assert_eq!(said.records, Vec::<String>::new());
    assert_eq!(server.log().matches(message).count(), 1);
    assert_eq!(up(&server), 0);
}

#[test]
fn a_destination_without_duid_gets_no_call_and_leaves_the_others_alone() {
    let list = dests(&["a", "b"]) + "1 sip:127.0.0.1:7009\n";
    let server = Kamailio::start(Module::Rust, config(&list).allow_log("duid"));
    let desk = Desk::new(&server);
    assert_eq!(desk.picks(&["1", "2", "3"]), "a b a");
    assert_eq!(desk.select("4").records, ["b", "a"]);
    assert_eq!(loads(&server), "a=2 b=2 =0");
}

#[test]
fn use_default_counts_on_the_last_only_when_the_others_are_full() {
    let list = dests(&["a;maxload=1", "b;maxload=1", "last"]);
    let config = config(&list).param("use_default", 1);
    let server = Kamailio::start(Module::Rust, config);
    let desk = Desk::new(&server);
    assert_eq!(desk.picks(&["1", "2", "3", "4"]), "a b last last");
    assert_eq!(desk.select("4").du, Some(uri(2)));
    assert_eq!(loads(&server), "a=1 b=1 last=2");
    desk.bye("1");
    assert_eq!(desk.picks(&["5", "6"]), "a last");
}

#[test]
fn destinations_that_are_out_get_no_call() {
    let server = start(&dests(&["a", "b", "c"]));
    let desk = Desk::new(&server);
    let set = |state, n| {
        let done = server.kamcmd(&["dispatcher.set_state", state, "1", &uri(n)]);
        done.unwrap();
    };
    set("d", 0);
    set("i", 1);
    assert_eq!(desk.picks(&["1", "2"]), "c c");
    set("d", 2);
    assert_eq!(desk.picks(&["3"]), "-");
    set("a", 1);
    assert_eq!(desk.picks(&["4"]), "b");
    assert_eq!(loads(&server), "a=0 b=1 c=2");
}

#[test]
fn all_ways_to_select_count() {
    let server = start(&dests(&["a", "b", "c"]));
    let desk = Desk::new(&server);
    let domain = desk.ask("INVITE", "domain", "1");
    assert_eq!((domain.rc, domain.id.as_deref()), (1, Some("a")));
    let only = desk.ask("INVITE", "only", "2");
    assert_eq!((only.rc, only.id.as_deref(), only.du), (1, Some("b"), None));
    assert_eq!(loads(&server), "a=1 b=1 c=0");
}

#[test]
fn a_call_counts_once_in_each_set_and_ends_in_all() {
    let list = dests(&["a", "b"]) + "2 sip:127.0.0.1:7001 0 0 duid=a\n";
    let server = start(&list);
    let desk = Desk::new(&server);
    assert_eq!(desk.pick("1").as_deref(), Some("a"));
    let request = Request::new("INVITE", "sip:select@desk.test");
    let request = request.call_id("1").from_tag("caller");
    desk.send(request.header("X-Set", "2"));
    assert_eq!(loads_of(&server, 2), [("a".to_owned(), 1)]);
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=1 b=0", 2));
    desk.bye("1");
    assert_eq!(loads_of(&server, 2), [("a".to_owned(), 0)]);
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=0", 0));
}

#[test]
fn an_unknown_set_is_refused() {
    let config = config(&dests(&["a"])).expect_log("destination set [9] not found");
    let server = Kamailio::start(Module::Rust, config);
    let desk = Desk::new(&server);
    let request = Request::new("INVITE", "sip:select@desk.test");
    let said = said(&desk.send(request.header("X-Set", "9")));
    assert_eq!((said.rc, said.du), (-1, None));
    assert_eq!(up(&server), 0);
}

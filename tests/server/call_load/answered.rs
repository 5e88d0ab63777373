//! What requests and replies say of a call that is up, and what failover leaves of one that is not.

use super::desk::{Desk, dests, loads, loads_of, request, said, start, up, uri};
use harness::{Kamailio, Module, Probe, Request, Uac};

/// A server with two calls up, 1 at destination a and 2 at b, of which 1 is answered.
fn answered(server: &Kamailio) -> Desk<'_> {
    let desk = Desk::new(server);
    assert_eq!(desk.picks(&["1", "2"]), "a b");
    desk.answer(200, "1");
    desk
}

#[test]
fn a_refused_invite_leaves_the_answered_call() {
    let list = dests(&["a", "b"]) + "2 sip:127.0.0.1:7009 0 0 duid=z\n";
    let server = start(&list);
    let desk = answered(&server);
    let undone = |request: Request| said(&desk.send(request)).rc;
    let invite = |tag| request("INVITE", "undone", "1").from_tag(tag);
    // A second leg, and re-INVITEs of both sides.
    assert_eq!(undone(invite("caller")), 1);
    assert_eq!(undone(invite("caller").tagged("callee")), 1);
    assert_eq!(undone(invite("callee").tagged("caller")), 1);
    // Another set counts it too, and no longer.
    let elsewhere = Request::new("INVITE", "sip:undone@desk.test").call_id("1");
    let elsewhere = elsewhere.from_tag("caller").header("X-Set", "2");
    assert_eq!(undone(elsewhere), 1);
    assert_eq!(loads_of(&server, 2), [("z".to_owned(), 0)]);
    // The reply to any of them, also without a transaction.
    desk.answer(488, "1");
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=1 b=1", 2));
    // A request in a dialog ends nothing that rings, either.
    let ringing = request("INVITE", "undone", "2").from_tag("callee");
    assert_eq!(undone(ringing.tagged("caller")), 1);
    assert_eq!(loads(&server), "a=1 b=1");
    desk.answer(486, "2");
    assert_eq!(loads(&server), "a=1 b=0");
    // What is no INVITE ends it.
    assert_eq!(desk.ask("BYE", "unset", "1").rc, 1);
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=0", 0));
}

#[test]
fn a_cancel_ends_what_rings_alone() {
    let server = start(&dests(&["a", "b"]));
    let desk = answered(&server);
    for what in ["update", "unset"] {
        desk.ask("CANCEL", what, "1");
        for call in ["1", "2"] {
            desk.send(request("CANCEL", what, call).tagged("callee"));
        }
        assert_eq!(loads(&server), "a=1 b=1", "{what}");
    }
    assert_eq!(desk.ask("CANCEL", "update", "2").rc, 1);
    assert_eq!(loads(&server), "a=1 b=0");
    assert_eq!(desk.bye("1").rc, 1);
    assert_eq!(loads(&server), "a=0 b=0");
}

#[test]
fn failover_leaves_an_answered_call_where_it_is() {
    let server = start(&dests(&["a", "b", "c;maxload=1"]));
    let desk = answered(&server);
    let moved = desk.failover("1", 1);
    assert_eq!((moved.rc, moved.moves), (1, 1));
    assert_ne!(moved.du, Some(uri(0)), "the request goes on");
    assert_eq!(loads(&server), "a=1 b=1 c=0");
    // Nor does a selection move it when its destination is out: its calls go on.
    server
        .kamcmd(&["dispatcher.set_state", "i", "1", &uri(0)])
        .unwrap();
    let second = desk.ask("INVITE", "undone", "1");
    assert_eq!((second.rc, second.du), (1, Some(uri(2))));
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=1 b=1 c=0", 2));
    // One that rings stays as well if the request is of a dialog.
    let list = request("INVITE", "failover", "2").header("X-Next", "1");
    let said = said(&desk.send(list.tagged("callee")));
    assert_eq!((said.rc, said.moves), (1, 1));
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=1 b=1 c=0", 2));
    desk.bye("1");
    desk.bye("2");
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=0 c=0", 0));
}

#[test]
fn failover_to_a_set_that_does_not_count_ends_the_count() {
    let list = dests(&["a"]) + "2 sip:127.0.0.1:7008 0 9 duid=y\n2 sip:127.0.0.1:7009 0 8 duid=z\n";
    let long = format!("sip:{}@service.test", "u".repeat(1_005));
    for mode in [0, 65_536] {
        let probe = Probe::new()
            .op("routes", r#"ds_select_routes("1=10;2=4", "0");"#)
            .op("unset", "ds_load_unset();");
        let config = probe.config().list(list.as_str()).param("flags", 2);
        let config = config.param("ds_hash_size", 4).param("xavp_dst_mode", mode);
        let server = Kamailio::start(Module::Rust, config.allow_log("cannot"));
        let uac = Uac::new();
        let call = |call_id: &str, uri: &str, operations: &str| {
            let invite = Request::new("INVITE", uri).call_id(call_id).from_tag("x");
            let invite = invite.header("X-Do", format!("{operations}|."));
            super::hostile::codes(&Probe::lines(&uac.request(server.addr(), &invite)))
        };
        let short = "sip:callee@service.test";
        assert_eq!(call("1", short, "routes|nextdst"), "1 1");
        assert_eq!((loads(&server).as_str(), up(&server)), ("a=0", 0), "{mode}");
        // The refusal that comes from there has nothing to end, and is no error.
        assert_eq!(call("1", short, "routes|nextdst|unset"), "1 1 1");
        // What is not sent leaves no set.
        assert_eq!(call("2", &long, "routes|nextdom"), "1 -1");
        assert_eq!((loads(&server).as_str(), up(&server)), ("a=1", 1), "{mode}");
        // Another selection in the same transaction, and then a refusal.
        assert_eq!(call("3", short, "dst,1,10|dst,2,4|unset"), "1 1 1");
        assert_eq!((loads(&server).as_str(), up(&server)), ("a=1", 1), "{mode}");
    }
}

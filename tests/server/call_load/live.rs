//! Lists that change while calls are up.

use super::desk::{Desk, dests, loads, start, up, uri};

fn calls(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

#[test]
fn a_reload_keeps_the_counts_and_old_calls_end_as_themselves() {
    let server = start(&dests(&["a", "b"]));
    let desk = Desk::new(&server);
    desk.picks(&calls("old", 6));
    assert_eq!(loads(&server), "a=3 b=3");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(loads(&server), "a=3 b=3");
    desk.picks(&calls("new", 6));
    assert_eq!(loads(&server), "a=6 b=6");
    calls("old", 6).iter().for_each(|call| drop(desk.bye(call)));
    assert_eq!(loads(&server), "a=3 b=3");
    assert_eq!(up(&server), 6);
}

#[test]
fn a_removed_destinations_calls_end_quietly() {
    let server = start(&dests(&["a", "b"]));
    let desk = Desk::new(&server);
    desk.picks(&calls("", 6));
    server.write_list(dests(&["a"]));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(loads(&server), "a=3");
    assert_eq!(up(&server), 6);
    calls("", 6).iter().for_each(|call| drop(desk.bye(call)));
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0", 0));
}

#[test]
fn a_destination_that_comes_back_finds_its_count() {
    let server = start(&dests(&["a", "b;maxload=2"]));
    let desk = Desk::new(&server);
    assert_eq!(desk.picks(&["1", "2", "3", "4"]), "a b a b");
    server.kamcmd(&["dispatcher.remove", "1", &uri(1)]).unwrap();
    assert_eq!(loads(&server), "a=2");
    // A retry of one of its calls moves to another destination; the other one ends.
    assert_eq!(desk.pick("2").as_deref(), Some("a"));
    assert_eq!(loads(&server), "a=3");
    let attrs = "duid=b;maxload=2";
    let add = ["dispatcher.add", "1", &uri(1), "0", "50", attrs];
    server.kamcmd(&add).unwrap();
    assert_eq!(loads(&server), "a=3 b=1");
    assert_eq!(desk.picks(&["5", "6"]), "b a");
    desk.bye("4");
    assert_eq!(loads(&server), "a=4 b=1");
    assert_eq!(up(&server), 5);
}

#[test]
fn a_new_uri_under_the_same_duid_keeps_the_count() {
    let server = start(&dests(&["a", "b"]));
    let desk = Desk::new(&server);
    desk.picks(&["1", "2", "3"]);
    server.write_list(dests(&["b", "a"]));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(loads(&server), "b=1 a=2");
    let again = desk.select("1");
    assert_eq!((again.id.as_deref(), again.du), (Some("a"), Some(uri(1))));
    assert_eq!(loads(&server), "b=1 a=2");
}

#[test]
fn added_and_changed_destinations_take_their_part() {
    let server = start(&dests(&["a"]));
    let desk = Desk::new(&server);
    desk.picks(&calls("", 4));
    let add = ["dispatcher.add", "1", &uri(1), "0", "50", "duid=b"];
    server.kamcmd(&add).unwrap();
    assert_eq!(desk.picks(&calls("new", 5)), "b b b b a");
    let attrs = "duid=a;maxload=5";
    let modify = ["dispatcher.modify", "1", "duid=a", "attrs", attrs];
    server.kamcmd(&modify).unwrap();
    assert_eq!(loads(&server), "a=5 b=4");
    assert_eq!(desk.picks(&calls("more", 3)), "b b b");
}

#[test]
fn a_set_that_goes_ends_its_calls_quietly() {
    let server = start(&dests(&["a", "b"]));
    let desk = Desk::new(&server);
    desk.picks(&calls("", 4));
    server.write_list("2 sip:127.0.0.1:7001 0 0 duid=z\n");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!(up(&server), 4);
    calls("", 3).iter().for_each(|call| drop(desk.bye(call)));
    server.write_list(dests(&["a", "b"]));
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    assert_eq!((loads(&server).as_str(), up(&server)), ("a=0 b=1", 1));
}

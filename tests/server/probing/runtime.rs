//! Settings that can be changed while the server runs: the config framework's group `dispatcher`.

use serde_json::json;

use super::stage::{pinging, play, soon};
use harness::{Crowd, Kamailio, Step, patience};

fn set_int(server: &Kamailio, name: &str, value: i64) {
    let args = ["cfg.set_now_int", "dispatcher", name, &value.to_string()];
    let set = server.kamcmd(&args);
    set.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let get = server.kamcmd(&["cfg.get", "dispatcher", name]);
    assert_eq!(get.expect("cfg.get"), value.to_string());
}

fn set_codes(server: &Kamailio, codes: &str) {
    let params = json!(["dispatcher", "ping_reply_codes", codes]);
    let set = server.jsonrpc("cfg.set_now_string", params);
    set.unwrap_or_else(|fault| panic!("{codes:?}: {fault}"));
}

#[test]
fn probing_threshold_takes_effect() {
    let crowd = Crowd::start();
    let server = play(pinging(), &crowd, &[("d", "")]);
    soon(&server, &crowd.uri("d"), "AP");
    set_int(&server, "probing_threshold", 3);
    crowd.script("d", &[Step::Code(503)]);
    soon(&server, &crowd.uri("d"), "IP");
    crowd.wait_more("d", 1, patience(4));
    let pings = crowd.pings("d");
    let bad = pings.iter().filter(|p| p.step == Step::Code(503));
    let flags: Vec<&str> = bad.map(|p| p.before.as_str()).collect();
    assert_eq!(flags[..4], ["AP", "TP", "TP", "IP"]);
}

#[test]
fn inactive_threshold_takes_effect() {
    let crowd = Crowd::start();
    crowd.script("d", &[Step::Code(503)]);
    let server = play(pinging(), &crowd, &[("d", "")]);
    soon(&server, &crowd.uri("d"), "IP");
    set_int(&server, "inactive_threshold", 3);
    crowd.script("d", &[Step::Code(200)]);
    soon(&server, &crowd.uri("d"), "AP");
    crowd.wait_more("d", 1, patience(4));
    let pings = crowd.pings("d");
    let good = pings.iter().filter(|p| p.step == Step::Code(200));
    let flags: Vec<&str> = good.map(|p| p.before.as_str()).collect();
    assert_eq!(flags[..4], ["IP", "IP", "IP", "AP"]);
}

#[test]
fn reply_codes_of_the_config_and_new_ones_take_effect() {
    let crowd = Crowd::start();
    let codes = [202, 302, 404, 486, 503];
    let names = codes.map(|code| format!("c{code}"));
    let mut lines = Vec::new();
    for (name, code) in names.iter().zip(codes) {
        crowd.script(name, &[Step::Code(code)]);
        lines.push((name.as_str(), ""));
    }
    crowd.script("silent", &[Step::Silent]);
    lines.push(("silent", ""));
    let config = pinging().param("ds_ping_reply_codes", "class=3;code=404");
    let server = play(config, &crowd, &lines);
    let expect = |good: &[&str]| {
        for (name, _) in &lines {
            let flags = if good.contains(name) { "AP" } else { "IP" };
            soon(&server, &crowd.uri(name), flags);
        }
    };
    expect(&["c202", "c302", "c404"]);
    set_codes(&server, "code=486;class=5");
    expect(&["c202", "c486", "c503"]);
    set_codes(&server, "code=408");
    expect(&["c202", "silent"]);
    set_codes(&server, "");
    expect(&["c202"]);
}

#[test]
fn reply_codes_that_cannot_be_read_change_nothing() {
    let crowd = Crowd::start();
    crowd.script("d", &[Step::Code(404)]);
    let config = pinging()
        .param("ds_ping_reply_codes", "code=404")
        .only_critical();
    let server = play(config, &crowd, &[("d", "")]);
    soon(&server, &crowd.uri("d"), "AP");
    let params = json!(["dispatcher", "ping_reply_codes", "code 486;class=5"]);
    let set = server.jsonrpc("cfg.set_now_string", params);
    assert!(set.is_err(), "refused");
    crowd.wait_more("d", 3, patience(8));
    assert_eq!(server.flags(1, &crowd.uri("d")), "AP");
}

#[test]
fn reply_codes_in_3_2_are_200_and_those_of_the_config() {
    let crowd = Crowd::start();
    for code in [202, 299, 404] {
        crowd.script(&format!("c{code}"), &[Step::Code(code)]);
    }
    let config = pinging()
        .param("compat", "3.2")
        .param("ds_ping_reply_codes", "code=299");
    // Out, and pinged, until a good reply comes.
    let lines = [("c202", "2"), ("c299", "2"), ("c404", "2"), ("c200", "2")];
    let server = play(config, &crowd, &lines);
    for name in ["c200", "c299"] {
        soon(&server, &crowd.uri(name), "AP");
    }
    crowd.wait_count("c202", 3, patience(8));
    for name in ["c202", "c404"] {
        assert_eq!(server.flags(1, &crowd.uri(name)), "IP", "{name}");
    }
}

//! Lines of the log for changes of states.

use std::time::Duration;

use harness::{
    Answer, CHANGES, Config, Crowd, Kamailio, Module, Request, Step, Uac, Uas, patience, poll,
};
use serde_json::json;

use crate::probing::stage::{pinging, play, soon};

/// Returns the lines for changes of states so far, without what the server writes before them: `LEVEL: text`.
pub fn lines(server: &Kamailio) -> Vec<String> {
    let log = server.log();
    let lines = log.lines().filter_map(|line| {
        let (before, after) = line.split_once(CHANGES)?;
        let level = before.rsplit(' ').next()?;
        let (_, text) = after.split_once("(): ")?;
        Some(format!("{level} {text}"))
    });
    lines.collect()
}

/// Waits until there are exactly these lines.
pub fn assert_lines(server: &Kamailio, expected: &[String]) {
    let step = Duration::from_millis(20);
    let seen = poll(step, patience(6), || lines(server), |seen| seen == expected);
    assert_eq!(seen, expected);
}

const A: &str = "sip:127.0.0.1:7001";
const B: &str = "sip:127.0.0.1:7002";

/// Marks as the user part of a request says.
const MARKS: &str = r#"
request_route {
    ds_mark_addr("$rU", "1", "$hdr(X-Uri)");
    sl_send_reply("200", "OK");
}
"#;

fn marking(list: String) -> Config {
    Config::routes(MARKS).list(list)
}

fn mark(server: &Kamailio, letters: &str, uri: &str) {
    let request = Request::new("OPTIONS", format!("sip:{letters}@b.test")).header("X-Uri", uri);
    assert_eq!(
        Uac::new().request(server.addr(), &request).status(),
        Some(200)
    );
}

fn rpc(server: &Kamailio, command: &str, words: serde_json::Value) {
    server
        .jsonrpc(&format!("dispatcher.{command}"), words)
        .unwrap_or_else(|fault| panic!("{command}: {fault}"));
}

#[test]
fn each_cause_has_its_words_and_its_level() {
    let config = marking(format!("1 {A}\n1 {B}\n"))
        .param("set_name", "1=Carrier 1")
        .param("ds_probing_threshold", 3)
        .param("ds_inactive_threshold", 2);
    let server = Kamailio::start(Module::Rust, config);
    let set = |state: &str, uri: &str| rpc(&server, "set_state", json!([state, 1, uri]));
    // Neither a first failure nor a state that stays is news.
    mark(&server, "t", A);
    mark(&server, "t", A);
    assert_lines(&server, &[]);
    mark(&server, "t", A);
    mark(&server, "i", A);
    set("d", B);
    set("d", B);
    set("drain", A);
    set("i", B);
    mark(&server, "a", B);
    mark(&server, "a", B);
    set("a", A);
    rpc(&server, "modify", json!([1, A, "flags", 4]));
    rpc(&server, "add", json!([2, "sip:127.0.0.1:7003", 1]));
    server.write_list(format!("1 {A} 4\n1 {B} 65536\n"));
    rpc(&server, "reload", json!([]));
    let a = format!("set 1 (Carrier 1), {A}:");
    let b = format!("set 1 (Carrier 1), {B}:");
    assert_lines(
        &server,
        &[
            format!("WARNING: {a} down by ds_mark_addr (3 in a row), 1 of 2 left"),
            format!("ERROR: {b} disabled by set_state, 0 of 2 left"),
            format!("NOTICE: {a} from inactive to draining by set_state, 0 of 2 left"),
            format!("NOTICE: {b} from disabled to inactive by set_state, 0 of 2 left"),
            format!("NOTICE: {b} up by ds_mark_addr (2 in a row), 1 of 2 left"),
            format!("NOTICE: {a} up by set_state, 2 of 2 left"),
            format!("WARNING: {a} disabled by modify, 1 of 2 left"),
            "ERROR: set 2, sip:127.0.0.1:7003: down by add, 0 of 1 left".to_owned(),
            format!("ERROR: {b} draining by reload, 0 of 2 left"),
        ],
    );
    server.stop();
}

#[test]
fn pings_say_what_they_found_and_how_often() {
    let crowd = Crowd::start();
    let config = pinging().param("ds_probing_threshold", 2);
    let server = play(config, &crowd, &[("busy", ""), ("silent", "")]);
    let [busy, silent] = ["busy", "silent"].map(|name| crowd.uri(name));
    soon(&server, &busy, "AP");
    soon(&server, &silent, "AP");
    crowd.script("busy", &[Step::Code(503)]);
    soon(&server, &busy, "IP");
    crowd.script("silent", &[Step::Silent]);
    soon(&server, &silent, "IP");
    crowd.script("busy", &[Step::Code(200)]);
    soon(&server, &busy, "AP");
    assert_lines(
        &server,
        &[
            format!("WARNING: set 1, {busy}: down by pings (503, 2 in a row), 1 of 2 left"),
            format!("ERROR: set 1, {silent}: down by pings (no reply, 2 in a row), 0 of 2 left"),
            format!("NOTICE: set 1, {busy}: up by pings (200), 1 of 2 left"),
        ],
    );
    server.stop();
}

#[test]
fn a_gateway_that_refuses_calls_is_named_with_its_reply() {
    let uas = Uas::start(Answer::Code(503));
    let routes = r#"
        request_route { ds_select_dst("1", "4"); t_on_reply("MARK"); t_relay(); }
        onreply_route[MARK] { if ($rs >= 300) ds_mark_dst("i"); }
    "#;
    let config = Config::routes(routes)
        .list(format!("1 {B}\n1 {}\n", uas.uri()))
        .param("flags", 2)
        .param("use_default", 1);
    let server = Kamailio::start(Module::Rust, config);
    let reply = Uac::new().request(server.addr(), &Request::new("OPTIONS", "sip:a@b.test"));
    assert_eq!(reply.status(), Some(500));
    let down = format!("set 1, {}: down by ds_mark_dst (503)", uas.uri());
    let left = "1 of 2 left: the default destination";
    assert_lines(&server, &[format!("WARNING: {down}, {left}")]);
    server.stop();
}

#[test]
fn what_is_as_listed_at_the_start_has_no_line_but_what_a_file_restores_has() {
    let list = format!("1 {A}\n1 {B} 1\n2 {A} 65536\n");
    let config = marking(list).param("state_file", "{{DIR}}/states");
    let config = config.file("states", &format!("1 0 4 {A}\n"));
    let server = Kamailio::start(Module::Rust, config);
    let restored = format!("ERROR: set 1, {A}: disabled by state_file, 0 of 2 left");
    assert_lines(&server, &[restored]);
    server.stop();
}

#[test]
fn a_reload_that_changes_a_thousand_states_has_ten_lines_and_a_count() {
    let list = |flags: u32| -> String {
        let line = |n: u32| format!("{} sip:127.0.0.1:{} {flags}\n", 1 + n % 4, 10_000 + n);
        (0..1_000).map(line).collect()
    };
    let server = Kamailio::start(Module::Rust, marking(list(0)));
    server.write_list(list(4));
    rpc(&server, "reload", json!([]));
    server.wait_log("more changes of states");
    let (counts, shown): (Vec<_>, Vec<_>) = lines(&server)
        .into_iter()
        .partition(|line| line.contains("more changes of states"));
    assert_eq!(shown.len(), 10, "{shown:#?}");
    let is_whole = |line: &String| line.ends_with(": disabled by reload, 0 of 250 left");
    assert!(shown.iter().all(is_whole), "{shown:#?}");
    let count = "ERROR: 990 more changes of states; nothing is left of set ";
    assert_eq!(counts.len(), 1, "{counts:#?}");
    assert!(counts[0].starts_with(count), "{counts:#?}");
    // All sets are named, in the order of listing.
    let named = &counts[0][count.len()..];
    let mut named: Vec<&str> = named.split(", ").collect();
    named.sort_unstable();
    assert_eq!(named, ["1", "2", "3", "4"]);
    server.stop();
}

#[test]
fn log_changes_0_says_nothing() {
    let config = marking(format!("1 {A}\n")).param("log_changes", 0);
    let server = Kamailio::start(Module::Rust, config);
    mark(&server, "i", A);
    rpc(&server, "set_state", json!(["d", 1, A]));
    assert_eq!(lines(&server), Vec::<String>::new());
    server.stop();
}

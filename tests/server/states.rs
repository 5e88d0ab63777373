//! States that operators have set survive a restart, in a file of its own (`state_file`).

use std::fs;
use std::path::Path;

use harness::{Config, Kamailio, Module, TempDir, patience, refuses, wait_for};
use serde_json::json;

const LIST: &str = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002 8\n1 sip:127.0.0.1:7003 4\n\
                    1 sip:127.0.0.1:7004 0 0 duid=a\n1 sip:127.0.0.1:7004 0 0 duid=b\n";

fn config(file: &Path) -> Config {
    Config::routes("request_route { exit; }")
        .list(LIST)
        .param("state_file", file.to_str().unwrap())
}

fn set(server: &Kamailio, state: &str, port: u16) {
    let uri = format!("sip:127.0.0.1:{port}");
    server
        .jsonrpc("dispatcher.set_state", json!([state, 1, uri]))
        .unwrap();
}

fn flags(server: &Kamailio, port: u16) -> String {
    server.flags(1, &format!("sip:127.0.0.1:{port}"))
}

/// Waits until the file holds these lines, in this order, after its comments.
fn wait_for_lines(file: &Path, lines: &[&str]) {
    wait_for("the states in the file", patience(5), || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let found: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        (found == lines && text.starts_with('#')).then_some(())
    });
}

#[test]
fn states_survive_a_restart() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    let server = Kamailio::start(Module::Rust, config(&file));
    set(&server, "d", 7001);
    set(&server, "drain", 7002);
    set(&server, "a", 7003);
    server
        .jsonrpc("dispatcher.set_duid_state", json!(["i", 1, "b"]))
        .unwrap();
    wait_for_lines(
        &file,
        &[
            "1 0 4 sip:127.0.0.1:7001",
            "1 8 65544 sip:127.0.0.1:7002",
            "1 4 0 sip:127.0.0.1:7003",
            "1 0 1 sip:127.0.0.1:7004 2",
        ],
    );
    let before = server.dests(1);
    server.stop();
    let server = Kamailio::start(Module::Rust, config(&file));
    assert_eq!(server.dests(1), before);
    let [one, two, three] = [7001, 7002, 7003].map(|port| flags(&server, port));
    assert_eq!([one, two, three], ["DX", "RP", "AX"]);
    // Undone, it is forgotten.
    set(&server, "a", 7001);
    wait_for_lines(
        &file,
        &[
            "1 8 65544 sip:127.0.0.1:7002",
            "1 4 0 sip:127.0.0.1:7003",
            "1 0 1 sip:127.0.0.1:7004 2",
        ],
    );
}

/// The process that writes the file sees a change 0.2 seconds later, and dies first.
#[test]
fn a_state_that_is_set_just_before_the_end_is_kept() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    let gone = "9 0 4 sip:127.0.0.1:7009";
    fs::write(&file, format!("{gone}\n")).unwrap();
    for (state, shown) in [("d", "DX"), ("drain", "RX"), ("a", "AX"), ("i", "IX")] {
        let server = Kamailio::start(Module::Rust, config(&file));
        set(&server, state, 7001);
        server.stop();
        let server = Kamailio::start(Module::Rust, config(&file));
        assert_eq!(flags(&server, 7001), shown);
        server.stop();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(gone), "{text}");
    }
}

#[test]
fn a_killed_server_has_lost_nothing_that_is_older_than_a_second() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    let server = Kamailio::start(Module::Rust, config(&file));
    set(&server, "d", 7001);
    wait_for_lines(&file, &["1 0 4 sip:127.0.0.1:7001"]);
    server.abandon();
    let server = Kamailio::start(Module::Rust, config(&file));
    assert_eq!(flags(&server, 7001), "DX");
}

#[test]
fn a_list_that_has_changed_wins() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    fs::write(
        &file,
        "1 2 4 sip:127.0.0.1:7001\n1 8 12 sip:127.0.0.1:7002\n2 0 4 sip:gone\n",
    )
    .unwrap();
    let server = Kamailio::start(Module::Rust, config(&file));
    assert_eq!([7001, 7002].map(|port| flags(&server, port)), ["AX", "DP"]);
    wait_for_lines(&file, &["1 8 12 sip:127.0.0.1:7002", "2 0 4 sip:gone"]);
}

#[test]
fn a_destination_that_is_left_out_at_the_start_keeps_its_state() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    let lines = [
        "1 0 4 sip:127.0.0.1:7001",
        "1 0 1 sip:127.0.0.1:7004 2",
        "3 0 4 sip:127.0.0.1:7009",
        "3 8 4 sip:127.0.0.1:7009 2",
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let short = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7004\n";
    for _ in 0..2 {
        let server = Kamailio::start(Module::Rust, config(&file).list(short));
        assert_eq!(flags(&server, 7001), "DX");
        wait_for_lines(&file, &lines);
        server.stop();
    }
    let server = Kamailio::start(Module::Rust, config(&file).list(short));
    wait_for_lines(&file, &lines);
    // A load that brings it gives it its state.
    server.write_list(format!(
        "{LIST}3 sip:127.0.0.1:7009\n3 sip:127.0.0.1:7009\n"
    ));
    server.jsonrpc("dispatcher.reload", json!([])).unwrap();
    wait_for_lines(&file, &lines[..3]);
    let states = |server: &Kamailio, set| {
        let dests = server.dests(set);
        let flags = dests.into_iter().map(|(_, flags)| flags);
        flags.collect::<Vec<_>>()
    };
    assert_eq!(states(&server, 3), ["AX", "DX"]);
    assert_eq!(states(&server, 1), ["IX", "AX", "DX", "AP", "DX"]);
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_the_others_count() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    let text = "1 0 4 sip:127.0.0.1:7001\nrubbish\n";
    fs::write(&file, text).unwrap();
    let config = config(&file)
        .expect_log("states: line 2: expected set, flags, flags and URI")
        .expect_log("states was not read in full: it is now");
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(flags(&server, 7001), "DX");
    wait_for_lines(&file, &["1 0 4 sip:127.0.0.1:7001"]);
    let unread = fs::read_to_string(dir.path().join("states.unread"));
    assert_eq!(unread.unwrap(), text);
}

#[test]
fn a_file_that_cannot_be_written_is_said_once_and_tried_again() {
    let dir = TempDir::new();
    let (folder, away) = (dir.path().join("folder"), dir.path().join("away"));
    fs::create_dir(&folder).unwrap();
    let file = folder.join("states");
    let config = config(&file).expect_log("states of destinations are not kept, trying again:");
    let server = Kamailio::start(Module::Rust, config);
    wait_for_lines(&file, &[]);
    fs::rename(&folder, &away).unwrap();
    set(&server, "d", 7001);
    server.wait_log("trying again");
    fs::rename(&away, &folder).unwrap();
    wait_for_lines(&file, &["1 0 4 sip:127.0.0.1:7001"]);
    server.wait_log("are kept again");
    assert_eq!(server.log().matches("trying again").count(), 1);
}

#[test]
fn states_are_kept_in_one_place() {
    let routes = || Config::routes("request_route { exit; }").list(LIST);
    refuses(
        routes().param("db_state_mode", 1),
        "parameter db_state_mode: found \"1\", expected 0 without db_url",
    );
    refuses(
        routes().param("db_state_mode", 2),
        "parameter db_state_mode: found \"2\", expected 0 or 1",
    );
}

/// 64 was the number of draining.
#[test]
fn a_file_with_the_old_number_of_draining_is_read() {
    let dir = TempDir::new();
    let file = dir.path().join("states");
    fs::write(&file, "1 8 72 sip:127.0.0.1:7002\n").unwrap();
    let server = Kamailio::start(Module::Rust, config(&file));
    assert_eq!(flags(&server, 7002), "RP");
    wait_for_lines(&file, &["1 8 65544 sip:127.0.0.1:7002"]);
    server.stop();
    // What the list said is compared by its meaning, too.
    let list = |draining| format!("1 sip:127.0.0.1:7001 {draining}\n");
    for (written, listed) in [(64, 65536), (65536, 64), (64, 64)] {
        fs::write(&file, format!("1 {written} 0 sip:127.0.0.1:7001\n")).unwrap();
        let server = Kamailio::start(Module::Rust, config(&file).list(list(listed)));
        assert_eq!(flags(&server, 7001), "AX", "{written} {listed}");
        wait_for_lines(&file, &["1 65536 0 sip:127.0.0.1:7001"]);
    }
}

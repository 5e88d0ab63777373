//! A little of each kind of garbage, with one seed.

use std::io::ErrorKind;
use std::net::{TcpStream, UdpSocket};

use harness::namespace;

use super::act;
use super::rpc::is_no_text;
use super::stage::{NAMED, Stage, VARIANTS};

/// The seed of all tests. Each run does the same, and only the times differ.
const SEED: u64 = 16;

fn good(done: act::Done) {
    match done {
        Ok(counts) => println!("{counts:#?}"),
        Err(faults) => panic!("{}", faults.join("\n")),
    }
}

#[test]
fn calls_go_on_under_garbage() {
    if !Stage::is_impossible() {
        good(act::garbage(VARIANTS[1], SEED, |round| round < 40));
    }
}

#[test]
fn garbage_makes_no_long_lines() {
    if !Stage::is_impossible() {
        good(act::garbage(VARIANTS[0], SEED, |round| round < 4));
    }
}

#[test]
fn calls_go_on_while_names_are_lies() {
    if !Stage::is_impossible() {
        good(act::names(NAMED[2], SEED, |round| round < 8));
    }
}

#[test]
fn calls_go_on_while_the_database_is_in_trouble() {
    if !Stage::is_impossible() {
        good(act::rows(SEED, |round| round < 6));
    }
}

#[test]
fn a_method_that_is_no_text_is_seen() {
    let is_left_out = |json: &str| is_no_text(json.as_bytes(), b"method");
    for json in [
        r#"{"method":5}"#,
        "{\"id\":1,\"Method\" \r\n: null}",
        r#"{"method":"a","method":["a"]}"#,
        r#"{"method":"#,
    ] {
        assert!(is_left_out(json), "{json}");
    }
    for json in [
        r#"{"method": "a"}"#,
        r#"{"methods":5}"#,
        "method:5",
        "\"method",
    ] {
        assert!(!is_left_out(json), "{json}");
    }
}

#[test]
fn nothing_leaves_loopback() {
    if Stage::is_impossible() {
        return;
    }
    namespace::leave();
    for addr in ["192.0.2.1:5060", "[2001:db8::1]:5060"] {
        let kind = TcpStream::connect(addr).map_err(|why| why.kind());
        assert_eq!(kind.unwrap_err(), ErrorKind::NetworkUnreachable, "{addr}");
    }
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    let sent = socket.send_to(b"x", "192.0.2.1:5060");
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::NetworkUnreachable);
}

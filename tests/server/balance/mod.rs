//! Algorithms 100 to 107: rendezvous hashing.

mod beside;
mod moves;
mod texts;

use harness::{Config, Kamailio, Message, Module, Probe, Request, Uac};
use serde_json::{Value, json};

/// Ten destinations with unique ids, ports 7000 to 7009.
fn ten() -> String {
    (0..10)
        .map(|n| format!("1 sip:127.0.0.1:700{n} 0 0 duid=gw{n}\n"))
        .collect()
}

fn start(config: Config) -> Kamailio {
    Kamailio::start(Module::Rust, config.param("flags", 2))
}

fn config(list: impl Into<String>) -> Config {
    Probe::new().config().list(list.into())
}

/// Returns what `dispatcher.route` says of a key.
fn route(server: &Kamailio, set: i32, algorithm: i32, key: &str) -> Value {
    server
        .jsonrpc("dispatcher.route", json!([set, algorithm, key]))
        .unwrap()
}

/// Returns the destination that `dispatcher.route` names for a key.
fn routed(server: &Kamailio, key: &str) -> String {
    route(server, 1, 100, key)["URI"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

/// Returns the destinations of a request one after the other, as operations send it on.
fn sent(server: &Kamailio, request: &Request) -> Vec<String> {
    destinations(&Uac::new().request(server.addr(), request))
}

/// Returns the destinations that the operations of a request have chosen, by the reply.
fn destinations(reply: &Message) -> Vec<String> {
    let lines = Probe::lines(reply);
    let du = |line: &String| {
        let part = line.split(' ').find_map(|part| part.strip_prefix("du="));
        part.unwrap_or_else(|| panic!("{lines:?}")).to_owned()
    };
    lines.iter().map(du).collect()
}

/// Returns where calls go by an algorithm. The Call-ID of each has its number in it.
fn places_of_calls(server: &Kamailio, algorithm: i32, count: usize) -> Vec<String> {
    let operation = format!("dst,1,{algorithm}");
    let request = |n| call(&format!("key-{n}@10.0.0.1"), &operation);
    let requests: Vec<Request> = (0..count).map(request).collect();
    let replies = Uac::new().batch(server.addr(), &requests, 32);
    let place = |reply| destinations(reply).remove(0);
    replies.iter().map(place).collect()
}

/// Returns a request with a Call-ID.
fn call(call_id: &str, operations: &str) -> Request {
    Probe::request(operations).call_id(call_id)
}

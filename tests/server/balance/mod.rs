//! Algorithms 100 to 107: rendezvous hashing.

mod beside;
mod moves;
mod texts;

use harness::{Config, Kamailio, Module, Probe, Request, Uac};
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
    let lines = Probe::lines(&Uac::new().request(server.addr(), request));
    let du = |line: &String| {
        let part = line.split(' ').find_map(|part| part.strip_prefix("du="));
        part.unwrap_or_else(|| panic!("{lines:?}")).to_owned()
    };
    lines.iter().map(du).collect()
}

/// Returns a request with a Call-ID.
fn call(call_id: &str, operations: &str) -> Request {
    Probe::request(operations).call_id(call_id)
}

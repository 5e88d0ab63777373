//! Limits with every algorithm: calls at a time, calls a second, and bounded load.

mod bounded;
mod calls;
mod rates;

use std::collections::BTreeMap;

use harness::{Config, Kamailio, Module, Probe, Request, Uac};
use serde_json::{Value, json};

/// The outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Done {
    code: i64,
    /// The port that the request goes to; 0 for none.
    port: u16,
}

/// Takes a destination off the list while a request is on its way.
const REMOVE: &str = r#"jsonrpc_exec('{"jsonrpc": "2.0", "method": "dispatcher.remove", "params": [1, "sip:127.0.0.1:7002"], "id": 1}');"#;

fn config(list: impl Into<String>) -> Config {
    let probe = Probe::new()
        .op("update", "ds_load_update();")
        .op("remove", REMOVE)
        .op("routes", "ds_select_routes(\"1=4;2=4\", \"0\");");
    probe.config().list(list.into()).param("flags", 2)
}

fn start(config: Config) -> Kamailio {
    Kamailio::start(Module::Rust, config)
}

/// A request of a call, which runs operations.
fn request(method: &str, call: &str, operations: &str) -> Request {
    Request::new(method, format!("sip:{call}@service.test"))
        .from("sip:caller@client.test")
        .to(format!("sip:{call}@service.test"))
        .call_id(call)
        .from_tag("caller")
        .header("X-Do", format!("{operations}|."))
}

/// An INVITE that goes by a key of its own.
fn keyed(call: &str, key: &str, operations: &str) -> Request {
    request("INVITE", call, operations).header("X-Key", key)
}

/// Returns the outcomes of the operations of a request, by the reply.
fn done(reply: &harness::Message) -> Vec<Done> {
    let lines = Probe::lines(reply);
    let part = |line: &String, name: &str| {
        let part = line.split(' ').find_map(|part| part.strip_prefix(name));
        part.unwrap_or_else(|| panic!("{lines:?}")).to_owned()
    };
    let read = |line: &String| Done {
        code: part(line, "rc=").parse().unwrap(),
        port: part(line, "du=")
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap_or(0),
    };
    lines
        .iter()
        .filter(|line| line.contains("rc="))
        .map(read)
        .collect()
}

fn run(server: &Kamailio, request: &Request) -> Vec<Done> {
    done(&Uac::new().request(server.addr(), request))
}

/// The port that the last operation of an INVITE leads to; `None` if it fails.
fn port(server: &Kamailio, call: &str, operations: &str) -> Option<u16> {
    let done = run(server, &request("INVITE", call, operations));
    let last = done.last().unwrap();
    (last.code == 1).then_some(last.port)
}

fn bye(server: &Kamailio, call: &str) {
    run(server, &request("BYE", call, "update").tagged("callee"));
}

/// The number of calls that are counted.
fn up(server: &Kamailio) -> u64 {
    let reply = server
        .jsonrpc("dispatcher.calls", json!(["all", 0, 0]))
        .unwrap();
    reply["UP"].as_u64().unwrap_or_else(|| panic!("{reply}"))
}

/// Returns a part of each destination in `dispatcher.list`, of all sets in order.
fn listed(server: &Kamailio, pointer: &str) -> Vec<Value> {
    let list = server.jsonrpc("dispatcher.list", json!(["full"])).unwrap();
    let records = list["RECORDS"].as_array().unwrap();
    let targets = records
        .iter()
        .flat_map(|set| set["SET"]["TARGETS"].as_array().unwrap());
    targets
        .map(|target| {
            target["DEST"]
                .pointer(pointer)
                .cloned()
                .unwrap_or(Value::Null)
        })
        .collect()
}

/// The calls that are counted for each destination, in the order of their ports.
fn loads(server: &Kamailio) -> Vec<u64> {
    let uris = listed(server, "/URI");
    let uris = uris.iter().map(|uri| uri.as_str().unwrap().to_owned());
    let loads = listed(server, "/RUNTIME/DLGLOAD");
    let loads = loads.iter().map(|load| load.as_u64().unwrap());
    let by_uri: BTreeMap<String, u64> = uris.zip(loads).collect();
    by_uri.into_values().collect()
}

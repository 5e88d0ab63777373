//! Failover without the list (`xavp_dst_mode` bit 65536): the same destinations in the same order as
//! with the list, made one at a time.

mod calls;
mod changes;
mod order;
mod spoiled;
mod surface;

use harness::{Config, Kamailio, Module, Probe, Request, Uac};

/// The bit of `xavp_dst_mode`. The C module ignores it and writes the list.
const ON_DEMAND: i64 = 65_536;

/// A server with failover, on demand or with the list.
fn start(module: Module, config: Config, mode: i64) -> Kamailio {
    let config = config.param("flags", 2).param("xavp_dst_mode", mode);
    Kamailio::start(module, config)
}

/// A server with failover on demand.
fn on_demand(config: Config) -> Kamailio {
    start(Module::Rust, config, ON_DEMAND)
}

/// Runs operations; yields the lines that came back.
fn run(server: &Kamailio, operations: &str) -> Vec<String> {
    ask(server, &Probe::request(operations))
}

fn ask(server: &Kamailio, request: &Request) -> Vec<String> {
    // Sent once: a server that is slow would else run them twice, and take two turns.
    let replies = Uac::new().batch(server.addr(), std::slice::from_ref(request), 1);
    Probe::lines(&replies[0])
}

/// Return code and port of the destination, for each operation that has them: `1 7002`.
fn steps(lines: &[String]) -> Vec<String> {
    let word = |line: &str, name: &str| {
        let (_, rest) = line.split_once(name)?;
        rest.split(' ').next().map(str::to_owned)
    };
    let step = |line: &String| {
        let rc = word(line, " rc=")?;
        let du = word(line, " du=")?;
        let port = du.rsplit(':').next().unwrap_or_default().to_owned();
        Some(format!("{rc} {port}"))
    };
    lines.iter().filter_map(step).collect()
}

/// Returns the view of a script of the current destination, whatever stands behind it: lines without the
/// count and the server's own port, and the first record of each dump.
fn current(server: &Kamailio, lines: &[String]) -> Vec<String> {
    let own = format!(":{}", server.port());
    let mut seen: Vec<String> = Vec::new();
    let mut dumped = false;
    for line in lines {
        let record = line.starts_with("x ");
        if !(record && dumped) {
            let line = line.split(" cnt=").next().unwrap_or_default();
            seen.push(line.replace(&own, ":OWN"));
        }
        dumped = record;
    }
    seen
}

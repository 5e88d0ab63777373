//! The stage of these tests: a server that pings, and the crowd that it pings.
//!
//! `PROBING_C=1` runs the packaged C module instead of ours, to see what is its behaviour.

use std::time::Duration;

use harness::{Config, Crowd, Kamailio, Module, patience, wait_for};

/// The module that these tests run.
pub fn module() -> Module {
    match std::env::var_os("PROBING_C") {
        Some(_) => Module::C,
        None => Module::Rust,
    }
}

/// Sends a ping each second to all destinations, one result decides, tm waits for 600 ms. The
/// list is empty, for [`Crowd::load`].
pub fn pinging() -> Config {
    quiet().param("ds_ping_interval", 1)
}

/// As [`pinging`], without the interval.
pub fn quiet() -> Config {
    Config::routes("request_route { exit; }")
        .list("")
        .param("reload_delta", 0)
        .param("ds_probing_mode", 1)
        .modparam("tm", "fr_timer", 600)
        .modparam("jsonrpcs", "pretty_format", 0)
}

/// Starts the module under test.
pub fn start(config: Config) -> Kamailio {
    let server = Kamailio::start(module(), config);
    if module() == Module::C {
        server.ignore_log();
    }
    server
}

/// Starts a server, loads `1 URI REST` for each name of the crowd, and watches it.
pub fn play(config: Config, crowd: &Crowd, lines: &[(&str, &str)]) -> Kamailio {
    let server = start(config);
    let line = |(name, rest): &(&str, &str)| format!("1 {} {rest}\n", crowd.uri(name));
    crowd.load(&server, &lines.iter().map(line).collect::<String>());
    server
}

/// Waits until the first destination with this URI has these `FLAGS`.
pub fn becomes(server: &Kamailio, uri: &str, flags: &str, limit: Duration) {
    let lister = server.lister();
    wait_for(&format!("{uri} is {flags}"), limit, || {
        (lister.flags_of(uri) == flags).then_some(())
    });
}

/// As [`becomes`], with time for a few pings.
pub fn soon(server: &Kamailio, uri: &str, flags: &str) {
    becomes(server, uri, flags, patience(8));
}

/// A value of an RPC that is a number, whatever the transport makes of it.
pub fn number(value: &serde_json::Value) -> i64 {
    let text = value.as_str().map(str::to_owned);
    let text = text.unwrap_or_else(|| value.to_string());
    text.parse()
        .unwrap_or_else(|_| panic!("no number: {value}"))
}

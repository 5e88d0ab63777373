//! Settings that stop the start with one clear message, and settings that do not.

use super::stage::{module, quiet, start};
use harness::{Config, fails_to_start};

/// A config that has no tm.
const BARE: &str = r#"#!KAMAILIO
debug=2
log_stderror=yes
children=1
auto_aliases=no
{{LISTEN}}
mpath="{{MPATH}}"
loadmodule "ctl.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
{{PARAMS}}
request_route { exit; }
"#;

fn bare() -> Config {
    Config::raw(BARE).list("1 sip:127.0.0.1:5080\n")
}

#[test]
fn pings_without_tm_stop_the_start() {
    let log = fails_to_start(module(), bare().param("ds_ping_interval", 10));
    let errors = log.lines().filter(|line| line.contains(": dispatcher "));
    let errors: Vec<&str> = errors.filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert!(errors[0].contains("tm"), "{log}");
    assert!(errors[0].contains("ds_ping_interval"), "{log}");
}

#[test]
fn no_pings_need_no_tm() {
    start(bare().param("ds_ping_interval", 0)).stop();
}

#[test]
fn bad_values_stop_the_start_and_are_named() {
    let bad = [
        ("ds_ping_interval", "-1"),
        ("ds_ping_reply_codes", "\"code 404;class=3\""),
        ("ds_probing_mode", "4"),
        ("ds_probing_mode", "-1"),
        ("ds_probing_threshold", "-1"),
        ("ds_inactive_threshold", "-1"),
        ("ds_ping_fr_timeout", "-1"),
        ("ds_timer_mode", "2"),
        ("ds_ping_from", "\"no uri\""),
        ("ds_ping_method", "\"\""),
        ("ds_ping_method", "\"INVITE\""),
        ("outbound_proxy", "\"no uri\""),
        ("ds_default_socket", "\"udp:192.0.2.1:5060\""),
        ("ds_default_sockname", "\"nobody\""),
        ("ds_ping_socket", "\"udp:192.0.2.1:5060\""),
    ];
    let mut wrong = Vec::new();
    for (name, value) in bad {
        let config = quiet().param("ds_ping_interval", 1);
        let config = match value.parse::<i64>() {
            Ok(number) => config.param(name, number),
            Err(_) => config.param(name, value.trim_matches('"')),
        };
        match harness::Kamailio::try_start(module(), config) {
            Ok(server) => {
                server.ignore_log();
                wrong.push(format!("{name} = {value} starts"));
            }
            Err(log) => {
                let named = |line: &str| line.contains("ERROR: dispatcher") && line.contains(name);
                if !log.lines().any(named) {
                    wrong.push(format!("{name} = {value} is not named\n{log}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_estimator_out_of_range_is_a_warning() {
    for value in [0, 1_000, -5] {
        let config = quiet()
            .param("ds_ping_latency_stats", 1)
            .param("ds_latency_estimator_alpha", value)
            .expect_log("ds_latency_estimator_alpha");
        start(config).stop();
    }
}

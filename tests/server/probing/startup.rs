//! Settings that stop the start with one clear message, and settings that do not.

use super::stage::{module, quiet, start};
use harness::{Config, Value, fails_to_start, refuses};

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
fn requests_cannot_be_watched_without_tm() {
    refuses(
        bare().param("ds_passive", 1),
        "ds_passive needs the module tm",
    );
}

#[test]
fn no_pings_need_no_tm() {
    start(bare().param("ds_ping_interval", 0)).stop();
}

#[test]
fn values_that_mean_nothing_are_named_once_where_pings_are_on() {
    let numbers = [
        (
            "ds_probing_mode",
            4,
            "0, 1, 2 or 3: what is in probing is pinged",
        ),
        (
            "ds_probing_mode",
            -1,
            "0, 1, 2 or 3: what is in probing is pinged",
        ),
        (
            "ds_ping_fr_timeout",
            -1,
            "milliseconds, 0 (tm's fr_timer) or more: 0 is used",
        ),
        ("ds_timer_mode", 2, "0 or 1: 0 is used"),
    ];
    let codes =
        "code=N (100 to 699) or class=N (1 to 6), separated by \";\": \"code 404\" is not read";
    let texts = [
        ("ds_ping_reply_codes", "code 404;class=3", codes),
        ("ds_ping_from", "no uri", "a SIP URI: it is sent as it is"),
        (
            "ds_ping_from",
            "",
            "a SIP URI: sip:dispatcher@localhost is used",
        ),
        (
            "ds_ping_method",
            "",
            "a SIP method, as OPTIONS or INFO: OPTIONS is used",
        ),
        (
            "ds_ping_method",
            "a b",
            "a SIP method, as OPTIONS or INFO: it is sent as it is",
        ),
        (
            "outbound_proxy",
            "no uri",
            "a SIP URI: no ping can be sent to it",
        ),
    ];
    let numbers = numbers.map(|(name, value, warning)| (name, Value::from(value), warning));
    let texts = texts.map(|(name, value, warning)| (name, Value::from(value), warning));
    for (name, value, warning) in numbers.into_iter().chain(texts) {
        let shown = match &value {
            Value::Int(number) => number.to_string(),
            Value::Text(text) => text.clone(),
        };
        let warning = format!("parameter {name}: found \"{shown}\", expected {warning}");
        let config = quiet().param(name, value);
        let on = config.clone().param("ds_ping_interval", 60);
        let server = start(on.expect_log(&warning));
        assert_eq!(server.log().matches(&warning).count(), 1, "{warning}");
        server.stop();
        // Of what is off nothing is said.
        start(config).stop();
    }
}

#[test]
fn addresses_that_destinations_take_are_no_mistakes() {
    for from in [
        "<sip:a@b>",
        "\"Me\" <sip:a@b>",
        "sip:a@h_x.test",
        "SIP:a@b",
        "tel:+1",
    ] {
        let config = quiet().param("ds_ping_interval", 60);
        start(config.param("ds_ping_from", from)).stop();
    }
    for proxy in [
        "sip:127.0.0.1:9",
        "<sip:127.0.0.1:9>",
        "\"P\" <sip:127.0.0.1:9>",
    ] {
        let config = quiet().param("ds_ping_interval", 60);
        start(config.param("outbound_proxy", proxy)).stop();
    }
}

#[test]
fn bad_values_stop_the_start_and_are_named() {
    let bad = [
        ("ds_ping_method", "INVITE"),
        ("ds_ping_method", "invite "),
        ("ds_ping_method", "ACK"),
        ("ds_default_socket", "udp:192.0.2.1:5060"),
        ("ds_default_sockname", "nobody"),
        ("ds_ping_socket", "udp:192.0.2.1:5060"),
    ];
    for (name, value) in bad {
        refuses(
            quiet().param("ds_ping_interval", 1).param(name, value),
            name,
        );
    }
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

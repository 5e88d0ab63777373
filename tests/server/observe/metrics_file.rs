//! `metrics_file`: the page of metrics in a file, for the textfile collector of node_exporter.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use harness::{Config, Kamailio, Module, patience, refuses, wait_for};
use serde_json::json;

use super::metrics::promtool;

const LIST: &str = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n";

/// No TCP, and no xhttp.
fn config() -> Config {
    Config::routes("request_route { exit; }")
        .list(LIST)
        .param("metrics_file", "{{DIR}}/out/kamailio.prom")
        .param("metrics_interval", 1)
}

#[test]
fn the_file_follows_what_happens_and_is_never_half_written() {
    let config = config().under(&[
        "sh",
        "-c",
        "mkdir {{DIR}}/out && umask 077 && exec \"$@\"",
        "sh",
    ]);
    let server = Kamailio::start(Module::Rust, config);
    let folder = server.dir().join("out");
    let file = folder.join("kamailio.prom");
    let has = |line: &str| {
        wait_for(line, patience(10), || {
            let text = fs::read_to_string(&file).ok()?;
            // Its last line is there whenever the file is.
            assert!(
                text.contains("kamailio_dispatcher_scrape_duration_seconds 0."),
                "{text}"
            );
            text.contains(line).then_some(text)
        })
    };
    let up = r#"destination_up{set="1",destination="sip:127.0.0.1:7001",duid="",socket=""}"#;
    let text = has(&format!("{up} 1\n"));
    assert_eq!(promtool(text.as_bytes()).unwrap_or_default(), "");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "the collector is another user");
    server
        .jsonrpc(
            "dispatcher.set_state",
            json!(["d", 1, "sip:127.0.0.1:7001"]),
        )
        .unwrap();
    has(&format!("{up} 0\n"));
    // Without its directory it cannot be written.
    server.allow_log("metrics_file is not kept");
    let away = server.dir().join("away");
    fs::rename(&folder, &away).unwrap();
    server.wait_log("ERROR: dispatcher");
    server.wait_log("metrics_file is not kept, trying again: ");
    server
        .jsonrpc(
            "dispatcher.set_state",
            json!(["a", 1, "sip:127.0.0.1:7001"]),
        )
        .unwrap();
    fs::rename(&away, &folder).unwrap();
    server.wait_log("metrics_file is kept again");
    has(&format!("{up} 1\n"));
    assert_eq!(server.log().matches("is not kept").count(), 1);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn an_interval_below_a_second_is_refused() {
    let said = "parameter metrics_interval: found \"0\", expected seconds, 1 or more";
    refuses(config().param("metrics_interval", 0), said);
}

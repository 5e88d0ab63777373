//! List flags 16 (no address from the name) and 32 (no pings), and what was changed in 6.1.

use super::stage::{pinging, play, quiet};
use harness::{Crowd, patience};

#[test]
fn flags_16_and_32_in_6_1_are_not_pinged() {
    let crowd = Crowd::start();
    let config = pinging().param("compat", "6.1");
    let server = play(
        config,
        &crowd,
        &[("ok", ""), ("f16", "16"), ("f32", "32"), ("f40", "40")],
    );
    crowd.wait_count("ok", 4, patience(8));
    for name in ["f16", "f32", "f40"] {
        assert_eq!(crowd.count(name), 0, "{name}");
    }
    assert_eq!(server.flags(1, &crowd.uri("f32")), "AN");
    assert_eq!(server.flags(1, &crowd.uri("f16")), "AX");
}

#[test]
fn flag_16_in_5_6_is_pinged() {
    let crowd = Crowd::start();
    let _server = play(pinging(), &crowd, &[("f16", "16"), ("f24", "24")]);
    for name in ["f16", "f24"] {
        crowd.wait_count(name, 3, patience(8));
    }
}

#[test]
fn flag_16_survives_pings_and_states() {
    let crowd = Crowd::start();
    let server = play(pinging(), &crowd, &[("f16", "16")]);
    crowd.wait_count("f16", 2, patience(8));
    let set = serde_json::json!(["i", 1, crowd.uri("f16")]);
    server
        .jsonrpc("dispatcher.set_state", set)
        .expect("it is set");
    crowd.wait_more("f16", 2, patience(8));
    assert_eq!(server.flags(1, &crowd.uri("f16")), "AP");
}

#[test]
fn flag_8_without_pings_is_kept_in_5_6_and_dropped_in_6_1() {
    for (compat, flags) in [("5.6", "AP"), ("6.1", "AX")] {
        let crowd = Crowd::start();
        let config = quiet()
            .param("compat", compat)
            .allow_log("disabling probing");
        let server = play(config, &crowd, &[("f8", "8")]);
        assert_eq!(server.flags(1, &crowd.uri("f8")), flags, "{compat}");
        let asked = serde_json::json!([1, crowd.uri("f8"), "flags", "8"]);
        server.jsonrpc("dispatcher.modify", asked).expect("an edit");
        assert_eq!(
            server.flags(1, &crowd.uri("f8")),
            flags,
            "{compat}, an edit"
        );
    }
}

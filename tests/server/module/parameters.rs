//! Every parameter: what its good values do, and how a bad value stops the start.

use harness::{Config, Kamailio, Module, Probe, Request, Uac, Value, fails_to_start};

const ROUTE: &str = "request_route { sl_send_reply(\"200\", \"OK\"); }";
const LIST: &str = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n1 sip:127.0.0.1:7003 0 9 x=y\n";

fn with(name: &str, value: impl Into<Value>) -> Config {
    Config::routes(ROUTE).list(LIST).param(name, value)
}

/// Lines of the log at ERROR that are ours.
fn errors(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.contains(" ERROR: dispatcher "))
        .collect()
}

/// The start ends with one error of ours, which says `message`.
fn refused(name: &str, value: impl Into<Value>, message: &str) {
    let log = fails_to_start(Module::Rust, with(name, value));
    let errors = errors(&log);
    assert_eq!(errors.len(), 1, "{name}: one fault, one error: {errors:#?}");
    assert!(errors[0].ends_with(message), "{name}: {errors:#?}");
    for bad in [" BUG: ", " CRITICAL: "] {
        assert!(!log.contains(bad), "{name}: {log}");
    }
}

#[test]
fn a_bad_word_is_named_with_what_was_expected() {
    for value in ["5.5", "6", "latest", " 5.6"] {
        let expected = "expected \"3.2\", \"5.6\", \"6.0\" or \"6.1\"";
        let message = format!("parameter compat: found \"{value}\", {expected}");
        refused("compat", value, &message);
    }
    for value in ["Keep", "list"] {
        let message =
            format!("parameter reload_state: found \"{value}\", expected \"keep\" or \"file\"");
        refused("reload_state", value, &message);
    }
}

#[test]
fn a_bad_avp_is_named_with_what_was_expected() {
    for name in [
        "dst_avp",
        "grp_avp",
        "cnt_avp",
        "dstid_avp",
        "attrs_avp",
        "sock_avp",
    ] {
        let message = format!(
            "parameter {name}: found \"$var(x)\", expected an AVP with a fixed name, as $avp(x)"
        );
        refused(name, "$var(x)", &message);
    }
    for value in ["x", "$avp($var(x))", " $var(x)", "$xavp(a)"] {
        let message = format!(
            "parameter dst_avp: found \"{value}\", expected an AVP with a fixed name, as $avp(x)"
        );
        refused("dst_avp", value, &message);
    }
}

#[test]
fn a_bad_variable_is_named_with_what_was_expected() {
    let expected = "expected a variable that can be written, as $var(x)";
    for name in ["setid_pvname", "setid_pvar", "attrs_pvname"] {
        for value in ["$ci", "x", " $var(x)"] {
            refused(
                name,
                value,
                &format!("parameter {name}: found \"{value}\", {expected}"),
            );
        }
    }
    let expected = "expected a text whose variables the server knows, as $fU@$ci";
    for value in ["$nosuch(x)", "a$var(x"] {
        refused(
            "hash_pvar",
            value,
            &format!("parameter hash_pvar: found \"{value}\", {expected}"),
        );
    }
}

/// The server starts, with one warning of ours about the parameter, which ends with `instead`.
fn remarked(name: &str, value: impl Into<Value>, instead: &str) {
    let value = value.into();
    let shown = match &value {
        Value::Int(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    };
    let warning = format!("parameter {name}: found \"{shown}\", expected ");
    let config = with(name, value).param("flags", 2).expect_log(&warning);
    let config = config.allow_log("the config uses names of version 3.2");
    let server = Kamailio::start(Module::Rust, config);
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&warning)).collect();
    assert_eq!(lines.len(), 1, "{name}: {lines:#?}");
    assert!(lines[0].ends_with(instead), "{name}: {lines:#?}");
    server.stop();
}

#[test]
fn what_follows_a_variable_is_not_read() {
    let rest = ": what follows the variable is not read";
    for name in ["dst_avp", "sock_avp"] {
        remarked(name, "$avp(a)$avp(b)", rest);
    }
    for name in ["setid_pvname", "setid_pvar", "attrs_pvname"] {
        remarked(name, "$var(x)y", rest);
    }
    for (name, value) in [("dst_avp", "$avp(a) "), ("setid_pvname", "$var(x) ")] {
        let config = with(name, value).allow_log("the config uses names of version 3.2");
        Kamailio::start(Module::Rust, config).stop();
    }
}

#[test]
fn an_xavp_name_that_scripts_cannot_read_is_named() {
    for name in ["xavp_dst", "xavp_ctx"] {
        for value in ["a b", "x=>y", "a[0]"] {
            remarked(name, value, ": scripts cannot read it");
        }
    }
    remarked("xavp_dst", "", ": failover is off");
    remarked("xavp_ctx", "", ": _dsctx_ is used");
}

#[test]
fn a_negative_number_is_named_and_counts_as_0() {
    let names = [
        "ds_probing_threshold",
        "ds_probing_threshhold",
        "ds_inactive_threshold",
        "reload_delta",
        "ds_ping_interval",
    ];
    for name in names {
        remarked(name, -1, ": 0 is used");
    }
}

#[test]
fn a_good_name_is_stronger_than_a_place_that_is_none() {
    let config = with("ds_default_sockname", "front").param("ds_default_socket", "udp:192.0.2.1:9");
    let config = config.global("listen=udp:127.0.0.2:{{PORT}} name \"front\"");
    Kamailio::start(Module::Rust, config).stop();
}

#[test]
fn a_list_file_that_is_not_there_is_named() {
    let log = fails_to_start(
        Module::Rust,
        Config::routes(ROUTE).param("list_file", "{{DIR}}/none.list"),
    );
    let errors = errors(&log);
    assert_eq!(errors.len(), 1, "{log}");
    assert!(
        errors[0].contains("no dispatching list loaded from file \""),
        "{log}"
    );
    assert!(errors[0].contains("none.list\": No such file"), "{log}");
}

/// The server says that the parameter takes no value of this type; 4.x gives its number only.
fn refused_type(log: &str, name: &str, number: &str, kind: &str) -> bool {
    [number, &format!("{number}:{kind}")].iter().any(|kind| {
        log.contains(&format!(
            "parameter <{name}> of type <{kind}> not found in module <dispatcher>"
        ))
    })
}

#[test]
fn a_value_of_the_wrong_type_stops_the_start() {
    let numbers = [
        "flags",
        "force_dst",
        "use_default",
        "ds_load_mode",
        "xavp_dst_mode",
        "xavp_ctx_mode",
        "ds_attrs_none",
        "ds_probing_threshold",
        "ds_probing_threshhold",
        "ds_inactive_threshold",
    ];
    for name in numbers {
        let log = fails_to_start(Module::Rust, with(name, "1"));
        assert!(refused_type(&log, name, "1", "string"), "{name}: {log}");
    }
}

#[test]
fn a_number_where_a_text_belongs_stops_the_start() {
    let texts = [
        "list_file",
        "hash_pvar",
        "setid_pvname",
        "setid_pvar",
        "attrs_pvname",
        "xavp_dst",
        "xavp_ctx",
        "reload_state",
        "compat",
        "dst_avp",
        "grp_avp",
        "cnt_avp",
        "dstid_avp",
        "attrs_avp",
        "sock_avp",
    ];
    for name in texts {
        let log = fails_to_start(Module::Rust, with(name, 1));
        assert!(refused_type(&log, name, "2", "int"), "{name}: {log}");
    }
}

#[test]
fn a_parameter_of_another_type_is_refused_by_name() {
    for name in ["db_url", "ds_db_extra_attrs"] {
        let log = fails_to_start(Module::Rust, with(name, 1));
        assert!(
            log.contains(&format!("parameter <{name}>")),
            "{name}: {log}"
        );
    }
}

#[test]
fn bits_without_a_meaning_are_named_in_a_warning() {
    let warning = |name: &str, bits: i64| {
        format!("parameter {name}: bits {bits} mean nothing and are ignored")
    };
    let config = Config::routes(ROUTE)
        .list(LIST)
        .param("flags", 2 + 4 + 8)
        .param("xavp_dst_mode", 8)
        .param("xavp_ctx_mode", 3)
        .param("ds_dns_mode", 17)
        .expect_log(&warning("ds_dns_mode", 16))
        .expect_log(&warning("flags", 12))
        .expect_log(&warning("xavp_dst_mode", 8))
        .expect_log(&warning("xavp_ctx_mode", 2));
    Kamailio::start(Module::Rust, config).stop();
}

#[test]
fn the_ends_of_the_ranges_are_good_values() {
    let config = Config::routes(ROUTE)
        .list(LIST)
        .param("flags", 3)
        .param("xavp_dst_mode", 7)
        .param("xavp_ctx_mode", 1)
        .param("xavp_dst", "a.b-c_9")
        .param("xavp_ctx", "x")
        .param("ds_probing_threshold", 0)
        .param("ds_inactive_threshold", 2_147_483_647)
        .param("ds_load_mode", 1)
        .param("reload_state", "keep")
        .param("compat", "6.1")
        .param("hash_pvar", "plain text")
        .param("setid_pvname", "$avp(set)")
        .param("attrs_pvname", "$xavp(list=>attrs)");
    Kamailio::start(Module::Rust, config).stop();
}

fn lines(config: Config, operations: &str) -> Vec<String> {
    let server = Kamailio::start(Module::Rust, config);
    Probe::run(&Uac::new(), server.addr(), operations)
}

fn probe() -> Config {
    Probe::new().config().list(LIST).param("flags", 2)
}

#[test]
fn force_dst_0_keeps_a_destination_that_is_set() {
    let config = probe()
        .param("force_dst", 0)
        .expect_log("destination already set (and force_dst is 0)");
    let lines = lines(config, "du,sip:127.0.0.1:9|dst,1,8|dom,1,8|sel,1,8");
    assert!(lines[0].contains("rc=-1 du=sip:127.0.0.1:9 "), "{lines:?}");
    assert!(
        lines[1].contains("rc=1 "),
        "ds_select_domain does not look: {lines:?}"
    );
    assert!(
        lines[2].contains("rc=1 "),
        "ds_select does not look: {lines:?}"
    );
}

#[test]
fn use_default_1_makes_the_last_one_the_last_resort() {
    let lines = lines(
        probe().param("use_default", 1),
        "dst,1,4|clean|dst,1,4|clean|dst,1,4|dump",
    );
    let chosen: Vec<&str> = lines[..3]
        .iter()
        .map(|l| {
            l.split_once("du=sip:127.0.0.1:")
                .unwrap()
                .1
                .split(' ')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(chosen, ["7003", "7002", "7003"]);
    assert!(lines[5].starts_with("x sip:127.0.0.1:7001 "), "{lines:?}");
}

#[test]
fn ds_attrs_none_1_gives_attributes_to_those_without() {
    let lines = lines(probe().param("ds_attrs_none", 1), "sel,1,8|dump");
    assert!(lines[1].contains(" a=x=y "), "{lines:?}");
    assert!(lines[2].contains(" a=none=yes "), "{lines:?}");
}

#[test]
fn xavp_names_and_modes_choose_where_and_what() {
    let config = Probe::new().xavps("gw", "gwctx").config().list(LIST);
    let config = config.param("flags", 2).param("xavp_dst", "gw");
    let found = lines(config.clone().param("xavp_ctx", "gwctx"), "dst,1,8|dump");
    assert!(found[0].ends_with(" cnt=3"), "{found:?}");
    assert!(
        found[1].starts_with("x sip:127.0.0.1:7003 1 a=x=y "),
        "{found:?}"
    );
    let config = config.param("xavp_ctx", "gwctx").param("xavp_ctx_mode", 1);
    let found = lines(config.param("xavp_dst_mode", 1), "dst,1,8|dump");
    assert!(found[0].ends_with(" cnt=<null>"), "{found:?}");
    assert!(found[1].contains(" a=<null> "), "{found:?}");
}

#[test]
fn xavp_dst_mode_6_adds_the_socket_and_its_name() {
    let list = "1 sip:127.0.0.1:7001 0 5 socket=udp:127.0.0.1:{{PORT}}\n1 sip:127.0.0.1:7002\n";
    let server = Kamailio::start(Module::Rust, probe().list(list).param("xavp_dst_mode", 6));
    let lines = Probe::run(&Uac::new(), server.addr(), "dst,1,8|dump");
    let socket = format!("s=udp:127.0.0.1:{} n=<null> sock", server.port());
    assert!(lines[1].ends_with(&socket), "{lines:?}");
    assert!(lines[2].ends_with("s=<null> n=<null>"), "{lines:?}");
}

#[test]
fn flags_1_hashes_the_user_part_only() {
    let server = Kamailio::start(Module::Rust, probe().param("flags", 1));
    let uac = Uac::new();
    let pick = |from: &str| {
        let request = Probe::request("dst,1,1").from(from);
        Probe::lines(&uac.request(server.addr(), &request))[0].clone()
    };
    for user in ["alice", "bob", "carol", "dave", "erin"] {
        let same = pick(&format!("sip:{user}@one.test"));
        assert_eq!(pick(&format!("sip:{user}@two.test:9999")), same, "{user}");
    }
}

#[test]
fn hash_pvar_is_needed_and_must_not_be_empty() {
    let config = probe().expect_log("nothing to hash: hash_pvar is empty for this message");
    let server = Kamailio::start(Module::Rust, config);
    let uac = Uac::new();
    let keyed = |key: &str| Probe::request("dst,1,7").header("X-Key", key);
    let reply = uac.request(server.addr(), &keyed("k"));
    assert!(Probe::lines(&reply)[0].contains("rc=1 "));
    let reply = uac.request(server.addr(), &keyed(""));
    assert!(
        Probe::lines(&reply)[0].contains("rc=-1 "),
        "{:?}",
        Probe::lines(&reply)
    );
    let route = "request_route { ds_select_dst(\"1\", \"7\"); $var(rc) = $rc;\n\
                 sl_send_reply(\"200\", \"rc $var(rc)\"); }";
    let config = Config::routes(route)
        .list(LIST)
        .expect_log("algorithm 7 needs the parameter hash_pvar");
    let server = Kamailio::start(Module::Rust, config);
    let reply = uac.request(
        server.addr(),
        &Request::new("OPTIONS", "sip:x@service.test"),
    );
    assert_eq!(reply.start, "SIP/2.0 200 rc -1");
}

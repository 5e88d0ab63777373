//! The names of the 3.x time: AVP parameters beside the XAVPs, aliases, and what `compat` decides.

use harness::{Answer, Config, Kamailio, Module, Probe, Uac, Uas};

/// Set 1 in order: 7003 (priority 9), 7002, 7001.
const LIST: &str = "\
1 sip:127.0.0.1:7001 0 0 duid=one;weight=50
1 sip:127.0.0.1:7002
1 sip:127.0.0.1:7003 0 9 duid=three
2 sip:127.0.0.1:7010 0 0 x=y
";

/// The log line that the server writes once when old names choose compat 3.2.
const OLD_TIME: &str = "the config uses names of version 3.2";

/// The parameters in the order in which `avps` prints them.
const AVPS: [&str; 5] = ["dst_avp", "grp_avp", "cnt_avp", "dstid_avp", "attrs_avp"];

/// A probe with all AVP parameters; operation `avps` prints five values of each AVP.
fn avp_probe(names: [&str; 5]) -> Config {
    let mut show = String::new();
    for (param, name) in AVPS.iter().zip(names) {
        let values = (0..5).map(|n| format!("[$(avp({name})[{n}])]"));
        let values = values.collect::<String>();
        show += &format!("$var(out) = $var(out) + $_s(A {param} {values}) + \"\\n\";\n");
    }
    let config = Probe::new().op("avps", &show).config().list(LIST);
    let config = config.param("flags", 2);
    AVPS.iter()
        .zip(names)
        .fold(config, |config, (param, name)| {
            config.param(param, format!("$avp({name})"))
        })
}

fn plain() -> Config {
    avp_probe(["dsdst", "dsgrp", "dscnt", "dsid", "dsattrs"]).expect_log(OLD_TIME)
}

/// The values that `avps` printed for one parameter, up to the first that is not there.
fn values(lines: &[String], param: &str) -> Vec<String> {
    let prefix = format!("A {param} [");
    let line = lines.iter().rev().find_map(|l| l.strip_prefix(&prefix));
    let line = line.unwrap_or_else(|| panic!("no {param} in {lines:?}"));
    let values = line.trim_end_matches(']').split("][");
    values
        .take_while(|value| *value != "<null>")
        .map(str::to_owned)
        .collect()
}

/// The XAVP records that `dump` printed: URI and attributes (empty for none).
fn records(lines: &[String]) -> (Vec<String>, Vec<String>) {
    let records = lines.iter().filter(|line| line.starts_with("x "));
    let fields = records.map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (uri, attrs) = (fields.next().unwrap(), fields.nth(1).unwrap());
        let attrs = attrs.strip_prefix("a=").unwrap();
        let attrs = if attrs == "<null>" { "" } else { attrs };
        (uri.to_owned(), attrs.to_owned())
    });
    fields.unzip()
}

fn run(server: &Kamailio, operations: &str) -> Vec<String> {
    Probe::run(&Uac::new(), server.addr(), operations)
}

/// Runs operations, then holds the AVPs against the XAVPs.
fn same_in_both(server: &Kamailio, operations: &str) -> Vec<String> {
    let lines = run(server, &format!("{operations}|avps|dump"));
    let (uris, attrs) = records(&lines);
    assert_eq!(values(&lines, "dst_avp"), uris, "{operations}: {lines:#?}");
    assert_eq!(values(&lines, "attrs_avp"), attrs, "{operations}");
    lines
}

#[test]
fn avps_have_the_content_and_order_of_the_xavps() {
    let server = Kamailio::start(Module::Rust, plain());
    let lines = same_in_both(&server, "dst,1,8");
    let uri = |n: u16| format!("sip:127.0.0.1:700{n}");
    assert_eq!(values(&lines, "dst_avp"), [uri(3), uri(2), uri(1)]);
    assert_eq!(values(&lines, "grp_avp"), ["1"]);
    assert_eq!(values(&lines, "cnt_avp"), ["3"]);
    assert_eq!(values(&lines, "dstid_avp"), ["three", "", "one"]);
    let attrs = ["duid=three", "", "duid=one;weight=50"];
    assert_eq!(values(&lines, "attrs_avp"), attrs);
    for operations in ["dom,1,4", "sel,1,4", "dst3,1,8,2", "dom,2,8"] {
        same_in_both(&server, operations);
    }
    let lines = run(&server, "dst3,1,8,2|avps");
    assert_eq!(values(&lines, "cnt_avp"), ["2"]);
}

#[test]
fn moving_on_takes_the_first_value_of_both() {
    let server = Kamailio::start(Module::Rust, plain());
    for next in ["nextdst", "nextdom"] {
        let lines = same_in_both(&server, &format!("dst,1,8|{next}"));
        assert_eq!(values(&lines, "dstid_avp"), ["", "one"]);
        let lines = same_in_both(&server, &format!("dst,1,8|{next}|{next}"));
        assert_eq!(values(&lines, "dstid_avp"), ["one"]);
        let lines = same_in_both(&server, &format!("dst,1,8|{next}|{next}|{next}"));
        assert!(values(&lines, "dst_avp").is_empty());
        assert!(lines[3].contains(" rc=-1 "), "{lines:?}");
        assert_eq!(values(&lines, "cnt_avp"), ["3"], "the count stays");
    }
    let lines = same_in_both(&server, "dst,1,8|setdst");
    assert_eq!(values(&lines, "dst_avp").len(), 3, "ds_set_dst drops none");
}

#[test]
fn a_second_selection_puts_its_values_in_front() {
    let server = Kamailio::start(Module::Rust, plain());
    let lines = same_in_both(&server, "dst,1,8|dst,2,8");
    assert_eq!(values(&lines, "dst_avp")[0], "sip:127.0.0.1:7010");
    assert_eq!(values(&lines, "dst_avp").len(), 4);
    assert_eq!(values(&lines, "grp_avp"), ["2", "1"]);
    assert_eq!(values(&lines, "cnt_avp"), ["1", "3"]);
    same_in_both(&server, "dst,1,8|dst,2,8|nextdst|nextdst");
}

#[test]
fn a_mark_concerns_the_first_value_and_moves_none() {
    let server = Kamailio::start(Module::Rust, plain());
    let lines = same_in_both(&server, "dst,1,8|nextdst|mark_i");
    assert_eq!(values(&lines, "dst_avp")[0], "sip:127.0.0.1:7002");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7002"), "IX");
    let lines = same_in_both(&server, "dst,1,8");
    assert_eq!(values(&lines, "dst_avp").len(), 2, "the marked one is out");
    assert_eq!(values(&lines, "dstid_avp"), ["three", "one"]);
    same_in_both(&server, "dst,2,8|nextdst|dst,1,8|mark_i|nextdst|mark_i");
    let lines = same_in_both(&server, "dst,1,8");
    assert!(values(&lines, "dst_avp").is_empty());
}

#[test]
fn avps_may_have_integer_and_prefixed_names() {
    let names = ["i:271", "s:grp", "i:273", "s:id", "i:275"];
    let server = Kamailio::start(Module::Rust, avp_probe(names).expect_log(OLD_TIME));
    let lines = same_in_both(&server, "dst,1,8|nextdst");
    let left = ["sip:127.0.0.1:7002", "sip:127.0.0.1:7001"];
    assert_eq!(values(&lines, "dst_avp"), left);
    assert_eq!(values(&lines, "dstid_avp"), ["", "one"]);
    assert_eq!(values(&lines, "grp_avp"), ["1"]);
    assert_eq!(values(&lines, "cnt_avp"), ["3"]);
}

#[test]
fn without_failover_no_avp_is_filled_but_the_count() {
    let config = plain().param("flags", 0);
    let server = Kamailio::start(Module::Rust, config);
    let lines = same_in_both(&server, "dst,1,8");
    assert!(values(&lines, "dst_avp").is_empty());
    assert_eq!(values(&lines, "cnt_avp"), ["0"]);
}

#[test]
fn avps_survive_into_the_failure_route() {
    let (dead, alive) = (Uas::start(Answer::Silent), Uas::start(Answer::Code(200)));
    let list = format!("1 {} 0 5\n1 {}\n", dead.uri(), alive.uri());
    let server = Kamailio::start(Module::Rust, plain().list(list));
    let uac = Uac::new();
    let invite = harness::Request::new("INVITE", "sip:callee@service.test")
        .header("X-Do", "dst,1,8|relay|.")
        .header("X-Fail", "avps|nextdst|again|avps|.");
    let id = String::from_utf8(invite.id().to_vec()).unwrap();
    let call = uac.call(server.addr(), invite).expect("an answered call");
    assert!(alive.uri().ends_with(&call.answered_by()));
    let lines = run(&server, &format!("trace,{id}"));
    assert_eq!(values(&lines, "dst_avp"), [alive.uri()]);
    assert!(call.bye().status() == Some(200));
}

/// A server with one version's meaning: 7022 first, then 7021 with these list flags.
fn of_version(compat: &str, flags: &str) -> Kamailio {
    let list = format!("1 sip:127.0.0.1:7021 {flags}\n1 sip:127.0.0.1:7022\n");
    let config = Probe::new().config().list(list).param("flags", 2);
    Kamailio::start(Module::Rust, config.param("compat", compat))
}

#[test]
fn list_flags_2_and_8_have_the_meaning_of_the_version() {
    // (version, list flags, letters in the list, selected)
    let rows = [
        ("3.2", "2", "IP", false),
        ("3.2", "8", "AP", true),
        ("5.6", "2", "TX", true),
        ("5.6", "8", "AP", true),
        ("6.1", "2", "TX", true),
        // Nothing is pinged here, and 6.1 drops the flag then.
        ("6.1", "8", "AX", true),
    ];
    for (compat, flags, letters, selected) in rows {
        let server = of_version(compat, flags);
        let case = format!("compat {compat}, flags {flags}");
        assert_eq!(server.flags(1, "sip:127.0.0.1:7021"), letters, "{case}");
        let lines = run(&server, "dst,1,8|nextdst");
        assert_eq!(lines[1].contains(" rc=1 "), selected, "{case}: {lines:?}");
        let lines = run(&server, "active,1,sip:127.0.0.1:7021");
        assert_eq!(lines[0].contains(" rc=1 "), selected, "{case}: {lines:?}");
    }
}

/// Letters of the first destination after each of the marks.
fn after_marks(server: &Kamailio, marks: &str) -> String {
    let mut seen = Vec::new();
    for mark in marks.split(' ') {
        // The mark goes to the first record, whatever its state is by now.
        let lines = run(server, &format!("first|mark_{mark}"));
        assert!(
            lines.last().unwrap().contains(" rc=1 "),
            "{mark}: {lines:?}"
        );
        seen.push(server.flags(1, "sip:127.0.0.1:7022"));
    }
    seen.join(" ")
}

/// A probe whose operation `first` makes a record of 7022, usable or not.
fn marking(compat: &str, up: i64) -> Kamailio {
    let first = "$xavp(_dsdst_=>grp) = 1; $xavp(_dsdst_[0]=>uri) = \"sip:127.0.0.1:7022\";";
    let config = Probe::new().op("first", first).config().param("flags", 2);
    let config = config
        .list("1 sip:127.0.0.1:7021\n1 sip:127.0.0.1:7022\n")
        .param("compat", compat)
        .param("ds_inactive_threshold", up);
    Kamailio::start(Module::Rust, config)
}

#[test]
fn marks_have_the_meaning_of_the_version() {
    // (version, inactive threshold, marks in a row, letters after each)
    let rows = [
        ("3.2", 1, "p p p a", "AX AX IP AX"),
        ("3.2", 1, "2 P 2 1", "AX AX IP AX"),
        ("3.2", 1, "ap ip t t t a", "AP IP IX IX IX AX"),
        ("3.2", 1, "t t t a", "TX TX IX AX"),
        ("3.2", 1, "p p a p p p", "AX AX AX AX AX IP"),
        ("3.2", 1, "i 0 I", "IX IX IX"),
        ("5.6", 1, "p a t a", "AP AX IX AX"),
        ("5.6", 1, "2 1 0 1 2", "IP AX IX AX IP"),
        ("5.6", 2, "i a a", "IX IX AX"),
        ("6.1", 2, "i a t a", "IX AX IX AX"),
        ("6.1", 2, "p 2 1 0", "AP IP AX IX"),
    ];
    for (compat, up, marks, letters) in rows {
        let server = marking(compat, up);
        assert_eq!(after_marks(&server, marks), letters, "{compat}: {marks}");
    }
}

#[test]
fn the_default_threshold_is_that_of_the_version_and_the_old_spelling_sets_it() {
    let rows = [
        ("5.6", "ds_probing_threshold", "TX IX"),
        ("5.6", "ds_probing_threshhold", "TX IX"),
        ("3.2", "ds_probing_threshhold", "TX IX"),
    ];
    for (compat, name, letters) in rows {
        let first = "$xavp(_dsdst_=>grp) = 1; $xavp(_dsdst_[0]=>uri) = \"sip:127.0.0.1:7022\";";
        let config = Probe::new().op("first", first).config().param("flags", 2);
        let config = config.list("1 sip:127.0.0.1:7022\n").param(name, 2);
        let server = Kamailio::start(Module::Rust, config.param("compat", compat));
        assert_eq!(after_marks(&server, "t t"), letters, "{compat}: {name}");
    }
}

#[test]
fn any_old_name_alone_chooses_the_old_meaning() {
    let names = [
        ("grp_avp", "$avp(g)"),
        ("dstid_avp", "$avp(i)"),
        ("setid_pvar", "$var(setid)"),
    ];
    for (name, value) in names {
        let config = Config::routes("request_route { sl_send_reply(\"200\", \"OK\"); }")
            .list("1 sip:127.0.0.1:7021 2\n")
            .param(name, value)
            .expect_log(OLD_TIME);
        let server = Kamailio::start(Module::Rust, config);
        assert_eq!(server.flags(1, "sip:127.0.0.1:7021"), "IP", "{name}");
    }
    let config = Config::routes("request_route { sl_send_reply(\"200\", \"OK\"); }")
        .list("1 sip:127.0.0.1:7021 2\n")
        .param("grp_avp", "$avp(g)")
        .param("compat", "5.6");
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(
        server.flags(1, "sip:127.0.0.1:7021"),
        "TX",
        "compat is stronger"
    );
}

#[test]
fn setid_pvar_gets_the_set_of_the_sender() {
    let route = r#"request_route {
        ds_is_from_list();
        $var(rc) = $rc;
        append_to_reply("X-Set: $var(rc) $var(from)\r\n");
        sl_send_reply("200", "OK");
    }"#;
    let config = Config::routes(route)
        .list("8 sip:127.0.0.1\n")
        .param("setid_pvar", "$var(from)")
        .expect_log(OLD_TIME);
    let server = Kamailio::start(Module::Rust, config);
    let request = harness::Request::new("OPTIONS", "sip:x@service.test");
    let reply = Uac::new().request(server.addr(), &request);
    assert_eq!(reply.text("X-Set"), "1 8");
}

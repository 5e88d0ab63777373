//! Parameters: XAVP names and modes, `ds_attrs_none`, and values that both modules must refuse.

use rand::rngs::StdRng;

use crate::compare;
use crate::keys;
use crate::pair::Pair;
use crate::report::Report;
use harness::{
    Config, Kamailio, Module, Probe, Request, Value, check_config_as_it_is, this_server,
};

const LIST: &str = "\
    1 sip:127.0.0.1:7001 0 9 duid=a;socket=udp:127.0.0.1:{{PORT}};weight=60\n\
    1 sip:127.0.0.1:7002 0 5\n\
    1 sip:127.0.0.1:7003 0 4 sockname=front;x=y\n\
    2 sip:127.0.0.1:7001 0 0 duid=b\n";

#[test]
fn xavp_names_and_modes() {
    compare(xavps);
}

#[test]
fn values_that_are_refused() {
    compare(|report, _| refused(report));
}

/// Returns true if the C module of the server has a parameter, by its cell in doc/reference/parameters.md.
fn in_c(cell: &str) -> bool {
    let release = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    // Those of former releases and of none have another form.
    cell.is_empty() || release(cell).is_some_and(|since| this_server::core() >= since)
}

#[test]
fn parameters_that_c_lacks_are_marked() {
    if this_server::older_than((5, 6), "the column of parameters") {
        return;
    }
    compare(|report, _| {
        let text = include_str!("../../doc/reference/parameters.md");
        let rows = text.lines().filter(|line| line.starts_with("| ["));
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, name, kind, _range, _default, cell, ..] = cells.as_slice() else {
                panic!("no row of a parameter: {row}");
            };
            let name = name.trim_start_matches('[').split(']').next();
            let name = name.unwrap_or_default();
            let config = Config::routes("request_route { exit; }").native();
            let config = if kind.starts_with("int") {
                config.param(name, 1)
            } else {
                config.param(name, "x")
            };
            let known = check_config_as_it_is(Module::C, &config).is_ok();
            report.check(&format!("parameter {name}"), known == in_c(cell), cell);
        }
    });
}

/// All combinations of the modes, and other names.
fn xavps(report: &mut Report, rng: &mut StdRng) {
    for dst_mode in 0..8 {
        let (ctx_mode, none) = (i64::from(dst_mode % 2 == 1), i64::from(dst_mode % 4 < 2));
        let probe = if dst_mode == 5 {
            Probe::new().xavps("mydst", "myctx")
        } else {
            Probe::new()
        };
        let mut config = probe
            .config()
            .list(LIST)
            .param("flags", 2)
            .param("xavp_dst_mode", dst_mode)
            .param("xavp_ctx_mode", ctx_mode)
            .param("ds_attrs_none", none);
        if dst_mode == 5 {
            config = config.param("xavp_dst", "mydst").param("xavp_ctx", "myctx");
        }
        let config = config.global("listen=udp:127.0.0.2:{{PORT}} name \"front\"");
        let pair = Pair::start(config);
        let runs = [
            "dst,1,8|dump|nextdst|dump|nextdst|dump|nextdst|dump",
            "dst,1,4|dst,2,4|dump|nextdst|nextdst|dump",
            "dom3,1,0,2|dump|nextdom|dump",
            "sel,1,8|dump|setdst|mark_ip",
            "from,1,3,sip:127.0.0.1:7002|from,1,3,sip:127.0.0.1:7001|from,-1,1,sip:127.0.0.1:7003",
        ];
        let requests: Vec<Request> = runs.iter().map(|ops| keys::request(rng, ops)).collect();
        pair.ask(
            report,
            &format!("xavp modes {dst_mode} {ctx_mode} {none}"),
            &requests,
        );
    }
}

/// Values at start-up: both start, or both refuse.
fn refused(report: &mut Report) {
    let values: [(&str, Value); 16] = [
        ("hash_pvar", "$nosuch(x)".into()),
        ("hash_pvar", "$hdr(X".into()),
        ("hash_pvar", "$fU$tU".into()),
        ("setid_pvname", "$nosuch(x)".into()),
        ("setid_pvname", "plain".into()),
        ("setid_pvname", "$ci".into()),
        ("attrs_pvname", "$nosuch(x)".into()),
        ("attrs_pvname", "plain".into()),
        ("attrs_pvname", "$avp(x)".into()),
        ("flags", "2".into()),
        ("use_default", "x".into()),
        ("list_file", 1.into()),
        ("list_file", "{{DIR}}/nosuch".into()),
        ("list_file", "{{DIR}}".into()),
        ("nosuch", 1.into()),
        ("ds_load_mode", 1.into()),
    ];
    for (name, value) in values {
        let what = format!("start with {name} {value:?}");
        let mut config = Config::routes("request_route { exit; }").only_critical();
        if name != "list_file" {
            config = config.list(LIST.lines().next().unwrap_or_default());
        }
        let config = config.param(name, value);
        let [c, ours] = [Module::C, Module::Rust].map(|module| {
            let server = Kamailio::try_start(module, config.clone().native());
            if let (Ok(server), Module::C) = (&server, module) {
                server.ignore_log();
            }
            let started = server.is_ok();
            if started { "starts" } else { "refuses" }
        });
        report.compare(&what, c, ours);
    }
}

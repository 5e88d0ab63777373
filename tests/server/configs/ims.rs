//! The IMS samples that the distribution ships with the server, as they are on this machine.
//!
//! Changed are only what a site changes: addresses, ports, paths. The samples set AVP parameters
//! that the C module refuses since 5.2; for it they are taken out.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::{Peers, Stage, both_with};
use harness::{Config, Module, Request, TempDir, check_config, check_config_as_it_is, free_port};

/// The directory of the packages' samples on Debian and its like.
const SAMPLES: &str = "/usr/share/doc/kamailio/examples/ims";

fn sample(name: &str) -> String {
    let path: PathBuf = Path::new(SAMPLES).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Replaces what must be there.
fn set(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the sample has no {from}");
    text.replace(from, to)
}

/// Replaces the rest of the lines that begin so.
fn set_line(text: &str, begin: &str, to: &str) -> String {
    assert!(
        text.lines().any(|line| line.starts_with(begin)),
        "the sample has no line {begin}"
    );
    let lines = text
        .lines()
        .map(|line| if line.starts_with(begin) { to } else { line });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// The sample without the parameters that came and went before 5.2.
fn without_avps(text: &str) -> String {
    let old = ["dst_avp", "grp_avp", "cnt_avp", "sock_avp"]
        .map(|name| format!("\"dispatcher\", \"{name}\""));
    let lines = text
        .lines()
        .filter(|line| !old.iter().any(|name| line.contains(name)));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// The additions of a site: a quick resolver, and a database in SQLite.
const SITE: &str = r#"
dns_retr_time=1
dns_retr_no=1
dns_servers_no=1
dns_use_search_list=no
mpath="{{MPATH}}"
loadmodule "db_sqlite.so"
#!define DB_URL "sqlite:///{{DATABASE}}"
"#;

/// A database with the tables that the sample needs, as the distribution makes them. It has those of
/// the user locations for MySQL only.
fn database(dir: &Path) -> String {
    let tables = [
        "db_sqlite/standard",
        "db_sqlite/presence",
        "mysql/ims_usrloc_scscf",
    ];
    let tables = tables.map(|name| {
        let path = format!("/usr/share/kamailio/{name}-create.sql");
        std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
    });
    let tables = tables.concat();
    let tables = tables
        .replace(" AUTO_INCREMENT", "")
        .replace("int(11) unsigned", "INTEGER");
    let tables = tables
        .lines()
        .map(|line| match line.trim().strip_prefix("UNIQUE KEY") {
            Some(key) => format!(
                "UNIQUE {}",
                key.trim().split_once(' ').map_or("", |(_, key)| key)
            ),
            None => line.to_owned(),
        });
    let tables = tables.collect::<Vec<_>>().join("\n");
    let file = dir.join("ims.db");
    let made = Command::new("sqlite3").arg(&file).arg(tables).output();
    let made = made.expect("sqlite3 runs");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    file.display().to_string()
}

fn scscf() -> String {
    let text = sample("scscf/kamailio.cfg");
    let text = set_line(&text, "mpath=", "mpath=\"{{MPATH}}\"");
    let text = set(&text, "/etc/kamailio_scscf/dispatcher.list", "{{LIST}}");
    let text = set(&text, "/etc/kamailio_scscf/", "{{DIR}}/");
    let text = set(&text, "/run/kamailio_scscf/kamailio_ctl", "{{DIR}}/ctl");
    let text = set(
        &text,
        "# modparam(\"jsonrpcs\", \"dgram_socket\"",
        "modparam(\"jsonrpcs\", \"dgram_socket\"",
    );
    set(&text, "/run/kamailio/kamailio_rpc.sock", "{{DIR}}/rpc")
}

fn scscf_config(text: &str, database: &str) -> Config {
    let site = set(
        &sample("scscf/scscf.cfg.sample"),
        "udp:11.22.33.44:6060",
        "udp:127.0.0.1:{{PORT}}",
    );
    let diameter = set(
        &sample("scscf/scscf.xml.sample"),
        "bind=\"11.22.33.44\"",
        "bind=\"127.0.0.1\"",
    );
    let diameter = set(&diameter, "port=\"3870\"", "port=\"{{DIAMETER}}\"");
    Config::raw(text)
        .file("scscf.cfg", &(site + SITE))
        .file("scscf.xml", &diameter)
        .file("CxDataType_Rel7.xsd", &sample("scscf/CxDataType_Rel7.xsd"))
        .define("DATABASE", database)
        .define("DIAMETER", free_port())
        .list("1 sip:{{sbc1}}\n1 sip:{{sbc2}}\n")
        .shm_mb(256)
        .only_critical()
        // What cdp says when the server stops.
        .allow_log("Bye Bye from C Diameter Peer")
        // ims_dialog's own race, of the BYE with the answer to the INVITE.
        .allow_log("Trying to update a bogus dlg")
}

/// A call of a subscriber to a telephone number that ENUM does not know.
fn invite(stage: &Stage<'_>, uri: &str) -> Request {
    let route = format!("<sip:orig@{};lr>", stage.server.addr());
    let invite = stage.request("INVITE", uri).header("Route", route);
    invite.from("sip:alice@ims.mnc001.mcc001.3gppnetwork.org")
}

fn calls_to_the_telephone_network(stage: &Stage<'_>) {
    for n in 0..3 {
        let call = stage.call_with(invite(stage, &format!("tel:+493012345{n}")));
        stage.bye(call.expect("an answered call"));
    }
    stage.call_with(invite(
        stage,
        "sip:+4930999@ims.mnc001.mcc001.3gppnetwork.org;user=phone",
    ));
    // One border controller fails, then both.
    for sbc in ["sbc1", "sbc2"] {
        stage.peer(sbc, |sbc| sbc.set_answer_to("INVITE", 503));
        for n in 0..2 {
            stage.call_with(invite(stage, &format!("tel:+4940{n}")));
        }
    }
    by_transit_function(stage);
    stage.rpc(&["dispatcher.set_state", "d", "1", "all"]);
    stage.call_with(invite(stage, "tel:+49501"));
    stage.rpc(&["dispatcher.set_state", "a", "1", "sip:{{sbc1}}"]);
    stage.peer("sbc1", |sbc| sbc.set_answer_to("INVITE", 486));
    stage.call_with(invite(stage, "tel:+49502"));
    let options = format!("sip:{}", stage.server.addr());
    stage.send(&stage.request("OPTIONS", &options));
}

/// The network names a transit function for the call. It fails, and so does the first border
/// controller; then all do.
fn by_transit_function(stage: &Stage<'_>) {
    let transit = stage.address("*;+g.3gpp.trf=\"<sip:{{trf}}>\"");
    for code in [200, 503] {
        stage.peer("trf", |trf| trf.set_answer_to("INVITE", code));
        stage.call_with(invite(stage, "tel:+4960").header("Feature-Caps", &transit));
    }
    stage.peer("sbc1", |sbc| sbc.set_answer_to("INVITE", 200));
    for _ in 0..2 {
        stage.call_with(invite(stage, "tel:+4960").header("Feature-Caps", &transit));
    }
}

#[test]
fn serving_cscf_of_the_distribution() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let mut peers = Peers::start(&["sbc1", "sbc2"]);
    peers.start_at_the_default_port("trf");
    let dir = TempDir::new();
    let database = database(dir.path());
    let ours = scscf_config(&scscf(), &database);
    let c = scscf_config(&without_avps(&scscf()), &database);
    let refused = check_config_as_it_is(Module::C, &peers.fill(ours.clone())).unwrap_err();
    assert!(refused.contains("parameter <dst_avp>"), "{refused}");
    both_with(&c, &ours, &mut peers, &calls_to_the_telephone_network, &[]);
}

/// The sample as a site with session border controllers has it.
fn pcscf() -> String {
    let text = sample("pcscf/kamailio.cfg");
    let text = set_line(&text, "mpath=", "mpath=\"{{MPATH}}\"");
    let text = set(&text, "/etc/kamailio_pcscf/dispatcher.list", "{{LIST}}");
    set(&text, "/run/kamailio_pcscf/kamailio_ctl", "{{DIR}}/ctl")
}

fn pcscf_config(text: &str) -> Config {
    let site = set(
        &sample("pcscf/pcscf.cfg.sample"),
        "udp:0.0.0.0:5060",
        "udp:127.0.0.1:{{PORT}}",
    );
    let site = set(&site, "##!define WITH_SBC\n", "#!define WITH_SBC\n");
    let routes = ["mo", "mt", "register", "rtp", "websocket", "xmlrpc"];
    let config = Config::raw(text)
        .file("pcscf.cfg", &site)
        .list("1 sip:127.0.0.1:5070\n");
    routes.iter().fold(config, |config, name| {
        let file = format!("route/{name}.cfg");
        config.file(&file, &sample(&format!("pcscf/{file}")))
    })
}

#[test]
fn proxy_cscf_of_the_distribution_is_accepted() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let log = check_config(Module::Rust, &pcscf_config(&pcscf()));
    assert!(log.is_ok(), "{log:?}");
    let refused = check_config_as_it_is(Module::C, &pcscf_config(&pcscf())).unwrap_err();
    assert!(refused.contains("parameter <dst_avp>"), "{refused}");
    let log = check_config(Module::C, &pcscf_config(&without_avps(&pcscf())));
    assert!(log.is_ok(), "{log:?}");
}

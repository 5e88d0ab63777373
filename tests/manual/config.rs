//! Examples of configs: a real server starts with each.

use std::fs;

use harness::database::{Database, Kind};
use harness::manual::Block;
use harness::{Config, Kamailio, Module, Request, Uac};

use super::{Above, Counts, room, scene};

/// Modules that the harness loads for every config.
const LOADED: [&str; 17] = [
    "tm",
    "tmx",
    "sl",
    "rr",
    "pv",
    "maxfwd",
    "textops",
    "textopsx",
    "siputils",
    "xlog",
    "kex",
    "corex",
    "htable",
    "cfg_rpc",
    "ctl",
    "jsonrpcs",
    "dispatcher",
];

/// Where kamcmd looks for the server.
const CONTROL: &str = "unix:/run/kamailio/kamailio_ctl";

/// The parts of an example.
#[derive(Default)]
struct Parts {
    globals: String,
    modules: Vec<String>,
    params: String,
    routes: String,
    statements: String,
}

fn is_route(line: &str) -> bool {
    let word = line.split([' ', '[', '{']).next().unwrap_or_default();
    word == "route" || word.ends_with("_route")
}

fn is_global(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or_default().trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.contains('=') && !name.is_empty() && name.chars().all(plain)
}

fn parts(text: &str) -> Parts {
    let mut parts = Parts::default();
    let mut depth = 0;
    for line in text.lines() {
        if depth == 0 && line.starts_with("# ") {
            continue;
        }
        let begins = depth == 0;
        let target = match () {
            () if depth > 0 || is_route(line) => &mut parts.routes,
            () if line.starts_with("loadmodule") => {
                let name = line.split('"').nth(1).expect("a module");
                parts.modules.push(name.to_owned());
                continue;
            }
            () if line.starts_with("modparam") => &mut parts.params,
            () if line.starts_with("#!") || line.starts_with("import_file") || is_global(line) => {
                &mut parts.globals
            }
            () => &mut parts.statements,
        };
        let in_route = !begins || is_route(line);
        target.push_str(line);
        target.push('\n');
        if in_route {
            let code = line.split(" #").next().unwrap_or_default();
            depth += code.matches('{').count();
            depth -= code.matches('}').count();
        }
    }
    parts
}

/// Makes a config of the parts of an example and what every config has.
pub fn assemble(text: &str) -> Config {
    if text.contains("loadmodule \"dispatcher.so\"") {
        return Config::raw(&complete(text));
    }
    let mut parts = parts(text);
    if !parts.statements.trim().is_empty() {
        parts.routes += &format!("route[EXAMPLE] {{\n{}}}\n", parts.statements);
    }
    let mut config = Config::routes(&with_request_route(&parts.routes))
        .load("counters.so")
        .modparam("ctl", "binrpc", CONTROL)
        .global(&parts.globals);
    for module in &parts.modules {
        if !LOADED.contains(&module.trim_end_matches(".so")) {
            config = config.load(module);
        }
    }
    config.params(&parts.params)
}

fn with_request_route(routes: &str) -> String {
    if routes.contains("request_route") {
        return routes.to_owned();
    }
    let example = if routes.contains("route[EXAMPLE]") {
        "route(EXAMPLE);"
    } else {
        "exit;"
    };
    format!("request_route {{ {example} }}\n{routes}")
}

/// The text of an example that loads the module itself: it runs as it stands, with sockets, the way to the modules and
/// a door for commands.
fn complete(text: &str) -> String {
    let mut whole = "#!KAMAILIO\ndebug=2\nlog_stderror=yes\n{{LISTEN}}".to_owned();
    whole += "mpath=\"{{MPATH}}\"\nloadmodule \"ctl.so\"\n";
    whole += &format!(
        "modparam(\"ctl\", \"binrpc\", \"unix:{{{{DIR}}}}/ctl\")\nmodparam(\"ctl\", \"binrpc\", \"{CONTROL}\")\n"
    );
    let own = text.lines().filter(|line| !line.starts_with("mpath="));
    for line in own {
        whole += line;
        whole.push('\n');
    }
    with_request_route(&whole)
}

/// Starts a server in this room; its config is then where an operator has it.
pub fn start(config: Config) -> Kamailio {
    let server = Kamailio::start(Module::Rust, config);
    let text = fs::read_to_string(server.dir().join("kamailio.cfg")).expect("the config");
    room::write("kamailio.cfg", &text);
    server
}

/// Makes an authority, and a certificate of it, where tls.cfg has them.
const CERTIFICATES: &str = "
    mkdir -p /etc/kamailio/tls && cd /etc/kamailio/tls
    new() {
        name=$1 && shift
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$name -keyout $name.key -out $name.pem \"$@\"
    }
    new authority
    new lb1 -CA authority.pem -CAkey authority.key -addext basicConstraints=critical,CA:FALSE
";

/// A row for the table that ships.
const ROW: &str = "INSERT INTO dispatcher (setid, destination) VALUES (1, 'sip:192.0.2.10:5060')";

/// Makes the database that an example needs; a server of one ends when it is dropped.
fn database(block: &Block) -> Option<Database> {
    if block.text.contains("sqlite:////var/local/kamailio.db") || block.word("scene") == "table" {
        // What examples of columns name.
        let more = "w INTEGER DEFAULT 50, name VARCHAR(64) DEFAULT 'one', description";
        let table = include_str!("../../doc/db/sqlite.sql").replace("description", more);
        let other = table.replace("dispatcher", "gateways");
        let row = ROW.replace("dispatcher", "gateways");
        room::write("table.sql", &format!("{table}{other}{ROW};{row};"));
        room::shell("sqlite3 -bail /var/local/kamailio.db </etc/kamailio/table.sql");
    }
    if !block
        .text
        .contains("mysql://kamailio:secret@localhost/kamailio")
    {
        return None;
    }
    let database = Database::start(Kind::MariaDb);
    let table = include_str!("../../doc/db/mysql.sql");
    room::write("table.sql", &format!("{table}{ROW};"));
    let socket = "/run/mysqld/mysqld.sock";
    std::os::unix::fs::symlink(database.file("my.sock"), socket).expect("the usual name");
    room::shell(
        "sql() { mariadb --no-defaults -uroot -S /run/mysqld/mysqld.sock \"$@\"; }
        sql -e \"CREATE DATABASE kamailio; CREATE USER kamailio@localhost IDENTIFIED BY 'secret'\"
        sql -e 'GRANT SELECT ON kamailio.* TO kamailio@localhost'
        sql kamailio </etc/kamailio/table.sql",
    );
    Some(database)
}

/// The config of an example, with what it needs to be there.
fn prepared(block: &Block) -> Config {
    let mut config = assemble(&block.text);
    if block.word("scene") == "table" {
        let url = "sqlite:////var/local/kamailio.db";
        config = config.load("db_sqlite.so").param("db_url", url);
    }
    for module in block
        .word("load")
        .split(',')
        .filter(|name| !name.is_empty())
    {
        config = config.load(&format!("{module}.so"));
    }
    if block.text.contains("xhttp") || block.text.contains("tcp:") || block.text.contains("tls:") {
        config = config.tcp();
    }
    if !block.word("warns").is_empty() {
        config = config.expect_log(block.word("warns"));
    }
    // The other servers of its cluster do not run.
    if block.text.contains("transport=tls") {
        for remark in [
            "tcpconn_1st_send",
            "tcp_send failed",
            "precreated request failed",
        ] {
            config = config.allow_log(remark);
        }
    }
    for address in ["192.0.2.1:5060", "192.0.2.9:5060", "192.0.2.9:5070"] {
        config = config.global(&format!("listen=udp:{address}"));
    }
    config
}

/// A server starts with the example.
pub fn starts(block: &Block, above: &Above) -> Counts {
    room::tidy();
    for file in &above.files {
        room::write(file.word("name"), &file.text);
    }
    room::write("dispatcher.key", "a key of an example");
    if block.text.contains("tls.cfg") {
        room::shell(CERTIFICATES);
    }
    room::write("dispatcher.list", scene::LIST);
    room::write("gateways.list", scene::LIST);
    let _database = database(block);
    let gateways = scene::gateways(200);
    let server = start(prepared(block));
    room::shell("kamcmd dispatcher.stats");
    let balances = block.text.contains("request_route") && block.text.contains("ds_select_dst(");
    if balances {
        let uac = Uac::new();
        let invite = Request::new("INVITE", "sip:callee@service.test");
        let call = uac.call(server.addr(), invite);
        let by = call.map(|call| call.answered_by());
        assert!(
            by.is_ok_and(|by| by.starts_with("192.0.2.")),
            "no gateway answers a call"
        );
    }
    server.stop();
    drop(gateways);
    vec![("configs started", 1), ("calls answered", balances.into())]
}

/// The functions of the example are those of a script in Lua that a server runs.
pub fn runs_in_lua(block: &Block) -> Counts {
    room::tidy();
    room::write("dispatcher.list", scene::LIST);
    let script = format!("function ksr_request_route()\nend\n{}", block.text);
    room::write("kamailio.lua", &script);
    let config = Config::routes("cfgengine \"lua\"")
        .load("app_lua.so")
        .modparam("app_lua", "load", "/etc/kamailio/kamailio.lua")
        .modparam("ctl", "binrpc", CONTROL)
        .param("event_callback", "ksr_dispatcher_event")
        .param("event_callback_mode", 65536);
    let server = start(config);
    room::shell("kamcmd dispatcher.set_state i 1 sip:192.0.2.10:5060");
    server.wait_log("dispatcher:dst-down sip:192.0.2.10:5060");
    vec![("scripts run", 1)]
}

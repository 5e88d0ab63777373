//! The configuration of one server: text with placeholders, list file, options.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::log::Announced;
use super::module::Server;

/// The value of a modparam.
#[derive(Clone, Debug)]
pub enum Value {
    /// Written as a number.
    Int(i64),
    /// Written in quotes.
    Text(String),
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Self::Text(s.to_owned())
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Self::Text(s)
    }
}

/// The config of one server, its list and its other files.
///
/// Placeholders in config, list and parameters: `{{PORT}}`, `{{LISTEN}}`, `{{MPATH}}`, `{{DIR}}`,
/// `{{LIST}}` (path of the list file), `{{CHILDREN}}`, and those of [`Config::define`].
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) text: String,
    pub(super) list: Option<Vec<u8>>,
    pub(super) files: Vec<(String, String)>,
    pub(super) children: u32,
    pub(super) tcp: bool,
    pub(super) ipv6: bool,
    pub(super) address: Option<SocketAddr>,
    pub(super) server: Option<Server>,
    pub(super) args: Vec<String>,
    pub(super) defines: HashMap<String, String>,
    pub(super) announced: Announced,
    pub(super) wrapper: Vec<String>,
    pub(super) native: bool,
    pub(super) as_it_is: bool,
    params: String,
    globals: String,
    modules: String,
}

impl Config {
    /// The routes only; globals, modules and RPC transports are added.
    pub fn routes(routes: &str) -> Self {
        let mut config = Self::raw("");
        config.text = format!("{PREAMBLE}\n{routes}\n");
        config
    }

    /// The whole config text. It must open `binrpc` at `unix:{{DIR}}/ctl` for the RPC helpers.
    pub fn raw(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            list: None,
            files: Vec::new(),
            children: 1,
            tcp: false,
            ipv6: false,
            address: None,
            server: None,
            args: Vec::new(),
            defines: HashMap::new(),
            announced: Announced::default(),
            wrapper: Vec::new(),
            native: false,
            as_it_is: false,
            params: String::new(),
            globals: String::new(),
            modules: String::new(),
        }
    }

    /// Content of the list file; also sets the parameter `list_file`.
    pub fn list(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.list = Some(content.into());
        self
    }

    /// One more file in the server's directory, with placeholders: a KEMI script for instance.
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// Number of UDP workers (default 1: everything in order).
    pub fn children(mut self, n: u32) -> Self {
        self.children = n;
        self
    }

    /// A parameter of the dispatcher module.
    pub fn param(self, name: &str, value: impl Into<Value>) -> Self {
        self.modparam("dispatcher", name, value)
    }

    /// A parameter of any module. Lines go where the text has `{{PARAMS}}`.
    pub fn modparam(mut self, module: &str, name: &str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::Int(n) => n.to_string(),
            Value::Text(s) => format!("{s:?}"),
        };
        self.params += &format!("modparam(\"{module}\", \"{name}\", {value})\n");
        self
    }

    /// Lines of a config that set parameters, as they are written.
    pub fn params(mut self, lines: &str) -> Self {
        self.params += lines;
        self
    }

    /// A global setting, one line before the modules are loaded.
    pub fn global(mut self, line: &str) -> Self {
        self.globals += &format!("{line}\n");
        self
    }

    /// More routes, behind the others.
    pub fn more_routes(mut self, routes: &str) -> Self {
        self.text += routes;
        self
    }

    /// Runs another server than the one under test.
    pub fn server(mut self, server: &Server) -> Self {
        self.server = Some(server.clone());
        self
    }

    /// One more module, loaded before dispatcher.
    pub fn load(mut self, module: &str) -> Self {
        self.modules += &format!("loadmodule \"{module}\"\n");
        self
    }

    /// Listen on TCP as well.
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Listen on ::1 as well.
    pub fn ipv6(mut self) -> Self {
        self.ipv6 = true;
        self
    }

    /// Listen at this address, instead of at a free port of 127.0.0.1.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Size of shared memory. Unit: MB.
    pub fn shm_mb(self, n: u32) -> Self {
        self.arg("-m").arg(&n.to_string())
    }

    /// Size of each process's private memory. Unit: MB.
    pub fn pkg_mb(self, n: u32) -> Self {
        self.arg("-M").arg(&n.to_string())
    }

    /// Memory manager of both kinds of memory: `fm`, `qm` or `tlsf`.
    pub fn memory_manager(self, name: &str) -> Self {
        self.arg("-x").arg(name).arg("-X").arg(name)
    }

    /// Without a parameter `compat`, our module goes by the server's own version; else tests get
    /// the meanings of 5.6 on servers that have others.
    pub fn native(mut self) -> Self {
        self.native = true;
        self
    }

    /// The C module gets the config with the names that its version does not know.
    pub fn as_it_is(mut self) -> Self {
        self.as_it_is = true;
        self
    }

    /// One more argument of the server's command line.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Runs the server under another program, given by its command line, in which `{{DIR}}` is
    /// the server's directory.
    pub fn under(mut self, program: &[&str]) -> Self {
        self.wrapper = program.iter().map(|&part| part.to_owned()).collect();
        self
    }

    /// A placeholder of the test's own: `{{NAME}}` becomes `value`.
    pub fn define(mut self, name: &str, value: impl ToString) -> Self {
        self.defines.insert(name.to_owned(), value.to_string());
        self
    }

    /// A log line with this text must come.
    pub fn expect_log(mut self, text: &str) -> Self {
        self.announced.expected.push(text.to_owned());
        self
    }

    /// A log line with this text may come.
    pub fn allow_log(mut self, text: &str) -> Self {
        self.announced.allowed.push(text.to_owned());
        self
    }

    /// Errors and warnings are this test's business; only BUG, CRITICAL and ALERT fail it.
    pub fn only_critical(mut self) -> Self {
        self.announced.only_critical = true;
        self
    }

    /// Config text before the last placeholders are known.
    pub(super) fn assembled(&self) -> String {
        let list = if self.list.is_some() {
            "modparam(\"dispatcher\", \"list_file\", \"{{LIST}}\")\n"
        } else {
            ""
        };
        self.text
            .replace("{{GLOBALS}}", &self.globals)
            .replace("{{MODULES}}", &self.modules)
            .replace("{{PARAMS}}", &format!("{list}{}", self.params))
    }
}

/// Everything before the routes. DNS gives up fast, so that unresolvable names cost little.
const PREAMBLE: &str = r#"#!KAMAILIO
debug=2
log_stderror=yes
children={{CHILDREN}}
auto_aliases=no
{{LISTEN}}
pv_buffer_size=65000
max_while_loops=1000000
dns_retr_time=1
dns_retr_no=1
dns_servers_no=1
dns_use_search_list=no
server_header="Server: test"
{{GLOBALS}}
mpath="{{MPATH}}"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "textopsx.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "kex.so"
loadmodule "corex.so"
loadmodule "htable.so"
loadmodule "cfg_rpc.so"
loadmodule "ctl.so"
loadmodule "jsonrpcs.so"
{{MODULES}}
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{{DIR}}/rpc")
modparam("htable", "htable", "trace=>size=10;")
{{PARAMS}}
"#;

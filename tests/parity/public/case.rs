//! What a config is made of, and its places for gateways.

use harness::{Config, packaged, this_server};

/// A config of somebody's installation.
///
/// Its texts have places for gateways: `{{A}}` is the address with the port, `{{A_IP}}` and `{{A_PORT}}` are
/// its parts.
pub struct Case {
    pub name: &'static str,
    /// What it is for.
    pub kind: &'static str,
    /// Each gateway as `A`, `A=503`, `A=503/404`: what it answers to calls and to pings, 200 if nothing stands
    /// there, and nothing at all if there is a dash. `A6` is at `::1`. At the address of `A=x` is nobody but a caller.
    pub gates: &'static str,
    /// One line each: a parameter of dispatcher, or of another module as `tm.fr_timer 500`; `load x.so`,
    /// `global …`, `tcp`, `ipv6`.
    pub setup: &'static str,
    /// Routes; `route[START]` and `route[OUT]` are there.
    pub routes: &'static str,
    /// The list file, or `none`.
    pub list: &'static str,
    /// Other files, by name.
    pub files: &'static [(&'static str, &'static str)],
    /// What happens, one step a line: see `scene.rs`.
    pub play: &'static str,
    /// The C module of this server has what it is about.
    pub if_c: fn() -> bool,
}

/// Fills what a case does not name.
pub const EMPTY: Case = Case {
    name: "",
    kind: "",
    gates: "A B",
    setup: "",
    routes: "",
    list: "",
    files: &[],
    play: "",
    if_c: || true,
};

/// What every config does before it dispatches, and how it lets go.
const COMMON: &str = r#"
route[START] {
    if (!mf_process_maxfwd_header("10")) {
        sl_send_reply("483", "Too Many Hops");
        exit;
    }
    if (is_method("CANCEL")) {
        if (t_check_trans()) t_relay();
        exit;
    }
    if (has_totag()) {
        if (loose_route()) route(OUT);
        if (is_method("ACK")) {
            if (t_check_trans()) t_relay();
            exit;
        }
        sl_send_reply("404", "No Such Dialog");
        exit;
    }
    t_check_trans();
    if (is_method("INVITE|SUBSCRIBE")) record_route();
}

route[OUT] {
    if (!t_relay()) sl_reply_error();
    exit;
}
"#;

impl Case {
    /// The config. The C module gets it as it is, or without the names that it does not know.
    pub fn config(&self, as_it_is: bool) -> Config {
        let common = if self.routes.contains("route(START)") {
            COMMON
        } else {
            ""
        };
        let mut config = Config::routes(&format!("{}{common}", self.routes))
            .only_critical()
            .native();
        if as_it_is {
            config = config.as_it_is();
        }
        if self.list != "none" {
            config = config.list(self.list);
        }
        if !self.setup.contains("tm.fr_timer") {
            config = config.modparam("tm", "fr_timer", 1_500);
        }
        for (name, content) in self.files {
            config = config.file(name, content);
        }
        let lines = self.setup.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        lines.fold(config, |config, line| set(config, line, as_it_is))
    }

    /// Parameters that the C module of this server does not know.
    pub fn unknown_to_c(&self) -> Vec<&'static str> {
        let names = self.setup.lines().filter_map(parameter);
        names
            .map(|(name, _)| name)
            .filter(|name| !name.contains('.') && !packaged::has(name))
            .collect()
    }

    /// True if pings come while it plays.
    pub fn pings_often(&self) -> bool {
        self.interval() == Some("1")
    }

    /// True if pings are on, and too seldom to be waited for.
    pub fn pings_seldom(&self) -> bool {
        self.interval().is_some_and(|interval| interval != "1")
    }

    fn interval(&self) -> Option<&'static str> {
        let values = self.setup.lines().filter_map(parameter);
        let mut values = values.filter(|(name, _)| *name == "ds_ping_interval");
        values.next().map(|(_, value)| value)
    }

    /// True if the server and its C module have what it is about.
    pub fn can_run(&self) -> bool {
        (self.if_c)() && self.modules().all(this_server::has_module)
    }

    /// Files of the modules that it loads itself.
    fn modules(&self) -> impl Iterator<Item = &'static str> {
        let text = self.setup.lines().chain(self.routes.lines());
        let loaded = text.filter_map(|line| {
            let rest = line.trim().strip_prefix("load");
            rest.map(|rest| rest.trim_start_matches("module"))
        });
        let files = loaded.map(|rest| rest.trim().trim_matches('"'));
        files.filter(|file| file.ends_with(".so"))
    }
}

/// Name and value of a parameter, if the line is one.
fn parameter(line: &'static str) -> Option<(&'static str, &'static str)> {
    let (name, value) = line.trim().split_once(' ')?;
    (!["load", "global"].contains(&name)).then_some((name, value.trim()))
}

/// Adds one line of a case's setup.
fn set(config: Config, line: &'static str, as_it_is: bool) -> Config {
    let Some((name, value)) = parameter(line) else {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        return match word {
            "load" => config.load(rest),
            "global" => config.global(rest),
            "tcp" => config.tcp(),
            "ipv6" => config.ipv6(),
            _ => panic!("no setup: {line}"),
        };
    };
    // The one old name that another one has taken the place of.
    let name = match name {
        "ds_probing_threshhold" if !as_it_is => "ds_probing_threshold",
        "setid_pvar" if !as_it_is => "setid_pvname",
        _ => name,
    };
    let (module, name) = name.split_once('.').unwrap_or(("dispatcher", name));
    match value.parse::<i64>() {
        Ok(number) => config.modparam(module, name, number),
        Err(_) => config.modparam(module, name, value.trim_matches('"')),
    }
}

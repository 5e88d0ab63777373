//! Every parameter with values of every kind: does the server start, and what works then.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::pair::answer;
use crate::report::Report;
use crate::{compare, compare_lists};
use harness::{
    Answer, Config, Crowd, Kamailio, Module, Request, Step, Uac, Uas, Value, packaged, patience,
    wait_for,
};

/// How a start ended.
pub enum Outcome {
    /// It did not, and this is why, with the log.
    Refuses(String),
    /// It did, and this is what it does.
    Starts(String),
}

impl Outcome {
    /// Returns what to compare.
    pub fn word(&self) -> &str {
        match self {
            Outcome::Refuses(_) => "refuses",
            Outcome::Starts(works) => works,
        }
    }
}

/// A config with these routes and few modules, which starts quickly.
pub fn small(routes: &str) -> Config {
    Config::raw(&format!("{PREAMBLE}{routes}\n"))
        .only_critical()
        .shm_mb(16)
}

const PREAMBLE: &str = r#"#!KAMAILIO
debug=2
log_stderror=yes
children=1
auto_aliases=no
{{LISTEN}}
{{GLOBALS}}
mpath="{{MPATH}}"
{{MODULES}}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "ctl.so"
loadmodule "jsonrpcs.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
modparam("tm", "auto_inv_100", 0)
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{{DIR}}/rpc")
{{PARAMS}}
"#;

/// Starts at the same time. Each is short, and mostly waits.
const AT_ONCE: usize = 6;

/// Starts each config under the C module and ours. `look` says what a server that has started does.
pub fn both(
    configs: &[Config],
    look: impl Fn(&Kamailio) -> String + Sync,
) -> Vec<(Outcome, Outcome)> {
    both_at_once(AT_ONCE, configs, look)
}

fn both_at_once(
    threads: usize,
    configs: &[Config],
    look: impl Fn(&Kamailio) -> String + Sync,
) -> Vec<(Outcome, Outcome)> {
    let one = |module, config: &Config| match Kamailio::try_start(module, config.clone().native()) {
        Err(log) => Outcome::Refuses(log),
        Ok(server) => {
            let works = format!("starts {}", look(&server));
            server.abandon();
            Outcome::Starts(works)
        }
    };
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Relaxed);
            let Some(config) = configs.get(at) else {
                return;
            };
            let outcomes = (one(Module::C, config), one(Module::Rust, config));
            done.lock().unwrap().push((at, outcomes));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, outcomes)| outcomes).collect()
}

/// Selects, moves on, marks and asks for the sender, or reloads twice; the reply says what came of each.
const ROUTES: &str = r#"
request_route {
    # A retransmission runs nothing.
    t_newtran();
    if ($rU == "reload") {
        ds_reload();
        $var(a) = $rc;
        ds_reload();
        $var(said) = $_s(reload $var(a) $rc);
        t_reply("200", "$var(said)");
        exit;
    }
    ds_select_dst("1", "8");
    $var(a) = $rc;
    $var(first) = $du;
    ds_next_dst();
    $var(b) = $rc;
    $var(second) = $du;
    ds_mark_dst("t");
    $var(c) = $rc;
    ds_is_from_list("2");
    $var(d) = $rc;
    ds_select_dst("3", "10");
    $var(said) = $_s(rc $var(a) $var(first) $var(b) $var(second) $var(c) $var(d) $rc);
    t_reply("200", "$var(said)");
}
"#;
const LIST: &str = "1 sip:127.0.0.1:7001 0 9\n1 sip:127.0.0.1:7002 0 5\n1 sip:127.0.0.1:7003\n\
    2 sip:127.0.0.1\n3 sip:127.0.0.1:7004 0 0 duid=a\n";

/// Values of a text: empty, padded, of another time, of another product, and nonsense.
const TEXTS: [&str; 10] = [
    "",
    " ",
    "x",
    " x ",
    "a b",
    "sip:a@b",
    "$var(x)y",
    "$avp(i:271)",
    "$nosuch(x)",
    "udp:127.0.0.1:{{PORT}}",
];
/// Values of a number.
const NUMBERS: [i64; 8] = [-2_147_483_648, -1, 0, 1, 3, 33, 1_000, 4_294_967_295];
const TEXT_PARAMETERS: [&str; 13] = [
    "db_url",
    "hash_pvar",
    "setid_pvname",
    "attrs_pvname",
    "xavp_dst",
    "xavp_ctx",
    "event_callback",
    "ds_ping_method",
    "ds_ping_from",
    "ds_ping_reply_codes",
    "outbound_proxy",
    "ds_default_socket",
    "ds_default_sockname",
];
const NUMBER_PARAMETERS: [&str; 22] = [
    "force_dst",
    "flags",
    "use_default",
    "xavp_dst_mode",
    "xavp_ctx_mode",
    "ds_attrs_none",
    "ds_load_mode",
    "ds_probing_threshold",
    "ds_inactive_threshold",
    "reload_delta",
    "ds_hash_size",
    "ds_hash_expire",
    "ds_hash_initexpire",
    "ds_hash_check_interval",
    "ds_ping_interval",
    "ds_probing_mode",
    "ds_timer_mode",
    "ds_ping_latency_stats",
    "ds_latency_estimator_alpha",
    "ds_dns_mode",
    "ds_dns_interval",
    "ds_dns_ttl",
];
/// What is on while a parameter is tried, unless it is tried with all features off.
const FEATURES: [(&str, i64); 6] = [
    ("flags", 2),
    ("ds_ping_interval", 60),
    ("ds_hash_size", 4),
    ("ds_ping_latency_stats", 1),
    ("ds_dns_mode", 7),
    ("reload_delta", 0),
];
#[test]
fn every_parameter() {
    compare_lists(|report, _| parameters(report));
}

#[test]
fn pairs_of_parameters() {
    compare_lists(|report, _| pairs(report));
}

#[test]
fn what_pings_say() {
    compare(|report, _| pings(report));
}

#[test]
fn which_replies_are_good() {
    compare(reply_codes);
}

fn with(params: &[(&str, Value)], features: bool) -> Config {
    let mut config = small(ROUTES);
    if params.iter().all(|(name, _)| *name != "list_file") {
        config = config.list(LIST);
    }
    for (name, number) in FEATURES
        .iter()
        .filter(|(name, _)| features || *name == "reload_delta")
    {
        if params.iter().all(|(other, _)| other != name) {
            config = config.param(name, *number);
        }
    }
    let set = |config: Config, (name, value): &(&str, Value)| config.param(name, value.clone());
    params.iter().fold(config, set)
}

/// Returns what a server does with one call, and what its list says then.
fn works(server: &Kamailio) -> String {
    let uac = Uac::new();
    let ask = |user: &str| {
        let invite = Request::new("INVITE", format!("sip:{user}@service.test"));
        uac.request(server.addr(), &invite).start
    };
    let called = ask("callee");
    let list = answer(server, server.jsonrpc_text("dispatcher.list", json!([])));
    format!("{called}; {}; {list}", ask("reload"))
}

/// Starts each list of parameters, and compares what works then.
fn try_all(report: &mut Report, cases: &[(Vec<(&str, Value)>, bool)]) {
    let configs: Vec<Config> = cases.iter().map(|(params, on)| with(params, *on)).collect();
    let outcomes = both(&configs, works);
    for ((params, on), (c, ours)) in cases.iter().zip(outcomes) {
        let features = if *on { "" } else { " and all off" };
        let what = format!("starts, {params:?}{features}");
        report.compare(&what, c.word(), ours.word());
        if let Outcome::Refuses(log) = &ours {
            report.check(&what, !log.contains(" BUG: "), log);
        }
    }
}

fn parameters(report: &mut Report) {
    let mut cases = Vec::new();
    for name in TEXT_PARAMETERS
        .into_iter()
        .filter(|name| packaged::has(name))
    {
        for value in TEXTS {
            cases.push((vec![(name, Value::from(value))], true));
        }
        cases.push((vec![(name, Value::from(1))], true));
    }
    for name in NUMBER_PARAMETERS
        .into_iter()
        .filter(|name| packaged::has(name))
    {
        for value in NUMBERS {
            cases.push((vec![(name, Value::from(value))], true));
        }
        cases.push((vec![(name, Value::from("1"))], true));
    }
    let of_a_feature = cases.clone().into_iter().filter(|(params, _)| {
        let (name, value) = &params[0];
        let odd = matches!(value, Value::Int(-1 | 33)) || matches!(value, Value::Text(_));
        odd && [
            "ds_ping", "ds_hash", "ds_dns", "ds_prob", "ds_time", "xavp", "outb",
        ]
        .iter()
        .any(|feature| name.starts_with(feature))
    });
    let off: Vec<_> = of_a_feature.map(|(params, _)| (params, false)).collect();
    cases.extend(off);
    for value in [
        "/dev/null",
        "{{DIR}}",
        "{{DIR}}/nosuch",
        "",
        " ",
        "/dev/null ",
        "NULL",
    ] {
        cases.push((vec![("list_file", Value::from(value))], true));
    }
    try_all(report, &cases);
}

/// Parameters that decide with each other.
fn pairs(report: &mut Report) {
    let names = [
        "front",
        "FRONT",
        " front",
        "nosuch",
        "",
        "udp:127.0.0.1:{{PORT}}",
    ];
    let places = ["udp:127.0.0.1:{{PORT}}", "udp:127.0.0.1:9", "nosuch", ""];
    let sockets = names.iter().flat_map(|name| {
        places.map(|place| {
            vec![
                ("ds_default_sockname", Value::from(*name)),
                ("ds_default_socket", Value::from(place)),
            ]
        })
    });
    let mut cases: Vec<(Vec<(&str, Value)>, bool)> = sockets.map(|params| (params, true)).collect();
    for (dst, ctx) in [
        ("a b", "a b"),
        ("x", "x"),
        ("", "y"),
        ("", ""),
        ("x=>y", "a[0]"),
    ] {
        let params = vec![
            ("xavp_dst", Value::from(dst)),
            ("xavp_ctx", Value::from(ctx)),
        ];
        cases.push((params, true));
    }
    for mode in [0, 1] {
        let params = vec![
            ("xavp_ctx", Value::from("")),
            ("xavp_ctx_mode", Value::from(mode)),
        ];
        cases.push((params, true));
    }
    let configs: Vec<Config> = cases
        .iter()
        .map(|(params, on)| {
            with(params, *on).global("listen=udp:127.0.0.2:{{PORT}} name \"front\"")
        })
        .collect();
    for ((params, _), (c, ours)) in cases.iter().zip(both(&configs, works)) {
        report.compare(&format!("starts, {params:?}"), c.word(), ours.word());
    }
}

/// The request line and the From of the first ping, where it goes to, and what the answer makes of the destination.
fn pings(report: &mut Report) {
    let from = [
        "",
        " ",
        "x",
        "sip:a_b@h_x.test",
        "<sip:a@b>",
        "\"Me\" <sip:a@b>",
        "Me <sip:a@b>",
        " sip:a@b ",
        "a@b",
        "sip:",
        "tel:+1",
        "sips:a@b",
        "sip:a@b;x=y",
        "sip:a b@c",
    ];
    let proxies = [
        "",
        " ",
        "x",
        "sip:{{AT}}",
        "{{AT}}",
        "<sip:{{AT}}>",
        "\"P\" <sip:{{AT}}>",
        " sip:{{AT}}",
        "sip:u_x@{{AT}}",
        "sip:a@h_st.invalid",
        "udp:{{AT}}",
        "tel:1",
    ];
    let methods = [
        "", " ", "OPTIONS ", " INFO", "a b", "options", "a/b", "NOTIFY", "é", "INVITE", "ACK",
        "CANCEL",
    ];
    let parameters = [
        ("ds_ping_from", &from[..]),
        ("outbound_proxy", &proxies[..]),
        ("ds_ping_method", &methods[..]),
        ("ping_from", &from[2..6]),
        (
            "obproxy",
            &["<sip:{{AT}}>", "sip:{{AT}}", "{{AT}}", "x"][..],
        ),
    ];
    let cases: Vec<(&str, &str)> = parameters
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (*name, *value)))
        // In a list file a blank ends the attributes.
        .filter(|(name, value)| {
            name.starts_with("ds_") || *name == "outbound_proxy" || !value.contains(' ')
        })
        .collect();
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<(usize, String, String)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some((name, value)) = cases.get(next.fetch_add(1, Relaxed)) {
                    let at = cases.iter().position(|case| case == &(*name, *value));
                    let [c, ours] = [Module::C, Module::Rust].map(|m| first_ping(m, name, value));
                    answers
                        .lock()
                        .unwrap()
                        .push((at.expect("the case"), c, ours));
                }
            });
        }
    });
    for (at, c, ours) in answers.into_inner().unwrap() {
        let (name, value) = cases[at];
        report.compare(&format!("starts, ping with {name} {value:?}"), &c, &ours);
    }
}

fn first_ping(module: Module, name: &str, value: &str) -> String {
    let (gate, proxy) = (Uas::start(Answer::Code(200)), Uas::start(Answer::Code(200)));
    let at = proxy.uri().replace("sip:", "");
    let value = value.replace("{{AT}}", &at);
    let is_attribute = matches!(name, "ping_from" | "obproxy");
    let attribute = if is_attribute {
        format!("{name}={value}")
    } else {
        String::new()
    };
    let mut config = small("request_route { exit; }")
        .list(format!("1 {} 8 0 {attribute}\n", gate.uri()))
        .param("ds_ping_interval", 1)
        .param("ds_probing_mode", 1);
    if !is_attribute {
        config = config.param(name, value);
    }
    let Ok(server) = Kamailio::try_start(module, config.native()) else {
        return "refuses".to_owned();
    };
    let flags = || server.flags(1, &gate.uri());
    let seen = || {
        let mut requests = [("gate", gate.requests()), ("proxy", proxy.requests())].into_iter();
        let found = requests.find_map(|(who, requests)| Some((who, requests.first()?.clone())));
        let gone = flags() != "AP";
        (found.is_some() || gone).then(|| (found, flags()))
    };
    let (found, flags) = wait_for("a ping, or its end", patience(10), seen);
    let said = found.map(|(who, ping)| {
        let start = ping.start.split(" sip:").next().unwrap_or_default();
        let from = ping.text("From");
        format!(
            "{who}: {start:?} {}",
            from.split(";tag=").next().unwrap_or_default()
        )
    });
    let said = said.unwrap_or_else(|| "nothing came".to_owned());
    server.abandon();
    format!("{said} {flags}")
}

/// The codes with which destinations answer.
const CODES: [u16; 18] = [
    200, 202, 299, 300, 302, 399, 400, 403, 404, 408, 480, 499, 500, 503, 599, 600, 604, 699,
];

/// What means something in reply codes, and what does not.
const CODES_TEXTS: [&str; 40] = [
    "501,403,404",
    "501, 403, 404",
    "200",
    "404;403",
    "code:404",
    "code=404;503",
    "class=2;x",
    "class=4xx",
    "class=2;code=404,code=480",
    "code=404x",
    "code = 404 ",
    "code=\"404\";code='503'",
    "code=+404",
    "code=-404",
    "code=4x04",
    "code=4040",
    "class=44",
    "class=7",
    "class=1",
    "CODE=404;Class=5",
    "code=65940",
    "code=404:code=503",
    "code==404",
    "code=404=503",
    "a=\"b;code=404\";code=503",
    ",code=404",
    "code;code=404",
    "\"code\"=404",
    ";;code=404",
    "code=404;;code=503",
    "codes=404",
    "",
    " ",
    "code=",
    "code=404 code=486",
    " code=404",
    "code=404;",
    "class= 3;code=488",
    "code=408",
    "code=404\n;code=503",
];

/// One server for each text: its destinations answer one code each.
fn reply_codes(report: &mut Report, rng: &mut StdRng) {
    let parts = [
        "code", "class", "=", "=", ";", ";", "404", "503", "4", "5", " ", ",", "x", "\"",
        "code=404", "class=5", "-",
    ];
    let mut texts: Vec<String> = CODES_TEXTS.map(str::to_owned).to_vec();
    texts.extend((0..40).map(|_| {
        let n = rng.random_range(2..9);
        (0..n)
            .map(|_| parts[rng.random_range(0..parts.len())])
            .collect::<String>()
    }));
    let crowd = Crowd::start();
    for code in CODES {
        crowd.script(&code.to_string(), &[Step::Code(code)]);
    }
    let list = CODES
        .map(|code| format!("1 {} 0\n", crowd.uri(&code.to_string())))
        .concat();
    let configs = texts.iter().map(|text| {
        small("request_route { exit; }")
            .list(list.clone())
            .param("ds_ping_interval", 1)
            .param("ds_probing_mode", 1)
            .param("ds_ping_reply_codes", text.as_str())
    });
    let configs: Vec<Config> = configs.collect();
    let outcomes = both_at_once(16, &configs, |server| good_codes(server, &crowd));
    for (text, (c, ours)) in texts.iter().zip(outcomes) {
        report.compare(
            &format!("starts, reply codes {text:?}"),
            c.word(),
            ours.word(),
        );
    }
}

fn good_codes(server: &Kamailio, crowd: &Crowd) -> String {
    let flags = || {
        let all = server.lister().flags();
        CODES.map(|code| {
            all.get(&crowd.uri(&code.to_string()))
                .cloned()
                .unwrap_or_default()
        })
    };
    // A result leaves probing behind, good or bad.
    let told = wait_for("a result of every ping", patience(10), || {
        let flags = flags();
        flags
            .iter()
            .all(|flags| flags.ends_with('P'))
            .then_some(flags)
    });
    let good = CODES
        .iter()
        .zip(&told)
        .filter(|(_, flags)| flags.starts_with('A'));
    good.map(|(code, _)| format!(" {code}")).collect()
}

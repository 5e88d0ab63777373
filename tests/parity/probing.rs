//! Pings: the same scripted destinations under both modules, one crowd for each, and their traces.

use std::time::Duration;

use serde_json::json;

use crate::compare_alone;
use crate::pair::against_itself;
use crate::report::Report;
use harness::{Cast, Config, Crowd, Kamailio, Module, STARTS, Step, patience, wait_for};

const GOOD: Step = Step::Code(200);
const BAD: Step = Step::Code(503);

/// Plays under one module; yields a trace a line.
type Scene = fn(Module) -> Vec<String>;

#[test]
fn modes_0_and_1() {
    compare_alone(|report, _| modes(report, [0, 1]));
}

#[test]
fn modes_2_and_3() {
    compare_alone(|report, _| modes(report, [2, 3]));
}

#[test]
fn thresholds_replies_states_flags_and_requests() {
    compare_alone(|report, _| scenes(report));
}

/// Two probing modes with each threshold, each with both modules at the same time.
fn modes(report: &mut Report, modes: [i64; 2]) {
    let cells = modes.map(|mode| [1, 2, 3].map(|threshold| (mode, threshold)));
    let cells = cells.as_flattened();
    let casts: Vec<Cast> = cells
        .iter()
        .flat_map(|cell| [(Module::C, *cell), (Module::Rust, *cell)])
        .map(|(module, (mode, threshold))| {
            let cast = Cast::start(module, Cast::config(mode, threshold));
            ignore_log(&cast.server);
            cast
        })
        .collect();
    let traces = std::thread::scope(|scope| {
        let run = |cast: &Cast| {
            cast.begin(&STARTS);
            cast.traces(&STARTS)
        };
        let runs: Vec<_> = casts.iter().map(|c| scope.spawn(move || run(c))).collect();
        let ends = runs.into_iter().map(|run| run.join().expect("it ran"));
        ends.collect::<Vec<_>>()
    });
    for (cell, pair) in cells.iter().zip(traces.chunks(2)) {
        let what = format!("probing mode {}, threshold {}", cell.0, cell.1);
        compare(report, &what, &pair[0], &pair[1]);
    }
}

/// All scenes at the same time, because they mostly wait.
fn scenes(report: &mut Report) {
    let scenes: [(&str, Scene); 6] = [
        ("two thresholds", two_thresholds),
        ("reply codes", reply_codes),
        ("set_state", set_state),
        ("list flags", list_flags),
        ("what a ping says", requests),
        ("not sent", unsent),
    ];
    for (what, c, ours) in std::thread::scope(|scope| {
        let runs = scenes.map(|(what, scene)| {
            let sides = [Module::C, Module::Rust].map(|m| scope.spawn(move || scene(m)));
            (what, sides)
        });
        runs.map(|(what, sides)| {
            let [c, ours] = sides.map(|side| side.join().expect("it ran"));
            (what, c, ours)
        })
    }) {
        compare(report, &format!("probing, {what}"), &c, &ours);
    }
}

fn compare(report: &mut Report, what: &str, c: &[String], ours: &[String]) {
    assert_eq!(c.len(), ours.len(), "{what}");
    for (c, ours) in c.iter().zip(ours) {
        report.compare(what, c, ours);
    }
}

fn ignore_log(server: &Kamailio) {
    if server.module() == Module::C || against_itself() {
        server.ignore_log();
    }
}

/// A server with a crowd that plays these scripts, each from start flags 8.
fn stage(module: Module, config: Config, scripts: &[(&str, &[Step])]) -> (Kamailio, Crowd) {
    let lines: Vec<(&str, &str)> = scripts.iter().map(|(name, _)| (*name, "8")).collect();
    stage_with(module, config, scripts, &lines)
}

/// Like [`stage`], with the rest of the line of each URI in the list.
fn stage_with(
    module: Module,
    config: Config,
    scripts: &[(&str, &[Step])],
    lines: &[(&str, &str)],
) -> (Kamailio, Crowd) {
    let server = Kamailio::start(module, config.native());
    ignore_log(&server);
    let crowd = Crowd::start();
    let mut list = String::new();
    for (name, steps) in scripts {
        crowd.script(name, steps);
    }
    for (name, rest) in lines {
        list += &format!("1 {} {rest}\n", crowd.uri(name));
    }
    crowd.load(&server, &list);
    (server, crowd)
}

fn traces(crowd: &Crowd, names: &[&str], n: usize) -> Vec<String> {
    let trace = |name: &&str| format!("{name}: {}", crowd.trace(name, n, patience(3)));
    names.iter().map(trace).collect()
}

/// Down after two, up after three, and every order of six results.
fn two_thresholds(module: Module) -> Vec<String> {
    let config = Cast::config_with(1, 2, 3);
    let names: Vec<String> = (0..64).map(|n| format!("{n:06b}")).collect();
    let steps = |name: &str| {
        let step = |c| if c == '1' { GOOD } else { BAD };
        name.chars().map(step).collect::<Vec<Step>>()
    };
    let steps: Vec<Vec<Step>> = names.iter().map(|name| steps(name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scripts: Vec<(&str, &[Step])> = names
        .iter()
        .zip(&steps)
        .map(|(n, s)| (*n, s.as_slice()))
        .collect();
    let (_server, crowd) = stage(module, config, &scripts);
    traces(&crowd, &names, 8)
}

/// Which codes are good, configured ones and a local one among them.
fn reply_codes(module: Module) -> Vec<String> {
    let config = Cast::config(1, 1).param(
        "ds_ping_reply_codes",
        "class=3;code=403;Code=404;code=408;CLASS=6;code=999;class=7",
    );
    let codes = [
        200, 202, 299, 300, 302, 401, 403, 404, 405, 486, 500, 503, 600, 603,
    ];
    let steps = codes.map(|code| [Step::Code(code)]);
    let names = codes.map(|code| format!("c{code}"));
    let mut scripts: Vec<(&str, &[Step])> = Vec::new();
    for (name, step) in names.iter().zip(&steps) {
        scripts.push((name, step));
    }
    scripts.push(("silent", &[Step::Silent]));
    let (_server, crowd) = stage(module, config, &scripts);
    let names: Vec<&str> = scripts.iter().map(|(name, _)| *name).collect();
    traces(&crowd, &names, 4)
}

/// A state that somebody sets, and the states that pings make of it.
fn set_state(module: Module) -> Vec<String> {
    let mut out = Vec::new();
    let settings = ["a", "ap", "i", "ip", "d", "t", "tp"];
    let kinds: [(&str, &[Step]); 2] = [("ok", &[GOOD]), ("refuses", &[BAD])];
    let names: Vec<(String, &[Step])> = kinds
        .iter()
        .flat_map(|(kind, steps)| settings.map(|set| (format!("{kind}-{set}"), *steps)))
        .collect();
    let scripts: Vec<(&str, &[Step])> = names.iter().map(|(n, s)| (n.as_str(), *s)).collect();
    let (server, crowd) = stage(module, Cast::config(1, 2), &scripts);
    // Each between its own third and fourth ping.
    let settled = |name: &str| {
        let third = crowd.pings(name).into_iter().nth(2);
        third.is_some_and(|ping| ping.at.elapsed() > Duration::from_millis(100))
    };
    let mut left = scripts.clone();
    wait_for("three pings of each", patience(10), || {
        left.retain(|(name, _)| {
            let ready = settled(name);
            if ready {
                let letters = name.split_once('-').expect("a setting").1;
                let asked = json!([letters, 1, crowd.uri(name)]);
                let set = server.jsonrpc("dispatcher.set_state", asked);
                set.expect("the state is set");
            }
            !ready
        });
        left.is_empty().then_some(())
    });
    for (name, _) in &scripts {
        out.push(format!("{name}: {}", crowd.trace(name, 7, patience(3))));
    }
    out
}

/// All flags of a list, in the modes that ping all and that ping what is in probing.
fn list_flags(module: Module) -> Vec<String> {
    let mut out = Vec::new();
    let flags: Vec<String> = (0..64).map(|n| format!("{n}")).collect();
    for mode in [1, 3] {
        let names: Vec<String> = flags.iter().map(|n| format!("f{n}")).collect();
        let scripts: Vec<(&str, &[Step])> =
            names.iter().map(|n| (n.as_str(), &[GOOD][..])).collect();
        let lines: Vec<(&str, &str)> = names
            .iter()
            .zip(&flags)
            .map(|(name, flags)| (name.as_str(), flags.as_str()))
            .collect();
        let (_server, crowd) = stage_with(module, Cast::config(mode, 1), &scripts, &lines);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let traces = traces(&crowd, &names, 3);
        out.extend(
            traces
                .into_iter()
                .map(|trace| format!("mode {mode}, {trace}")),
        );
    }
    out
}

/// Names of the headers in turn, and those values that do not differ from ping to ping.
fn requests(module: Module) -> Vec<String> {
    let proxied = Crowd::start();
    let proxy = format!("0 0 obproxy={}", proxied.uri("proxy"));
    let bracketed = format!("0 0 obproxy=\"Proxy<{}>\"", proxied.uri("proxy"));
    let lines = [
        ("plain", ""),
        ("from", "0 0 ping_from=sip:me@here.test"),
        ("proxied", proxy.as_str()),
        ("bracketed", bracketed.as_str()),
    ];
    let scripts = lines.map(|(name, _)| (name, &[GOOD][..]));
    let config = Cast::config(1, 1).param("ds_ping_from", "sip:lb@here.test");
    let (server, crowd) = stage_with(module, config, &scripts, &lines);
    let ping = |crowd: &Crowd, name: &str| {
        crowd.wait_count(name, 1, patience(5));
        crowd.pings(name).remove(0).message
    };
    let mut out = Vec::new();
    for (crowd, name) in [
        (&crowd, "plain"),
        (&crowd, "from"),
        (&proxied, "proxied"),
        (&proxied, "bracketed"),
    ] {
        let message = ping(crowd, name);
        let port = crate::pair::neutral(&server, &message.start);
        let start = port.split('@').next().unwrap_or_default().to_owned();
        let names: Vec<&str> = message.headers.iter().map(|(n, _)| n.as_str()).collect();
        let value = |name: &str| {
            let text = message.text(name);
            text.split(['@', ';']).next().unwrap_or_default().to_owned()
        };
        let values = [
            "From",
            "To",
            "CSeq",
            "Max-Forwards",
            "User-Agent",
            "Content-Length",
        ];
        let values = values.map(value);
        out.push(format!(
            "{name}: {start}; {}; {}",
            names.join(" "),
            values.join("; ")
        ));
    }
    out
}

/// What cannot be sent: no socket fits, what is to be a URI is none, the server's own sending fails.
fn unsent(module: Module) -> Vec<String> {
    let lines = [
        ("sip:127.0.0.1:9;transport=tls", ""),
        ("sip:127.0.0.1:9;transport=tcp", ""),
        ("sips:127.0.0.1:9", ""),
        ("sip:127.0.0.1:8", "obproxy=127.0.0.1:9"),
        ("sip:127.0.0.1:7", "obproxy=sip:[::1]:9"),
        ("sip:127.0.0.1:6", "obproxy=<sip:127.0.0.1:9"),
        ("sip:240.0.0.1:9", ""),
    ];
    let mut out = Vec::new();
    // In mode 0 a bad ping is the last one.
    for (mode, threshold) in [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2)] {
        let config = Cast::config(mode, threshold).global("disable_tcp=yes");
        let server = Kamailio::start(module, config.native().allow_log("udp_send"));
        ignore_log(&server);
        let crowd = Crowd::start();
        crowd.script("clock", &[BAD]);
        let list = lines.map(|(uri, attrs)| format!("1 {uri} 8 0 {attrs}\n"));
        crowd.load(
            &server,
            &(list.concat() + &format!("1 {} 9\n", crowd.uri("clock"))),
        );
        crowd.wait_count(
            "clock",
            usize::try_from(threshold).expect("a number") + 2,
            patience(20),
        );
        for (uri, attrs) in lines {
            let flags = server.flags(1, uri);
            out.push(format!(
                "mode {mode}, threshold {threshold}, {uri} {attrs}: {flags}"
            ));
        }
    }
    out
}

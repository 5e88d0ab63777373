//! Names of the 3.x time: what pings, marks and commands do under them, beside the C module without them.
//!
//! The C module of 5.6 refuses the names, so its config is the same without them, and its list has 9 (inactive and
//! probing) where ours has flag 2, which the README of that time calls probing.

use std::time::Duration;

use serde_json::json;

use crate::compare_alone;
use crate::report::Report;
use harness::{Config, Crowd, Kamailio, Module, Probe, Step, Uac, packaged, patience, poll};

const GOOD: Step = Step::Code(200);
const BAD: Step = Step::Code(503);

/// The replies of a destination, ping by ping.
const SCRIPTS: [(&str, &[Step]); 4] = [
    ("answers", &[GOOD]),
    ("fails", &[BAD]),
    ("stops", &[GOOD, Step::Silent]),
    ("returns", &[BAD, BAD, BAD, GOOD]),
];
/// The list flags of a destination, for ours and for the C module.
const FLAGS: [(u32, u32); 6] = [(0, 0), (1, 1), (2, 9), (8, 8), (9, 9), (10, 9)];
/// The states that a command sets while pings are answered.
const COMMANDS: [&str; 7] = ["a", "ap", "i", "ip", "t", "tp", "d"];
/// How often each pinged destination is looked at.
const PINGS: usize = 5;
/// A destination that was not pinged for so many seconds is not pinged any more.
const QUIET: u64 = 2;

/// Each name of that time, and the three that its README has in the example.
const NAMES: [&[(&str, &str)]; 7] = [
    &[
        ("dst_avp", "$avp(AVP_DST)"),
        ("grp_avp", "$avp(AVP_GRP)"),
        ("cnt_avp", "$avp(AVP_CNT)"),
    ],
    &[("dst_avp", "$avp(d)")],
    &[("grp_avp", "$avp(i:271)")],
    &[("cnt_avp", "$avp(s:cnt)")],
    &[("dstid_avp", "$avp(dsdstid)")],
    &[("attrs_avp", "$avp(dsattrs)")],
    &[("setid_pvar", "$var(setid)")],
];

#[test]
fn old_names() {
    compare_alone(|report, _| {
        in_modes(report, &[0, 1, 2, 3]);
    });
}

/// A server, its destinations, and whether all of them are looked at.
struct Stage {
    what: String,
    server: Kamailio,
    crowd: Crowd,
    mode: i64,
    /// Has all destinations; else a part of them, for more servers at the same time.
    all: bool,
}

fn in_modes(report: &mut Report, modes: &[i64]) {
    let mut stages = Vec::new();
    for mode in modes {
        stages.push(stage(
            Module::C,
            *mode,
            "",
            &[("ds_probing_threshold", "3")],
        ));
        for names in NAMES {
            let what = names.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            stages.push(stage(Module::Rust, *mode, &what.join(" "), names));
        }
        let spelling = &[("ds_probing_threshhold", "3")];
        stages.push(stage(
            Module::Rust,
            *mode,
            "ds_probing_threshhold",
            spelling,
        ));
    }
    let played = std::thread::scope(|scope| {
        let runs: Vec<_> = stages
            .iter()
            .map(|stage| scope.spawn(|| play(stage)))
            .collect();
        let ends = runs.into_iter().map(|run| run.join().expect("it ran"));
        ends.collect::<Vec<_>>()
    });
    for (mode, group) in modes.iter().zip(stages.chunks(2 + NAMES.len())) {
        let of = |stage: &Stage| {
            let at = stages.iter().position(|other| std::ptr::eq(other, stage));
            &played[at.expect("one of them")]
        };
        for ours in &group[1..] {
            for (name, line) in of(ours) {
                let what = format!("old names, {}, probing mode {mode}, {name}", ours.what);
                let c = of(&group[0]).iter().find(|(other, _)| other == name);
                report.compare(&what, &c.expect("the C module has it").1, line);
            }
        }
    }
}

fn stage(module: Module, mode: i64, what: &str, names: &[(&str, &str)]) -> Stage {
    let config = Probe::new().config().only_critical().list("");
    let mut config: Config = config
        .param("flags", 2)
        .param("reload_delta", 0)
        .param("ds_ping_interval", 1)
        .param("ds_probing_mode", mode)
        .modparam("tm", "fr_timer", 500)
        .modparam("jsonrpcs", "pretty_format", 0);
    for (name, value) in names {
        config = match value.parse::<i64>() {
            Ok(number) => config.param(name, number),
            Err(_) => config.param(name, *value),
        };
    }
    let server = Kamailio::start(module, config.native());
    if module == Module::C {
        server.ignore_log();
    }
    Stage {
        what: what.to_owned(),
        server,
        crowd: Crowd::start(),
        mode,
        all: names.len() != 1 || module == Module::C,
    }
}

/// Returns for each destination its `FLAGS` at each ping, and if it is selected in the end.
fn play(stage: &Stage) -> Vec<(String, String)> {
    let (server, crowd) = (&stage.server, &stage.crowd);
    let ours = server.module() != Module::C;
    let mut list = String::new();
    let mut named = Vec::new();
    for (script, steps) in SCRIPTS {
        for (mine, c) in FLAGS {
            if !stage.all && (script == "fails" || script == "returns" || mine > 8) {
                continue;
            }
            let name = format!("{script}-{mine}");
            crowd.script(&name, steps);
            let set = named.len() + 1;
            list += &format!(
                "{set} {} {}\n",
                crowd.uri(&name),
                if ours { mine } else { c }
            );
            named.push(name);
        }
    }
    for command in COMMANDS {
        list += &format!("100 {} 8\n", crowd.uri(command));
    }
    crowd.load(server, &list);
    let mut lines = commands(stage);
    for (at, name) in named.into_iter().enumerate() {
        let trace = crowd.trace(&name, PINGS, patience(QUIET));
        let trace = trace + &selected(stage, at + 1, &name);
        lines.push((name, trace));
    }
    lines
}

/// Returns what two functions say of a destination that is alone in its set.
fn selected(stage: &Stage, set: usize, name: &str) -> String {
    let uri = stage.crowd.uri(name);
    let active = match packaged::has("ds_is_active") {
        true => format!("active,{set},{uri}|"),
        false => String::new(),
    };
    let operations = format!("{active}dst,{set},8");
    let lines = Probe::run(&Uac::new(), stage.server.addr(), &operations);
    let codes = lines.iter().filter_map(|line| {
        let rest = line.split_once(" rc=")?.1;
        rest.split(' ').next().map(|code| format!(" {code}"))
    });
    codes.collect()
}

/// Sets states, and returns what becomes of them while pings are answered.
fn commands(stage: &Stage) -> Vec<(String, String)> {
    let flags = |command: &str| stage.server.flags(100, &stage.crowd.uri(command));
    for command in COMMANDS {
        let asked = json!([command, 100, stage.crowd.uri(command)]);
        let set = stage.server.jsonrpc("dispatcher.set_state", asked);
        set.expect("the state is set");
    }
    // In mode 1 all but the disabled one come back; else who is not pinged stays as it is.
    let back = || COMMANDS.map(flags);
    let all = |found: &[String; 7]| stage.mode == 1 && found[..6].iter().all(|f| f == "AP");
    let found = poll(Duration::from_millis(100), patience(3), back, all);
    let lines = COMMANDS.iter().zip(found);
    lines
        .map(|(command, flags)| (format!("set_state {command}"), flags))
        .collect()
}

//! Arguments of every function: which configs start and which are refused, and what a variable as an argument does.
//!
//! `kamailio -c` looks at none of this: only a real start does.

use crate::compare;
use crate::pair::Pair;
use crate::report::Report;
use crate::starts::{self, Outcome, both};
use harness::{Config, Probe, packaged};

/// Texts and expressions where a number belongs.
const NUMBERS: [&str; 34] = [
    "1",
    "-1",
    "1+1",
    "\"1\"",
    "\"-1\"",
    "\"+1\"",
    "\"01\"",
    "\"\"",
    "\" \"",
    "\" 1\"",
    "\"1 \"",
    "\"f\"",
    "\"GRP_ID\"",
    "\"1a\"",
    "\"1,2\"",
    "\"1;2\"",
    "\"0x1\"",
    "\"1.5\"",
    "\"--1\"",
    "\"1-\"",
    "\"é\"",
    "\"2147483648\"",
    "\"4294967297\"",
    "\"$var(x)\"",
    "\" $var(x) \"",
    "\"1$var(x)\"",
    "\"$var(x)$var(y)\"",
    "\"$(hdr(X){s.int})\"",
    "\"$$\"",
    "\"$nosuch(x)\"",
    "\"$var(x\"",
    "\"$\"",
    "$var(x)",
    "$ci",
];
/// Some of them, for arguments that are prepared as those of another function.
const FEW: [&str; 10] = [
    "1",
    "\"1\"",
    "\"\"",
    "\"f\"",
    "\"1,2\"",
    "\"0x1\"",
    "\"$var(x)\"",
    "\"1$var(x)\"",
    "\"$nosuch(x)\"",
    "$var(x)",
];
/// Texts where a text belongs.
const TEXTS: [&str; 12] = [
    "\"\"",
    "\"sip:a@b\"",
    "\"x y\"",
    "\"$var(x)\"",
    "\"a$var(x)\"",
    "\"$nosuch(x)\"",
    "\"$var(x\"",
    "\"a$\"",
    "\"1=8\"",
    "\"1=4;2=x\"",
    "1",
    "\"é\"",
];
/// Calls in which `#` stands for a number, `?` for one of [`FEW`], and `%` for a text.
const CALLS: [&str; 32] = [
    "ds_select_dst(#, \"4\")",
    "ds_select_dst(\"1\", #)",
    "ds_select_dst(\"1\", \"4\", #)",
    "ds_select_domain(?, \"4\")",
    "ds_select_domain(\"1\", ?)",
    "ds_select_domain(\"1\", \"4\", ?)",
    "ds_select(?, \"4\")",
    "ds_select(\"1\", ?)",
    "ds_select(\"1\", \"4\", ?)",
    "ds_select_routes(%, \"d\")",
    "ds_select_routes(\"1=8\", %)",
    "ds_select_routes(\"1=8\", \"d\", #)",
    "ds_is_from_list(#)",
    "ds_is_from_list(\"1\", #)",
    "ds_is_from_list(\"1\", \"3\", %)",
    "ds_is_from_list(?, \"3\", \"sip:a@b\")",
    "ds_list_exist(?)",
    "ds_list_exists(#)",
    "ds_is_active(?)",
    "ds_is_active(\"1\", %)",
    "ds_dsg_fetch(#)",
    "ds_dsg_fetch_uri(?, \"sip:a@b\")",
    "ds_mark_addr(%, \"1\", \"sip:a@b\")",
    "ds_mark_addr(\"ip\", ?, \"sip:a@b\")",
    "ds_oc_set_attrs(?, \"sip:a@b\", \"1\", \"1\", \"1\")",
    "ds_oc_set_attrs(\"1\", \"sip:a@b\", ?, \"1\", \"1\")",
    "ds_mark_dst(%)",
    "ds_next_dst(%)",
    "ds_next_domain(%)",
    "ds_set_dst(%)",
    "ds_load_update(%)",
    "ds_reload(%)",
];
/// The functions, each with good arguments.
const GOOD: [&str; 16] = [
    "ds_select_dst(\"1\", \"4\")",
    "ds_select_domain(\"1\", \"4\", \"2\")",
    "ds_select(\"1\", \"4\")",
    "ds_select(\"1\", \"4\", \"2\")",
    "ds_select_routes(\"1=8\", \"d\")",
    "ds_next_dst()",
    "ds_set_domain()",
    "ds_mark_dst()",
    "ds_mark_dst(\"ip\")",
    "ds_is_from_list()",
    "ds_is_from_list(\"1\")",
    "ds_list_exists(\"1\")",
    "ds_is_active(\"1\")",
    "ds_load_update()",
    "ds_load_unset()",
    "ds_reload()",
];
const ROUTES: [&str; 6] = [
    "request_route",
    "failure_route[X]",
    "branch_route[X]",
    "onreply_route[X]",
    "onsend_route",
    "event_route[dispatcher:dst-down]",
];

#[test]
fn constant_arguments() {
    compare(|report, _| {
        let calls = CALLS.iter().flat_map(|call| {
            let values = match call {
                call if call.contains('#') => &NUMBERS[..],
                call if call.contains('?') => &FEW[..],
                _ => &TEXTS[..],
            };
            values.iter().map(move |value| {
                let number = !call.contains('%');
                let call = call.replace(['#', '?', '%'], value);
                (format!("request_route {{ {call}; exit; }}"), call, number)
            })
        });
        ask(report, &calls.collect::<Vec<_>>());
    });
}

#[test]
fn kinds_of_routes() {
    compare(|report, _| {
        let calls = GOOD.iter().flat_map(|call| {
            ROUTES.iter().map(move |route| {
                let request = if *route == "request_route" {
                    ""
                } else {
                    "request_route { exit; }\n"
                };
                let text = format!("{request}{route} {{ {call}; }}");
                (text, format!("{route}: {call}"), false)
            })
        });
        ask(report, &calls.collect::<Vec<_>>());
    });
}

#[test]
fn variables_as_arguments() {
    compare(|report, _| variables(report));
}

/// Starts each config under both modules: the routes, what they are called, and whether a number is asked for.
fn ask(report: &mut Report, calls: &[(String, String, bool)]) {
    let known: Vec<_> = calls
        .iter()
        .filter(|(text, ..)| packaged::has_all(text))
        .collect();
    let configs = known.iter().map(|(text, ..)| {
        let config = starts::small(text).list("1 sip:127.0.0.1:7001\n");
        config.param("flags", 2)
    });
    let configs: Vec<Config> = configs.collect();
    let outcomes = both(&configs, |_| String::new());
    for ((_, call, number), (c, ours)) in known.into_iter().zip(outcomes) {
        let what = format!("refusals, {call}");
        report.compare(&what, c.word(), ours.word());
        if let (Outcome::Refuses(log), true, false) = (&ours, *number, call.contains('$')) {
            let function = call.split('(').next().unwrap_or_default();
            let named = format!("{function}: argument ");
            let holds = log.contains(&named) && log.contains("expected a number, or one variable");
            report.check(&what, holds, log);
        }
    }
}

/// Arguments without quotes, which the server prepares anew for each call.
fn variables(report: &mut Report) {
    let probe = Probe::new()
        .op("dynset", "ds_select_dst($var(a), \"4\");")
        .op("dynalg", "ds_select_dst(\"1\", $var(a));")
        .op("dynfrom", "ds_is_from_list($var(a));")
        .op("dynboth", "ds_select_domain($var(a), $var(b));");
    let list = "1 sip:127.0.0.1:7001\n2 sip:127.0.0.1\n";
    let pair = Pair::start(probe.config().list(list).param("flags", 2));
    for value in [
        "1",
        "2",
        "3",
        "f",
        "",
        "1a",
        "a1",
        "-1",
        "+1",
        "0x1",
        "4294967297",
        "1;2",
        "é",
    ] {
        for name in ["dynset", "dynalg", "dynfrom"] {
            pair.run(report, "refusals, variable", &format!("{name},{value}"));
        }
        pair.run(report, "refusals, variable", &format!("dynboth,{value},4"));
        pair.run(report, "refusals, variable", &format!("dynboth,1,{value}"));
    }
}

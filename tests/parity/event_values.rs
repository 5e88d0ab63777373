//! What event routes see: the values of variables, null or empty, whoever raised the event.

use harness::{Answer, Config, Kamailio, Request, Uac, Uas, free_port, patience, this_server};
use serde_json::json;

use crate::compare_if;
use crate::pair::{Pair, neutral};
use crate::report::Report;

/// Values of the message, of the transaction and of the event. Null is shown as `<null>`.
const SEEN: [&str; 62] = [
    "$dsv(code)",
    "$dsv(reason)",
    "$dsv(flags)",
    "$rr",
    "$rs",
    "$rm",
    "$ru",
    "$rU",
    "$rd",
    "$rp",
    "$rP",
    "$rz",
    "$rv",
    "$ou",
    "$oU",
    "$du",
    "$dd",
    "$dp",
    "$dP",
    "$fu",
    "$fU",
    "$fd",
    "$fn",
    "$ft",
    "$tu",
    "$tU",
    "$td",
    "$tt",
    "$ct",
    "$cs",
    "$ua",
    "$hdr(X-Uri)",
    "$hdr(X-Reply)",
    "$sp",
    "$Ri",
    "$pr",
    "$proto",
    "$rb",
    "$bs",
    "$cl",
    "$cT",
    "$ml",
    "$bf",
    "$mf",
    "$sf",
    "$br",
    "$fs",
    "$ruid",
    "$re",
    "$ai",
    "$pu",
    "$rt",
    "$avp(a)",
    "$xavp(x)",
    "$var(v)",
    "$T(reply_code)",
    "$T_reply_code",
    "$T_req($rm)",
    "$T_rpl($rs)",
    "$T_branch_idx",
    "$branch(count)",
    "$rc",
];

/// The values of the message that names the server's own transactions differ on purpose in faked messages.
const OF_THE_CALLER: [&str; 3] = ["$ci", "$si", "$su"];

const ROUTES: &str = r#"
request_route {
    $avp(a) = "of the script";
    $var(v) = 5;
    if ($rU == "relay") {
        ds_select_dst("1", "8");
        t_on_reply("MARK");
        t_on_failure("MARK");
        t_relay();
        exit;
    }
    $xavp(_dsdst_=>grp) = 1;
    $xavp(_dsdst_[0]=>uri) = $hdr(X-Uri);
    if ($rU == "up") ds_mark_dst("a");
    else if ($rU == "kemi") jsdt_run("mark");
    else ds_mark_dst("i");
    sl_send_reply("200", "OK");
}
onreply_route[MARK] { if ($rs > 199) ds_mark_dst("{{REPLY}}"); }
failure_route[MARK] { ds_mark_dst("{{FAILURE}}"); }
route[NOTE] {
    $shv(n) = $shv(n) + 1;
    $sht(events=>$shv(n)) = {{SEEN}};
}
event_route[dispatcher:dst-down] { $var(event) = "down"; route(NOTE); }
event_route[dispatcher:dst-up] { $var(event) = "up"; route(NOTE); }
"#;

const SCRIPT: &str = r#"function mark() { KSR.dispatcher.ds_mark_dst_state("i"); }"#;

#[test]
fn marks_of_a_request_route() {
    compare_events(|report| {
        let pair = Pair::start(config(["a", "a"], true).list(format!("1 {A}\n")));
        let caller = Uac::new();
        for (user, method) in [
            ("down", "OPTIONS"),
            ("up", "OPTIONS"),
            ("kemi", "INVITE"),
            ("up", "MESSAGE"),
        ] {
            let request = Request::new(method, format!("sip:{user}:pw@b.test:99;x=y"))
                .header("X-Uri", A)
                .header("Route", "<sip:127.0.0.9;lr>")
                .body("a body");
            for server in [&pair.c, &pair.ours] {
                caller.request(server.addr(), &request);
            }
        }
        compare_noted(report, &pair, "request route", 4);
    });
}

#[test]
fn marks_of_a_relayed_call() {
    compare_events(|report| {
        for (marks, answer, noted) in [
            (["i", "a"], 503, 2),
            (["a", "i"], 404, 1),
            (["i", "a"], 200, 1),
        ] {
            let uas = Uas::start(Answer::Code(answer));
            let pair = Pair::start(config(marks, true).list(format!("1 {}\n", uas.uri())));
            let request = Request::new("INVITE", "sip:relay@b.test").header("X-Uri", uas.uri());
            let caller = Uac::new();
            for server in [&pair.c, &pair.ours] {
                let _ = caller.call(server.addr(), request.clone());
            }
            let what = format!("call with marks {marks:?}, answered by {answer}");
            compare_noted(report, &pair, &what, noted);
        }
    });
}

#[test]
fn results_of_pings() {
    compare_events(|report| {
        let uas = Uas::start(Answer::Code(503));
        let dead = free_port();
        for uri in [uas.uri(), format!("sip:127.0.0.1:{dead}")] {
            let config = config(["a", "a"], false)
                .param("ds_ping_interval", 1)
                .param("ds_probing_mode", 1)
                .modparam("tm", "fr_timer", 500);
            let pair = Pair::start(config.list(format!("1 {uri}\n")));
            let what = format!("pings of {uri}");
            compare_noted(report, &pair, &what, 1);
            if uri == uas.uri() {
                uas.set_answer(Answer::Code(200));
                compare_noted(report, &pair, &what, 2);
            }
        }
    });
}

const A: &str = "sip:127.0.0.1:7001";

fn compare_events(comparisons: impl FnOnce(&mut Report)) {
    let has_events = || this_server::core() >= (5, 4) && this_server::has_module("app_jsdt.so");
    compare_if(
        has_events,
        "this server has no $dsv or no app_jsdt",
        |report, _| {
            comparisons(report);
        },
    );
}

/// Waits for so many events in both servers, and compares what their routes saw.
fn compare_noted(report: &mut Report, pair: &Pair, what: &str, count: usize) {
    let [c, ours] = [&pair.c, &pair.ours].map(|server| {
        let noted = || noted(server);
        let step = std::time::Duration::from_millis(20);
        harness::poll(step, patience(4), noted, |noted| noted.len() >= count)
    });
    report.check(what, c.len() == count, &format!("{} events", c.len()));
    report.compare(
        &format!("{what}: number of events"),
        &c.len().to_string(),
        &ours.len().to_string(),
    );
    for (n, (c, ours)) in c.iter().zip(&ours).enumerate() {
        let (c, ours) = (neutral(&pair.c, c), neutral(&pair.ours, ours));
        report.compare(&format!("{what}, event {n}"), &c, &ours);
    }
}

/// Returns what the event routes noted, in order.
fn noted(server: &Kamailio) -> Vec<String> {
    let count = server.jsonrpc("pv.shvGet", json!(["n"])).unwrap();
    let count = count["value"].as_i64().unwrap_or(0);
    // The route counts an event before it writes it down.
    let value = |n: i64| {
        let item = server.jsonrpc("htable.get", json!(["events", n.to_string()]));
        let item = item.ok()?;
        let value = item["item"]["value"].as_str().unwrap_or_default();
        Some(value.replace(" ~", "\n"))
    };
    (1..=count).map_while(value).collect()
}

fn config(marks: [&str; 2], by_caller: bool) -> Config {
    let of_caller = OF_THE_CALLER.iter().filter(|_| by_caller);
    let seen = SEEN.iter().chain(of_caller);
    let seen = seen.map(|value| format!("= {} {value} ~", value.replace('$', "")));
    let seen = format!("$_s({})", seen.collect::<String>());
    let [reply, failure] = marks;
    let text = ROUTES
        .replace("{{REPLY}}", reply)
        .replace("{{FAILURE}}", failure)
        .replace("{{SEEN}}", &seen);
    Config::routes(&text)
        .load("app_jsdt.so")
        .file("script.js", SCRIPT)
        .modparam("app_jsdt", "load", "{{DIR}}/script.js")
        .modparam("htable", "htable", "events=>size=10;")
        .modparam("pv", "shvset", "n=i:0")
        .param("flags", 2)
}

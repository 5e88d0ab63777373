//! The order is that of the list.

use super::{ON_DEMAND, ask, current, on_demand, run, start};
use harness::{Answer, Config, Kamailio, Module, Probe, Request, Uac, Uas, this_server};

/// Set 1 has one priority, set 2 several, set 3 one destination, set 4 none that is usable.
const LIST: &str = "\
1 sip:127.0.0.1:7101 0 3 rweight=10;weight=20
1 sip:127.0.0.1:7102 0 3 rweight=30;weight=30;a=b
1 sip:127.0.0.1:7103 1 3 rweight=30;weight=10
1 sip:127.0.0.1:7104 0 3 rweight=10;weight=10;socket=udp:127.0.0.1:{{PORT}};duid=d
1 sip:127.0.0.1:7105 0 3 rweight=20;weight=10
1 sip:127.0.0.1:7106 0 3 rweight=20;weight=20
2 sip:127.0.0.1:7201 0 9 weight=100
2 sip:127.0.0.1:7202 0 9
2 sip:127.0.0.1:7203 0 5 weight=50
2 sip:127.0.0.1:7204 1 5
2 sip:127.0.0.1:7205 0 5 weight=50
2 sip:127.0.0.1:7206 0 1
2 sip:127.0.0.1:7207 1 0
3 sip:127.0.0.1:7301
4 sip:127.0.0.1:7401 1
4 sip:127.0.0.1:7402 4
5 sip:127.0.0.1:7501 0 0 duid=x
5 sip:127.0.0.1:7501 0 0 duid=y
5 sip:127.0.0.1:7502
";

/// Algorithms whose first choice is the same in two servers that were asked the same.
const CERTAIN: [i32; 16] = [0, 1, 2, 3, 4, 5, 7, 8, 11, 13, 14, 15, 64, 100, 103, 105];

/// The algorithms among them that mean the same in the C module of 5.6.
const OF_C: [i32; 8] = [0, 1, 2, 3, 4, 5, 7, 8];

/// Selections, each gone through to its end and beyond.
fn questions(algorithms: &[i32]) -> Vec<String> {
    let mut questions = Vec::new();
    for set in 1..=5 {
        for algorithm in algorithms {
            let select = |what: &str, limit: &str| {
                let next = ["nextdst|dump", "nextdom|dump", "setdst"].join("|");
                let to_the_end = [next.as_str(); 5].join("|");
                format!("{what},{set},{algorithm}{limit}|dump|{to_the_end}|nextdst")
            };
            questions.extend([
                select("dst", ""),
                select("dst", ""),
                select("dom", ""),
                select("dst3", ",3"),
                select("sel3", ",2"),
                select("dst3", ",1"),
            ]);
        }
    }
    questions
}

/// Asks all servers the same, and compares what they say of the current destination.
fn compare(servers: &[&Kamailio], questions: &[String]) {
    for (n, question) in questions.iter().enumerate() {
        let request = Request::new("OPTIONS", format!("sip:callee{n}@service.test"))
            .from(format!("sip:caller{n}@here.test"))
            .to(format!("sip:callee{n}@there.test"))
            .call_id(format!("call-{n}@test"))
            .header("X-Key", format!("key-{n}"))
            .header("X-Do", format!("{question}|."));
        let said: Vec<_> = servers
            .iter()
            .map(|s| current(s, &ask(s, &request)))
            .collect();
        for other in &said[1..] {
            assert_eq!(&said[0], other, "{question}");
        }
    }
}

fn config(use_default: i64) -> Config {
    let config = Probe::new().config().list(LIST);
    config
        .param("use_default", use_default)
        .param("force_dst", 1)
}

#[test]
fn each_algorithm_goes_on_as_with_the_list() {
    for use_default in [0, 1] {
        let list = start(Module::Rust, config(use_default), 6);
        let demand = start(Module::Rust, config(use_default), 6 + ON_DEMAND);
        compare(&[&list, &demand], &questions(&CERTAIN));
    }
}

#[test]
fn each_algorithm_goes_on_as_in_the_c_module() {
    if this_server::lacks_c_module() {
        return;
    }
    for use_default in [0, 1] {
        let c = start(Module::C, config(use_default), 6);
        c.ignore_log();
        let demand = start(Module::Rust, config(use_default), 6 + ON_DEMAND);
        compare(&[&c, &demand], &questions(&OF_C));
    }
}

/// Chance decides on the first one, the order on the others.
#[test]
fn random_choices_go_on_around_the_end() {
    let server = on_demand(config(0));
    let order = ["7106", "7105", "7104", "7102", "7101"];
    for algorithm in [6, 9] {
        for _ in 0..20 {
            let next = ["nextdst"; 6].join("|");
            let steps = super::steps(&run(&server, &format!("dst,1,{algorithm}|{next}")));
            let first = order
                .iter()
                .position(|port| steps[0] == format!("1 {port}"));
            let first = first.unwrap_or_else(|| panic!("{steps:?}"));
            let mut expected: Vec<String> = order.iter().map(|port| format!("1 {port}")).collect();
            expected.rotate_left(first);
            assert_eq!(steps[..5], expected, "algorithm {algorithm}");
            // Where nothing is left, the message stays as it is.
            assert!(
                steps[5..].iter().all(|step| step.starts_with("-1 ")),
                "{steps:?}"
            );
        }
    }
}

/// Several sets in one order.
const ROUTES: [(&str, &str); 6] = [
    ("r1", r#"ds_select_routes("1=4;2=15;3=8", "d");"#),
    ("r2", r#"ds_select_routes("4=8;2=4;9=0;1=0", "d");"#),
    ("r3", r#"ds_select_routes("2=13;1=7;3", "d", "3");"#),
    ("r4", r#"ds_select_routes("1=8;2=8;3=8", "d", "8");"#),
    ("r5", r#"ds_select_routes("3=8;1=11;2=4", "r", "1");"#),
    ("r6", r#"ds_select_routes("4=8;9=4", "d");"#),
];

#[test]
fn several_sets_are_one_order() {
    let with_routes = |use_default| {
        let probe = ROUTES
            .iter()
            .fold(Probe::new(), |probe, (op, code)| probe.op(op, code));
        let config = probe.config().list(LIST).param("force_dst", 1);
        let config = config.param("use_default", use_default);
        config.allow_log("destination set [9] not found")
    };
    let questions: Vec<String> = (0..24)
        .map(|n| {
            let (op, _) = ROUTES[n % ROUTES.len()];
            format!("{op}|dump|{}", ["nextdst|dump"; 17].join("|"))
        })
        .collect();
    for use_default in [0, 1] {
        let list = start(Module::Rust, with_routes(use_default), 0);
        let demand = on_demand(with_routes(use_default));
        compare(&[&list, &demand], &questions);
    }
}

/// A selection in front of another one that is not at its end.
#[test]
fn selections_come_one_in_front_of_the_other() {
    let list = start(Module::Rust, config(0), 0);
    let demand = on_demand(config(0));
    let end = ["nextdst|dump"; 9].join("|");
    let questions = [
        format!("dst,1,8|dst3,2,8,2|dump|{end}"),
        format!("sel3,3,8,1|dst,1,8|dump|nextdst|dst3,2,4,3|{end}"),
    ];
    compare(&[&list, &demand], &questions);
}

/// Three dead ones, then one that answers: as with the list of the C module, by any worker.
#[test]
fn calls_fail_over_through_failure_routes() {
    if this_server::lacks_c_module() {
        return;
    }
    let mut dead: Vec<Uas> = (0..3).map(|_| Uas::start(Answer::Code(200))).collect();
    dead.iter_mut().for_each(Uas::stop);
    let refusing = Uas::start(Answer::Code(503));
    let live = Uas::start(Answer::Code(200));
    let mut list = String::new();
    for (n, uas) in dead.iter().chain([&refusing, &live]).enumerate() {
        list += &format!("1 {} 0 {}\n", uas.uri(), 9 - n);
        list += &format!("{} {} 0 0\n", 2 + n / 3, uas.uri());
    }
    let routes = r#"ds_select_routes("2=8;3=8", "d");"#;
    let config = || {
        let config = Probe::new()
            .op("routes", routes)
            .config()
            .list(list.clone());
        config.children(4)
    };
    let c = start(Module::C, config(), 0);
    c.ignore_log();
    let demand = on_demand(config());
    for select in ["dst,1,8", "dom,1,8", "dst3,1,8,5", "dst3,1,8,4", "routes"] {
        let traces: Vec<Vec<String>> = [&c, &demand]
            .into_iter()
            .map(|server| trace(server, select, &live))
            .collect();
        assert_eq!(traces[0], traces[1], "{select}");
        // One state for all calls.
        for server in [&c, &demand] {
            for set in 1..=3 {
                let all = serde_json::json!(["a", set, "all"]);
                server.jsonrpc("dispatcher.set_state", all).unwrap();
            }
        }
    }
}

/// Returns the destinations that the failure routes of one call saw. The call is answered unless its
/// limit is too small.
fn trace(server: &Kamailio, select: &str, live: &Uas) -> Vec<String> {
    let fail = match select {
        "dom,1,8" => "mark_ip|dump|nextdom|again|.",
        _ => "mark_ip|dump|nextdst|again|.",
    };
    let invite = Request::new("INVITE", "sip:bob@service.test")
        .header("X-Do", format!("{select}|relay|."))
        .header("X-Fail", fail);
    let id = String::from_utf8(invite.id().to_vec()).unwrap();
    let uac = Uac::new();
    match uac.call(server.addr(), invite) {
        Ok(call) => {
            assert_ne!(select, "dst3,1,8,4");
            assert_eq!(call.answered_by(), live.uri().replace("sip:", ""));
            call.bye();
        }
        Err(reply) => assert_eq!((select, reply.status()), ("dst3,1,8,4", Some(500))),
    }
    current(server, &run(server, &format!("trace,{id}")))
}

//! `$dsg` of a set in many states, beside a C module that has it (5.8 on).

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::compare_if;
use crate::pair::Pair;
use crate::report::Report;
use harness::{Probe, packaged};

const NUMBERS: [&str; 5] = ["count", "active", "inactive", "pactive", "pinactive"];
const REPORTS: [&str; 2] = ["ocrate", "ocseq"];
const SETS: i32 = 6;

#[test]
fn numbers_of_a_set_in_many_states() {
    let there = || packaged::has("ds_dsg_fetch_uri");
    compare_if(there, "this C module has no $dsg", numbers);
}

fn numbers(report: &mut Report, rng: &mut StdRng) {
    let mut list = String::new();
    for set in 1..SETS {
        for n in 1..=set * set {
            let port = 7000 + n;
            list += &format!("{set} sip:127.0.0.1:{port} 0 {} ocmin={n}\n", 100 - n);
        }
    }
    let show = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("$dsg({name})")).collect();
        format!(
            "$du = \"sip:\" + $rc + \":\" + {};",
            names.join(" + \":\" + ")
        )
    };
    let fetch_uri = "ds_dsg_fetch_uri(\"$var(ia)\", \"$var(b)\");";
    let pair = Pair::start(
        Probe::new()
            .op("first", &show(&NUMBERS))
            .op(
                "fetch",
                &format!("ds_dsg_fetch(\"$var(ia)\"); {}", show(&NUMBERS)),
            )
            .op("of", &format!("{fetch_uri} {}", show(&REPORTS)))
            .op(
                "report",
                "ds_oc_set_attrs(\"3\", \"sip:127.0.0.1:7002\", \"70\", \"60000\", \"8\");",
            )
            .config()
            .list(list)
            .param("flags", 2),
    );
    pair.run(report, "groups", "first");
    for round in 0..40 {
        for set in 1..SETS {
            pair.run(report, &format!("groups {round}"), &format!("fetch,{set}"));
        }
        let set = rng.random_range(1..SETS);
        let uri = format!("sip:127.0.0.1:{}", 7000 + rng.random_range(1..=set * set));
        let state = ["i", "a", "d", "ip", "ap", "tp", "t"][rng.random_range(0..7)];
        pair.prepare("dispatcher.set_state", json!([state, set, uri]));
    }
    for (set, port) in [(3, 7002), (3, 7003), (3, 7999), (1, 7001)] {
        pair.run(report, "groups", &format!("of,{set},sip:127.0.0.1:{port}"));
        pair.run(report, "groups", "report");
        pair.run(report, "groups", &format!("of,{set},sip:127.0.0.1:{port}"));
    }
    pair.run(report, "groups, none", "fetch,99");
}

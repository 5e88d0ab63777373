//! Scripts that write anything into the record of the current destination: each request is answered, and a changed
//! cursor leads to destinations of the list only.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::{ON_DEMAND, start};
use harness::{Config, Kamailio, Message, Module, Request, Uac};

const LIST: &str = "\
1 sip:127.0.0.1:7001 0 9 duid=one;maxload=1000
1 sip:127.0.0.1:7002 0 8 duid=two;maxload=1000
1 sip:127.0.0.1:7003 0 8 duid=three;maxload=1000
2 sip:127.0.0.1:7010 0 0 duid=ten;maxload=1000
2 sip:127.0.0.1:7011 4 0 duid=eleven;maxload=1000
";

const FIELDS: [&str; 8] = [
    "trail", "uri", "grp", "attrs", "sock", "dstid", "dstidx", "other",
];
const ALGORITHMS: [&str; 5] = ["4", "8", "10", "13", "14"];

/// Pieces of cursors, texts and numbers.
const WORDS: [&str; 26] = [
    "0",
    "1",
    "2",
    "9",
    "-",
    ".",
    "_",
    "_1.0.0.1",
    "_2.0.0.3",
    "_1.2.0.2",
    "_2.5.1.4",
    "_7.0.0.0",
    "3-0-1_1.0.0.1",
    "0-0-",
    "18446744073709551615",
    "4294967296",
    "-2147483648",
    "_1.18446744073709551615.18446744073709551615.1",
    "sip:127.0.0.1:7001",
    "sip:",
    "one",
    "ten",
    "!",
    " ",
    "\u{e4}",
    "%s%n",
];

/// Selects, lets the request write a value into a field, goes on eight times, and says where it came.
fn script() -> String {
    let write = |field: &&str| {
        let place = format!("$xavp(_dsdst_[0]=>{field}");
        format!(
            r#"case "{field}": {place}) = $hdr(X-Value); break;
case "{field}[0]": {place}[0]) = $hdr(X-Value); break;
case "{field} number": {place}) = $(hdr(X-Value){{s.int}}); break;
case "{field} none": {place}[0]) = $null; break;
"#
        )
    };
    let writes: String = FIELDS.iter().map(write).collect();
    format!(
        r#"request_route {{
    ds_select_routes("1=$hdr(X-Alg);2=$hdr(X-Alg)", "d");
    append_to_reply("X-Trail: $xavp(_dsdst_[0]=>trail)\r\n");
    switch ($hdr(X-Field)) {{
{writes}    }}
    $var(n) = 0;
    while ($var(n) < 8 && ds_next_dst()) {{
        append_to_reply("X-To: $du\r\n");
        ds_mark_dst("a");
        $var(n) = $var(n) + 1;
    }}
    ds_load_unset();
    sl_send_reply("200", "OK");
}}
"#
    )
}

fn server(mode: i64) -> Kamailio {
    let config = Config::routes(&script())
        .list(LIST)
        .param("ds_hash_size", 8);
    start(Module::Rust, config.only_critical(), mode)
}

/// A value out of pieces, or a real cursor that was changed.
fn value(random: &mut StdRng, trail: &str) -> String {
    let mut value = if random.random_bool(0.5) {
        trail.to_owned()
    } else {
        String::new()
    };
    for _ in 0..random.random_range(0..6) {
        let word = *WORDS.choose(random).unwrap_or(&"");
        let at = random.random_range(0..=value.len());
        if value.is_char_boundary(at) {
            value.insert_str(at, word);
        }
    }
    if random.random_bool(0.02) {
        value = value.repeat(300);
    }
    value
}

fn destinations(reply: &Message) -> BTreeSet<String> {
    reply
        .all("X-To")
        .map(|to| String::from_utf8_lossy(to).into_owned())
        .collect()
}

#[test]
fn records_that_scripts_have_changed() {
    for mode in [ON_DEMAND, 0] {
        let server = server(mode);
        let listed: BTreeSet<String> = LIST
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .map(str::to_owned)
            .collect();
        let (uac, mut random) = (Uac::new(), StdRng::seed_from_u64(2026));
        let mut trail = String::new();
        let (mut went_on, mut came_to_an_end) = (0, 0);
        for _ in 0..400 {
            let field = *FIELDS.choose(&mut random).unwrap_or(&"trail");
            let how = *["", "", "[0]", " number", " none"]
                .choose(&mut random)
                .unwrap_or(&"");
            let value = value(&mut random, &trail);
            let request = Request::new("INVITE", "sip:callee@service.test")
                .header("X-Alg", ALGORITHMS.choose(&mut random).unwrap_or(&"4"))
                .header("X-Field", format!("{field}{how}"))
                .header("X-Value", &value);
            let reply = uac.request(server.addr(), &request);
            assert_eq!(reply.status(), Some(200), "{field}{how} {value:?}");
            let to = destinations(&reply);
            // A script's own URI is where it wants to go.
            assert!(
                field == "uri" || to.is_subset(&listed),
                "{field}{how} {value:?}: {to:?}"
            );
            *(if to.is_empty() {
                &mut came_to_an_end
            } else {
                &mut went_on
            }) += 1;
            let found = reply.text("X-Trail");
            if !found.is_empty() {
                trail = found;
            }
        }
        assert!(
            went_on > 50 && (came_to_an_end > 5 || mode == 0),
            "{went_on} {came_to_an_end}"
        );
        assert_eq!(mode == ON_DEMAND, trail.contains('_'), "{trail}");
        // All of it is as it was.
        let flags = ["sip:127.0.0.1:7001", "sip:127.0.0.1:7002"].map(|uri| server.flags(1, uri));
        assert_eq!(flags, ["AX", "AX"]);
        let calls = server.jsonrpc("dispatcher.calls", json!(["all", 0, 9]));
        assert_eq!(calls.unwrap()["CALLS"], json!([]), "every count has ended");
    }
}

//! Events: each cause in each mode, what an event route sees, and that it may do anything.
#![cfg(feature = "server-tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod server;

use serde_json::json;
use server::{Config, Kamailio, Module, Request, Uac};

/// Routes that note each event in an htable: `n` counts, `e<n>` says what was seen.
const NOTES: &str = r#"
route[NOTE] {
    $var(k) = "n";
    $shv(n) = $shv(n) + 1;
    $sht(events=>$shv(n)) = $var(event) + " " + $dsv(code) + " " + $dsv(reason) + "|" + $dsv(flags)
        + " ru=" + $ru + " du=" + $du;
}
event_route[dispatcher:dst-down] { $var(event) = "down"; route(NOTE); }
event_route[dispatcher:dst-up] { $var(event) = "up"; route(NOTE); }
"#;

const ROUTES: &str = r#"
request_route {
    $var(x) = 1;
    ds_select_dst("1", "8");
    ds_mark_dst("i");
    append_to_reply("X-Seen: $sht(events=>1) du=$du dsv=$dsv(code)\r\n");
    sl_send_reply("200", "OK");
}
"#;

#[test]
fn smoke() {
    for module in [Module::C, Module::Rust] {
        let config = Config::routes(&format!("{ROUTES}{NOTES}"))
            .modparam("htable", "htable", "events=>size=10;")
            .modparam("pv", "shvset", "n=i:0")
            .param("flags", 2)
            .list("1 sip:127.0.0.1:7001\n");
        let server = Kamailio::start(module, config);
        let reply = Uac::new().request(server.addr(), &Request::new("OPTIONS", "sip:a@b.test"));
        println!("{}", reply.text("X-Seen"));
        println!("{:?}", server.jsonrpc("htable.dump", json!(["events"])));
    }
}

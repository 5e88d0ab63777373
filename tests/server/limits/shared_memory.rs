//! What requests, lists and answers for names can take of the server's shared memory, and what happens at the bound.

use harness::{
    Config, Dns, Kamailio, Module, Name, Request, Uac, patience, this_machine, this_server,
    wait_for,
};
use serde_json::json;

fn used(server: &Kamailio) -> i64 {
    server.jsonrpc("core.shmmem", json!([])).unwrap()["used"]
        .as_i64()
        .unwrap()
}

/// A failover list takes a record for each destination. Where they do not fit, the selection fails, and takes its
/// records back; the next request has the memory again.
#[test]
fn failover_lists_that_do_not_fit_are_taken_back() {
    const DESTS: usize = 3_000;
    const ROUTES: &str = r#"request_route {
        $var(good) = 0;
        while (ds_select_dst("1", "4") && $var(good) < 40) $var(good) = $var(good) + 1;
        ds_select_dst("1", "4", "1");
        append_to_reply("X-Good: $var(good)\r\nX-More: $rc\r\n");
        sl_send_reply("200", "OK");
    }"#;
    let line = |n: usize| format!("1 sip:10.0.{}.{}\n", n / 250, n % 250);
    let config = Config::routes(ROUTES)
        .list((0..DESTS).map(line).collect::<String>())
        .param("flags", 2)
        .children(1)
        .shm_mb(16)
        .only_critical();
    let server = Kamailio::start(Module::Rust, config);
    let uac = Uac::new();
    let before = used(&server);
    for _ in 0..3 {
        let reply = uac.request(server.addr(), &Request::new("OPTIONS", "sip:u@h.test"));
        let good: usize = reply.text("X-Good").parse().unwrap();
        assert!((1..40).contains(&good), "{good} lists of {DESTS} fit");
        assert_eq!(reply.text("X-More"), "1", "a short one fits beside them");
        wait_for("the records are freed", patience(5), || {
            (used(&server) <= before + 10_000).then_some(())
        });
    }
    let said = "no memory for the results of set 1";
    assert!(server.log().matches(said).count() >= 3, "{}", server.log());
}

#[test]
fn a_uri_that_no_message_holds_is_left_out() {
    let user = "u".repeat(65_000);
    let list = format!("1 sip:127.0.0.1:7001\n1 sip:{user}@127.0.0.1:7002\n");
    let config = Config::routes("request_route { exit; }")
        .list(list)
        .expect_log("a URI longer than any message: destination left out");
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(server.ports(1), ["7001"]);
}

/// Whoever answers for a name does not decide how much the lists take.
#[test]
fn an_answer_of_many_addresses_takes_no_more_than_one_of_32() {
    if this_machine::lacks_name_servers()
        || this_server::older_than((5, 0), "more than the first address of a name")
    {
        return;
    }
    let lists = |count: u8| {
        let dns = Dns::start();
        dns.set("gw.test", Name::Many(count));
        let config = Config::routes("request_route { exit; }")
            .list("1 sip:gw.test\n")
            .param("ds_dns_mode", 1)
            .param("ds_dns_match_all", 1)
            .resolver(&dns);
        let server = Kamailio::start(Module::Rust, config);
        let stats = server.jsonrpc("dispatcher.stats", json!([])).unwrap();
        stats["MEMORY"]["LISTS"].as_i64().unwrap()
    };
    let (one, most, beyond) = (lists(1), lists(32), lists(60));
    assert!(one < most, "{one} bytes with one address, {most} with 32");
    assert_eq!(most, beyond, "bytes with 32 and with 60 addresses");
}

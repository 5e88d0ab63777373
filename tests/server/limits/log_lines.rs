//! Texts of requests in log lines: whoever sends them does not decide how long a line is.

use harness::{Config, Kamailio, Module, Request, Uac};

/// Gives the R-URI and the Call-ID, which both come from outside, to each function.
const ROUTES: &str = r#"
request_route {
    $var(rc) = 0;
    ds_select_dst("1", "10"); ds_select_dst("1", "4"); ds_next_dst(); ds_set_dst();
    ds_select_domain("1", "4", "2"); ds_next_domain(); ds_set_domain();
    ds_select("1", "0"); ds_select("$ru", "$ci"); ds_select("2", "0", "$ru");
    ds_select_routes("$ru", "$ci"); ds_select_routes("1=4", "$ru", "$ci"); ds_select_routes("$ci", "2");
    ds_mark_dst(); ds_mark_dst("p"); ds_mark_addr("$ru", "1", "$ci"); ds_mark_addr("p", "1", "$ru");
    ds_is_from_list("1"); ds_is_from_list("$ru", "1"); ds_is_from_list("1", "$ci"); ds_is_from_list("1", "1", "$ru");
    ds_is_from_list("1", "1", "$ci"); ds_is_from_list("1", "1", "sip:$ci");
    ds_list_exists("$ru"); ds_is_active("1", "$ru"); ds_is_active("$ci");
    ds_dsg_fetch("$ru"); ds_dsg_fetch_uri("1", "$ru");
    ds_load_update(); ds_load_unset(); ds_oc_set_attrs("1", "$ru", "1", "2", "$ci");
    xlog("L_INFO", "$dsg(count)$dsv(uri)\n");
    sl_send_reply("200", "OK");
}
event_route[dispatcher:dst-down] { xlog("L_INFO", "down\n"); }
event_route[dispatcher:dst-up] { xlog("L_INFO", "up\n"); }
"#;

/// More than a line of ours needs besides the texts of others, at most two of which are in a line.
const LINE: usize = 500;

#[test]
fn no_request_makes_long_lines() {
    let config = Config::routes(ROUTES)
        .list("1 sip:127.0.0.1:7001 0 0 duid=a;maxload=5\n1 sip:127.0.0.1:7002 0 0 duid=b\n")
        .param("flags", 2)
        .param("ds_hash_size", 4)
        .global("debug=3")
        .only_critical();
    let server = Kamailio::start(Module::Rust, config);
    let uac = Uac::new();
    let answered = |request: &Request| uac.request(server.addr(), request).status() == Some(200);
    // A small one shows which lines there are at all.
    assert!(answered(&Request::new("INVITE", "sip:u@h.test")));
    let before = ours(&server).len();
    // Servers from 6.0 on receive at most 32,767 bytes.
    let shapes: [(&str, usize); 3] = [("\u{1}", 20_000), ("\u{ff}\\", 6_000), ("a", 20_000)];
    for (piece, times) in shapes {
        let uri = format!("sip:{}@h.test", piece.repeat(8_000 / piece.len()));
        let request = Request::new("INVITE", uri)
            .to("sip:u@h.test")
            .from("sip:f@h.test");
        assert!(answered(&request.call_id(piece.repeat(times))), "{piece:?}");
    }
    let lines = ours(&server);
    assert!(
        before > 10 && lines.len() > before,
        "the functions log nothing"
    );
    let longest = lines.iter().max_by_key(|line| line.len()).unwrap();
    assert!(
        longest.len() <= LINE,
        "{} bytes: {longest:.600}",
        longest.len()
    );
}

/// Returns the lines of the module's own code.
fn ours(server: &Kamailio) -> Vec<String> {
    let log = server.log();
    let ours = log.lines().filter(|line| line.contains("dispatcher [src/"));
    ours.map(str::to_owned).collect()
}

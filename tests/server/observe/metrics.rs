//! `ds_metrics`: the page for Prometheus, as a client of HTTP sees it.

use harness::http::{Answer, Http};
use harness::{Config, Kamailio, Module, Request, Uac, fails_to_start, this_server};

const ROUTES: &str = r#"
request_route {
    if (ds_metrics()) { sl_send_reply("200", "OK"); } else { sl_send_reply("500", "No"); }
}
event_route[xhttp:request] { ds_metrics(); }
"#;

fn config() -> Config {
    Config::routes(ROUTES)
        .tcp()
        .global("tcp_accept_no_cl=yes")
        .load("xhttp.so")
}

fn get(server: &Kamailio, path: &str, headers: &[&str]) -> Answer {
    Http::to(server.addr()).get(path, headers)
}

#[test]
fn a_page_of_metrics_is_sent_over_http() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let list = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n2 sip:127.0.0.1:7003\n";
    let server = Kamailio::start(Module::Rust, config().list(list));
    let page = get(&server, "/metrics", &[]);
    assert_eq!(page.status, 200, "{page:?}");
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(page.header("Content-Type"), Some(kind));
    assert_eq!(page.header("Cache-Control"), Some("no-store"));
    let text = page.text();
    assert!(text.contains("\nkamailio_dispatcher_sets 2\n"), "{text}");
    assert!(text.contains("\nkamailio_dispatcher_list_destinations 3\n"));
    // One connection serves many requests, and one body follows another.
    let mut kept = Http::to(server.addr());
    for _ in 0..50 {
        assert_eq!(kept.get("/metrics", &[]).text(), text);
    }
}

#[test]
fn other_methods_and_other_requests_are_refused() {
    if this_server::lacks(&["xhttp.so"]) {
        return;
    }
    let server = Kamailio::start(Module::Rust, config().list("1 sip:127.0.0.1:7001\n"));
    let mut http = Http::to(server.addr());
    let refused = http.try_ask("POST", "/metrics", &[], "x").unwrap();
    assert_eq!(
        (refused.status, refused.header("Allow")),
        (405, Some("GET"))
    );
    server.allow_log("ds_metrics answers HTTP requests only");
    let request = Request::new("OPTIONS", "sip:x@service.test");
    let reply = Uac::new().request(server.addr(), &request);
    assert_eq!(reply.status(), Some(500));
    server.wait_log("ds_metrics answers HTTP requests only: call it in event_route[xhttp:request]");
}

#[test]
fn a_config_without_xhttp_that_uses_it_is_refused_and_says_so() {
    let routes = "request_route { ds_metrics(); }";
    let log = fails_to_start(Module::Rust, Config::routes(routes).list(""));
    assert!(
        log.contains("ds_metrics needs the module xhttp: load it before"),
        "{log}"
    );
}

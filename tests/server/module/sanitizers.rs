//! The sanitizers of `make asan` see mistakes that are made on purpose, in Rust, in the glue and in shared memory; and a
//! server whose module makes one fails its test.

use harness::{Config, Kamailio, Module, Request, Uac, patience, wait_for};

/// Runs a server in which the first request makes this mistake; returns what its end says.
fn report(mistake: &str) -> String {
    let routes = format!("request_route {{ ds_fault_probe(\"{mistake}\"); }}");
    let config = Config::routes(&routes).list("1 sip:127.0.0.1:7001\n");
    let mut server = Kamailio::start(Module::Rust, config.only_critical());
    Uac::new().send(server.addr(), &Request::new("OPTIONS", "sip:u@h.test"));
    wait_for("the end of the server", patience(10), || {
        (!server.is_running()).then_some(())
    });
    server.faults().join("\n")
}

/// The report of a mistake has these texts.
fn is_reported(mistake: &str, texts: &[&str]) {
    let report = report(mistake);
    for text in texts {
        assert!(report.contains(text), "{text:?} is not in: {report}");
    }
}

const HERE: &str = "src/kamailio/module/fault_probe.rs";
const IN_C: &str = "kamailio-glue/fault_probe.c";

#[test]
fn a_fault_in_rust() {
    is_reported("heap overrun", &["heap-buffer-overflow", HERE]);
    is_reported("heap use after free", &["heap-use-after-free", HERE]);
}

#[test]
fn a_fault_in_the_glue() {
    is_reported("stack overrun in C", &["stack-buffer-overflow", IN_C]);
    is_reported("sum overflow in C", &["signed integer overflow", IN_C]);
}

#[test]
fn a_fault_in_shared_memory() {
    for mistake in ["shared overrun", "shared underrun"] {
        is_reported(mistake, &["use-after-poison", HERE]);
    }
}

/// Another process gave the piece back.
#[test]
fn a_piece_of_shared_memory_after_its_life() {
    for mistake in ["shared use after free", "shared double free"] {
        is_reported(mistake, &["use-after-poison", HERE]);
    }
}

#[test]
fn a_failed_check_of_rust() {
    let routes =
        "request_route { ds_fault_probe(\"sum overflow\"); sl_send_reply(\"200\", \"OK\"); }";
    let config = Config::routes(routes).list("1 sip:127.0.0.1:7001\n");
    let server = Kamailio::start(Module::Rust, config);
    Uac::new().request(server.addr(), &Request::new("OPTIONS", "sip:u@h.test"));
    let faults = server.faults().join("\n");
    let said = "unannounced log line";
    assert!(
        faults.contains(said) && faults.contains("attempt to add with overflow"),
        "{faults}"
    );
}

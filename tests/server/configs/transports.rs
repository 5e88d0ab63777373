//! Trunks over TLS and TCP, with certificates made for the test.

use std::path::Path;

use super::stage::{Peers, Stage, both};
use harness::{Config, Kamailio, Module, TempDir, certificate, free_port, patience};

/// Everybody shows the certificate of their name; the border wants one of our authority.
fn tls_config(certs: &Path, name: &str) -> String {
    let certs = certs.display();
    format!(
        "[server:default]\n\
         method = TLSv1.2+\n\
         verify_certificate = no\n\
         require_certificate = no\n\
         private_key = {certs}/{name}.key\n\
         certificate = {certs}/{name}.pem\n\n\
         [client:default]\n\
         method = TLSv1.2+\n\
         verify_certificate = yes\n\
         require_certificate = yes\n\
         ca_list = {certs}/authority.pem\n"
    )
}

/// The ports of one trunk.
struct Trunk {
    name: &'static str,
    tcp: u16,
    tls: u16,
}

impl Trunk {
    fn new(name: &'static str) -> Self {
        let (tcp, tls) = (free_port(), free_port());
        Self { name, tcp, tls }
    }

    fn start(&self, certs: &Path) -> Kamailio {
        let config = Config::raw(include_str!("trunk.cfg"))
            .file("tls.cfg", &tls_config(certs, self.name))
            .define("NAME", self.name)
            .define("TCP", self.tcp)
            .define("TLS", self.tls)
            .only_critical();
        Kamailio::start(Module::C, config)
    }
}

const NUMBER: &str = "sip:100@border.example.com";

fn play(stage: &Stage<'_>, trunks: &[Trunk; 3], certs: &Path) {
    let [secure, _plain, _rogue] = trunks.each_ref().map(|trunk| trunk.start(certs));
    stage.wait_flags(1, &["AP", "AP"]);
    stage.list(1);
    let call = stage.call(NUMBER).unwrap();
    stage.again(&call, "INVITE", 2);
    stage.bye(call);
    stage.round(3, NUMBER);
    // A certificate of nobody's: no ping gets through, calls go to the other one.
    stage.wait_flags(2, &["IP", "AP"]);
    stage.list(2);
    let call = stage.call("sip:900@border.example.com").unwrap();
    stage.again(&call, "INVITE", 2);
    stage.bye(call);
    // The TLS trunk goes away: TCP takes over, by its own listener.
    secure.stop();
    let call = stage.call(NUMBER).unwrap();
    stage.again(&call, "INVITE", 2);
    stage.bye(call);
    stage.wait_flags(1, &["IP", "AP"]);
    stage.round(3, NUMBER);
    let _secure = trunks[0].start(certs);
    stage.wait_flags(1, &["AP", "AP"]);
    stage.call(NUMBER);
}

#[test]
fn trunks_over_tls_and_tcp() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let certs = TempDir::new();
    certificate(certs.path(), "authority", None);
    for name in ["secure", "plain", "border"] {
        certificate(certs.path(), name, Some("authority"));
    }
    certificate(certs.path(), "rogue", None);
    let trunks = ["secure", "plain", "rogue"].map(Trunk::new);
    let (second, tls) = (free_port(), free_port());
    let mut peers = Peers::start(&[]);
    peers.name(&format!("127.0.0.1:{second}"), "second listener");
    peers.name(&format!("127.0.0.1:{tls}"), "TLS listener");
    for trunk in &trunks {
        peers.name(&format!("127.0.0.1:{}", trunk.tcp), trunk.name);
        peers.name(&format!("127.0.0.1:{}", trunk.tls), trunk.name);
    }
    let config = Config::raw(include_str!("transports.cfg"))
        .file("tls.cfg", &tls_config(certs.path(), "border"))
        .list(include_str!("transports.list"))
        .define("CONNECT", patience(2).as_secs())
        .define("FR_TIMER", patience(5).as_millis() / 2)
        .define("TCP2", second)
        .define("TLS", tls)
        .define("SECURE_TLS", trunks[0].tls)
        .define("PLAIN_TCP", trunks[1].tcp)
        .define("ROGUE_TLS", trunks[2].tls)
        .only_critical();
    let play = |stage: &Stage<'_>| play(stage, &trunks, certs.path());
    both(&config, &mut peers, &play, &[]);
}

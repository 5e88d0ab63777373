//! The request that is a ping, and the socket that it leaves by.

use super::stage::{pinging, play, soon};
use harness::{Answer, Config, Crowd, Kamailio, Message, Uas, free_port, patience, this_server};

/// The first ping of a destination.
fn ping(crowd: &Crowd, name: &str) -> Message {
    crowd.wait_count(name, 1, patience(5));
    crowd.pings(name).remove(0).message
}

fn header(message: &Message, name: &str) -> String {
    let text = message.text(name);
    text.split(";tag=").next().unwrap_or_default().to_owned()
}

#[test]
fn method_and_from_and_to() {
    let crowd = Crowd::start();
    let config = pinging()
        .param("ds_ping_method", "INFO")
        .param("ds_ping_from", "sip:probe@lb.test");
    let from = "0 0 ping_from=sip:own@lb.test";
    let _server = play(config, &crowd, &[("plain", ""), ("own", from)]);
    let plain = ping(&crowd, "plain");
    assert_eq!(plain.method(), "INFO");
    assert_eq!(plain.uri(), crowd.uri("plain"));
    assert_eq!(header(&plain, "From"), "<sip:probe@lb.test>");
    assert_eq!(plain.text("To"), format!("<{}>", crowd.uri("plain")));
    assert!(plain.text("From").contains(";tag="), "a tag");
    let own = ping(&crowd, "own");
    assert!(header(&own, "From").contains("sip:own@lb.test"));
}

#[test]
fn defaults_of_method_and_from() {
    let crowd = Crowd::start();
    let _server = play(pinging(), &crowd, &[("d", "")]);
    let ping = ping(&crowd, "d");
    assert_eq!(ping.method(), "OPTIONS");
    assert!(header(&ping, "From").contains("sip:dispatcher@localhost"));
}

#[test]
fn outbound_proxy_and_obproxy_take_the_pings() {
    let crowd = Crowd::start();
    let (common, own) = (Uas::start(Answer::Code(200)), Uas::start(Answer::Code(503)));
    let config = pinging().param("outbound_proxy", common.uri());
    let attribute = format!("0 0 obproxy={}", own.uri());
    let server = play(config, &crowd, &[("a", ""), ("b", attribute.as_str())]);
    soon(&server, &crowd.uri("a"), "AP");
    soon(&server, &crowd.uri("b"), "IP");
    for (proxy, name) in [(&common, "a"), (&own, "b")] {
        let seen = proxy.requests();
        assert!(!seen.is_empty());
        assert!(
            seen.iter().all(|ping| ping.uri() == crowd.uri(name)),
            "{name}"
        );
        assert_eq!(crowd.count(name), 0, "{name} itself gets nothing");
    }
}

/// An attribute without a value is as none.
#[test]
fn empty_attributes_leave_the_parameters() {
    let crowd = Crowd::start();
    let config = pinging().param("ds_ping_from", "sip:probe@lb.test");
    let empty = "0 0 ping_from=\"\";obproxy=\"\";ping_socket=\"\";socket=\"\";sockname=";
    let server = play(config, &crowd, &[("a", empty)]);
    let seen = ping(&crowd, "a");
    assert_eq!(header(&seen, "From"), "<sip:probe@lb.test>");
    soon(&server, &crowd.uri("a"), "AP");
}

/// The names that the sockets have in the config.
const SOCKETS: [&str; 6] = ["ping", "name", "socket", "dping", "dname", "dsocket"];

struct Sockets {
    ports: [u16; 6],
}

impl Sockets {
    fn new() -> Self {
        let ports = SOCKETS.map(|_| free_port());
        Self { ports }
    }

    fn port(&self, name: &str) -> u16 {
        let at = SOCKETS.iter().position(|known| *known == name);
        self.ports[at.expect("a known socket")]
    }

    fn text(&self, name: &str) -> String {
        format!("udp:127.0.0.1:{}", self.port(name))
    }

    /// The server listens at all of them.
    fn config(&self) -> Config {
        SOCKETS.iter().fold(pinging(), |config, name| {
            let listen = format!("listen={} name \"{name}\"", self.text(name));
            config.global(&listen)
        })
    }

    /// Name of the socket that the first ping of a destination left.
    fn of(&self, crowd: &Crowd, name: &str) -> &'static str {
        let via = ping(crowd, name).text("Via");
        let at = self
            .ports
            .iter()
            .position(|p| via.contains(&format!("127.0.0.1:{p};")));
        at.map_or("one without a name", |at| SOCKETS[at])
    }
}

#[test]
fn the_socket_of_a_ping_is_the_first_of_six() {
    if this_server::older_than((5, 4), "a name of a socket") {
        return;
    }
    let sockets = Sockets::new();
    let [ping, name, socket] = [
        format!("ping_socket={}", sockets.text("ping")),
        "sockname=name".to_owned(),
        format!("socket={}", sockets.text("socket")),
    ];
    let rest = [
        ("all", format!("0 0 {socket};{name};{ping}")),
        ("two", format!("0 0 {socket};{name}")),
        ("one", format!("0 0 {socket}")),
        ("none", String::new()),
    ];
    let lines: Vec<(&str, &str)> = rest.iter().map(|(n, r)| (*n, r.as_str())).collect();
    let settings: [(&[(&str, String)], &str); 3] = [
        (
            &[
                ("ds_ping_socket", sockets.text("dping")),
                ("ds_default_sockname", "dname".to_owned()),
                ("ds_default_socket", sockets.text("dsocket")),
            ],
            "dping",
        ),
        (
            &[
                ("ds_default_sockname", "dname".to_owned()),
                ("ds_default_socket", sockets.text("dsocket")),
            ],
            "dname",
        ),
        (&[("ds_default_socket", sockets.text("dsocket"))], "dsocket"),
    ];
    for (params, default) in settings {
        let crowd = Crowd::start();
        let config = params
            .iter()
            .fold(sockets.config(), |config, (name, value)| {
                config.param(name, value.as_str())
            });
        let server: Kamailio = play(config, &crowd, &lines);
        let expected = [
            ("all", "ping"),
            ("two", "name"),
            ("one", "socket"),
            ("none", default),
        ];
        for (name, socket) in expected {
            assert_eq!(sockets.of(&crowd, name), socket, "{name}, with {params:?}");
        }
        server.stop();
    }
}

//! Local sockets: forced where a destination names one, and found wherever its name stands.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use harness::{
    Answer, Config, Kamailio, Message, Module, Request, Uac, Uas, free_port, patience, this_server,
};

const ROUTE: &str = r#"
request_route {
    if (!ds_select_dst("$hdr(X-Set)", "8")) {
        sl_send_reply("503", "None");
        exit;
    }
    t_relay();
}
"#;

/// Answers what comes over a connection; tells the caller's port of it, and of the topmost Via.
fn serve(mut stream: TcpStream, told: &Sender<(u16, String)>) {
    let from = stream.peer_addr().unwrap().port();
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..length]);
        if let Some(request) = Message::parse(&bytes) {
            bytes.clear();
            let _ = told.send((from, request.text("Via")));
            let _ = stream.write_all(&request.reply(200, "t", ""));
        }
    }
}

/// A destination over TCP.
fn destination() -> (u16, Receiver<(u16, String)>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let told = told.clone();
            std::thread::spawn(move || serve(stream, &told));
        }
    });
    (port, heard)
}

fn send(server: &Kamailio, set: &str) -> u16 {
    let request = Request::new("OPTIONS", "sip:callee@service.test").header("X-Set", set);
    Uac::new()
        .request(server.addr(), &request)
        .status()
        .unwrap()
}

/// 6183319381: a connection that the other listener has made to the same place is not used.
#[test]
fn a_local_socket_holds_over_tcp() {
    if this_server::older_than((5, 4), "a name of a socket") {
        return;
    }
    let ((port, heard), second) = (destination(), free_port());
    let list = format!(
        "1 sip:127.0.0.1:{port};transport=tcp 0 0 socket=tcp:127.0.0.1:{{{{PORT}}}}\n\
         2 sip:127.0.0.1:{port};transport=tcp 0 0 socket=tcp:127.0.0.1:{second};duid=x\n\
         3 sip:127.0.0.1:{port};transport=tcp 0 0 sockname=second\n"
    );
    let config = Config::routes(ROUTE)
        .list(list)
        .tcp()
        .global("tcp_reuse_port=yes")
        .global(&format!("listen=tcp:127.0.0.1:{second} name \"second\""));
    let server = Kamailio::start(Module::Rust, config);
    let mut connections = Vec::new();
    for (set, listener) in [("1", server.port()), ("2", second), ("3", second)] {
        assert_eq!(send(&server, set), 200, "set {set}");
        let (from, via) = heard.recv_timeout(patience(5)).unwrap();
        let at = format!("127.0.0.1:{listener};");
        assert!(via.contains(&at), "set {set}: {via}");
        connections.push(from);
    }
    let [first, by_place, by_name] = connections[..] else {
        panic!("{connections:?}")
    };
    assert_ne!(
        first, by_place,
        "the second listener has a connection of its own"
    );
    assert_eq!(by_place, by_name);
    assert_eq!(by_place, second, "and its own port");
}

/// The port of the server's listener that a request of this set left by, as its destination saw it.
fn leaves_by(server: &Kamailio, uas: &Uas, set: &str) -> u16 {
    uas.clear();
    assert_eq!(send(server, set), 200, "set {set}");
    let via = uas.requests()[0].text("Via");
    let port = via
        .split(':')
        .nth(1)
        .and_then(|rest| rest.split(';').next());
    port.unwrap().parse().unwrap()
}

/// #1161: the socket is found anywhere among the attributes. 2835291633, f93d3c70b1, 2a605383d5:
/// the default socket holds for destinations without one, wherever it stands in the config.
#[test]
fn sockets_of_attributes_and_the_default_one() {
    let uas = Uas::start(Answer::Code(200));
    let (other, default) = (free_port(), free_port());
    let socket = format!("socket=udp:127.0.0.1:{other}");
    let list = format!(
        "1 {uri} 0 0 {socket};weight=50;duid=a\n\
         2 {uri} 0 0 weight=50;{socket};duid=b\n\
         3 {uri} 0 0 weight=50;duid=c;{socket}\n\
         4 {uri} 0 0 weight=50;duid=d\n\
         5 {uri}\n",
        uri = uas.uri()
    );
    // The list file's parameter comes before these.
    let mut params = vec![("ds_default_socket", format!("udp:127.0.0.1:{default}"), "")];
    if this_server::core() < (5, 4) {
        this_server::skip_part("ds_default_sockname", "names of sockets came with 5.4");
    } else {
        let named = "name \"default\"";
        params.push(("ds_default_sockname", "default".to_owned(), named));
    }
    for (name, value, named) in params {
        let config = Config::routes(ROUTE)
            .list(list.clone())
            .global(&format!("listen=udp:127.0.0.1:{other}"))
            .global(&format!("listen=udp:127.0.0.1:{default} {named}"))
            .param(name, value);
        let server = Kamailio::start(Module::Rust, config);
        for set in ["1", "2", "3"] {
            assert_eq!(leaves_by(&server, &uas, set), other, "set {set}");
        }
        for set in ["4", "5"] {
            assert_eq!(leaves_by(&server, &uas, set), default, "set {set}");
        }
    }
}

/// 586802dbf0: the socket for pings is for pings alone.
#[test]
fn a_socket_for_pings_takes_no_requests() {
    let uas = Uas::start(Answer::Code(200));
    let (traffic, ping) = (free_port(), free_port());
    let list = format!(
        "1 {uri} 0 0 ping_socket=udp:127.0.0.1:{ping}\n\
         2 {uri} 0 0 ping_socket=udp:127.0.0.1:{ping};socket=udp:127.0.0.1:{traffic}\n",
        uri = uas.uri()
    );
    let config = Config::routes(ROUTE)
        .list(list)
        .global(&format!("listen=udp:127.0.0.1:{traffic}"))
        .global(&format!("listen=udp:127.0.0.1:{ping}"))
        .param("ds_ping_socket", format!("udp:127.0.0.1:{ping}"));
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(leaves_by(&server, &uas, "1"), server.port());
    assert_eq!(leaves_by(&server, &uas, "2"), traffic);
}

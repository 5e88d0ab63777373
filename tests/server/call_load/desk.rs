//! A server that counts calls on request, and the caller that asks it.
//!
//! The user part of a request says what the script does; the 200 tells what came of it. Nothing is
//! relayed, so that a test can make and end calls as fast as it likes.
//!
//! | user part | what the script does |
//! | --- | --- |
//! | `select` `domain` `only` | `ds_select_dst`, `ds_select_domain`, `ds_select` with algorithm 10 and set `X-Set` |
//! | `failover` | `ds_select_dst`, then `ds_next_dst` until it fails, at most `X-Next` times |
//! | `ended` | `ds_select_dst`, `ds_load_update`, `ds_next_dst` |
//! | `update` `unset` | `ds_load_update`, `ds_load_unset` |
//! | `undone` | `ds_select_dst`, `ds_load_unset` |
//!
//! A reply that comes in is forwarded without a transaction; a 2xx to an INVITE confirms its call,
//! an error ends it.

use std::net::UdpSocket;

use serde_json::json;

use harness::{Config, Kamailio, Message, Module, Request, Uac, patience};

/// The answer of the script.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// Return code of the last call.
    pub rc: i64,
    /// Destination of the message.
    pub du: Option<String>,
    /// Unique id of the destination that the call was last sent to.
    pub id: Option<String>,
    /// How often it was moved by failover.
    pub moves: usize,
    /// Number of results, by the module.
    pub cnt: Option<usize>,
    /// Unique ids of the results that are left.
    pub records: Vec<String>,
}

/// A config of the desk: failover, and 256 slots of calls.
pub fn config(list: &str) -> Config {
    config_without_calls(list).param("ds_hash_size", 8)
}

/// Like [`config`], without call load.
pub fn config_without_calls(list: &str) -> Config {
    Config::routes(ROUTES).list(list).param("flags", 2)
}

/// A desk with one worker.
pub fn start(list: &str) -> Kamailio {
    Kamailio::start(Module::Rust, config(list))
}

/// Lines of set 1 in the order of the set; each is a unique id and more attributes (`a;maxload=1`).
pub fn dests(ids: &[&str]) -> String {
    let line = |(n, id): (usize, &&str)| format!("1 {} 0 {} duid={id}\n", uri(n), 99 - n);
    ids.iter().enumerate().map(line).collect()
}

/// The URI of the destination at this place of [`dests`].
pub fn uri(n: usize) -> String {
    format!("sip:127.0.0.1:{}", 7001 + n)
}

/// A caller at the desk.
pub struct Desk<'s> {
    server: &'s Kamailio,
    uac: Uac,
    socket: UdpSocket,
}

impl<'s> Desk<'s> {
    /// A caller with ports of its own.
    pub fn new(server: &'s Kamailio) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let limit = Some(patience(10));
        socket.set_read_timeout(limit).expect("a read timeout");
        let uac = Uac::new();
        Desk {
            server,
            uac,
            socket,
        }
    }

    /// An INVITE to set 1 with algorithm 10.
    pub fn select(&self, call_id: &str) -> Said {
        self.ask("INVITE", "select", call_id)
    }

    /// The id of the destination that a new INVITE goes to; none when it is refused.
    pub fn pick(&self, call_id: &str) -> Option<String> {
        let said = self.select(call_id);
        assert_eq!(said.rc == 1, said.id.is_some(), "{said:?}");
        said.id
    }

    /// The ids that INVITEs with these Call-IDs go to, in one text; `-` where one is refused.
    pub fn picks<S: AsRef<str>>(&self, calls: &[S]) -> String {
        let pick = |call: &S| self.pick(call.as_ref()).unwrap_or_else(|| "-".to_owned());
        calls.iter().map(pick).collect::<Vec<_>>().join(" ")
    }

    /// An INVITE that fails over so many times.
    pub fn failover(&self, call_id: &str, times: usize) -> Said {
        let request = request("INVITE", "failover", call_id);
        said(&self.send(request.header("X-Next", times.to_string())))
    }

    /// A BYE, which ends the call.
    pub fn bye(&self, call_id: &str) -> Said {
        self.ask("BYE", "update", call_id)
    }

    /// Any request, with set 1.
    pub fn ask(&self, method: &str, what: &str, call_id: &str) -> Said {
        said(&self.send(request(method, what, call_id)))
    }

    /// Any request; yields the 200.
    pub fn send(&self, request: Request) -> Message {
        let reply = self.uac.request(self.server.addr(), &request);
        assert_eq!(reply.status(), Some(200), "{request:?}");
        reply
    }

    /// A reply to the call's INVITE passes the server; waits until it has passed.
    pub fn answer(&self, code: u16, call_id: &str) {
        let local = self.socket.local_addr().expect("the socket's address");
        let invite = request("INVITE", "select", call_id);
        // The branch of a request is unique: what was forwarded is known by it.
        let bytes = invite.render(local, "UDP");
        let branch = Message::parse(&bytes).expect("a request").branch();
        let back = format!("SIP/2.0/UDP {local};branch={branch}");
        let sent = invite.header("Via", back);
        let sent = sent.render(self.server.addr(), "UDP");
        let sent = Message::parse(&sent).expect("a request");
        let reply = sent.reply(code, "callee", "");
        let server = self.server.addr();
        self.socket.send_to(&reply, server).expect("a reply");
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).expect("the forwarded reply");
            let passed = Message::parse(&buffer[..length]).expect("a message");
            if passed.branch() == branch {
                assert_eq!(passed.status(), Some(code));
                return;
            }
        }
    }
}

/// A request with set 1, from the one caller of this Call-ID.
pub fn request(method: &str, what: &str, call_id: &str) -> Request {
    Request::new(method, format!("sip:{what}@desk.test"))
        .call_id(call_id)
        .from_tag("caller")
        .header("X-Set", "1")
}

/// Reads a 200 of the desk.
pub fn said(reply: &Message) -> Said {
    let text = |name| Some(reply.text(name)).filter(|text| text != "<null>" && !text.is_empty());
    let records = text("X-Records").unwrap_or_default();
    Said {
        rc: reply.text("X-Rc").parse().expect("a return code"),
        du: text("X-Du"),
        id: text("X-Id"),
        moves: text("X-Moves").map_or(0, |n| n.parse().expect("a number")),
        cnt: text("X-Cnt").map(|n| n.parse().expect("a count")),
        records: records.split_whitespace().map(str::to_owned).collect(),
    }
}

/// Unique id and `DLGLOAD` of each destination of a set, in the set's order.
pub fn loads_of(server: &Kamailio, set: i64) -> Vec<(String, i64)> {
    let list = server.jsonrpc("dispatcher.list", json!(["full"])).unwrap();
    let sets = list["RECORDS"].as_array().expect("RECORDS is an array");
    let found = sets.iter().find(|record| record["SET"]["ID"] == set);
    let dests = found.and_then(|record| record["SET"]["TARGETS"].as_array());
    let load = |target: &serde_json::Value| {
        let dest = &target["DEST"];
        let id = dest["ATTRS"]["DUID"].as_str().unwrap_or_default();
        let load = dest["RUNTIME"]["DLGLOAD"].as_i64().expect("DLGLOAD");
        (id.to_owned(), load)
    };
    dests.into_iter().flatten().map(load).collect()
}

/// The loads of set 1 in one text: `a=1 b=0`.
pub fn loads(server: &Kamailio) -> String {
    let loads = loads_of(server, 1);
    let loads = loads.iter().map(|(id, load)| format!("{id}={load}"));
    loads.collect::<Vec<_>>().join(" ")
}

/// Number of calls that are counted.
pub fn up(server: &Kamailio) -> i64 {
    let reply = server.jsonrpc("dispatcher.calls", json!(["all", 0, 0]));
    reply.unwrap()["UP"].as_i64().expect("UP")
}

const ROUTES: &str = r#"
request_route {
    if (is_method("ACK")) {
        exit;
    }
    $var(id) = "";
    $var(moves) = 0;
    switch ($rU) {
    case "select":
        ds_select_dst("$hdr(X-Set)", "10");
        $var(rc) = $rc;
        break;
    case "domain":
        ds_select_domain("$hdr(X-Set)", "10");
        $var(rc) = $rc;
        break;
    case "only":
        ds_select("$hdr(X-Set)", "10");
        $var(rc) = $rc;
        break;
    case "failover":
        ds_select_dst("$hdr(X-Set)", "10");
        $var(rc) = $rc;
        $var(left) = $(hdr(X-Next){s.int});
        while ($var(left) > 0 && $var(rc) == 1) {
            $var(id) = $xavp(_dsdst_=>dstid);
            ds_next_dst();
            $var(rc) = $rc;
            $var(left) = $var(left) - 1;
            if ($var(rc) == 1) {
                $var(moves) = $var(moves) + 1;
            }
        }
        break;
    case "ended":
        ds_select_dst("$hdr(X-Set)", "10");
        ds_load_unset();
        ds_next_dst();
        $var(rc) = $rc;
        break;
    case "undone":
        ds_select_dst("$hdr(X-Set)", "10");
        ds_load_unset();
        $var(rc) = $rc;
        break;
    case "update":
        ds_load_update();
        $var(rc) = $rc;
        break;
    case "unset":
        ds_load_unset();
        $var(rc) = $rc;
        break;
    }
    if ($xavp(_dsdst_=>dstid) != $null) {
        $var(id) = $xavp(_dsdst_=>dstid);
    }
    $var(records) = "";
    $var(x) = 0;
    while ($xavp(_dsdst_[$var(x)]=>uri) != $null) {
        $var(records) = $var(records) + " " + $xavp(_dsdst_[$var(x)]=>dstid);
        $var(x) = $var(x) + 1;
    }
    append_to_reply("X-Rc: $var(rc)\r\nX-Du: $du\r\nX-Id: $var(id)\r\n");
    append_to_reply("X-Cnt: $xavp(_dsctx_=>cnt)\r\nX-Records: $var(records)\r\nX-Moves: $var(moves)\r\n");
    sl_send_reply("200", "OK");
}
onreply_route {
    if (!is_method("INVITE")) {
        exit;
    }
    if (status =~ "2[0-9][0-9]") {
        ds_load_update();
    } else if (status =~ "[3-6][0-9][0-9]") {
        ds_load_unset();
    }
    # A route that ends with a function that failed drops the reply.
    return 1;
}
"#;

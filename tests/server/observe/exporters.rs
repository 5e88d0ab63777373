//! What three exporters in use read over ctl, by the names, types and nesting that they look for.
//!
//! Two of them (florentchauveau's and voiplens') walk over `dispatcher.list`; pascomnet's, as the first, reads counters by
//! `stats.fetch`.

use harness::{Config, Kamailio, Module, Piece, binrpc, this_server};

const LIST: &str = "1 sip:127.0.0.1:7001 0 5 duid=a;weight=60;rweight=30;socket=udp:127.0.0.1:{{PORT}}\n\
                    1 sip:127.0.0.1:7002 4\n7 sip:127.0.0.1:7003 8 2 carrier=x\n";

/// A value of a reply.
#[derive(Debug)]
enum Node {
    Int(i64),
    Double(i64),
    Text(String),
    /// A structure or an array: names, empty where there is none, and values.
    Items(Vec<(String, Node)>),
}

impl Node {
    fn items(&self) -> &[(String, Node)] {
        match self {
            Node::Items(items) => items,
            other => panic!("not a structure: {other:?}"),
        }
    }

    fn int(&self) -> i64 {
        match self {
            Node::Int(number) => *number,
            other => panic!("not a whole number: {other:?}"),
        }
    }

    fn double(&self) -> i64 {
        match self {
            Node::Double(number) => *number,
            other => panic!("not a fraction: {other:?}"),
        }
    }

    fn text(&self) -> &str {
        match self {
            Node::Text(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The members with a name; they skip all others.
    fn named<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Node> {
        let items = self.items().iter();
        items.filter_map(move |(found, node)| (found == name).then_some(node))
    }

    fn one<'n>(&'n self, name: &'n str) -> &'n Node {
        let found = self.named(name).next();
        found.unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

/// Reads the values up to the end of what is open.
fn items(pieces: &mut impl Iterator<Item = Piece>) -> Vec<(String, Node)> {
    let mut found = Vec::new();
    let mut name = String::new();
    while let Some(piece) = pieces.next() {
        let node = match piece {
            Piece::Name(next) => {
                name = next;
                continue;
            }
            Piece::Close => break,
            Piece::Open => Node::Items(items(pieces)),
            Piece::Int(number) => Node::Int(number),
            Piece::Double(number) => Node::Double(number),
            Piece::Text(text) => Node::Text(text),
        };
        found.push((std::mem::take(&mut name), node));
    }
    found
}

/// Asks by ctl.
fn ask(server: &Kamailio, command: &[&str]) -> Node {
    let pieces = binrpc(server.dir(), command).unwrap();
    let mut reply = items(&mut pieces.into_iter());
    assert_eq!(reply.len(), 1, "one structure: {reply:?}");
    reply.remove(0).1
}

/// Set, URI, flags and priority of each target.
type Target = (i64, String, String, i64);

/// Walks as both exporters do: they take no set 0, and fail where a type is another one.
fn targets(list: &Node) -> Vec<Target> {
    let mut found = Vec::new();
    for set in list
        .named("RECORDS")
        .flat_map(|records| records.named("SET"))
    {
        let id = set.one("ID").int();
        assert_ne!(id, 0);
        for dest in set
            .named("TARGETS")
            .flat_map(|targets| targets.named("DEST"))
        {
            let (uri, flags) = (dest.one("URI").text(), dest.one("FLAGS").text());
            let priority = dest.one("PRIORITY").int();
            found.push((id, uri.to_owned(), flags.to_owned(), priority));
        }
    }
    found
}

fn config() -> Config {
    Config::routes("request_route { exit; }")
        .list(LIST)
        .param("ds_ping_latency_stats", 1)
        .load("counters.so")
}

/// The first destination of set 1, with what voiplens' exporter reads besides.
fn of_first(list: &Node) -> (String, [i64; 2], String, [i64; 5]) {
    let sets = list.one("RECORDS").named("SET");
    let dests = sets.flat_map(|set| set.one("TARGETS").named("DEST"));
    let is_first = |dest: &&Node| dest.one("URI").text() == "sip:127.0.0.1:7001";
    let first = dests.into_iter().find(is_first).unwrap();
    let (attrs, latency) = (first.one("ATTRS"), first.one("LATENCY"));
    (
        attrs.one("BODY").text().to_owned(),
        ["WEIGHT", "RWEIGHT"].map(|name| attrs.one(name).int()),
        attrs.one("SOCKET").text().to_owned(),
        [
            latency.one("AVG").double(),
            latency.one("STD").double(),
            latency.one("EST").double(),
            latency.one("MAX").int(),
            latency.one("TIMEOUT").int(),
        ],
    )
}

#[test]
fn exporters_find_targets_where_they_look_for_them() {
    let server = Kamailio::start(Module::Rust, config().param("compat", "5.6"));
    let list = ask(&server, &["dispatcher.list"]);
    let mut found = targets(&list);
    found.sort();
    let target = |set, port: u16, flags: &str, priority| {
        (
            set,
            format!("sip:127.0.0.1:{port}"),
            flags.to_owned(),
            priority,
        )
    };
    assert_eq!(
        found,
        [
            target(1, 7001, "AX", 5),
            target(1, 7002, "DX", 0),
            target(7, 7003, "AP", 2)
        ]
    );
    let (body, weights, socket, latency) = of_first(&list);
    assert!(
        body.starts_with("duid=a;weight=60;rweight=30;socket=udp:127.0.0.1:"),
        "{body}"
    );
    assert_eq!((weights, latency), ([60, 30], [0; 5]));
    assert!(socket.starts_with("udp:127.0.0.1:"), "{socket}");
    if this_server::lacks(&["dispatcher.so"]) {
        return;
    }
    let [ours, theirs] = [Module::Rust, Module::C].map(|module| {
        let server = Kamailio::start(module, config().native().allow_log("disabling probing"));
        let mut found = targets(&ask(&server, &["dispatcher.list"]));
        found.sort();
        found
    });
    assert_eq!(ours, theirs, "the packaged module");
}

#[test]
fn exporters_find_the_group_of_counters() {
    let server = Kamailio::start(Module::Rust, config());
    for asked in ["all", "dispatcher:"] {
        let stats = ask(&server, &["stats.fetch", asked]);
        let value = |name: &str| stats.one(name).text().to_owned();
        assert_eq!(value("dispatcher.destinations"), "3", "{asked}");
        assert_eq!(value("dispatcher.destinations_up"), "2");
        assert_eq!(value("dispatcher.selections"), "0");
    }
}

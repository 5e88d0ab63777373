//! Nodes of different kinds: the C module, another server, a later version of the messages; and TLS.

use std::process::Command;
use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Plan};
use harness::module::Server;
use harness::{Module, certificate, patience, this_server};

use super::node::Node;
use super::row::{Row, Scale};
use super::scene::{counter, dest, lines, seen, sees, set, state};

/// Acts between two nodes in both directions.
fn acts(row: &mut Row, cluster: &Cluster, one: usize, other: usize) {
    let mut times = Vec::new();
    let limit = Duration::from_millis(250);
    for number in 0..row.scale.times(60, 10) {
        if row.has_failed() {
            break;
        }
        let (from, to) = if number % 2 == 0 {
            (one, other)
        } else {
            (other, one)
        };
        let (word, uri) = (["d", "drain", "a"][number / 10 % 3], dest(number % 10));
        let begun = Instant::now();
        set(cluster, from, word, &uri);
        match seen(cluster, &[to], &uri, word, begun, row.scale.wait(limit)) {
            Some(took) => times.push(took),
            None => row.must(
                false,
                format!("act {number} of lb{} does not arrive", from + 1),
            ),
        }
    }
    row.times("a change", times, limit);
}

/// One of three nodes has the C module.
pub fn c_module(scale: Scale) -> Row {
    let mut row = Row::new(scale, "left alone; the others agree; no flood in the log");
    if this_server::lacks_c_module() {
        return row;
    }
    let mut cluster = Plan::of(3).make();
    for node in 0..2 {
        let config = cluster.config(node, &lines(10));
        cluster.start(node, config);
    }
    let config = cluster.bus_config(2, &lines(10)).as_it_is();
    cluster.start_with(2, Module::C, config);
    let limit = scale.wait(Duration::from_secs(5));
    for (seer, node) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
        let took = sees(&cluster, seer, node, "ready", Instant::now(), limit);
        row.must(
            took.is_some(),
            format!("lb{} does not see lb{} ready", seer + 1, node + 1),
        );
    }
    acts(&mut row, &cluster, 0, 1);
    let asked = counter(&cluster, 0, "cluster_sent");
    std::thread::sleep(scale.times(Duration::from_secs(65), Duration::from_secs(1)));
    let lines = |node: usize| {
        let log = cluster.server(node).log();
        log.lines().filter(|line| line.contains("404")).count()
    };
    let traffic = cluster.switch().traffic(cluster.place(0), cluster.place(2));
    let uri = cluster.uri(2);
    let members = cluster.members(0);
    let seen = members.iter().find(|member| member["URI"] == uri.as_str());
    let seen = seen.map(|member| format!("{} with REFUSED {}", member["STATE"], member["REFUSED"]));
    row.say(format!(
        "lb1 sees lb3 {}; {} lines of 404; {} messages to it, {} to all",
        seen.unwrap_or_default(),
        lines(0),
        traffic.kdmqs,
        counter(&cluster, 0, "cluster_sent") - asked,
    ));
    row.must(lines(0) <= 3, "the log is flooded");
    row
}

/// One of two nodes is another release of the server.
pub fn releases(scale: Scale) -> Row {
    let mut row = Row::new(scale, "servers of two releases agree: p99 < 250 ms");
    let Some(other) = Server::fetched("trixie") else {
        row.say("skipped: make test-matrix has fetched no server of trixie");
        return row;
    };
    let version = Command::new(&other.program).arg("-v").output();
    let version = version.expect("the other server").stdout;
    let version = String::from_utf8_lossy(&version)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut cluster = Plan::of(2).make();
    let config = cluster.config(0, &lines(10));
    cluster.start(0, config);
    let config = cluster.config(1, &lines(10)).server(&other);
    cluster.start(1, config);
    cluster.wait_ready(patience(20));
    row.say(format!("{:?} with {version}", this_server::core()));
    acts(&mut row, &cluster, 0, 1);
    row
}

/// The second node speaks version 1.1, with fields and lines that nobody knows.
pub fn later(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "1.1 with unknown fields, lines and words: is a member, and its states count",
    );
    let mut cluster = Plan::of(2).make();
    let config = cluster.config(0, &lines(10));
    cluster.start(0, config);
    let mut node = Node::at(&cluster, 1);
    let to = cluster.addr(0);
    let hello = node.hello("1.1");
    let answer = node.tell(to, hello.as_bytes());
    row.must(
        answer.as_ref().is_some_and(|(code, _)| *code == 200),
        format!("hello: {answer:?}"),
    );
    let limit = scale.wait(Duration::from_secs(2));
    row.must(
        sees(&cluster, 0, 1, "ready", Instant::now(), limit).is_some(),
        format!("lb1 sees the node {:?}", cluster.state_of(0, 1)),
    );
    set(&cluster, 0, "d", &dest(0));
    // The register arrives once the server has heard that this life of it is known here.
    let begun = Instant::now();
    let (mut entry, mut life) = (None, String::new());
    while entry.is_none() && begun.elapsed() < limit {
        let Some(message) = node.next(Duration::from_millis(200)) else {
            continue;
        };
        let body = message.body_text();
        let field = |name: &str| {
            body.split([' ', '\n'])
                .find_map(|word| word.strip_prefix(name).map(str::to_owned))
        };
        if let (Some(incarnation), Some(name)) = (field("i="), field("n=")) {
            let told = node.hello("1.1")
                + &format!("M {name} {} {incarnation} 1 1 more\n", cluster.uri(0));
            node.tell(to, told.as_bytes());
            life = incarnation;
        }
        entry = body
            .lines()
            .find(|line| line.starts_with("A "))
            .map(str::to_owned);
    }
    let Some(entry) = entry else {
        row.must(false, "the server sends no state to the node");
        return row;
    };
    let words: Vec<&str> = entry.split(' ').collect();
    let stamp = u64::from_str_radix(words[2], 16).expect("a stamp") + 0x10_0000;
    // What the server had before: active.
    let head = node.head("1.1", "D");
    let body = format!(
        "{head} o={life} e=1 zz=new yy\nQ a later line\nA {} {stamp:x} {} 0 {} and more\nQ\n",
        words[1], words[3], words[5]
    );
    let answer = node.tell(to, body.as_bytes());
    row.must(
        answer.as_ref().is_some_and(|(code, _)| *code == 200),
        format!("data: {answer:?}"),
    );
    let took = seen(&cluster, &[0], &dest(0), "a", Instant::now(), limit);
    row.must(
        took.is_some(),
        format!("its state does not count: {}", state(&cluster, 0, &dest(0))),
    );
    let log = cluster.server(0).log();
    let said = log.lines().filter(|line| line.contains("refused")).count();
    row.must(said == 0, "the log has refusals");
    row.say("member, took a state, and set one");
    row
}

/// The bus over TLS, with certificates that each side checks.
pub fn tls(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "over TLS, both certificates checked: p99 < 250 ms; a death is seen within 6 s",
    );
    if this_server::lacks(&["tls.so"]) {
        return row;
    }
    let mut cluster = Plan::of(3).make();
    let certs = cluster.dir().to_owned();
    certificate(&certs, "authority", None);
    for node in 0..3 {
        certificate(&certs, &cluster.name(node), Some("authority"));
    }
    for node in 0..3 {
        let config = tls_config(&cluster, node);
        cluster.start(node, config);
    }
    cluster.wait_ready(patience(30));
    acts(&mut row, &cluster, 0, 2);
    cluster.kill(1);
    let (begun, limit) = (Instant::now(), Duration::from_secs(6));
    match sees(&cluster, 0, 1, "dead", begun, scale.wait(limit)) {
        Some(took) => row.within("dead after", took, limit),
        None => row.must(false, "the death is not seen"),
    }
    let log = cluster.server(0).log();
    let errors = log.lines().filter(|line| line.contains(" ERROR: ")).count();
    row.say(format!("{errors} ERROR lines in the log of lb1"));
    let config = tls_config(&cluster, 1);
    cluster.start(1, config);
    match sees(&cluster, 1, 1, "ready", Instant::now(), scale.wait(limit)) {
        Some(took) => row.within("ready again after", took, Duration::from_secs(4)),
        None => row.must(false, "lb2 does not come back"),
    }
    acts(&mut row, &cluster, 1, 2);
    row
}

/// The port of TLS.
const TLS: u16 = 5061;

fn tls_config(cluster: &Cluster, node: usize) -> harness::Config {
    let certs = cluster.dir().display().to_string();
    let name = cluster.name(node);
    let side = |side: &str| {
        format!(
            "[{side}:default]\nmethod = TLSv1.2+\nverify_certificate = yes\nrequire_certificate = yes\n\
             ca_list = {certs}/authority.pem\nprivate_key = {certs}/{name}.key\ncertificate = {certs}/{name}.pem\n"
        )
    };
    let ip = |node: usize| cluster.addr(node).ip();
    let uri = |node: usize| format!("sip:{}:{TLS};transport=tls", ip(node));
    let mut config = cluster
        .bus_config_at(node, &uri(node), &uri((node + 1) % 3), &lines(10))
        .tcp()
        .global("enable_tls=yes")
        .global(&format!("listen=tls:{}:{TLS}", ip(node)))
        .load("tls.so")
        .file("tls.cfg", &(side("server") + &side("client")))
        .modparam("tls", "config", "{{DIR}}/tls.cfg")
        .param("enable_dmq", 1)
        .param("ds_dmq_node", name);
    for other in (0..3).filter(|&other| other != node) {
        config = config.param("ds_dmq_peer", uri(other));
    }
    config
}

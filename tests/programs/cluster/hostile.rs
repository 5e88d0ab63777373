//! Messages that are old, doubled, foreign, or no messages.

use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Plan};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::node::Node;
use super::row::{Row, Scale};
use super::scene::{counter, dest, lines, seen, sees, set, state, states};

/// Lines of the log that name a refusal.
fn refusals(cluster: &Cluster, node: usize) -> usize {
    let log = cluster.server(node).log();
    log.lines()
        .filter(|line| line.contains("was refused: "))
        .count()
}

/// Two nodes with a key, or without one.
fn two(key: Option<&str>) -> Cluster {
    let mut cluster = Plan::of(2).make();
    for node in [0, 1] {
        let mut config = cluster.config(node, &lines(10));
        if let Some(key) = key {
            config = config.param("ds_dmq_key", key);
        }
        cluster.start(node, config);
    }
    cluster.wait_ready(harness::patience(20));
    cluster
}

/// Records an act of lb1, lets another one follow, and gives lb2 the first one again, many times; lb1 may have started
/// again meanwhile.
fn replay(row: &mut Row, cluster: &mut Cluster, restart: bool) {
    let limit = row.scale.wait(Duration::from_secs(1));
    let (one, other) = (cluster.place(0).clone(), cluster.place(1).clone());
    cluster.switch().record(&one, &other);
    set(cluster, 0, "d", &dest(0));
    let took = seen(cluster, &[1], &dest(0), "d", Instant::now(), limit);
    row.must(took.is_some(), "the recorded act is not seen");
    let packets = cluster.switch().recorded(&one, &other);
    if restart {
        cluster.kill(0);
        let config = cluster.config(0, &lines(10)).param("ds_dmq_key", "secret");
        cluster.start(0, config);
        let took = sees(cluster, 0, 0, "ready", Instant::now(), limit);
        row.must(took.is_some(), "lb1 does not come back");
    }
    set(cluster, 0, "a", &dest(0));
    let took = seen(cluster, &[1], &dest(0), "a", Instant::now(), limit);
    row.must(took.is_some(), "the later act is not seen");
    let members = cluster.members(1);
    for _ in 0..50 {
        cluster.switch().replay(&other, &packets);
    }
    // Something new arrives behind all that was given again.
    set(cluster, 0, "drain", &dest(1));
    let took = seen(cluster, &[1], &dest(1), "drain", Instant::now(), limit);
    row.must(took.is_some(), "nothing arrives behind the old messages");
    let shown = state(cluster, 1, &dest(0));
    row.must(shown == "A", format!("an old message counts: {shown}"));
    let incarnation = |members: &[serde_json::Value]| {
        let found = members.iter().find(|member| member["NAME"] == "lb1");
        found.map(|member| member["INCARNATION"].to_string())
    };
    let now = cluster.members(1);
    row.must(
        incarnation(&members) == incarnation(&now),
        format!("an old message has changed the members: {now:?}"),
    );
    set(cluster, 0, "a", &dest(1));
    let took = seen(cluster, &[1], &dest(1), "a", Instant::now(), limit);
    row.must(took.is_some(), "the last act is not seen");
    let what = if restart {
        " of a dead incarnation"
    } else {
        ""
    };
    row.say(format!("{} packets{what} given 50 times", packets.len()));
}

/// With a key.
pub fn keyed(scale: Scale) -> Row {
    let criterion = "nothing changes; refusals counted, one log line; the server goes on";
    let mut row = Row::new(scale, criterion);
    let mut cluster = two(Some("secret"));
    replay(&mut row, &mut cluster, false);
    replay(&mut row, &mut cluster, true);
    let (to, before) = (cluster.addr(1), counter(&cluster, 1, "cluster_refused"));
    let (shown, lines_before) = (states(&cluster, 1), refusals(&cluster, 1));
    let mut liar = Node::liar(&cluster, "lb1");
    let data = format!(
        "{} e=1\nA 1 7fffffffffffffff 1 4 0\n",
        liar.head("1.0", "D")
    );
    let mut count = 0;
    let mut send = |row: &mut Row, what: &str, body: &[u8], codes: &[u16]| {
        count += 1;
        let answer = liar.tell(to, body);
        let good = answer
            .as_ref()
            .is_some_and(|(code, _)| codes.contains(code));
        row.must(good, format!("{what}: {answer:?}"));
        answer
    };
    for (what, body, code) in [
        ("without a code", data.clone(), 403),
        (
            "with a wrong code",
            format!("{data}Z {}\n", "0".repeat(32)),
            403,
        ),
        ("60,000 bytes", "x".repeat(60_000), 413),
        ("nothing", String::new(), 403),
    ] {
        let answer = send(&mut row, what, body.as_bytes(), &[code, 400]);
        row.say(format!("{what}: {answer:?}"));
    }
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..scale.times(2_000, 200) {
        let length = random.random_range(0..3_000);
        let body: Vec<u8> = (0..length).map(|_| random.random()).collect();
        send(&mut row, "random bytes", &body, &[400, 403]);
    }
    let refused = counter(&cluster, 1, "cluster_refused") - before;
    row.say(format!(
        "{count} bad messages, {refused} counted as refused"
    ));
    row.must(
        refused == count,
        format!("{refused} of {count} are counted"),
    );
    row.must(states(&cluster, 1) == shown, "states have changed");
    let said = refusals(&cluster, 1) - lines_before;
    row.say(format!("{said} lines in the log"));
    row.must((1..=3).contains(&said), format!("{said} lines in the log"));
    let limit = scale.wait(Duration::from_secs(1));
    set(&cluster, 0, "d", &dest(5));
    let took = seen(&cluster, &[1], &dest(5), "d", Instant::now(), limit);
    row.must(took.is_some(), "the nodes do not go on");
    row
}

/// Without a key: bytes that are read, other clusters, and others' addresses.
pub fn keyless(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "without a key: nothing changes; 400, 403, 413, 505; the server goes on",
    );
    let cluster = two(None);
    let to = cluster.addr(1);
    let shown = states(&cluster, 1);
    let mut liar = Node::liar(&cluster, "lb1");
    let other = liar.head("1.0", "D").replace("c=default", "c=other");
    let second = liar.head("2.0", "D");
    let cut = format!("{} e=1\nA 1 2 3\n", liar.head("1.0", "D"));
    for (what, body, code) in [
        ("another cluster", format!("{other} e=1\n"), 403),
        ("version 2", format!("{second} e=1\n"), 505),
        ("a line that is cut", cut, 400),
        ("60,000 bytes", "x".repeat(60_000), 413),
        (
            "1,001 lines",
            format!("{}{}", liar.head("1.0", "D"), "\nB".repeat(1_001)),
            413,
        ),
    ] {
        let answer = liar.tell(to, body.as_bytes());
        row.say(format!("{what}: {answer:?}"));
        // The code, or 400 with the code in the reason.
        let good =
            answer.is_some_and(|(got, reason)| got == code || reason.contains(&code.to_string()));
        row.must(good, format!("{what} is not answered with {code}"));
    }
    // A register of lb1, as it is on the wire, but from another address and with a greater stamp.
    let (one, two) = (cluster.place(0), cluster.place(1));
    cluster.switch().record(one, two);
    set(&cluster, 0, "d", &dest(3));
    let limit = scale.wait(Duration::from_secs(1));
    let took = seen(&cluster, &[1], &dest(3), "d", Instant::now(), limit);
    row.must(took.is_some(), "an act is not seen");
    let packets = cluster.switch().recorded(one, two);
    let text: Vec<String> = packets
        .iter()
        .map(|packet| String::from_utf8_lossy(packet).into_owned())
        .collect();
    let entry = text
        .iter()
        .find_map(|text| text.lines().find(|line| line.starts_with("A ")));
    let entry = entry.expect("a register on the wire").trim_end().to_owned();
    let words: Vec<&str> = entry.split(' ').collect();
    let stamp = u64::from_str_radix(words[2], 16).expect("a stamp") + 0x10_0000;
    let forged = format!("A {} {stamp:x} {} 0 {}", words[1], words[3], words[5]);
    let to_whom = text
        .iter()
        .find_map(|text| text.split(' ').find(|word| word.starts_with("o=")));
    let to_whom = to_whom.expect("for which life it is");
    let body = format!("{} {to_whom} e=1\n{forged}\n", liar.head("1.0", "D"));
    let answer = liar.tell(to, body.as_bytes());
    row.say(format!("a register from elsewhere: {answer:?}"));
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..scale.times(2_000, 200) {
        // A message with changes: some are still messages, from the wrong address.
        let mut bytes = body.clone().into_bytes();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        row.must(
            liar.tell(to, &bytes).is_some(),
            "a changed message is not answered",
        );
    }
    set(&cluster, 0, "drain", &dest(4));
    let took = seen(&cluster, &[1], &dest(4), "drain", Instant::now(), limit);
    row.must(took.is_some(), "the nodes do not go on");
    let now = states(&cluster, 1);
    let differ = now
        .iter()
        .filter(|(uri, state)| shown.get(*uri) != Some(state))
        .count();
    row.must(
        differ == 2,
        format!("{differ} states have changed, not the 2 that were set: {now:?}"),
    );
    row
}

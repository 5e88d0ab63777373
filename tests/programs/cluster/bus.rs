//! A bus in trouble: messages that the script drops, workers that hang, a list that stays locked.

use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Plan};
use harness::this_server;
use serde_json::json;

use super::calls::Calls;
use super::node::Node;
use super::row::{Row, Scale};
use super::scene::{dest, lines, seen, sees, set};

/// `event_route[tm:local-request]` that drops messages while a variable is set.
const DROPPING: &str = r#"
event_route[tm:local-request] {
    if (is_method("KDMQ") && $shv(drop) == 1) drop();
}
"#;

/// The script drops what lb1 sends, for a while.
pub fn dropped(scale: Scale) -> Row {
    let criterion =
        "calls go on; the others see it dead; it recovers when the script lets messages go";
    let mut row = Row::new(scale, criterion);
    let mut cluster = Plan::of(3).make();
    for node in 0..3 {
        let config = cluster.config(node, &lines(10)).more_routes(DROPPING);
        cluster.start(node, config);
    }
    cluster.wait_ready(harness::patience(20));
    let calls = Calls::begin(&cluster, Duration::from_millis(50));
    let drop = |cluster: &Cluster, on: i64| {
        let answer = cluster
            .server(0)
            .jsonrpc("pv.shvSet", json!(["drop", "int", on]));
        answer.unwrap_or_else(|fault| panic!("pv.shvSet: {fault}"));
    };
    drop(&cluster, 1);
    let (begun, limit) = (Instant::now(), Duration::from_secs(6));
    set(&cluster, 0, "d", &dest(0));
    match sees(&cluster, 1, 0, "dead", begun, scale.wait(limit)) {
        Some(took) => row.within("lb1 is dead for lb2 after", took, limit),
        None => row.must(false, "lb2 does not see that lb1 is silent"),
    }
    set(&cluster, 1, "drain", &dest(1));
    let own = cluster.members(0);
    row.say(format!(
        "lb1 itself sees {}",
        own.iter()
            .map(|member| format!("{} {}", member["NAME"], member["STATE"]))
            .collect::<Vec<_>>()
            .join(", ")
    ));
    drop(&cluster, 0);
    let (healed, limit) = (Instant::now(), Duration::from_secs(8));
    for (node, uri, word) in [(1, dest(0), "d"), (2, dest(0), "d"), (0, dest(1), "drain")] {
        match seen(&cluster, &[node], &uri, word, healed, scale.wait(limit)) {
            Some(took) => row.within(&format!("lb{} is up to date after", node + 1), took, limit),
            None => row.must(false, format!("lb{} is not up to date", node + 1)),
        }
    }
    judge(&mut row, calls);
    row
}

fn judge(row: &mut Row, calls: Calls) {
    let counts = calls.end();
    let good: u64 = counts.iter().map(|count| count.good).sum();
    let failed: u64 = counts
        .iter()
        .map(|count| count.unselected + count.refused + count.lost)
        .sum();
    row.say(format!("{good} calls, {failed} failed"));
    row.must(good > 0 && failed == 0, format!("calls: {counts:?}"));
}

/// Pids of the workers of dmq.
fn workers(cluster: &Cluster, node: usize) -> Vec<i32> {
    let text = cluster.server(node).kamcmd(&["core.psx"]);
    let text = text.unwrap_or_else(|fault| panic!("core.psx: {fault}"));
    let (mut pids, mut pid) = (Vec::new(), 0);
    for line in text.lines().map(str::trim) {
        if let Some(value) = line.strip_prefix("PID: ") {
            pid = value.parse().expect("a pid");
        }
        if line.contains("DMQ WORKER") {
            pids.push(pid);
        }
    }
    pids
}

/// The workers of dmq are stopped on lb1, which takes the cluster's messages in its SIP workers.
pub fn workers_stopped(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "with dmq_process_message replication goes on (p99 < 250 ms), and calls",
    );
    let cluster = super::scene::cluster(3, 10);
    let calls = Calls::begin(&cluster, Duration::from_millis(50));
    let pids = workers(&cluster, 0);
    row.must(!pids.is_empty(), "there is no worker of dmq");
    for pid in &pids {
        // SAFETY: kill takes two numbers; the process is one of a server that this program has started.
        unsafe { libc::kill(*pid, libc::SIGSTOP) };
    }
    row.say(format!("{} workers stopped", pids.len()));
    acts(&mut row, &cluster);
    for pid in &pids {
        // SAFETY: as above.
        unsafe { libc::kill(*pid, libc::SIGCONT) };
    }
    judge(&mut row, calls);
    row
}

/// Acts of lb1 and lb2 arrive at the other one.
fn acts(row: &mut Row, cluster: &Cluster) {
    let (limit, mut times) = (Duration::from_millis(250), Vec::new());
    for number in 0..row.scale.times(60, 12) {
        if row.has_failed() {
            break;
        }
        let (node, other) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
        let (word, uri) = (["d", "a"][number / 10 % 2], dest(number % 10));
        let begun = Instant::now();
        set(cluster, node, word, &uri);
        match seen(
            cluster,
            &[other, 2],
            &uri,
            word,
            begun,
            row.scale.wait(limit),
        ) {
            Some(took) => times.push(took),
            None => row.must(false, format!("act {number} does not arrive")),
        }
    }
    row.times("a change", times, limit);
}

/// A name that does not resolve in dmq's list of nodes: 5.6.3 never releases that list's lock again.
pub fn locked(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "a bad name in dmq's list: replication goes on, or the log says so; calls go on",
    );
    let cluster = super::scene::cluster(3, 10);
    let stranger = Node::liar(&cluster, "nobody");
    let bad = "sip:bad.invalid:5060;status=active\r\n";
    let answer = stranger.notify(cluster.addr(0), bad);
    row.say(format!(
        "server {:?}; the list is answered with {answer:?}",
        this_server::core()
    ));
    let calls = Calls::begin(&cluster, Duration::from_millis(50));
    acts(&mut row, &cluster);
    judge(&mut row, calls);
    // The list stays locked, so the server cannot end as others do.
    drop_hard(cluster);
    row
}

fn drop_hard(mut cluster: Cluster) {
    let running: Vec<usize> = cluster.running().collect();
    for node in running {
        cluster.kill(node);
    }
}

//! One node pings for all: who pings, what a death or a cut does to that, and what it costs.

use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Plan};
use harness::switch::line::Condition;
use harness::{Answer, Config, patience, poll};
use serde_json::{Value, json};

use super::row::{Row, Scale};
use super::scene::{counter, sees};

/// How often each destination is pinged, and how long a ping waits.
const INTERVAL_S: i64 = 2;
const TIMEOUT_MS: i64 = 500;
const INTERVAL: Duration = Duration::from_secs(INTERVAL_S.unsigned_abs());
const TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MS.unsigned_abs());

/// A ping comes at most so much later than it should: three hellos, and what messages and processes take.
const LATE: Duration = Duration::from_secs(4);

/// How often it is looked.
const STEP: Duration = Duration::from_millis(20);

/// The config of a node. The gateways have the state from the start that pings find, so only a flip changes it.
fn config(cluster: &Cluster, node: usize, list: &str, shared: bool) -> Config {
    let gateways = cluster.gateways.iter();
    let gateways: String = gateways
        .map(|gateway| format!("1 {} 8\n", gateway.uri()))
        .collect();
    cluster
        .config(node, "")
        .list(gateways + list)
        .param("ds_ping_interval", INTERVAL_S)
        .param("ds_ping_fr_timeout", TIMEOUT_MS)
        .param("ds_probing_mode", 1)
        .param("ds_dmq_probing", i64::from(shared))
}

fn started(nodes: usize, list: &str, shared: bool) -> Cluster {
    let mut cluster = Plan::of(nodes).make();
    for node in 0..nodes {
        let config = config(&cluster, node, list, shared);
        cluster.start(node, config);
    }
    cluster.wait_ready(patience(20));
    cluster
}

/// The answer of `dispatcher.ping_status` on a gateway.
fn status(cluster: &Cluster, node: usize, gateway: usize) -> Value {
    let uri = cluster.gateways[gateway].uri();
    let answer = cluster
        .server(node)
        .jsonrpc("dispatcher.ping_status", json!([1, uri]));
    let answer = answer.unwrap_or_else(|fault| panic!("dispatcher.ping_status: {fault}"));
    answer["TARGETS"][0]["DEST"].clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The name of the node that pings a gateway, if all nodes that run say the same, and it itself.
fn watcher(cluster: &Cluster, gateway: usize) -> Option<usize> {
    let said = cluster
        .running()
        .map(|node| text(&status(cluster, node, gateway)["WATCHED_BY"]));
    let said: Vec<String> = said.collect();
    let first = said
        .first()
        .filter(|name| said.iter().all(|other| other == *name))?;
    cluster.running().find(|&node| cluster.name(node) == *first)
}

/// Returns true if a gateway is up on a node.
fn is_up(cluster: &Cluster, node: usize, gateway: usize) -> bool {
    text(&status(cluster, node, gateway)["FLAGS"]).starts_with('A')
}

/// Waits until one node pings a gateway; yields it.
fn settled(row: &mut Row, cluster: &Cluster, gateway: usize) -> usize {
    let limit = row.scale.wait(4 * INTERVAL + LATE);
    let found = poll(STEP, limit, || watcher(cluster, gateway), Option::is_some);
    found.unwrap_or_else(|| panic!("no one node pings gateway {gateway}"))
}

/// Watches when pings come to a gateway.
struct Pings {
    seen: usize,
    last: Instant,
    longest: Duration,
}

impl Pings {
    fn of(cluster: &Cluster, gateway: usize) -> Self {
        Self {
            seen: cluster.gateways[gateway].count("OPTIONS"),
            last: Instant::now(),
            longest: Duration::ZERO,
        }
    }

    fn look(&mut self, cluster: &Cluster, gateway: usize) {
        let seen = cluster.gateways[gateway].count("OPTIONS");
        self.longest = self.longest.max(self.last.elapsed());
        if seen > self.seen {
            (self.seen, self.last) = (seen, Instant::now());
        }
    }
}

/// The node that pings is killed: one gateway is dead, one is alive.
pub fn killed(scale: Scale) -> Row {
    let criterion = "no gap in pings above interval + 4 s, one pinger again <= 8 s after, no event, no flip; a gateway \
                     that dies meanwhile is found <= 4 s + interval + timeout";
    let mut row = Row::new(scale, criterion);
    let mut cluster = started(3, "", true);
    cluster.gateways[1].set_answer(Answer::Silent);
    let (mut gaps, mut again, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..scale.times(50, 2) {
        let owner = settled(&mut row, &cluster, 0);
        let others: Vec<usize> = cluster.running().filter(|&node| node != owner).collect();
        let dead = |node: &usize| !is_up(&cluster, *node, 1);
        let all_dead = || others.iter().all(dead);
        row.must(
            poll(STEP, scale.wait(LATE), all_dead, |all| *all),
            "the dead gateway is not found",
        );
        // At another moment of the interval each time, and the last ping before it counts.
        let mut pings = Pings::of(&cluster, 0);
        let first = pings.seen;
        let until = Instant::now() + INTERVAL + INTERVAL * (turn % 10) / 10;
        poll(
            STEP,
            scale.wait(INTERVAL),
            || {
                pings.look(&cluster, 0);
                pings.seen > first && Instant::now() >= until
            },
            |seen| *seen,
        );
        cluster.kill(owner);
        let begun = Instant::now();
        // In every other turn the gateway dies as well.
        let dies = turn % 2 == 1;
        if dies {
            cluster.gateways[0].set_answer(Answer::Silent);
            let limit = scale.wait(LATE + INTERVAL + TIMEOUT);
            let is_found = poll(
                STEP,
                limit,
                || others.iter().all(|&node| !is_up(&cluster, node, 0)),
                |all| *all,
            );
            row.must(is_found, "the gateway that has died is not found");
            found.push(begun.elapsed());
            cluster.gateways[0].set_answer(Answer::Code(200));
            let limit = scale.wait(INTERVAL);
            let is_back = poll(
                STEP,
                limit,
                || others.iter().all(|&node| is_up(&cluster, node, 0)),
                |all| *all,
            );
            row.must(is_back, "the gateway that is back is not found");
        } else {
            let limit = scale.wait(Duration::from_secs(8));
            let mut has_flipped = false;
            let one = || {
                pings.look(&cluster, 0);
                has_flipped |= others.iter().any(|&node| !is_up(&cluster, node, 0));
                watcher(&cluster, 0)
            };
            let one = poll(STEP, limit, one, Option::is_some);
            row.must(one.is_some(), "no one node pings again");
            again.push(begun.elapsed());
            gaps.push(pings.longest);
            row.must(!has_flipped, "the gateway was down meanwhile");
        }
        let config = config(&cluster, owner, "", true);
        cluster.start(owner, config);
        cluster.wait_ready(patience(20));
        if row.has_failed() {
            break;
        }
    }
    row.times("longest time without a ping", gaps, INTERVAL + LATE);
    row.times("one node pings again after", again, Duration::from_secs(8));
    row.times(
        "a gateway that dies with it is down after",
        found,
        LATE + INTERVAL + TIMEOUT,
    );
    row
}

/// Cuts or heals the lines between a node and the gateways.
fn reach(cluster: &Cluster, node: usize, condition: Condition) {
    let (one, other) = (cluster.place(node), cluster.outer_place());
    cluster.switch().set(one, other, condition);
    cluster.switch().set(other, one, condition);
}

/// The node that pings is cut from the gateways only, and then from the other nodes as well.
pub fn cut_off(scale: Scale) -> Row {
    let criterion = "the others keep using the gateway, both views are shown; nobody takes an isolated node's word";
    let mut row = Row::new(scale, criterion);
    let cluster = started(3, "", true);
    let owner = settled(&mut row, &cluster, 0);
    let others: Vec<usize> = cluster.running().filter(|&node| node != owner).collect();
    let changes = || -> i64 {
        others
            .iter()
            .map(|&node| counter(&cluster, node, "state_changes"))
            .sum()
    };
    let before = changes();
    let begun = Instant::now();
    reach(&cluster, owner, Condition::CUT);
    let limit = INTERVAL + TIMEOUT + Duration::from_secs(1);
    let is_down = poll(
        STEP,
        scale.wait(limit),
        || !is_up(&cluster, owner, 0),
        |down| *down,
    );
    row.must(is_down, "the node that is cut off does not notice");
    row.within("it is down there after", begun.elapsed(), limit);
    // Both views are shown on a node that reaches it.
    let uri = cluster.gateways[0].uri();
    let views = || {
        let answer = cluster
            .server(others[0])
            .jsonrpc("dispatcher.cluster", json!(["dest", "1", uri]));
        let answer = answer.unwrap_or_else(|fault| panic!("dispatcher.cluster dest: {fault}"));
        let views = answer["DESTS"][0]["DEST"]["VIEWS"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let flags = views
            .iter()
            .map(|view| text(&view["VIEW"]["FLAGS"]).chars().take(1).collect());
        let flags: Vec<String> = flags.collect();
        flags.contains(&"I".to_owned()) && flags.contains(&"A".to_owned())
    };
    row.must(
        poll(STEP, scale.wait(limit), views, |both| *both),
        "the two views are not shown",
    );
    for &other in &others {
        cluster.cut(owner, other);
    }
    for &other in &others {
        let limit = Duration::from_secs(6);
        let seen = sees(
            &cluster,
            other,
            owner,
            "dead",
            Instant::now(),
            scale.wait(limit),
        );
        row.must(seen.is_some(), "the cut is not seen");
    }
    cluster.heal();
    for &other in &others {
        let seen = sees(
            &cluster,
            other,
            owner,
            "ready",
            Instant::now(),
            scale.wait(limit),
        );
        row.must(seen.is_some(), "the node that was cut off is not seen");
    }
    std::thread::sleep(scale.times(2 * INTERVAL, INTERVAL));
    row.must(
        changes() == before,
        "a node has taken the word of the one that is cut off",
    );
    reach(&cluster, owner, Condition::default());
    let begun = Instant::now();
    let back = settled(&mut row, &cluster, 0);
    row.say(format!(
        "all rely on lb{} again {} ms after healing",
        back + 1,
        begun.elapsed().as_millis()
    ));
    row.must(
        is_up(&cluster, owner, 0),
        "the gateway is not up where it was cut off",
    );
    row
}

/// One direction between two nodes is cut.
pub fn one_way(scale: Scale) -> Row {
    let mut row = Row::new(scale, "no gap in pings above interval + 4 s, no flip");
    let cluster = started(3, "", true);
    let owner = settled(&mut row, &cluster, 0);
    let other = (owner + 1) % 3;
    let changes = || -> i64 {
        (0..3)
            .map(|node| counter(&cluster, node, "state_changes"))
            .sum()
    };
    let before = changes();
    cluster.cut_one_way(owner, other);
    let mut pings = Pings::of(&cluster, 0);
    let end = Instant::now() + scale.times(Duration::from_secs(30), Duration::from_secs(6));
    while Instant::now() < end {
        pings.look(&cluster, 0);
        std::thread::sleep(STEP);
    }
    row.within(
        "longest time without a ping",
        pings.longest,
        INTERVAL + LATE,
    );
    row.must(changes() == before, "a state has changed");
    cluster.heal();
    settled(&mut row, &cluster, 0);
    row
}

/// Pings of many destinations, and how soon a dead one is found, beside each node pinging for itself.
pub fn many(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "one ping an interval for each destination, however many nodes; found at most a timeout later",
    );
    let dests = scale.times(1_000, 50);
    for nodes in scale.times(vec![1, 3, 5], vec![3]) {
        for shared in [true, false] {
            if nodes == 1 && !shared {
                continue;
            }
            let cluster = Plan::of(nodes).make();
            let at = cluster.gateways[0].uri();
            let at = at.trim_start_matches("sip:");
            let list: String = (0..dests)
                .map(|number| format!("2 sip:u{number}@{at}\n"))
                .collect();
            let mut cluster = cluster;
            for node in 0..nodes {
                let config = config(&cluster, node, &list, shared);
                cluster.start(node, config);
            }
            cluster.wait_ready(patience(20));
            std::thread::sleep(4 * INTERVAL);
            cluster.gateways[0].clear();
            let (begun, wait) = (Instant::now(), 2 * INTERVAL);
            std::thread::sleep(wait);
            let pings = cluster.gateways[0].count("OPTIONS");
            let took = begun.elapsed();
            let rate = pings as f64 / took.as_secs_f64();
            let each = (dests + 1) as f64 / INTERVAL.as_secs_f64();
            let how = if shared { "shared" } else { "each for itself" };
            row.say(format!(
                "{nodes} nodes, {how}: {rate:.0} pings/s of {} destinations",
                dests + 1
            ));
            let factor = rate / each;
            let most = if shared { 1.3 } else { nodes as f64 + 0.3 };
            row.must(
                factor < most,
                format!("{factor:.2} pings an interval for each destination"),
            );
            let mut times = Vec::new();
            for _ in 0..scale.times(10, 1) {
                // It dies just after a ping, when it takes longest to find out.
                let before = cluster.gateways[1].count("OPTIONS");
                let pinged = || cluster.gateways[1].count("OPTIONS") > before;
                row.must(
                    poll(STEP, scale.wait(2 * INTERVAL), pinged, |pinged| *pinged),
                    "nobody pings a gateway",
                );
                cluster.gateways[1].set_answer(Answer::Silent);
                let begun = Instant::now();
                let down = || cluster.running().all(|node| !is_up(&cluster, node, 1));
                let limit = INTERVAL + 2 * TIMEOUT + Duration::from_secs(1);
                row.must(
                    poll(STEP, scale.wait(limit), down, |all| *all),
                    "a dead gateway is not found",
                );
                times.push(begun.elapsed());
                cluster.gateways[1].set_answer(Answer::Code(200));
                let up = || cluster.running().all(|node| is_up(&cluster, node, 1));
                row.must(
                    poll(STEP, scale.wait(limit), up, |all| *all),
                    "a gateway that is back is not found",
                );
                std::thread::sleep(scale.times(2 * INTERVAL, Duration::ZERO));
            }
            let limit = INTERVAL + 2 * TIMEOUT + Duration::from_secs(1);
            row.times(
                &format!("{nodes} nodes, {how}: down on all after"),
                times,
                limit,
            );
        }
    }
    row
}

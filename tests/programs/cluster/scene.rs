//! Clusters with destinations whose states are set, and how the states are looked at.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Plan};
use harness::{Config, patience, poll};
use serde_json::json;

use super::row::Scale;

/// The set whose states are set. Nobody calls it.
pub const SET: i64 = 2;

/// A destination of [`SET`].
pub fn dest(number: usize) -> String {
    let (high, low) = (number / 10_000, number % 10_000 + 10_000);
    format!("sip:192.0.2.{}:{low}", high + 1)
}

/// The lines of a list with so many destinations of [`SET`].
pub fn lines(count: usize) -> String {
    (0..count)
        .map(|number| format!("{SET} {}\n", dest(number)))
        .collect()
}

/// A cluster with so many nodes and destinations, which are ready.
pub fn cluster(nodes: usize, dests: usize) -> Cluster {
    let mut cluster = Plan::of(nodes).make();
    cluster.start_all(&lines(dests));
    cluster
}

/// The config of a node that keeps its states over a restart.
pub fn kept(cluster: &Cluster, node: usize, list: &str) -> Config {
    let file = cluster.dir().join(format!("{}.states", cluster.name(node)));
    let config = cluster.config(node, list);
    config.param("state_file", file.display().to_string())
}

/// The state of a destination, as the first letter of its `FLAGS`; empty where it is not in the list.
pub fn state(cluster: &Cluster, node: usize, uri: &str) -> String {
    let dests = cluster.server(node).dests(SET);
    let found = dests.into_iter().find(|(listed, _)| listed == uri);
    found.map_or_else(String::new, |(_, flags)| first_letter(&flags))
}

fn first_letter(flags: &str) -> String {
    flags.chars().take(1).collect()
}

/// The letter that `dispatcher.set_state` with this word leads to.
pub fn letter(word: &str) -> &'static str {
    match word {
        "d" => "D",
        "drain" => "R",
        "a" => "A",
        other => panic!("no letter for {other}"),
    }
}

/// Waits until a destination has a state on some nodes; yields how long it took since `begun`, or nothing when it has not.
pub fn seen(
    cluster: &Cluster,
    nodes: &[usize],
    uri: &str,
    word: &str,
    begun: Instant,
    limit: Duration,
) -> Option<Duration> {
    for &node in nodes {
        let look = || state(cluster, node, uri) == letter(word);
        let step = Duration::from_millis(2);
        let left = limit.saturating_sub(begun.elapsed());
        if !poll(step, left, look, |good| *good) {
            return None;
        }
    }
    Some(begun.elapsed())
}

/// Sets a state on a node. Panics where the server refuses.
pub fn set(cluster: &Cluster, node: usize, word: &str, uri: &str) {
    let answer = cluster.set_state(node, word, SET, uri);
    answer.unwrap_or_else(|fault| panic!("{word} {uri} on {}: {fault}", cluster.name(node)));
}

/// Destinations of a page of `dispatcher.list`.
const PAGE: usize = 1_000;

/// The states of [`SET`] on a node, by URI, however many there are.
pub fn states(cluster: &Cluster, node: usize) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for page in 0.. {
        let [set, from, count] = [SET.to_string(), (page * PAGE).to_string(), PAGE.to_string()];
        let words = ["dispatcher.list", "short", &set, &from, &count];
        let text = cluster.server(node).kamcmd(&words);
        let text = text.unwrap_or_else(|fault| panic!("dispatcher.list: {fault}"));
        let (before, mut uri) = (found.len(), String::new());
        for line in text.lines().map(str::trim) {
            if let Some(value) = line.strip_prefix("URI: ") {
                value.clone_into(&mut uri);
            } else if let Some(flags) = line.strip_prefix("FLAGS: ") {
                found.insert(std::mem::take(&mut uri), first_letter(flags));
            }
        }
        if found.len() < before + PAGE {
            break;
        }
    }
    found
}

/// The state of one destination of many.
pub fn state_of_one(cluster: &Cluster, node: usize, uri: &str) -> String {
    let words = ["dispatcher.ping_status", &SET.to_string(), uri];
    let text = cluster.server(node).kamcmd(&words);
    let text = text.unwrap_or_else(|fault| panic!("{words:?}: {fault}"));
    let flags = text.split("FLAGS: ").nth(1);
    flags.map_or_else(String::new, first_letter)
}

/// Waits until all nodes that run have the same states; yields how long it took since `begun`.
pub fn equal(cluster: &Cluster, begun: Instant, limit: Duration) -> Option<Duration> {
    let nodes: Vec<usize> = cluster.running().collect();
    loop {
        // What was read before this moment is what a node had before it.
        let now = begun.elapsed();
        let first = states(cluster, nodes[0]);
        if nodes[1..]
            .iter()
            .all(|&node| states(cluster, node) == first)
        {
            return Some(now);
        }
        if begun.elapsed() > limit {
            return None;
        }
    }
}

/// Waits until a node gives a state to another one; yields how long it took since `begun`.
pub fn sees(
    cluster: &Cluster,
    seer: usize,
    node: usize,
    word: &str,
    begun: Instant,
    limit: Duration,
) -> Option<Duration> {
    let look = || cluster.state_of(seer, node) == word;
    let left = limit.saturating_sub(begun.elapsed());
    poll(Duration::from_millis(10), left, look, |good| *good).then(|| begun.elapsed())
}

/// Bytes of shared memory that a node uses.
pub fn memory(cluster: &Cluster, node: usize) -> i64 {
    let answer = cluster.server(node).jsonrpc("core.shmmem", json!([]));
    let answer = answer.unwrap_or_else(|fault| panic!("core.shmmem: {fault}"));
    answer["used"].as_i64().expect("a number of bytes")
}

/// Waits until a node uses no more shared memory than it did; yields how much more it does in the end.
pub fn settled(cluster: &Cluster, node: usize, before: i64, scale: Scale) -> i64 {
    let limit = scale.times(Duration::from_secs(60), patience(30));
    let look = || memory(cluster, node) - before;
    poll(Duration::from_millis(100), limit, look, |more| {
        *more <= SLACK
    })
}

/// What a node may use more than before: what calls, lists of members and messages that are under way take.
pub const SLACK: i64 = 64 << 10;

/// A counter of the group `dispatcher`.
pub fn counter(cluster: &Cluster, node: usize, name: &str) -> i64 {
    let words = ["stats.fetch", &format!("dispatcher:{name}")];
    let text = cluster.server(node).kamcmd(&words);
    let text = text.unwrap_or_else(|fault| panic!("{words:?}: {fault}"));
    let number = text.split(": ").nth(1).and_then(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    number.unwrap_or_else(|| panic!("{name}: {text:?}"))
}

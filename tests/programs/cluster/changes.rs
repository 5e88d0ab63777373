//! Changes of states, one after the other, at the same time, and many at once.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use harness::switch::line::Condition;
use serde_json::json;

use super::calls::Calls;
use super::row::{Row, Scale};
use super::scene::{
    SLACK, cluster, dest, equal, letter, lines, memory, seen, set, settled, state, state_of_one,
    states,
};
use harness::cluster::{Cluster, Plan};
use harness::poll;

/// The states that follow each other.
const WORDS: [&str; 3] = ["d", "drain", "a"];

/// Destinations that take turns.
const DESTS: usize = 10;

fn changes(row: &mut Row, cluster: &Cluster, limit: Duration) {
    let mut times = Vec::new();
    for number in 0..row.scale.times(200, 30) {
        if row.has_failed() {
            break;
        }
        let (node, uri) = (number % cluster.size(), dest(number % DESTS));
        let word = WORDS[number / DESTS % WORDS.len()];
        let others: Vec<usize> = cluster.running().filter(|&other| other != node).collect();
        let begun = Instant::now();
        set(cluster, node, word, &uri);
        match seen(cluster, &others, &uri, word, begun, row.scale.wait(limit)) {
            Some(took) => times.push(took),
            None => row.must(
                false,
                format!("change {number}, {word} of {uri}, was not seen"),
            ),
        }
        row.must(
            state(cluster, node, &uri) == letter(word),
            format!("change {number} was undone where it was made"),
        );
    }
    row.times("a change on the other nodes", times, limit);
}

/// Changes on each node in turn.
pub fn plain(scale: Scale) -> Row {
    let mut row = Row::new(scale, "p99 < 250 ms");
    let cluster = cluster(3, DESTS);
    changes(&mut row, &cluster, Duration::from_millis(250));
    row
}

/// As [`plain`], over lines that lose, double and reorder.
pub fn lossy(scale: Scale) -> Row {
    let mut row = Row::new(scale, "p99 < 1 s");
    let cluster = cluster(3, DESTS);
    cluster.weather(Condition {
        loss: 0.1,
        doubled: 0.05,
        reordered: 0.05,
        ..Condition::default()
    });
    changes(&mut row, &cluster, Duration::from_secs(1));
    row
}

/// Plain changes where there is no switch.
pub fn loopback(scale: Scale) -> Row {
    let mut row = Row::new(scale, "p99 < 250 ms");
    let mut cluster = Plan::of(3).on_loopback().make();
    cluster.start_all(&lines(DESTS));
    changes(&mut row, &cluster, Duration::from_millis(250));
    row
}

/// The same destination gets three states at once.
pub fn at_once(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "all equal < 1 s after the last; it is that of the greatest stamp",
    );
    let cluster = cluster(3, DESTS);
    let (mut times, limit) = (Vec::new(), Duration::from_secs(1));
    for number in 0..scale.times(200, 20) {
        if row.has_failed() {
            break;
        }
        let uri = dest(number % DESTS);
        let start = Barrier::new(3);
        std::thread::scope(|scope| {
            for node in 0..3 {
                let (cluster, uri, start) = (&cluster, &uri, &start);
                // So that none wins by its place.
                let word = WORDS[(node + number) % 3];
                scope.spawn(move || {
                    start.wait();
                    set(cluster, node, word, uri);
                });
            }
        });
        let begun = Instant::now();
        let Some(took) = equal(&cluster, begun, scale.wait(limit)) else {
            row.must(false, format!("round {number}: the nodes do not agree"));
            continue;
        };
        times.push(took);
        // Each node says whose act won: it is the same one on all, and its state is that act's.
        for node in 0..3 {
            let params = json!(["dest", super::scene::SET, uri]);
            let answer = cluster.server(node).jsonrpc("dispatcher.cluster", params);
            let answer = answer.unwrap_or_else(|fault| panic!("dispatcher.cluster dest: {fault}"));
            let winner = (0..3).find(|&winner| answer.to_string().contains(&cluster.name(winner)));
            let word = winner.map(|winner| WORDS[(winner + number) % 3]);
            let letters = word.map(letter).unwrap_or("?");
            let shown = state(&cluster, node, &uri);
            row.must(
                shown == letters,
                format!("round {number}: {shown} on lb{}, but {answer}", node + 1),
            );
        }
    }
    row.times("all equal", times, limit);
    row
}

/// Many changes on one node, under calls.
pub fn burst(scale: Scale) -> Row {
    let criterion = "equal < 1 s after the last; no failed selection; shm returns to its level";
    let mut row = Row::new(scale, criterion);
    let count = scale.times(10_000, 1_000);
    let cluster = cluster(3, count);
    let calls = Calls::begin(&cluster, Duration::from_millis(50));
    let limit = Duration::from_secs(1);
    let mut levels: Vec<i64> = Vec::new();
    let sent = || cluster.switch().traffic(cluster.place(0), cluster.place(1));
    // The first round fills what stays: registers, buffers, and a list of members.
    for word in ["d", "a", "d", "a"] {
        let (begun, before) = (Instant::now(), sent());
        for number in 0..count {
            set(&cluster, 0, word, &dest(number));
        }
        let (lasted, last) = (begun.elapsed(), Instant::now());
        let what = format!(
            "{count} changes ({word}) in {} ms, equal after",
            lasted.as_millis()
        );
        // What is set last is sent last.
        let arrived = |node: usize| {
            let look = || state_of_one(&cluster, node, &dest(count - 1)) == letter(word);
            poll(Duration::from_millis(2), scale.wait(limit), look, |good| {
                *good
            })
        };
        let all_right = |node: usize| {
            let all = states(&cluster, node);
            all.len() == count && all.values().all(|state| state == letter(word))
        };
        let mut took = None;
        while took.is_none() && arrived(1) && arrived(2) && last.elapsed() < scale.wait(limit) {
            // What is read from now on is what was there before.
            let now = last.elapsed();
            took = (all_right(1) && all_right(2)).then_some(now);
        }
        match took {
            Some(took) => row.within(&what, took, limit),
            None => row.must(false, format!("{what}: never")),
        }
        let after = sent();
        row.say(format!(
            "{} messages and {} kB to each peer",
            after.kdmqs - before.kdmqs,
            (after.bytes - before.bytes) / 1_000
        ));
        if levels.is_empty() {
            levels = (0..3).map(|node| memory(&cluster, node)).collect();
        }
    }
    let calls = calls.end();
    let good: u64 = calls.iter().map(|count| count.good).sum();
    let failed: u64 = calls
        .iter()
        .map(|count| count.unselected + count.refused + count.lost)
        .sum();
    row.say(format!("{good} calls, {failed} failed"));
    row.must(failed == 0 && good > 0, format!("calls: {calls:?}"));
    for (node, level) in levels.iter().enumerate() {
        let more = settled(&cluster, node, *level, scale);
        row.say(format!("shm of lb{} {more:+} bytes", node + 1));
        row.must(
            more <= SLACK,
            format!("lb{} uses {more} bytes more", node + 1),
        );
    }
    row
}

/// Nobody sets anything.
pub fn idle(scale: Scale) -> Row {
    let mut row = Row::new(scale, "3 nodes: less than 4 kB/s sent by each");
    for nodes in [3, 5] {
        let cluster = cluster(nodes, DESTS);
        let sent = || {
            let others = (1..nodes).map(|other| {
                let (one, other) = (cluster.place(0), cluster.place(other));
                cluster.switch().traffic(one, other)
            });
            others.fold((0, 0), |(kdmqs, bytes), traffic| {
                (kdmqs + traffic.kdmqs, bytes + traffic.bytes)
            })
        };
        let (begun, before) = (Instant::now(), sent());
        std::thread::sleep(scale.times(Duration::from_secs(20), Duration::from_secs(2)));
        let (after, seconds) = (sent(), begun.elapsed().as_secs_f64());
        let kdmqs = (after.0 - before.0) as f64 / seconds;
        let rate = (after.1 - before.1) as f64 / seconds;
        row.say(format!(
            "{nodes} nodes: {kdmqs:.1} KDMQ/s and {:.2} kB/s by each, answers too",
            rate / 1e3
        ));
        row.must(nodes > 3 || rate < 4e3, format!("{rate} bytes a second"));
    }
    row
}

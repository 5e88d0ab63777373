//! Nodes that are killed, stopped and started again, under calls.

use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Plan};

use super::calls::{Calls, Count};
use super::row::{Row, Scale};
use super::scene::{
    SLACK, dest, kept, letter, lines, memory, seen, sees, set, settled, state, states,
};

/// Destinations whose states are set.
const DESTS: usize = 40;

/// When others must have noticed a death: `ds_dmq_dead_time`, and one second.
const NOTICED: Duration = Duration::from_secs(6);

/// A cluster that keeps its states.
fn keeping(nodes: usize) -> Cluster {
    let mut cluster = Plan::of(nodes).make();
    for node in 0..nodes {
        let config = kept(&cluster, node, &lines(DESTS));
        cluster.start(node, config);
    }
    cluster.wait_ready(harness::patience(20));
    cluster
}

fn others(cluster: &Cluster, node: usize) -> Vec<usize> {
    (0..cluster.size()).filter(|&other| other != node).collect()
}

/// No call through another node than this one may have failed.
fn judge(row: &mut Row, counts: &[Count], victim: usize) {
    let others = counts
        .iter()
        .enumerate()
        .filter(|&(node, _)| node != victim);
    for (node, count) in others {
        let failed = count.unselected + count.refused + count.lost;
        let what = format!("calls through lb{}: {count:?}", node + 1);
        row.must(failed == 0 && count.good > 0, what);
    }
    let good: u64 = counts.iter().map(|count| count.good).sum();
    let unselected: u64 = counts.iter().map(|count| count.unselected).sum();
    row.say(format!("{good} calls, {unselected} failed selections"));
}

/// The others set states while a node is away.
fn acts(row: &mut Row, cluster: &Cluster, away: usize, word: &str) {
    let others = others(cluster, away);
    for number in 0..DESTS / 2 {
        set(cluster, others[number % others.len()], word, &dest(number));
    }
    let (begun, last) = (Instant::now(), dest(DESTS / 2 - 1));
    let limit = row.scale.wait(NOTICED);
    let took = seen(cluster, &others, &last, word, begun, limit);
    row.must(took.is_some(), "an act while a node is away is not seen");
}

/// Waits until all others think this of a node.
fn all_see(row: &mut Row, cluster: &Cluster, node: usize, word: &str, limit: Duration) {
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    for seer in others(cluster, node) {
        match sees(cluster, seer, node, word, begun, row.scale.wait(limit)) {
            Some(took) => longest = longest.max(took),
            None => {
                let seen = cluster.state_of(seer, node);
                row.must(false, format!("lb{} sees {seen}, not {word}", seer + 1));
            }
        }
    }
    row.within(&format!("lb{} is {word} after", node + 1), longest, limit);
}

/// Waits until a node that has come back is ready; its states are then those of the others.
fn comes_back(row: &mut Row, cluster: &Cluster, node: usize, begun: Instant, limit: Duration) {
    let what = format!("lb{} is ready again after", node + 1);
    match sees(cluster, node, node, "ready", begun, row.scale.wait(limit)) {
        Some(took) => row.within(&what, took, limit),
        None => row.must(false, format!("{what}: never")),
    }
    let (own, theirs) = (
        states(cluster, node),
        states(cluster, others(cluster, node)[0]),
    );
    let wrong = own
        .iter()
        .filter(|(uri, state)| theirs.get(*uri) != Some(state))
        .count();
    row.must(
        wrong == 0,
        format!("{wrong} states differ when lb{} is ready", node + 1),
    );
    row.must(own.len() == DESTS, format!("{} destinations", own.len()));
}

/// Every node in turn goes away and comes back.
fn each(
    scale: Scale,
    nodes: usize,
    criterion: &'static str,
    mut away: impl FnMut(&mut Row, &mut Cluster, usize),
) -> Row {
    let mut row = Row::new(scale, criterion);
    let mut cluster = keeping(nodes);
    let victims: Vec<usize> = scale.times((0..nodes).collect(), vec![nodes - 1]);
    for node in victims {
        let level: Vec<i64> = (0..nodes).map(|node| memory(&cluster, node)).collect();
        let calls = Calls::begin(&cluster, Duration::from_millis(50));
        away(&mut row, &mut cluster, node);
        judge(&mut row, &calls.end(), node);
        for other in others(&cluster, node) {
            let more = settled(&cluster, other, level[other], scale);
            row.say(format!("shm of lb{} {more:+} bytes", other + 1));
            row.must(
                more <= SLACK,
                format!("lb{} uses {more} bytes more", other + 1),
            );
        }
    }
    row
}

/// The others have what a node has disabled.
fn all_know(row: &mut Row, cluster: &Cluster, node: usize) {
    let (begun, last) = (Instant::now(), dest(DESTS - 1));
    let limit = row.scale.wait(NOTICED);
    let took = seen(cluster, &others(cluster, node), &last, "d", begun, limit);
    row.must(took.is_some(), "an act before the end is not seen");
}

/// `kill -9`, and a start.
pub fn killed(scale: Scale) -> Row {
    let criterion =
        "seen within 6 s; no failed selection elsewhere; states right when ready; no leak";
    each(scale, 3, criterion, |row, cluster, node| {
        set(cluster, node, "d", &dest(DESTS - 1));
        all_know(row, cluster, node);
        cluster.kill(node);
        all_see(row, cluster, node, "dead", NOTICED);
        acts(row, cluster, node, "drain");
        let config = kept(cluster, node, &lines(DESTS));
        cluster.start(node, config);
        comes_back(row, cluster, node, Instant::now(), Duration::from_secs(1));
        all_see(row, cluster, node, "ready", NOTICED);
        set(cluster, node, "a", &dest(DESTS - 1));
        acts(row, cluster, node, "a");
    })
}

/// SIGSTOP for half a minute.
pub fn stopped(scale: Scale) -> Row {
    let criterion =
        "30 s: no failed selection elsewhere; states right within 2 s of going on; no leak";
    each(scale, 3, criterion, |row, cluster, node| {
        let begun = Instant::now();
        cluster.server(node).signal_all(libc::SIGSTOP);
        all_see(row, cluster, node, "dead", NOTICED);
        acts(row, cluster, node, "d");
        let pause = row.scale.times(Duration::from_secs(30), Duration::ZERO);
        std::thread::sleep(pause.saturating_sub(begun.elapsed()));
        cluster.server(node).signal_all(libc::SIGCONT);
        let (begun, limit) = (Instant::now(), Duration::from_secs(2));
        // Each of the two others sends what was set on it.
        for number in [DESTS / 2 - 1, DESTS / 2 - 2] {
            let what = format!("lb{} has what another has set after", node + 1);
            let wait = row.scale.wait(limit);
            match seen(cluster, &[node], &dest(number), "d", begun, wait) {
                Some(took) => row.within(&what, took, limit),
                None => row.must(false, format!("{what}: never")),
            }
        }
        all_see(row, cluster, node, "ready", NOTICED);
        for number in 0..DESTS / 2 {
            let shown = state(cluster, node, &dest(number));
            row.must(shown == letter("d"), format!("{shown} of {}", dest(number)));
        }
        acts(row, cluster, node, "a");
    })
}

/// A stop and a start, as an operator does them.
pub fn restarted(scale: Scale) -> Row {
    let criterion = "no failed selection elsewhere; states right when ready; no leak";
    each(scale, 3, criterion, |row, cluster, node| {
        set(cluster, node, "d", &dest(DESTS - 1));
        all_know(row, cluster, node);
        cluster.stop(node);
        acts(row, cluster, node, "drain");
        let config = kept(cluster, node, &lines(DESTS));
        cluster.start(node, config);
        comes_back(row, cluster, node, Instant::now(), Duration::from_secs(1));
        all_see(row, cluster, node, "ready", NOTICED);
        let shown = state(cluster, node, &dest(DESTS - 1));
        row.must(shown == "D", format!("what it had set itself is {shown}"));
        set(cluster, node, "a", &dest(DESTS - 1));
        acts(row, cluster, node, "a");
    })
}

/// Five nodes, of which two die.
pub fn five(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "five nodes: p99 < 250 ms; two killed, seen within 6 s, back with the states",
    );
    let mut cluster = keeping(5);
    let mut times = Vec::new();
    for number in 0..scale.times(200, 20) {
        if row.has_failed() {
            break;
        }
        let (node, uri) = (number % 5, dest(number % DESTS));
        let word = ["d", "a"][number / DESTS % 2];
        let others = others(&cluster, node);
        let begun = Instant::now();
        set(&cluster, node, word, &uri);
        let limit = scale.wait(Duration::from_secs(1));
        match seen(&cluster, &others, &uri, word, begun, limit) {
            Some(took) => times.push(took),
            None => row.must(false, format!("change {number} was not seen")),
        }
    }
    row.times(
        "a change on the four others",
        times,
        Duration::from_millis(250),
    );
    let calls = Calls::begin(&cluster, Duration::from_millis(100));
    cluster.kill(3);
    cluster.kill(4);
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    for seer in [0, 1, 2] {
        for node in [3, 4] {
            match sees(&cluster, seer, node, "dead", begun, scale.wait(NOTICED)) {
                Some(took) => longest = longest.max(took),
                None => row.must(false, format!("lb{} does not see the death", seer + 1)),
            }
        }
    }
    row.within("both are dead after", longest, NOTICED);
    set(&cluster, 0, "drain", &dest(1));
    for node in [3, 4] {
        let config = kept(&cluster, node, &lines(DESTS));
        cluster.start(node, config);
        comes_back(
            &mut row,
            &cluster,
            node,
            Instant::now(),
            Duration::from_secs(1),
        );
    }
    let counts = calls.end();
    let failed: u64 = counts[..3]
        .iter()
        .map(|count| count.unselected + count.refused + count.lost)
        .sum();
    row.must(failed == 0, format!("calls: {counts:?}"));
    row
}

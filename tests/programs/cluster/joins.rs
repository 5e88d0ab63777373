//! Nodes that join, and nodes with other lists.

use std::time::{Duration, Instant};

use serde_json::json;

use super::calls::Calls;
use super::row::{Row, Scale};
use super::scene::{SET, cluster, dest, equal, lines, seen, sees, set, state, states};
use harness::cluster::{Cluster, Plan};

/// Destinations with a register when a node joins.
const REGISTERS: usize = 1_000;

/// Lets the last node join; yields the time until it is ready, and how many states differ then.
fn join(cluster: &mut Cluster, scale: Scale, limit: Duration) -> (Option<Duration>, usize) {
    let node = cluster.size() - 1;
    let config = cluster.config(node, &lines(REGISTERS));
    cluster.start(node, config);
    let took = sees(
        cluster,
        node,
        node,
        "ready",
        Instant::now(),
        scale.wait(limit),
    );
    let (own, theirs) = (states(cluster, node), states(cluster, node - 1));
    let wrong = theirs
        .iter()
        .filter(|(uri, state)| own.get(*uri) != Some(state))
        .count();
    (took, wrong)
}

/// A cluster whose last node does not run, and whose others have all registers.
fn with_registers() -> Cluster {
    let mut cluster = Plan::of(3).make();
    for node in [0, 1] {
        let config = cluster.config(node, &lines(REGISTERS));
        cluster.start(node, config);
    }
    cluster.wait_ready(harness::patience(20));
    for number in 0..REGISTERS {
        set(
            &cluster,
            number % 2,
            ["d", "drain"][number / 2 % 2],
            &dest(number),
        );
    }
    let limit = harness::patience(20);
    assert!(
        equal(&cluster, Instant::now(), limit).is_some(),
        "lb1 and lb2 agree"
    );
    cluster
}

/// A node joins again and again, under calls.
pub fn plain(scale: Scale) -> Row {
    let criterion =
        "1,000 registers under calls: ready <= 1 s after the start, states equal when ready";
    let mut row = Row::new(scale, criterion);
    let mut cluster = with_registers();
    let calls = Calls::begin(&cluster, Duration::from_millis(10));
    let limit = Duration::from_secs(1);
    let mut times = Vec::new();
    for number in 0..scale.times(100, 3) {
        if row.has_failed() {
            break;
        }
        let (took, wrong) = join(&mut cluster, scale, limit);
        row.must(
            wrong == 0,
            format!("join {number}: {wrong} states differ when ready"),
        );
        match took {
            Some(took) => times.push(took),
            None => row.must(false, format!("join {number}: never ready")),
        }
        cluster.kill(2);
    }
    row.times("ready", times, limit);
    let counts = calls.end();
    let failed: u64 = counts[..2]
        .iter()
        .map(|count| count.unselected + count.refused + count.lost)
        .sum();
    let good: u64 = counts.iter().map(|count| count.good).sum();
    row.say(format!("{good} calls, {failed} failed on the other nodes"));
    row.must(failed == 0, format!("calls: {counts:?}"));
    row
}

/// One of the two others is killed while a node joins.
pub fn bereft(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "another node is killed meanwhile: ready <= 4 s, states equal",
    );
    let mut cluster = with_registers();
    let limit = Duration::from_secs(4);
    let mut times = Vec::new();
    for number in 0..scale.times(20, 1) {
        if row.has_failed() {
            break;
        }
        let config = cluster.config(2, &lines(REGISTERS));
        cluster.start(2, config);
        let begun = Instant::now();
        cluster.kill(0);
        match sees(&cluster, 2, 2, "ready", begun, scale.wait(limit)) {
            Some(took) => times.push(took),
            None => row.must(false, format!("join {number}: never ready")),
        }
        let (own, theirs) = (states(&cluster, 2), states(&cluster, 1));
        row.must(
            own == theirs,
            format!("join {number}: states differ when ready"),
        );
        cluster.kill(2);
        let config = cluster.config(0, &lines(REGISTERS));
        cluster.start(0, config);
        let back = sees(&cluster, 0, 0, "ready", Instant::now(), scale.wait(limit));
        row.must(back.is_some(), "lb1 does not come back");
    }
    row.times("ready", times, limit);
    row
}

/// One node gets a new list, in which lines are gone, new, and have other flags.
pub fn reload(scale: Scale) -> Row {
    let criterion = "states of common destinations equal; own flags win; states wait for the list; messages < 2 x changed";
    let mut row = Row::new(scale, criterion);
    let cluster = cluster(3, 40);
    // 0 to 9 get a state; 0 to 4 vanish from lb1's list, 5 to 9 stay, 10 to 14 get other flags, 40 to 49 are new.
    for number in 0..15 {
        set(&cluster, 1, "d", &dest(number));
    }
    let limit = Duration::from_secs(2);
    let took = seen(
        &cluster,
        &[0, 2],
        &dest(14),
        "d",
        Instant::now(),
        scale.wait(limit),
    );
    row.must(took.is_some(), "the states before the reload are not seen");
    let before = messages(&cluster);
    let gateways: String = cluster
        .gateways
        .iter()
        .map(|gateway| format!("1 {}\n", gateway.uri()))
        .collect();
    let new: String = (5..10)
        .chain(15..50)
        .map(|number| format!("{SET} {}\n", dest(number)))
        .collect();
    let flagged: String = (10..15)
        .map(|number| format!("{SET} {} 8\n", dest(number)))
        .collect();
    cluster
        .server(0)
        .write_list(format!("{gateways}{new}{flagged}"));
    let begun = Instant::now();
    let reloaded = cluster.server(0).jsonrpc("dispatcher.reload", json!([]));
    row.must(reloaded.is_ok(), format!("{reloaded:?}"));
    for number in 5..10 {
        let shown = state(&cluster, 0, &dest(number));
        row.must(
            shown == "D",
            format!("{} is {shown} on lb1 after the reload", dest(number)),
        );
    }
    for number in 10..15 {
        let own = state(&cluster, 0, &dest(number));
        row.must(
            own != "D",
            format!("{}: the list's own flags do not win", dest(number)),
        );
        let shown = state(&cluster, 1, &dest(number));
        row.must(
            shown == "D",
            format!("{} is {shown} on lb2 after lb1's reload", dest(number)),
        );
    }
    // A state of a destination that only one node has yet.
    set(&cluster, 0, "drain", &dest(45));
    // Two hellos after the reload everything would have been sent that is.
    let settle = Duration::from_secs(3);
    std::thread::sleep(settle.saturating_sub(begun.elapsed()));
    let sent = messages(&cluster) - before;
    // Of each hello, and of one act to two nodes.
    let hellos = 6 * (begun.elapsed().as_secs() + 1);
    row.say(format!(
        "{sent} messages in {settle:?}, of which hellos {hellos} at most; 25 destinations changed"
    ));
    row.must(sent <= hellos + 50, format!("{sent} messages"));
    let text = format!("{gateways}{}", lines(50));
    for node in [1, 2] {
        cluster.server(node).write_list(&text);
        let reloaded = cluster.server(node).jsonrpc("dispatcher.reload", json!([]));
        row.must(reloaded.is_ok(), format!("{reloaded:?}"));
        let took = seen(
            &cluster,
            &[node],
            &dest(45),
            "drain",
            Instant::now(),
            scale.wait(limit),
        );
        match took {
            Some(took) => row.within(
                &format!("the state that waited, on lb{}", node + 1),
                took,
                limit,
            ),
            None => row.must(
                false,
                format!("the state that waited is not seen on lb{}", node + 1),
            ),
        }
    }
    // The same list again: the same states.
    cluster.server(0).write_list(&text);
    let reloaded = cluster.server(0).jsonrpc("dispatcher.reload", json!([]));
    row.must(reloaded.is_ok(), format!("{reloaded:?}"));
    match equal(&cluster, Instant::now(), scale.wait(limit)) {
        Some(took) => row.within("equal with the same list", took, limit),
        None => row.must(false, "never equal with the same list"),
    }
    let shown = states(&cluster, 0);
    let disabled = shown.values().filter(|state| *state == "D").count();
    row.must(
        disabled == 15,
        format!("{disabled} of 15 are disabled in the end"),
    );
    // Added by a command on one node only.
    let params = json!([SET, dest(60)]);
    let added = cluster.server(2).jsonrpc("dispatcher.add", params.clone());
    row.must(added.is_ok(), format!("{added:?}"));
    set(&cluster, 2, "d", &dest(60));
    let added = cluster.server(1).jsonrpc("dispatcher.add", params);
    row.must(added.is_ok(), format!("{added:?}"));
    let took = seen(
        &cluster,
        &[1],
        &dest(60),
        "d",
        Instant::now(),
        scale.wait(limit),
    );
    row.must(took.is_some(), "the state of what was added is not seen");
    row
}

/// KDMQ requests between all nodes so far; 0 on loopback.
fn messages(cluster: &Cluster) -> u64 {
    let pairs =
        (0..cluster.size()).flat_map(|one| (0..cluster.size()).map(move |other| (one, other)));
    let between = pairs.filter(|(one, other)| one != other);
    between
        .map(|(one, other)| {
            cluster
                .switch()
                .traffic(cluster.place(one), cluster.place(other))
                .kdmqs
        })
        .sum()
}

//! Nodes whose clocks are wrong.

use std::time::{Duration, Instant};

use harness::Clock;
use harness::cluster::{Cluster, Plan};

use super::row::{Row, Scale};
use super::scene::{dest, lines, seen, set, state};

/// Seconds of an hour.
const HOUR: i64 = 3_600;

/// A cluster of three whose nodes' clocks are off by some seconds.
fn off(cluster: &mut Cluster, seconds: [i64; 3]) -> Result<(), String> {
    for (node, seconds) in seconds.into_iter().enumerate() {
        let folder = cluster.dir().join(cluster.name(node));
        std::fs::create_dir_all(&folder).expect("the clock's folder");
        let clock = Clock::make(&folder)?;
        clock.set(seconds);
        let environment = clock.environment();
        let words: Vec<&str> = std::iter::once("env")
            .chain(environment.iter().map(String::as_str))
            .collect();
        let config = cluster.config(node, &lines(4)).under(&words);
        cluster.start(node, config);
    }
    cluster.wait_ready(harness::patience(20));
    Ok(())
}

/// A clock three hours ahead and one three hours behind: who has seen a state and sets another one wins.
pub fn hours(scale: Scale) -> Row {
    let mut row = Row::new(scale, "the later act wins every time");
    let mut cluster = Plan::of(3).make();
    if let Err(why) = off(&mut cluster, [3 * HOUR, 0, -3 * HOUR]) {
        row.say(format!("skipped: {why}"));
        return row;
    }
    let (limit, rounds) = (Duration::from_secs(2), scale.times(100, 10));
    let mut won = 0;
    for number in 0..rounds {
        if row.has_failed() {
            break;
        }
        let uri = dest(number % 4);
        // Ahead first, behind later; and the other way round.
        let (first, later) = if number % 2 == 0 { (0, 2) } else { (2, 0) };
        let begun = Instant::now();
        set(&cluster, first, "d", &uri);
        let all = [0, 1, 2];
        row.must(
            seen(&cluster, &all, &uri, "d", begun, scale.wait(limit)).is_some(),
            format!("round {number}: the first act is not seen"),
        );
        let begun = Instant::now();
        set(&cluster, later, "a", &uri);
        let good = seen(&cluster, &all, &uri, "a", begun, scale.wait(limit)).is_some();
        row.must(good, format!("round {number}: the later act has lost"));
        won += u32::from(good);
    }
    row.say(format!(
        "+3 h, 0, -3 h: the later act won {won} of {rounds} times"
    ));
    row
}

/// A clock two days ahead: what it stamps is refused, and the others go on.
pub fn days(scale: Scale) -> Row {
    let mut row = Row::new(scale, "+48 h is refused with ERROR; the others go on");
    let mut cluster = Plan::of(3).make();
    if let Err(why) = off(&mut cluster, [48 * HOUR, 0, 0]) {
        row.say(format!("skipped: {why}"));
        return row;
    }
    let limit = Duration::from_secs(2);
    set(&cluster, 0, "d", &dest(0));
    for node in [1, 2] {
        cluster
            .server(node)
            .wait_log("which is refused: its clock is wrong");
        let shown = state(&cluster, node, &dest(0));
        row.must(
            shown == "A",
            format!("lb{} has taken it: {shown}", node + 1),
        );
    }
    row.say("refused by lb2 and lb3 with ERROR");
    for (number, word) in ["d", "drain", "a"].into_iter().enumerate() {
        let begun = Instant::now();
        set(&cluster, 1, word, &dest(1));
        let took = seen(&cluster, &[2], &dest(1), word, begun, scale.wait(limit));
        row.must(
            took.is_some(),
            format!("act {number} of lb2 is not seen on lb3"),
        );
    }
    row.say("3 acts between lb2 and lb3 arrive");
    row
}

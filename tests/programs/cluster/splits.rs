//! Lines between nodes that are cut.

use std::time::{Duration, Instant};

use harness::patience;

use super::calls::Calls;
use super::row::{Row, Scale};
use super::scene::{cluster, dest, equal, letter, seen, sees, set, state};

/// Destinations whose states are set.
const DESTS: usize = 40;

/// When others must have noticed: `ds_dmq_dead_time`, and one second.
const NOTICED: Duration = Duration::from_secs(6);

/// One node is cut from two, both sides set states, and the line heals.
pub fn split(scale: Scale) -> Row {
    let criterion = "each half works; equal <= 2 s after healing, and the latest act wins";
    let mut row = Row::new(scale, criterion);
    let cluster = cluster(3, DESTS);
    let calls = Calls::begin(&cluster, Duration::from_millis(50));
    let begun = Instant::now();
    cluster.cut(0, 1);
    cluster.cut(0, 2);
    let mut longest = Duration::ZERO;
    for (seer, node) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
        match sees(&cluster, seer, node, "dead", begun, scale.wait(NOTICED)) {
            Some(took) => longest = longest.max(took),
            None => row.must(false, format!("lb{} does not see the cut", seer + 1)),
        }
    }
    row.within("the cut is seen after", longest, NOTICED);
    // Each side sets states of its own, and both set some in common, now one later and now the other.
    for number in 0..10 {
        set(&cluster, 0, "d", &dest(number));
        set(&cluster, 1 + number % 2, "drain", &dest(10 + number));
        let order = if number % 2 == 0 {
            [(0, "d"), (1, "drain")]
        } else {
            [(2, "d"), (0, "drain")]
        };
        for (node, word) in order {
            set(&cluster, node, word, &dest(20 + number));
            // A server stamps an act when it looks, each 20 ms or a little later.
            std::thread::sleep(patience(1) / 5);
        }
    }
    let acted = Instant::now();
    let limit = scale.wait(Duration::from_secs(1));
    let took = seen(&cluster, &[1, 2], &dest(19), "drain", acted, limit);
    row.must(took.is_some(), "the half of two does not work");
    row.must(
        state(&cluster, 0, &dest(9)) == "D",
        "the half of one does not work",
    );
    row.must(
        state(&cluster, 0, &dest(19)) == "A",
        "an act has crossed the cut",
    );
    let pause = scale.times(Duration::from_secs(60), Duration::ZERO);
    std::thread::sleep(pause.saturating_sub(begun.elapsed()));
    let (healed, limit) = (Instant::now(), Duration::from_secs(2));
    cluster.heal();
    match equal(&cluster, healed, scale.wait(limit)) {
        Some(took) => row.within("equal after healing", took, limit),
        None => row.must(false, "never equal after healing"),
    }
    for number in 0..10 {
        for (at, word) in [
            (number, "d"),
            (10 + number, "drain"),
            (20 + number, "drain"),
        ] {
            let shown = state(&cluster, 2, &dest(at));
            row.must(
                shown == letter(word),
                format!("{} is {shown}, not {word}", dest(at)),
            );
        }
    }
    row.say("30 states are those of the latest act");
    let counts = calls.end();
    let failed: u64 = counts
        .iter()
        .map(|count| count.unselected + count.refused + count.lost)
        .sum();
    let good: u64 = counts.iter().map(|count| count.good).sum();
    row.say(format!("{good} calls, {failed} failed"));
    row.must(failed == 0, format!("calls: {counts:?}"));
    row
}

/// One direction between two of three nodes is cut.
pub fn one_way(scale: Scale) -> Row {
    let criterion =
        "alive by the third's word, without flapping; changes go round by it within 10 s";
    let mut row = Row::new(scale, criterion);
    let cluster = cluster(3, DESTS);
    cluster.cut_one_way(0, 1);
    let begun = Instant::now();
    match sees(&cluster, 1, 0, "suspect", begun, scale.wait(NOTICED)) {
        Some(took) => row.say(format!("lb2 suspects lb1 after {} ms", took.as_millis())),
        None => row.must(false, format!("lb2 sees lb1 {}", cluster.state_of(1, 0))),
    }
    let (mut times, mut words) = (Vec::new(), Vec::new());
    let lasts = scale.times(Duration::from_secs(30), Duration::from_secs(8));
    let mut number = 0;
    while begun.elapsed() < lasts {
        if row.has_failed() {
            break;
        }
        let (node, other) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
        let (word, uri) = (["d", "a"][number / DESTS % 2], dest(number % DESTS));
        let acted = Instant::now();
        set(&cluster, node, word, &uri);
        let limit = scale.wait(Duration::from_secs(10));
        match seen(&cluster, &[other, 2], &uri, word, acted, limit) {
            Some(took) => times.push(took),
            None => row.must(
                false,
                format!("act {number} of lb{} does not arrive", node + 1),
            ),
        }
        for (seer, seen) in [(1, 0), (0, 1), (2, 0), (2, 1)] {
            let word = format!(
                "lb{} sees lb{} {}",
                seer + 1,
                seen + 1,
                cluster.state_of(seer, seen)
            );
            if !words.contains(&word) {
                words.push(word);
            }
        }
        number += 1;
    }
    row.say(words.join(", "));
    row.must(
        words.iter().all(|word| !word.ends_with("dead")),
        "a node that lives is dead",
    );
    row.times("a change", times, Duration::from_secs(10));
    let (healed, limit) = (Instant::now(), Duration::from_secs(2));
    cluster.heal();
    match sees(&cluster, 1, 0, "ready", healed, scale.wait(limit)) {
        Some(took) => row.within("ready after healing", took, limit),
        None => row.must(false, "suspect after healing"),
    }
    row
}

//! Three nodes under calls to which everything happens at random, as long as `CLUSTER_SECONDS` says (an hour). All choices
//! follow from `CLUSTER_SEED`.
//!
//! | file | contents |
//! | --- | --- |
//! | `incidents` | what happens to nodes, lines, gateways, states and lists |
//! | `log` | how much the nodes write to their logs, and whether it is bad |
//! | `memory` | what the nodes take of memory |
//! | `model` | which states destinations may have |
//! | `nodes` | the three nodes, and what they are at |
//! | `quiet` | what must hold when nothing happens |

mod incidents;
mod log;
mod memory;
mod model;
mod nodes;
mod quiet;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness::setting;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::calls::{Calls, Count};
use super::row::{Row, Scale};
use model::Model;
use nodes::Nodes;

/// How long something happens before the next quiet check.
const TROUBLE: Duration = Duration::from_secs(45);

/// The longest pause between two incidents, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 400;

/// How often each caller makes a call.
const CALL_EVERY: Duration = Duration::from_millis(100);

/// A run.
struct Run {
    row: Row,
    random: StdRng,
    nodes: Nodes,
    model: Model,
    calls: Option<Calls>,
    /// The ends of all calls so far, by node.
    called: Vec<Count>,
    /// How often each thing happened.
    did: BTreeMap<&'static str, u64>,
    /// How often something was compared.
    checks: u64,
}

/// Everything at random.
pub fn hour(scale: Scale) -> Row {
    let criterion = "at each quiet check: states, calls and members are those of the model, no leak, no flood in the log; no \
                     failed selection";
    let by_clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let by_clock = by_clock.map_or(0, |now| u64::from(now.subsec_micros()));
    let seconds = scale.times(setting("CLUSTER_SECONDS").unwrap_or(3_600), 12);
    let seed = scale.times(setting("CLUSTER_SEED").unwrap_or(by_clock), 7);
    println!("cluster: CLUSTER_SEED={seed} CLUSTER_SECONDS={seconds}");
    let nodes = Nodes::start(seed);
    let mut run = Run {
        row: Row::new(scale, criterion),
        random: StdRng::seed_from_u64(seed),
        called: vec![Count::default(); nodes.cluster.size()],
        model: Model::new(nodes.cluster.size()),
        nodes,
        calls: None,
        did: BTreeMap::new(),
        checks: 0,
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    run.quiet();
    while Instant::now() < end && !run.row.has_failed() {
        run.trouble(end.min(Instant::now() + TROUBLE));
        run.quiet();
        let (left, faults) = (
            end.saturating_duration_since(Instant::now()),
            run.row.faults.len(),
        );
        let (did, checks) = (run.did.values().sum::<u64>(), run.checks);
        println!(
            "cluster: {} s left: {did} incidents, {checks} checks, {faults} violations",
            left.as_secs()
        );
    }
    run.report(seed)
}

impl Run {
    /// Lets things happen until then.
    fn trouble(&mut self, end: Instant) {
        self.calls = Some(Calls::begin(&self.nodes.cluster, CALL_EVERY));
        while Instant::now() < end && !self.row.has_failed() {
            self.come_back();
            self.incident();
            let pause = self.random.random_range(10..LONGEST_PAUSE_MS);
            std::thread::sleep(Duration::from_millis(pause));
        }
        self.end_calls();
    }

    /// Ends all calls, and looks what became of them.
    fn end_calls(&mut self) {
        let Some(calls) = self.calls.take() else {
            return;
        };
        for (node, count) in calls.end().into_iter().enumerate() {
            let mut why = String::new();
            if count.unselected > 0 {
                let history = self.nodes.ask(node, "dispatcher.history", json!(["1", 40]));
                why = history.map_or_else(|fault| fault, |history| history.to_string());
            }
            self.must(
                count.unselected == 0,
                format!("lb{} has selected nothing: {count:?}: {why}", node + 1),
            );
            let all = &mut self.called[node];
            all.good += count.good;
            all.unselected += count.unselected;
            all.refused += count.refused;
            all.lost += count.lost;
        }
    }

    /// Counts something that happens.
    fn did(&mut self, what: &'static str) {
        *self.did.entry(what).or_default() += 1;
    }

    /// Something must hold.
    fn must(&mut self, holds: bool, what: String) {
        self.checks += 1;
        if !holds {
            println!("cluster: violation: {what}");
        }
        self.row.must(holds, what);
    }

    fn report(mut self, seed: u64) -> Row {
        let did: Vec<String> = self
            .did
            .iter()
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        let all: u64 = self.did.values().sum();
        let good: u64 = self.called.iter().map(|count| count.good).sum();
        let lost: u64 = self.called.iter().map(|count| count.lost).sum();
        let refused: u64 = self.called.iter().map(|count| count.refused).sum();
        self.row.say(format!("seed {seed}"));
        self.row.say(format!("{all} incidents: {}", did.join(", ")));
        self.row.say(format!(
            "{good} calls good, {lost} without an answer, {refused} refused, 0 selections failed"
        ));
        let figures = self.nodes.figures();
        figures.into_iter().for_each(|figure| self.row.say(figure));
        let violations = self.row.faults.len();
        self.row
            .say(format!("{} checks, {violations} violations", self.checks));
        self.must(good > 0, "no call was good".to_owned());
        self.row
    }
}

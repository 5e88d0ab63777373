//! The checks for when nothing happens.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{Request, poll};
use rand::Rng;
use serde_json::{Value, json};

use super::super::scene::{SET, dest, letter, memory};
use super::Run;
use super::memory::SHARED;
use super::model::DESTS;
use super::nodes::{Doing, Nodes};

/// Calls that are up while the nodes are asked for their numbers.
const HELD: usize = 6;

/// How often it is looked.
const STEP: Duration = Duration::from_millis(50);

impl Run {
    /// Makes everything good, and compares all nodes with the model.
    pub(super) fn quiet(&mut self) {
        self.heal();
        self.revive();
        for node in 0..self.nodes.all.len() {
            match self.nodes.all[node].doing {
                Doing::Runs => {}
                Doing::Stopped(_) => self.go_on(node),
                Doing::Dead(_) => self.nodes.start_one(node),
            }
            if self.nodes.all[node].has_left {
                let back = self.nodes.ask(node, "dispatcher.cluster", json!(["sync"]));
                self.must(back.is_ok(), format!("{back:?}"));
                self.nodes.all[node].has_left = false;
            }
        }
        self.members();
        self.lists();
        self.states();
        self.gateways();
        self.watchers();
        self.counts();
        self.memories();
        self.logs();
        self.did("quiet checks");
    }

    fn eventually<T>(&self, look: impl FnMut() -> T, is_good: impl Fn(&T) -> bool) -> T {
        poll(STEP, Nodes::limit(), look, is_good)
    }

    /// Every node sees every node ready, with its own states and without anything left to send.
    fn members(&mut self) {
        for seer in 0..self.nodes.all.len() {
            let look = || self.nodes.cluster.members(seer);
            let is_well =
                |node: &Value| node["STATE"] == "ready" && node["SAME"] == 1 && node["BEHIND"] == 0;
            let size = self.nodes.all.len();
            let are_well = |all: &Vec<Value>| all.len() == size && all.iter().all(is_well);
            let seen = self.eventually(look, are_well);
            self.must(are_well(&seen), format!("lb{} sees {seen:?}", seer + 1));
        }
    }

    /// All nodes load the whole list by one command.
    fn lists(&mut self) {
        for node in 0..self.nodes.all.len() {
            let list = self.nodes.list(true);
            self.nodes.cluster.server(node).write_list(list);
            self.nodes.all[node].is_whole = true;
        }
        let asked = self.random.random_range(0..self.nodes.all.len());
        let answer = self
            .nodes
            .ask(asked, "dispatcher.cluster", json!(["reload"]));
        let answer = answer.unwrap_or_else(Value::from);
        let all = self.nodes.all.len();
        self.must(
            answer["RELOADED"] == all && answer["NOT_RELOADED"] == 0,
            format!("reload of all by lb{}: {answer}", asked + 1),
        );
    }

    /// Every node has the same states, which the model allows.
    fn states(&mut self) {
        let all = self.nodes.all.len();
        let look = || -> Vec<Vec<String>> {
            let states = |node| {
                let found: BTreeMap<String, String> = self
                    .nodes
                    .dests(node, SET)
                    .into_iter()
                    .map(|(uri, flags, _)| (uri, flags.chars().take(1).collect()))
                    .collect();
                let dests = (0..DESTS).filter_map(|number| found.get(&dest(number)).cloned());
                dests.collect()
            };
            (0..all).map(states).collect()
        };
        let are_equal = |seen: &Vec<Vec<String>>| {
            seen[0].len() == DESTS && seen.iter().all(|states| *states == seen[0])
        };
        let seen = self.eventually(look, are_equal);
        if !are_equal(&seen) {
            return self.must(false, format!("states differ: {seen:?}"));
        }
        for (number, shown) in seen[0].iter().enumerate() {
            let possible = self.model.possible(number);
            let word = possible.iter().copied().find(|word| letter(word) == shown);
            self.must(
                word.is_some(),
                format!("destination {number} is {shown}, must be one of {possible:?}"),
            );
            self.model.settle(number, word.unwrap_or("a"));
        }
        self.model.all_know();
    }

    /// Every node finds by its pings that all gateways answer.
    fn gateways(&mut self) {
        for node in 0..self.nodes.all.len() {
            let look = || self.nodes.dests(node, 1);
            let size = self.nodes.cluster.gateways.len();
            let are_up = |dests: &Vec<(String, String, i64)>| {
                dests.len() == size && dests.iter().all(|(_, flags, _)| flags.starts_with('A'))
            };
            let seen = self.eventually(look, are_up);
            self.must(
                are_up(&seen),
                format!("gateways of lb{}: {seen:?}", node + 1),
            );
        }
    }

    /// Every gateway is pinged by one node, on which all others rely.
    fn watchers(&mut self) {
        let uris: Vec<String> = self.uris();
        for uri in uris {
            let look = || -> Vec<Vec<String>> {
                let pinging = |node| {
                    let asked = json!(["dest", "1", uri]);
                    let answer = self.nodes.ask(node, "dispatcher.cluster", asked);
                    let answer = answer.unwrap_or_else(Value::from);
                    let views = answer["DESTS"][0]["DEST"]["VIEWS"].as_array().cloned();
                    let views = views.unwrap_or_default().into_iter();
                    let name =
                        |view: Value| view["VIEW"]["NODE"].as_str().unwrap_or_default().to_owned();
                    views.map(name).collect()
                };
                (0..self.nodes.all.len()).map(pinging).collect()
            };
            let is_one = |seen: &Vec<Vec<String>>| {
                seen[0].len() == 1 && seen.iter().all(|names| *names == seen[0])
            };
            let seen = self.eventually(look, is_one);
            self.must(is_one(&seen), format!("{uri} is pinged by {seen:?}"));
        }
    }

    fn uris(&self) -> Vec<String> {
        let gateways = self.nodes.cluster.gateways.iter();
        gateways.map(|gateway| gateway.uri()).collect()
    }

    /// The calls that are up are those that are counted.
    fn counts(&mut self) {
        let size = self.nodes.all.len();
        self.loads(&vec![vec![0; self.nodes.cluster.gateways.len()]; size]);
        let caller = self.nodes.cluster.caller();
        let (mut held, mut expected) = (Vec::new(), Vec::new());
        expected.resize(size, vec![0; self.nodes.cluster.gateways.len()]);
        for _ in 0..HELD {
            let node = self.random.random_range(0..size);
            let invite = Request::new("INVITE", "sip:callee@service.test");
            match caller.call(self.nodes.cluster.addr(node), invite) {
                Ok(call) => {
                    let by = call.answered_by();
                    let gateways = self.nodes.cluster.gateways.iter();
                    let at = gateways
                        .map(|gateway| gateway.uri())
                        .position(|uri| uri == format!("sip:{by}"));
                    match at {
                        // All servers count it.
                        Some(at) => expected
                            .iter_mut()
                            .for_each(|loads: &mut Vec<i64>| loads[at] += 1),
                        None => self.must(false, format!("{by} is no gateway")),
                    }
                    held.push(call);
                }
                Err(reply) => self.must(false, format!("a call at a quiet check: {}", reply.start)),
            }
        }
        self.loads(&expected);
        for call in held {
            let through = self.random.random_range(0..size);
            let ended = call.bye_at(self.nodes.cluster.addr(through)).status();
            self.must(
                ended == Some(200),
                format!("a BYE at a quiet check: {ended:?}"),
            );
        }
        self.loads(&vec![vec![0; self.nodes.cluster.gateways.len()]; size]);
    }

    /// Every node counts so many calls at each gateway.
    fn loads(&mut self, expected: &[Vec<i64>]) {
        for (node, expected) in expected.iter().enumerate() {
            let look = || -> Vec<i64> {
                let uris = self.uris();
                let dests = self.nodes.dests(node, 1);
                let load = |uri: &String| {
                    dests
                        .iter()
                        .find(|(listed, _, _)| listed == uri)
                        .map_or(-1, |dest| dest.2)
                };
                uris.iter().map(load).collect()
            };
            let seen = self.eventually(look, |seen| seen == expected);
            self.must(
                seen == *expected,
                format!("lb{} counts {seen:?} calls, must be {expected:?}", node + 1),
            );
        }
    }

    /// No node takes more memory than at the first quiet check of its life.
    fn memories(&mut self) {
        for node in 0..self.nodes.all.len() {
            let level = self.nodes.all[node].memory.shared;
            let look = || memory(&self.nodes.cluster, node);
            let used = self.eventually(look, |used| {
                level.is_none_or(|level| *used <= level + SHARED)
            });
            let wrong = self.nodes.all[node].memory.look(used);
            self.must(
                wrong.is_empty(),
                format!("lb{}: {}", node + 1, wrong.join(", ")),
            );
        }
    }

    /// The logs have nothing bad, and not too much.
    fn logs(&mut self) {
        for node in 0..self.nodes.all.len() {
            let log = self.nodes.cluster.server(node).log();
            let wrong = self.nodes.all[node].log.look(&log);
            self.must(
                wrong.is_empty(),
                format!("log of lb{}: {}", node + 1, wrong.join("\n")),
            );
        }
    }
}

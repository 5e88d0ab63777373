//! Incidents of nodes, lines, gateways, states and lists.

use std::time::{Duration, Instant};

use harness::switch::line::Condition;
use harness::{Answer, patience, poll};
use rand::Rng;
use serde_json::json;

use super::super::scene::{SET, dest};
use super::Run;
use super::model::{DESTS, LATE};
use super::nodes::Doing;

/// The words of acts.
const WORDS: [&str; 3] = ["d", "drain", "a"];

/// After how long every node must have found out that a gateway does not answer.
fn found_out() -> Duration {
    patience(12)
}

/// How long a stamp is waited for.
const STAMPED: Duration = Duration::from_secs(10);

impl Run {
    /// Lets something happen.
    pub(super) fn incident(&mut self) {
        let running = self.nodes.running();
        let Some(&node) = running.get(self.random.random_range(0..running.len().max(1))) else {
            return;
        };
        // Two of three may be away at most.
        let may_go = running.len() > 1;
        match self.random.random_range(0..100) {
            0..50 => self.act(node),
            50..60 => self.cut(),
            60..66 => self.heal(),
            66..70 => self.weather(),
            70..73 if may_go => self.go(node, true),
            73..75 if may_go => self.go(node, false),
            75..79 if may_go => self.halt(node),
            79..86 => self.reload(node),
            86..90 => self.reload_all(node),
            90..95 => self.gateway(),
            95..97 => self.sync(node),
            97..98 => self.leave(node),
            _ => self.act(node),
        }
    }

    /// An operator sets a state. The next one does so only when this one is stamped: so it is the later of both.
    fn act(&mut self, node: usize) {
        let most = if self.nodes.all[node].is_whole {
            DESTS
        } else {
            DESTS - LATE
        };
        let number = self.random.random_range(0..most);
        let word = WORDS[self.random.random_range(0..WORDS.len())];
        let (uri, name) = (dest(number), self.nodes.cluster.name(node));
        let set = json!([word, SET, uri]);
        if let Err(fault) = self.nodes.ask(node, "dispatcher.set_state", set) {
            return self.must(false, fault);
        }
        let stamp = || {
            let asked = json!(["dest", SET.to_string(), uri]);
            let answer = self.nodes.ask(node, "dispatcher.cluster", asked);
            let dest = answer.unwrap_or_default()["DESTS"][0]["DEST"].clone();
            let is_own = dest["NODE"] == name.as_str();
            let set_to = dest["SET_TO"].as_str().unwrap_or_default().to_owned();
            (is_own, set_to, dest["STAMP"].to_string())
        };
        let is_stamped = |(is_own, set_to, _): &(bool, String, String)| {
            *is_own && set_to.starts_with(long(word))
        };
        let found = poll(Duration::from_millis(2), STAMPED, stamp, |found| {
            is_stamped(found)
        });
        self.must(
            is_stamped(&found),
            format!("{word} of {uri} on {name} has no stamp: {found:?}"),
        );
        self.model.act(number, node, word);
        self.did("acts");
        // Stamps have milliseconds.
        std::thread::sleep(Duration::from_millis(2));
    }

    fn cut(&mut self) {
        let size = self.nodes.cluster.size();
        let one = self.random.random_range(0..size);
        let other = (one + self.random.random_range(1..size)) % size;
        match self.random.random_range(0..3) {
            0 => {
                self.nodes.cluster.cut_one_way(one, other);
                self.did("cuts in one direction");
            }
            1 => {
                self.nodes.cluster.cut(one, other);
                self.did("cuts");
            }
            _ => {
                let others = (0..size).filter(|other| *other != one);
                others.for_each(|other| self.nodes.cluster.cut(one, other));
                self.did("splits");
            }
        }
    }

    /// Makes all lines good.
    pub(super) fn heal(&mut self) {
        self.nodes.cluster.heal();
        self.did("times all lines were good again");
    }

    fn weather(&mut self) {
        self.nodes.cluster.weather(Condition {
            loss: 0.1,
            doubled: 0.05,
            reordered: 0.05,
            ..Condition::default()
        });
        self.did("times all lines were bad");
    }

    /// A node goes.
    fn go(&mut self, node: usize, at_once: bool) {
        let away = Duration::from_millis(self.random.random_range(0..12_000));
        let wrong = self.nodes.end_one(node, at_once, Instant::now() + away);
        for what in wrong {
            self.must(false, format!("log of lb{}: {what}", node + 1));
        }
        self.model.died(node, self.nodes.all[node].is_whole);
        self.did(if at_once { "kills" } else { "restarts" });
    }

    /// All processes of a node are stopped for some time.
    fn halt(&mut self, node: usize) {
        let lasts = Duration::from_millis(self.random.random_range(200..10_000));
        self.nodes.cluster.server(node).signal_all(libc::SIGSTOP);
        self.nodes.all[node].doing = Doing::Stopped(Instant::now() + lasts);
        self.did("stops");
    }

    /// A node loads a list, in which some destinations are or are not.
    fn reload(&mut self, node: usize) {
        let is_whole = self.random.random();
        let list = self.nodes.list(is_whole);
        self.nodes.cluster.server(node).write_list(list);
        if let Err(fault) = self.nodes.ask(node, "dispatcher.reload", json!([])) {
            return self.must(false, fault);
        }
        self.nodes.all[node].is_whole = is_whole;
        self.did("reloads");
    }

    /// All nodes load the lists that they have.
    fn reload_all(&mut self, node: usize) {
        match self
            .nodes
            .ask(node, "dispatcher.cluster", json!(["reload"]))
        {
            Ok(answer) => {
                let own = &answer["NODES"][0]["NODE"]["RESULT"];
                self.must(own == "ok", format!("reload of all: {answer}"));
                let failed = answer.to_string().contains("\"failed\"");
                self.must(!failed, format!("reload of all: {answer}"));
            }
            Err(fault) => self.must(false, fault),
        }
        self.did("reloads of all");
    }

    /// A gateway no longer answers, if all do.
    fn gateway(&mut self) {
        if self.nodes.dead_gateway.is_some() {
            return;
        }
        let gateways = self.nodes.cluster.gateways.len();
        let gateway = self.random.random_range(0..gateways);
        let lasts = Duration::from_millis(self.random.random_range(500..20_000));
        self.nodes.cluster.gateways[gateway].set_answer(Answer::Silent);
        let now = Instant::now();
        self.nodes.dead_gateway = Some((gateway, now, now + lasts));
        self.did("deaths of a gateway");
    }

    fn sync(&mut self, node: usize) {
        let done = self.nodes.ask(node, "dispatcher.cluster", json!(["sync"]));
        self.must(done.is_ok(), format!("{done:?}"));
        self.nodes.all[node].has_left = false;
        self.did("syncs");
    }

    fn leave(&mut self, node: usize) {
        let done = self.nodes.ask(node, "dispatcher.cluster", json!(["leave"]));
        self.must(done.is_ok(), format!("{done:?}"));
        self.nodes.all[node].has_left = true;
        self.did("leaves");
    }

    /// Brings back whoever was away for long enough.
    pub(super) fn come_back(&mut self) {
        let now = Instant::now();
        for node in 0..self.nodes.all.len() {
            match self.nodes.all[node].doing {
                Doing::Stopped(until) if until <= now => self.go_on(node),
                Doing::Dead(until) if until <= now => self.nodes.start_one(node),
                _ => {}
            }
        }
        let until = self.nodes.dead_gateway.map(|(_, _, until)| until);
        if until.is_some_and(|until| until <= now) {
            self.revive();
        }
    }

    /// A node that was stopped goes on.
    pub(super) fn go_on(&mut self, node: usize) {
        self.nodes.cluster.server(node).signal_all(libc::SIGCONT);
        self.nodes.all[node].doing = Doing::Runs;
        self.nodes.all[node].since = Instant::now();
    }

    /// The gateway answers again. If it did not for long enough, every node must know that.
    pub(super) fn revive(&mut self) {
        let Some((gateway, since, _)) = self.nodes.dead_gateway.take() else {
            return;
        };
        let uri = self.nodes.cluster.gateways[gateway].uri();
        for node in self.nodes.running() {
            let since = since.max(self.nodes.all[node].since);
            if since.elapsed() < found_out() {
                continue;
            }
            let dests = self.nodes.dests(node, 1);
            let shown = dests.into_iter().find(|(listed, _, _)| *listed == uri);
            let is_out = shown
                .as_ref()
                .is_some_and(|(_, flags, _)| !flags.starts_with('A'));
            self.must(
                is_out,
                format!(
                    "{uri} is silent for {since:?}, and is {shown:?} on lb{}",
                    node + 1
                ),
            );
        }
        self.nodes.cluster.gateways[gateway].set_answer(Answer::Code(200));
    }
}

/// The first letters of the words for the state that a word leads to.
fn long(word: &str) -> &'static str {
    match word {
        "d" => "disabled",
        "drain" => "draining",
        _ => "active",
    }
}

//! Time: one thing after the other.

use std::collections::{BTreeMap, BTreeSet};

use dispatcher::dispatch::cluster::node::peer::Shown;
use dispatcher::dispatch::cluster::state::key::Key;
use dispatcher::dispatch::cluster::state::rules::Rules;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::calls::{self, Calls, Told};
use crate::figures::{Figures, Longest};
use crate::judge::{self, Act};
use crate::network::{FAIR, Network, Request};
use crate::pings::{Gateways, Pinger};
use crate::plan::{Incident, Memory, Plan, Round};
use crate::server::{Registers, Server};

/// How long a quiet end may take.
const MOST_CALM_MS: u64 = 40_000;

/// How long nothing may happen any more after that.
const STILL_MS: u64 = 2_500;

/// Something that is going to happen.
#[derive(Debug)]
pub(crate) enum Event {
    Tick {
        server: usize,
        life: u64,
    },
    Transmit {
        request: usize,
        attempt: usize,
    },
    Arrive {
        request: usize,
    },
    /// What a process that was stopped finds in its inbox.
    Inbox {
        request: usize,
        server: usize,
        life: u64,
    },
    Answer {
        request: usize,
        code: u16,
    },
    Happen(Incident),
}

/// A simulation.
pub struct World<R: Rules> {
    pub(crate) seed: u64,
    pub(crate) trace: bool,
    /// Nothing is lost, doubled or late, so a message that was answered is over, and its text can go.
    pub(crate) is_calm: bool,
    pub(crate) random: SmallRng,
    pub(crate) time_ms: u64,
    pub(crate) events: BTreeMap<(u64, u64), Event>,
    pub(crate) scheduled: u64,
    pub(crate) servers: Vec<Server<R>>,
    pub(crate) network: Network,
    pub(crate) requests: Vec<Request>,
    pub(crate) inboxes: Vec<usize>,
    pub(crate) gateways: Option<Gateways>,
    pub(crate) acts: Vec<Act>,
    pub(crate) keys: Vec<Key>,
    /// Ends that were told.
    pub(crate) told: Vec<Told>,
    /// Messages with registers, and their bytes.
    pub(crate) data_messages: u64,
    pub(crate) data_bytes: u64,
    /// Messages with figures alone, and their bytes.
    pub(crate) figure_messages: u64,
    pub(crate) figure_bytes: u64,
    pub(crate) figures: Figures,
    /// The first thing that was wrong on the way.
    pub(crate) wrong: Option<String>,
}

/// Runs a seed with 3 to 7 servers, or with this many. Returns what was counted.
///
/// # Errors
/// What does not hold.
pub fn run<R: Rules>(seed: u64, servers: Option<usize>, trace: bool) -> Result<Figures, String> {
    let (plan, random) = Plan::of(seed, servers);
    let mut world = World::<R>::of(seed, trace, &plan, random);
    for round in &plan.rounds {
        world.round(round)?;
    }
    Ok(world.figures)
}

impl<R: Rules> World<R> {
    pub(crate) fn of(seed: u64, trace: bool, plan: &Plan, random: SmallRng) -> Self {
        let settings = plan.settings.iter().zip(&plan.lists).zip(&plan.skews_ms);
        let servers = settings.map(|((settings, list), &skew_ms)| Server {
            address: settings.uri.trim_start_matches("sip:").into(),
            settings: settings.clone(),
            list: list.clone(),
            skew_ms,
            node: None,
            life: 0,
            applied: BTreeMap::new(),
            calls: Calls::default(),
            kept: Registers::new(),
            pinger: Pinger::default(),
            stopped_until_ms: 0,
            only_process: false,
            moves: 0,
            was_ready: false,
            teachers: Vec::new(),
            taken: BTreeMap::new(),
        });
        let servers: Vec<_> = servers.collect();
        let mut world = Self {
            seed,
            trace,
            is_calm: false,
            random,
            time_ms: 0,
            events: BTreeMap::new(),
            scheduled: 0,
            inboxes: vec![0; servers.len()],
            servers,
            network: Network {
                weather: FAIR,
                cut: BTreeSet::new(),
            },
            requests: Vec::new(),
            gateways: plan.gateways.then(|| Gateways::of(seed)).flatten(),
            acts: Vec::new(),
            keys: plan.keys.clone(),
            told: Vec::new(),
            data_messages: 0,
            figure_messages: 0,
            figure_bytes: 0,
            data_bytes: 0,
            figures: Figures::default(),
            wrong: None,
        };
        world.figures.seeds = 1;
        for server in 0..world.servers.len() {
            let at_ms = world.random.random_range(0..2_000);
            world.after(at_ms, Event::Happen(Incident::Start(server, Memory::NONE)));
        }
        world
    }

    /// Prints a line of the trace.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>7} {}", self.time_ms, line());
        }
    }

    pub(crate) fn after(&mut self, ms: u64, event: Event) {
        self.scheduled += 1;
        self.events
            .insert((self.time_ms + ms, self.scheduled), event);
    }

    pub(crate) fn run_until(&mut self, end_ms: u64) -> Result<(), String> {
        while let Some(next) = self.events.first_entry() {
            if next.key().0 > end_ms {
                break;
            }
            let ((time_ms, _), event) = next.remove_entry();
            self.time_ms = time_ms;
            self.happen(event);
            if let Some(wrong) = self.wrong.take() {
                return Err(format!("at {time_ms} ms: {wrong}"));
            }
        }
        self.time_ms = end_ms;
        Ok(())
    }

    /// Runs a round, and then the time until everything is well.
    pub(crate) fn round(&mut self, round: &Round) -> Result<(), String> {
        self.say(|| format!("{:?}", round.weather));
        self.network.weather = round.weather;
        for (at_ms, incident) in &round.incidents {
            self.after(*at_ms, Event::Happen(incident.clone()));
        }
        self.run_until(self.time_ms + round.ms)?;
        self.events
            .retain(|_, event| !matches!(event, Event::Happen(_)));
        // All run again.
        let stopped = self.servers.iter();
        let stopped = stopped.map(|one| one.stopped_until_ms.max(one.pinger.stuck_until_ms));
        self.run_until(stopped.max().unwrap_or(0).max(self.time_ms))?;
        self.say(|| format!("quiet; absent: {:?}", round.absent));
        self.network.weather = FAIR;
        self.network.cut.clear();
        for server in 0..self.servers.len() {
            if round.absent == Some(server) {
                self.incident(Incident::Kill(server));
                continue;
            }
            // One that has left is restarted.
            let node = self.servers[server].node.as_ref();
            if node
                .and_then(|node| node.members().next())
                .is_some_and(|own| own.state == Shown::Left)
            {
                self.incident(Incident::Kill(server));
            }
            let memory = Memory {
                kept: self.random.random(),
                moved: false,
                skew_ms: None,
            };
            self.incident(Incident::Start(server, memory));
        }
        // What is still under way of a life that is over, and comes as the first sign of it, would be one more trouble.
        let over = |request: &Request| !self.is_same_life(request);
        let late = |event: &Event| match event {
            Event::Arrive { request } => over(&self.requests[*request]),
            _ => false,
        };
        let late = self.events.iter().filter(|(_, event)| late(event));
        for when in late.map(|(&when, _)| when).collect::<Vec<_>>() {
            self.events.remove(&when);
        }
        self.calm()
    }

    pub(crate) fn calm(&mut self) -> Result<(), String> {
        let begin_ms = self.time_ms;
        let mut equal_ms = None;
        // A word that is believed at first may be from long before, and the next hello too late to confirm it.
        let hello_ms = self.servers.iter().map(|one| one.settings.hello_ms);
        let pings = self.gateways.is_some();
        let least_ms = hello_ms.max().filter(|_| pings).map_or(0, |ms| 2 * ms);
        loop {
            self.run_until(self.time_ms + 100)?;
            let took_ms = self.time_ms - begin_ms;
            if equal_ms.is_none() && judge::are_equal(&self.servers) {
                equal_ms = Some(took_ms);
            }
            let judged = judge::judge(&self.servers, &self.acts);
            match judged
                .and_then(|()| calls::judge(&self.servers, &self.told))
                .and_then(|()| self.judge_pings())
            {
                Ok(()) if took_ms >= least_ms => break,
                Ok(()) => {}
                Err(wrong) if took_ms >= MOST_CALM_MS => {
                    return Err(format!("after {MOST_CALM_MS} ms of calm: {wrong}"));
                }
                Err(_) => {}
            }
        }
        let seed = self.seed;
        let equal_ms = equal_ms.unwrap_or(self.time_ms - begin_ms);
        let calm_ms = self.time_ms - begin_ms;
        self.say(|| format!("equal after {equal_ms} ms, all well after {calm_ms} ms"));
        let longest = |ms| Longest { ms, seed };
        self.figures.ends += 1;
        self.figures.equal_ms += equal_ms;
        self.figures.slowest_equal = self.figures.slowest_equal.max(longest(equal_ms));
        self.figures.slowest_calm = self.figures.slowest_calm.max(longest(calm_ms));
        for server in self.servers.iter() {
            if let Some(node) = &server.node {
                let (registers, _) = node.sizes();
                let peers = node.members().count() - 1;
                self.figures.most_registers = self.figures.most_registers.max(registers);
                self.figures.most_peers = self.figures.most_peers.max(peers);
            }
        }
        let before = self.data_messages;
        self.run_until(self.time_ms + STILL_MS)?;
        judge::judge(&self.servers, &self.acts)
            .and_then(|()| calls::judge(&self.servers, &self.told))
            .and_then(|()| self.judge_pings())
            .map_err(|wrong| format!("no longer well: {wrong}"))?;
        self.told.clear();
        match self.data_messages - before {
            0 => Ok(()),
            more => Err(format!(
                "{more} messages with registers, though all are equal"
            )),
        }
    }

    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Tick { server, life } => self.tick(server, life),
            Event::Transmit { request, attempt } => self.transmit(request, attempt),
            Event::Arrive { request } => self.arrive(request),
            Event::Inbox {
                request,
                server,
                life,
            } => {
                if self.servers[server].life == life && self.servers[server].node.is_some() {
                    self.inboxes[server] = self.inboxes[server].saturating_sub(1);
                    self.receive(server, request);
                }
            }
            Event::Answer { request, code } => self.answer(request, code),
            Event::Happen(incident) => self.incident(incident),
        }
    }

    /// Returns when a server that is stopped runs again.
    pub(crate) fn stopped_for(&self, server: usize) -> Option<u64> {
        let left_ms = self.servers[server]
            .stopped_until_ms
            .checked_sub(self.time_ms);
        left_ms.filter(|&ms| ms > 0)
    }

    pub(crate) fn tick(&mut self, server: usize, life: u64) {
        if self.servers[server].life != life || self.servers[server].node.is_none() {
            return;
        }
        if let Some(ms) = self.stopped_for(server) {
            // If only the process is stopped, the one that pings goes on.
            if self.servers[server].only_process {
                self.ping(server);
                return self.after(ms.min(100), Event::Tick { server, life });
            }
            return self.after(ms, Event::Tick { server, life });
        }
        self.tell_pings(server);
        let mut actions = Vec::new();
        let now = self.servers[server].now(self.time_ms);
        if let Some(node) = &mut self.servers[server].node {
            node.tick(now, &mut actions);
        }
        self.act(server, actions);
        self.show_relied(server);
        self.ping(server);
        let ms = self.random.random_range(20..=100);
        self.after(ms, Event::Tick { server, life });
    }
}

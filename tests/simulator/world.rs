//! Time: one thing after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use dispatcher::dispatch::cluster::node::action::{Action, Command, PeerId};
use dispatcher::dispatch::cluster::node::machine::Cluster;
use dispatcher::dispatch::cluster::node::peer::Shown;
use dispatcher::dispatch::cluster::state::key::Key;
use dispatcher::dispatch::cluster::state::register::Register;
use dispatcher::dispatch::cluster::state::rules::Rules;
use dispatcher::dispatch::cluster::text::message::{Content, MOST_WRITTEN};
use dispatcher::dispatch::cluster::text::read::check;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::figures::{Figures, Longest};
use crate::judge::{self, Act};
use crate::network::{AGAIN_MS, FAIR, NO_ANSWER_MS, Network, Request};
use crate::plan::{Incident, Memory, Plan, Round, address};
use crate::server::{Registers, Server};

/// How long a quiet end may take.
const MOST_CALM_MS: u64 = 40_000;

/// How long nothing may happen any more after that.
const STILL_MS: u64 = 2_500;

/// The messages that the inbox of a process that is stopped takes.
const INBOX: usize = 40;

/// Something that is going to happen.
#[derive(Debug)]
enum Event {
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
    seed: u64,
    trace: bool,
    random: SmallRng,
    time_ms: u64,
    events: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    servers: Vec<Server<R>>,
    network: Network,
    requests: Vec<Request>,
    inboxes: Vec<usize>,
    acts: Vec<Act>,
    data_messages: u64,
    figures: Figures,
    /// The first thing that was wrong on the way.
    wrong: Option<String>,
}

/// Runs a seed with 3 to 7 servers, or with this many. Returns what was counted.
///
/// # Errors
/// What does not hold.
pub fn run<R: Rules>(seed: u64, servers: Option<usize>, trace: bool) -> Result<Figures, String> {
    let (plan, random) = Plan::of(seed, servers);
    let mut world = World::<R>::of(seed, trace, &plan, random);
    world.figures.seeds = 1;
    for server in 0..world.servers.len() {
        let at_ms = world.random.random_range(0..2_000);
        let memory = Memory {
            kept: false,
            moved: false,
            skew_ms: None,
        };
        world.after(at_ms, Event::Happen(Incident::Start(server, memory)));
    }
    for round in &plan.rounds {
        world.round(round)?;
    }
    Ok(world.figures)
}

impl<R: Rules> World<R> {
    fn of(seed: u64, trace: bool, plan: &Plan, random: SmallRng) -> Self {
        let settings = plan.settings.iter().zip(&plan.lists).zip(&plan.skews_ms);
        let servers = settings.map(|((settings, list), &skew_ms)| Server {
            address: settings.uri.trim_start_matches("sip:").into(),
            settings: settings.clone(),
            list: list.clone(),
            skew_ms,
            node: None,
            life: 0,
            applied: BTreeMap::new(),
            kept: Registers::new(),
            stopped_until_ms: 0,
            only_process: false,
            moves: 0,
            was_ready: false,
            teachers: Vec::new(),
            taken: BTreeMap::new(),
        });
        let servers: Vec<_> = servers.collect();
        Self {
            seed,
            trace,
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
            acts: Vec::new(),
            data_messages: 0,
            figures: Figures::default(),
            wrong: None,
        }
    }

    /// Prints a line of the trace.
    fn say(&self, line: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>7} {}", self.time_ms, line());
        }
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.scheduled += 1;
        self.events
            .insert((self.time_ms + ms, self.scheduled), event);
    }

    fn run_until(&mut self, end_ms: u64) -> Result<(), String> {
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
    fn round(&mut self, round: &Round) -> Result<(), String> {
        self.say(|| format!("{:?}", round.weather));
        self.network.weather = round.weather;
        for (at_ms, incident) in &round.incidents {
            self.after(*at_ms, Event::Happen(incident.clone()));
        }
        self.run_until(self.time_ms + round.ms)?;
        self.events
            .retain(|_, event| !matches!(event, Event::Happen(_)));
        // All run again.
        let stopped = self.servers.iter().map(|server| server.stopped_until_ms);
        self.run_until(stopped.max().unwrap_or(0).max(self.time_ms))?;
        self.say(|| format!("quiet; absent: {:?}", round.absent));
        self.network.weather = FAIR;
        self.network.cut.clear();
        for server in 0..self.servers.len() {
            if round.absent == Some(server) {
                self.incident(Incident::Kill(server));
                // A first message of it that came very late would be a sign of life.
                let requests = &self.requests;
                self.events.retain(|_, event| match event {
                    Event::Arrive { request } => requests[*request].from != server,
                    _ => true,
                });
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
        self.calm()
    }

    fn calm(&mut self) -> Result<(), String> {
        let begin_ms = self.time_ms;
        let mut equal_ms = None;
        loop {
            self.run_until(self.time_ms + 100)?;
            let took_ms = self.time_ms - begin_ms;
            if equal_ms.is_none() && judge::are_equal(&self.servers) {
                equal_ms = Some(took_ms);
            }
            match judge::judge(&self.servers, &self.acts) {
                Ok(()) => break,
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
            .map_err(|wrong| format!("no longer well: {wrong}"))?;
        match self.data_messages - before {
            0 => Ok(()),
            more => Err(format!(
                "{more} messages with registers, though all are equal"
            )),
        }
    }

    fn happen(&mut self, event: Event) {
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
    fn stopped_for(&self, server: usize) -> Option<u64> {
        let left_ms = self.servers[server]
            .stopped_until_ms
            .checked_sub(self.time_ms);
        left_ms.filter(|&ms| ms > 0)
    }

    fn tick(&mut self, server: usize, life: u64) {
        if self.servers[server].life != life || self.servers[server].node.is_none() {
            return;
        }
        if let Some(ms) = self.stopped_for(server) {
            return self.after(ms, Event::Tick { server, life });
        }
        let mut actions = Vec::new();
        let now = self.servers[server].now(self.time_ms);
        if let Some(node) = &mut self.servers[server].node {
            node.tick(now, &mut actions);
        }
        self.act(server, actions);
        let ms = self.random.random_range(20..=100);
        self.after(ms, Event::Tick { server, life });
    }

    /// Does what a node says.
    fn act(&mut self, server: usize, actions: Vec<Action>) {
        for action in actions {
            if Server::<R>::is_synced(&action) {
                if let Err(wrong) = judge::ready(&self.servers[server]) {
                    self.wrong = Some(wrong);
                }
            }
            match action {
                Action::Send {
                    peer,
                    uri,
                    number,
                    body,
                } => {
                    let to = uri.trim_start_matches("sip:").into();
                    let request = self.request(server, peer, to, number, body);
                    self.after(
                        0,
                        Event::Transmit {
                            request,
                            attempt: 0,
                        },
                    );
                }
                Action::Broadcast { body } => {
                    for other in 0..self.servers.len() {
                        let to = Rc::clone(&self.servers[other].address);
                        let request = self.request(server, PeerId(0), to, 0, body.clone());
                        self.requests[request].done = other == server;
                        self.after(
                            0,
                            Event::Transmit {
                                request,
                                attempt: 0,
                            },
                        );
                    }
                }
                Action::Changed { key, register } => self.servers[server].apply(key, register),
                other => {
                    let name = &self.servers[server].settings.node;
                    self.say(|| format!("{name}: {other:?}"));
                }
            }
        }
        self.note_ready(server);
    }

    /// One that is ready is a teacher of those that join.
    fn note_ready(&mut self, server: usize) {
        let ready = self.servers[server].is_ready();
        if ready && !self.servers[server].teachers.is_empty() {
            self.servers[server].teachers.clear();
        }
        if ready != self.servers[server].was_ready {
            self.servers[server].was_ready = ready;
            if ready {
                let registers = self.servers[server].registers();
                for other in self.servers.iter_mut().filter(|other| !other.is_ready()) {
                    other.teachers.push(registers.clone());
                }
            } else {
                self.begin_to_join(server);
            }
        }
    }

    fn begin_to_join(&mut self, server: usize) {
        let ready = self.servers.iter().filter(|other| other.is_ready());
        let teachers = ready.map(Server::registers).collect();
        self.servers[server].teachers = teachers;
        self.servers[server].was_ready = false;
    }

    fn request(
        &mut self,
        from: usize,
        peer: PeerId,
        to: Rc<str>,
        number: u64,
        body: Vec<u8>,
    ) -> usize {
        if body.len() > MOST_WRITTEN {
            self.wrong = Some(format!("a message of {} bytes", body.len()));
        }
        self.figures.messages += 1;
        self.figures.bytes += body.len() as u64;
        self.figures.longest_bytes = self.figures.longest_bytes.max(body.len());
        self.data_messages += u64::from(body.windows(4).take(300).any(|four| four == b" k=D"));
        let sender = &self.servers[from];
        self.requests.push(Request {
            from,
            life: sender.life,
            peer,
            source: Rc::clone(&sender.address),
            to,
            number,
            body: body.into(),
            done: false,
        });
        self.requests.len() - 1
    }

    /// Sends a request for the first time or again.
    fn transmit(&mut self, request: usize, attempt: usize) {
        let sent = &self.requests[request];
        if sent.done || !self.is_same_life(sent) {
            return;
        }
        let (from, to) = (sent.from, self.at(&sent.to));
        match AGAIN_MS.get(attempt) {
            Some(&at_ms) => {
                let before_ms = attempt.checked_sub(1).map_or(0, |before| AGAIN_MS[before]);
                let attempt = attempt + 1;
                self.after(at_ms - before_ms, Event::Transmit { request, attempt });
            }
            None => {
                let rest_ms = NO_ANSWER_MS - AGAIN_MS[AGAIN_MS.len() - 1];
                self.after(rest_ms, Event::Answer { request, code: 408 });
            }
        }
        let (name, body) = (
            &self.servers[from].settings.node,
            &self.requests[request].body,
        );
        let address = &self.requests[request].to;
        self.say(|| format!("{name} to {address}: {}", body.escape_ascii()));
        self.figures.transmissions += 1;
        let Some(to) = to else { return };
        let arrivals = self.network.carry(from, to, &mut self.random);
        self.figures.lost += u64::from(arrivals[0].is_none());
        self.figures.doubled += u64::from(arrivals[1].is_some());
        for ms in arrivals.into_iter().flatten() {
            self.after(ms, Event::Arrive { request });
        }
    }

    fn is_same_life(&self, request: &Request) -> bool {
        let sender = &self.servers[request.from];
        sender.life == request.life && sender.node.is_some()
    }

    fn at(&self, address: &str) -> Option<usize> {
        self.servers
            .iter()
            .position(|server| *server.address == *address)
    }

    /// A request has come to a server.
    fn arrive(&mut self, request: usize) {
        let sent = &self.requests[request];
        let (from, number) = (sent.from, sent.number);
        let Some(to) = self
            .at(&sent.to)
            .filter(|&to| self.servers[to].node.is_some())
        else {
            return;
        };
        let mut code = 200;
        if let Some(ms) = self.stopped_for(to) {
            if !self.servers[to].only_process {
                return self.after(ms, Event::Arrive { request });
            }
            if self.inboxes[to] < INBOX {
                self.inboxes[to] += 1;
                let life = self.servers[to].life;
                self.after(
                    ms,
                    Event::Inbox {
                        request,
                        server: to,
                        life,
                    },
                );
            } else {
                code = 503;
            }
        } else {
            self.receive(to, request);
        }
        // A broadcast is not answered.
        if number > 0 {
            let arrivals = self.network.carry(to, from, &mut self.random);
            if let Some(ms) = arrivals[0] {
                self.after(ms, Event::Answer { request, code });
            }
        }
    }

    /// A node takes a message. One that is not newer than what was taken must change nothing.
    fn receive(&mut self, to: usize, request: usize) {
        let (time_ms, body) = (self.time_ms, Rc::clone(&self.requests[request].body));
        let source = Rc::clone(&self.requests[request].source);
        let server = &mut self.servers[to];
        let now = server.now(time_ms);
        let settings = &server.settings;
        let message = match check(&body, &settings.cluster, settings.key.as_ref()) {
            Ok(message) => message,
            Err(refusal) => {
                self.wrong = Some(format!("{refusal}: {}", body.escape_ascii()));
                return;
            }
        };
        if self.trace {
            let (name, number) = (message.node, message.number);
            println!(
                "{time_ms:>7} {} has message {number:x} of {name}",
                settings.node
            );
        }
        let Some(node) = &mut server.node else { return };
        let is_hello = matches!(message.content, Content::Hello(_));
        let sender = (message.node.to_owned(), message.incarnation, is_hello);
        let last = server.taken.get(&sender).copied().unwrap_or(0);
        let is_late = message.number <= last;
        let before = is_late.then(|| view(node));
        let counts = node.counts();
        let mut actions = Vec::new();
        node.receive(now, source.as_bytes(), &message, &mut actions);
        let after = node.counts();
        let refused = after.stale > counts.stale || after.refused > counts.refused;
        if is_late {
            self.figures.stale += 1;
            if !refused || before.is_some_and(|before| before != view(node)) {
                let what = body.escape_ascii();
                self.wrong = Some(format!("{} takes a message again: {what}", settings.node));
            }
        } else if !refused && message.node != settings.node {
            server.taken.insert(sender, message.number);
        }
        self.act(to, actions);
    }

    fn answer(&mut self, request: usize, code: u16) {
        let sent = &self.requests[request];
        let (from, peer, number) = (sent.from, sent.peer, sent.number);
        if sent.done || !self.is_same_life(sent) {
            return;
        }
        if let Some(ms) = self.stopped_for(from) {
            return self.after(ms, Event::Answer { request, code });
        }
        self.requests[request].done = true;
        let mut actions = Vec::new();
        if let Some(node) = &mut self.servers[from].node {
            node.answered(peer, number, code, &mut actions);
        }
        self.act(from, actions);
    }

    fn incident(&mut self, incident: Incident) {
        self.say(|| format!("{incident:x?}"));
        let servers = self.servers.len();
        match incident {
            Incident::Act(server, key, bits) => self.set(server, key, bits),
            Incident::Tie(key) => {
                for server in 0..servers {
                    let before = self.figures.acts;
                    self.set(server, key, [0, 4, 64][server % 3]);
                    self.figures.ties += self.figures.acts - before;
                }
            }
            Incident::Burst(server, bits) => {
                let keys: Vec<_> = self.servers[server].list.keys().copied().collect();
                for key in keys {
                    self.set(server, key, bits);
                }
            }
            Incident::Cut(from, to) => {
                self.figures.cuts += 1;
                self.network.cut.insert((from, to));
            }
            Incident::Split(mask) => {
                self.figures.splits += 1;
                let group = |server: usize| mask >> (server % 128) & 1;
                for from in 0..servers {
                    let others = (0..servers).filter(|&to| group(from) != group(to));
                    self.network.cut.extend(others.map(|to| (from, to)));
                }
            }
            Incident::Heal => self.network.cut.clear(),
            Incident::Kill(server) => {
                self.figures.crashes += u64::from(self.servers[server].node.is_some());
                self.servers[server].kill();
            }
            Incident::Start(server, memory) => self.start(server, memory),
            Incident::Stop {
                server,
                ms,
                only_process,
            } => {
                self.figures.stops += 1;
                self.servers[server].stopped_until_ms = self.time_ms + ms;
                self.servers[server].only_process = only_process;
            }
            Incident::Save(server) => {
                if self.servers[server].node.is_some() {
                    self.servers[server].kept = self.servers[server].registers();
                }
            }
            Incident::Reload(server, key, flags) => self.reload(server, key, flags),
            Incident::Rollout(key, flags) => {
                for server in 0..servers {
                    self.reload(server, key, flags);
                }
            }
            Incident::Leave(server) => {
                self.figures.leaves += 1;
                self.command(server, Command::Leave);
            }
            Incident::Sync(server) => self.command(server, Command::Sync),
            Incident::Forget(server, other) => {
                let name = self.servers[other].settings.node.clone();
                self.servers[server]
                    .taken
                    .retain(|(sender, _, _), _| *sender != name);
                self.command(server, Command::Forget(&name));
            }
        }
    }

    fn set(&mut self, server: usize, key: Key, bits: u32) {
        if self.stopped_for(server).is_some() {
            return;
        }
        if let Some(register) = self.servers[server].act(self.time_ms, key, bits) {
            let life = self.servers[server].life;
            self.figures.acts += 1;
            self.acts.push(Act {
                server,
                life,
                key,
                register,
            });
        }
    }

    fn start(&mut self, server: usize, memory: Memory) {
        if self.servers[server].node.is_some() {
            return;
        }
        let one = &mut self.servers[server];
        if memory.moved {
            one.moves += 1;
            one.address = address(server, one.moves).into();
            one.settings.uri = format!("sip:{}", one.address);
        }
        one.skew_ms = memory.skew_ms.unwrap_or(one.skew_ms);
        let kept: Registers = if memory.kept {
            one.kept.clone()
        } else {
            Registers::new()
        };
        one.start(self.time_ms, kept);
        let life = one.life;
        self.inboxes[server] = 0;
        self.begin_to_join(server);
        self.after(0, Event::Tick { server, life });
    }

    fn reload(&mut self, server: usize, key: Key, flags: Option<u32>) {
        self.figures.reloads += 1;
        let mut list = self.servers[server].list.clone();
        match flags {
            Some(flags) => list.insert(key, flags),
            None => list.remove(&key),
        };
        self.servers[server].reload(list);
    }

    fn command(&mut self, server: usize, command: Command<'_>) {
        let mut actions = Vec::new();
        if let Some(node) = &mut self.servers[server].node {
            node.command(command, &mut actions);
        }
        self.act(server, actions);
    }
}

/// What a node knows of its peers: place, incarnation, state, and when they were heard; and its registers.
type View = (
    Vec<(Option<PeerId>, u64, Shown, Option<u64>)>,
    Vec<(Key, Register)>,
    bool,
);

/// Returns what a node knows. Of URIs where nobody was heard it may learn by any message, so they do not count.
fn view<R: Rules>(node: &Cluster<R>) -> View {
    let heard = node
        .members()
        .filter(|member| member.state != Shown::Unheard);
    let members = heard.map(|one| (one.peer, one.incarnation, one.state, one.heard_ms));
    (
        members.collect(),
        node.registers().collect(),
        node.is_ready(),
    )
}

//! What nodes send: from one to the other, and its answer back.

use std::rc::Rc;

use dispatcher::dispatch::cluster::node::action::{Action, PeerId};
use dispatcher::dispatch::cluster::node::machine::Cluster;
use dispatcher::dispatch::cluster::node::peer::Shown;
use dispatcher::dispatch::cluster::state::key::Key;
use dispatcher::dispatch::cluster::state::register::Register;
use dispatcher::dispatch::cluster::state::rules::Rules;
use dispatcher::dispatch::cluster::text::message::{Content, MOST_WRITTEN};
use dispatcher::dispatch::cluster::text::read::check;

use crate::judge;
use crate::network::{AGAIN_MS, NO_ANSWER_MS, Request};
use crate::server::Server;
use crate::world::{Event, World};

/// The messages that the inbox of a process that is stopped takes.
const INBOX: usize = 40;

impl<R: Rules> World<R> {
    /// Does what a node says.
    pub(crate) fn act(&mut self, server: usize, actions: Vec<Action>) {
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
                Action::Viewed { key } => _ = self.servers[server].pinger.viewed.insert(key),
                Action::Believed => self.servers[server].pinger.all_viewed = true,
                Action::Changed { key, register } => self.servers[server].apply(key, register),
                Action::Counted { key } => self.servers[server].follow_calls(key),
                Action::CountedAll => {
                    let keys = &self.keys;
                    self.servers[server].follow_all_calls(keys);
                }
                Action::CallEnded(end) => {
                    let call = end.texts()[0].trim_start_matches("call-").parse();
                    self.servers[server].end_call(call.expect("the number of a call"));
                }
                other => {
                    if let Action::NodeDown { name, .. } = &other {
                        self.is_down(server, name);
                    }
                    let name = &self.servers[server].settings.node;
                    self.say(|| format!("{name}: {other:?}"));
                }
            }
        }
        self.note_ready(server);
    }

    /// One that is ready is a teacher of those that join.
    pub(crate) fn note_ready(&mut self, server: usize) {
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

    pub(crate) fn begin_to_join(&mut self, server: usize) {
        let ready = self.servers.iter().filter(|other| other.is_ready());
        let teachers = ready.map(Server::registers).collect();
        self.servers[server].teachers = teachers;
        self.servers[server].was_ready = false;
    }

    pub(crate) fn request(
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
        let has = |letters: &[u8]| body.windows(letters.len()).any(|part| part == letters);
        let is_data = body.windows(5).take(400).any(|five| five == b" k=D ");
        // Those with registers, or the end of them; and not those with figures alone.
        if is_data && (has(b" e=1") || has(b"\nA ")) {
            self.data_messages += 1;
            self.data_bytes += body.len() as u64;
        } else if is_data {
            self.figure_messages += 1;
            self.figure_bytes += body.len() as u64;
        }
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
    pub(crate) fn transmit(&mut self, request: usize, attempt: usize) {
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

    pub(crate) fn is_same_life(&self, request: &Request) -> bool {
        let sender = &self.servers[request.from];
        sender.life == request.life && sender.node.is_some()
    }

    pub(crate) fn at(&self, address: &str) -> Option<usize> {
        self.servers
            .iter()
            .position(|server| *server.address == *address)
    }

    /// A request has come to a server.
    pub(crate) fn arrive(&mut self, request: usize) {
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
    pub(crate) fn receive(&mut self, to: usize, request: usize) {
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

    pub(crate) fn answer(&mut self, request: usize, code: u16) {
        let sent = &self.requests[request];
        let (from, peer, number) = (sent.from, sent.peer, sent.number);
        if sent.done || !self.is_same_life(sent) {
            return;
        }
        if let Some(ms) = self.stopped_for(from) {
            return self.after(ms, Event::Answer { request, code });
        }
        self.requests[request].done = true;
        if self.is_calm {
            self.requests[request].body = Rc::from([]);
        }
        let mut actions = Vec::new();
        if let Some(node) = &mut self.servers[from].node {
            node.answered(peer, number, code, &mut actions);
        }
        self.act(from, actions);
    }
}

/// What a node knows of its peers: place, incarnation, state, and when they were heard; and its registers.
type View = (
    Vec<(Option<PeerId>, u64, Shown, Option<u64>)>,
    Vec<(Key, Register)>,
    bool,
);

/// Returns what a node knows. Of URIs where nobody was heard, and of a higher last life of its own, it may learn by any
/// message, so these do not count.
fn view<R: Rules>(node: &Cluster<R>) -> View {
    let heard = node
        .members()
        .filter(|one| one.peer.is_some() && one.state != Shown::Unheard);
    let members = heard.map(|one| (one.peer, one.incarnation, one.state, one.heard_ms));
    (
        members.collect(),
        node.registers().collect(),
        node.is_ready(),
    )
}

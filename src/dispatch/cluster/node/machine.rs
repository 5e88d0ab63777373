//! A node: everything that can happen to it.

use core::marker::PhantomData;
use core::mem::{self, Discriminant};
use std::collections::HashMap;

use super::action::{Action, Command, Note, PeerId, Ready};
use super::asked::Reloads;
use super::orphaned::{Forgotten, Orphaned};
use super::peer::State;
use super::peers::Peers;
use super::settings::{
    BROADCAST_MS, MOST_LATE_MS, MOST_WAITS, NOTE_MS, REMEMBERED_MS, SELDOM_BROADCAST_MS, Settings,
    UNKNOWN_THERE_MS,
};
use crate::dispatch::cluster::state::clock::{Clock, Now};
use crate::dispatch::cluster::state::ends::Ends;
use crate::dispatch::cluster::state::figures::Figures;
use crate::dispatch::cluster::state::key::{Key, NodeHash};
use crate::dispatch::cluster::state::pings::Pings;
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::cluster::state::registers::{Merged, Registers};
use crate::dispatch::cluster::state::rules::{Rules, Sound};
use crate::dispatch::cluster::state::view::View;
use crate::dispatch::cluster::text::message::{Content, MOST_INCARNATION, Message};
use crate::dispatch::cluster::text::write::write;

/// The largest step from one incarnation to the next that is not the time of a start.
const MOST_STEP: u64 = 1 << 20;

/// One node of a cluster.
///
/// Its time is that of the steady clock, less the time for which the process was stopped. So what it did not hear while it
/// was stopped is nobody's fault.
#[derive(Debug)]
pub struct Cluster<R: Rules = Sound> {
    pub(super) settings: Settings,
    pub(super) node: NodeHash,
    pub(super) incarnation: u64,
    /// The incarnation with which it started.
    pub(super) started_as: u64,
    pub(super) peers: Peers,
    pub(super) registers: Registers,
    /// The views of the destinations that are pinged here.
    pub(super) views: Figures<View>,
    /// How this node pings; `None` if it does not.
    pub(super) pings: Option<Pings>,
    /// The members whose word on destinations is believed, and which life of them.
    pub(super) believed: Vec<(PeerId, u64)>,
    /// The calls that are counted here.
    pub(super) calls: Figures<u32>,
    /// The calls of lives of other nodes that are over.
    pub(super) orphaned: Vec<Orphaned>,
    /// When these last became fewer.
    pub(super) faded_ms: u64,
    /// The ends of calls that are not known here.
    pub(super) ends: Ends,
    /// The last messages that were taken of nodes that an operator has had forgotten: earlier ones may still come.
    pub(super) forgotten: Vec<Forgotten>,
    pub(super) clock: Clock,
    pub(super) phase: Phase,
    /// The node's own time.
    pub(super) time_ms: u64,
    /// When this life began.
    pub(super) began_ms: u64,
    /// Until when another node is known to have this name, and to be older.
    pub(super) yields_to_ms: u64,
    pub(super) reloads: Reloads,
    pub(super) counts: Counts,
    last_steady_ms: u64,
    pub(super) last_number: u64,
    last_broadcast_ms: Option<u64>,
    noted: HashMap<(Option<PeerId>, Discriminant<Note>), u64>,
    rules: PhantomData<R>,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It does not have yet what the others have.
    Joining,
    /// It has what the others have.
    Ready,
    /// It has left, and is silent.
    Left,
}

/// The counts of a node since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that were sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Messages that have arrived.
    pub received: u64,
    /// Messages with data that were sent again, because no answer came.
    pub retried: u64,
    /// Messages and registers that were refused here, and messages that peers have refused.
    pub refused: u64,
    /// Registers that have arrived and count now.
    pub merged: u64,
    /// Messages that have arrived and were not taken, because later ones were, or because they are of or for another life.
    pub stale: u64,
    /// Ends of calls not known here that the peers were told of.
    pub ends_told: u64,
    /// Ends that were forgotten before all peers had them.
    pub ends_dropped: u64,
}

impl Cluster<Sound> {
    /// Makes a node that joins. `listed` are the destinations of the list, `kept` the registers of the node's last life.
    ///
    /// The incarnation must be greater than that of the last life; the time of the start is. If it is not, the peers say
    /// so, and the node takes a greater one.
    #[must_use]
    pub fn new(
        settings: Settings,
        incarnation: u64,
        now: Now,
        listed: impl IntoIterator<Item = Key>,
        kept: impl IntoIterator<Item = (Key, Register)>,
    ) -> Self {
        Self::with_rules(settings, incarnation, now, listed, kept)
    }
}

impl<R: Rules> Cluster<R> {
    /// Makes a node that joins, under any rules.
    #[must_use]
    pub fn with_rules(
        settings: Settings,
        incarnation: u64,
        now: Now,
        listed: impl IntoIterator<Item = Key>,
        kept: impl IntoIterator<Item = (Key, Register)>,
    ) -> Self {
        let (mut registers, mut clock) = (Registers::default(), Clock::default());
        registers.set_list(listed);
        for (key, register) in kept {
            // A clock that was set back by more than a day since then: nobody would take what is stamped above that.
            if clock.see(now, register.stamp) {
                registers.merge::<R>(key, register);
            }
        }
        let time_ms = now.steady_ms;
        let mut peers = Peers::default();
        for uri in settings.peers.iter().filter(|uri| **uri != settings.uri) {
            peers.at(uri, true, time_ms);
        }
        Self {
            node: NodeHash::of(&settings.node),
            settings,
            incarnation,
            started_as: incarnation,
            peers,
            registers,
            views: Figures::default(),
            pings: None,
            believed: Vec::new(),
            calls: Figures::default(),
            orphaned: Vec::new(),
            faded_ms: 0,
            ends: Ends::default(),
            forgotten: Vec::new(),
            clock,
            phase: Phase::Joining,
            time_ms,
            began_ms: time_ms,
            yields_to_ms: 0,
            reloads: Reloads::default(),
            counts: Counts::default(),
            last_steady_ms: now.steady_ms,
            last_number: 0,
            last_broadcast_ms: None,
            noted: HashMap::new(),
            rules: PhantomData,
        }
    }

    /// A message has arrived. `source` is the IP address that it came from.
    pub fn receive(
        &mut self,
        now: Now,
        source: &[u8],
        message: &Message<'_>,
        actions: &mut Vec<Action>,
    ) {
        self.counts.received += 1;
        if self.phase == Phase::Left || message.cluster != self.settings.cluster {
            self.counts.stale += 1;
            return;
        }
        match &message.content {
            Content::Hello(hello) => self.take_hello(now, source, message, hello, actions),
            Content::Data(data) => self.take_data(now, source, message, data, actions),
            Content::Reload { to } => self.take_reload(source, message, *to, actions),
            Content::Reloaded(reloaded) => self.take_reloaded(source, message, reloaded, actions),
            Content::Leave => self.take_leave(source, message, actions),
            Content::Unknown => {}
        }
    }

    /// An answer to a message to a peer has come; 408 if none has.
    pub fn answered(&mut self, id: PeerId, number: u64, code: u16, actions: &mut Vec<Action>) {
        let time_ms = self.time_ms;
        if !(200..300).contains(&code) {
            self.reload_not_taken(id, number, code, actions);
        }
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        match code {
            200..300 => {
                let life = peer.life.as_mut();
                if life.is_some_and(|life| life.cursor.arrived(number)) {
                    self.send_data(id, actions);
                }
            }
            404 if peer.alive().is_none() => {
                peer.next_hello_ms = time_ms + UNKNOWN_THERE_MS;
            }
            // It is busy or does not answer: it is asked again anyway.
            404 | 408 | 503 => {}
            _ => {
                peer.counts.refused += 1;
                let uri = peer.uri.clone();
                self.counts.refused += 1;
                self.note(Some(id), Note::Refused { uri, code }, actions);
            }
        }
    }

    /// An operator has set a state on this node: `bits` while the list asks for `base`. The peers get it at the next tick.
    pub fn local_act(&mut self, now: Now, key: Key, bits: u32, base: u32) -> Register {
        self.forget_what_is_ahead(now);
        let register = Register {
            stamp: self.clock.next(now),
            node: self.node,
            bits,
            base,
        };
        self.registers.merge::<R>(key, register);
        register
    }

    /// Sets the view of a destination that is pinged here; `None` if it is pinged no longer. The peers get it at the next
    /// tick.
    pub fn set_view(&mut self, key: Key, view: Option<View>) {
        self.views.set(key, view);
    }

    /// Takes notice of which destinations the list now has.
    pub fn set_list(&mut self, keys: impl IntoIterator<Item = Key>, actions: &mut Vec<Action>) {
        if !self.registers.set_list(keys) {
            self.note(None, Note::TooManyOrphans, actions);
        }
        // Some of the figures that were not kept may be of these destinations: hellos ask for all.
        for life in self
            .peers
            .iter_mut()
            .filter_map(|(_, peer)| peer.life.as_mut())
        {
            life.has_begun &= !life.has_dropped;
        }
    }

    /// Time has passed: does what is due. To be called each 20 ms or so.
    pub fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        let passed = now.steady_ms.saturating_sub(self.last_steady_ms);
        self.last_steady_ms = now.steady_ms;
        self.time_ms += passed.min(MOST_LATE_MS);
        if self.phase == Phase::Left {
            return self.look_whom_to_believe(now.steady_ms, actions);
        }
        self.bury(actions);
        self.forget_what_all_have();
        self.forget_old(actions);
        self.fade(actions);
        if self.phase == Phase::Joining {
            self.wait_for_peers(actions);
        }
        self.look_whom_to_believe(now.steady_ms, actions);
        // Before the hellos, which tell of it.
        for id in self.peers.ids() {
            self.note_lack(id, now.steady_ms);
        }
        self.send_hellos(now, actions);
        self.look_around(now, actions);
        for id in self.peers.ids() {
            self.give_up_flight(id);
            self.send_data(id, actions);
        }
    }

    /// Does what an operator asks for. Returns false if there is nobody with that name.
    pub fn command(&mut self, command: Command<'_>, actions: &mut Vec<Action>) -> bool {
        match command {
            Command::Sync => {
                // As after a restart: so everybody sends all to this node as well.
                self.begin_life_after(self.incarnation);
                if self.phase == Phase::Left {
                    self.phase = Phase::Joining;
                    self.began_ms = self.time_ms;
                }
                for (_, peer) in self.peers.iter_mut() {
                    if let Some(life) = &mut peer.life {
                        life.cursor.send_all();
                    }
                }
                true
            }
            Command::Leave => {
                let alive = self.peers.iter().filter(|(_, peer)| peer.alive().is_some());
                for id in alive.map(|(id, _)| id).collect::<Vec<_>>() {
                    let number = self.last_number + 1;
                    let body = self.compose(number, Content::Leave);
                    self.send(id, number, body, actions);
                }
                self.phase = Phase::Left;
                true
            }
            Command::Reload(ticket) => {
                self.ask_for_reload(ticket, actions);
                true
            }
            Command::Forget(name) => match self.peers.named(name) {
                Some(id) => {
                    self.down(id, State::Dead, actions);
                    self.forget_calls(id, name, actions);
                    self.note_forgotten(id);
                    self.forget(id, actions);
                    true
                }
                None => false,
            },
        }
    }

    /// Returns what was set of a destination.
    #[must_use]
    pub fn register(&self, key: Key) -> Option<Register> {
        self.registers.get(key)
    }

    /// Returns all registers, also of destinations that are not in the list.
    pub fn registers(&self) -> impl Iterator<Item = (Key, Register)> {
        self.registers.iter()
    }

    /// Returns the number of registers, and of those whose destinations are not in the list.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.registers.len(), self.registers.orphans())
    }

    /// Tells whether the node has what the others have, as far as there are others.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Tells whether a message is under way that is to be acknowledged: then answers are worth looking at more often.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        let mut alive = self.peers.alive();
        alive.any(|life| life.cursor.flight.is_some())
    }

    /// Returns which life of this node this is.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Returns what was counted.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Begins another life after the one that had this incarnation: to the peers it is as if the node had started again.
    ///
    /// Two lives may hear of the same one before them, and must not take the same number. So each goes on by its own step.
    pub(super) fn begin_life_after(&mut self, incarnation: u64) {
        let step = 1 + self.started_as % MOST_STEP;
        self.incarnation = incarnation.saturating_add(step).min(MOST_INCARNATION);
        for (_, peer) in self.peers.iter_mut() {
            peer.next_hello_ms = self.time_ms;
            if let Some(life) = &mut peer.life {
                life.knows_us = false;
                // Nobody has figures of this life.
                life.cursor.send_figures();
            }
        }
    }

    /// Asks all that the bus knows, if the config names no peers: often while nobody is there, and seldom later, because
    /// two groups may have found themselves in a split.
    fn look_around(&mut self, now: Now, actions: &mut Vec<Action>) {
        let alone = self.peers.alive().next().is_none();
        let period = if alone {
            BROADCAST_MS
        } else {
            SELDOM_BROADCAST_MS
        };
        if self.settings.peers.is_empty()
            && self
                .last_broadcast_ms
                .is_none_or(|last| last + period <= self.time_ms)
        {
            self.last_broadcast_ms = Some(self.time_ms);
            self.broadcast_hello(now, actions);
        }
    }

    /// Takes those for dead that nobody has heard for too long, and those for alive again that somebody hears.
    fn bury(&mut self, actions: &mut Vec<Action>) {
        for id in self.peers.ids() {
            let Some(life) = self.peers.get(id).and_then(|peer| peer.life.as_ref()) else {
                continue;
            };
            let overdue = life.is_overdue(&self.settings, self.time_ms);
            match life.state {
                State::Alive if overdue => self.down(id, State::Dead, actions),
                State::Dead if !overdue => self.up(id, actions),
                _ => {}
            }
        }
    }

    pub(super) fn up(&mut self, id: PeerId, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        if let Some(life) = peer.life.as_mut().filter(|life| !life.is_alive()) {
            life.state = State::Alive;
            let (name, uri) = (life.name.clone(), peer.uri.clone());
            actions.push(Action::NodeUp { name, uri });
            // Those of this life count again.
            actions.push(Action::CountedAll);
        }
    }

    pub(super) fn down(&mut self, id: PeerId, state: State, actions: &mut Vec<Action>) {
        let time_ms = self.time_ms;
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        let Some(life) = &mut peer.life else {
            return;
        };
        if life.is_alive() {
            let (name, uri) = (life.name.clone(), peer.uri.clone());
            actions.push(Action::NodeDown { name, uri });
            life.ended_ms = time_ms;
        }
        life.state = state;
        // It is not waited for any more: what is taken back meanwhile it learns by getting all again.
        life.cursor.send_figures();
    }

    /// Forgets a peer, and what it has told of destinations.
    pub(super) fn forget(&mut self, id: PeerId, actions: &mut Vec<Action>) {
        self.peers.forget(id, self.time_ms);
        // It may be back, without that, before anybody looks.
        self.believed.retain(|(believed, _)| *believed != id);
        actions.push(Action::Believed);
    }

    /// Returns the place of the peer with a URI. A URI that is new is added, see [`Peers::at`].
    pub(super) fn place_at(&mut self, uri: &str, actions: &mut Vec<Action>) -> Option<PeerId> {
        if let Some(silent) = self.peers.in_the_way_of(uri) {
            self.end_life(silent, actions);
        }
        self.peers.at(uri, false, self.time_ms)
    }

    fn forget_old(&mut self, actions: &mut Vec<Action>) {
        for id in self.peers.ids() {
            let Some(peer) = self.peers.get_mut(id) else {
                continue;
            };
            if peer.alive().is_some() {
                peer.remembered_ms = self.time_ms;
            } else if !peer.configured && peer.remembered_ms + REMEMBERED_MS <= self.time_ms {
                self.end_life(id, actions);
                self.peers.forget(id, self.time_ms);
            }
        }
    }

    /// Becomes ready if nobody is there who could send what there is.
    fn wait_for_peers(&mut self, actions: &mut Vec<Action>) {
        let waited = self.time_ms.saturating_sub(self.began_ms);
        let wait = self.settings.join_wait_ms;
        let teachers = self
            .peers
            .alive()
            .any(|life| life.ready && life.digest.is_some());
        if !self.settings.share_states {
            self.become_ready(Ready::Synced, actions);
        } else if waited >= wait && !teachers {
            self.become_ready(Ready::Alone, actions);
        } else if waited >= wait.saturating_mul(MOST_WAITS) {
            self.become_ready(Ready::Unsynced, actions);
        }
    }

    pub(super) fn become_ready(&mut self, how: Ready, actions: &mut Vec<Action>) {
        if self.phase == Phase::Joining {
            self.phase = Phase::Ready;
            self.note(None, Note::Ready(how), actions);
        }
    }

    /// Forgets registers that are from too far ahead. There are some only after the clocks of this node and of others were
    /// wrong: whatever is set now would lose against them.
    ///
    /// It is the own clock that is wrong, and behind, if that of a member says so.
    pub(super) fn forget_what_is_ahead(&mut self, now: Now) {
        let ahead_ms = self.peers.alive().map(|life| life.clock_ms).max();
        let now = Now {
            wall_ms: now
                .wall_ms
                .saturating_add_signed(ahead_ms.unwrap_or(0).max(0)),
            ..now
        };
        if self.clock.is_ahead(now) {
            self.registers.retain(|stamp| Clock::believes(now, stamp));
            let mut clock = Clock::default();
            for (_, register) in self.registers.iter() {
                _ = clock.see(now, register.stamp);
            }
            self.clock = clock;
        }
    }

    /// Merges a register of a peer, and says so if it counts.
    pub(super) fn merge(
        &mut self,
        now: Now,
        id: PeerId,
        (key, register): (Key, Register),
        actions: &mut Vec<Action>,
    ) {
        if !self.clock.see(now, register.stamp) {
            self.counts.refused += 1;
            let node = self.peers.get(id).and_then(|peer| peer.life.as_ref());
            let node = node.map(|life| life.name.clone()).unwrap_or_default();
            let stamp = register.stamp;
            return self.note(Some(id), Note::StampAhead { node, stamp }, actions);
        }
        match self.registers.merge::<R>(key, register) {
            Merged::Won => {
                self.counts.merged += 1;
                actions.push(Action::Changed { key, register });
            }
            Merged::Lost => {}
            Merged::Dropped => self.note(Some(id), Note::TooManyOrphans, actions),
        }
    }

    /// Sends a message with this number to a peer.
    pub(super) fn send(
        &mut self,
        id: PeerId,
        number: u64,
        body: Vec<u8>,
        actions: &mut Vec<Action>,
    ) {
        self.last_number = number;
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        peer.counts.sent += 1;
        self.counts.sent += 1;
        self.counts.sent_bytes += body.len() as u64;
        actions.push(Action::Send {
            peer: id,
            uri: peer.uri.clone(),
            number,
            body,
        });
    }

    /// Writes a message.
    pub(super) fn compose(&self, number: u64, content: Content<'_>) -> Vec<u8> {
        let message = Message {
            cluster: &self.settings.cluster,
            node: &self.settings.node,
            incarnation: self.incarnation,
            number,
            content,
        };
        write(&message, self.settings.key.as_ref())
    }

    /// Writes something to the log, unless it has said the same of this peer within the last minute.
    pub(super) fn note(&mut self, peer: Option<PeerId>, note: Note, actions: &mut Vec<Action>) {
        let last = self.noted.entry((peer, mem::discriminant(&note)));
        let next_ms = last.or_default();
        if *next_ms <= self.time_ms {
            *next_ms = self.time_ms + NOTE_MS;
            actions.push(Action::Log(note));
        }
    }
}

#[cfg(test)]
mod tests;

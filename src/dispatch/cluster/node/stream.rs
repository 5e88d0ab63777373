//! The registers that one node sends to another.

use super::action::{Action, PeerId, Ready};
use super::cursor::Flight;
use super::machine::Cluster;
use super::peer::Life;
use super::settings::{ANSWER_MS, MOST_BEHIND};
use crate::dispatch::cluster::state::clock::Now;
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::cluster::state::rules::Rules;
use crate::dispatch::cluster::text::message::{Content, Data, MOST_REGISTERS, Message};

impl<R: Rules> Cluster<R> {
    /// Sends a peer what it does not have yet, if nothing is under way to it.
    ///
    /// Only to one that says in its hello that it knows this life of this node: it would drop everything else.
    pub(super) fn send_data(&mut self, id: PeerId, actions: &mut Vec<Action>) {
        let Some(life) = self.peers.get(id).and_then(|peer| peer.alive()) else {
            return;
        };
        let listens = life.knows_us && life.digest.is_some() && self.shares();
        let silent = life.is_suspect(&self.settings, self.time_ms);
        if !listens || silent || life.cursor.flight.is_some() {
            return;
        }
        let to = life.incarnation;
        let mut wanted = self.wanted_by(life);
        let mut registers = Vec::new();
        let mut up_to = self.registers.last();
        for (change, key, register) in wanted.by_ref().take(MOST_REGISTERS) {
            registers.push((key, register));
            up_to = change;
        }
        let is_last = wanted.next().is_none();
        drop(wanted);
        if is_last {
            up_to = self.registers.last();
        }
        let end = life.cursor.all && is_last;
        let needed = !registers.is_empty() || end;
        let flight = needed.then(|| {
            let number = self.last_number + 1;
            let content = Content::Data(Data {
                to,
                end: end && self.is_ready(),
                registers,
            });
            let body = self.compose(number, content);
            self.send(id, number, body, actions);
            Flight {
                number,
                up_to,
                end,
                sent_ms: self.time_ms,
            }
        });
        let Some(life) = self.peers.get_mut(id).and_then(|peer| peer.life.as_mut()) else {
            return;
        };
        match flight {
            Some(_) => {
                life.moved = true;
                life.cursor.flight = flight;
            }
            // What has changed since then came from others.
            None => life.cursor.acked = up_to,
        }
    }

    /// Returns what a peer is to get and has not acknowledged.
    fn wanted_by(&self, life: &Life) -> impl Iterator<Item = (u64, Key, Register)> {
        let (all, node) = (life.cursor.all, self.node);
        let changed = self.registers.changed_after(life.cursor.acked);
        changed.filter(move |(_, _, register)| all || register.node == node)
    }

    /// Returns how many registers a member is to get and has not acknowledged, as far as they are counted.
    pub(super) fn behind(&self, life: &Life) -> u64 {
        if life.is_alive() && life.digest.is_some() && self.shares() {
            self.wanted_by(life).take(MOST_BEHIND).count() as u64
        } else {
            0
        }
    }

    /// Stops waiting for an answer that has not come in time: what was in that message is sent again, in a message of its
    /// own number.
    pub(super) fn give_up_flight(&mut self, id: PeerId) {
        let time_ms = self.time_ms;
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        let Some(life) = &mut peer.life else {
            return;
        };
        let late = |flight: &mut Flight| flight.sent_ms + ANSWER_MS <= time_ms;
        if life.cursor.flight.take_if(late).is_some() {
            peer.counts.retried += 1;
            self.counts.retried += 1;
        }
    }

    /// Registers have arrived.
    pub(super) fn take_data(
        &mut self,
        now: Now,
        source: &[u8],
        message: &Message<'_>,
        data: &Data,
        actions: &mut Vec<Action>,
    ) {
        if !self.shares() || !R::is_for(data.to, self.incarnation) {
            self.counts.stale += 1;
            return;
        }
        let Some(id) = self.sender(source, message, actions) else {
            return;
        };
        let time_ms = self.time_ms;
        let Some(life) = self.peers.get_mut(id).and_then(|peer| peer.life.as_mut()) else {
            return;
        };
        if !R::is_new(message.number, life.taken_number) {
            // A message that came late: all that it says was in a later one, which was taken.
            self.counts.stale += 1;
            return;
        }
        if !data.registers.is_empty() {
            self.forget_what_is_ahead(now);
        }
        let Some(life) = self.peers.get_mut(id).and_then(|peer| peer.life.as_mut()) else {
            return;
        };
        life.taken_number = message.number;
        life.heard_ms = time_ms;
        life.moved = true;
        for &register in &data.registers {
            self.merge(now, id, register, actions);
        }
        if data.end {
            self.become_ready(Ready::Synced, actions);
        }
    }
}

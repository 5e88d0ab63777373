//! The registers and figures that one node sends to another.

use std::collections::HashMap;

use super::action::{Action, PeerId, Ready};
use super::calls::take_ends;
use super::cursor::{Batch, Flight, Reached};
use super::machine::Cluster;
use super::peer::Life;
use super::settings::{ANSWER_MS, MOST_BEHIND};
use crate::dispatch::cluster::state::clock::Now;
use crate::dispatch::cluster::state::figures::Figures;
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::cluster::state::registers::{MOST_ORPHANS, Registers};
use crate::dispatch::cluster::state::rules::Rules;
use crate::dispatch::cluster::text::message::{
    Content, Data, MOST_REGISTERS, MOST_WRITTEN, Message,
};
use crate::dispatch::cluster::text::write::{CALLS_BYTES, MOST_AROUND, REGISTER_BYTES, VIEW_BYTES};

impl<R: Rules> Cluster<R> {
    /// Sends a peer what it does not have yet, if nothing is under way to it.
    ///
    /// Only to one that says in its hello that it knows this life of this node: it would drop everything else.
    pub(super) fn send_data(&mut self, id: PeerId, actions: &mut Vec<Action>) {
        let Some(life) = self.peers.get(id).and_then(|peer| peer.alive()) else {
            return;
        };
        let silent = life.is_suspect(&self.settings, self.time_ms);
        if !life.knows_us || !self.shares() || silent || life.cursor.flight.is_some() {
            return;
        }
        let to = life.incarnation;
        let (registers, batch) = self.registers_for(life);
        let sends_registers = !registers.is_empty() || batch.end;
        let mut room = MOST_WRITTEN - MOST_AROUND - registers.len() * REGISTER_BYTES;
        let reached = life.cursor.figures;
        let (views, views_up_to) = take(&self.views, reached.views, VIEW_BYTES, &mut room);
        let (calls, calls_up_to) = take(&self.calls, reached.calls, CALLS_BYTES, &mut room);
        let (ends, ends_up_to) = take_ends(&self.ends, reached.ends, &mut room);
        let figures = Reached {
            views: views_up_to,
            calls: calls_up_to,
            ends: ends_up_to,
        };
        let are_some = self.views.last() > 0 || self.calls.last() > 0;
        let begins = are_some && !life.cursor.begun;
        let needed =
            begins || sends_registers || !views.is_empty() || !calls.is_empty() || !ends.is_empty();
        let flight = needed.then(|| {
            let number = self.last_number + 1;
            let content = Content::Data(Data {
                to,
                end: batch.end && self.is_ready(),
                begins,
                registers,
                views,
                calls,
                ends,
            });
            let body = self.compose(number, content);
            self.send(id, number, body, actions);
            Flight {
                number,
                registers: sends_registers.then_some(batch),
                figures,
                begins,
                sent_ms: self.time_ms,
            }
        });
        let Some(life) = self.peers.get_mut(id).and_then(|peer| peer.life.as_mut()) else {
            return;
        };
        life.moved |= sends_registers;
        life.cursor.flight = flight;
        if !sends_registers {
            // What has changed since then came from others.
            life.cursor.acked = batch.up_to;
        }
        if !needed {
            life.cursor.figures = figures;
        }
    }

    /// Returns the registers that a member is to get next, and where it is once it has taken them.
    fn registers_for(&self, life: &Life) -> (Vec<(Key, Register)>, Batch) {
        let mut registers = Vec::new();
        if life.digest.is_none() || !self.shares_states() {
            let up_to = life.cursor.acked;
            return (registers, Batch { up_to, end: false });
        }
        let mut wanted = self.wanted_by(life);
        let mut up_to = self.registers.last();
        for (change, key, register) in wanted.by_ref().take(MOST_REGISTERS) {
            registers.push((key, register));
            up_to = change;
        }
        let is_last = wanted.next().is_none();
        if is_last {
            up_to = self.registers.last();
        }
        let end = life.cursor.all && is_last;
        (registers, Batch { up_to, end })
    }

    /// Forgets ends that were told, and figures that were taken back, once all members have heard of them.
    pub(super) fn forget_what_all_have(&mut self) {
        let least = |of: fn(&Reached) -> u64| {
            let reached = self.peers.alive().map(|life| of(&life.cursor.figures));
            R::all_have(reached).unwrap_or(u64::MAX)
        };
        let (views, calls) = (
            least(|reached| reached.views),
            least(|reached| reached.calls),
        );
        let ends = least(|reached| reached.ends);
        self.views.all_have(views);
        self.calls.all_have(calls);
        self.ends.all_have(ends);
    }

    /// Returns what a peer is to get and has not acknowledged.
    fn wanted_by(&self, life: &Life) -> impl Iterator<Item = (u64, Key, Register)> {
        let (all, node) = (life.cursor.all, self.node);
        let changed = self.registers.changed_after(life.cursor.acked);
        changed.filter(move |(_, _, register)| all || register.node == node)
    }

    /// Returns how many registers a member is to get and has not acknowledged, as far as they are counted.
    pub(super) fn behind(&self, life: &Life) -> u64 {
        if life.is_alive() && life.digest.is_some() && self.shares_states() {
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

    /// Data have arrived.
    pub(super) fn take_data(
        &mut self,
        now: Now,
        source: &[u8],
        message: &Message<'_>,
        data: &Data,
        actions: &mut Vec<Action>,
    ) {
        if !R::is_for(data.to, self.incarnation) {
            self.counts.stale += 1;
            return;
        }
        let Some(id) = self.sender(source, message, actions) else {
            return self.note_missed(message);
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
        life.taken_number = message.number;
        life.heard_ms = time_ms;
        if self.shares_states() {
            self.take_registers(now, id, data, actions);
        }
        let registers = &self.registers;
        let most = registers.listed() + MOST_ORPHANS;
        let Some(life) = self.peers.get_mut(id).and_then(|peer| peer.life.as_mut()) else {
            return;
        };
        if data.begins {
            (life.has_begun, life.has_dropped) = (true, false);
            // The sender may not know any more what it has taken back.
            actions.extend(life.views.drain().map(|(key, _)| Action::Viewed { key }));
            let gone = life.calls.drain();
            actions.extend(gone.map(|(key, _)| Action::Counted { key }));
        }
        for (key, view) in &data.views {
            life.has_dropped |= !keep(&mut life.views, *key, *view, registers, most);
            actions.push(Action::Viewed { key: *key });
        }
        for (key, calls) in &data.calls {
            life.has_dropped |= !keep(&mut life.calls, *key, *calls, registers, most);
            actions.push(Action::Counted { key: *key });
        }
        actions.extend(data.ends.iter().cloned().map(Action::CallEnded));
    }

    /// Merges the registers that a peer has sent.
    fn take_registers(&mut self, now: Now, id: PeerId, data: &Data, actions: &mut Vec<Action>) {
        if !data.registers.is_empty() {
            self.forget_what_is_ahead(now);
        }
        if let Some(life) = self.peers.get_mut(id).and_then(|peer| peer.life.as_mut()) {
            life.moved |= data.end || !data.registers.is_empty();
        }
        for &register in &data.registers {
            self.merge(now, id, register, actions);
        }
        if data.end {
            self.become_ready(Ready::Synced, actions);
        }
    }
}

/// Takes the figures that changed after a change, as far as there is room for their lines. Returns up to which change
/// these are all.
fn take<V: Copy + PartialEq>(
    figures: &Figures<V>,
    after: u64,
    line_bytes: usize,
    room: &mut usize,
) -> (Vec<(Key, Option<V>)>, u64) {
    let (taken, up_to) = figures.changed_after(after, *room / line_bytes);
    *room = room.saturating_sub(taken.len() * line_bytes);
    (taken, up_to)
}

/// Keeps a figure of a peer, or removes it. Of destinations that are not in the list some are kept as well, because a
/// list may bring them. Returns false if there are too many of these.
fn keep<V>(
    figures: &mut HashMap<Key, V>,
    key: Key,
    figure: Option<V>,
    registers: &Registers,
    most: usize,
) -> bool {
    let Some(figure) = figure else {
        figures.remove(&key);
        return true;
    };
    let keeps = figures.len() < most || registers.is_listed(key) || figures.contains_key(&key);
    if keeps {
        figures.insert(key, figure);
    }
    keeps
}

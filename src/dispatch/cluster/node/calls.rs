//! Calls that other nodes count, and ends of calls that one of them may have counted.

use super::action::{Action, PeerId};
use super::machine::Cluster;
use super::orphaned::{Forgotten, Orphaned};
use super::peer::Life;
use super::settings::{FADE_STEPS, LEAST_FADE_MS, MOST_NODES};
use crate::dispatch::cluster::state::ends::{CallEnd, Ends};
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::rules::Rules;
use crate::dispatch::cluster::text::message::Message;
use crate::dispatch::cluster::text::write::end_bytes;

impl<R: Rules> Cluster<R> {
    /// Sets how many calls are counted here for a destination. The peers get it at the next tick.
    pub fn set_calls(&mut self, key: Key, calls: u32) {
        self.calls.set(key, Some(calls).filter(|calls| *calls > 0));
    }

    /// Takes back the counts of destinations that are not in the list any more.
    pub fn keep_calls(&mut self, is_listed: impl Fn(Key) -> bool) {
        let gone = self.calls.iter().filter(|(key, _)| !is_listed(*key));
        for key in gone.map(|(key, _)| key).collect::<Vec<_>>() {
            self.calls.set(key, None);
        }
    }

    /// Returns how many calls are counted here for a destination, as the others are told.
    #[must_use]
    pub fn own_calls(&self, key: Key) -> u32 {
        self.calls.get(key).unwrap_or(0)
    }

    /// Returns how many calls other nodes count for a destination. Those of a node that is dead, and of a life that is over,
    /// become fewer from then on.
    #[must_use]
    pub fn calls_elsewhere(&self, key: Key) -> u32 {
        let counts = self.calls_by_node(key).map(|(_, calls)| calls);
        counts.fold(0, u32::saturating_add)
    }

    /// Returns how many calls each other node counts for a destination: by name, and a name more than once if there are
    /// calls of several lives.
    pub fn calls_by_node(&self, key: Key) -> impl Iterator<Item = (&str, u32)> {
        let lives = self.peers.iter().filter_map(|(_, peer)| peer.life.as_ref());
        let of_lives = lives.filter_map(move |life| {
            let calls = *life.calls.get(&key)?;
            let left = if life.is_alive() {
                calls
            } else {
                self.left(calls, life.ended_ms)
            };
            Some((life.name.as_str(), left))
        });
        let of_orphaned = self.orphaned.iter().filter_map(move |orphaned| {
            let calls = *orphaned.calls.get(&key)?;
            Some((orphaned.name.as_str(), self.left(calls, orphaned.since_ms)))
        });
        of_lives.chain(of_orphaned)
    }

    /// Returns how many of some calls still count, of a life that ended then.
    fn left(&self, calls: u32, ended_ms: u64) -> u32 {
        let since_ms = self.time_ms.saturating_sub(ended_ms);
        R::left(calls, since_ms, self.settings.dead_hold_ms)
    }

    /// Keeps the calls of a life that another one follows, after a start of the node.
    pub(super) fn end_life(&mut self, id: PeerId, actions: &mut Vec<Action>) {
        let time_ms = self.time_ms;
        let life = self.peers.get_mut(id).and_then(|peer| peer.life.as_mut());
        let Some(life) = life.filter(|life| !life.calls.is_empty()) else {
            return;
        };
        let since_ms = if life.is_alive() {
            time_ms
        } else {
            life.ended_ms
        };
        let mut calls = core::mem::take(&mut life.calls);
        let name = life.name.clone();
        if let Some(at) = self.orphaned.iter().position(|one| one.name == name) {
            let before = self.orphaned.swap_remove(at);
            for (key, count) in before.calls {
                let sum = calls.entry(key).or_default();
                *sum = sum.saturating_add(self.left(count, before.since_ms));
            }
        }
        if self.orphaned.len() >= MOST_NODES {
            self.orphaned.remove(0);
        }
        self.orphaned.push(Orphaned {
            name,
            calls,
            since_ms,
        });
        actions.push(Action::CountedAll);
    }

    /// Forgets the calls of a node that is forgotten.
    pub(super) fn forget_calls(&mut self, id: PeerId, name: &str, actions: &mut Vec<Action>) {
        let before = self.orphaned.len();
        self.orphaned.retain(|one| one.name != name);
        let life = self.peers.get(id).and_then(|peer| peer.life.as_ref());
        if life.is_some_and(|life| !life.calls.is_empty()) || self.orphaned.len() < before {
            actions.push(Action::CountedAll);
        }
    }

    /// Remembers up to which messages a node was heard that is forgotten.
    pub(super) fn note_forgotten(&mut self, id: PeerId) {
        let life = self.peers.get(id).and_then(|peer| peer.life.as_ref());
        let Some(life) = life else { return };
        self.forgotten.retain(|one| one.name != life.name);
        if self.forgotten.len() >= MOST_NODES {
            self.forgotten.remove(0);
        }
        self.forgotten.push(Forgotten {
            name: life.name.clone(),
            incarnation: life.incarnation,
            hello_number: life.hello_number,
            taken_number: life.taken_number,
        });
    }

    /// Remembers that a message was not taken of a node that is forgotten. Its sender takes it for taken, so an earlier one
    /// that comes later must not be.
    pub(super) fn note_missed(&mut self, message: &Message<'_>) {
        let is_sender = |one: &&mut Forgotten| {
            one.name == message.node && one.incarnation == message.incarnation
        };
        if let Some(one) = self.forgotten.iter_mut().find(is_sender) {
            one.taken_number = one.taken_number.max(message.number);
        }
    }

    /// Has a life that begins take only messages that come after those which were taken before it was forgotten.
    pub(super) fn go_on_with(&self, life: &mut Life) {
        let is = |one: &&Forgotten| one.name == life.name && one.incarnation == life.incarnation;
        if let Some(one) = self.forgotten.iter().find(is) {
            (life.hello_number, life.taken_number) = (one.hello_number, one.taken_number);
        }
    }

    /// Says so, in steps, as long as calls of lives that are over become fewer.
    pub(super) fn fade(&mut self, actions: &mut Vec<Action>) {
        let hold_ms = self.settings.dead_hold_ms;
        let (time_ms, last_ms) = (self.time_ms, self.faded_ms);
        if time_ms < last_ms + (hold_ms / FADE_STEPS).max(LEAST_FADE_MS) {
            return;
        }
        self.faded_ms = time_ms;
        let fades_since = |ended_ms: u64| ended_ms + hold_ms > last_ms;
        let fades =
            |life: &Life| !life.is_alive() && !life.calls.is_empty() && fades_since(life.ended_ms);
        let mut lives = self.peers.iter().filter_map(|(_, peer)| peer.life.as_ref());
        if !self.orphaned.is_empty() || lives.any(fades) {
            actions.push(Action::CountedAll);
        }
        self.orphaned.retain(|one| one.since_ms + hold_ms > time_ms);
    }

    /// Tells the peers what has become of a call that is not known here.
    pub fn tell_end(&mut self, end: CallEnd) {
        if self.peers.alive().next().is_none() || !self.shares() {
            return;
        }
        self.counts.ends_told += 1;
        self.counts.ends_dropped += u64::from(!self.ends.add(end));
    }
}

/// Takes the ends behind the one with this number, as far as there is room for their lines. Returns the number of the last
/// one of them.
pub(super) fn take_ends(ends: &Ends, after: u64, room: &mut usize) -> (Vec<CallEnd>, u64) {
    let (mut taken, mut up_to) = (Vec::new(), after);
    for (number, end) in ends.after(after) {
        let Some(rest) = room.checked_sub(end_bytes(end)) else {
            return (taken, up_to);
        };
        *room = rest;
        taken.push(end.clone());
        up_to = number;
    }
    (taken, ends.last())
}

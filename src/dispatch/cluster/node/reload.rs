//! A reload of the lists on all nodes: one node asks, each member that is ready loads its own lists, and says what came of
//! it.
//!
//! Nothing is sent a second time but by the server's transactions: what did not come within the operator's patience is said
//! to be missing, and he asks again.

use super::action::{Action, Answer, PeerId, Told};
use super::asked::{Reloads, Request};
use super::machine::{Cluster, Phase};
use super::peer::Shown;
use crate::dispatch::cluster::state::rules::Rules;
use crate::dispatch::cluster::text::message::{Content, MOST_REASON, Message, Reloaded, is_reason};

impl<R: Rules> Cluster<R> {
    /// Asks all members that are ready, and tells whom; this node comes last, for itself.
    pub(super) fn ask_for_reload(&mut self, ticket: u64, actions: &mut Vec<Action>) {
        let others = self.members().filter_map(|member| {
            let knows_us = |id| self.peers.get(id)?.life.as_ref().map(|life| life.knows_us);
            let id = member.peer?;
            let is_asked = member.state == Shown::Ready
                && self.phase != Phase::Left
                && knows_us(id).unwrap_or(false);
            let name = member.name.unwrap_or(member.uri).to_owned();
            let life = self.peers.get(id)?.life.as_ref();
            let to = life.filter(|_| is_asked).map(|life| life.incarnation);
            Some((id, name, to.ok_or(member.state.word())))
        });
        let others: Vec<_> = others.collect();
        self.reloads.ticket = ticket;
        self.reloads.asked.clear();
        let mut told = Vec::new();
        for (id, name, to) in others {
            let answer = match to {
                Ok(to) => {
                    let number = self.last_number + 1;
                    let body = self.compose(number, Content::Reload { to });
                    self.send(id, number, body, actions);
                    self.reloads.asked.push((id, number));
                    Answer::Asked
                }
                Err(state) => Answer::NotAsked(state.to_owned()),
            };
            told.push((name, answer));
        }
        told.push((self.settings.node.clone(), Answer::Asked));
        let answers = self.reloads.asked.len();
        for (at, (name, answer)) in told.iter().cloned().enumerate() {
            let left = told.len() - 1 - at + answers;
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            actions.push(Action::Told(Told {
                ticket,
                left,
                name,
                answer,
            }));
        }
    }

    /// Another node asks for a reload.
    pub(super) fn take_reload(
        &mut self,
        source: &[u8],
        message: &Message<'_>,
        to: u64,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.reload_sender(source, message, to, actions) else {
            return;
        };
        let reloads = &mut self.reloads;
        reloads.last_request += 1;
        let number = reloads.last_request;
        // The operator there waits for the last one only.
        reloads.requests.retain(|request| request.peer != peer);
        reloads.requests.push(Request {
            number,
            peer,
            incarnation: message.incarnation,
            message: message.number,
        });
        actions.push(Action::Reload {
            request: number,
            name: message.node.to_owned(),
        });
    }

    /// The lists were loaded, as all requests up to this one ask for: the number of destinations, or why they were not.
    pub fn reloaded(
        &mut self,
        request: u64,
        outcome: &Result<u64, String>,
        actions: &mut Vec<Action>,
    ) {
        let (done, rest): (Vec<_>, Vec<_>) = core::mem::take(&mut self.reloads.requests)
            .into_iter()
            .partition(|one| one.number <= request);
        self.reloads.requests = rest;
        let reason = readable(outcome.as_ref().err().map_or("", String::as_str));
        for one in done {
            let life = self.peers.get(one.peer).and_then(|peer| peer.alive());
            if life.is_none_or(|life| life.incarnation != one.incarnation) {
                continue;
            }
            let number = self.last_number + 1;
            let content = Content::Reloaded(Reloaded {
                to: one.incarnation,
                asked: one.message,
                dests: outcome.as_ref().ok().copied(),
                reason: &reason,
            });
            let body = self.compose(number, content);
            self.send(one.peer, number, body, actions);
        }
    }

    /// Another node tells what came of a reload.
    pub(super) fn take_reloaded(
        &mut self,
        source: &[u8],
        message: &Message<'_>,
        reloaded: &Reloaded<'_>,
        actions: &mut Vec<Action>,
    ) {
        if let Some(peer) = self.reload_sender(source, message, reloaded.to, actions) {
            let outcome = reloaded.dests.ok_or_else(|| reloaded.reason.to_owned());
            self.tell(peer, reloaded.asked, Answer::Ended(outcome), actions);
        }
    }

    /// A peer has not taken a message, or does not answer. If it asked for a reload, that is its answer.
    pub(super) fn reload_not_taken(
        &mut self,
        peer: PeerId,
        number: u64,
        code: u16,
        actions: &mut Vec<Action>,
    ) {
        self.tell(peer, number, Answer::NotTaken(code), actions);
    }

    fn tell(&mut self, peer: PeerId, number: u64, answer: Answer, actions: &mut Vec<Action>) {
        let Reloads { ticket, asked, .. } = &mut self.reloads;
        let Some(at) = asked.iter().position(|one| *one == (peer, number)) else {
            return;
        };
        asked.remove(at);
        let life = self.peers.get(peer).and_then(|peer| peer.life.as_ref());
        actions.push(Action::Told(Told {
            ticket: *ticket,
            left: u32::try_from(asked.len()).unwrap_or(u32::MAX),
            name: life.map(|life| life.name.clone()).unwrap_or_default(),
            answer,
        }));
    }

    /// Returns the sender of a message of this file, if it is for this life and later than those before it.
    fn reload_sender(
        &mut self,
        source: &[u8],
        message: &Message<'_>,
        to: u64,
        actions: &mut Vec<Action>,
    ) -> Option<PeerId> {
        if !R::is_for(to, self.incarnation) {
            self.counts.stale += 1;
            return None;
        }
        let id = self.sender(source, message, actions)?;
        let life = self.peers.get_mut(id)?.life.as_mut()?;
        if !R::is_new(message.number, life.reload_number) {
            self.counts.stale += 1;
            return None;
        }
        life.reload_number = message.number;
        Some(id)
    }
}

/// Returns a reason as a message can have it.
fn readable(reason: &str) -> String {
    let shown = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
    let text: String = reason.chars().map(shown).take(MOST_REASON).collect();
    match is_reason(text.as_bytes()) {
        true => text,
        false => "no reason".to_owned(),
    }
}

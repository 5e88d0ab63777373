//! Hellos: who is a member, who hears whom, and who has a name.

use core::mem;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::action::{Action, Note, PeerId, Ready};
use super::machine::{Cluster, Phase};
use super::peer::{Life, State};
use super::settings::{JOIN_HELLO_MS, SUSPECT_HELLOS};
use crate::dispatch::cluster::state::clock::Now;
use crate::dispatch::cluster::state::rules::Rules;
use crate::dispatch::cluster::text::message::{Content, Hello, MOST_WRITTEN, Message, Told};
use crate::dispatch::cluster::text::write::{MOST_AROUND, line_bytes};

impl<R: Rules> Cluster<R> {
    /// Sends hellos to all that are due, members or not: so a node that was cut off or starts again is found at once.
    pub(super) fn send_hellos(&mut self, now: Now, actions: &mut Vec<Action>) {
        let period = match self.phase {
            Phase::Joining => self.settings.hello_ms.min(JOIN_HELLO_MS),
            _ => self.settings.hello_ms,
        };
        for id in self.peers.ids() {
            let Some(peer) = self.peers.get(id) else {
                continue;
            };
            if peer.is_self || peer.next_hello_ms > self.time_ms {
                continue;
            }
            let (members, next_told) = self.told_to(id);
            let hello = Hello {
                pings: Some(self.pings_for(id)),
                ..self.hello(now, members)
            };
            let number = self.last_number + 1;
            let body = self.compose(number, Content::Hello(hello));
            self.send(id, number, body, actions);
            if let Some(peer) = self.peers.get_mut(id) {
                peer.next_told = next_told;
                peer.last_hello = Some((self.time_ms, number));
                peer.next_hello_ms = self.time_ms + period;
            }
        }
    }

    /// Sends a hello to all that the bus knows.
    pub(super) fn broadcast_hello(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.last_number += 1;
        let hello = self.hello(now, Vec::new());
        let body = self.compose(self.last_number, Content::Hello(hello));
        actions.push(Action::Broadcast { body });
    }

    fn hello<'m>(&'m self, now: Now, members: Vec<Told<'m>>) -> Hello<'m> {
        Hello {
            uri: &self.settings.uri,
            ready: self.is_ready(),
            started: self.started_as,
            hello_ms: self.settings.hello_ms,
            dead_ms: self.settings.dead_ms,
            wall_ms: now.wall_ms,
            digest: self.shares_states().then_some(self.registers.digest()),
            pings: None,
            members,
        }
    }

    /// Returns what a peer is told of the nodes that are known, and where the next hello to it begins.
    ///
    /// Of itself it always hears: so it knows that it is heard. If the others do not all fit, the next hello goes on with
    /// the first one that did not.
    fn told_to(&self, recipient: PeerId) -> (Vec<Told<'_>>, usize) {
        let start = self.peers.get(recipient).map_or(0, |peer| peer.next_told);
        let others = || self.peers.iter().filter(|(id, _)| *id != recipient);
        let from_start = others().filter(|(id, _)| id.0 >= start);
        let before_it = others().filter(|(id, _)| id.0 < start);
        let itself = self.peers.iter().filter(|(id, _)| *id == recipient);
        let mut members = Vec::new();
        let mut room = MOST_WRITTEN - MOST_AROUND;
        for (id, peer) in itself.chain(from_start).chain(before_it) {
            let Some(life) = &peer.life else { continue };
            let told = Told {
                name: &life.name,
                uri: &peer.uri,
                incarnation: life.incarnation,
                heard_ms: self.time_ms.saturating_sub(life.heard_ms),
                taken: life.has_begun,
            };
            match room.checked_sub(line_bytes(&told)) {
                Some(rest) => room = rest,
                None => return (members, id.0),
            }
            members.push(told);
        }
        (members, 0)
    }

    /// A hello has arrived.
    pub(super) fn take_hello(
        &mut self,
        now: Now,
        source: &[u8],
        message: &Message<'_>,
        hello: &Hello<'_>,
        actions: &mut Vec<Action>,
    ) {
        if message.node == self.settings.node {
            self.find_myself(message, hello);
            return self.hear_own_name(hello.uri, message.incarnation, 0, actions);
        }
        self.hear_of_last_life(hello);
        let place = self.place_of(message, hello, actions);
        let Some(id) = place.filter(|id| self.is_next_hello(*id, message, hello, actions)) else {
            self.counts.stale += 1;
            return;
        };
        let (time_ms, own, incarnation) = (self.time_ms, &self.settings.node, self.incarnation);
        let mut of_us = hello.members.iter().filter(|told| told.name == own);
        let of_us = of_us.find(|told| told.incarnation == incarnation);
        let knows_us = of_us.is_some();
        let (last, digest) = (self.registers.last(), self.registers.digest());
        let shares = self.shares_states();
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        peer.remembered_ms = time_ms;
        if !knows_us {
            peer.hasten_hello(time_ms);
        }
        let Some(life) = peer.life.as_mut() else {
            return;
        };
        life.heard(hello, source, time_ms, now);
        life.hello_number = message.number;
        life.knows_us = knows_us;
        // It has forgotten this node, and what it had of its figures with it.
        let has_lost = of_us.is_some_and(|told| !told.taken);
        let said_so = mem::replace(&mut life.has_lost, has_lost);
        // A hello may have been on its way while it got them.
        if has_lost && said_so && life.cursor.begun {
            life.cursor.send_figures();
        }
        // Of a hello to an earlier life nothing follows for this one.
        if shares && knows_us && life.digest.is_some() {
            if life.compare(digest) {
                life.cursor.send_all();
            } else if life.same {
                life.cursor.skip_to(last);
            }
            if life.same && life.ready {
                self.become_ready(Ready::Synced, actions);
            }
        }
        self.up(id, actions);
        for told in &hello.members {
            self.hear_of(told, actions);
        }
    }

    /// Returns the place of the sender of a hello; `None` if it cannot be listened to.
    ///
    /// A node that comes from another URI than before, or from that of another node, is listened to as soon as the one before
    /// it is silent. Until then it gets hellos, so it learns that it is not alone.
    fn place_of(
        &mut self,
        message: &Message<'_>,
        hello: &Hello<'_>,
        actions: &mut Vec<Action>,
    ) -> Option<PeerId> {
        let time_ms = self.time_ms;
        if let Some(old) = self.peers.named(message.node) {
            let peer = self.peers.get(old)?;
            if peer.uri == hello.uri {
                return Some(old);
            }
            let life = peer.life.as_ref()?;
            let there = life.is_alive() && !life.is_suspect(&self.settings, time_ms);
            // Otherwise it may be a late message of an earlier life.
            let later = message.incarnation > life.incarnation;
            if there || !later {
                if self.may_ask(hello.uri, actions) {
                    self.place_at(hello.uri, actions);
                }
                if there && later {
                    let (node, uri) = (message.node.to_owned(), hello.uri.to_owned());
                    self.note(Some(old), Note::OthersNameTwice { node, uri }, actions);
                }
                return None;
            }
            self.down(old, State::Dead, actions);
            self.end_life(old, actions);
            self.forget(old, actions);
        }
        if !self.may_ask(hello.uri, actions) {
            return None;
        }
        let Some(id) = self.place_at(hello.uri, actions) else {
            self.note(None, Note::TooManyNodes, actions);
            return None;
        };
        let life = self.peers.get(id)?.life.as_ref();
        if let Some(life) = life.filter(|life| life.name != message.node) {
            let there = life.is_alive() && !life.is_suspect(&self.settings, time_ms);
            if there && message.incarnation <= life.incarnation {
                return None;
            }
            self.down(id, State::Dead, actions);
            self.end_life(id, actions);
            self.peers.get_mut(id)?.life = None;
        }
        Some(id)
    }

    /// Tells whether a hello is later than what is known of its sender. If it is the first one of a life, that begins.
    fn is_next_hello(
        &mut self,
        id: PeerId,
        message: &Message<'_>,
        hello: &Hello<'_>,
        actions: &mut Vec<Action>,
    ) -> bool {
        let (time_ms, is_ready) = (self.time_ms, self.is_ready());
        // A node that joins has nothing to teach but its own acts.
        let mut life = Life::begin(message, is_ready, time_ms);
        self.go_on_with(&mut life);
        let Some(peer) = self.peers.get_mut(id) else {
            return false;
        };
        life.started = hello.started;
        if let Some(before) = &mut peer.life {
            if before.incarnation > message.incarnation {
                // It may have started again, with a clock that was set back: it must learn of its last life.
                peer.hasten_hello(time_ms);
                return false;
            }
            if before.incarnation == message.incarnation {
                return before.state != State::Left
                    && R::is_new(message.number, before.hello_number);
            }
            life.state = before.state;
            if life.started > 0 && life.started == before.started {
                // It still counts the same calls.
                life.calls = mem::take(&mut before.calls);
            }
        }
        let restarted = life.is_alive().then(|| life.name.clone());
        self.end_life(id, actions);
        if let Some(peer) = self.peers.get_mut(id) {
            peer.life = Some(life);
            peer.hasten_hello(time_ms);
        }
        if let Some(name) = restarted {
            self.note(Some(id), Note::Restarted(name), actions);
        }
        true
    }

    /// Hears what a member says of a node.
    fn hear_of(&mut self, told: &Told<'_>, actions: &mut Vec<Action>) {
        if told.name == self.settings.node {
            return self.hear_own_name(told.uri, told.incarnation, told.heard_ms, actions);
        }
        if told.heard_ms >= self.settings.dead_ms || told.uri == self.settings.uri {
            return;
        }
        let time_ms = self.time_ms;
        let known = self.peers.named(told.name);
        match known.and_then(|id| self.peers.get_mut(id)?.life.as_mut()) {
            Some(life) if life.incarnation == told.incarnation => {
                life.vouched_ms = life.vouched_ms.max(time_ms.saturating_sub(told.heard_ms));
            }
            Some(life) if life.incarnation > told.incarnation => {}
            // It is asked where it is now, and then speaks for itself.
            _ => {
                if self.may_ask(told.uri, actions) && self.place_at(told.uri, actions).is_none() {
                    self.note(None, Note::TooManyNodes, actions);
                }
            }
        }
    }

    /// Tells whether a node may be asked at a URI that a message has. Without a key anybody may have written it, and a name
    /// that is looked for stops this node until that has ended: only addresses are asked, and peers that are known.
    fn may_ask(&mut self, uri: &str, actions: &mut Vec<Action>) -> bool {
        let may = self.settings.key.is_some()
            || has_address(uri)
            || self.peers.iter().any(|(_, peer)| peer.uri == uri);
        if !may {
            let uri = uri.to_owned();
            self.note(None, Note::NotAsked { uri }, actions);
        }
        may
    }

    /// Hears of the last life of this node, if that had a higher incarnation.
    ///
    /// Also from a peer whose hellos seem to be those of an earlier life: it may be the same with the peer, and then
    /// neither would ever listen to the other.
    fn hear_of_last_life(&mut self, hello: &Hello<'_>) {
        let silent_ms = SUSPECT_HELLOS * self.settings.hello_ms;
        for told in &hello.members {
            let is_own = told.name == self.settings.node;
            let is_over = told.uri == self.settings.uri || told.heard_ms >= silent_ms;
            if is_own && is_over && told.incarnation > self.incarnation {
                self.begin_life_after(told.incarnation);
            }
        }
    }

    /// Hears that a node with the name of this one was heard: it may be this one, its last life, or another node.
    fn hear_own_name(
        &mut self,
        uri: &str,
        incarnation: u64,
        heard_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        let period = self.settings.hello_ms;
        let heard_at_ms = self.time_ms.saturating_sub(heard_ms);
        // A message of the last life may have been on its way for a while.
        let since_start = heard_at_ms > self.began_ms + 2 * period;
        if uri != self.settings.uri && since_start && heard_ms < SUSPECT_HELLOS * period {
            let stopped = (self.incarnation, self.settings.uri.as_str()) > (incarnation, uri);
            if stopped {
                self.yields_to_ms = heard_at_ms + self.settings.dead_ms;
            }
            let uri = uri.to_owned();
            self.note(None, Note::NameTwice { uri, stopped }, actions);
        } else if incarnation > self.incarnation {
            self.begin_life_after(incarnation);
        }
    }

    /// Looks which peer is this node itself, under another URI, when one of its own hellos comes back.
    fn find_myself(&mut self, message: &Message<'_>, hello: &Hello<'_>) {
        let own = message.incarnation == self.incarnation && hello.uri == self.settings.uri;
        for (_, peer) in self.peers.iter_mut() {
            let sent = peer.last_hello.map(|(_, number)| number);
            peer.is_self |= own && peer.life.is_none() && sent == Some(message.number);
        }
    }

    /// A node says that it goes.
    pub(super) fn take_leave(
        &mut self,
        source: &[u8],
        message: &Message<'_>,
        actions: &mut Vec<Action>,
    ) {
        let Some(id) = self.sender(source, message, actions) else {
            return;
        };
        self.down(id, State::Left, actions);
        self.note(Some(id), Note::Left(message.node.to_owned()), actions);
    }

    /// Returns the sender of a message that is no hello: one that is known by a hello of this life. Without a key it must
    /// also come from the address of that hello.
    pub(super) fn sender(
        &mut self,
        source: &[u8],
        message: &Message<'_>,
        actions: &mut Vec<Action>,
    ) -> Option<PeerId> {
        let id = self.peers.named(message.node);
        let life = id.and_then(|id| self.peers.get(id)?.life_of(message));
        let Some((id, life)) = id.zip(life.filter(|life| life.state != State::Left)) else {
            self.counts.stale += 1;
            return None;
        };
        if self.settings.key.is_none() && life.source != source {
            let (node, source) = (life.name.clone(), source.to_owned());
            self.counts.refused += 1;
            self.note(Some(id), Note::WrongSource { node, source }, actions);
            return None;
        }
        Some(id)
    }

    /// Tells whether this node exchanges anything but hellos: not after it has left, nor while another one has its name.
    pub(super) fn shares(&self) -> bool {
        self.phase != Phase::Left && self.yields_to_ms <= self.time_ms
    }

    /// Tells whether this node exchanges states that operators have set.
    pub(super) fn shares_states(&self) -> bool {
        self.settings.share_states && self.shares()
    }
}

/// Tells whether the host of a URI is an IP address.
fn has_address(uri: &str) -> bool {
    let rest = uri.split_once(':').map_or("", |(_, rest)| rest);
    let place = rest.split([';', '?']).next().unwrap_or_default();
    let place = place.rsplit('@').next().unwrap_or_default();
    match place
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, _)) => host.parse::<Ipv6Addr>().is_ok(),
        None => {
            let host = place.split(':').next().unwrap_or_default();
            host.parse::<Ipv4Addr>().is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_addresses_are_told_from_names() {
        for uri in [
            "sip:192.0.2.1",
            "sips:192.0.2.1:5061;transport=tls",
            "sip:bus@192.0.2.1:5060",
            "sip:[2001:db8::1]:5060",
            "sip:[2001:db8::1];transport=tcp",
        ] {
            assert!(has_address(uri), "{uri}");
        }
        for uri in [
            "sip:lb1",
            "sip:lb1.example.com:5060",
            "sip:192.0.2.1.example.com",
            "sip:192.0.2.1@lb1:5060",
            "sip:[lb1]",
            "192.0.2.1",
            "sip:",
        ] {
            assert!(!has_address(uri), "{uri}");
        }
    }
}

//! The nodes as operators see them.

use super::action::PeerId;
use super::machine::{Cluster, Phase};
use super::peer::{Member, Peer, PeerCounts, Shown, State};
use super::settings::Settings;
use crate::dispatch::cluster::state::key::NodeHash;
use crate::dispatch::cluster::state::rules::Rules;

impl<R: Rules> Cluster<R> {
    /// Returns the name of a node by the number that registers have; `None` if it is not known here.
    #[must_use]
    pub fn name_of(&self, node: NodeHash) -> Option<&str> {
        let lives = self.peers.iter().filter_map(|(_, peer)| peer.life.as_ref());
        let mut names = lives.map(|life| life.name.as_str());
        let own = Some(self.settings.node.as_str()).filter(|_| node == self.node);
        own.or_else(|| names.find(|name| NodeHash::of(name) == node))
    }

    /// Returns this node and then all peers, as operators see them.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let own = Member {
            peer: None,
            name: Some(&self.settings.node),
            uri: &self.settings.uri,
            state: match self.phase {
                Phase::Joining => Shown::Joining,
                Phase::Ready => Shown::Ready,
                Phase::Left => Shown::Left,
            },
            heard_ms: Some(0),
            incarnation: self.incarnation,
            behind: 0,
            clock_ms: 0,
            same: true,
            counts: PeerCounts::default(),
        };
        let others = self.peers.iter().filter(|(_, peer)| !peer.is_self);
        core::iter::once(own).chain(others.map(|(id, peer)| self.member(id, peer)))
    }

    /// Returns how many nodes are alive, with this one. After it has left it hears nobody, so it counts only itself.
    #[must_use]
    pub fn alive(&self) -> usize {
        let others = match self.phase {
            Phase::Left => 0,
            Phase::Joining | Phase::Ready => self.peers.alive().count(),
        };
        1 + others
    }

    /// Tells whether a peer is a member.
    #[must_use]
    pub fn is_member(&self, id: PeerId) -> bool {
        self.peers
            .get(id)
            .is_some_and(|peer| peer.alive().is_some())
    }

    /// Returns what the config says of this node.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    fn member<'a>(&'a self, id: PeerId, peer: &'a Peer) -> Member<'a> {
        let unheard = Member {
            peer: Some(id),
            name: None,
            uri: &peer.uri,
            state: Shown::Unheard,
            heard_ms: None,
            incarnation: 0,
            behind: 0,
            clock_ms: 0,
            same: false,
            counts: peer.counts,
        };
        let Some(life) = &peer.life else {
            return unheard;
        };
        Member {
            name: Some(&life.name),
            state: match life.state {
                State::Dead => Shown::Dead,
                State::Left => Shown::Left,
                State::Alive if life.is_suspect(&self.settings, self.time_ms) => Shown::Suspect,
                State::Alive if life.ready => Shown::Ready,
                State::Alive => Shown::Joining,
            },
            heard_ms: Some(self.time_ms.saturating_sub(life.heard_ms)),
            incarnation: life.incarnation,
            behind: self.behind(life),
            clock_ms: life.clock_ms,
            same: life.same,
            ..unheard
        }
    }
}

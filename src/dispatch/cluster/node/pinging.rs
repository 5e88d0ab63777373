//! Who pings for whom: whose good word spares this node a ping.
//!
//! A node believes another one's good word, and looks itself before it believes a bad one. So nothing has to be agreed on.

use std::collections::HashMap;

use super::action::{Action, PeerId};
use super::machine::Cluster;
use super::peer::Life;
use super::settings::{SUSPECT_HELLOS, Settings};
use crate::dispatch::balance::cost::mix;
use crate::dispatch::cluster::state::key::{Key, NodeHash};
use crate::dispatch::cluster::state::pings::{Pings, Relied, Told};
use crate::dispatch::cluster::state::rules::Rules;
use crate::dispatch::cluster::state::view::View;

/// How much later than it should have come a ping of another node is missed: what a message and a busy process take.
const GRACE_MS: u64 = 500;

/// The member that watches a destination for this node, and its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watcher {
    /// The member.
    pub peer: PeerId,
    /// Its view.
    pub view: View,
    /// By its view, and then by this, one watches and not another.
    weight: u64,
}

impl Watcher {
    /// Returns the one of two that watches: of those with a good word, or else of all, the one with the greatest weight.
    fn of_two(one: Self, other: Self) -> Self {
        let rank = |watcher: &Self| (watcher.view.is_good(), watcher.weight);
        if rank(&other) > rank(&one) {
            other
        } else {
            one
        }
    }
}

impl<R: Rules> Cluster<R> {
    /// Says how this node pings; `None` if it does not.
    pub fn set_pings(&mut self, pings: Option<Pings>) {
        self.pings = pings;
    }

    /// Returns the member that watches a destination for this node: one of greater weight that pings it.
    #[must_use]
    pub fn watcher(&self, key: Key) -> Option<Watcher> {
        let all = self.believed_lives().filter_map(|(peer, life)| {
            let view = *life.views.get(&key)?;
            self.may_watch(key, peer, life, view)
        });
        all.reduce(Watcher::of_two)
    }

    /// Returns the members that watch destinations for this node.
    #[must_use]
    pub fn watchers(&self) -> HashMap<Key, Watcher> {
        let mut watchers: HashMap<Key, Watcher> = HashMap::new();
        for (peer, life) in self.believed_lives() {
            for (&key, &view) in &life.views {
                if let Some(new) = self.may_watch(key, peer, life, view) {
                    let watcher = watchers.entry(key).or_insert(new);
                    *watcher = Watcher::of_two(*watcher, new);
                }
            }
        }
        watchers
    }

    /// Returns the members whose word is believed, and how long, by their places.
    pub fn relied(&self) -> impl Iterator<Item = (PeerId, Relied)> {
        self.believed_lives().filter_map(|(id, life)| {
            let heard = life.pings?;
            let interval_ms = heard.last.interval_ms.max(1);
            let window_ms = window_ms(&self.settings, life);
            let late_ms = i64::try_from(window_ms + GRACE_MS).unwrap_or(i64::MAX);
            let missed_ms = heard.offset_ms.saturating_add(late_ms);
            let interval = i64::try_from(interval_ms).unwrap_or(i64::MAX);
            let relied = Relied {
                until_ms: heard.true_ms().saturating_add(window_ms),
                missed_ms: missed_ms.rem_euclid(interval).unsigned_abs(),
                interval_ms,
            };
            Some((id, relied))
        })
    }

    /// Returns the view of a destination that this node has told the others.
    #[must_use]
    pub fn own_view(&self, key: Key) -> Option<View> {
        self.views.get(key)
    }

    /// Returns the destinations of which this node has told its view.
    pub fn viewed(&self) -> impl Iterator<Item = Key> {
        self.views.iter().map(|(key, _)| key)
    }

    /// Returns the members that ping a destination, each with its view.
    pub fn views_of(&self, key: Key) -> impl Iterator<Item = (PeerId, &str, View)> {
        let alive = self.peers.iter();
        alive.filter_map(move |(id, peer)| {
            let life = peer.alive()?;
            Some((id, life.name.as_str(), *life.views.get(&key)?))
        })
    }

    /// Looks whose word is believed now, and says so if that has changed.
    pub(super) fn look_whom_to_believe(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let alive = self.peers.iter();
        let alive = alive.filter_map(|(id, peer)| Some((id, peer.alive()?)));
        let is_fresh = |life: &Life| {
            life.pings.is_some_and(|heard| {
                let until_ms = heard
                    .true_ms()
                    .saturating_add(window_ms(&self.settings, life));
                R::believes(now_ms < until_ms)
            })
        };
        let believed = alive.filter(|(_, life)| self.shares() && is_fresh(life));
        let believed: Vec<_> = believed.map(|(id, life)| (id, life.incarnation)).collect();
        if believed != self.believed {
            self.believed = believed;
            actions.push(Action::Believed);
        }
    }

    /// Takes notice of since when a peer lacks views of this node.
    pub(super) fn note_lack(&mut self, id: PeerId, now_ms: u64) {
        let last = self.views.last();
        if let Some(life) = self.peers.get_mut(id).and_then(|peer| peer.life.as_mut()) {
            let lacks = life.cursor.figures.views < last;
            let since_ms = life.lacks_since_ms.filter(|_| lacks);
            life.lacks_since_ms = since_ms.or(lacks.then_some(now_ms));
        }
    }

    /// Returns what a hello to a peer says of this node's pings.
    pub(super) fn pings_for(&self, id: PeerId) -> Told {
        let life = self.peers.get(id).and_then(|peer| peer.life.as_ref());
        let since_ms = life.and_then(|life| life.lacks_since_ms);
        let pings = self.pings.filter(|_| self.shares());
        pings.map_or_else(Told::default, |pings| Told {
            true_ms: pings.ran_ms.min(since_ms.unwrap_or(u64::MAX)),
            interval_ms: pings.interval_ms,
        })
    }

    fn believed_lives(&self) -> impl Iterator<Item = (PeerId, &Life)> {
        let lives = self.believed.iter();
        lives.filter_map(|(id, incarnation)| {
            let life = self.peers.get(*id)?.alive()?;
            (life.incarnation == *incarnation).then_some((*id, life))
        })
    }

    /// Returns a member as a watcher, if its weight is greater than that of this node.
    fn may_watch(&self, key: Key, peer: PeerId, life: &Life, view: View) -> Option<Watcher> {
        let weight = weight(key, life.node);
        (weight > weight_of(self, key)).then_some(Watcher { peer, view, weight })
    }
}

fn weight_of<R: Rules>(cluster: &Cluster<R>, key: Key) -> u64 {
    weight(key, cluster.node)
}

/// Returns the weight of a node for a destination: the one of the greatest weight pings it.
fn weight(key: Key, node: NodeHash) -> u64 {
    mix(key.0 ^ node.0)
}

/// Returns for how long the word of a member is believed after its last sign.
fn window_ms(settings: &Settings, life: &Life) -> u64 {
    SUSPECT_HELLOS * settings.hello_ms.max(life.hello_ms)
}
